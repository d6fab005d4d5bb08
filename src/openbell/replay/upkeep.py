"""Upkeep: keeps sessions whole. One pure step over session data at a given time.

Who calls it is the scheduler's affair: the data-driven replay calls it inline when a session
closes; other modes may call it from a thread, at their own check instants.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from openbell.market.timeframe import timeframe
from openbell.quality.completeness import completeness, expected_until
from openbell.replay.agenda import Played
from openbell.replay.session_data import SessionData


class Measured(Struct, frozen=True, gc=False):
    """How complete one instrument's session was, at a moment.

    Attributes
    ----------
    session, calendar, instrument
        Label of the session, name of its calendar, name of the instrument.
    present, expected
        Bars.
    """

    session: str
    calendar: str
    instrument: str
    present: int
    expected: int

    @property
    def completeness(self) -> float:
        """Present ÷ expected, at most 1; 1 while nothing is expected."""
        return completeness(self.present, self.expected)


def measure(data: SessionData, played: Played, now_ns: int) -> list[Measured]:
    """How complete each instrument with bars is now, in the order they were registered."""
    found = []
    for name, instrument in data.instruments.items():
        if not instrument.has_bars:
            continue
        present = instrument.window(instrument.base).present(played)
        expected = expected_until(played.regular, now_ns, timeframe(instrument.base).width_ns)
        label = played.session.label
        found.append(Measured(label, data.calendar, name, present, expected))
    return found


class Measurements:
    """What was measured at every close of a replay, in order; kept in eight bytes a measure."""

    def __init__(self) -> None:
        self._sessions: list[tuple[str, str, tuple[str, ...], NDArray[np.int32]]] = []

    def add(self, measured: Sequence[Measured]) -> None:
        """Keep what was measured at one close."""
        if not measured:
            return
        first, names = measured[0], tuple(m.instrument for m in measured)
        if self._sessions and self._sessions[-1][2] == names:
            names = self._sessions[-1][2]
        numbers = np.array([(m.present, m.expected) for m in measured], np.int32)
        self._sessions.append((first.session, first.calendar, names, numbers))

    def mark(self) -> int:
        """How much there is, for `cut`."""
        return len(self._sessions)

    def cut(self, mark: int) -> None:
        """Forget what came after a mark."""
        del self._sessions[mark:]

    def __iter__(self) -> Iterator[Measured]:
        for label, book, names, numbers in self._sessions:
            for name, (present, expected) in zip(names, numbers.tolist(), strict=True):
                yield Measured(label, book, name, present, expected)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Measurements) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __len__(self) -> int:
        return sum(len(names) for _, _, names, _ in self._sessions)


def total(measured: Iterable[Measured]) -> tuple[float, Mapping[str, float]]:
    """Completeness of a whole run, and by session label over all instruments, in order."""
    sums: dict[str, list[int]] = {}
    for m in measured:
        found = sums.setdefault(m.session, [0, 0])
        found[0] += min(m.present, m.expected)
        found[1] += m.expected
    whole = completeness(sum(p for p, _ in sums.values()), sum(e for _, e in sums.values()))
    return whole, {label: completeness(p, e) for label, (p, e) in sums.items()}
