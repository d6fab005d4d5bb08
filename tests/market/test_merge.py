import hashlib
import struct
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.market import merge
from openbell.market.bars import Bars, bars_from
from openbell.market.instrument import Series
from openbell.market.moments import DAY_NS, parse_moment
from openbell.market.ticks import Quotes, Trades

SERIES = Series.parse("XNYS:SPY/trades")
NAN = float("nan")


def trades(rows: list[tuple[int, float]], label: int = 0) -> Trades:
    """Trades of size 1 by time and price, sorted by time, those of one stamp as given."""
    rows = sorted(rows, key=lambda row: row[0])
    time_ns = np.array([at for at, _ in rows], np.int64)
    price = np.array([price for _, price in rows], np.float64)
    ones, zeros = np.ones(len(rows)), np.zeros(len(rows), np.int64)
    return Trades(SERIES, time_ns, price, ones, zeros, zeros + label)


def rows_of(data: Trades) -> list[tuple[int, float]]:
    return list(zip(data.time_ns.tolist(), data.price.tolist(), strict=True))


def bars(prices: dict[int, float]) -> Bars:
    start_ns = np.array(sorted(prices), np.int64)
    flat = np.array([prices[at] for at in sorted(prices)], np.float64)
    return bars_from("XNYS:SPY/1m", start_ns, start_ns + 1, [flat] * 5)


def prices_of(data: Bars) -> dict[int, float]:
    return dict(zip(data.start_ns.tolist(), data.close.tolist(), strict=True))


some_trades = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1.0, 2.0, 3.0])), max_size=12)
some_bars = st.dictionaries(st.integers(0, 9), st.sampled_from([1.0, 2.0]))


@given(some_trades, some_trades)
def test_every_stamp_keeps_the_larger_number_of_equal_trades(
    one: list[tuple[int, float]], other: list[tuple[int, float]]
) -> None:
    merged = merge.merge(trades(one), trades(other))
    assert Counter(rows_of(merged.data)) == Counter(one) | Counter(other)
    assert merged.added == len(merged.data) - len(one)
    assert rows_of(merged.data.take(~merged.is_new)) == rows_of(trades(one))
    again = merge.merge(merged.data, trades(other))
    assert again.added == 0
    assert again.data == merged.data


@given(some_trades, some_trades)
def test_the_difference_of_trades_leads_from_one_to_the_other(
    one: list[tuple[int, float]], other: list[tuple[int, float]]
) -> None:
    added, removed, _, _ = merge.difference(trades(one), trades(other))
    assert Counter(rows_of(added)) == Counter(other) - Counter(one)
    assert Counter(rows_of(removed)) == Counter(one) - Counter(other)


@given(some_bars, some_bars)
def test_bars_merge_as_mappings_do(one: dict[int, float], other: dict[int, float]) -> None:
    merged = merge.merge(bars(one), bars(other))
    assert prices_of(merged.data) == dict(sorted((one | other).items()))
    assert merged.added == len(other.keys() - one.keys())
    assert merged.revised == sum(one[at] != other[at] for at in one.keys() & other.keys())


@given(some_bars, some_bars)
def test_the_difference_of_bars_leads_from_one_to_the_other(
    one: dict[int, float], other: dict[int, float]
) -> None:
    added, removed, before, after = merge.difference(bars(one), bars(other))
    assert prices_of(added) == {at: p for at, p in other.items() if at not in one}
    assert prices_of(removed) == {at: p for at, p in one.items() if at not in other}
    differ = {at for at in one.keys() & other.keys() if one[at] != other[at]}
    assert prices_of(before) == {at: one[at] for at in differ}
    assert prices_of(after) == {at: other[at] for at in differ}


def test_trades_that_differ_by_label_alone_are_one_when_merged_and_two_when_compared() -> None:
    plain, labelled = trades([(0, 1.0)]), trades([(0, 1.0)], label=8)
    assert merge.merge(plain, labelled).data == plain
    added, removed, _, _ = merge.difference(plain, labelled)
    assert (added, removed) == (labelled, plain)


def test_ranks_count_the_rows_of_a_stamp() -> None:
    assert merge.ranks(np.array([3, 3, 5, 7, 7, 7])).tolist() == [0, 1, 0, 0, 1, 2]
    assert merge.ranks(np.array([], np.int64)).tolist() == []


def quote(bid: float, ask: float) -> Quotes:
    one, zero = np.array([1.0]), np.zeros(1, np.int64)
    sides = np.array([bid]), np.array([ask])
    return Quotes(Series.parse("XNYS:SPY/quotes"), zero, *sides, one, one, zero)


def test_one_number_written_in_two_ways_has_one_checksum() -> None:
    odd_nan = np.array([0x7FF8_0000_0000_0001]).view(np.float64)[0]
    assert merge.blocks(quote(NAN, 0.0)) == merge.blocks(quote(float(odd_nan), -0.0))
    assert merge.blocks(quote(NAN, 0.0)) != merge.blocks(quote(0.0, NAN))


def test_the_checksum_of_known_bars_never_changes() -> None:
    """Stored versions carry it: a change here makes every lake look damaged."""
    start_ns = parse_moment("2011-03-31T23:59Z") + np.array([0, 60_000_000_000])
    flat = np.array([1.5, 2.0])
    named = merge.blocks(bars_from("XNYS:SPY/1m", start_ns, start_ns + 60_000_000_000, [flat] * 5))
    by_hand = ""
    for month, at, price in (("2011-03", start_ns[0], 1.5), ("2011-04", start_ns[1], 2.0)):
        row = struct.pack("<qqdddddi", at, at + 60_000_000_000, *[price] * 5, 0)
        by_hand += f"{month} {hashlib.sha256(row).hexdigest()}\n"
    assert merge.checksum(named) == hashlib.sha256(by_hand.encode()).hexdigest()
    assert merge.checksum(named).startswith("4df7bf2da2cf6300")
    assert merge.checksum({}) == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


@pytest.mark.parametrize(
    ("kind", "blocks"),
    [("trades", 2), ("1s", 2), ("45m", 2), ("1h", 1), ("1d", 1), ("1M", 1)],
)
def test_dense_series_are_cut_into_months(kind: str, blocks: int) -> None:
    series = Series.parse(f"XNYS:SPY/{kind}")
    key = np.array([parse_moment("1969-12-31T23:59Z"), 0])
    columns = [np.zeros(2)] * (len(merge.columns_of(series).names()) - 1)
    data = merge.columns_of(series)(series, key, *columns)  # type: ignore[arg-type]  # any columns
    assert len(merge.blocks(data)) == blocks
    assert list(merge.blocks(data)) == merge.block_names(data)
    start_ns, end_ns = merge.block_range(series, 0, 0)
    assert (end_ns - start_ns == 31 * DAY_NS) == (blocks == 2)
    assert start_ns <= 0 < end_ns
    assert len(merge.in_blocks(data, {merge.block_names(data)[-1]})) == 3 - blocks
