"""Which bars a calendar expects, and how many of them are there.

A session is cut into slots as wide as the timeframe, counted from its open (anchor ``session``)
or from midnight UTC (anchor ``epoch``). One bar is expected in every slot in which something may
trade: a slot that lies wholly in a break is left out, one that a break or the close cuts short is
not. Timeframes of a day and more have one slot a session.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openbell.market.columns import Ints
from openbell.market.moments import DAY_NS
from openbell.market.session import Session
from openbell.market.session_table import SessionTable
from openbell.market.timeframe import Anchor

Flags = NDArray[np.bool_]


def completeness(present: int, expected: int) -> float:
    """Bars present ÷ bars expected, 0 to 1; 1 while nothing is expected."""
    return min(present / expected, 1.0) if expected > 0 else 1.0


def slot_layout(session: Session, width_ns: int, anchor: Anchor) -> tuple[int, int]:
    """Where a session's slots are counted from, and how wide they are, both in nanoseconds."""
    if not 0 < width_ns < DAY_NS:
        return session.open_ns, session.close_ns - session.open_ns
    if anchor == "epoch":
        return session.open_ns // width_ns * width_ns, width_ns
    return session.open_ns, width_ns


def expected_until(session: Session, now_ns: int, width_ns: int, anchor: Anchor = "session") -> int:
    """How many bars of a session should be known at `now_ns`; exact with breaks and early closes.

    A bar is known at the end of its slot or at the close, whichever comes first. Zero until the
    first slot has ended.

    Parameters
    ----------
    width_ns
        The timeframe's width; 0 (a month) and a day or more mean one bar, known at the close.
    """
    if now_ns <= session.open_ns:
        return 0
    origin_ns, width_ns = slot_layout(session, width_ns, anchor)
    if now_ns >= session.close_ns:
        ended = -((origin_ns - session.close_ns) // width_ns)
    else:
        ended = (now_ns - origin_ns) // width_ns
    expected = ended
    for start_ns, end_ns in session.breaks:
        first = -((origin_ns - start_ns) // width_ns)
        expected -= max(0, min((end_ns - origin_ns) // width_ns, ended) - first)
    return expected


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The slots of sessions, laid one after the other: each slot is a *cell*.

    A session is one stretch of slots, or with extended hours up to three: before, in and after
    regular hours, as the open and the close end a bar.

    Attributes
    ----------
    start_ns, end_ns, origin_ns, width_ns, session : shape (stretches,)
        Bounds of each stretch, where its slots are counted from, how wide they are, and the
        number of the session it belongs to.
    first : shape (stretches + 1,)
        The first cell of each stretch; the last entry is the number of cells.
    session_first : shape (sessions + 1,)
        The same by session.
    expected : bool, shape (cells,)
        Whether a bar is expected: not in cells that lie in a break.
    """

    start_ns: Ints
    end_ns: Ints
    origin_ns: Ints
    width_ns: Ints
    session: Ints
    first: Ints
    session_first: Ints
    expected: Flags

    def cell_of(self, times_ns: Ints) -> Ints:
        """The cell each moment lies in; -1 outside all sessions and in breaks."""
        if not len(self.expected):
            return np.full(len(times_ns), -1)
        at = np.searchsorted(self.start_ns, times_ns, side="right") - 1
        cell = self.first[at] + (times_ns - self.origin_ns[at]) // self.width_ns[at]
        cell = np.where((at >= 0) & (times_ns < self.end_ns[at]), cell, 0)
        inside = (at >= 0) & (times_ns < self.end_ns[at]) & self.expected[cell]
        return np.where(inside, cell, -1)

    def marked(self, cells: Ints) -> Flags:
        """Which cells are among `cells`; negative ones are passed over."""
        found = np.zeros(len(self.expected), np.bool_)
        found[cells[cells >= 0]] = True
        return found

    def session_of(self, cells: Ints) -> Ints:
        """The number of the session each cell belongs to."""
        return np.searchsorted(self.session_first, cells, side="right") - 1

    def cell_start_ns(self, cells: Ints) -> Ints:
        """When each cell starts: never before its stretch."""
        at = np.searchsorted(self.first, cells, side="right") - 1
        start = self.origin_ns[at] + (cells - self.first[at]) * self.width_ns[at]
        return np.maximum(start, self.start_ns[at])

    def cell_end_ns(self, cells: Ints) -> Ints:
        """When each cell ends: never after its stretch."""
        at = np.searchsorted(self.first, cells, side="right") - 1
        end = self.origin_ns[at] + (cells - self.first[at] + 1) * self.width_ns[at]
        return np.minimum(end, self.end_ns[at])

    def count(self, cells: Flags) -> Ints:
        """How many of the flagged cells each session has."""
        total = np.concatenate(([0], np.cumsum(cells)))
        return np.diff(total[self.session_first])


def grid_of(
    table: SessionTable, width_ns: int, anchor: Anchor = "session", *, extended: bool = False
) -> Grid:
    """The grid of the sessions of a table; `width_ns` as in `expected_until`."""
    is_intraday = 0 < width_ns < DAY_NS
    session, start, end = _stretches(table, extended=extended and is_intraday)
    width = np.full(len(start), width_ns) if is_intraday else end - start
    counted_from = table.open_ns[session] if anchor == "session" or not is_intraday else 0
    origin = counted_from + (start - counted_from) // width * width
    first = np.concatenate(([0], np.cumsum(-((origin - end) // width))))
    session_first = first[np.searchsorted(session, np.arange(len(table) + 1))]
    expected = np.ones(first[-1], np.bool_)
    grid = Grid(start, end, origin, width, session, first, session_first, expected)
    if is_intraday:
        _leave_out_breaks(grid, table)
    return grid


def _stretches(table: SessionTable, *, extended: bool) -> tuple[Ints, Ints, Ints]:
    """Session number, start and end of every stretch that has any length, in order."""
    if not extended:
        return np.arange(len(table)), table.open_ns, table.close_ns
    edges = np.stack([table.pre_ns, table.open_ns, table.close_ns, table.post_ns], axis=1)
    start, end = edges[:, :-1].ravel(), edges[:, 1:].ravel()
    some = end > start
    return np.repeat(np.arange(len(table)), 3)[some], start[some], end[some]


def _leave_out_breaks(grid: Grid, table: SessionTable) -> None:
    for start_ns, end_ns in table.break_ns:
        at = int(np.searchsorted(grid.start_ns, start_ns, side="right")) - 1
        begin = -((grid.origin_ns[at] - start_ns) // grid.width_ns[at])
        end = (end_ns - grid.origin_ns[at]) // grid.width_ns[at]
        grid.expected[grid.first[at] + begin : grid.first[at] + max(begin, end)] = False
