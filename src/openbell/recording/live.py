"""Live recording: bars made of trades as they come, and what was recorded as rows of series.

Whatever is received goes through a `Collector` before it is recorded: it counts, and builds the
bars of instruments whose trades come and whose bars do not. A bar is received when its time is
over, with the first trade after it or by the clock; a trade that still comes for it afterwards
gives the bar once more, with other values. A bar during which the connection did not stand all
the time is left out: it would be a part that looks like a whole. So built bars are arrivals like
others.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from openbell.market.arrivals import (
    ASKED,
    BAR,
    CONNECTED,
    DISCONNECTED,
    NO_SERIES,
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
from openbell.ports import Data, Manifest, Recording, Store, Version

BUILT = "1m"
_SETTLE_NS = SECOND_NS  # how long after its end the clock waits before it finishes a bar


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
    """Looks through what is received: counts it, and builds bars.

    Parameters
    ----------
    built
        Series of bars to build from the trades of their instruments.
    skew_s
        How far the venue's clock may be ahead. A trade that is further ahead goes into no bar, as
        it is withheld from replays.
    calendars
        Calendars to use instead of the venue's own, by instrument name.
    """

    def __init__(
        self,
        built: Iterable[Series] = (),
        *,
        skew_s: float = 1.0,
        calendars: Mapping[str, Calendar] | None = None,
    ) -> None:
        self._received: dict[Series, Received] = {}
        self._skew_ns = round(skew_s * SECOND_NS)
        self._made: dict[Series, _Made] = {}
        for series in built:
            self.build(series, (calendars or {}).get(str(series.instrument)))

    def build(self, series: Series, calendar: Calendar | None = None) -> None:
        """Build these bars, too, from what is received from now on."""
        made = _Made(series, calendar)
        self._made = {**self._made, Series(series.instrument, "trades"): made}

    @property
    def due_ns(self) -> int:
        """When a bar is finished by the clock; `END_OF_TIME_NS` if none is begun."""
        ends = (made.end_ns for made in self._made.values())
        return min((end_ns + _SETTLE_NS for end_ns in ends if end_ns), default=END_OF_TIME_NS)

    def collect(self, arrivals: Sequence[Arrival], series: Sequence[Series]) -> list[Arrival]:
        """The bars that are received with the arrivals of one instant.

        Parameters
        ----------
        series
            By ordinal.
        """
        receipt_ns = arrivals[0].receipt_ns
        bars: list[tuple[Series, Bar]] = []
        for arrival in arrivals:
            if arrival.series == NO_SERIES:
                continue
            one = series[arrival.series]
            if arrival.what <= ASKED:
                self._count(one, arrival.venue_ns)
            if (made := self._made.get(one)) is not None:
                bars += made.take(arrival, receipt_ns + self._skew_ns)
        for made in self._made.values():
            bars += made.over(receipt_ns - _SETTLE_NS)
        for one, bar in bars:
            self._count(one, bar.start_ns)
        return [
            Arrival(series.index(one), BAR, bar.start_ns, receipt_ns, 0, bar.ohlcv)
            for one, bar in bars
        ]

    def built_of(self, series: Series) -> list[Series]:
        """The bars that are built from a series; none, or one."""
        return [self._made[series].series] if series in self._made else []

    def received(self, series: Series) -> Received:
        """What came of a series so far."""
        return self._received.get(series, Received())

    def left_out(self, series: Series) -> int:
        """How many built bars of a series were left out, for they were not whole."""
        made = self._made.get(Series(series.instrument, "trades"))
        return made.left_out if made is not None and made.series == series else 0

    def _count(self, series: Series, venue_ns: int) -> None:
        self._received[series] = Received(self.received(series).items + 1, venue_ns)


class _Made:
    """The bars of one instrument, built from those trades that are in order.

    Attributes
    ----------
    whole_ns
        Since when the connection stands: bars that start before are not whole.
    left_out
        How many bars were not whole.
    """

    def __init__(self, series: Series, calendar: Calendar | None) -> None:
        self.series = series
        self.whole_ns = END_OF_TIME_NS
        self.left_out = 0
        self._name = str(series.instrument)
        self._builder = BarBuilder(series, calendar=calendar)
        self._newest_ns = 0
        self._highest = 0
        self._told: Bar | None = None

    @property
    def end_ns(self) -> int:
        """When the bar in progress is over, if that was not told yet; else 0."""
        bar = self._builder.in_progress()
        return bar.end_ns if bar is not None and bar != self._told else 0

    def take(self, arrival: Arrival, latest_ns: int) -> list[tuple[Series, Bar]]:
        """Take a trade or a note in; the bars that are finished by it.

        As in replays, trades that are later than a moment are left out, and so are those older
        than the newest and those that are corrupt.
        """
        _, what, time_ns, _, number, values = arrival
        if what in {CONNECTED, DISCONNECTED}:
            self.whole_ns = latest_ns if what == CONNECTED else END_OF_TIME_NS
        if what != TRADE or time_ns > latest_ns:
            return []
        price, size = values[0], values[1]
        if not isfinite(price + size) or size < 0:
            return []
        if time_ns < self._newest_ns or 0 < number <= self._highest:
            return []
        self._newest_ns, self._highest = time_ns, max(number, self._highest)
        return self._news(self._builder.add(Trade(self._name, time_ns, price, size, 0)))

    def over(self, by_ns: int) -> list[tuple[Series, Bar]]:
        """The bar in progress, if it had ended by a moment. It stays open for trades to come."""
        bar = self._builder.in_progress()
        return self._news([bar]) if bar is not None and bar.end_ns <= by_ns else []

    def _news(self, bars: list[Bar]) -> list[tuple[Series, Bar]]:
        """Those that were not told before, with these values; only wholes."""
        found = []
        for bar in bars:
            if bar == self._told:
                continue
            again = self._told is not None and self._told.start_ns == bar.start_ns
            self._told = bar
            if bar.start_ns >= self.whole_ns:
                found.append((self.series, bar))
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
    items: defaultdict[int, list[Arrival]] = defaultdict(list)
    for block in recording.read():
        for arrival in block:
            if arrival.what <= ASKED:
                items[arrival.series].append(arrival)
    return {
        series: clean(_rows(series, list(_once(items[ordinal])))).data
        for ordinal, series in enumerate(recording.header.series)
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
