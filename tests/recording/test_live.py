"""Bars built as trades come, and what a recording leaves in the store."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.market.arrivals import (
    BAR,
    CONNECTED,
    DISCONNECTED,
    NO_SERIES,
    PASSED,
    QUOTE,
    STOPPED,
    TRADE,
    Arrival,
    five,
)
from openbell.market.bars import Bars
from openbell.market.build import bars_from_trades
from openbell.market.columns import CONFLICTING
from openbell.market.instrument import Series
from openbell.market.moments import END_OF_TIME_NS, MINUTE_NS, SECOND_NS
from openbell.market.ticks import Trades
from openbell.market.timeframe import timeframe
from openbell.ports import Recording, RecordingHeader
from openbell.recording.live import Collector, recorded, store_recorded, with_bars
from openbell.sources.lean import LeanFolder
from openbell.stores.memory import MemoryStore
from openbell.stores.recordings import RecordingFolder
from tests.conftest import SAMPLES

GOLD = Series.parse("XCEC:GC-201312/trades")
MINUTES = Series.parse("XCEC:GC-201312/1m")


@cache
def gold() -> Trades:
    """Some hundred real trades, from the beginning of a minute on."""
    folder = LeanFolder([SAMPLES / "lean/Data/future/comex"])
    parts: list[Any] = [p.data for p in folder.parse() if p.data.series == GOLD]
    data: Trades = Trades.joined(parts)
    whole_ns = (int(data.time_ns[0]) // MINUTE_NS + 1) * MINUTE_NS
    return data.between(whole_ns, whole_ns + 240 * MINUTE_NS).take(slice(0, 500))


class Desk:
    """A collector under a clock that is set by hand."""

    def __init__(self) -> None:
        self.now_ns = int(gold().time_ns[0]) // MINUTE_NS * MINUTE_NS - 2 * SECOND_NS
        self.collector = Collector([MINUTES])
        self.bars: list[Arrival] = []
        self.note(CONNECTED)

    def note(self, what: int) -> None:
        self._receive(Arrival(0, what, 0, self.now_ns))

    def trade(self, time_ns: int, price: float = 1.0, size: float = 1.0, number: int = 0) -> None:
        self.now_ns = max(self.now_ns, time_ns)
        self.late_trade(time_ns, price, size, number)

    def late_trade(self, time_ns: int, price: float, size: float, number: int = 0) -> None:
        values = five((price, size, 0.0))
        self._receive(Arrival(0, TRADE, time_ns, self.now_ns, number, values))

    def tick(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self._receive(Arrival(NO_SERIES, PASSED, 0, now_ns))

    def _receive(self, arrival: Arrival) -> None:
        made = self.collector.collect([arrival], [GOLD, MINUTES])
        assert {bar.receipt_ns for bar in made} <= {self.now_ns}
        self.bars += made

    def last(self) -> dict[int, tuple[float, ...]]:
        """The last values of every bar, by start."""
        return {one.venue_ns: one.values for one in self.bars}


def rows(trades: Trades) -> Iterator[tuple[int, float, float]]:
    columns = trades.time_ns.tolist(), trades.price.tolist(), trades.size.tolist()
    return zip(*columns, strict=True)


def expected(trades: Trades) -> dict[int, tuple[float, ...]]:
    bars = bars_from_trades(trades, timeframe("1m"))
    return {bar.start_ns: bar.ohlcv for bar in bars}


@settings(max_examples=20)
@given(st.lists(st.integers(0, 499), max_size=30), st.integers(0, 5))
def test_built_bars_are_those_of_the_trades_whenever_the_clock_is_looked_at(
    ticks: Sequence[int], delay_s: int
) -> None:
    desk = Desk()
    for nth, (time_ns, price, size) in enumerate(rows(gold())):
        desk.trade(time_ns, price, size)
        if nth in ticks:
            desk.tick(max(desk.now_ns, time_ns + delay_s * SECOND_NS))
    desk.tick(desk.now_ns + 2 * MINUTE_NS)
    assert desk.last() == expected(gold())
    assert desk.collector.left_out(MINUTES) == 0


def test_the_clock_finishes_a_bar_when_nothing_more_is_traded() -> None:
    desk = Desk()
    start_ns = desk.now_ns + 2 * SECOND_NS
    desk.trade(start_ns + 5 * SECOND_NS, 10.0)
    assert desk.collector.due_ns == start_ns + MINUTE_NS + SECOND_NS
    desk.tick(start_ns + MINUTE_NS)
    assert desk.bars == []
    desk.tick(start_ns + MINUTE_NS + SECOND_NS)
    desk.tick(start_ns + MINUTE_NS + 2 * SECOND_NS)
    assert desk.collector.due_ns == END_OF_TIME_NS
    (bar,) = desk.bars
    assert bar[:3] == (1, BAR, start_ns)
    assert bar.values == (10.0, 10.0, 10.0, 10.0, 1.0)


def test_a_trade_that_comes_late_gives_its_bar_once_more() -> None:
    desk = Desk()
    start_ns = desk.now_ns + 2 * SECOND_NS
    desk.trade(start_ns + 5 * SECOND_NS, 10.0)
    desk.tick(start_ns + MINUTE_NS + SECOND_NS)
    desk.late_trade(start_ns + 59 * SECOND_NS, 12.0, 2.0)
    desk.trade(start_ns + 61 * SECOND_NS, 11.0)
    assert [one.values for one in desk.bars] == [
        (10.0, 10.0, 10.0, 10.0, 1.0),
        (10.0, 12.0, 10.0, 12.0, 3.0),
    ]


def test_a_minute_in_which_the_connection_did_not_stand_gives_no_bar() -> None:
    desk = Desk()
    start_ns = desk.now_ns + 2 * SECOND_NS
    for second in (10, 70):
        desk.trade(start_ns + second * SECOND_NS)
    desk.note(DISCONNECTED)
    desk.now_ns = start_ns + 100 * SECOND_NS
    desk.note(CONNECTED)
    for second in (110, 130, 190):
        desk.trade(start_ns + second * SECOND_NS)
    desk.tick(start_ns + 400 * SECOND_NS)
    assert [one.venue_ns - start_ns for one in desk.bars] == [0, 2 * MINUTE_NS, 3 * MINUTE_NS]
    assert desk.collector.left_out(MINUTES) == 1


def test_the_minute_in_which_recording_begins_gives_no_bar() -> None:
    desk = Desk()
    desk.now_ns += 30 * SECOND_NS
    desk.note(DISCONNECTED)
    desk.note(CONNECTED)
    begin_ns = desk.now_ns
    for second in (5, 20, 65):
        desk.trade(begin_ns + second * SECOND_NS)
    assert desk.bars == []
    assert desk.collector.left_out(MINUTES) == 1


@pytest.mark.parametrize(
    ("after_s", "price", "size", "number"),
    [
        (5, 10.0, 1.0, 7),  # the number came before
        (4, 11.0, 1.0, 0),  # older than the newest
        (90, 11.0, 1.0, 0),  # stamped in the future
        (6, float("nan"), 1.0, 0),
        (6, 11.0, -1.0, 0),
    ],
)
def test_what_a_replay_withholds_goes_into_no_bar(
    after_s: int, price: float, size: float, number: int
) -> None:
    desk = Desk()
    start_ns = desk.now_ns + 2 * SECOND_NS
    desk.trade(start_ns + 5 * SECOND_NS, 10.0, 1.0, 7)
    desk.late_trade(start_ns + after_s * SECOND_NS, price, size, number)
    desk.tick(start_ns + 2 * MINUTE_NS)
    assert desk.last() == {start_ns: (10.0, 10.0, 10.0, 10.0, 1.0)}


def test_what_is_received_is_counted() -> None:
    desk = Desk()
    for time_ns, price, size in rows(gold()):
        desk.trade(time_ns, price, size)
    assert desk.collector.received(GOLD) == (len(gold()), int(gold().time_ns[-1]))
    assert desk.collector.received(MINUTES).items == len(desk.bars)


def test_bars_are_built_where_trades_come_and_no_bars() -> None:
    names = [
        "XNYS:SPY/trades",
        "XNYS:SPY/5m",
        "XNYS:IBM/trades",
        "XNYS:GE/quotes",
        "XNYS:GE/1m.bid",
    ]
    series = [Series.parse(name) for name in names]
    assert with_bars(series) == (*series, Series.parse("XNYS:IBM/1m"))


# What is left in the store

SPY = tuple(map(Series.parse, ("XNYS:SPY/trades", "XNYS:SPY/quotes", "XNYS:SPY/1m")))
OPEN_NS = 1_559_568_600 * SECOND_NS  # 2019-06-03 13:30 UTC


@pytest.fixture
def recording(tmp_path: Any) -> Recording:
    """Of a trade out of order and one that came again, quotes that repeat, a bar corrected."""
    made = RecordingFolder(tmp_path).create(
        RecordingHeader("abcd", SPY, OPEN_NS, OPEN_NS + 10 * MINUTE_NS)
    )
    at = OPEN_NS
    made.append([
        Arrival(0, CONNECTED, 0, at),
        Arrival(0, TRADE, at + 5, at + 6, 2, five((10.0, 1.0, 1.0))),
        Arrival(0, TRADE, at + 3, at + 7, 1, five((9.0, 2.0, -1.0))),
        Arrival(0, TRADE, at + 5, at + 8, 2, five((10.0, 1.0, 1.0))),
        Arrival(0, TRADE, at + 9, at + 9, 3, five((float("nan"), 1.0, 1.0))),
        Arrival(1, QUOTE, at + 5, at + 10, 0, five((9.0, 10.0, 1.0, 2.0))),
        Arrival(1, QUOTE, at + 5, at + 11, 0, five((9.0, 10.0, 1.0, 2.0))),
        Arrival(1, QUOTE, at + 6, at + 12, 0, five((9.0, 10.0, 1.0, 2.0))),
        Arrival(2, BAR, at, at + MINUTE_NS, 0, five((9.0, 10.0, 9.0, 10.0, 3.0))),
        Arrival(2, BAR, at, at + MINUTE_NS + 1, 0, five((9.0, 11.0, 9.0, 11.0, 4.0))),
        Arrival(NO_SERIES, STOPPED, 0, at + 2 * MINUTE_NS),
    ])  # fmt: skip
    made.close()
    return made


def test_what_was_recorded_becomes_rows(recording: Recording) -> None:
    trades, quotes, bars = recorded(recording).values()
    assert trades.key_ns.tolist() == [OPEN_NS + 3, OPEN_NS + 5]
    assert quotes.key_ns.tolist() == [OPEN_NS + 5, OPEN_NS + 6]
    assert isinstance(bars, Bars)
    np.testing.assert_array_equal(bars.close, [11.0])
    assert bars.end_ns.tolist() == [OPEN_NS + MINUTE_NS]
    assert bars.label.tolist() == [CONFLICTING]


def test_it_is_stored_once_and_names_its_recording(recording: Recording) -> None:
    store = MemoryStore(lambda: 7)
    versions = store_recorded(recording, store, "tcp://there:1")
    assert [str(v.pin) for v in versions] == [f"{s}@1" for s in SPY]
    assert {v.source for v in versions} == {"tcp://there:1"}
    assert versions[0].details["recording"] == "abcd"
    assert versions[0].details["checksum"] == recording.checksum
    assert store_recorded(recording, store, "tcp://there:1") == versions


def test_nothing_recorded_is_nothing_stored(tmp_path: Any) -> None:
    made = RecordingFolder(tmp_path).create(RecordingHeader("abcd", SPY, OPEN_NS, OPEN_NS + 1))
    made.close()
    assert store_recorded(made, MemoryStore(lambda: 7), "nowhere") == []
