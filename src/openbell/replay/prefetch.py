"""Prefetch: the next chunk is read and prepared on a thread of its own while this one plays."""

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

from openbell.market.errors import ReplayError

T = TypeVar("T")
_POLL_S = 0.1


class Prefetcher(Generic[T]):
    """Runs an iterator on its own thread, at most `ahead` items before whoever takes them.

    An error in the iterator surfaces when its item would have been taken. Items come in the
    iterator's order, whatever the timing.

    Parameters
    ----------
    items
        Reads only what was pinned at the start; emits no events.
    ahead
        How many prepared items may wait.
    """

    def __init__(self, items: Iterator[T], *, ahead: int = 1) -> None:
        self._items = items
        self._ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(ahead)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="openbell-prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            item, error = self._take()
            if error is not None:
                raise error
            if item is None:
                return
            yield item

    def close(self, *, timeout_s: float = 30.0) -> None:
        """End the thread, finished or not; raise `ReplayError` if it does not end in time."""
        self._stop.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise ReplayError(f"{self._thread.name} is still busy after {timeout_s} s")

    def _take(self) -> tuple[T | None, BaseException | None]:
        while True:
            try:
                return self._ready.get(timeout=_POLL_S)
            except queue.Empty:
                if not self._thread.is_alive() and self._ready.empty():
                    raise ReplayError(f"{self._thread.name} ended without a last word") from None

    def _put(self, item: T | None, error: BaseException | None) -> bool:
        while not self._stop.is_set():
            try:
                self._ready.put((item, error), timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item, None):
                    return
        except BaseException as error:  # noqa: BLE001  # raised again where the item is taken
            self._put(None, error)
        else:
            self._put(None, None)
