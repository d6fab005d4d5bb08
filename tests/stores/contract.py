"""What every store must do. One suite, run against each store."""

import numpy as np
import pytest

from openbell.market import merge
from openbell.market.errors import NotRecordedError, StoreError, UnorderedError, UsageError
from openbell.market.instrument import Instrument, Pin, Series
from openbell.market.moments import (
    DAY_NS,
    END_OF_TIME_NS,
    HOUR_NS,
    MINUTE_NS,
    START_OF_TIME_NS,
)
from openbell.market.ticks import Trades
from openbell.ports import Data, Manifest, Store
from tests.stores.made import FILE, START_NS, FakeClock, bars, quotes, trades

SPY = Series.parse("XNYS:SPY/1m")
NAN = float("nan")


def everything(store: Store, ref: str) -> Data:
    """All rows of the version a ref names."""
    return store.read(store.resolve(ref), START_OF_TIME_NS, END_OF_TIME_NS)


class StoreContract:
    """Subclass this and give it a `store` fixture that tells the time by `clock`."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    # Writing and reading

    @pytest.mark.parametrize(
        "data",
        [
            bars(range(500)),
            bars([0, 1], series="OANDA:EURUSD/1d.bid"),
            bars(range(0, 200_000, 40), series="XCME:ES=F/1s"),
            bars(range(3), series="XNYS:SPY/1M"),
            trades((0, 10.0, 1.0), (0, 10.0, 1.0), (0, 9.0, 1.0), (0, 10.0, 2.0), (5, 1.0, 1.0)),
            quotes((0, NAN, 10.0), (0, 9.0, NAN), (0, NAN, 10.0), (3, 9.0, 10.0)),
        ],
        ids=lambda data: str(data.series),
    )
    def test_what_was_written_is_read_back_in_order(self, store: Store, data: Data) -> None:
        version = store.write(data, FILE)
        assert everything(store, str(data.series)) == data
        assert (version.rows, version.added, version.revised, version.removed) == (
            (len(data), len(data), 0, 0)
        )

    def test_the_end_of_the_range_is_left_out(self, store: Store) -> None:
        pin = store.write(bars(range(10)), FILE).pin
        read = store.read(pin, START_NS + MINUTE_NS, START_NS + 3 * MINUTE_NS)
        assert read == bars(range(10)).take(slice(1, 3))

    def test_a_range_without_rows_is_empty(self, store: Store) -> None:
        pin = store.write(bars([0, 9]), FILE).pin
        assert store.read(pin, START_NS + MINUTE_NS, START_NS + 9 * MINUTE_NS) == bars([])
        assert store.read(pin, START_NS + 99 * MINUTE_NS, END_OF_TIME_NS) == bars([])
        assert store.read(pin, END_OF_TIME_NS, START_OF_TIME_NS) == bars([])

    def test_bars_written_later_take_their_place_in_order(self, store: Store) -> None:
        store.write(bars([5, 6]), FILE)
        store.write(bars([0, 9], 101.0), FILE)
        store.write(bars([7], 102.0), FILE)
        read = everything(store, "XNYS:SPY/1m")
        assert ((read.key_ns - START_NS) // MINUTE_NS).tolist() == [0, 5, 6, 7, 9]

    def test_a_bar_with_a_known_start_is_a_revision(self, store: Store) -> None:
        store.write(bars([0, 1, 2]), FILE)
        version = store.write(bars([0]).joined([bars([1], 99.0), bars([3])]), FILE)
        # Bar 0 is as it was, 1 is revised (its volume as well as its price), 3 is added.
        assert (version.rows, version.added, version.revised) == (4, 1, 1)
        read = everything(store, "XNYS:SPY/1m")
        assert read.columns()["close"].tolist() == [100.0, 99.0, 100.0, 100.0]

    def test_another_label_alone_revises_a_bar(self, store: Store) -> None:
        store.write(bars([0, 1]), FILE)
        assert store.write(bars([0], label=1), FILE).revised == 1
        assert everything(store, "XNYS:SPY/1m").columns()["label"].tolist() == [1, 0]

    def test_writing_the_same_rows_again_makes_no_version(self, store: Store) -> None:
        for data in (bars(range(50)), trades((0, 1.0, 1.0), (0, 1.0, 1.0)), quotes((0, NAN, 1.0))):
            first = store.write(data, FILE)
            assert store.write(data, Manifest("another file")) == first
            assert store.write(data.take(slice(0, 1)), FILE) == first
            assert store.write(data.take(slice(0, 0)), FILE) == first
            assert store.versions(data.series) == [first]

    def test_a_stamp_keeps_the_larger_number_of_equal_trades(self, store: Store) -> None:
        a, b, c = (0, 1.0, 1.0), (0, 2.0, 1.0), (0, 3.0, 1.0)
        store.write(trades(a, b, a), FILE)
        version = store.write(trades(a, c, a, a, (1, 1.0, 1.0)), FILE)
        assert (version.added, version.rows) == (3, 6)
        assert everything(store, "XNYS:SPY/trades") == trades(a, b, a, c, a, (1, 1.0, 1.0))

    def test_a_stamp_cut_in_two_is_made_whole(self, store: Store) -> None:
        rows = [(0, 1.0, 1.0), (7, 2.0, 1.0), (7, 3.0, 1.0), (7, 2.0, 1.0), (8, 1.0, 1.0)]
        store.write(trades(*rows[:2]), FILE)
        store.write(trades(*rows[1:]), FILE)
        assert everything(store, "XNYS:SPY/trades") == trades(*rows)

    def test_a_trade_with_another_label_is_the_same_trade(self, store: Store) -> None:
        first = store.write(trades((0, 1.0, 1.0)), FILE)
        assert store.write(trades((0, 1.0, 1.0), label=8), FILE) == first

    def test_quotes_without_a_side_are_equal(self, store: Store) -> None:
        store.write(quotes((0, NAN, 10.0)), FILE)
        assert store.write(quotes((0, NAN, 10.0), (0, NAN, 10.0)), FILE).added == 1

    def test_unordered_bars_are_refused_whole(self, store: Store) -> None:
        for minutes in ([1, 0], [1, 1]):
            with pytest.raises(UnorderedError, match="item 1 does not follow item 0"):
                store.write(bars(minutes), FILE)
        assert store.versions(SPY) == []

    def test_unordered_trades_are_refused_whole(self, store: Store) -> None:
        with pytest.raises(UnorderedError, match="times of trades"):
            store.write(trades((1, 1.0, 1.0), (0, 1.0, 1.0)), FILE)

    def test_columns_that_do_not_fit_the_series_are_refused(self, store: Store) -> None:
        with pytest.raises(UsageError, match="do not fit"):
            store.write(trades((0, 1.0, 1.0)).renamed(SPY), FILE)

    @pytest.mark.parametrize("symbol", ["..", "../../SPY", "/etc", "", "a\0b", ".", "SPY/1d"])
    def test_names_that_are_none_are_refused(self, store: Store, symbol: str) -> None:
        series = Series(Instrument("XNYS", symbol), "1m")
        with pytest.raises(UsageError):
            store.write(bars([0]).renamed(series), FILE)

    def test_nothing_of_a_series_that_is_not_there_cannot_be_written(self, store: Store) -> None:
        with pytest.raises(NotRecordedError, match="nothing is stored of XNYS:SPY/1m"):
            store.write(bars([]), FILE)
        assert store.list_series() == []

    def test_series_do_not_meet(self, store: Store) -> None:
        names = ["XNYS:SPY/1m", "XNYS:SPY/1M", "XNYS:SPY/1m.bid", "XNYS:spy/1m", "XNAS:SPY/1m"]
        for price, name in enumerate(names, 1):
            store.write(bars([0], price, name), FILE)
        found = [everything(store, name).columns()["open"].tolist() for name in names]
        assert found == [[1.0], [2.0], [3.0], [4.0], [5.0]]

    # Dropping

    def test_dropped_rows_are_gone_from_the_new_version_on(self, store: Store) -> None:
        store.write(bars(range(10)), FILE)
        version = store.drop(SPY, START_NS + 2 * MINUTE_NS, START_NS + 8 * MINUTE_NS, FILE)
        assert (version.pin.version, version.rows, version.removed) == (2, 4, 6)
        assert everything(store, "XNYS:SPY/1m") == bars(range(10)).take([0, 1, 8, 9])
        assert everything(store, "XNYS:SPY/1m@1") == bars(range(10))

    def test_all_rows_can_be_dropped_and_come_back(self, store: Store) -> None:
        for data in (bars([0, 60_000]), bars([0, 1], series="XNYS:SPY/1d")):
            first = store.write(data, FILE)
            empty = store.drop(data.series, START_OF_TIME_NS, END_OF_TIME_NS, FILE)
            assert everything(store, str(data.series)) == data.take(slice(0, 0))
            assert (empty.rows, empty.removed) == (0, len(data))
            again = store.write(data, FILE)
            assert (again.pin.version, again.checksum) == (3, first.checksum)

    def test_dropping_nothing_makes_no_version(self, store: Store) -> None:
        first = store.write(bars([0, 9]), FILE)
        assert store.drop(SPY, START_NS + MINUTE_NS, START_NS + 9 * MINUTE_NS, FILE) == first
        assert store.drop(SPY, END_OF_TIME_NS, START_OF_TIME_NS, FILE) == first
        assert store.drop(SPY, START_OF_TIME_NS, START_NS, FILE) == first

    def test_what_is_not_there_cannot_be_dropped(self, store: Store) -> None:
        with pytest.raises(NotRecordedError):
            store.drop(SPY, 0, 1, FILE)

    # Versions

    def test_versions_count_from_one_and_carry_their_manifest(
        self, store: Store, clock: FakeClock
    ) -> None:
        first = store.write(bars([0]), Manifest("file a.csv", {"zone": "UTC", "note": "ä\n'x'"}))
        clock.now_ns += HOUR_NS
        second = store.write(bars([1]), Manifest("file b.csv"))
        assert store.versions(SPY) == [first, second]
        assert [str(v.pin) for v in (first, second)] == ["XNYS:SPY/1m@1", "XNYS:SPY/1m@2"]
        assert (first.source, second.source) == ("file a.csv", "file b.csv")
        assert first.details == {"zone": "UTC", "note": "ä\n'x'"}
        assert (first.created_ns, second.created_ns) == (clock.now_ns - HOUR_NS, clock.now_ns)

    def test_a_series_never_written_has_no_versions(self, store: Store) -> None:
        assert store.versions(SPY) == []

    def test_old_versions_stay_as_they_were(self, store: Store) -> None:
        store.write(bars(range(5)), FILE)
        store.write(bars(range(5), 99.0), FILE)
        store.write(bars([7]), FILE)
        assert everything(store, "XNYS:SPY/1m@1") == bars(range(5))
        assert everything(store, "XNYS:SPY/1m@2") == bars(range(5), 99.0)

    def test_the_checksum_is_of_the_content_alone(self, store: Store) -> None:
        whole = store.write(bars(range(0, 100_000, 500)), FILE).checksum
        assert whole == merge.checksum(merge.blocks(bars(range(0, 100_000, 500))))
        store.write(bars([3]), FILE)
        at = START_NS + 3 * MINUTE_NS
        assert store.drop(SPY, at, at + 1, FILE).checksum == whole

    def test_a_clock_set_back_leaves_versions_in_order(
        self, store: Store, clock: FakeClock
    ) -> None:
        first = store.write(bars([0]), FILE)
        clock.now_ns -= DAY_NS
        assert store.write(bars([1]), FILE).created_ns == first.created_ns

    # Names

    def test_a_series_means_its_newest_version(self, store: Store) -> None:
        store.write(bars([0]), FILE)
        store.write(bars([1]), FILE)
        assert store.resolve("XNYS:SPY/1m") == Pin(SPY, 2)
        assert store.resolve("XNYS:SPY/1m@1") == Pin(SPY, 1)

    def test_as_of_means_the_newest_version_known_then(
        self, store: Store, clock: FakeClock
    ) -> None:
        first_ns = clock.now_ns
        store.write(bars([0]), FILE)
        clock.now_ns += HOUR_NS
        store.write(bars([1]), FILE)
        assert store.resolve("XNYS:SPY/1m", as_of_ns=first_ns) == Pin(SPY, 1)
        assert store.resolve("XNYS:SPY/1m", as_of_ns=clock.now_ns - 1) == Pin(SPY, 1)
        assert store.resolve("XNYS:SPY/1m", as_of_ns=clock.now_ns) == Pin(SPY, 2)
        with pytest.raises(NotRecordedError, match="after the moment asked for"):
            store.resolve("XNYS:SPY/1m", as_of_ns=first_ns - 1)
        with pytest.raises(NotRecordedError, match="after the moment asked for"):
            store.resolve("XNYS:SPY/1m@2", as_of_ns=first_ns)

    def test_what_is_not_there_cannot_be_named(self, store: Store) -> None:
        with pytest.raises(NotRecordedError, match="nothing is stored of XNYS:SPY/1m") as empty:
            store.resolve("XNYS:SPY/1m")
        assert "openbell data import" in empty.value.hint
        store.write(bars([0], series="XNYS:SPX/1m"), FILE)
        with pytest.raises(NotRecordedError) as close:
            store.resolve("XNYS:SPY/1m")
        assert close.value.hint == "did you mean XNYS:SPX/1m?"
        with pytest.raises(NotRecordedError, match="no version is called `march`"):
            store.resolve("march")
        with pytest.raises(NotRecordedError, match="XNYS:SPX/1m has no version 2"):
            store.resolve("XNYS:SPX/1m@2")

    @pytest.mark.parametrize(
        "ref", ["XNYS:SPY", "XNYS:SPY/7m", "XNYS:SPY/1m@0", "XNYS:SPY/1m@x", "XNYS:SPY/1m@"]
    )
    def test_a_ref_that_names_nothing_possible_is_refused(self, store: Store, ref: str) -> None:
        with pytest.raises(UsageError):
            store.resolve(ref)

    def test_versions_that_are_not_there_cannot_be_read(self, store: Store) -> None:
        store.write(bars([0]), FILE)
        for pin in (Pin(SPY, 2), Pin(SPY, 0), Pin(Series.parse("XNYS:X/1m"), 1)):
            with pytest.raises(NotRecordedError):
                store.read(pin, 0, 1)
            with pytest.raises(NotRecordedError):
                store.info(pin)

    def test_a_pin_names_a_version_for_good(self, store: Store) -> None:
        pin = store.write(bars([0]), FILE).pin
        store.pin("march-2011", pin)
        store.pin("april", pin)
        store.pin("march-2011", pin)
        later = store.write(bars([1]), FILE).pin
        assert store.resolve("march-2011") == pin
        assert list(store.pins().items()) == [("april", pin), ("march-2011", pin)]
        with pytest.raises(UsageError, match="already names XNYS:SPY/1m@1"):
            store.pin("march-2011", later)

    @pytest.mark.parametrize("name", ["XNYS:SPY", "a/b", "a@1", "", "..", "a b"])
    def test_a_name_that_could_be_something_else_is_refused(self, store: Store, name: str) -> None:
        pin = store.write(bars([0]), FILE).pin
        with pytest.raises(UsageError, match="cannot name a version"):
            store.pin(name, pin)

    def test_a_version_that_is_not_there_cannot_be_pinned(self, store: Store) -> None:
        with pytest.raises(NotRecordedError):
            store.pin("march", Pin(SPY, 1))
        assert store.pins() == {}

    # Listing and comparing

    def test_series_and_instruments_are_listed_in_order(self, store: Store) -> None:
        assert store.list_series() == []
        names = ["XNYS:SPY/1m", "XNYS:SPY/1d", "XNAS:AAPL/1m.mid", "MY_VENUE:a-b.C_d+=^/1m"]
        for name in names:
            store.write(bars([0], series=name), FILE)
        assert [str(s) for s in store.list_series()] == sorted(names)
        found = [str(i) for i in store.list_instruments()]
        assert found == ["MY_VENUE:a-b.C_d+=^", "XNAS:AAPL", "XNYS:SPY"]

    def test_info_tells_count_and_ends_of_each_version(self, store: Store) -> None:
        first = store.write(bars([5, 60_000]), FILE).pin
        second = store.write(bars([0, 60_000], 99.0), FILE).pin
        info = store.info(first)
        last_ns = START_NS + 60_000 * MINUTE_NS
        assert (info.rows, info.first_ns, info.last_ns) == (2, START_NS + 5 * MINUTE_NS, last_ns)
        assert (store.info(second).rows, store.info(second).first_ns) == (3, START_NS)
        third = store.drop(SPY, START_OF_TIME_NS, END_OF_TIME_NS, FILE).pin
        assert (store.info(third).rows, store.info(third).first_ns, third.version) == (0, 0, 3)

    def test_diff_tells_what_changed_between_two_versions(self, store: Store) -> None:
        store.write(bars([0, 1, 2]), FILE)
        store.drop(SPY, START_NS, START_NS + 1, FILE)
        store.write(bars([2], 99.0).joined([bars([2], 99.0), bars([9])]), FILE)
        diff = store.diff(Pin(SPY, 1), Pin(SPY, 3))
        assert diff.added == bars([9])
        assert diff.removed == bars([0])
        assert diff.revised_before == bars([0, 1, 2]).take([2])
        assert diff.revised_after == bars([2], 99.0)
        back = store.diff(Pin(SPY, 3), Pin(SPY, 1))
        assert (back.added, back.removed) == (diff.removed, diff.added)
        assert (back.revised_before, back.revised_after) == (
            diff.revised_after,
            diff.revised_before,
        )

    def test_diff_of_trades_counts_repeats(self, store: Store) -> None:
        a, b = (0, 1.0, 1.0), (0, 2.0, 1.0)
        first = store.write(trades(a, b), FILE).pin
        second = store.write(trades(a, a, b), FILE).pin
        diff = store.diff(first, second)
        assert diff.added == trades(a)
        assert (len(diff.removed), len(diff.revised_before), len(diff.revised_after)) == (0, 0, 0)

    def test_versions_of_different_series_are_not_compared(self, store: Store) -> None:
        one = store.write(bars([0]), FILE).pin
        other = store.write(bars([0], series="XNYS:SPX/1m"), FILE).pin
        with pytest.raises(UsageError, match="different series"):
            store.diff(one, other)

    # Keeping house

    def test_compaction_changes_no_content(self, store: Store) -> None:
        for minute in range(6):
            store.write(bars([5 - minute], 90.0 + minute), FILE)
        before = [everything(store, f"XNYS:SPY/1m@{n}") for n in range(1, 7)]
        versions = store.versions(SPY)
        store.compact(SPY)
        store.compact(SPY)
        assert store.versions(SPY) == versions
        assert [everything(store, f"XNYS:SPY/1m@{n}") for n in range(1, 7)] == before
        assert store.write(bars([6]), FILE).pin.version == 7

    def test_vacuum_keeps_the_newest_the_pinned_and_the_young(
        self, store: Store, clock: FakeClock
    ) -> None:
        for day in range(5):
            store.write(bars([0, 1], 100.0 + day), FILE)
            clock.now_ns += DAY_NS
        store.pin("first", Pin(SPY, 1))
        # Now is the end of the fifth day: version 4 is two days old, version 5 one day.
        gone = store.vacuum(SPY, keep_days=2)
        assert gone == [2, 3]
        for number in (1, 4, 5):
            assert everything(store, f"XNYS:SPY/1m@{number}") == bars([0, 1], 99.0 + number)
        for number in gone:
            with pytest.raises(StoreError, match=f"XNYS:SPY/1m@{number} was vacuumed"):
                everything(store, f"XNYS:SPY/1m@{number}")
        with pytest.raises(StoreError, match="was vacuumed"):
            store.pin("second", Pin(SPY, 2))
        assert len(store.versions(SPY)) == 5
        assert store.vacuum(SPY, keep_days=0) == [2, 3, 4]
        assert store.write(bars([2]), FILE).rows == 3

    def test_keeping_house_needs_something_stored(self, store: Store) -> None:
        with pytest.raises(NotRecordedError):
            store.compact(SPY)
        with pytest.raises(NotRecordedError):
            store.vacuum(SPY, keep_days=1)
        for keep_days in (-1.0, NAN):
            with pytest.raises(UsageError):
                store.vacuum(SPY, keep_days=keep_days)

    def test_stored_rows_do_not_change_with_the_arrays_they_came_from(self, store: Store) -> None:
        prices = np.array([1.0])
        zeros = np.zeros(1, np.int64)
        series = Series.parse("XNYS:SPY/trades")
        time_ns = np.array([START_NS])
        store.write(Trades(series, time_ns, prices, prices, zeros, zeros), FILE)
        prices[0] = 2.0
        assert everything(store, "XNYS:SPY/trades").columns()["price"].tolist() == [1.0]
