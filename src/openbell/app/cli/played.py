"""What the player knows: all that was released so far, of every instrument."""

from datetime import tzinfo

from openbell.market.bars import Bar
from openbell.market.instrument import Series
from openbell.market.moments import MINUTE_NS
from openbell.market.session import Session
from openbell.market.ticks import Quotes, Trades
from openbell.market.zones import zone_info
from openbell.replay.pacing import Pace
from openbell.replay.session_data import InstrumentData, SessionData
from openbell.replay.slices import Slice
from openbell.replay.system import System


class Known:
    """What was released of one instrument in the present session.

    Attributes
    ----------
    bars
        In order; of ticks without bars, one a minute.
    volume
        Of all of them.
    completeness
        0 to 1.
    ticks
        Moments with ticks, where there are no bars.
    """

    def __init__(self, book: SessionData, data: InstrumentData) -> None:
        self.book, self.data = book, data
        self.bars: list[Bar] = []
        self.volume = 0.0
        self.completeness = 1.0
        self.ticks = 0

    @property
    def bar_ns(self) -> int:
        """How long its bars are; a minute, where it has none or they are sessions long."""
        if not self.data.has_bars:
            return MINUTE_NS
        return Series(self.data.instrument, self.data.base).timeframe.width_ns or MINUTE_NS

    @property
    def zone(self) -> tzinfo:
        """Its venue's."""
        return zone_info(self.data.instrument.place.zone)

    def add(self, bar: Bar) -> None:
        """A bar that became known."""
        self.bars.append(bar)
        self.volume += bar.volume

    def keep(self, bars: list[Bar]) -> None:
        """Know these bars and no others."""
        self.bars = bars
        self.volume = sum(bar.volume for bar in bars)

    def tick(self, name: str, moment_ns: int, price: float, size: float) -> None:
        """A tick, where there are no bars: into the bar of its minute."""
        self.ticks += 1
        start_ns = moment_ns - moment_ns % MINUTE_NS
        high = low = first = price
        if self.bars and self.bars[-1].start_ns == start_ns:
            before = self.bars.pop()
            self.volume -= before.volume
            first, high, low = before.open, max(before.high, price), min(before.low, price)
            size += before.volume
        self.add(Bar(name, start_ns, start_ns + MINUTE_NS, first, high, low, price, size))


class Played:
    """A replay as far as it was played, and the instrument that is looked at.

    Attributes
    ----------
    known
        By instrument, as registered; what joins a recording comes last.
    at_ns
        The newest slice, or the moment somebody went back to; 0 before there is one.
    chosen
        Which of `known` is looked at.
    """

    def __init__(self, system: System, pace: Pace) -> None:
        self.system, self.pace = system, pace
        known = {n: Known(book, book[n]) for book in system.session_data for n in book}
        self.known = {name: known[name] for name in system.names}
        self.at_ns = 0
        self.chosen = 0
        self._went_back = False
        self._sessions: dict[str, Session | None] = {}

    @property
    def shown(self) -> Known:
        """The instrument that is looked at."""
        return list(self.known.values())[self.chosen]

    @property
    def session(self) -> Session | None:
        """Its session; the last one, when that is over."""
        book = self.shown.book
        # One that is open may have no slice yet.
        return book.session or self._sessions.get(book.calendar)

    @property
    def now_ns(self) -> int:
        """Where the clock stands: between two slices it goes on."""
        return max(self.pace.horizon_ns, self.at_ns) or int(self.system.agenda.open_ns[0])

    def choose(self, by: int) -> None:
        """Look at another instrument, so many further down."""
        self.chosen = (self.chosen + by) % len(self.known)

    def take(self, one: Slice) -> None:
        """Know what a slice released."""
        went_back = self._went_back or one.time_ns < self.at_ns
        self.at_ns, self._went_back = one.time_ns, False
        for book in one.sessions:
            is_other = book.session != self._sessions.get(book.calendar)
            if book.session is not None and (went_back or is_other):
                self._turn(book)
            for name in book:
                data = book[name]
                if name not in self.known:
                    self.known[name] = Known(book, data)
                known = self.known[name]
                if bar := one.get(name):
                    known.add(bar)
                elif not data.has_bars:
                    self._take_ticks(name, data)
                known.completeness = data.completeness

    def go_back(self, to_ns: int) -> None:
        """Forget what came later; no slice may ever come to say so."""
        self.at_ns, self._went_back = to_ns, True
        for known in self.known.values():
            known.keep([bar for bar in known.bars if bar.end_ns <= to_ns])

    def _take_ticks(self, name: str, data: InstrumentData) -> None:
        """The newest trade, or the middle of the newest quote, if there is a new one."""
        if not data.window(data.base).is_updated:
            return
        newest = data.history(1)
        if isinstance(newest, Trades):
            price, size = newest.price.item(0), newest.size.item(0)
        else:
            assert isinstance(newest, Quotes)
            price, size = (newest.bid.item(0) + newest.ask.item(0)) / 2.0, 0.0
        self.known[name].tick(name, self.at_ns, price, size)

    def _turn(self, book: SessionData) -> None:
        """Begin a session, or be somewhere else in it: its bars before this slice are known."""
        self._sessions[book.calendar] = book.session
        for name in book:
            data = book[name]
            known = self.known[name] = Known(book, data)
            if data.has_bars:
                earlier = data.bars()
                bars = map(earlier.bar, range(len(earlier)))
                known.keep([bar for bar in bars if bar.end_ns < self.at_ns])
