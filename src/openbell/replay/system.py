"""A system: one replay, built from pins, started, played to its end, and stopped in order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal, Self

from openbell.market.calendars import Calendar, calendar
from openbell.market.errors import ReplayError, UsageError
from openbell.market.instrument import Instrument, Pin
from openbell.market.moments import START_OF_TIME_NS
from openbell.market.progress import CancelToken, Progress, silent
from openbell.market.timeframe import timeframe
from openbell.ports import ReadStore
from openbell.replay import kernels
from openbell.replay.agenda import plan_agenda
from openbell.replay.chunk import Chunk, Rows, Step, Track, prepare
from openbell.replay.clock import Clock, Hand
from openbell.replay.coordinator import Coordinator
from openbell.replay.feed import Counts, DerivedFeed, Feed, Reader
from openbell.replay.prefetch import Prefetcher
from openbell.replay.session_data import InstrumentData, SessionData, Window
from openbell.replay.slices import Slice, SliceMaker
from openbell.replay.tape import Tape, genesis

State = Literal["stopped", "running"]

_ROWS_PER_CHUNK = 16_000  # what fits into the processor's cache with its records
_KINDS = {"trades": kernels.TRADE, "quotes": kernels.QUOTE}


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What to play.

    Attributes
    ----------
    pins
        Versions of series: base bars, trades, quotes; at most one of a kind per instrument.
        Instruments are registered in the order in which they first occur.
    start_ns, end_ns
        The range, half-open; rows are played by their start or time.
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
    calendars
        Calendars to use instead of the venue's own, by instrument name.
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
    calendars: Mapping[str, Calendar] = field(default_factory=dict)


class System:
    """One replay run. Loop over it for slices, or over `steps` to act at sessions as well.

    Built parts are attributes: `clock`, `session_data` (one per calendar), `coordinator`, `tape`.
    A system plays once.

    Raises
    ------
    UsageError, RunError
        If the plan cannot be played: no bars, no session, a derived timeframe that does not fit.
    """

    def __init__(
        self,
        store: ReadStore,
        plan: ReplayPlan,
        settings: Mapping[str, object],
        *,
        lead_in: bool = True,
    ) -> None:
        self.plan = plan
        self.state: State = "stopped"
        self.instruments = _instruments(plan.pins)
        self.names = tuple(str(i) for i in self.instruments)
        own = [_calendar_of(i, plan) for i in self.instruments]
        self.calendars = tuple(dict.fromkeys(own))
        self._calendar_of = [self.calendars.index(c) for c in own]
        self.agenda = plan_agenda(
            self.calendars,
            plan.start_ns,
            plan.end_ns,
            labels=plan.labels,
            extended=plan.extended,
        )
        self._streams = self._plan_streams(store)
        self.tracks = tuple(stream.track for stream in self._streams)
        self._hand = Hand(int(self.agenda.open_ns[0]))
        self.clock = Clock(self._hand)
        self.tape = Tape(genesis(settings))
        self._windows = [
            Window(k, stream.empty(), plan.history, self._hand)
            for k, stream in enumerate(self._streams)
        ]
        self.session_data = self._make_session_data()
        self.coordinator = Coordinator(self._hand, self._windows, self.session_data, self.tape)
        self._prefetch: Prefetcher[Chunk] | None = None
        self._maker: SliceMaker | None = None
        if plan.trailing and lead_in:
            self._lead_in(store)

    # What it plays

    @property
    def counts(self) -> dict[str, Counts]:
        """What became of the rows read, by series."""
        return {str(s.series): s.counts for s in self._streams if isinstance(s, Feed)}

    def track(self, instrument: int, kind: str = "") -> int:
        """Position of a track: base bars by default, else a timeframe, ``trades`` or ``quotes``."""
        for position, stream in enumerate(self._streams):
            if stream.track.instrument == instrument and (
                stream.series.kind == kind or (not kind and stream.track.kind == kernels.BAR)
            ):
                return position
        raise UsageError(
            f"{kind or 'bars'} of {self.names[instrument]} is not played",
            hint=f"played are {', '.join(str(s.series) for s in self._streams)}",
        )

    def window(self, track: int) -> Window:
        """What is known of a track."""
        return self._windows[track]

    # Its life

    def start(self) -> None:
        """Begin: prefetch reads and prepares the first sessions. A system starts once."""
        if self._prefetch is not None:
            raise ReplayError("this system was started before", hint="build a new one")
        self._prefetch = Prefetcher(self._chunks())
        self.state = "running"

    def stop(self) -> None:
        """End prefetch and wait for it; does nothing if the system is stopped."""
        self.state = "stopped"
        if self._prefetch is not None:
            self._prefetch.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def steps(
        self, *, progress: Progress = silent, cancel: CancelToken | None = None
    ) -> Iterator[Step]:
        """The programme, step by step; see `Coordinator.steps`."""
        if self._prefetch is None:
            raise ReplayError("the system is not started", hint="use `with system:` or start()")
        if self.state == "stopped":
            raise ReplayError("the system is stopped", hint="build a new one")
        yield from self.coordinator.steps(
            self._prefetch, sessions=len(self.agenda.sessions), progress=progress, cancel=cancel
        )

    def release(self, step: Step) -> Iterator[int]:
        """Release the slices of a step, one by one."""
        return self.coordinator.release(step)

    def slice_maker(self) -> SliceMaker:
        """What makes the slices of the present chunk."""
        chunk = self.coordinator.chunk
        if self._maker is None or self._maker.chunk is not chunk:
            self._maker = SliceMaker(
                chunk, self.tracks, self.names, self.session_data, self._windows
            )
        return self._maker

    def __iter__(self) -> Iterator[Slice]:
        """Every slice in order; starts and stops the system."""
        with self:
            for step in self.steps():
                if step.kind == kernels.BAR:
                    maker = self.slice_maker()
                    for i in self.release(step):
                        yield Slice(maker, i)

    # How it is built

    def _plan_streams(self, store: ReadStore) -> list[Feed | DerivedFeed]:
        """One stream per track, in the order of rule 4: by kind, then instrument."""
        plan = self.plan
        frames = [timeframe(code) for code in dict.fromkeys(plan.derived)]
        streams: list[Feed | DerivedFeed] = []
        for pin in plan.pins:
            number = self.instruments.index(pin.series.instrument)
            position = self._calendar_of[number]
            kind = _KINDS.get(pin.series.kind, kernels.BAR)
            base = Feed(
                Track(kind, number, 0),
                pin.series,
                position,
                _reader(store, pin),
                self._span(position),
            )
            streams.append(base)
            if kind == kernels.BAR:
                anchor = self.instruments[number].place.anchor
                streams += [
                    DerivedFeed(
                        Track(kernels.DERIVED, number, at),
                        base,
                        frame,
                        anchor,
                        self.calendars[position],
                    )
                    for at, frame in enumerate(frames, 1)
                ]
        streams.sort(key=lambda stream: stream.track)
        repeated = [a.track for a, b in pairwise(streams) if a.track == b.track]
        if repeated:
            raise UsageError(
                f"{self.names[repeated[0].instrument]} is given twice in one kind",
                hint="play one series of bars, one of trades and one of quotes per instrument",
            )
        return streams

    def _span(self, calendar: int) -> tuple[int, int]:
        """The range to read: what was asked for, within the sessions if labels bound them."""
        plan, own = self.plan, self.agenda.of(calendar)
        start_ns, end_ns = plan.start_ns, plan.end_ns
        if own and plan.labels[0]:
            start_ns = max(start_ns, own[0].session.pre_ns)
        if own and plan.labels[1]:
            end_ns = min(end_ns, own[-1].session.post_ns + 1)
        return start_ns, end_ns

    def _make_session_data(self) -> list[SessionData]:
        found: list[dict[str, InstrumentData]] = [{} for _ in self.calendars]
        for number, instrument in enumerate(self.instruments):
            own = [k for k, t in enumerate(self.tracks) if t.instrument == number]
            windows = {self._streams[k].series.kind: self._windows[k] for k in own}
            data = InstrumentData(instrument, windows)
            found[self._calendar_of[number]][self.names[number]] = data
        return [
            SessionData(c.name, data, self.plan.trailing)
            for c, data in zip(self.calendars, found, strict=True)
        ]

    def _lead_in(self, store: ReadStore) -> None:
        """Play the sessions before the first of each calendar, to fill trailing history."""
        for position, data in enumerate(self.session_data):
            own = self.agenda.of(position)
            if not own:
                continue
            label = own[0].session.label
            first = self.calendars[position].next(label, -self.plan.trailing)
            names = data.instruments
            plan = replace(
                self.plan,
                pins=tuple(p for p in self.plan.pins if str(p.series.instrument) in names),
                start_ns=first.pre_ns,
                end_ns=own[0].session.open_ns,
                labels=("", label),
            )
            before = System(store, plan, {}, lead_in=False)
            for _ in before:
                pass
            for name, found in before.session_data[0].instruments.items():
                names[name].historical.extend(found.historical)

    def read_base(self) -> Rows:
        """All base rows of the first instrument at once, instead of playing; for kernels."""
        first = self._streams[0]
        assert isinstance(first, Feed)
        return first.take(int(self.agenda.close_ns.max()), self.agenda)

    def _sessions_per_chunk(self) -> int:
        if self.plan.sessions_per_chunk:
            return self.plan.sessions_per_chunk
        first = self.agenda.sessions[0].session
        length_ns = first.close_ns - first.open_ns
        rows = 0
        for stream in self._streams:
            series = stream.series
            width_ns = series.timeframe.width_ns if series.is_bars else 0
            rows += length_ns // width_ns + 1 if width_ns else _ROWS_PER_CHUNK
        return max(1, _ROWS_PER_CHUNK // rows)

    def _chunks(self) -> Iterator[Chunk]:
        """Read and prepare chunk after chunk; runs on the prefetch thread."""
        after_ns = START_OF_TIME_NS
        for until_ns in self.agenda.chunk_ends(self._sessions_per_chunk()):
            taken: dict[Feed | DerivedFeed, Rows] = {}
            for stream in self._streams:  # base feeds stand before what is derived from them
                if isinstance(stream, Feed):
                    taken[stream] = stream.take(until_ns, self.agenda)
                else:
                    taken[stream] = stream.build(taken[stream.base], until_ns, self.agenda)
            rows = list(taken.values())
            yield prepare(self.tracks, rows, self.agenda, after_ns, until_ns)
            after_ns = until_ns
        for stream in self._streams:
            if isinstance(stream, Feed):
                stream.finish(self.agenda)


def _instruments(pins: Sequence[Pin]) -> tuple[Instrument, ...]:
    if not pins:
        raise UsageError("nothing to play", hint="name at least one series, e.g. XNYS:SPY/1m")
    return tuple(dict.fromkeys(pin.series.instrument for pin in pins))


def _calendar_of(instrument: Instrument, plan: ReplayPlan) -> Calendar:
    return plan.calendars.get(str(instrument)) or calendar(instrument.place.calendar)


def _reader(store: ReadStore, pin: Pin) -> Reader:
    return lambda start_ns, end_ns: store.read(pin, start_ns, end_ns)
