"""How these tests live: arrivals by hand, a recording in memory, and what became of them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from openbell.market.arrivals import (
    ASKED,
    BAR,
    NO_SERIES,
    QUOTE,
    RECORD_BYTES,
    STOPPED,
    TRADE,
    Arrival,
    five,
    pack,
    unpack,
)
from openbell.market.calendars import Calendar, calendar, override_hours
from openbell.market.instrument import Series
from openbell.market.moments import MINUTE_NS, SECOND_NS
from openbell.ports import RecordingHeader
from openbell.replay.intake import Played
from openbell.replay.live import as_settings, live_plan, live_supply, rules_of
from openbell.replay.rules import Rules
from openbell.replay.system import System
from openbell.stores.memory import MemoryStore
from tests.replay.playing import at

SPY = Series.parse("XNYS:SPY/1m")
PRINTS = Series.parse("XNYS:SPY/trades")
TICKS = Series.parse("XNYS:SPY/quotes")
COIN = Series.parse("COINBASE:BTCUSD/1m")
COIN_PRINTS = Series.parse("COINBASE:BTCUSD/trades")
DAY = "2019-06-03"
OPEN_NS = at(f"{DAY}T14:00Z")  # 10:00 in New York
CLOSE_NS = at(f"{DAY}T14:30Z")


class Kept:
    """A `Recording` in memory: the bytes as a file would have them."""

    def __init__(self, header: RecordingHeader, data: bytes = b"") -> None:
        self.header = header
        self.data = bytearray(data)
        self.appended = 0

    @property
    def checksum(self) -> str:
        return ""

    def announce(self, series: Series) -> None:
        head = self.header
        self.header = replace(head, series=(*head.series, series), added=head.added + 1)

    def append(self, arrivals: Sequence[Arrival]) -> None:
        self.data += pack(arrivals, len(self.data) // RECORD_BYTES)
        self.appended += 1

    def read(self) -> Iterator[Sequence[Arrival]]:
        yield unpack(bytes(self.data), 0)

    def close(self) -> None:
        pass

    @property
    def arrivals(self) -> list[Arrival]:
        return unpack(bytes(self.data), 0)

    def torn(self, at_byte: int) -> "Kept":
        """What a kill leaves, in the middle of writing."""
        return Kept(self.header, bytes(self.data[:at_byte]))


def header(
    *series: Series, start: str | int = OPEN_NS, end: str | int = CLOSE_NS, **rules: Any
) -> RecordingHeader:
    """Of a run over some series; by default half an hour of one day in New York."""
    start_ns, end_ns = (at(each) if isinstance(each, str) else each for each in (start, end))
    return RecordingHeader("a1b2", series, start_ns, end_ns, as_settings(Rules(**rules)))


@cache
def _short() -> Calendar:
    return override_hours(calendar("XNYS"), "10:00", "10:30")


def half_hours(*series: Series) -> dict[str, Calendar]:
    """Sessions from 10:00 to 10:30 in New York for instruments there."""
    return {str(s.instrument): _short() for s in series if s.instrument.venue == "XNYS"}


def replayed(recording: Kept, **plan: Any) -> System:
    """A system over a recording."""
    plan.setdefault("calendars", half_hours(*recording.header.series))
    pace = plan.pop("pace", None)
    return System(
        MemoryStore(lambda: 0),
        live_plan(recording.header, **plan),
        {},
        pace=pace,
        supply=live_supply(lambda: Played(recording), rules_of(recording.header)),
    )


def recorded(head: RecordingHeader, *arrivals: Arrival) -> Kept:
    """A recording of arrivals, in order of receipt, stopped in order after the last."""
    kept = Kept(head)
    ordered = sorted(arrivals, key=lambda each: each.receipt_ns)
    last_ns = max([OPEN_NS, *(each.receipt_ns for each in arrivals)])
    kept.append([*ordered, Arrival(NO_SERIES, STOPPED, 0, last_ns + SECOND_NS)])
    return kept


def minute(
    nth: int, *, after_s: float = 0.5, series: int = 0, close: float = 100.0, asked: bool = False
) -> Arrival:
    """The bar of a minute of the half hour, received some time after its end."""
    start_ns = OPEN_NS + nth * MINUTE_NS
    receipt_ns = start_ns + MINUTE_NS + round(after_s * SECOND_NS)
    values = five((close, close + 1, close - 1, close, nth + 1.0))
    return Arrival(series, ASKED if asked else BAR, start_ns, receipt_ns, 0, values)


def trade(
    second: float, *, after_s: float = 0.1, number: int = 0, price: float = 100.0, series: int = 0
) -> Arrival:
    """A trade some seconds after the opening, received some time later."""
    time_ns = OPEN_NS + round(second * SECOND_NS)
    receipt_ns = time_ns + round(after_s * SECOND_NS)
    return Arrival(series, TRADE, time_ns, receipt_ns, number, five((price, 1.0, 1.0)))


def quote(
    second: float, *, after_s: float = 0.1, number: int = 0, bid: float = 100.0, series: int = 0
) -> Arrival:
    """A quote some seconds after the opening, received some time later."""
    time_ns = OPEN_NS + round(second * SECOND_NS)
    receipt_ns = time_ns + round(after_s * SECOND_NS)
    return Arrival(series, QUOTE, time_ns, receipt_ns, number, five((bid, bid + 0.01, 1.0, 2.0)))
