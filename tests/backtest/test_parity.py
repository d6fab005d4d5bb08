"""Two runs compared: every difference by its cause, and what it led to."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from openbell.backtest.config import RunConfig
from openbell.backtest.parity import Parity, Side, compare, watch
from openbell.market.arrivals import Arrival
from openbell.market.instrument import Series
from openbell.market.moments import MINUTE_NS, SECOND_NS, iso
from openbell.replay.tape import FILLED, PLACED, Entry
from tests.backtest.runs import run
from tests.replay.living import (
    CLOSE_NS,
    OPEN_NS,
    PRINTS,
    SPY,
    header,
    minute,
    recorded,
    replayed,
    trade,
)

NAN = float("nan")
RESULT = replace(run([100.0, 101.0]), start_ns=OPEN_NS, end_ns=CLOSE_NS)


def side(*arrivals: Arrival, series: tuple[Series, ...] = (SPY, PRINTS), **changes: Any) -> Side:
    """A run over what arrives by hand."""
    system = replayed(recorded(header(*series), *arrivals))
    return Side(replace(RESULT, **changes), watch(system))


def causes(found: Parity) -> list[tuple[Any, ...]]:
    return [(one.cause, one.where, one.series, one.rows) for one in found.data]


BARS = [minute(nth) for nth in range(5)]
PRINT = trade(10, series=1, number=1)


def test_a_run_is_the_same_as_itself() -> None:
    found = compare(side(*BARS, PRINT), side(*BARS, PRINT))
    assert found.is_same
    assert (found.data, found.decisions, found.others) == ((), (), ())


@pytest.mark.parametrize(
    ("live", "replay", "expected", "words"),
    [
        ([*BARS], BARS[:4], ("missing", "live", str(SPY), 1), ""),
        (BARS[:4], [*BARS], ("missing", "replay", str(SPY), 1), ""),
        (
            [*BARS[:4], minute(4, close=90.0)],
            [*BARS],
            ("other_values", "both", str(SPY), 1),
            "first 90 91 89 90 5 live, 100 101 99 100 5 in the replay",
        ),
        (
            [*BARS[:4], minute(4, close=90.0), minute(4, after_s=20)],
            [*BARS],
            ("revised", "both", str(SPY), 1),
            "first 90 91 89 90 5 live, 100 101 99 100 5 in the replay",
        ),
        (
            [minute(nth, after_s=nth) for nth in range(5)],
            [minute(nth, after_s=0) for nth in range(5)],
            ("known_at", "both", str(SPY), 4),
            "live +2.500 s in the middle, from +1.000 to +4.000",
        ),
        (
            [*BARS[:3], BARS[4], minute(3, after_s=100)],
            [*BARS],
            ("late", "replay", str(SPY), 1),
            "first +99.500 s",
        ),
        (
            [*BARS, trade(10, series=1, number=1), trade(9, series=1, after_s=3, number=2)],
            [*BARS, trade(9, series=1, number=2, after_s=1.1), trade(10, series=1, number=3)],
            ("withheld", "replay", str(PRINTS), 1),
            "1 out of order",
        ),
    ],
)
def test_every_difference_has_its_cause(
    live: list[Arrival], replay: list[Arrival], expected: tuple[Any, ...], words: str
) -> None:
    found = compare(side(*live), side(*replay))
    assert not found.is_same
    assert causes(found) == [expected]
    assert found.data[0].words == words


def test_what_the_other_does_not_play_is_said() -> None:
    found = compare(side(*BARS, PRINT), side(*BARS, series=(SPY,)))
    assert causes(found) == [("not_played", "live", str(PRINTS), 1)]
    found = compare(side(*BARS, series=(SPY,)), side(*BARS, PRINT))
    assert causes(found) == [("not_played", "replay", str(PRINTS), 1)]


def test_what_lies_outside_the_others_time_is_told_apart() -> None:
    live = side(*BARS[2:], start_ns=OPEN_NS + 2 * MINUTE_NS)
    found = compare(live, side(*BARS))
    assert causes(found) == [("outside", "replay", str(SPY), 2)]
    assert found.data[0].first_ns == OPEN_NS + MINUTE_NS + SECOND_NS // 2


def test_equal_trades_are_counted_one_by_one() -> None:
    twice = [*BARS, trade(10, series=1, number=1), trade(10, series=1, number=2, after_s=0.2)]
    assert compare(side(*twice), side(*twice)).is_same
    assert causes(compare(side(*twice), side(*BARS, PRINT))) == [
        ("missing", "live", str(PRINTS), 1)
    ]


# What was done


def entry(minute_: float, what: int, order: int, size: float, price: float = NAN) -> Entry:
    return Entry(0, OPEN_NS + round(minute_ * MINUTE_NS), what, order, 0, size, price, NAN, NAN)


DONE = [entry(1, PLACED, 1, 5.0), entry(2, FILLED, 1, 5.0, 99.0), entry(4, PLACED, 2, -5.0)]


def test_decisions_that_differ_are_said_with_what_was_before_them() -> None:
    changed = [DONE[0], entry(2, FILLED, 1, 5.0, 98.0), DONE[2]]
    live = side(minute(0, close=98.0), *BARS[1:], entries=changed)
    found = compare(live, side(*BARS, entries=DONE))
    assert len(found.decisions) == 1
    one = found.decisions[0]
    at = iso(OPEN_NS + 2 * MINUTE_NS)
    assert (one.what, one.order) == ("filled", 1)
    assert one.live == f"filled 5 98 at {at}"
    assert one.replay == f"filled 5 99 at {at}"
    first = iso(OPEN_NS + MINUTE_NS + SECOND_NS // 2)
    assert one.before == f"{SPY}: other_values at {first}"


def test_one_order_more_moves_no_other() -> None:
    more = [entry(0.5, PLACED, 1, 1.0), *(structs.replace(e, order=e.order + 1) for e in DONE)]
    found = compare(side(*BARS, entries=more), side(*BARS, entries=DONE))
    assert [(one.order, one.replay) for one in found.decisions] == [(1, "none")]
    assert found.decisions[0].before == ""
    found = compare(side(*BARS, entries=DONE), side(*BARS, entries=more))
    assert [(one.order, one.live) for one in found.decisions] == [(1, "none")]


def test_a_decision_before_any_difference_has_none_before_it() -> None:
    live = side(*BARS[:4], entries=DONE[1:])
    found = compare(live, side(*BARS, entries=DONE))
    assert [one.before for one in found.decisions] == [""]


def test_settings_code_and_the_like_are_named() -> None:
    config = RunConfig("ema-cross", ("recording:abcd",), cash=50.0)
    live = side(
        *BARS,
        config=config,
        code_hash="beef",
        calendars={"XNYS": "6"},
        version="9",
        status="failed",
    )
    found = compare(live, side(*BARS))
    assert found.others == (
        "cash is 50.0 live, 100.0 in the replay",
        "the strategy's code differs",
        "calendars differ",
        "openbell 9 live, 0.1.0 in the replay",
        "the live run is failed, the replay done",
    )
    assert not found.is_same


def test_the_answer_can_be_given_to_programs() -> None:
    found = compare(side(*BARS, entries=DONE), side(*BARS[:4], entries=DONE[:2])).to_dict()
    assert found["data"][0]["first"] == iso(OPEN_NS + 5 * MINUTE_NS + SECOND_NS // 2)
    assert found["decisions"][0]["time"] == iso(DONE[2].time_ns)
    assert not [name for one in found["data"] for name in one if name.endswith("_ns")]
