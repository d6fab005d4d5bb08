"""Prefetch: the next chunk is read and prepared beside the replay while this one plays."""

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from openbell.market.errors import ReplayError
from openbell.replay.scheduler import Scheduler, Threads, Worker

T = TypeVar("T")
_JOIN_S = 30.0


class Prefetcher(Generic[T]):
    """Runs an iterator on a worker of its own, at most `ahead` items before whoever takes them.

    An error in the iterator surfaces when its item would have been taken. Items come in the
    iterator's order, whatever the timing.

    Parameters
    ----------
    items
        Reads only what was pinned at the start; emits no events.
    ahead
        How many prepared items may wait; 0 to run the iterator where its items are taken.

    Attributes
    ----------
    waited_ns
        How long takers waited for items that were not ready, the first one included.
    """

    def __init__(
        self, items: Iterator[T], scheduler: Scheduler | None = None, *, ahead: int = 1
    ) -> None:
        self.waited_ns = 0
        self._items = items
        self._ahead = ahead
        self._scheduler = scheduler or Threads()
        self._monitor = self._scheduler.monitor()
        self._ready: deque[T] = deque()
        self._error: BaseException | None = None
        self._is_over = False
        self._is_closed = False
        self._worker: Worker | None = None
        if ahead:
            self._worker = self._scheduler.start("openbell-prefetch", self._run)

    def __iter__(self) -> Iterator[T]:
        if self._worker is None:
            yield from self._items
            return
        while True:
            with self._monitor:
                self._await_item()
                if not self._ready:
                    break
                item = self._ready.popleft()
                self._monitor.notify_all()
            yield item
        if self._error is not None:
            raise self._error

    def close(self, *, timeout_s: float = _JOIN_S) -> None:
        """End the worker, finished or not; raise `ReplayError` if it does not end in time."""
        with self._monitor:
            self._is_closed = True
            self._monitor.notify_all()
        if self._worker is None:
            return
        self._worker.join(timeout_s)
        if self._worker.is_alive():
            raise ReplayError(f"{self._worker.name} is still busy after {timeout_s} s")

    def _has_news(self) -> bool:
        return bool(self._ready) or self._is_over or self._is_closed

    def _await_item(self) -> None:
        if self._has_news():
            return
        began_ns = self._scheduler.now_ns()
        while not self._has_news():
            self._monitor.wait()
        self.waited_ns += self._scheduler.now_ns() - began_ns

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as error:  # noqa: BLE001  # raised again where the item is taken
            self._error = error
        finally:
            with self._monitor:
                self._is_over = True
                self._monitor.notify_all()

    def _put(self, item: T) -> bool:
        with self._monitor:
            while len(self._ready) >= self._ahead and not self._is_closed:
                self._monitor.wait()
            self._ready.append(item)
            self._monitor.notify_all()
            return not self._is_closed
