"""What every live source must do, against a process that plays a real venue on loopback."""

import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest

from openbell.market.arrivals import CONNECTED, DISCONNECTED, QUOTE, SILENT, TRADE
from openbell.market.errors import UnavailableError
from openbell.market.instrument import Series
from openbell.ports import LiveSource
from tests.sources.loopback import BITCOIN, Basket, Pushed, venue
from tests.sources.venue import QUOTES, TRADES, Item, items_of

Maker = Callable[..., LiveSource]
BOTH = (TRADES, QUOTES)
KINDS = {TRADE, QUOTE}
SOON_S = 20


def data_of(basket: Basket) -> list[Pushed]:
    return [one for one in basket.pushed if one.what in KINDS]


def notes_of(basket: Basket, series: Series) -> list[int]:
    return [one.what for one in basket.pushed if one.what not in KINDS and one.series == series]


def said(one: Pushed | Item) -> tuple[Any, ...]:
    return one.series, one.values, one.number


class LiveContract:
    """Subclass this, say which protocol it `speaks`, and give it a `make` fixture."""

    speaks: str

    def take(
        self, make: Maker, most: int, *faults: str, silence_s: float = 30.0, **options: Any
    ) -> Basket:
        """What a source pushes of a venue, connecting again at once."""
        basket = Basket(most)
        options = {"speed": 30, **options}
        with venue(BITCOIN, *faults, speak=self.speaks, **options) as url:
            source = make(url, BOTH, silence_s=silence_s, wait=lambda _: None)
            source.start(basket)
            assert basket.full.wait(SOON_S), basket.pushed[-3:]
            source.stop()
        assert basket.failed == {}, basket.failed
        return basket

    def test_it_announces_what_it_brings(self, make: Maker) -> None:
        url = "tcp://127.0.0.1:1" if self.speaks == "lines" else "ws://127.0.0.1:1"
        assert list(make(url, BOTH).series()) == list(BOTH)

    def test_everything_comes_in_order_as_it_was_said(self, make: Maker) -> None:
        basket = self.take(make, 2_000)
        found, expected = data_of(basket), items_of(BITCOIN)
        assert [said(one) for one in found] == [said(one) for one in expected[: len(found)]]
        assert [one.what == TRADE for one in found] == [o.series == TRADES for o in found]
        assert all(a.venue_ns <= b.venue_ns for a, b in pairwise(trades(found)))
        assert notes_of(basket, TRADES) == notes_of(basket, QUOTES) == [CONNECTED]

    def test_a_lost_connection_is_noted_and_made_again(self, make: Maker) -> None:
        basket = self.take(make, 2_000, "disconnect", seed=3)
        for series in BOTH:
            notes = notes_of(basket, series)
            assert notes[::2] == [CONNECTED] * len(notes[::2])
            assert notes[1::2] == [DISCONNECTED] * len(notes[1::2])
            assert len(notes) >= 5
        numbers = [one.number for one in trades(data_of(basket))]
        assert numbers == sorted(set(numbers))

    @pytest.mark.parametrize("faults", [(), ("disconnect",)])
    def test_a_series_that_is_added_comes_from_then_on(
        self, make: Maker, faults: Sequence[str]
    ) -> None:
        basket = Basket(1_000 if faults else 3_000)
        with venue(BITCOIN, *faults, speak=self.speaks, speed=30, seed=3) as url:
            source = make(url, (TRADES,), wait=lambda _: None)
            with pytest.raises(UnavailableError, match="is not connected"):
                source.add(QUOTES)
            source.start(basket)
            until(lambda: len(basket.pushed) > 5)
            source.add(QUOTES)
            assert list(source.series()) == [TRADES, QUOTES]
            assert basket.full.wait(SOON_S), basket.pushed[-3:]
            source.stop()
        with pytest.raises(UnavailableError, match="is not connected"):
            source.add(QUOTES)
        found, notes = data_of(basket), notes_of(basket, QUOTES)
        first = [one.series for one in basket.pushed].index(QUOTES)
        assert basket.pushed[first].what == CONNECTED
        assert {one.what for one in found} == KINDS
        assert notes[1:] == [DISCONNECTED, CONNECTED] * (len(notes) // 2)
        assert (len(notes) > 1) == bool(faults)
        if not faults:
            later = found[[one.what for one in found].index(QUOTE) :]
            expected = [said(one) for one in items_of(BITCOIN)]
            begin = expected.index(said(later[0]))
            assert [said(one) for one in later] == expected[begin : begin + len(later)]

    def test_silence_is_noted_and_ends_the_connection(self, make: Maker) -> None:
        basket = self.take(make, 800, "silence", seed=2, speed=10, silence_s=0.7)
        notes = notes_of(basket, TRADES)
        assert notes[:4] == [CONNECTED, SILENT, DISCONNECTED, CONNECTED]

    def test_faults_of_the_venue_are_handed_on(self, make: Maker) -> None:
        basket = self.take(make, 2_000, "repeat", "disorder", "burst", "skew", seed=5)
        numbers = [one.number for one in trades(data_of(basket))]
        assert len(set(numbers)) < len(numbers)
        assert numbers != sorted(numbers)

    def test_a_slow_inlet_slows_it_down_and_loses_nothing(self, make: Maker) -> None:
        room = threading.Semaphore(50)
        basket = Basket(1_500, room=room)
        with venue(BITCOIN, speak=self.speaks, speed=200) as url:
            source = make(url, BOTH, wait=lambda _: None)
            source.start(basket)
            assert not basket.full.wait(1.0)
            assert len(basket.pushed) == 50
            room.release(10_000)
            assert basket.full.wait(SOON_S)
            source.stop()
        found, expected = data_of(basket), items_of(BITCOIN)
        assert [said(one) for one in found] == [said(one) for one in expected[: len(found)]]

    def test_it_ends_when_nothing_more_is_wanted(self, make: Maker) -> None:
        before = threading.active_count()
        basket = self.take(make, 100)
        assert 100 <= len(basket.pushed) <= 102
        assert threading.active_count() <= before

    def test_it_may_be_stopped_at_any_time(self, make: Maker) -> None:
        with venue(BITCOIN, speak=self.speaks) as url:
            source = make(url, BOTH)
            source.stop()
            basket = Basket()
            other = make(url, BOTH)
            other.start(basket)
            other.stop()
            other.stop()
        assert basket.failed == {}

    def test_a_venue_that_is_not_there_is_named(self, make: Maker) -> None:
        with venue(BITCOIN, speak=self.speaks) as url:
            source = make(url, BOTH)
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1"):
            source.start(Basket())

    def test_it_waits_ever_longer_before_it_connects_again(self, make: Maker) -> None:
        waits: list[float] = []
        reached, over = threading.Event(), threading.Event()

        def wait(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 8:
                reached.set()
                over.wait(SOON_S)

        basket = Basket()
        with venue(BITCOIN, speak=self.speaks) as url:
            source = make(url, BOTH, wait=wait)
            source.start(basket)
        assert reached.wait(SOON_S)
        stopper = threading.Thread(target=source.stop)
        stopper.start()
        over.set()
        stopper.join(SOON_S)
        assert waits[:8] == [1, 2, 4, 8, 16, 32, 60, 60]


def until(is_met: Callable[[], bool]) -> None:
    """Wait for it."""
    never = threading.Event()
    for _ in range(100 * SOON_S):
        if is_met():
            return
        never.wait(0.01)
    raise AssertionError("it did not happen")


def trades(found: Sequence[Pushed]) -> list[Pushed]:
    return [one for one in found if one.what == TRADE]
