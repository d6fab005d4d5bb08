"""Bars laid into the sessions of a calendar: the ground that gaps and checks stand on."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openbell.market.bars import Bars
from openbell.market.calendars import Calendar
from openbell.market.columns import CORRUPT, Ints
from openbell.market.moments import DAY_NS, HOUR_NS, local
from openbell.market.session_table import SessionTable, day_label
from openbell.market.timeframe import Anchor, Timeframe
from openbell.quality.completeness import Flags, Grid, grid_of

# Daily bars are often stamped with midnight, in UTC or on the venue's clocks. The session they
# mean opens at most this much later; a stamp at the close before it lies farther back.
_MIDNIGHT_BEFORE_OPEN_NS = 17 * HOUR_NS


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Bars, in order and one a start, and where they belong.

    Attributes
    ----------
    bars
        The bars.
    calendar
        Theirs; for timeframes wider than a day its sessions are whole periods.
    table, grid
        The sessions of the range, and their slots.
    offset
        The row of the calendar's table at which the range starts.
    row : shape (n,)
        The calendar's session each bar belongs to, extended hours included; -1 for none.
    cell : shape (n,)
        The slot each bar fills; -1 where none is expected.
    usable : shape (n,)
        Which bars keep the rules of a bar, and so may be played.
    """

    bars: Bars
    calendar: Calendar
    table: SessionTable
    grid: Grid
    offset: int
    row: Ints
    cell: Ints
    usable: Flags

    @property
    def session(self) -> Ints:
        """The session of the range each bar belongs to, by number; -1 for none of them."""
        session = self.row - self.offset
        inside = (self.row >= 0) & (session >= 0) & (session < len(self.table))
        return np.where(inside, session, -1)

    @property
    def is_intraday(self) -> bool:
        """Whether several bars fit into a session."""
        return self.bars.series.timeframe.is_intraday

    def label(self, row: int) -> str:
        """The label of the calendar's session in `row`; empty for -1."""
        return day_label(int(self.calendar.table.day[row])) if row >= 0 else ""

    def clock(self, ns: int) -> str:
        """A moment as the venue's clocks show it: ``16:47``, with seconds if there are any."""
        shown = local(int(ns), self.calendar.zone)
        return f"{shown:%H:%M:%S}" if shown.second else f"{shown:%H:%M}"

    def clock_of(self, moments_ns: Ints, wanted: Flags) -> list[str]:
        """The same for the wanted ones of many moments; empty text for the others."""
        pairs = zip(moments_ns.tolist(), wanted.tolist(), strict=True)
        return [self.clock(ns) if yes else "" for ns, yes in pairs]

    def when(self, i: int) -> str:
        """The start of bar `i` in words: the time of day, or the label for daily bars."""
        if self.is_intraday:
            return self.clock(int(self.bars.start_ns[i]))
        return (
            self.label(int(self.row[i])) or f"{local(int(self.bars.start_ns[i]), 'UTC'):%Y-%m-%d}"
        )


def place(
    bars: Bars, calendar: Calendar, anchor: Anchor, bounds: tuple[int | None, int | None],
    *, extended: bool,
) -> Placed:  # fmt: skip
    """Lay bars into the sessions of a calendar.

    Parameters
    ----------
    bars
        In order and one a start; not empty unless both bounds are given.
    bounds
        Start and end of the range; None for the first and the last bar. A session belongs to
        the range if its regular hours overlap it.
    extended
        Whether bars are expected in extended hours too.
    """
    frame = bars.series.timeframe
    calendar = by_period(calendar, frame)
    times = bars.start_ns if frame.is_intraday else _snapped(bars.start_ns, calendar, frame)
    start_ns = int(times[0]) if bounds[0] is None else bounds[0]
    end_ns = int(times[-1]) + 1 if bounds[1] is None else bounds[1]
    table = calendar.between(start_ns, end_ns, extended=extended)
    offset = int(np.searchsorted(calendar.table.day, table.day[0])) if len(table) else 0
    grid = grid_of(table, frame.width_ns, anchor, extended=extended)
    row = calendar.row_at(times, extended=True)
    return Placed(bars, calendar, table, grid, offset, row, grid.cell_of(times), usable(bars))


def usable(bars: Bars) -> Flags:
    """Which bars keep the rules of a bar: not labelled corrupt, no NaN, low and high around all."""
    low = np.minimum(bars.open, bars.close)
    high = np.maximum(bars.open, bars.close)
    # Comparisons with NaN are false, so a blank price makes a bar unusable.
    ordered: Flags = (bars.low <= low) & (high <= bars.high)
    kept: Flags = ordered & (bars.label & CORRUPT == 0)
    return kept


def by_period(calendar: Calendar, frame: Timeframe) -> Calendar:
    """The calendar with one session a bar: unchanged up to a day, else a period's as one.

    Weeks start on Monday; ``3d`` counts from 1970-01-01.
    """
    if frame.code not in ("3d", "1w", "1M"):
        return calendar
    table = calendar.table
    starts = np.flatnonzero(np.diff(_period(table.day, frame.code), prepend=-1))
    ends = np.append(starts[1:], len(table)) - 1
    merged = SessionTable(
        table.calendar, table.day[starts], table.open_ns[starts], table.close_ns[ends],
        table.pre_ns[starts], table.post_ns[ends], np.zeros(len(starts), np.bool_),
        np.empty((0, 2), np.int64), np.empty(0, np.int64),
    )  # fmt: skip
    return replace(calendar, table=merged)


def _period(day: Ints, code: str) -> Ints:
    if code == "3d":
        return day // 3
    if code == "1w":
        return (day + 3) // 7  # 1970-01-01 was a Thursday
    months: NDArray[Any] = day.astype("datetime64[D]").astype("datetime64[M]")
    return months.astype(np.int64)


def _snapped(start_ns: Ints, calendar: Calendar, frame: Timeframe) -> Ints:
    """Stamps of daily and wider bars, moved to their session's open where they name its day."""
    table = calendar.table
    nxt = np.minimum(np.searchsorted(table.close_ns, start_ns, side="right"), len(table) - 1)
    ahead = table.open_ns[nxt] - start_ns
    # A period may begin with a holiday: its bar is stamped days before its first session.
    reach = _MIDNIGHT_BEFORE_OPEN_NS + (3 * DAY_NS if frame.code != "1d" else 0)
    return np.where((ahead > 0) & (ahead <= reach), table.open_ns[nxt], start_ns)
