"""A system: one replay, built from pins, started, played to its end, and stopped in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple, Self

from openbell.market.calendars import Calendar, calendar
from openbell.market.errors import ReplayError, UsageError
from openbell.market.instrument import Instrument
from openbell.market.moments import START_OF_TIME_NS
from openbell.market.progress import CancelToken, Progress, silent
from openbell.ports import ReadStore
from openbell.replay import kernels
from openbell.replay.agenda import plan_agenda
from openbell.replay.chunk import Chunk, Rows, Step
from openbell.replay.clock import Clock, Hand
from openbell.replay.coordinator import Coordinator, SessionEnded
from openbell.replay.feed import Counts, Feed
from openbell.replay.filling import UpkeepCounts
from openbell.replay.followers import Follower
from openbell.replay.pacing import Pace, Rewind
from openbell.replay.plan import ReplayPlan
from openbell.replay.prefetch import Prefetcher
from openbell.replay.scheduler import Scheduler, Threads
from openbell.replay.session_data import InstrumentData, SessionData, Window
from openbell.replay.slices import Slice, SliceMaker
from openbell.replay.supply import Supply, cast, stored_supply
from openbell.replay.tape import Tape, genesis

__all__ = ["ReplayPlan", "State", "System"]

State = Literal["stopped", "running", "paused"]

_CHECKPOINTS = 256  # kept at most; beyond, every other one is dropped


class _Checkpoint(NamedTuple):
    """A replay between two chunks: everything needed to go on from there."""

    after_ns: int
    parts: tuple[Any, ...]
    kept: Any


class System:
    """One replay run. Loop over it for slices, or over `steps` to act at sessions as well.

    Built parts are attributes: `clock`, `session_data` (one per calendar), `coordinator`, `tape`.
    A system plays once.

    Parameters
    ----------
    settings
        What the seal begins with.
    pace
        How fast it goes; None for as fast as the data comes, with nothing to hold it.
    scheduler
        Where threads and real time come from.

    Attributes
    ----------
    pace
        To pause, step, seek and change the speed; None if there is none.
    keep
        With a pace: called between chunks for what a consumer wants back from `rewind`; None if
        it cannot go back there.

    Raises
    ------
    UsageError, RunError
        If the plan cannot be played: no bars, no session, a derived timeframe that does not fit.
    """

    def __init__(  # what is played, then how
        self,
        store: ReadStore,
        plan: ReplayPlan,
        settings: Mapping[str, object],
        *,
        pace: Pace | None = None,
        scheduler: Scheduler | None = None,
        lead_in: bool = True,
    ) -> None:
        self.plan = plan
        self.pace = pace
        self.keep: Callable[[], Any] = lambda: ()
        self._store = store
        self._scheduler = scheduler or Threads()
        self._cast = cast((pin.series for pin in plan.pins), lambda i: _calendar_of(i, plan))
        self.instruments = self._cast.instruments
        self.names = self._cast.names
        self.calendars = self._cast.calendars
        self.agenda = plan_agenda(
            self.calendars,
            plan.start_ns,
            plan.end_ns,
            labels=plan.labels,
            extended=plan.extended,
        )
        self._supply = self._make_supply()
        self.tracks = tuple(stream.track for stream in self._supply.streams)
        self._hand = Hand(int(self.agenda.open_ns[0]))
        self.clock = Clock(self._hand)
        self.tape = Tape(genesis(settings))
        self._windows = self._make_windows()
        self.session_data = self._make_session_data()
        self.coordinator = Coordinator(
            self._hand, self._windows, self.session_data, self.tape, pace, plan.start_ns
        )
        self._prefetch: Prefetcher[Chunk] | None = None
        self._is_stopped = False
        self._checkpoints: list[_Checkpoint] = []
        self._maker: SliceMaker | None = None
        if pace is not None:
            self.coordinator.before_chunk = self._check_in
        if plan.trailing and lead_in:
            self._lead_in()

    # What it plays

    @property
    def counts(self) -> dict[str, Counts]:
        """What became of the rows read, by series."""
        return self._supply.counts

    @property
    def session_ended(self) -> SessionEnded | None:
        """The session that closed last, and why; None before the first."""
        return self.coordinator.ended[-1] if self.coordinator.ended else None

    @property
    def upkeep(self) -> dict[str, UpkeepCounts]:
        """What upkeep found missing and filled, by series; of those alone that can be filled."""
        return self._supply.upkeep

    def track(self, instrument: int, kind: str = "") -> int:
        """Position of a track: base bars by default, else a timeframe, ``trades`` or ``quotes``."""
        streams = self._supply.streams
        for position, stream in enumerate(streams):
            if stream.track.instrument == instrument and (
                stream.series.kind == kind or (not kind and stream.track.kind == kernels.BAR)
            ):
                return position
        raise UsageError(
            f"{kind or 'bars'} of {self.names[instrument]} is not played",
            hint=f"played are {', '.join(str(s.series) for s in streams)}",
        )

    def window(self, track: int) -> Window:
        """What is known of a track."""
        return self._windows[track]

    # Its life

    @property
    def state(self) -> State:
        """Whether it is stopped (not started yet, or over), running, or held by its pace."""
        if self._prefetch is None or self._is_stopped:
            return "stopped"
        return "paused" if self.pace is not None and self.pace.is_paused else "running"

    def start(self) -> None:
        """Begin: prefetch reads and prepares the first sessions. A system starts once."""
        if self._prefetch is not None:
            raise ReplayError("this system was started before", hint="build a new one")
        self._prefetch = Prefetcher(self._supply.chunks(), self._scheduler)

    def stop(self) -> None:
        """End what runs beside it, in order: pace, followers, prefetch. May be called again.

        Raises
        ------
        ReplayError
            If a thread does not end in time; it is named.
        """
        self._is_stopped = True
        if self.pace is not None:
            self.pace.stop()
        for follower in self.coordinator.followers:
            follower.end()
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
        """The programme, step by step; see `Coordinator.steps`.

        Raises
        ------
        Rewind
            With a pace, if somebody asked to go back: call `rewind`, then begin again.
        """
        if self._prefetch is None:
            raise ReplayError("the system is not started", hint="use `with system:` or start()")
        if self._is_stopped:
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
            while True:
                try:
                    yield from self._slices()
                except Rewind as asked:
                    self.rewind(asked.to_ns)
                else:
                    return

    async def stream(self) -> AsyncIterator[Slice]:
        """As looping over the system, for ``async for``; others may run while it waits."""
        slices = iter(self)
        try:
            while (one := await asyncio.to_thread(next, slices, None)) is not None:
                yield one
        finally:
            await asyncio.to_thread(slices.close)  # type: ignore[attr-defined]  # a generator

    def follow(self, name: str, *, capacity: int = 1000) -> Follower:
        """One more consumer of every slice, to be looped over on a thread of its own.

        Parameters
        ----------
        capacity
            How many slices may wait for it when the replay is paced.
        """
        follower = Follower(
            name,
            self._scheduler,
            lambda at: Slice(self.slice_maker(), at),
            self.pace,
            capacity,
        )
        self.coordinator.followers.append(follower)
        return follower

    def rewind(self, to_ns: int) -> Any:
        """Go back to the last checkpoint up to a moment; from there the pace goes on to it.

        Returns
        -------
        Any
            What `keep` gave there.
        """
        while len(self._checkpoints) > 1 and self._checkpoints[-1].after_ns > to_ns:
            self._checkpoints.pop()
        found = self._checkpoints.pop()  # taken again when its chunk is loaded
        self._restore(found.parts)
        assert self._prefetch is not None
        assert self.pace is not None
        self._prefetch.close()
        self._supply = self._make_supply()
        self._prefetch = Prefetcher(self._supply.chunks(found.after_ns), self._scheduler)
        self.pace.went_back(max(found.after_ns, int(self.agenda.open_ns[0])))
        return found.kept

    def _slices(self) -> Iterator[Slice]:
        for step in self.steps():
            if step.kind == kernels.BAR:
                maker = self.slice_maker()
                for i in self.release(step):
                    yield Slice(maker, i)

    # Checkpoints, between two chunks

    def _check_in(self) -> None:
        is_first = not self._checkpoints
        after_ns = START_OF_TIME_NS if is_first else self._hand.times_ns.item(-1)
        kept = self.keep()
        if is_first or kept is not None:
            self._checkpoints.append(_Checkpoint(after_ns, self._parts(), kept))
        if len(self._checkpoints) > _CHECKPOINTS:
            del self._checkpoints[1::2]

    def _parts(self) -> tuple[Any, ...]:
        return (
            self.tape.mark(),
            [window.mark() for window in self._windows],
            [data.mark() for data in self.session_data],
            len(self.coordinator.measured),
            len(self.coordinator.ended),
            tuple(self.coordinator.open_sessions),
        )

    def _restore(self, parts: tuple[Any, ...]) -> None:
        tape, windows, session_data, measured, ended, open_sessions = parts
        self.tape.go_back(tape)
        for window, mark in zip(self._windows, windows, strict=True):
            window.go_back(mark)
        for data, mark in zip(self.session_data, session_data, strict=True):
            data.go_back(mark)
        del self.coordinator.measured[measured:]
        del self.coordinator.ended[ended:]
        self.coordinator.open_sessions[:] = open_sessions

    # How it is built

    def _make_supply(self) -> Supply:
        return stored_supply(self._store, self.plan, self._cast, self.agenda)

    def _make_windows(self) -> list[Window]:
        revisions = {t: k for k, t in enumerate(self.tracks) if t.kind == kernels.REVISION}
        found = []
        for k, stream in enumerate(self._supply.streams):
            of = stream.track._replace(kind=kernels.REVISION)
            is_revised = stream.track.kind in (kernels.BAR, kernels.DERIVED)
            revised = revisions.get(of) if is_revised else None
            found.append(Window(k, stream.empty(), self.plan.history, self._hand, revised))
        return found

    def _make_session_data(self) -> list[SessionData]:
        found: list[dict[str, InstrumentData]] = [{} for _ in self.calendars]
        for number, instrument in enumerate(self.instruments):
            own = [
                k
                for k, t in enumerate(self.tracks)
                if t.instrument == number and t.kind != kernels.REVISION
            ]
            windows = {self._supply.streams[k].series.kind: self._windows[k] for k in own}
            data = InstrumentData(instrument, windows)
            found[self._cast.calendar_of[number]][self.names[number]] = data
        return [
            SessionData(c.name, data, self.plan.trailing)
            for c, data in zip(self.calendars, found, strict=True)
        ]

    def _lead_in(self) -> None:
        """Play the sessions before the first of each calendar, to fill trailing history."""
        for position, data in enumerate(self.session_data):
            own = self.agenda.of(position)
            if not own:
                continue
            label = own[0].session.label
            first = self.calendars[position].next(label, -self.plan.trailing)
            names = data.instruments
            symbols = {each.instrument.symbol for each in names.values() if each.has_bars}
            plan = replace(
                self.plan,
                pins=tuple(p for p in self.plan.pins if str(p.series.instrument) in names),
                fill=tuple(p for p in self.plan.fill if p.series.instrument.symbol in symbols),
                start_ns=first.pre_ns,
                end_ns=own[0].session.open_ns,
                labels=("", label),
            )
            before = System(self._store, plan, {}, scheduler=self._scheduler, lead_in=False)
            for _ in before:
                pass
            for name, found in before.session_data[0].instruments.items():
                names[name].historical.extend(found.historical)

    def read_base(self) -> Rows:
        """All base rows of the first instrument at once, instead of playing; for kernels."""
        first = self._supply.streams[0]
        assert isinstance(first, Feed)
        return first.take(int(self.agenda.close_ns.max()), self.agenda)


def _calendar_of(instrument: Instrument, plan: ReplayPlan) -> Calendar:
    return plan.calendars.get(str(instrument)) or calendar(instrument.place.calendar)
