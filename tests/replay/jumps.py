"""Real time for tests that wait for nothing."""

from collections.abc import Callable

from openbell.market.moments import SECOND_NS
from openbell.replay.scheduler import Monitor, Worker


class Jumps:
    """Real time for a pace: it passes only in waits, and at once.

    Set `at_wait` to act, one after the other, while a replay waits.
    """

    def __init__(self) -> None:
        self.real_ns = 5 * SECOND_NS
        self.at_wait: list[Callable[[], None]] = []

    def now_ns(self) -> int:
        return self.real_ns

    def monitor(self) -> Monitor:
        return _Jump(self)

    def start(self, name: str, work: Callable[[], None]) -> Worker:
        raise AssertionError(name)


class _Jump:
    def __init__(self, time: Jumps) -> None:
        self._time = time

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def wait(self, timeout: float | None = None) -> None:
        assert timeout is not None
        self._time.real_ns += max(round(timeout * SECOND_NS), 1)
        if self._time.at_wait:
            self._time.at_wait.pop(0)()

    def notify_all(self) -> None: ...
