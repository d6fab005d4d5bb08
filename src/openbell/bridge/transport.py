"""What carries a run to a strategy elsewhere, and its answers back."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

Kind = Literal["init", "history", "slice", "fill", "position", "session", "end", "batch"]

Answer = Mapping[str, Any]  # `signals`, `ready`, `error`; all may be absent

# Looks after the runner; says whether it had to be started again. Raises if it cannot.
Watch = Callable[[], bool]


class Transport(Protocol):
    """One way to a strategy elsewhere."""

    @property
    def statistics(self) -> Mapping[str, int]:
        """What was sent, answered, repeated, late or lost, by name."""
        ...

    @property
    def told_ns(self) -> int:
        """The run's time as far as the strategy has been told: begun anew, it lags behind."""
        ...

    def send(self, time_ns: int, kind: Kind, data: bytes) -> None:
        """Put a message in line: the run's time, what it is, and its JSON."""
        ...

    def ask(self, within_s: float) -> Sequence[Answer | None]:
        """Send what is in line; give the answers, one for each message in line at most.

        None stands for an answer that says nothing. `within_s` is the wall time one may take.
        """
        ...

    def close(self) -> None:
        """Let go of everything; nothing happens the second time."""
        ...
