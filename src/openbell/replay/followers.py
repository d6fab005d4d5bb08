"""Followers: more consumers of one replay, each on a thread of its own, on the same clock."""

from collections import deque
from collections.abc import Callable, Iterator

from openbell.market.errors import ReplayError
from openbell.market.moments import SECOND_NS
from openbell.replay.pacing import Pace
from openbell.replay.scheduler import Scheduler
from openbell.replay.slices import Slice

_LATE_NS = SECOND_NS // 50
_PATIENCE_NS = 60 * SECOND_NS


class Follower:
    """Gets every slice of a replay, in order, none left out; loop over it on its own thread.

    At speed 0 the replay goes in lock-step: no slice is released before every follower has asked
    for the one after the last. Paced, slices queue up; a full queue holds the replay back, and
    what is taken after it was due is counted. A slice that waited is what it was; the session
    data it leads to stands where the replay stands by then.

    Attributes
    ----------
    name
        Who it is.
    taken, late, lateness_ns_max
        Slices taken; those taken more than 20 ms after they were due, and the most of it. Only a
        paced replay can be late.
    """

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        slice_at: Callable[[int], Slice],
        pace: Pace | None,
        capacity: int,
    ) -> None:
        self.name = name
        self.taken = 0
        self.late = 0
        self.lateness_ns_max = 0
        self._scheduler = scheduler
        self._monitor = scheduler.monitor()
        self._slice_at = slice_at
        self._pace = pace
        self._capacity = capacity
        self._queue: deque[tuple[Slice, int]] = deque()  # and when it was due
        self._is_busy = False
        self._is_over = False

    def __iter__(self) -> Iterator[Slice]:
        try:
            while (one := self._take()) is not None:
                yield one
        finally:
            self.leave()

    def leave(self) -> None:
        """Want no more slices; the replay goes on without this follower."""
        with self._monitor:
            self._queue.clear()
            self._is_over = True
            self._monitor.notify_all()

    # What the coordinator does

    def offer(self, at: int) -> None:
        """Hand over a slice; wait for room."""
        with self._monitor:
            self._await(lambda: len(self._queue) < self._capacity)
            if not self._is_over:
                one = self._slice_at(at)
                due_ns = self._pace.due_ns(one.time_ns) if self._pace is not None else 0
                self._queue.append((one, due_ns))
                self._monitor.notify_all()

    def settle(self) -> None:
        """At speed 0, wait until everything offered was dealt with."""
        if self._pace is not None and self._pace.speed:
            return
        with self._monitor:
            self._await(lambda: not self._queue and not self._is_busy)

    def end(self) -> None:
        """Nothing more will come; what is queued is still taken."""
        with self._monitor:
            self._is_over = True
            self._monitor.notify_all()

    def _await(self, is_met: Callable[[], bool]) -> None:
        limit_ns = self._scheduler.now_ns() + _PATIENCE_NS
        while not is_met() and not self._is_over:
            if self._scheduler.now_ns() > limit_ns:
                raise ReplayError(
                    f"{self.name} took no slice for {_PATIENCE_NS // SECOND_NS} s",
                    hint="loop over a follower on a thread of its own, or let it leave()",
                )
            self._monitor.wait(1.0)

    def _take(self) -> Slice | None:
        with self._monitor:
            self._is_busy = False
            self._monitor.notify_all()
            while not self._queue:
                if self._is_over:
                    return None
                self._monitor.wait()
            self._is_busy = True
            one, due_ns = self._queue.popleft()
            self._monitor.notify_all()
        self.taken += 1
        if due_ns:
            late_ns = self._scheduler.now_ns() - due_ns
            self.late += late_ns > _LATE_NS
            self.lateness_ns_max = max(self.lateness_ns_max, late_ns)
        return one
