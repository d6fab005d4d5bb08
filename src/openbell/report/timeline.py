"""What pictures of a run share: one place on the axis for every moment a bar became known.

Nights and weekends take no room. Long runs are thinned for drawing, never for figures: several
bars become one wider bar (first open, highest high, lowest low, last close, volume in all), and
of several equities the lowest, the highest and the last are drawn, so that no extreme is lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from openbell.backtest.orders import OPTIMISTIC
from openbell.backtest.result import RunResult
from openbell.market.bars import Bars
from openbell.market.columns import CORRUPT, Floats, Ints
from openbell.market.instrument import Instrument
from openbell.market.moments import SECOND_NS, to_datetime
from openbell.market.zones import zone_info

_QUARTER_NS = 900 * SECOND_NS  # zones change their clocks on full quarters of an hour


@dataclass(frozen=True)
class Timeline:
    """The places on the axis of a run.

    Attributes
    ----------
    time_ns : int64, shape (n,), strictly increasing
        Moments at which bars became known, or at which the run did anything where it had no bars.
    row : int64, shape (n,)
        Row of the equity curve in force after each of them.
    session : int64, shape (n,)
        Which session each belongs to, from 0.
    zone
        Whose clocks the axis shows: those of the first instrument's venue.
    """

    time_ns: Ints
    row: Ints
    session: Ints
    zone: str

    def __len__(self) -> int:
        return len(self.time_ns)

    @cached_property
    def local_ms(self) -> Floats:
        """What the clocks of `zone` showed, as milliseconds since 1970-01-01T00:00 on them."""
        return local_ms(self.time_ns, self.zone)

    def place(self, time_ns: Ints) -> Ints:
        """The place of the bars that end at these moments; −1 where the run saw none."""
        found = np.minimum(np.searchsorted(self.time_ns, time_ns), len(self) - 1)
        return np.where(self.time_ns[found] == time_ns, found, -1)

    def place_of_fills(self, time_ns: Ints, fill: str) -> Ints:
        """The place of the bar each fill happened in: the next one, for fills at a bar's start."""
        side: Literal["left", "right"] = "left" if fill in OPTIMISTIC else "right"
        return np.minimum(np.searchsorted(self.time_ns, time_ns, side=side), len(self) - 1)

    def buckets(self, most: int) -> Ints:
        """First places of at most about `most` stretches of equal length that stay in a session."""
        begins = np.flatnonzero(np.diff(self.session, prepend=-1))
        inside = (
            np.arange(len(self)) - begins[np.cumsum(np.diff(self.session, prepend=-1) != 0) - 1]
        )
        each = max(1, -(-len(self) // most))
        return np.flatnonzero(inside % each == 0)


def timeline(result: RunResult, bars: Mapping[str, Bars]) -> Timeline:
    """The axis of a run over `bars`; empty when nothing was played.

    The first row of a session is its opening, at which no bar is released: a bar that ends there
    is one from before the session, which the run did not see.
    """
    curve = result.equity
    ends = [b.end_ns for b in bars.values() if len(b)]
    time_ns = np.unique(np.concatenate(ends) if ends else curve.time_ns)
    first = np.searchsorted(curve.time_ns, time_ns, side="left")
    last = np.searchsorted(curve.time_ns, time_ns, side="right") - 1
    if ends:
        openings = np.append(0, curve.closes + 1)
        seen = (first <= last) & ~np.isin(first, openings)
        time_ns, first, last = time_ns[seen], first[seen], last[seen]
    return Timeline(time_ns, last, np.searchsorted(curve.closes, first, side="left"), zone_of(bars))


def zone_of(bars: Mapping[str, Bars]) -> str:
    """The zone of the first instrument's venue; UTC without one."""
    return Instrument.parse(next(iter(bars))).place.zone if bars else "UTC"


def local_ms(time_ns: Ints, zone: str) -> Floats:
    """Moments as what the clocks of `zone` showed, in milliseconds since 1970-01-01T00:00."""
    info = zone_info(zone)
    quarters, of = np.unique(time_ns // _QUARTER_NS, return_inverse=True)
    offsets = [to_datetime(int(q) * _QUARTER_NS).astimezone(info).utcoffset() for q in quarters]
    seconds = np.array([o.total_seconds() if o else 0.0 for o in offsets])
    return time_ns / 1e6 + (seconds[of] if len(time_ns) else 0.0) * 1e3


@dataclass(frozen=True)
class Candles:
    """Bars as they are drawn: each stands for one bar, or for several.

    Attributes
    ----------
    x, width : float64
        Middle and width on the axis, in places.
    place : int64
        Place of the last bar in each.
    open, high, low, close, volume : float64
        Of all its bars together.
    each
        How many places share a candle, at most.
    """

    x: Floats
    width: Floats
    place: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    each: int


def candles(line: Timeline, bars: Bars, most: int) -> Candles:
    """The bars of one instrument that the run saw, at most about `most` of them.

    Rows labelled corrupt are left out: they were not played either.
    """
    seen = bars.take(np.flatnonzero((line.place(bars.end_ns) >= 0) & (bars.label & CORRUPT == 0)))
    place = line.place(seen.end_ns)
    begins = line.buckets(most)
    bucket = np.searchsorted(begins, place, side="right") - 1
    first = np.flatnonzero(np.diff(bucket, prepend=-1))
    last = np.append(first[1:], len(place)) - 1
    ends = np.append(begins[1:], len(line)) if len(begins) else begins
    used = bucket[first]
    return Candles(
        x=(begins[used] + ends[used] - 1) / 2,
        width=(ends[used] - begins[used]).astype(np.float64),
        place=place[last],
        open=seen.open[first],
        high=np.maximum.reduceat(seen.high, first) if len(first) else seen.high,
        low=np.minimum.reduceat(seen.low, first) if len(first) else seen.low,
        close=seen.close[last],
        volume=np.add.reduceat(seen.volume, first) if len(first) else seen.volume,
        each=int(np.max(ends - begins, initial=1)),
    )


def thinned(line: Timeline, values: Floats, most: int) -> Ints:
    """Places at which a curve is drawn: of each stretch the lowest, the highest and the last.

    All places when there are at most `most`.

    Parameters
    ----------
    values : shape (n,)
        The curve at every place.
    """
    if len(line) <= most:
        return np.arange(len(line))
    begins = line.buckets(most // 3)
    length = np.diff(np.append(begins, len(line)))
    bucket = np.repeat(np.arange(len(begins)), length)
    order = np.lexsort((values, bucket))
    lowest, highest = order[begins], order[begins + length - 1]
    return np.unique(np.concatenate((lowest, highest, begins + length - 1)))
