"""Strategies of ours do the same in PyBroker as in the native engine, where both can agree."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import pybroker
import pytest

from openbell.backtest.catalog import load_strategy
from openbell.backtest.engines.pybroker import OpenbellDataSource, code_of, execution
from openbell.backtest.result import RunResult
from openbell.backtest.strategy import Strategy, param
from openbell.market.bars import Bars
from openbell.market.build import widen
from openbell.market.columns import CORRUPT
from openbell.market.errors import NotRecordedError, RunError, UsageError
from openbell.market.timeframe import timeframe
from openbell.ports import Manifest
from tests.backtest.made import Script, bars, flat, play, store_of
from tests.replay.playing import trades
from tests.report.spy import SPY, spy_bars

# PyBroker calls what pandas is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.set_index")

pybroker.disable_logging()  # type: ignore[no-untyped-call]
pybroker.disable_progress_bar()  # type: ignore[no-untyped-call]


class Trip(NamedTuple):
    """One round trip, in the words of either engine."""

    side: str
    entry_ns: int
    exit_ns: int
    entry: float
    exit: float
    size: float


def played(
    strategy: Strategy,
    *data: Bars,
    timeframe: str = "1m",
    config: dict[str, Any] | None = None,
    **settings: Any,
) -> Any:
    """A run in PyBroker over all of some series; its result, and the log of the execution."""
    source = OpenbellDataSource(store_of(*data), hours="extended")
    whole = {"initial_cash": 100_000, "round_fill_price": False, "round_test_result": False}
    starts = [pd.Timestamp(f(d.start_ns), unit="ns") for d in data for f in (np.min, np.max)]
    run = pybroker.Strategy(
        source, min(starts), max(starts), pybroker.StrategyConfig(**{**whole, **(config or {})})
    )
    with execution(strategy, source, timeframe=timeframe, **settings) as play_bar:
        run.add_execution(play_bar, [str(d.series.instrument) for d in data])
        result = run.backtest(timeframe=timeframe)
        log = [line.text for line in play_bar.log]
    return SimpleNamespace(
        trades=result.trades, orders=result.orders, portfolio=result.portfolio, log=log
    )


def theirs(result: Any) -> list[Trip]:
    def ns(date: Any) -> int:
        return int(np.datetime64(date, "ns").astype(np.int64))

    return [
        Trip(t.type, ns(t.entry_date), ns(t.exit_date), t.entry, t.exit, t.shares)
        for t in result.trades.itertuples()
    ]


def ours(result: RunResult) -> list[Trip]:
    return [
        Trip(t.side, t.entry_ns, t.exit_ns, t.entry_price, t.exit_price, t.size)
        for t in result.round_trips
    ]


def regular() -> Bars:
    """SPY of March 2011 in regular hours."""
    from openbell.market.calendars import calendar

    found = spy_bars()
    return found.take(calendar("XNYS").row_at(found.start_ns) >= 0)


# Trade by trade


@pytest.mark.parametrize(
    ("name", "parameters", "sessions"),
    [
        ("ema-cross", {"fast": 12, "slow": 26}, 23),
        ("ema-cross", {"fast": 9, "slow": 19, "short": True}, 8),
        ("rsi-reversion", {}, 8),
        ("donchian-breakout", {}, 8),
    ],
)
def test_market_orders_are_filled_alike_trade_by_trade(
    name: str, parameters: dict[str, Any], sessions: int
) -> None:
    strategy = load_strategy(name, parameters).strategy
    data = regular().take(slice(0, 390 * sessions))
    native = play(strategy, data)
    result = played(strategy, data)
    assert theirs(result) == ours(native)
    assert len(result.trades) > sessions
    final = result.portfolio["market_value"].iloc[-1]
    assert final == pytest.approx(native.equity_end, rel=1e-12)
    assert result.log == []


class Guarded(Strategy):
    """Enters at every half hour, when flat; stop and target as far from the close then."""

    away: float = param(0.3, "points")
    side: int = param(1, choices=(1, -1))
    linked: bool = param(True)

    def on_start(self, ctx: Any) -> None:
        self.coming: dict[int, float] = {}

    def on_bar(self, ctx: Any, bar: Any) -> None:
        if bar.end_ns % (1800 * 10**9) == 0 and not ctx.position() and not ctx.orders:
            order = ctx.buy if self.side > 0 else ctx.sell
            self.coming[order(100)] = bar.close

    def on_fill(self, ctx: Any, fill: Any) -> None:
        close = self.coming.pop(fill.order, None)
        if close is not None:
            away, back = self.away * self.side, ctx.sell if self.side > 0 else ctx.buy
            guards = back(100, stop=close - away), back(100, limit=close + away)
            ctx.link(*guards)


@pytest.mark.parametrize("side", [1, -1])
def test_stops_and_targets_differ_from_ours_only_as_the_guide_says(side: int) -> None:
    strategy = Guarded(side=side)
    native = {t.entry_ns: t for t in ours(play(strategy, regular(), fill="intrabar"))}
    result = played(strategy, regular())
    found = {t.entry_ns: t for t in theirs(result)}
    both = sorted(native.keys() & found.keys())
    assert len(both) > 140
    assert len(both) > 0.97 * max(len(native), len(found))
    differ = [(native[at], found[at]) for at in both if not same(native[at], found[at])]
    assert 0 < len(differ) < 0.2 * len(both)
    assert [pair for pair in differ if not (is_gap(*pair) or is_touch(*pair))] == []


def is_gap(mine: Trip, other: Trip) -> bool:
    """The bar opened beyond the level: we pay the open, PyBroker the level or the nearest price."""
    data = regular()
    row = int(np.searchsorted(data.start_ns, mine.exit_ns))
    inside = data.low[row] - 1e-9 <= other.exit <= data.high[row] + 1e-9
    return bool(mine.exit_ns == other.exit_ns and mine.exit == data.open[row] and inside)


def is_touch(mine: Trip, other: Trip) -> bool:
    """The bar reached the target and went no further: PyBroker fills there, we do not."""
    data = regular()
    row = int(np.searchsorted(data.start_ns, other.exit_ns))
    furthest = data.high[row] if other.side == "long" else data.low[row]
    return bool(other.exit_ns < mine.exit_ns and abs(other.exit - furthest) < 1e-9)


def same(mine: Trip, other: Trip) -> bool:
    return mine[:4] == other[:4] and abs(mine.exit - other.exit) < 1e-9


def test_a_stop_is_where_it_was_ordered_whatever_the_entry_cost() -> None:
    # Decided at 100, filled at 101: 3 points below the fill are the 98 that was ordered.
    market = bars([*flat(100, 100), (101, 101, 101, 101), (101, 101, 97, 99), *flat(99, 99)], SPY,
                  at=range(870, 876))  # fmt: skip
    result = played(doing({1: lambda ctx: (ctx.buy(100), ctx.sell(100, stop=98.0))}), market)
    trade = result.trades.iloc[0]
    assert (trade["entry"], trade["exit"], trade["stop"]) == (101.0, 98.0, "loss")


def doing(acts: dict[int, Any]) -> Strategy:
    """A strategy that does something at the close of some bars."""

    class Acts(Script):
        pass

    Acts.acts = acts
    return Acts()


def minutes(*rows: Sequence[float]) -> Bars:
    """Minutes of SPY from 14:30 UTC on."""
    return bars(rows, SPY, at=range(870, 870 + len(rows)))


UP = [(float(p), p + 0.5, p - 0.5, float(p)) for p in range(100, 110)]


def test_a_target_and_a_trailing_stop_are_points_from_the_fill() -> None:
    result = played(
        doing({0: lambda ctx: (ctx.buy(100), ctx.sell(100, limit=103.0))}), minutes(*UP)
    )
    assert result.trades.iloc[0][["entry", "exit", "stop"]].tolist() == [101.0, 103.0, "profit"]
    fall = [*UP[:5], (104.0, 104.0, 99.0, 99.0), (99.0, 99.0, 99.0, 99.0)]
    result = played(
        doing({0: lambda ctx: ctx.buy(100), 1: lambda ctx: ctx.sell(100, trail=2.0)}),
        minutes(*fall),
    )
    assert result.trades.iloc[0][["entry", "exit", "stop"]].tolist() == [101.0, 102.5, "trailing"]


def test_a_limit_order_waits_until_it_is_filled_or_taken_back() -> None:
    dip = [*flat(100, 100, 100, 98, 98, 100)]
    filled = played(doing({0: lambda ctx: ctx.buy(100, limit=99.0)}), minutes(*dip))
    assert filled.orders[["fill_price", "order_type"]].to_numpy().tolist() == [[98.0, "limit"]]
    native = play(doing({0: lambda ctx: ctx.buy(100, limit=99.0)}), minutes(*dip))
    assert [f.price for f in native.fills] == [98.0]
    taken_back = {0: lambda ctx: ctx.buy(100, limit=99.0), 1: lambda ctx: ctx.cancel(1)}
    assert len(played(doing(taken_back), minutes(*dip)).orders) == 0


def test_a_stop_that_is_moved_leaves_none_behind() -> None:
    acts = {
        0: lambda ctx: (ctx.buy(100), ctx.sell(100, stop=99.0)),
        3: lambda ctx: (ctx.cancel(2), ctx.sell(100, stop=102.5)),
    }
    fall = [*UP[:5], (104.0, 104.0, 98.0, 98.0), *flat(98.0, 98.0)]
    result = played(doing(acts), minutes(*fall))
    assert result.trades.iloc[0][["entry", "exit", "stop"]].tolist() == [101.0, 102.5, "loss"]
    assert len(result.orders) == 2


def test_positions_and_money_are_those_of_pybroker() -> None:
    seen: list[tuple[float, ...]] = []

    def look(ctx: Any) -> None:
        seen.append((ctx.position(), ctx.average(), ctx.cash, ctx.equity))

    def turn(ctx: Any) -> None:
        look(ctx)
        ctx.sell(300)

    acts = {0: lambda c: c.buy(100), 1: look, 2: lambda c: c.buy(100), 3: turn, 4: look, 5: look}
    result = played(doing(acts), minutes(*UP))
    assert seen == [
        (100.0, 101.0, 89_900.0, 100_000.0),
        (200.0, 102.0, 79_600.0, 100_200.0),
        (-100.0, 104.0, 90_000.0, 100_400.0),  # what a short sale brings is held back
        (-100.0, 104.0, 90_000.0, 100_300.0),
    ]
    assert result.trades["shares"].tolist() == [100, 100]


def test_orders_of_one_bar_go_as_one_and_come_back_as_they_were() -> None:
    class Twice(Strategy):
        def on_bar(self, ctx: Any, bar: Any) -> None:
            if not ctx.position():
                ctx.buy(100)
                ctx.sell(40)

        def on_fill(self, ctx: Any, fill: Any) -> None:
            ctx.log(f"{fill.order} {fill.size:g} at {fill.price:g}")

    result = played(Twice(), minutes(*UP))
    assert result.orders["shares"].tolist() == [60]
    assert result.log == ["1 100 at 101", "2 -40 at 101"]


def test_what_pybroker_does_not_fill_is_said() -> None:
    result = played(doing({0: lambda ctx: ctx.buy(5000)}), minutes(*UP))
    assert result.orders["shares"].tolist() == [990]
    assert result.log == ["PyBroker filled 990 of 5000 units: not enough money"]
    result = played(doing({0: lambda ctx: ctx.buy(10)}), minutes(*UP), config={"initial_cash": 50})
    assert result.log == ["order 1 was rejected: PyBroker did not fill it: not enough money"]


# What a strategy sees


class Watcher(Strategy):
    """Writes down what it is told."""

    def on_start(self, ctx: Any) -> None:
        self.mean = ctx.sma(3)
        ctx.log(f"start {ctx.instruments}")

    def on_session_open(self, ctx: Any, session: Any) -> None:
        ctx.log(f"open {session.label}")

    def on_session_close(self, ctx: Any, session: Any) -> None:
        ctx.log(f"close {session.label}")

    def on_bar(self, ctx: Any, bar: Any) -> None:
        assert bar.instrument == SPY
        assert ctx.now_ns == bar.end_ns
        assert ctx.price() == bar.close
        last = ctx.history(5)
        assert last.start_ns[-1] == bar.start_ns
        if self.mean.ready:
            assert self.mean.value == pytest.approx(float(last.close[-3:].mean()))


def test_sessions_indicators_and_history_are_those_of_the_bars() -> None:
    days = regular()
    log = played(Watcher(), days.take(slice(0, 390 * 3))).log
    assert log == [
        "start ('XNYS:SPY',)",
        "open 2011-03-01", "close 2011-03-01", "open 2011-03-02", "close 2011-03-02",
        "open 2011-03-03", "close 2011-03-03",
    ]  # fmt: skip


def test_each_symbol_and_each_run_has_a_strategy_of_its_own() -> None:
    other = regular().take(slice(0, 100))
    other = other.renamed(replace(other.series, instrument=replace(
        other.series.instrument, symbol="VOO")))  # fmt: skip

    class Counts(Strategy):
        stopped: ClassVar[list[str]] = []

        def on_start(self, ctx: Any) -> None:
            self.count, self.name = 0, ctx.instruments[0]

        def on_bar(self, ctx: Any, bar: Any) -> None:
            self.count += 1

        def on_stop(self, ctx: Any) -> None:
            self.stopped.append(f"{self.name} {self.count}")

    for _ in range(2):
        played(Counts(), regular().take(slice(0, 50)), other)
    assert sorted(Counts.stopped) == ["XNYS:SPY 50", "XNYS:SPY 50", "XNYS:VOO 100", "XNYS:VOO 100"]


class Ends(Strategy):
    """Writes down how it ends."""

    ends: ClassVar[list[str]] = []
    raises: bool = param(False)

    def on_bar(self, ctx: Any, bar: Any) -> None:
        if self.raises:
            raise ValueError("no idea")

    def on_stop(self, ctx: Any) -> None:
        self.ends.append("stop")

    def on_end(self) -> None:
        self.ends.append("end")


def test_strategies_end_once_and_without_on_stop_where_a_run_broke_off() -> None:
    Ends.ends.clear()
    played(Ends(), minutes(*UP))
    assert Ends.ends == ["stop", "end"]
    with pytest.raises(ValueError, match="no idea"):
        played(Ends(raises=True), minutes(*UP))
    assert Ends.ends == ["stop", "end", "end"]
    fn = execution(Ends())
    fn.close()
    assert len(Ends.ends) == 3


def test_the_order_beside_a_filled_one_ends_with_the_position() -> None:
    both = {1: lambda ctx: (ctx.sell(100, stop=99.0), ctx.sell(100, limit=103.0))}
    result = played(doing({0: lambda ctx: ctx.buy(100), **both}), minutes(*UP))
    assert result.trades["stop"].tolist() == ["profit"]
    assert result.log == ["order 2 was cancelled: PyBroker ends stops with their position"]
    linked = {1: lambda ctx: ctx.link(ctx.sell(100, stop=99.0), ctx.sell(100, limit=103.0))}
    result = played(doing({0: lambda ctx: ctx.buy(100), **linked}), minutes(*UP))
    assert (result.trades["stop"].tolist(), result.log) == (["profit"], [])


def test_the_windows_of_a_walk_forward_are_one_run() -> None:
    data = regular().take(slice(0, 390 * 4))
    source = OpenbellDataSource(store_of(data))
    strategy = load_strategy("ema-cross", {"fast": 9, "slow": 19}).strategy
    config = pybroker.StrategyConfig(round_fill_price=False, round_test_result=False)
    run = pybroker.Strategy(source, "2011-03-01", "2011-03-05", config)
    with execution(strategy) as fn:
        run.add_execution(fn, [SPY])
        windows = run.walkforward(windows=3, train_size=0, timeframe="1m")
    whole = theirs(played(strategy, data))
    assert theirs(windows) == whole
    assert len(whole) > 20


def test_bars_of_other_sources_are_played_too() -> None:
    dates = pd.date_range("2024-01-01", periods=5, freq="D")
    price = np.arange(100.0, 105.0)
    frame = pd.DataFrame({"symbol": "AAPL", "date": dates, "open": price, "high": price,
                          "low": price, "close": price})  # fmt: skip
    run = pybroker.Strategy(frame, dates[0], dates[-1], pybroker.StrategyConfig())
    with execution(doing({1: lambda ctx: ctx.buy(10)}), timeframe="1d") as fn:
        run.add_execution(fn, ["AAPL"])
        result = run.backtest(timeframe="1d")
    assert result.orders[["shares", "fill_price"]].to_numpy().tolist() == [[10, 102.0]]


# Refusals


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda ctx: ctx.buy(100, stop=105.0), "no stop orders to enter"),
        (lambda ctx: (ctx.buy(100), ctx.buy(100, limit=99.0)), "2 orders for XNYS:SPY on one bar"),
        (lambda ctx: (ctx.buy(100), ctx.sell(50, stop=90.0)), "guards 50 of 100 units"),
        (
            lambda ctx: (ctx.buy(100), ctx.sell(100, stop=90.0), ctx.sell(100, stop=80.0)),
            "both a stop_loss",
        ),
    ],
)
def test_what_pybroker_cannot_do_is_an_error(act: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        played(doing({0: act}), minutes(*UP))


def test_what_has_no_place_in_pybroker_is_refused() -> None:
    class Slices(Strategy):
        def on_slice(self, *_: Any) -> None: ...

    with pytest.raises(UsageError, match="Slices has on_slice"):
        execution(Slices())
    with pytest.raises(UsageError, match="cash cannot be set here"):
        execution(Watcher(), cash=5)
    with pytest.raises(UsageError, match="no session data"):
        played(doing({0: lambda ctx: ctx.data()}), minutes(*UP))
    with pytest.raises(UsageError, match="5m bars are not played"):
        played(doing({0: lambda ctx: ctx.history(3, kind="5m")}), minutes(*UP))


# The source


def ask(source: OpenbellDataSource, symbol: str = SPY, text: str = "1m") -> pd.DataFrame:
    return source.query(symbol, "2011-03-01", "2011-04-01", text)


@pytest.mark.parametrize(
    ("text", "code"), [("1m", "1m"), ("5m", "5m"), ("1h", "1h"), ("60s", "1m"), ("1day", "1d")]
)
def test_the_source_gives_what_is_stored_and_what_is_built_of_it(text: str, code: str) -> None:
    frame = ask(OpenbellDataSource(store_of(spy_bars())), text=text)
    expected = regular() if code == "1m" else widen(regular(), timeframe(code))
    assert frame.columns.tolist() == ["symbol", "date", "open", "high", "low", "close", "volume"]
    assert frame["date"].astype("int64").tolist() == expected.start_ns.tolist()
    for name in ("open", "high", "low", "close", "volume"):
        assert frame[name].tolist() == getattr(expected, name).tolist()


def test_both_ends_of_a_range_are_included() -> None:
    source = OpenbellDataSource(store_of(spy_bars()))
    frame = source.query(SPY, "2011-03-14 13:30", "2011-03-14 13:35", "1m")
    assert frame["date"].dt.strftime("%H:%M").tolist() == [f"13:{m}" for m in range(30, 36)]


def test_a_symbol_can_stand_for_a_version_and_a_cache_does_not_hide_a_new_one(
    tmp_path: Any,
) -> None:
    store = store_of(regular().take(slice(0, 100)))
    source = OpenbellDataSource(store, {"OLD": "XNYS:SPY/1m@1"})
    pybroker.enable_data_source_cache("test", str(tmp_path))
    try:
        assert len(ask(source)) == 100
        store.write(regular(), Manifest("more"))
        assert len(ask(source)) == len(regular())
    finally:
        pybroker.disable_data_source_cache()  # type: ignore[no-untyped-call]
    assert len(ask(source, "OLD")) == 100
    assert {name: str(pin) for name, pin in source.pins.items()} == {
        SPY: "XNYS:SPY/1m@2", "OLD": "XNYS:SPY/1m@1",
    }  # fmt: skip


def test_the_widest_bars_that_fit_are_built_from() -> None:
    half_hours = widen(regular(), timeframe("30m"))
    source = OpenbellDataSource(store_of(regular(), half_hours))
    for text, kind in (("45m", "1m"), ("1h", "30m"), ("30m", "30m"), ("15m", "1m")):
        assert len(ask(source, text=text))
        assert source.pins[SPY].series.kind == kind


def test_corrupt_bars_are_left_out_and_counted() -> None:
    label = regular().label.copy()
    label[7] = CORRUPT
    source = OpenbellDataSource(store_of(replace(regular(), label=label)))
    assert len(ask(source)) == len(regular()) - 1
    assert source.withheld == {SPY: 1}


def test_what_the_source_cannot_give_is_an_error() -> None:
    source = OpenbellDataSource(store_of(regular()))
    with pytest.raises(NotRecordedError, match="QQQ"):
        ask(source, "XNYS:QQQ")
    with pytest.raises(NotRecordedError, match="no bars of XNYS:SPY are stored that make 1s bars"):
        ask(source, text="1s")
    prints = OpenbellDataSource(
        store_of(trades("MADE:COIN/trades", "2024-01-02T15:00")), {"T": "MADE:COIN/trades"}
    )
    with pytest.raises(UsageError, match="no timeframe"):
        ask(prints, "T")
    with pytest.raises(UsageError, match="not an instrument"):
        ask(source, "SPY")
    with pytest.raises(UsageError, match="no timeframe"):
        ask(source, text="7m")
    with pytest.raises(UsageError, match="no timeframe"):
        code_of(None)
    with pytest.raises(UsageError, match="adjust"):
        source.query(SPY, "2011-03-01", "2011-03-02", "1m", adjust="all")
