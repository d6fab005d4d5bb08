"""From signals to orders: a position is guarded over its size, whatever is signalled."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.backtest.strategy import Strategy
from openbell.bridge.trader import Trader, symbol_of
from tests.backtest.made import COIN, bars, flat, play


class Signalled(Strategy):
    """Acts on a list of signals, one a bar; after each bar it looks at what is there."""

    signals: Any = ()
    seen: Any = ()

    def on_start(self, ctx: Any) -> None:
        self.trader, self.at = Trader(COIN), 0

    def on_fill(self, ctx: Any, fill: Any) -> None:
        self.trader.filled(ctx, fill)

    def on_bar(self, ctx: Any, bar: Any) -> None:
        guards = tuple(self.trader._guards)
        self.seen.append((ctx.position(), self.trader.levels, ctx.orders, guards))
        if self.at < len(self.signals) and self.signals[self.at]:
            self.trader.act(ctx, self.signals[self.at])
        self.at += 1


def signalled(signals: Any, prices: Any, **changes: Any) -> tuple[Any, list[Any]]:
    """A run over these signals, and what was seen at the close of each bar."""
    seen: list[Any] = []
    cls = type("Signalled", (Signalled,), {"signals": signals, "seen": seen})
    result = play(cls(), prices, **changes)
    assert result.status == "done", result.error
    return result, seen


def sizes(result: Any) -> list[tuple[float, float]]:
    return [(fill.size, fill.price) for fill in result.fills]


LONG = {"action": "LONG", "positionSize": 2, "stopLoss": 95, "takeProfit": 110}


def test_an_entry_without_levels_is_guarded_by_nothing() -> None:
    result, seen = signalled([{"action": "BUY", "quantity": 2}], bars(flat(100, 101, 50)))
    assert sizes(result) == [(2.0, 101.0)]
    assert seen[-1] == (2.0, (None, None), (), ())


def test_stop_and_target_stand_over_the_whole_position_from_its_bar_on() -> None:
    _, seen = signalled([LONG], bars(flat(100, 101, 102)))
    position, levels, orders, _ = seen[-1]
    assert position == 2.0
    assert levels == (95.0, 110.0)
    assert [(o.size, o.stop, o.limit, o.tag) for o in orders[:1]] == [
        (-2.0, 95.0, pytest.approx(float("nan"), nan_ok=True), "stop loss")
    ]
    assert [(o.size, o.limit, o.tag) for o in orders[1:]] == [(-2.0, 110.0, "take profit")]


def test_a_bar_that_reaches_both_is_closed_once_by_the_stop() -> None:
    wild = bars([*flat(100, 100, 100), (100, 120, 80, 100), *flat(100, 100)])
    result, seen = signalled([LONG], wild, fill="intrabar")
    assert sizes(result) == [(2.0, 100.0), (-2.0, 95.0)]
    assert seen[-1] == (0.0, (None, None), (), ())


def test_adding_keeps_the_levels_over_the_new_size() -> None:
    more = {"action": "BUY", "quantity": 3}
    _, seen = signalled([LONG, None, more], bars(flat(100, 101, 102, 103, 104)))
    assert [order.size for order in seen[-1][2]] == [-5.0, -5.0]


def test_new_levels_replace_the_old_ones() -> None:
    tighter = {"action": "BUY", "quantity": 1, "stopLoss": 99}
    _, seen = signalled([LONG, None, tighter], bars(flat(100, 101, 102, 103, 104)))
    assert seen[-1][1] == (99.0, None)
    assert [(order.size, order.stop) for order in seen[-1][2]] == [(-3.0, 99.0)]


def test_a_close_takes_all_back_and_sells_what_is_held() -> None:
    result, seen = signalled([LONG, None, {"action": "EXIT"}], bars(flat(100, 101, 102, 103, 90)))
    assert sizes(result) == [(2.0, 101.0), (-2.0, 103.0)]
    assert seen[-1] == (0.0, (None, None), (), ())


def test_a_sale_against_a_long_position_makes_it_smaller_and_turns_it() -> None:
    sell = {"action": "SELL", "quantity": 3}
    result, seen = signalled([LONG, None, sell, sell], bars(flat(100, 101, 102, 103, 104, 105)))
    assert sizes(result) == [(2.0, 101.0), (-3.0, 103.0), (-3.0, 104.0)]
    assert seen[-1] == (-4.0, (None, None), (), ())


def test_the_levels_of_a_sale_do_not_guard_what_is_left_of_a_long_position() -> None:
    sell = {"action": "SELL", "quantity": 1, "stopLoss": 120, "takeProfit": 90}
    _, seen = signalled([LONG, None, sell], bars(flat(100, 101, 102, 103, 104)))
    assert seen[-1][:2] == (1.0, (95.0, 110.0))
    assert [order.size for order in seen[-1][2]] == [-1.0, -1.0]


def test_a_close_without_a_position_does_nothing() -> None:
    result, _ = signalled([{"direction": "CLOSE_POSITION"}], bars(flat(100, 101)))
    assert result.orders == []


def test_the_symbol_is_the_name_without_the_venue() -> None:
    assert symbol_of("XNYS:SPY") == "SPY"


PRICES = st.floats(50, 150).map(lambda price: round(price, 2))
SIGNALS = st.none() | st.fixed_dictionaries(
    {"action": st.sampled_from(["BUY", "SELL", "CLOSE", "HOLD"])},
    optional={
        "quantity": st.integers(0, 5),
        "stopLoss": PRICES,
        "takeProfit": PRICES,
    },
)


@st.composite
def paths(draw: st.DrawFn) -> list[tuple[float, float, float, float]]:
    """Bars whose prices keep the rules."""
    found = []
    for _ in range(draw(st.integers(3, 15))):
        four = [draw(PRICES) for _ in range(4)]
        found.append((four[0], max(four), min(four), four[1]))
    return found


@given(st.lists(SIGNALS, max_size=15), paths(), st.sampled_from(["next_open", "intrabar"]))
def test_guards_always_cover_exactly_what_is_held(signals: Any, path: Any, fill: str) -> None:
    result, seen = signalled(signals, bars(path), fill=fill, cash=1e7, size=1.0, leverage=10.0)
    by_number = {order.number: order for order in result.orders}
    for position, levels, _, guards in seen:
        wanted = [level for level in levels if level is not None] if position else []
        assert [by_number[number].size for number in guards] == [-position] * len(wanted)
    closing = {o.number for o in result.orders if o.tag in ("stop loss", "take profit")}
    held = 0.0
    for one in result.fills:
        if one.order in closing:
            assert one.size == -held  # a guard never opens anything
        held += one.size
