"""Bars out of trades, and wide bars out of narrow ones: in columns, and step by step.

Where a bar lies is decided by `bins` alone. A timeframe is counted from an anchor:

``session``
    Widths are counted from the open of each session, and the last bar ends at the close. Bars
    before the open and after the close lie on the same grid and end at the open and at the end
    of extended hours. ``1d`` is the regular hours of a session; ``3d``, ``1w`` and ``1M`` run
    from the first open to the last close of a group of sessions, by their labels: three days
    counted from 1970-01-01, a week from Monday, a calendar month.
``epoch``
    Multiples of the width since 1970-01-01 UTC; weeks start on Monday, months are calendar
    months of UTC. Sessions play no part.

No trade, no bar. A wide bar is made of the rows there are; `widen_counted` tells how many.
"""

from dataclasses import replace

import numpy as np
from msgspec import structs

from openbell.market import kernels
from openbell.market.bars import Bar, Bars
from openbell.market.calendars import Calendar, calendar
from openbell.market.columns import Ints
from openbell.market.errors import BadDataError, UsageError
from openbell.market.instrument import Series
from openbell.market.moments import DAY_NS, START_OF_TIME_NS, iso
from openbell.market.session_table import SessionTable
from openbell.market.ticks import Trade, Trades
from openbell.market.timeframe import Anchor, Timeframe, timeframe

_MONDAY_NS = 4 * DAY_NS  # 1970-01-05, the first Monday since the epoch


def bins(
    start_ns: Ints,
    tf: Timeframe,
    *,
    anchor: Anchor,
    calendar: Calendar,  # the word for it
) -> tuple[Ints, Ints]:
    """Start and end of the bar of timeframe `tf` that each moment lies in.

    Parameters
    ----------
    start_ns : shape (n,)
        Moments in any order: starts of bars, times of trades.

    Returns
    -------
    tuple of int64, shape (n,)
        Starts and ends; both -1 where the moment lies in no session (with anchor ``session``),
        and for ``1d`` and wider also in extended hours. Moments in breaks belong to the session.

    Raises
    ------
    UsageError
        If a moment lies outside the years the calendar knows.
    """
    if anchor == "epoch":
        return _epoch_bins(start_ns, tf)
    table, row = calendar.table, calendar.row_at(start_ns, extended=True)
    if tf.is_intraday:
        return kernels.table_bins(
            start_ns,
            row,
            table.open_ns,
            table.close_ns,
            table.pre_ns,
            table.post_ns,
            tf.width_ns,
        )
    regular = (row >= 0) & (start_ns >= table.open_ns[row]) & (start_ns < table.close_ns[row])
    first, last = _group(table, tf, row)
    return np.where(regular, table.open_ns[first], -1), np.where(regular, table.close_ns[last], -1)


def _epoch_bins(start_ns: Ints, tf: Timeframe) -> tuple[Ints, Ints]:
    if tf.code == "1M":
        month = start_ns.astype("datetime64[ns]").astype("datetime64[M]")
        first, after = (m.astype("datetime64[ns]").astype(np.int64) for m in (month, month + 1))
        return first, after
    origin = _MONDAY_NS if tf.code == "1w" else 0
    start = origin + (start_ns - origin) // tf.width_ns * tf.width_ns
    return start, start + tf.width_ns


def _group(table: SessionTable, tf: Timeframe, row: Ints) -> tuple[Ints, Ints]:
    """First and last row of the group of sessions that each row is in."""
    if tf.code == "1d":
        return row, row
    if tf.code == "1M":
        key = table.day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    else:
        days = tf.width_ns // DAY_NS
        key = (table.day - (_MONDAY_NS // DAY_NS if tf.code == "1w" else 0)) // days
    mine = key[row]
    return np.searchsorted(key, mine), np.searchsorted(key, mine, side="right") - 1


def bars_from_trades(
    trades: Trades,
    tf: Timeframe,
    *,
    anchor: Anchor | None = None,
    calendar: Calendar | None = None,
) -> Bars:
    """Bars of trades; without trades there is no bar.

    Trades in no session are left out, and for ``1d`` and wider those in extended hours too.

    Parameters
    ----------
    anchor, calendar
        Those of the instrument's venue unless given.
    """
    series = replace(trades.series, kind=tf.code)
    on, by = _defaults(series, anchor, calendar)
    found = bins(trades.time_ns, tf, anchor=on, calendar=by)
    p = trades.price
    columns = kernels.widen_columns(*found, p, p, p, p, trades.size, trades.label)
    return Bars(series, *columns[:-1])


def widen(
    bars: Bars,
    tf: Timeframe,
    *,
    anchor: Anchor | None = None,
    calendar: Calendar | None = None,
) -> Bars:
    """Wider bars out of narrow ones; see `widen_counted`."""
    return widen_counted(bars, tf, anchor=anchor, calendar=calendar)[0]


def widen_counted(
    bars: Bars,
    tf: Timeframe,
    *,
    anchor: Anchor | None = None,
    calendar: Calendar | None = None,
) -> tuple[Bars, Ints]:
    """Wider bars out of narrow ones, and of how many each is made.

    Bars in no session are left out, and for ``1d`` and wider those in extended hours too: the
    difference between ``len(bars)`` and the sum of the counts. Labels of the rows are joined.

    Parameters
    ----------
    anchor, calendar
        Those of the instrument's venue unless given.

    Raises
    ------
    UsageError
        If `tf` is not wider than the timeframe of the bars, or no multiple of it.
    BadDataError
        If a bar reaches over the end of the wide bar it starts in.
    """
    require_wider(bars.series.timeframe, tf)
    series = replace(bars.series, kind=tf.code)
    on, by = _defaults(series, anchor, calendar)
    start, end = bins(bars.start_ns, tf, anchor=on, calendar=by)
    over = np.flatnonzero((start != -1) & (bars.end_ns > end))
    if len(over):
        raise straddles(series, bars.bar(int(over[0])), int(end[over[0]]))
    columns = kernels.widen_columns(
        start, end, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.label
    )
    return Bars(series, *columns[:-1]), columns[-1]


def _defaults(
    series: Series, anchor: Anchor | None, given: Calendar | None
) -> tuple[Anchor, Calendar]:
    place = series.instrument.place
    return anchor or place.anchor, given or calendar(place.calendar)


def require_wider(narrow: Timeframe, wide: Timeframe) -> None:
    """Raise `UsageError` unless bars of the one can be built from bars of the other."""
    is_fit = 0 < narrow.width_ns <= DAY_NS and narrow != wide
    if wide.is_intraday:
        is_fit = is_fit and wide.width_ns % narrow.width_ns == 0
    if not is_fit:
        raise UsageError(
            f"{wide} bars cannot be built from {narrow} bars",
            hint="build from narrower bars that fit into them, 1m for instance",
        )


def straddles(series: Series, bar: Bar, end_ns: int) -> BadDataError:
    """What to raise when a bar reaches over the end of the wide bar it starts in."""
    return BadDataError(
        f"{series}: the bar {iso(bar.start_ns)} → {iso(bar.end_ns)} reaches over {iso(end_ns)}, "
        "where the wide bar it starts in ends",
        hint="give the anchor the bars were made with, or build from narrower bars",
    )


class BarBuilder:
    """Builds the bars of one series step by step, from trades or narrower bars in order of time.

    Bit for bit the same bars as `widen` and `bars_from_trades` give.

    Parameters
    ----------
    series
        The series to build, ``XNYS:SPY/5m``.
    anchor, calendar
        Those of the instrument's venue unless given.

    Attributes
    ----------
    left_out
        How many trades or bars lay in no session (see `bins`) and went into no bar.
    """

    def __init__(
        self,
        series: Series,
        *,
        anchor: Anchor | None = None,
        calendar: Calendar | None = None,
    ) -> None:
        self.series = series
        self.left_out = 0
        self._tf = timeframe(series.kind)
        self._anchor, self._calendar = _defaults(series, anchor, calendar)
        self._name = str(series.instrument)
        self._bar: Bar | None = None
        self._bin = (-1, -1)
        self._inside = (0, 0)  # every moment of this stretch lies in `_bin`
        self._next_ns = START_OF_TIME_NS  # nothing before this moment may come any more

    def add(self, item: Bar | Trade) -> list[Bar]:
        """Take in what happened next; give back the bars that are finished by it.

        Raises
        ------
        BadDataError
            If it lies before what came before it, or in a bar already finished, or is a bar
            that reaches over the end of the wide one.
        UsageError
            If it belongs to another instrument.
        """
        at_ns, piece = self._piece(item)
        if item.instrument != self._name:
            raise UsageError(f"{item.instrument} cannot go into bars of {self.series}")
        if at_ns < self._next_ns:
            raise BadDataError(
                f"{self.series}: {iso(at_ns)} comes after {iso(self._next_ns)} was passed"
            )
        start, end = self._find(at_ns)
        known_ns = at_ns if isinstance(item, Trade) else item.end_ns
        if isinstance(item, Bar) and start != -1 and known_ns > end:
            raise straddles(self.series, item, end)
        finished = self.advance(at_ns)
        self._next_ns = known_ns
        if start == -1:
            self.left_out += 1
            return finished
        self._join(start, end, piece)
        return finished + self.advance(known_ns)

    def advance(self, now_ns: int) -> list[Bar]:
        """Say that it is `now_ns`: a bar that has ended by then is finished and given back."""
        bar = self._bar
        if bar is None or bar.end_ns > now_ns:
            return []
        self._bar = None
        self._next_ns = max(self._next_ns, bar.end_ns)
        return [bar]

    def in_progress(self) -> Bar | None:
        """The bar that has begun and not ended, as it is so far: its end is in the future."""
        return self._bar

    @staticmethod
    def _piece(item: Bar | Trade) -> tuple[int, tuple[float, float, float, float, float]]:
        if isinstance(item, Trade):
            return item.time_ns, (item.price, item.price, item.price, item.price, item.size)
        return item.start_ns, (item.open, item.high, item.low, item.close, item.volume)

    def _join(self, start: int, end: int, piece: tuple[float, float, float, float, float]) -> None:
        bar = self._bar
        if bar is None:
            self._bar = Bar(self._name, start, end, *piece)
            return
        _, high, low, close, volume = piece
        self._bar = structs.replace(
            bar,
            high=high if high > bar.high else bar.high,  # noqa: FURB136  # as the kernel does NaN
            low=low if low < bar.low else bar.low,  # noqa: FURB136  # likewise
            close=close,
            volume=bar.volume + volume,
        )

    def _find(self, at_ns: int) -> tuple[int, int]:
        """The bin of a moment; looked up only when it leaves the one before."""
        if self._inside[0] <= at_ns < self._inside[1]:
            return self._bin
        start, end = bins(np.array([at_ns]), self._tf, anchor=self._anchor, calendar=self._calendar)
        self._bin = self._inside = (int(start[0]), int(end[0]))
        # A bin of several sessions has moments between them that belong to none.
        if self._bin[0] != -1 and self._anchor == "session" and not self._tf.is_intraday:
            session = self._calendar.at(at_ns)
            if session is not None:
                self._inside = (session.open_ns, session.close_ns)
        return self._bin
