"""Which sessions a replay plays, in which order, and where its work may be cut into chunks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from openbell.market.bars import Bars
from openbell.market.calendars import Calendar
from openbell.market.columns import Ints
from openbell.market.errors import RunError, UnorderedError
from openbell.market.moments import DAY_NS, iso
from openbell.market.session import Session
from openbell.replay import kernels


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


class _Table(NamedTuple):
    """Sessions of one calendar: open, close and ordinal; start and end of their breaks."""

    opens: Ints
    closes: Ints
    ordinals: kernels.Ordinals
    break_starts: Ints
    break_ends: Ints


class Sorted(NamedTuple):
    """What some bars are to a replay.

    Attributes
    ----------
    session : int32, shape (n,)
        Ordinal of the session of each, -1 if it is withheld.
    known_ns : int64, shape (n,)
        When each is known.
    corrupt, played
        How many are corrupt, and how many are played.
    """

    session: kernels.Ordinals
    known_ns: Ints
    corrupt: int
    played: int


@dataclass(frozen=True, slots=True, eq=False)
class Agenda:
    """All sessions of a replay, in order of opening.

    Attributes
    ----------
    calendars
        The calendars of its instruments.
    sessions
        By opening time, then calendar.
    open_ns, close_ns : int64, shape (sessions,)
        When each opens and closes, by ordinal.
    bounds
        By ordinal: regular open and close, start and end of extended hours.
    """

    calendars: tuple[Calendar, ...]
    sessions: tuple[Played, ...]
    open_ns: Ints = field(init=False)
    close_ns: Ints = field(init=False)
    bounds: tuple[Ints, Ints, Ints, Ints] = field(init=False)
    _tables: tuple[_Table, ...] = field(init=False)

    def __post_init__(self) -> None:
        opens, closes = _bounds(self.sessions)
        object.__setattr__(self, "open_ns", opens)
        object.__setattr__(self, "close_ns", closes)
        regular = [p.regular for p in self.sessions]
        hours = [(s.open_ns, s.close_ns, s.pre_ns, s.post_ns) for s in regular]
        object.__setattr__(self, "bounds", tuple(np.array(hours, np.int64).T.copy()))
        own = [[p for p in self.sessions if p.calendar == k] for k in range(len(self.calendars))]
        object.__setattr__(self, "_tables", tuple(map(_table, own)))

    def of(self, calendar: int) -> list[Played]:
        """The sessions of one calendar, in order."""
        return [self.sessions[k] for k in self._tables[calendar].ordinals]

    def running(self, calendar: int, after_ns: int, until_ns: int) -> list[Played]:
        """The sessions of one calendar with a moment in ``(after_ns, until_ns]`` after their open.

        In order; a session has the moment it closes at, and not the one it opens at.
        """
        table = self._tables[calendar]
        first = int(np.searchsorted(table.closes, after_ns, side="right"))
        end = int(np.searchsorted(table.opens, until_ns))
        return [self.sessions[k] for k in table.ordinals[first:end]]

    def sort_out(self, calendar: int, bars: Bars) -> Sorted:
        """Which session each bar belongs to, and when it is known.

        Bars up to a day are known at the close at the latest, wider ones at their own end.

        Raises
        ------
        UnorderedError
            If a bar is known before the one before it.
        """
        clips = 0 < bars.series.timeframe.width_ns <= DAY_NS
        session, corrupt, kept, over, unordered = kernels.sort_out_bars(
            bars.start_ns, bars.end_ns, bars.label, *self._tables[calendar], clips
        )
        if unordered >= 0:
            raise UnorderedError(f"ends of {bars.series}", unordered)
        known = np.minimum(bars.end_ns, self.close_ns[session]) if over else bars.end_ns
        if not clips:
            session[session >= 0] = self.opened_before(calendar, known[session >= 0])
        return Sorted(session, known, corrupt, kept)

    def ordinals_of_ticks(self, calendar: int, time_ns: Ints) -> kernels.Ordinals:
        """The session each trade or quote belongs to, as its ordinal; -1 for none.

        Sessions are half-open, but what is stamped exactly at a close still belongs to the
        session that closes, unless the next one opens at that moment. The same holds where a
        break begins.
        """
        table = self._tables[calendar]
        found = _within(table.opens, table.closes + 1, time_ns)
        found[_within(table.break_starts + 1, table.break_ends, time_ns) >= 0] = -1
        return _picked(table.ordinals, found)

    def opened_before(self, calendar: int, moments_ns: Ints) -> kernels.Ordinals:
        """The last session that opened before each moment, as its ordinal; there must be one."""
        table = self._tables[calendar]
        return table.ordinals[np.searchsorted(table.opens, moments_ns) - 1]

    def chunk_ends(self, sessions_per_chunk: int) -> Iterator[int]:
        """The closes at which the replay's work is cut: every so many sessions, and the last."""
        closes = np.unique(self.close_ns).tolist()
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
        for regular in table.sessions():
            if regular.label < labels[0] or (labels[1] and regular.label >= labels[1]):
                continue
            found.append((_hours(regular, extended=extended), position, regular))
    if not found:
        first, end = labels[0] or iso(start_ns), labels[1] or iso(end_ns)
        raise RunError(
            f"there is no session of {', '.join(c.name for c in calendars)} from {first} to {end}",
            hint="look at the range asked for, and at `openbell data list`",
        )
    found.sort(key=lambda item: (item[0].open_ns, item[1]))
    played = tuple(Played(i, position, s, r) for i, (s, position, r) in enumerate(found))
    return Agenda(tuple(calendars), played)


def _bounds(sessions: Sequence[Played]) -> tuple[Ints, Ints]:
    opens = [p.session.open_ns for p in sessions]
    closes = [p.session.close_ns for p in sessions]
    return np.array(opens, np.int64), np.array(closes, np.int64)


def _table(sessions: Sequence[Played]) -> _Table:
    breaks = [each for p in sessions for each in p.session.breaks]
    starts, ends = np.array(breaks, np.int64).reshape(-1, 2).T.copy()
    ordinals = np.array([p.ordinal for p in sessions], np.int32)
    return _Table(*_bounds(sessions), ordinals, starts, ends)


def _within(starts: Ints, ends: Ints, moments_ns: Ints) -> Ints:
    """Which of the stretches, in order, each moment lies in; -1 for none."""
    if not len(starts):
        return np.full(len(moments_ns), -1, np.int64)
    nth = np.searchsorted(starts, moments_ns, side="right") - 1
    return np.where((nth >= 0) & (moments_ns < ends[nth]), nth, -1)


def _picked(values: kernels.Ordinals, rows: Ints) -> kernels.Ordinals:
    return np.where(rows >= 0, values[rows], -1) if len(values) else rows.astype(np.int32)


def _hours(session: Session, *, extended: bool) -> Session:
    if not extended:
        return session
    return replace(session, open_ns=session.pre_ns, close_ns=session.post_ns)
