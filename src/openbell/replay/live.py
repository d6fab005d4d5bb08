"""Live: a replay whose chunks are cut by arrival. A recording of it is played the same way.

1. Sources push into the intake (`intake.py`), which stamps, records and hands on.
2. Every arrival is judged by rule (`rules.py`) and becomes a row of its feed (`live_feeds.py`).
3. Sessions open by the clock and close when their last data is there (`turns.py`). What is
   missing is asked for again (`asking.py`).
4. What has become known is cut off as a chunk, released and sealed as in any other replay.

A series that is registered on the way plays from its registration on, which is an arrival, too.

All moments follow from the arrivals and the calendars. The instants at which nothing arrives but
something is due are arrivals, too, so that a recording tells how far the run got.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from openbell.market.arrivals import CANCELLED, CONNECTED, PASSED, REGISTERED, STOPPED, Arrival
from openbell.market.calendars import Calendar
from openbell.market.errors import BadDataError, UsageError
from openbell.market.instrument import Pin, Series
from openbell.market.moments import END_OF_TIME_NS, SECOND_NS, START_OF_TIME_NS
from openbell.market.timeframe import timeframe
from openbell.ports import RecordingHeader
from openbell.replay import kernels
from openbell.replay.agenda import Agenda
from openbell.replay.asking import Ask, Missing
from openbell.replay.chunk import Chunk, Rolled, Rows, Track, prepare
from openbell.replay.intake import Arriving, require_live
from openbell.replay.live_feeds import (
    LiveAsides,
    LiveDerived,
    LiveDerivedRevisions,
    LiveFeed,
    LiveRevisions,
)
from openbell.replay.plan import ReplayPlan
from openbell.replay.rules import Gate, Hours, Rules
from openbell.replay.supply import KINDS, Supply, SupplyMaker, in_order
from openbell.replay.turns import Turns

_Stream = LiveFeed | LiveDerived | LiveRevisions | LiveDerivedRevisions | LiveAsides


def live_plan(header: RecordingHeader, **plan: Any) -> ReplayPlan:
    """What a recording, and the live run it is made of, plays at its start.

    Parameters
    ----------
    plan
        More of a `ReplayPlan`: derived timeframes, hours, calendars.
    """
    pins = tuple(Pin(series, 1) for series in header.at_start)
    return ReplayPlan(pins, header.start_ns, header.end_ns, **plan)


def rules_of(header: RecordingHeader) -> Rules:
    """The rules a recording was made by.

    Raises
    ------
    BadDataError
        If they are not those of this version.
    """
    rules = header.settings.get("rules", {})
    known = {each.name for each in fields(Rules)}
    if not known.issuperset(rules):
        raise BadDataError(
            f"recording {header.id} was made by rules that are not known: "
            f"{', '.join(sorted(set(rules) - known))}",
            hint="play it with the version of openbell that made it",
        )
    return Rules(**rules)


def as_settings(rules: Rules) -> dict[str, Any]:
    """What a recording's header keeps of the rules; JSON-ready."""
    return {"rules": asdict(rules)}


def live_supply(
    arriving: Callable[[], Arriving], rules: Rules, ask: Ask | None = None
) -> SupplyMaker:
    """What a `System` takes to play arrivals instead of what is stored.

    Parameters
    ----------
    arriving
        Gives the intake of a live run; or a recording, from its beginning each time.
    ask
        Live: asks for bars that are missing.
    """
    return lambda plan, agenda: LiveSupply(arriving(), rules, ask, plan, agenda)


class LiveSupply(Supply):
    """The streams of a live run, prepared as they arrive.

    Parameters
    ----------
    arriving
        Where arrivals come from.
    plan, agenda
        Of the system it is for.

    Raises
    ------
    UsageError
        If the plan asks for what only stored series can give, or bars that are a day or wider.
    """

    def __init__(
        self,
        arriving: Arriving,
        rules: Rules,
        ask: Ask | None,
        plan: ReplayPlan,
        agenda: Agenda,
    ) -> None:
        _require_unfilled(plan)
        super().__init__(plan, (), agenda, ())
        self._arriving = arriving
        self.is_live = arriving.is_live
        self._rules = rules
        sessions = len(agenda.sessions)
        opens, closes = np.full((2, sessions), END_OF_TIME_NS)
        self._rolled = Rolled(opens, closes, np.zeros(sessions, np.int64))
        self._hours = [Hours(agenda.of(k)) for k in range(len(agenda.calendars))]
        self._turns = [
            Turns(own.sessions, plan.start_ns, self._rolled, rules) for own in self._hours
        ]
        self._missing = Missing(self._turns, rules, ask)
        self._now_ns = START_OF_TIME_NS
        self._feeds: list[LiveFeed] = []
        self._live: list[_Stream] = []
        self._join(plan, plan.pins)
        for feed in self._feeds[len(arriving.header.at_start) :]:
            feed.gate.is_registered = False  # it will be

    def chunks(self, after_ns: int = START_OF_TIME_NS) -> Iterator[Chunk]:
        """As `Supply.chunks`, whenever something has become known."""
        begin_ns = START_OF_TIME_NS
        try:
            for now_ns in self._as_it_comes():
                until_ns = now_ns - (self._opens_at(now_ns) and not self._is_over)
                if begin_ns < after_ns:  # read again, to be where the reading was
                    begin_ns = min(after_ns + self._opens_at(after_ns), until_ns)
                    self._take(begin_ns)
                    if begin_ns == until_ns:
                        continue
                rows = self._take(until_ns)
                if self._has_news(rows, begin_ns, until_ns):
                    tracks = [stream.track for stream in self._live]
                    yield prepare(tracks, rows, self._agenda, begin_ns, until_ns, self._rolled)
                begin_ns = until_ns
            for feed in self._feeds:
                feed.count_waiting()
        finally:
            self.close()

    def register(self, series: Series) -> None:
        """Let a series come in: a new one, or one that was cancelled.

        Raises
        ------
        UsageError
            If it cannot be played here: nothing has changed then.
        """
        if series not in self._arriving.header.series:
            self._made(series, self.plan.with_pin(Pin(series, 1)))
        self._arriving.register(series)

    def cancel(self, series: Series) -> None:
        """Let a series come in no more."""
        self._arriving.cancel(series)

    def close(self) -> None:
        """As `Supply.close`."""
        self._arriving.close()

    # What happens, in order of time

    def _as_it_comes(self) -> Iterator[int]:
        """Take in what arrives; give the moments up to which everything has happened."""
        while not self._is_over:
            arrivals = self._arriving.take(self._due_ns())
            for arrival in arrivals:
                if not self._reach(arrival.receipt_ns):
                    break
                if self._is_new(arrival):
                    yield self._now_ns - 1  # what was known before is seen without it
                    self._register(arrival.series)
                self._receive(arrival)
            self._go_to(self._now_ns)
            if not arrivals:  # broken off: what is left gets a digest, too
                self._now_ns += 1
            if not arrivals or arrivals[-1].what == STOPPED:
                for turns in self._turns:
                    turns.stop(self._now_ns)
            yield self._now_ns
            self._missing.ask_for(self._now_ns)

    @property
    def _is_over(self) -> bool:
        return all(turns.is_over for turns in self._turns)

    def _due_ns(self) -> int:
        """The next moment at which something becomes known even if nothing arrives."""
        return min(
            *(turns.due_ns(self._now_ns) for turns in self._turns),
            *(feed.due_ns for feed in self._feeds),
            *(stream.due_ns for stream in self._live if isinstance(stream, LiveDerived)),
            self._missing.due_ns,
        )

    def _receive(self, arrival: Arrival) -> None:
        if arrival.what in {PASSED, STOPPED}:
            return
        feed = self._feeds[arrival.series]
        if arrival.what < CONNECTED:
            feed.receive(arrival)
            return
        feed.note(arrival)
        if arrival.what in {REGISTERED, CANCELLED}:
            feed.gate.is_registered = arrival.what == REGISTERED
            self._turns[feed.calendar].changed_ns = arrival.receipt_ns

    def _reach(self, receipt_ns: int) -> bool:
        """Let happen what does before an arrival; say whether the run goes on until then."""
        if receipt_ns <= self._now_ns:
            return True
        self._go_to(receipt_ns - 1)
        if self._is_over:
            self._now_ns = max(turns.turned_ns for turns in self._turns)
            return False
        self._now_ns = receipt_ns
        return True

    def _go_to(self, now_ns: int) -> None:
        for turns in self._turns:
            turns.go_to(now_ns)

    # What is cut off

    def _take(self, until_ns: int) -> list[Rows]:
        taken: dict[_Stream, Rows] = {}
        for stream in self._live:
            if isinstance(stream, LiveFeed):
                taken[stream] = stream.take(until_ns, self._agenda)
            elif isinstance(stream, LiveDerived):
                taken[stream] = stream.build(taken[stream.feed], until_ns, self._agenda)
            else:
                taken[stream] = stream.rows
        return list(taken.values())

    def _opens_at(self, moment_ns: int) -> bool:
        """Whether a session opens at a moment: then it is cut before that, and never at it."""
        return bool((self._rolled.open_ns == moment_ns).any())

    def _has_news(self, rows: Iterable[Rows], begin_ns: int, until_ns: int) -> bool:
        opens, closes, _ = self._rolled
        opening = (opens >= begin_ns) & (opens < until_ns)
        closing = (closes > begin_ns) & (closes <= until_ns)
        return bool(opening.any() or closing.any() or any(len(r.known_ns) for r in rows))

    # What is played

    def _is_new(self, arrival: Arrival) -> bool:
        return arrival.what == REGISTERED and arrival.series >= len(self._feeds)

    def _register(self, ordinal: int) -> None:
        """Play one more series, from now on."""
        header = self._arriving.header
        if not len(self._feeds) == ordinal < len(header.series):
            raise BadDataError(
                f"recording {header.id} names {len(header.series)} series, and registers another",
                hint="its header is older than its arrivals: bring it back from a copy",
            )
        pin = Pin(header.series[ordinal], 1)
        self._join(self.plan.with_pin(pin), [pin])

    def _join(self, plan: ReplayPlan, pins: Iterable[Pin]) -> None:
        """Play these of a plan, too."""
        streams = [*self._live]
        for pin in pins:
            feed, own = self._made(pin.series, plan)
            streams += own
            self._feeds.append(feed)
            self._turns[feed.calendar].join(feed)
            self._missing.join(feed)
        self._live = in_order(streams)
        self.plan, self.streams = plan, tuple(self._live)

    def _made(self, series: Series, plan: ReplayPlan) -> tuple[LiveFeed, list[_Stream]]:
        """What plays a series of a plan."""
        require_live(series)
        book = plan.calendar_of(series.instrument)
        if book not in self._agenda.calendars:
            raise UsageError(
                f"{series} has other sessions than this run",
                hint="begin a run with both from the start",
            )
        instruments = dict.fromkeys(pin.series.instrument for pin in plan.pins)
        number = list(instruments).index(series.instrument)
        calendar = self._agenda.calendars.index(book)
        track = Track(KINDS.get(series.kind, kernels.BAR), number, 0)
        gate = Gate(series, self._hours[calendar], self._rules)
        feed = LiveFeed(track, series, calendar, gate, self._rolled)
        return feed, list(self._streams_of(feed, book))

    def _streams_of(self, feed: LiveFeed, book: Calendar) -> Iterator[_Stream]:
        yield from (feed, LiveAsides(feed))
        if not feed.series.is_bars:
            return
        yield LiveRevisions(feed)
        grace_ns = round(self._rules.grace_s * SECOND_NS)
        for at, code in enumerate(dict.fromkeys(self.plan.derived), 1):
            track = Track(kernels.DERIVED, feed.track.instrument, at)
            derived = LiveDerived(track, feed, timeframe(code), book, grace_ns)
            yield from (derived, LiveDerivedRevisions(derived))


def _require_unfilled(plan: ReplayPlan) -> None:
    if plan.fill:
        raise UsageError(
            f"{plan.fill[0]} cannot fill a live run", hint="missing bars are asked for again"
        )
