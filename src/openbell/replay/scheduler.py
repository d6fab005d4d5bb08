"""Threads, waiting and the passing of real time, as a replay needs them.

Everything in this folder that waits or runs beside something else does so through a `Scheduler`.
So a simulation can decide, from a seed, who runs next and when a wait ends; the code is the same.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol


class Monitor(Protocol):
    """A lock that can be waited on; `threading.Condition` is one."""

    def __enter__(self) -> object: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> bool | None: ...

    def wait(self, timeout: float | None = None) -> object:
        """Let others in until somebody notifies, or `timeout` seconds have passed."""
        ...

    def notify_all(self) -> None:
        """Wake all who wait."""
        ...


class Worker(Protocol):
    """Something that runs beside the caller; `threading.Thread` is one."""

    name: str

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most `timeout` seconds."""
        ...

    def is_alive(self) -> bool:
        """Whether it is still at work."""
        ...


class Scheduler(Protocol):
    """Where workers, monitors and elapsed time come from."""

    def now_ns(self) -> int:
        """Elapsed time, nanoseconds from any beginning; never goes back. In no result."""
        ...

    def monitor(self) -> Monitor:
        """Make a lock that can be waited on."""
        ...

    def start(self, name: str, work: Callable[[], None]) -> Worker:
        """Run `work` beside the caller."""
        ...


class Threads:
    """The machine's own threads and monotonic time."""

    def now_ns(self) -> int:
        """Elapsed time, nanoseconds."""
        return time.monotonic_ns()

    def monitor(self) -> Monitor:
        """A condition variable."""
        return threading.Condition()

    def start(self, name: str, work: Callable[[], None]) -> Worker:
        """A daemon thread, so that one that hangs cannot keep the process."""
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        return thread
