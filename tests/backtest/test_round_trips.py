from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.backtest.orders import Fill
from openbell.backtest.round_trips import match_round_trips, open_round_trips
from tests.backtest.runs import FIRST_NS, SPY, fill

ONE = {SPY: 1.0}


def test_buying_and_selling_is_one_round_trip() -> None:
    (trip,) = match_round_trips([fill(1, 100, 10.0, fee=1.0), fill(2, -100, 12.0, fee=2.0)], ONE)
    assert trip.side == "long"
    assert trip.size == 100
    assert (trip.entry_price, trip.exit_price) == (10.0, 12.0)
    assert trip.fees == 3.0
    assert trip.profit == 197.0
    assert trip.return_ == 0.197
    assert (trip.entry_order, trip.exit_order, trip.holding_ns) == (1, 2, 1)
    assert not trip.is_open


def test_selling_first_is_short_and_earns_when_the_price_falls() -> None:
    (trip,) = match_round_trips([fill(1, -10, 50.0), fill(2, 10, 45.0)], ONE)
    assert (trip.side, trip.size, trip.profit, trip.return_) == ("short", 10, 50.0, 0.1)


def test_scaling_in_and_out_stays_one_round_trip_with_weighted_prices() -> None:
    fills = [fill(1, 100, 10.0), fill(2, 300, 14.0), fill(3, -200, 15.0), fill(4, 100, 12.0),
             fill(5, -300, 16.0)]  # fmt: skip
    (trip,) = match_round_trips(fills, ONE)
    assert trip.size == 500
    assert trip.entry_price == pytest.approx((1_000 + 4_200 + 1_200) / 500)
    assert trip.exit_price == pytest.approx((3_000 + 4_800) / 500)
    assert trip.profit == pytest.approx(7_800 - 6_400)
    assert (trip.entry_order, trip.exit_order) == (1, 5)


def test_a_reversing_fill_ends_one_round_trip_and_begins_the_next_and_shares_its_fee() -> None:
    fills = [fill(1, 100, 10.0), fill(2, -400, 11.0, fee=8.0), fill(3, 300, 12.0, fee=3.0)]
    first, second = match_round_trips(fills, ONE)
    assert (first.side, first.size, first.fees, first.profit) == ("long", 100, 2.0, 98.0)
    assert (second.side, second.size, second.fees, second.profit) == ("short", 300, 9.0, -309.0)
    assert first.exit_order == second.entry_order == 2


def test_a_multiplier_turns_points_into_money_but_leaves_the_return() -> None:
    (trip,) = match_round_trips([fill(1, 2, 1_000.0), fill(2, -2, 1_010.0)], {SPY: 50.0})
    assert trip.profit == 1_000.0
    assert trip.return_ == pytest.approx(0.01)


def test_instruments_are_matched_apart_in_order_of_their_exits() -> None:
    fills = [fill(1, 1, 10.0), fill(2, 1, 20.0, instrument="XNAS:AAPL"),
             fill(3, -1, 21.0, instrument="XNAS:AAPL"), fill(4, -1, 11.0)]  # fmt: skip
    trips = match_round_trips(fills, {SPY: 1.0, "XNAS:AAPL": 1.0})
    assert [trip.instrument for trip in trips] == ["XNAS:AAPL", SPY]


def test_fractions_that_do_not_add_up_exactly_are_flat_all_the_same() -> None:
    fills = [fill(1, 0.1, 10.0), fill(2, 0.2, 10.0), fill(3, -0.3, 11.0), fill(4, 1, 1.0)]
    assert 0.1 + 0.2 - 0.3 != 0
    assert len(match_round_trips(fills, ONE)) == 1
    (rest,) = open_round_trips(fills, ONE, {SPY: 2.0}, FIRST_NS + 9)
    assert (rest.size, rest.entry_order) == (1, 4)


def test_what_is_still_held_is_marked_and_said_to_be_open() -> None:
    fills = [fill(1, 10, 10.0, fee=1.0), fill(2, -4, 11.0, fee=1.0)]
    assert match_round_trips(fills, ONE) == []
    (trip,) = open_round_trips(fills, ONE, {SPY: 12.0}, FIRST_NS + 9)
    assert trip.is_open
    assert trip.profit == pytest.approx(4 * 1.0 + 6 * 2.0 - 2.0)
    assert trip.exit_price == pytest.approx((44 + 72) / 10)
    assert trip.exit_ns == FIRST_NS + 9


def test_no_fills_make_no_round_trips() -> None:
    assert match_round_trips([], ONE) == []
    assert open_round_trips([], ONE, {}, 0) == []


NAMES = ("XNYS:A", "XNYS:B")
MULTIPLIERS = {"XNYS:A": 1.0, "XNYS:B": 50.0}
sizes = st.integers(-500, 500).filter(bool)
prices = st.integers(1, 100_000).map(lambda cents: cents / 100)
fees = st.integers(0, 500).map(lambda cents: cents / 100)
drawn = st.lists(st.tuples(st.sampled_from(NAMES), sizes, prices, fees), max_size=60)


def made(rows: list[tuple[str, int, float, float]]) -> list[Fill]:
    return [
        fill(number, size, price, fee=fee, instrument=name)
        for number, (name, size, price, fee) in enumerate(rows, 1)
    ]


@given(drawn, prices, prices)
def test_profits_and_the_open_part_make_up_the_change_of_equity(
    rows: list[tuple[str, int, float, float]], last_a: float, last_b: float
) -> None:
    fills, marks = made(rows), dict(zip(NAMES, (last_a, last_b), strict=True))
    trips = match_round_trips(fills, MULTIPLIERS)
    rest = open_round_trips(fills, MULTIPLIERS, marks, FIRST_NS + len(fills))
    cash = sum(-f.size * f.price * MULTIPLIERS[f.instrument] - f.fee for f in fills)
    held = sum(f.size * marks[f.instrument] * MULTIPLIERS[f.instrument] for f in fills)
    assert sum(t.profit for t in (*trips, *rest)) == pytest.approx(cash + held, abs=1e-4)
    assert sum(t.fees for t in (*trips, *rest)) == pytest.approx(sum(f.fee for f in fills))


@given(drawn)
def test_round_trips_of_an_instrument_follow_each_other_and_enter_what_they_leave(
    rows: list[tuple[str, int, float, float]],
) -> None:
    trips = match_round_trips(made(rows), MULTIPLIERS)
    assert [t.exit_ns for t in trips] == sorted(t.exit_ns for t in trips)
    for name in NAMES:
        own = [t for t in trips if t.instrument == name]
        assert all(before.exit_order <= after.entry_order for before, after in pairwise(own))
        assert all(t.size > 0 and t.holding_ns >= 0 for t in own)
