"""Live recording: bars made of trades as they come, and what was recorded as rows of series.

What sources push goes through a `Collector` on its way into the intake: it counts, and builds the
bars of instruments whose trades come and whose bars do not. A bar is pushed when its time is
over, by the first trade after it or by the clock; a trade that still comes for it afterwards
gives the bar once more, with other values. A bar during which the connection did not stand all
the time is left out: it would be a part that looks like a whole. So built bars are arrivals like
others.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from openbell.market.arrivals import (
    ASKED,
    BAR,
    CONNECTED,
    DISCONNECTED,
    QUOTE,
    TRADE,
    Arrival,
)
from openbell.market.bars import Bar, Bars
from openbell.market.build import BarBuilder, bins
from openbell.market.calendars import Calendar, calendar
from openbell.market.clean import clean
from openbell.market.instrument import Series
from openbell.market.moments import END_OF_TIME_NS, SECOND_NS
from openbell.market.ticks import Quotes, Trade, Trades
from openbell.ports import Data, Inlet, Manifest, Recording, Store, Version

BUILT = "1m"


def with_bars(series: Sequence[Series]) -> tuple[Series, ...]:
    """The series, and minute bars of every instrument whose trades are among them and no bars."""
    have = {s.instrument for s in series if s.is_bars and s.price == "trade"}
    traded = [s.instrument for s in series if s.kind == "trades" and s.instrument not in have]
    return (*series, *(Series(each, BUILT) for each in traded))


class Received(NamedTuple):
    """What was taken of a series: how many items, and the venue's time of the last, or 0."""

    items: int = 0
    last_ns: int = 0


class Collector:
    """Stands between sources and the intake: an `Inlet` that counts and builds bars.

    Parameters
    ----------
    inlet
        Where everything goes.
    built
        Series of bars to build from the trades of their instruments.
    now_ns
        What time it is.
    skew_s
        How far the venue's clock may be ahead. A trade that is further ahead goes into no bar, as
        it is withheld from replays.
    settle_s
        How long after its end the clock waits before it finishes a bar.
    calendars
        Calendars to use instead of the venue's own, by instrument name.
    """

    def __init__(
        self,
        inlet: Inlet,
        built: Iterable[Series],
        now_ns: Callable[[], int],
        *,
        skew_s: float = 1.0,
        settle_s: float = 1.0,
        calendars: Mapping[str, Calendar] | None = None,
    ) -> None:
        self._inlet = inlet
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._received: dict[Series, Received] = {}
        self._skew_ns, self._settle_ns = round(skew_s * SECOND_NS), round(settle_s * SECOND_NS)
        self._made = {
            Series(each.instrument, "trades"): _Made(each, calendars or {}) for each in built
        }

    def push(
        self,
        series: Series,
        what: int,
        venue_ns: int = 0,
        values: Sequence[float] = (),
        sequence: int = 0,
    ) -> bool:
        """As `ports.Inlet.push`."""
        wanted = self._inlet.push(series, what, venue_ns, values, sequence)
        if wanted and what <= ASKED:
            self._count(series, venue_ns)
        made = self._made.get(series)
        if made is None:
            return wanted
        with self._lock:
            latest_ns = self._now_ns() + self._skew_ns
            if what == TRADE and venue_ns <= latest_ns:
                return self._give(made.series, made.add(venue_ns, values, sequence)) and wanted
            if what in {CONNECTED, DISCONNECTED}:
                made.whole_ns = latest_ns if what == CONNECTED else END_OF_TIME_NS
        return wanted

    def fail(self, series: Series, error: Exception) -> None:
        """As `ports.Inlet.fail`; bars built from the series fail with it."""
        self._inlet.fail(series, error)
        if series in self._made:
            self._inlet.fail(self._made[series].series, error)

    def tick(self) -> None:
        """Finish the bars that are over by now. To be called some times a second."""
        with self._lock:
            by_ns = self._now_ns() - self._settle_ns
            for made in self._made.values():
                self._give(made.series, made.over(by_ns))

    def received(self, series: Series) -> Received:
        """What came of a series so far."""
        return self._received.get(series, Received())

    def left_out(self, series: Series) -> int:
        """How many built bars of a series were left out, for they were no wholes."""
        made = self._made.get(Series(series.instrument, "trades"))
        return made.left_out if made is not None and made.series == series else 0

    def _count(self, series: Series, venue_ns: int) -> None:
        self._received[series] = Received(self.received(series).items + 1, venue_ns)

    def _give(self, series: Series, bars: Iterable[Bar]) -> bool:
        wanted = True
        for bar in bars:
            values = bar.open, bar.high, bar.low, bar.close, bar.volume
            wanted = self._inlet.push(series, BAR, bar.start_ns, values)
            if wanted:
                self._count(series, bar.start_ns)
        return wanted


class _Made:
    """The bars of one instrument, built from those trades that are in order.

    Attributes
    ----------
    whole_ns
        Since when the connection stands: bars that start before are no wholes.
    left_out
        How many bars were no wholes.
    """

    def __init__(self, series: Series, calendars: Mapping[str, Calendar]) -> None:
        self.series = series
        self.whole_ns = END_OF_TIME_NS
        self.left_out = 0
        self._name = str(series.instrument)
        self._builder = BarBuilder(series, calendar=calendars.get(self._name))
        self._newest_ns = 0
        self._highest = 0
        self._told: Bar | None = None

    def add(self, time_ns: int, values: Sequence[float], number: int) -> list[Bar]:
        """Take a trade in; the bars that are finished by it.

        As in replays, trades older than the newest and those that are corrupt are left out.
        """
        price, size = values[0], values[1]
        if not isfinite(price + size) or size < 0:
            return []
        if time_ns < self._newest_ns or 0 < number <= self._highest:
            return []
        self._newest_ns, self._highest = time_ns, max(number, self._highest)
        return self._news(self._builder.add(Trade(self._name, time_ns, price, size, 0)))

    def over(self, by_ns: int) -> list[Bar]:
        """The bar in progress, if it had ended by a moment. It stays open for trades to come."""
        bar = self._builder.in_progress()
        return self._news([bar]) if bar is not None and bar.end_ns <= by_ns else []

    def _news(self, bars: list[Bar]) -> list[Bar]:
        """Those that were not told before, with these values; only wholes."""
        found = []
        for bar in bars:
            if bar == self._told:
                continue
            again = self._told is not None and self._told.start_ns == bar.start_ns
            self._told = bar
            if bar.start_ns >= self.whole_ns:
                found.append(bar)
            elif not again:
                self.left_out += 1
        return found


# Into the store


def recorded(recording: Recording) -> dict[Series, Data]:
    """What came of each series of a recording, as rows fit to be stored, in order of the header.

    Of bars that came more than once the last values hold, of trades with one venue's number the
    first, of quotes that say the same as the one before the first. What breaks a rule of its kind
    is left out, as in every import; what is only withheld from replays is not.
    """
    series = recording.header.series
    items: list[list[Arrival]] = [[] for _ in series]
    for block in recording.read():
        for arrival in block:
            if arrival.what <= ASKED:
                items[arrival.series].append(arrival)
    return {
        s: clean(_rows(s, list(_once(found)))).data for s, found in zip(series, items, strict=True)
    }


def store_recorded(recording: Recording, store: Store, source: str) -> list[Version]:
    """Bring what was recorded into a store, a version a series; doing it again makes no new one.

    Parameters
    ----------
    source
        What the manifests name as the source: the address it came from.
    """
    header = recording.header
    details = {"recording": header.id, "checksum": recording.checksum}
    return [
        store.write(data, Manifest(source, details))
        for data in recorded(recording).values()
        if len(data)
    ]


def _once(found: Iterable[Arrival]) -> Iterator[Arrival]:
    """Leave out what came again: by number, or of quotes without one by what they say."""
    numbers: set[int] = set()
    before: Any = None
    for arrival in found:
        says = (arrival.venue_ns, arrival.values)
        is_again = arrival.sequence in numbers or (
            arrival.what == QUOTE and not arrival.sequence and says == before
        )
        before = says
        if not is_again:
            yield arrival
        if arrival.sequence:
            numbers.add(arrival.sequence)


def _rows(series: Series, found: Sequence[Arrival]) -> Data:
    time_ns = np.array([arrival.venue_ns for arrival in found], np.int64)
    a, b, c, d, e = np.array([arrival.values for arrival in found]).reshape(-1, 5).T
    label = np.zeros(len(found), np.int64)
    if series.kind == "trades":
        return Trades(series, time_ns, a, b, c.astype(np.int64), label)
    if series.kind == "quotes":
        return Quotes(series, time_ns, a, b, c, d, label)
    place = series.instrument.place
    begin_ns, end_ns = bins(
        time_ns, series.timeframe, anchor=place.anchor, calendar=calendar(place.calendar)
    )
    # A bar off the grid is stored as wide as it says it is.
    end_ns = np.where(begin_ns == time_ns, end_ns, time_ns + series.timeframe.width_ns)
    return Bars(series, time_ns, end_ns, a, b, c, d, e, label)
