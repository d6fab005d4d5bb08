"""Small markets made by hand or drawn, and runs over them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from openbell.backtest.catalog import from_instance
from openbell.backtest.config import RunConfig
from openbell.backtest.result import RunResult
from openbell.backtest.run import run_backtest
from openbell.backtest.strategy import Strategy
from openbell.market.bars import Bars, bars_from
from openbell.market.columns import Floats, Ints
from openbell.market.instrument import Series
from openbell.market.moments import DAY_NS, MINUTE_NS, parse_moment
from openbell.ports import Data, Manifest
from openbell.stores.memory import MemoryStore

COIN = "MADE:COIN"  # trades around the clock, in lots of 1e-8
SPY = "XNYS:SPY"
MIDNIGHT_NS = parse_moment("2024-03-04")

Row = tuple[float, float, float, float]


def bars(
    rows: Sequence[Sequence[float]], name: str = COIN, at: Sequence[int] | None = None
) -> Bars:
    """Minute bars from midnight UTC on: (open, high, low, close), and a volume if there is one.

    `at` names the minute of each bar; one after the other by default.
    """
    minutes = np.arange(len(rows)) if at is None else np.asarray(at)
    start = MIDNIGHT_NS + minutes.astype(np.int64) * MINUTE_NS
    table = np.array([[*row, 1000.0][:5] for row in rows], float).reshape(-1, 5)
    return bars_from(f"{name}/1m", start, start + MINUTE_NS, list(table.T))


def flat(*prices: float) -> list[Row]:
    """Bars in which the price does not move."""
    return [(p, p, p, p) for p in prices]


def store_of(*data: Data) -> MemoryStore:
    """A store in memory that holds these series, one version each."""
    store = MemoryStore(lambda: 0)
    for columns in data:
        store.write(columns, Manifest("made"))
    return store


def config_for(*data: Data, **changes: Any) -> RunConfig:
    """A run over all of these series: 100 units of 100,000 money, unless changed."""
    return RunConfig("made", tuple(str(d.series) for d in data), **changes)


def play(strategy: Strategy, *data: Data, **changes: Any) -> RunResult:
    """Run a strategy over these series."""
    loaded = from_instance(strategy)
    return run_backtest(strategy, config_for(*data, **changes), store_of(*data), loaded.code)


class Script(Strategy):
    """Does what it is told at the close of each bar, counted from 0 over all instruments.

    Set `acts`: by number of the bar, a function of the context.
    """

    acts: Mapping[int, Any] = {}
    fills: list[Any]

    def on_start(self, ctx: Any) -> None:
        self.count = 0

    def on_bar(self, ctx: Any, bar: Any) -> None:
        if act := self.acts.get(self.count):
            act(ctx)
        self.count += 1


def script(acts: Mapping[int, Any]) -> Strategy:
    """A strategy that does these things at these bars."""
    made: Strategy = type("Scripted", (Script,), {"acts": acts})()
    return made


def trades_of(result: RunResult) -> list[tuple[float, float]]:
    """Size and price of each fill."""
    return [(fill.size, fill.price) for fill in result.fills]


# Drawn


@st.composite
def walks(draw: st.DrawFn, least: int = 1, most: int = 120) -> Floats:
    """OHLCV rows of a price that wanders, with jumps, pauses, and bars without volume."""
    n = draw(st.integers(least, most))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    wide = draw(st.sampled_from([0.0, 0.0005, 0.01, 0.2]))
    tick = draw(st.sampled_from([0.01, 0.5, 1e-9]))
    close = np.maximum(np.round(100 * np.exp(np.cumsum(rng.normal(0, wide, n))) / tick), 1) * tick
    opens = np.where(rng.random(n) < 0.5, np.roll(close, 1), close * (1 + wide * rng.random(n)))
    opens[0] = close[0]
    high = np.maximum(opens, close) * (1 + wide * rng.random(n) * (rng.random(n) < 0.7))
    low = np.minimum(opens, close) * (1 - wide / 2 * rng.random(n) * (rng.random(n) < 0.7))
    volume = np.where(rng.random(n) < 0.1, 0.0, rng.integers(1, 500, n).astype(float))
    return np.stack((opens, high, low, close, volume))


def made_bars(walk: Floats, name: str = SPY, skip: int = 0) -> Bars:
    """A walk as minute bars of stock sessions of March 2024, 30 a session; every so many left out.

    Sessions whose bars are all left out stay in the calendar.
    """
    n = walk.shape[1]
    day, minute = np.divmod(np.arange(n), 30)
    weekday = day + day // 5 * 2  # 2024-03-04 is a Monday; New York is at UTC-5, then -4
    shift = np.where(weekday >= 6, 13 * 60 + 30, 14 * 60 + 30)
    start = MIDNIGHT_NS + weekday * DAY_NS + (shift + minute) * MINUTE_NS
    kept = np.ones(n, bool)
    if skip:
        kept[skip::skip] = False
        kept[30:60] = False  # a whole session without a bar
        kept[0] = True
    start = start[kept].astype(np.int64)
    return bars_from(f"{name}/1m", start, start + MINUTE_NS, list(walk[:, kept]))


# Real


def spy_march(samples: Path) -> Bars:
    """SPY of March 2011: 17,577 minutes, UTC, stamped at the close."""
    import gzip

    raw = gzip.decompress((samples / "pyalgotrade/nt-spy-minute-2011-03.csv.gz").read_bytes())
    rows = [line.split(";") for line in raw.decode().splitlines()]
    stamps = [f"{r[0][:4]}-{r[0][4:6]}-{r[0][6:8]}T{r[0][9:11]}:{r[0][11:13]}" for r in rows]
    ends = np.array(stamps, "M8[ns]").astype(np.int64)
    columns = np.array([[float(v) for v in r[1:6]] for r in rows]).T
    return bars_from("XNYS:SPY/1m", ends - MINUTE_NS, ends, list(columns))


def daily(name: str, dates: Sequence[str], ohlcv: Floats) -> Bars:
    """Daily bars named by their session's date."""
    from openbell.market.spans import dated_spans

    series = Series.parse(f"{name}/1d")
    days: Ints = np.array(dates, "M8[D]").astype(np.int64)
    spans = dated_spans(days, series.timeframe, series.instrument.place)
    return bars_from(series, spans.start_ns, spans.end_ns, list(ohlcv))
