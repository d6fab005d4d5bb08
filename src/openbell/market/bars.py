"""Bars: what traded over one timeframe, as columns, and one bar as an object."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import Struct

from openbell.market.columns import Columns, Floats, Ints
from openbell.market.counted import counted
from openbell.market.instrument import Series
from openbell.market.moments import iso


class Bar(Struct, frozen=True, gc=False):
    """What traded in one instrument over one timeframe.

    A bar is named by its start. It covers ``start_ns <= t < end_ns`` and can be known only from
    ``end_ns`` on: whoever hands it out earlier lets a strategy see the future. Bars are checked
    when they enter as columns; making one checks nothing.

    Attributes
    ----------
    instrument
        Its name, ``XNYS:SPY``.
    start_ns, end_ns
        Nanoseconds since 1970-01-01 UTC.
    open, high, low, close
        Prices in the instrument's quote currency, unadjusted.
    volume
        Units traded (shares, contracts, coins); zero is allowed.
    """

    instrument: str
    start_ns: int
    end_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def ohlcv(self) -> tuple[float, float, float, float, float]:
        """Open, high, low, close, volume."""
        return self.open, self.high, self.low, self.close, self.volume

    def __str__(self) -> str:
        return (
            f"{self.instrument} {iso(self.start_ns)} o {self.open:g} h {self.high:g}"
            f" l {self.low:g} c {self.close:g} v {self.volume:g}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Bars(Columns):
    """Bars of one series as read-only columns, ordered by start.

    Attributes
    ----------
    series
        Which instrument and timeframe.
    start_ns, end_ns : int64, shape (n,)
        Each bar covers ``start_ns <= t < end_ns`` and is known from `end_ns` on. Starts increase
        strictly. The last bar of a session may be shorter than the timeframe.
    open, high, low, close : float64, shape (n,)
        Prices, unadjusted; ``low <= open, close <= high`` except in rows labelled corrupt.
    volume : float64, shape (n,)
        Units traded; zero is allowed.
    label : int32, shape (n,)
        Bits of `columns.LABEL_NAMES`; zero for a row nothing is said about.
    """

    start_ns: Ints
    end_ns: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    label: Ints

    def bar(self, row: int) -> Bar:
        """One row as a `Bar`; negative rows count from the end."""
        return Bar(
            str(self.series.instrument),
            int(self.start_ns[row]),
            int(self.end_ns[row]),
            float(self.open[row]),
            float(self.high[row]),
            float(self.low[row]),
            float(self.close[row]),
            float(self.volume[row]),
        )

    def __iter__(self) -> Iterator[Bar]:
        return (self.bar(row) for row in range(len(self)))

    def __str__(self) -> str:
        if not len(self):
            return f"{self.series}: no bars"
        return (
            f"{self.series}: {counted(len(self), 'bar')}, "
            f"{iso(int(self.start_ns[0]))} → {iso(int(self.end_ns[-1]))}"
        )

    __repr__ = __str__


def bars_from(series: Series | str, start_ns: Ints, end_ns: Ints, ohlcv: Sequence[Floats]) -> Bars:
    """Bars without labels; `ohlcv` are the five columns open, high, low, close, volume."""
    named = series if isinstance(series, Series) else Series.parse(series)
    o, h, low, c, v = ohlcv
    return Bars(named, start_ns, end_ns, o, h, low, c, v, np.zeros(len(start_ns), np.int32))
