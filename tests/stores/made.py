"""Small market data for the tests of stores, made in one line each."""

from collections.abc import Sequence

import numpy as np

from openbell.market.bars import Bars
from openbell.market.instrument import Series
from openbell.market.moments import MINUTE_NS, parse_moment
from openbell.market.ticks import Quotes, Trades
from openbell.ports import Manifest

START_NS = parse_moment("2011-03-14T13:30Z")
FILE = Manifest("file spy.csv", {"zone": "UTC"})


class FakeClock:
    """Tells the time it was set to."""

    def __init__(self) -> None:
        self.now_ns = parse_moment("2026-11-01")

    def __call__(self) -> int:
        return self.now_ns


def bars(
    minutes: Sequence[int], price: float = 100.0, series: str = "XNYS:SPY/1m", label: int = 0
) -> Bars:
    """One bar per minute after 09:30 New York of 2011-03-14."""
    start_ns = START_NS + np.array(minutes, np.int64) * MINUTE_NS
    flat = np.full(len(minutes), price)
    volume = np.arange(100.0, 100.0 * len(minutes) + 1, 100.0)
    labels = np.full(len(minutes), label, np.int64)
    named = Series.parse(series)
    return Bars(named, start_ns, start_ns + MINUTE_NS, flat, flat, flat, flat, volume, labels)


def trades(*rows: tuple[int, float, float], label: int = 0) -> Trades:
    """Trades by second, price and size."""
    at, price, size = np.array(rows, np.float64).reshape(-1, 3).T
    time_ns = START_NS + at.astype(np.int64) * 1_000_000_000
    zeros = np.zeros(len(at), np.int64)
    return Trades(Series.parse("XNYS:SPY/trades"), time_ns, price, size, zeros, zeros + label)


def quotes(*rows: tuple[int, float, float]) -> Quotes:
    """Quotes by second, bid and ask; NaN for a side that is not quoted."""
    at, bid, ask = np.array(rows, np.float64).reshape(-1, 3).T
    time_ns = START_NS + at.astype(np.int64) * 1_000_000_000
    bid_size, ask_size = np.where(np.isnan(bid), 0.0, 5.0), np.where(np.isnan(ask), 0.0, 7.0)
    zeros = np.zeros(len(at), np.int64)
    series = Series.parse("XNYS:SPY/quotes")
    return Quotes(series, time_ns, bid, ask, bid_size, ask_size, zeros)
