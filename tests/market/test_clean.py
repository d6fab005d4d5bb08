"""Row hygiene: nothing is lost uncounted, whatever the rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.market.bars import Bars, bars_from
from openbell.market.clean import check_spacing, clean, is_newest_first, join
from openbell.market.columns import CONFLICTING, CORRUPT, NON_POSITIVE, UNORDERED, label_names
from openbell.market.errors import BadDataError
from openbell.market.instrument import Series
from openbell.market.moments import DAY_NS, HOUR_NS, MINUTE_NS
from openbell.market.ticks import Quotes, Trades
from openbell.market.timeframe import timeframe

NAN = float("nan")


def bars(*rows: tuple[int, float]) -> Bars:
    """One bar a row: its minute, and its only price."""
    minute, price = (np.array(column) for column in zip(*rows, strict=True))
    start_ns = minute.astype(np.int64) * MINUTE_NS
    price = price.astype(float)
    return bars_from("X1:A/1m", start_ns, start_ns + MINUTE_NS, [price] * 5)


def shown(data: Bars) -> list[tuple[int, float, str]]:
    return [
        (int(start) // MINUTE_NS, float(close), " ".join(label_names(int(label))))
        for start, close, label in zip(data.start_ns, data.close, data.label, strict=True)
    ]


def bar(o: float, h: float, low: float, c: float, v: float) -> Bars:
    columns = [np.array([value], float) for value in (o, h, low, c, v)]
    return bars_from("X1:A/1m", np.array([0]), np.array([MINUTE_NS]), columns)


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (bar(1, 2, 3, 1, 0), "high 2 is below low 3"),
        (bar(1, 2, 1, 1, -5), "volume -5 is negative"),
        (bar(NAN, 2, 1, 1, 0), "open nan is no finite number"),
        (bar(1, float("inf"), 1, 1, 0), "high inf is no finite number"),
        (bar(1, 2, 1, 1, NAN), "volume nan is no finite number"),
    ],
)
def test_rows_that_break_a_rule_are_refused(row: Bars, rule: str) -> None:
    cleaned = clean(row)
    assert (len(cleaned.data), cleaned.rejected) == (0, {0: rule})


@pytest.mark.parametrize(
    ("row", "label"),
    [
        (bar(1, 2, 1, 1.5, 0), 0),
        (bar(3, 2, 1, 1, 0), CORRUPT),
        (bar(1, 2, 1, 0.5, 0), CORRUPT),
        (bar(0, 2, 0, 1, 0), NON_POSITIVE),
        (bar(-4, -3, -5, -4, 9), NON_POSITIVE),
    ],
)
def test_rows_that_are_only_strange_are_kept_and_labelled(row: Bars, label: int) -> None:
    assert clean(row).data.label.tolist() == [label]


def test_equal_repeats_are_dropped_and_of_conflicting_ones_the_last_is_kept() -> None:
    cleaned = clean(bars((0, 1), (1, 2), (1, 2), (2, 3), (2, 4), (2, 3), (3, 5)))
    assert shown(cleaned.data) == [(0, 1, ""), (1, 2, ""), (2, 3, "conflicting"), (3, 5, "")]
    assert (cleaned.repeated, cleaned.conflicting) == (2, 1)


def test_only_the_rows_out_of_place_are_labelled() -> None:
    late = clean(bars((0, 1), (9, 2), (1, 3), (2, 4)))
    assert shown(late.data) == [(0, 1, ""), (1, 3, ""), (2, 4, ""), (9, 2, "unordered")]
    early = clean(bars((1, 1), (2, 2), (0, 3), (3, 4)))
    assert shown(early.data) == [(0, 3, "unordered"), (1, 1, ""), (2, 2, ""), (3, 4, "")]
    assert (late.unordered, early.unordered) == (1, 1)


def test_trades_on_one_stamp_are_all_kept_in_their_order() -> None:
    series = Series.parse("X1:A/trades")
    time, price = np.array([5, 5, 4, 5]), np.array([1.0, 1.0, 2.0, 0.0])
    none = np.zeros(4, np.int64)
    cleaned = clean(Trades(series, time, price, np.ones(4), none, none))
    assert cleaned.data.price.tolist() == [2, 1, 1, 0]
    assert cleaned.data.label.tolist() == [UNORDERED, 0, 0, NON_POSITIVE]
    assert (cleaned.repeated, cleaned.unordered) == (0, 1)


def test_a_side_may_be_absent_but_not_crossed_by_a_tenth() -> None:
    series = Series.parse("X1:A/quotes")
    bid, ask = np.array([1.0, NAN, 1.2, NAN]), np.array([NAN, 1.0, 1.0, 1.0])
    size, none = np.array([1.0, 0.0, 1.0, 3.0]), np.zeros(4, np.int64)
    quotes = Quotes(series, np.arange(4), bid, ask, size, np.array([0.0, 1, 1, 1]), none)
    cleaned = clean(quotes)
    assert cleaned.data.label.tolist() == [0, 0, CORRUPT]
    assert cleaned.rejected == {3: "bid nan is no finite number"}


def test_later_parts_come_first() -> None:
    joined = join([bars((0, 1), (1, 2)), bars((1, 3), (2, 4))])
    assert shown(joined.data) == [(0, 1, ""), (1, 3, "conflicting"), (2, 4, "")]
    assert (joined.repeated, joined.conflicting) == (0, 1)


def test_newest_first_is_seen_in_spite_of_a_row_out_of_place() -> None:
    assert is_newest_first(np.array([9, 8, 7, 8, 5, 4]))
    assert not is_newest_first(np.array([4, 5, 8, 7, 8, 9]))
    assert not is_newest_first(np.array([1]))


@pytest.mark.parametrize(
    ("code", "starts", "fits"),
    [
        ("1m", [0, 1, 2, 7, 100], True),
        ("5m", [0, 5, 10, 60], True),
        ("5m", [0, 1, 2, 3], False),
        ("1m", list(range(0, 100, 5)), False),
        ("1m", [0, 60], True),  # two bars of a quiet market say nothing
        ("1d", [0, 1_380, 2_820], True),  # 23 hours, when clocks are put forward
        ("1w", [0, 6 * 1_440, 14 * 1_440], True),
        ("1d", [n * 7 * 1_440 for n in range(12)], False),
        ("1M", [0, 31 * 1_440, 59 * 1_440], True),
    ],
)
def test_spacing_must_fit_the_timeframe(code: str, starts: list[int], fits: bool) -> None:
    start_ns = np.array(starts, np.int64) * MINUTE_NS
    if fits:
        check_spacing("it", start_ns, timeframe(code))
        return
    with pytest.raises(BadDataError, match=f"it is taken for {code} bars, but its rows are"):
        check_spacing("it", start_ns, timeframe(code))


def test_the_message_about_spacing_names_both_timeframes() -> None:
    with pytest.raises(BadDataError, match="taken for 1d bars, but its rows are 1h apart"):
        check_spacing("it", np.arange(0, DAY_NS, HOUR_NS), timeframe("1d"))


ROWS = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from([-1.0, 0.0, 1.0, 2.0, NAN])), min_size=1
)


@given(ROWS)
def test_every_row_is_kept_or_counted_and_kept_ones_are_in_order(
    rows: list[tuple[int, float]],
) -> None:
    cleaned = clean(bars(*rows))
    counted = cleaned.repeated + cleaned.conflicting + len(cleaned.rejected)
    assert len(cleaned.data) + counted == len(rows)
    assert bool((np.diff(cleaned.data.start_ns) > 0).all())
    good = [(m, p) for m, p in rows if p >= 0]
    assert [(m, p) for m, p, _ in shown(cleaned.data)] == sorted(dict(good).items())
    assert cleaned.conflicting == 0 or any(cleaned.data.label & CONFLICTING)


@given(st.lists(st.integers(0, 50), max_size=60))
def test_without_the_unordered_rows_the_rest_is_in_order(minutes: list[int]) -> None:
    series = Series.parse("X1:A/trades")
    count = len(minutes)
    none = np.zeros(count, np.int64)
    # The size tells where each row stood.
    place = np.arange(count, dtype=np.float64)
    rows = Trades(series, np.array(minutes, np.int64), place + 1, place, none, none)
    cleaned = clean(rows)
    inside = cleaned.data.take(cleaned.data.label & UNORDERED == 0)
    assert bool((np.diff(inside.size) > 0).all())
    assert len(cleaned.data) == count
    assert (cleaned.unordered == 0) == (minutes == sorted(minutes))
    assert cleaned.unordered < max(count, 1)
