"""What a replay plays: pins, range, hours, and what is kept at hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from openbell.market.calendars import Calendar, calendar
from openbell.market.instrument import Instrument, Pin, Series
from openbell.market.moments import MINUTE_NS


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What to play.

    Attributes
    ----------
    pins
        Versions of series: base bars, trades, quotes; at most one of a kind per instrument.
        Instruments are registered in the order in which they first occur.
    start_ns, end_ns
        The range, half-open. A session that is open at the start is caught up from its open:
        what was known by then is there, but nobody is called for it.
    labels
        First session label, and the one before which the last lies; empty for no bound.
    extended
        Whether sessions are played from pre-market to post-market.
    derived
        Timeframes built from base bars, for every instrument that has bars.
    trailing
        How many finished sessions are kept at hand before the current one.
    history
        How many rows of every track stay visible behind the present one.
    sessions_per_chunk
        How many sessions are prepared at once; 0 lets the size of the data decide. Changes
        nothing but speed and memory.
    prefetch
        How many chunks are prepared ahead, beside the replay; 0 prepares each when its turn
        comes. Changes nothing but speed and memory.
    calendars
        Calendars to use instead of the venue's own, by instrument name.
    fill
        Versions of series from which missing bars are filled, asked in this order: bars of the
        base's timeframe, of the instrument or of another venue's with the same symbol, and
        trades, from which bars are rebuilt. Empty to leave gaps as they are.
    check_ns
        Session time between two checks for missing bars, counted from the open.
    retries
        How often a bar that is not found is asked for again.
    cancelled
        By series, the moment after which nothing of it is played.
    """

    pins: tuple[Pin, ...]
    start_ns: int
    end_ns: int
    labels: tuple[str, str] = ("", "")
    extended: bool = False
    derived: tuple[str, ...] = ()
    trailing: int = 0
    history: int = 500
    sessions_per_chunk: int = 0
    prefetch: int = 1
    calendars: Mapping[str, Calendar] = field(default_factory=dict)
    fill: tuple[Pin, ...] = ()
    check_ns: int = MINUTE_NS
    retries: int = 5
    cancelled: Mapping[Series, int] = field(default_factory=dict)

    def calendar_of(self, instrument: Instrument) -> Calendar:
        """Whose sessions an instrument has."""
        return self.calendars.get(str(instrument)) or calendar(instrument.place.calendar)

    def with_pin(self, pin: Pin) -> "ReplayPlan":
        """The same, and one stream more; it has the hours of the others of its calendar."""
        new = pin.series.instrument
        played = (each.series.instrument for each in self.pins)
        alike = [each for each in played if each.place.calendar == new.place.calendar]
        hours = {str(new): self.calendar_of(alike[0])} if alike else {}
        return replace(self, pins=(*self.pins, pin), calendars={**hours, **self.calendars})
