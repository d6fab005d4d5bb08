"""When orders are filled, and at what price: every kind of order in every fill mode."""

from collections.abc import Mapping
from typing import Any

import pytest

from openbell.backtest.config import Costs
from openbell.backtest.result import RunResult
from tests.backtest.made import COIN, Row, bars, flat, play, script, trades_of

NEVER = (None, None, None)
QUIET = (100.0, 101.0, 99.0, 100.0)


def filled(order: Mapping[str, float], rows: list[Row], fill: str, size: float = 10) -> list[Any]:
    """The fills of one order placed at the close of the first bar."""
    act = {0: lambda ctx: ctx.buy(size, **order) if size > 0 else ctx.sell(-size, **order)}
    return trades_of(play(script(act), bars(rows), fill=fill, leverage=5.0))


@pytest.mark.parametrize(
    ("order", "rows", "inside", "opens", "closes"),
    [
        # kind; bars after the first: open, high, low, close; price by fill mode, None if not filled
        ({}, [(102, 104, 101, 103)], 102, 102, 100),
        ({"limit": 99}, [(100, 101, 99, 100)], None, None, None),  # touched, not crossed
        ({"limit": 99}, [(100, 101, 98.99, 100)], 99, None, None),  # crossed
        ({"limit": 99}, [(99, 101, 99, 100)], 99, 99, None),  # opens on it
        ({"limit": 99}, [(97, 101, 96, 100)], 97, 97, None),  # opens below: better
        ({"limit": 99}, [(100, 101, 97, 98)], 99, None, 98),  # closes below
        ({"limit": 99}, [QUIET, (98, 99, 97, 98)], 98, 98, 98),  # waits for a bar
        ({"limit": 101}, [(100, 100, 100, 100)], 100, 100, 100),  # marketable at once
        ({"stop": 103}, [(100, 102, 99, 101)], None, None, None),
        ({"stop": 103}, [(100, 103, 99, 101)], 103, None, None),  # touched is enough
        ({"stop": 103}, [(100, 104, 99, 104)], 103, None, 104),
        ({"stop": 103}, [(106, 107, 105, 106)], 106, 106, 106),  # gap through: at the open
        ({"stop": 103}, [(100, 104, 99, 101), (102, 102, 102, 102)], 103, None, None),
        ({"stop": 99}, [(100, 100, 100, 100)], 100, 100, 100),  # reached already
        ({"stop": 103, "limit": 105}, [(100, 104, 99, 101)], 103, None, None),
        ({"stop": 103, "limit": 105}, [(104, 104, 104, 104)], 104, 104, 104),
        # triggered by a gap above the limit: rests until the price is back
        ({"stop": 103, "limit": 105}, [(107, 108, 106, 107), (104, 106, 104, 105)], 104, 104, 105),
        ({"stop": 103, "limit": 105}, [(107, 108, 104, 107)], 105, None, None),
        ({"stop": 103, "limit": 105}, [(107, 108, 105, 106), (106, 107, 105, 106)], *NEVER),
        # triggered within a bar, the limit on the wrong side: rests from the next bar on
        ({"stop": 103, "limit": 102}, [(100, 104, 99, 101), (103, 104, 102, 103)], *NEVER),
        ({"stop": 103, "limit": 102}, [(100, 104, 99, 101), (103, 104, 101, 103)], 102, None, None),
        # the stop stands 4 above the lowest price since
        ({"trail": 4}, [(100, 103, 99, 102)], None, None, None),
        ({"trail": 4}, [(100, 104, 99, 102)], 104, None, None),
        ({"trail": 4}, [(98, 99, 94, 97), (97, 98, 96, 98)], 98, None, None),
        ({"trail": 4}, [(98, 99, 94, 97), (99, 99, 99, 99)], 99, 99, None),
        ({"trail": 4}, [(98, 99, 94, 98)], 98, None, None),  # down to 94, and up to 98 in one bar
        ({"trail": 4}, [(98, 99, 94, 97.5), (105, 106, 105, 105)], 105, 105, 105),
    ],
)  # fmt: skip
@pytest.mark.parametrize("side", [1, -1])
def test_an_order_is_filled_where_its_mode_says(
    order: dict[str, float],
    rows: list[Row],
    inside: float | None,
    opens: float | None,
    closes: float | None,
    side: int,
) -> None:
    """A sale is the mirror image of a buy, around 100."""
    path = [(100.0, 100.0, 100.0, 100.0), *rows]
    if side < 0:
        path = [(200 - o, 200 - low, 200 - h, 200 - c) for o, h, low, c in path]
        order = {k: v if k == "trail" else 200 - v for k, v in order.items()}
    for fill, price in (("intrabar", inside), ("next_open", opens), ("same_close", closes)):
        wanted = [] if price is None else [(10.0 * side, price if side > 0 else 200 - price)]
        assert filled(order, path, fill, 10 * side) == wanted, fill


def test_a_trailing_stop_is_not_moved_by_the_bar_it_was_placed_in() -> None:
    """In mode same_close the order is tried in its own bar, whose range is over."""
    rows = [(100.0, 120.0, 80.0, 100.0), *flat(103.0, 104.0)]
    assert filled({"trail": 4}, rows, "same_close") == [(10.0, 104.0)]


def test_a_trailing_stop_follows_but_never_retreats() -> None:
    rows = flat(100, 104, 108, 105, 103.9)
    assert filled({"trail": 4}, rows, "intrabar", -10) == [(-10.0, 103.9)]


def test_orders_are_tried_in_order_of_placing_and_may_be_taken_back() -> None:
    def place(ctx: Any) -> None:
        assert (ctx.buy(1, limit=99), ctx.buy(2, limit=98), ctx.buy(3, limit=97)) == (1, 2, 3)

    acts = {0: place, 1: lambda ctx: ctx.cancel(2)}
    run = play(script(acts), bars(flat(100, 100, 90)), fill="intrabar")
    assert trades_of(run) == [(1.0, 90.0), (3.0, 90.0)]
    assert [(o.order, o.state, o.reason) for o in run.outcomes] == [
        (2, "cancelled", "by the strategy")
    ]


def test_taking_back_what_is_filled_does_nothing_and_what_never_was_fails() -> None:
    acts = {0: lambda ctx: ctx.buy(1), 1: lambda ctx: ctx.cancel(1)}
    run = play(script(acts), bars(flat(100, 100, 100)))
    assert (run.status, len(run.fills), run.outcomes) == ("done", 1, [])
    run = play(script({0: lambda ctx: ctx.cancel(7)}), bars(flat(100, 100)))
    assert run.status == "failed"
    assert "there is no order 7" in run.error


def test_an_order_placed_and_taken_back_at_once_is_never_tried() -> None:
    run = play(script({0: lambda ctx: ctx.cancel(ctx.buy(1))}), bars(flat(100, 100)))
    assert [o.state for o in run.outcomes] == ["cancelled"]
    assert not run.fills


def test_orders_still_waiting_at_the_end_are_told() -> None:
    run = play(script({0: lambda ctx: ctx.buy(1, limit=1)}), bars(flat(100, 100)))
    assert "1 order still waiting at the end" in run.warnings


def test_an_order_at_the_last_bar_waits_for_ever() -> None:
    run = play(script({1: lambda ctx: ctx.buy(1)}), bars(flat(100, 100)))
    assert not run.fills
    assert "1 order still waiting at the end" in run.warnings


# Money and lots


def outcome(act: Any, **changes: Any) -> tuple[list[tuple[float, float]], list[str]]:
    run = play(script({0: act}), bars(flat(100, 100, 100)), **{"cash": 1000.0, **changes})
    return trades_of(run), [o.reason for o in run.outcomes]


def test_a_cash_account_buys_what_it_can_pay_and_no_more() -> None:
    assert outcome(lambda ctx: ctx.buy(10)) == ([(10.0, 100.0)], [])
    assert outcome(lambda ctx: ctx.buy(11)) == ([], ["not enough money"])
    assert outcome(lambda ctx: ctx.buy(10), costs=Costs(fee_minimum=0.01)) == (
        [],
        ["not enough money"],
    )


def test_leverage_allows_more_and_shorts_need_cover_too() -> None:
    assert outcome(lambda ctx: ctx.buy(20), leverage=2.0)[0] == [(20.0, 100.0)]
    assert outcome(lambda ctx: ctx.buy(21), leverage=2.0)[1] == ["not enough money"]
    assert outcome(lambda ctx: ctx.sell(10))[0] == [(-10.0, 100.0)]
    assert outcome(lambda ctx: ctx.sell(11))[1] == ["not enough money"]


def test_closing_is_always_allowed() -> None:
    """A short position that lost more than all money can still be bought back."""
    acts = {0: lambda ctx: ctx.sell(10), 1: lambda ctx: ctx.close(COIN), 2: lambda ctx: ctx.buy(10)}
    run = play(script(acts), bars(flat(100, 100, 900, 900)), cash=1000.0)
    assert trades_of(run) == [(-10.0, 100.0), (10.0, 900.0)]
    assert run.equity_end == -7000.0


def test_a_rejection_is_told_loudly() -> None:
    run = play(script({0: lambda ctx: ctx.buy(10_000)}), bars(flat(100, 100)))
    assert "1 order rejected" in run.warnings


def test_sizes_are_cut_towards_zero_to_whole_lots() -> None:
    assert outcome(lambda ctx: ctx.buy(7.99), lot=1.0)[0] == [(7.0, 100.0)]
    assert outcome(lambda ctx: ctx.sell(7.99), lot=1.0)[0] == [(-7.0, 100.0)]
    assert outcome(lambda ctx: ctx.buy(0.3), lot=0.1)[0] == [(0.30000000000000004, 100.0)]
    assert outcome(lambda ctx: ctx.buy(0.9), lot=1.0) == ([], ["smaller than a lot"])


def test_tenths_add_up_to_flat() -> None:
    acts = {
        0: lambda ctx: (ctx.buy(0.1), ctx.buy(0.2)),
        1: lambda ctx: ctx.sell(0.3),
        2: lambda ctx: ctx.log(repr(ctx.position())),
    }
    for lot in (None, 0.1):
        run = play(script(acts), bars(flat(100, 100, 100)), lot=lot)
        assert [line.text for line in run.log] == ["0.0"]
        assert len(run.round_trips) == 1


def test_costs_are_taken_and_move_the_price_against_us() -> None:
    costs = Costs(fee_per_unit=0.1, fee_rate=0.01, slip_steps=2, slip_rate=0.001, slip_volume=10.0)
    acts = {0: lambda ctx: ctx.buy(10), 1: lambda ctx: ctx.sell(10)}
    run = play(script(acts), bars(flat(100, 100, 100)), costs=costs, price_step=0.05)
    buy, sell = run.fills
    shift = 2 * 0.05 + 0.1 + 10 * 100 * (10 / 1000) ** 2
    assert (buy.price, sell.price) == pytest.approx((100 + shift, 100 - shift))
    assert buy.slippage == pytest.approx(shift)
    assert buy.fee == pytest.approx(0.1 * 10 + 0.01 * 10 * buy.price)
    assert run.equity_end == pytest.approx(100_000 - 20 * shift - buy.fee - sell.fee)
    assert not any("no costs" in warning for warning in run.warnings)


def test_a_resting_limit_does_not_slip_but_pays_its_fee() -> None:
    costs = Costs(slip_rate=0.01, fee_minimum=3.0)
    run = play(script({0: lambda ctx: ctx.buy(1, limit=99)}), bars(flat(100, 98)), costs=costs)
    assert [(f.price, f.slippage, f.fee) for f in run.fills] == [(98.0, 0.0, 3.0)]


def test_no_costs_and_optimistic_fills_are_said_loudly() -> None:
    run = play(script({}), bars(flat(100, 100)), fill="same_close")
    assert any(w.startswith("no costs") for w in run.warnings)
    assert any("optimistic" in w for w in run.warnings)
    run = play(script({}), bars(flat(100, 100)), costs=Costs(fee_rate=0.1))
    assert not any("cost" in w or "optimistic" in w for w in run.warnings)


# on_fill


class Ladder(type(script({}))):  # type: ignore[misc]
    """Buys once, and sells above each fill of a buy."""

    acts = {0: lambda ctx: ctx.buy(1)}  # noqa: RUF012

    def on_fill(self, ctx: Any, fill: Any) -> None:
        ctx.log(f"{fill.size:g} at {fill.price:g}, holding {ctx.position():g}")
        if fill.size > 0:
            ctx.sell(fill.size, limit=fill.price + 1)


@pytest.mark.parametrize(
    ("fill", "wanted"),
    [
        ("next_open", [(1.0, 101.0), (-1.0, 103.0)]),
        ("intrabar", [(1.0, 101.0), (-1.0, 103.0)]),
        ("same_close", [(1.0, 100.0), (-1.0, 101.0)]),
    ],
)
def test_a_fill_may_place_orders(fill: str, wanted: list[tuple[float, float]]) -> None:
    run = play(Ladder(), bars(flat(100, 101, 103)), fill=fill)
    assert trades_of(run) == wanted
    assert run.log[-1].text.endswith("holding 0")


class Greedy(type(script({}))):  # type: ignore[misc]
    """Wants two units in all, in whatever callback it looks."""

    acts = {0: lambda ctx: (ctx.buy(1), ctx.buy(1))}  # noqa: RUF012

    def on_fill(self, ctx: Any, fill: Any) -> None:
        ctx.target(COIN, 2.0)


def test_orders_not_yet_tried_count_as_waiting_in_on_fill() -> None:
    assert trades_of(play(Greedy(), bars(flat(100, 100, 100)), size=1.0)) == [(1.0, 100.0)] * 2


def test_an_endless_chain_of_fills_ends_as_a_failed_run() -> None:
    class Endless(type(script({}))):  # type: ignore[misc]
        acts = {0: lambda ctx: ctx.buy(1)}  # noqa: RUF012

        def on_fill(self, ctx: Any, fill: Any) -> None:
            ctx.buy(-1 if fill.size > 0 else 1)

    run: RunResult = play(Endless(), bars(flat(100, 100)), fill="same_close")
    assert run.status == "failed"
    assert "RecursionError" in run.error
