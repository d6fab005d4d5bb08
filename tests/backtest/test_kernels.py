"""A compiled run of a signal strategy is the run of the event engine, to the last bit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.backtest.catalog import built_in, from_instance
from openbell.backtest.config import Costs, RunConfig
from openbell.backtest.indicators import Column
from openbell.backtest.run import run_backtest
from openbell.backtest.strategy import SignalStrategy
from openbell.backtest.sweep import KernelColumns
from openbell.market.bars import Bars
from openbell.market.columns import Floats
from openbell.stores.memory import MemoryStore
from tests.backtest.made import daily, made_bars, spy_march, store_of, walks
from tests.quality.reading import lean_daily

DEAR = Costs(
    fee_per_unit=0.005, fee_rate=0.0002, fee_minimum=1.0, slip_steps=1, slip_rate=0.0001,
    slip_volume=0.1,
)  # fmt: skip
SIZINGS = [
    ("units", 100.0),
    ("units", 7.5),
    ("cash", 50_000.0),
    ("percent", 0.95),
    ("volatility", 0.1),
]
# Short periods, so that little data gives many trades.
QUICK: dict[str, dict[str, Any]] = {
    "buy_and_hold": {"entry_delay": 2},
    "ema_cross": {"fast": 2, "slow": 5},
    "sma_cross": {"fast": 2, "slow": 5},
    "rsi_reversion": {"period": 3},
    "bollinger_reversion": {"period": 5, "deviations": 1.0},
    "zscore_reversion": {"period": 5, "entry": 1.0},
    "macd": {"fast": 3, "slow": 6, "signal": 3},
    "donchian_breakout": {"entry": 4, "exit": 2},
    "momentum": {"period": 3},
}


def assert_same(strategy: SignalStrategy, config: RunConfig, store: MemoryStore) -> int:
    """Play both ways and compare everything; gives the number of fills."""
    run = run_backtest(strategy, config, store, from_instance(strategy).code)
    assert run.status == "done", run.error
    columns = KernelColumns.of(config, store)
    figures, fills, equity = columns.run(strategy, fills=100_000, keep_equity=True)
    played = [(f.size, f.price, f.fee, f.cash) for f in run.fills]
    assert [tuple(row) for row in fills[:, 1:].tolist()] == played
    rolls = len(run.equity) - columns.bars.shape[1]
    assert rolls == 2 * len(run.sessions)
    rows = np.setdiff1d(np.arange(len(run.equity)), roll_rows(run.equity.closes, run.equity))
    assert run.equity.equity[rows].tolist() == equity.tolist()
    m = run.metrics
    assert figures[3] == run.equity_end
    assert figures[0] == m.total_return
    assert figures[2] == pytest.approx(m.max_drawdown, rel=1e-12, abs=1e-15)
    assert_close(figures[1], m.sharpe)
    assert figures[4] == m.round_trips
    assert_close(figures[5], m.win_rate)
    assert figures[6] == len(run.fills)
    assert figures[7] == sum(o.state == "rejected" for o in run.outcomes)
    assert figures[8] == pytest.approx(m.fees, rel=1e-12, abs=1e-12)
    return len(played)


def assert_close(found: float, wanted: float) -> None:
    assert found == pytest.approx(wanted, rel=1e-7, nan_ok=True)


def roll_rows(closes: Any, curve: Any) -> Any:
    """Rows of openings and closings: a session opens right after the one before has closed."""
    return np.concatenate((closes, [0], closes[:-1] + 1))


def with_short(name: str, *, short: bool) -> SignalStrategy:
    cls = built_in()[name]
    extra = {"short": short} if "short" in cls.describe() else {}
    made = cls(**QUICK[name], **extra)
    assert isinstance(made, SignalStrategy)
    return made


@pytest.fixture(scope="module")
def march(samples: Path) -> MemoryStore:
    return store_of(spy_march(samples))


def config(bars: Bars | str, **changes: Any) -> RunConfig:
    return RunConfig("x", (bars if isinstance(bars, str) else str(bars.series),), **changes)


@pytest.mark.parametrize("name", built_in())
def test_defaults_play_the_same_over_real_minutes(name: str, march: MemoryStore) -> None:
    strategy = built_in()[name]()
    assert isinstance(strategy, SignalStrategy)
    assert assert_same(strategy, config("XNYS:SPY/1m"), march) > 0


@pytest.mark.parametrize("fill", ["next_open", "same_close"])
def test_a_start_in_the_middle_of_a_session_plays_the_same(fill: str, march: MemoryStore) -> None:
    chosen = config("XNYS:SPY/1m", start="2011-03-14T15:00Z", end="2011-03-17", fill=fill)
    assert assert_same(with_short("ema_cross", short=True), chosen, march) > 0


@pytest.mark.parametrize("hours", ["regular", "extended"])
@pytest.mark.parametrize("fill", ["next_open", "same_close", "intrabar"])
@pytest.mark.parametrize(("sizing", "size"), SIZINGS)
def test_every_fill_mode_and_sizing_plays_the_same(
    hours: Any, fill: Any, sizing: Any, size: float, march: MemoryStore
) -> None:
    chosen = config(
        "XNYS:SPY/1m", hours=hours, fill=fill, sizing=sizing, size=size, costs=DEAR,
        start="2011-03-07", end="2011-03-19",
    )  # fmt: skip
    assert assert_same(with_short("ema_cross", short=True), chosen, march) > 0


@pytest.mark.parametrize("lot", [None, 0.01, 0.3, 7.0, 1e-8])
@pytest.mark.parametrize("leverage", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("name", ["macd", "zscore_reversion"])
def test_lots_leverage_and_shorts_play_the_same(
    lot: float | None, leverage: float, name: str, march: MemoryStore
) -> None:
    chosen = config(
        "XNYS:SPY/1m", sizing="percent", size=1.2, lot=lot, leverage=leverage, multiplier=3.0,
        costs=DEAR, start="2011-03-07", end="2011-03-12",
    )  # fmt: skip
    assert_same(with_short(name, short=True), chosen, march)


@pytest.mark.parametrize("symbol", ["goog", "spy", "aapl"])
@pytest.mark.parametrize("name", built_in())
def test_years_of_daily_bars_play_the_same(symbol: str, name: str, samples: Path) -> None:
    bars = lean_daily(samples, symbol.upper())
    strategy = with_short(name, short=True)
    chosen = config(bars, sizing="percent", size=0.9, costs=Costs(fee_rate=0.001))
    assert assert_same(strategy, chosen, store_of(bars)) > 0


@pytest.mark.shared
@pytest.mark.parametrize("name", built_in())
def test_google_plays_the_same(name: str, shared_data: Path) -> None:
    import gzip

    text = gzip.decompress((shared_data / "backtesting.py/GOOG.csv.gz").read_bytes()).decode()
    rows = [line.split(",") for line in text.splitlines()[1:]]
    columns = np.array([r[1:6] for r in rows], float).T
    bars = daily("XNAS:GOOG", [r[0][:10] for r in rows], columns)
    assert assert_same(with_short(name, short=False), config(bars), store_of(bars)) > 0


@settings(max_examples=150)
@given(
    walk=walks(most=150),
    skip=st.sampled_from([0, 2, 7]),
    name=st.sampled_from(sorted(QUICK)),
    short=st.booleans(),
    fill=st.sampled_from(["next_open", "same_close", "intrabar"]),
    sizing=st.sampled_from(SIZINGS),
    costs=st.sampled_from([Costs(), DEAR]),
    leverage=st.sampled_from([0.3, 1.0, 3.0]),
    lot=st.sampled_from([None, 0.1, 1e-8]),
)
def test_any_market_plays_the_same(
    walk: Floats, skip: int, name: str, short: bool, fill: Any, sizing: tuple[Any, float],
    costs: Costs, leverage: float, lot: float | None,
) -> None:  # fmt: skip
    """With bars left out, sessions without any, bars without volume, prices that stand still."""
    bars = made_bars(walk, skip=skip)
    chosen = config(
        bars, fill=fill, sizing=sizing[0], size=sizing[1], costs=costs, leverage=leverage, lot=lot
    )
    assert_same(with_short(name, short=short), chosen, store_of(bars))


def every_third(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """Targets in parts: 1, 0.3, -0.7, … one every three bars."""
    wanted = (1.0, 0.3, -0.7, 0.0, -1.0, 0.1, 0.2, 0.30000000000000004)
    for i in range(len(out)):
        at = int(state[0])
        out[i] = np.nan if at % 3 else wanted[at // 3 % len(wanted)]
        state[0] += 1.0


class Parts(SignalStrategy):
    """A signal strategy in plain Python that scales in and out and turns around."""

    def signals(self) -> Column:
        return Column(every_third, (), 1)


@settings(max_examples=40)
@given(walk=walks(least=30), lot=st.sampled_from([None, 0.1, 1e-8]), skip=st.sampled_from([0, 5]))
def test_positions_in_parts_play_the_same(walk: Floats, lot: float | None, skip: int) -> None:
    bars = made_bars(walk, skip=skip)
    chosen = config(bars, sizing="percent", size=0.8, lot=lot, costs=DEAR, leverage=2.0)
    assert_same(Parts(), chosen, store_of(bars))


def test_the_figures_do_not_depend_on_what_is_kept(march: MemoryStore) -> None:
    columns = KernelColumns.of(config("XNYS:SPY/1m"), march)
    strategy = with_short("ema_cross", short=False)
    everything, fills, _ = columns.run(strategy, fills=10_000, keep_equity=True)
    few, first, none = columns.run(strategy, fills=3)
    assert everything.tolist() == few.tolist()
    assert first.tolist() == fills[:3].tolist()
    assert len(none) == 0


def test_a_sweep_over_one_session_has_no_sharpe(march: MemoryStore) -> None:
    chosen = replace(config("XNYS:SPY/1m"), start="2011-03-14", end="2011-03-15")
    figures, _, _ = KernelColumns.of(chosen, march).run(with_short("macd", short=False))
    assert np.isnan(figures[1])
