"""What every store of recordings must do. One suite, run against each."""

from dataclasses import replace

import pytest

from openbell.market.arrivals import BAR, QUOTE, REGISTERED, STOPPED, TRADE, Arrival
from openbell.market.errors import NotRecordedError, UsageError
from openbell.market.instrument import Series
from openbell.ports import RecordingHeader, RecordingStore

SERIES = tuple(map(Series.parse, ("XNYS:SPY/trades", "XNYS:SPY/quotes", "XNYS:SPY/1m")))
NEW = Series.parse("XNAS:QQQ/1m")


def header(recording_id: str = "3f9a02c1", start_ns: int = 10**18) -> RecordingHeader:
    return RecordingHeader(
        recording_id, SERIES, start_ns, start_ns + 10**13, {"rules": {"skew_s": 1.5}, "ä": [1]}
    )


def arrivals(count: int = 3, begin: int = 0) -> list[Arrival]:
    kinds = ((0, TRADE), (1, QUOTE), (2, BAR))
    return [
        Arrival(*kinds[k % 3], 10**18 + k, 10**18 + 2 * k, k, (0.1 + 0.2, float(k), -1.0, 0.0, 5.0))
        for k in range(begin, begin + count)
    ]


class RecordingStoreContract:
    """Subclass this and give it a `recordings` fixture."""

    def test_what_was_appended_is_read_in_order(self, recordings: RecordingStore) -> None:
        made = recordings.create(header())
        made.append(arrivals(2))
        made.append([])
        made.append(arrivals(5_000, 2))
        made.append([Arrival(0xFFFF, STOPPED, 0, 2 * 10**18)])
        expected = [*arrivals(5_002), Arrival(0xFFFF, STOPPED, 0, 2 * 10**18)]
        assert [a for block in made.read() for a in block] == expected
        made.close()
        made.close()
        found = recordings.open("3f9a")
        assert found.header == header()
        assert [a for block in found.read() for a in block] == expected

    def test_the_checksum_tells_header_and_arrivals(self, recordings: RecordingStore) -> None:
        sums = []
        for name, count, start in (("aaaa", 3, 0), ("aaab", 4, 0), ("aaac", 3, 1)):
            made = recordings.create(header(name, start))
            made.append(arrivals(count))
            made.close()
            sums.append(recordings.open(name).checksum)
        assert len(set(sums)) == 3
        assert recordings.open("aaaa").checksum == sums[0]

    def test_a_series_announced_while_it_is_written_is_in_its_header(
        self, recordings: RecordingStore
    ) -> None:
        made = recordings.create(header())
        made.append(arrivals(2))
        before = recordings.open("3f9a").checksum
        made.announce(NEW)
        made.append([Arrival(3, REGISTERED, 0, 10**18 + 5)])
        grown = replace(header(), series=(*SERIES, NEW), added=1)
        assert (grown.at_start, header().at_start) == (SERIES, SERIES)
        assert made.header == recordings.open("3f9a").header == grown
        assert recordings.list_recordings() == [grown]
        with pytest.raises(UsageError, match="is announced already"):
            made.announce(NEW)
        made.close()
        assert recordings.open("3f9a").checksum == made.checksum != before

    def test_an_id_is_given_once(self, recordings: RecordingStore) -> None:
        recordings.create(header()).close()
        with pytest.raises(UsageError, match="3f9a02c1"):
            recordings.create(header())

    def test_what_is_recorded_takes_nothing_more(self, recordings: RecordingStore) -> None:
        recordings.create(header()).close()
        with pytest.raises(UsageError, match="not being written"):
            recordings.open("3f9a02c1").append(arrivals(1))
        with pytest.raises(UsageError, match="not being written"):
            recordings.open("3f9a02c1").announce(NEW)
        assert recordings.open("3f9a02c1").header == header()

    def test_recordings_are_listed_newest_first(self, recordings: RecordingStore) -> None:
        for name, start in (("aaaa", 5), ("bbbb", 7), ("cccc", 6)):
            recordings.create(header(name, start)).close()
        assert [h.id for h in recordings.list_recordings()] == ["bbbb", "cccc", "aaaa"]

    def test_an_unknown_or_ambiguous_id_is_refused(self, recordings: RecordingStore) -> None:
        for name in ("abcd01", "abcd02"):
            recordings.create(header(name)).close()
        with pytest.raises(NotRecordedError, match="ffff"):
            recordings.open("ffff")
        with pytest.raises(UsageError, match="abcd is the beginning of 2"):
            recordings.open("abcd")

    def test_a_forgotten_recording_is_gone(self, recordings: RecordingStore) -> None:
        recordings.create(header()).close()
        recordings.delete("3f9a02c1")
        assert not recordings.list_recordings()
        with pytest.raises(NotRecordedError):
            recordings.delete("3f9a02c1")
