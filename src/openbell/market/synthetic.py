"""Made-up bars by a fixed rule: for wiring things up, never for judging a strategy."""

from dataclasses import dataclass

import numpy as np

from openbell.market.bars import Bars, bars_from
from openbell.market.columns import Floats
from openbell.market.errors import UsageError
from openbell.market.instrument import Series
from openbell.market.moments import iso

MAX_BARS = 1_000_000
_DECIMALS = 2


@dataclass(frozen=True, slots=True)
class Making:
    """How bars are made up; the defaults are those of requirement 000's service.

    Attributes
    ----------
    base_price
        Where prices begin.
    price_volatility
        How far they swing, in points: three times this to either side.
    volume_base, volume_range
        Volumes lie in ``[volume_base, volume_base + volume_range)``.
    """

    base_price: float = 15_000.0
    price_volatility: float = 5.0
    volume_base: float = 800.0
    volume_range: int = 200


def synthetic_bars(
    series: Series, end_ns: int, count: int, making: Making, width_ns: int | None = None
) -> Bars:
    """The last `count` made-up bars that have ended by a moment, one after the other.

    Prices trend upwards, swing over seven bars and are rounded to 2 decimals. Bars lie on
    multiples of their width since 1970-01-01 UTC, whatever the calendar says.

    Parameters
    ----------
    width_ns
        That of the series' timeframe unless given; below a day's multiple any width may be.

    Raises
    ------
    UsageError
        If the bars have no fixed width, are none or too many, or would begin before 1970.

    Examples
    --------
    >>> print(synthetic_bars(Series.parse("MADE:NQ/1m"), 90_000_000_000, 1, Making()).bar(0))
    MADE:NQ 1970-01-01T00:00:00Z o 14982.8 h 14982.8 l 14982 c 14982 v 800
    """
    width = series.timeframe.width_ns if width_ns is None else width_ns
    if width <= 0:
        raise UsageError(f"{series}: bars without a fixed width cannot be made up")
    first_ns = end_ns // width * width - count * width
    if not 1 <= count <= MAX_BARS or first_ns < 0:
        raise UsageError(f"{count} bars of {width / 1e9:g} s cannot be made up to {iso(end_ns)}")
    return _made(series, first_ns, count, width, making)


def _made(series: Series, first_ns: int, count: int, width_ns: int, making: Making) -> Bars:
    i = np.arange(count)
    start_ns = first_ns + i * width_ns
    swing = (i % 7 - 3) * making.price_volatility
    noise = (start_ns // 1_000_000 % 100 - 50) * 0.02
    centre = making.base_price + i * 0.1 + swing + noise
    open_ = centre + (i % 3 - 1) * 1.25
    close = centre + (i % 5 - 2) * 1.0
    high = np.maximum(open_, close) + i % 4 * 0.75
    low = np.minimum(open_, close) - i % 3 * 0.75
    volume = making.volume_base + i % making.volume_range
    columns: list[Floats] = [np.round(c, _DECIMALS) for c in (open_, high, low, close, volume)]
    return bars_from(series, start_ns, start_ns + width_ns, columns)
