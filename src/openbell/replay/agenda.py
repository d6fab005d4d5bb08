"""Which sessions a replay plays, in which order, and where its work may be cut into chunks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from openbell.market.calendars import Calendar
from openbell.market.columns import Ints
from openbell.market.errors import RunError
from openbell.market.moments import iso
from openbell.market.session import Session


@dataclass(frozen=True, slots=True)
class Played:
    """One session of a replay.

    Attributes
    ----------
    ordinal
        Its position in the replay, by opening time, then calendar.
    calendar
        Position of its calendar among those of the replay.
    session
        The session; open and close are those of the hours played.
    regular
        The same session in regular hours, by which completeness is measured.
    """

    ordinal: int
    calendar: int
    session: Session
    regular: Session


@dataclass(frozen=True, slots=True, eq=False)
class Agenda:
    """All sessions of a replay, in order of opening.

    Attributes
    ----------
    calendars
        The calendars of its instruments.
    sessions
        By opening time, then calendar.
    """

    calendars: tuple[Calendar, ...]
    sessions: tuple[Played, ...]
    _tables: tuple[tuple[Ints, Ints, Ints], ...] = field(init=False)

    def __post_init__(self) -> None:
        tables = []
        for position in range(len(self.calendars)):
            own = [p for p in self.sessions if p.calendar == position]
            tables.append(
                (
                    np.array([p.session.open_ns for p in own], np.int64),
                    np.array([p.session.close_ns for p in own], np.int64),
                    np.array([p.ordinal for p in own], np.int64),
                )
            )
        object.__setattr__(self, "_tables", tuple(tables))

    def ordinals(self, calendar: int, moments_ns: Ints, *, is_tick: bool) -> Ints:
        """The session each moment falls into, as its ordinal; -1 outside of all of them.

        Sessions are half-open, but a trade or quote stamped exactly at a close still belongs to
        the session that closes, unless the next one opens at that moment.
        """
        opens, closes, numbers = self._tables[calendar]
        if not len(opens):
            return np.full(len(moments_ns), -1, np.int64)
        row = np.searchsorted(opens, moments_ns, side="right") - 1
        inside = (row >= 0) & (moments_ns < closes[row] + int(is_tick))
        return np.where(inside, numbers[row], -1)

    def in_breaks(self, moments_ns: Ints) -> NDArray[np.bool_]:
        """Which of the moments fall into a break of a session, as a mask."""
        mask = np.zeros(len(moments_ns), bool)
        for played in self.sessions:
            for start_ns, end_ns in played.session.breaks:
                lo, hi = np.searchsorted(moments_ns, (start_ns, end_ns))
                mask[lo:hi] = True
        return mask

    def chunk_ends(self, sessions_per_chunk: int) -> Iterator[int]:
        """The closes at which the replay's work is cut: every so many sessions, and the last."""
        closes = sorted({p.session.close_ns for p in self.sessions})
        yield from closes[sessions_per_chunk - 1 : -1 : sessions_per_chunk]
        yield closes[-1]


def plan_agenda(
    calendars: Sequence[Calendar],
    start_ns: int,
    end_ns: int,
    *,
    labels: tuple[str, str] = ("", ""),
    extended: bool = False,
) -> Agenda:
    """The sessions of `calendars` that overlap ``[start_ns, end_ns)``.

    Parameters
    ----------
    labels
        First label, and the one before which the last lies; empty for no bound.
    extended
        Whether each session is played from its pre-market to its post-market.

    Raises
    ------
    RunError
        If there is no session in the range.
    """
    found: list[tuple[Session, int, Session]] = []
    for position, calendar in enumerate(calendars):
        table = calendar.between(start_ns, end_ns, extended=extended)
        for row in range(len(table)):
            regular = table.session(row)
            if regular.label < labels[0] or (labels[1] and regular.label >= labels[1]):
                continue
            found.append((_hours(regular, extended=extended), position, regular))
    if not found:
        raise RunError(f"there is no session between {iso(start_ns)} and {iso(end_ns)}")
    found.sort(key=lambda item: (item[0].open_ns, item[1]))
    played = tuple(Played(i, position, s, r) for i, (s, position, r) in enumerate(found))
    return Agenda(tuple(calendars), played)


def _hours(session: Session, *, extended: bool) -> Session:
    if not extended:
        return session
    return replace(session, open_ns=session.pre_ns, close_ns=session.post_ns)
