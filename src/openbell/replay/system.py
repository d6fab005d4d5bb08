"""A system: one replay, built from pins, started, played to its end, and stopped in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from typing import Any, Literal, NamedTuple, Self

from openbell.market.errors import CancelledError, ReplayError, UsageError
from openbell.market.instrument import Instrument, Pin, Series
from openbell.market.moments import SECOND_NS, START_OF_TIME_NS
from openbell.market.progress import CancelToken, Progress, silent
from openbell.ports import ReadStore
from openbell.replay import kernels
from openbell.replay.agenda import plan_agenda
from openbell.replay.chunk import Chunk, Rows, Step, Track
from openbell.replay.clock import Clock, Hand
from openbell.replay.coordinator import Coordinator, SessionEnded
from openbell.replay.feed import Counts, Feed
from openbell.replay.filling import UpkeepCounts
from openbell.replay.followers import Follower
from openbell.replay.live import LiveSupply
from openbell.replay.pacing import Pace, Rewind
from openbell.replay.plan import ReplayPlan
from openbell.replay.prefetch import Prefetcher
from openbell.replay.scheduler import Scheduler, Threads
from openbell.replay.session_data import Window
from openbell.replay.shown import Shown
from openbell.replay.slices import Slice, SliceMaker
from openbell.replay.supply import Prepared, Supply, SupplyMaker, cast_of, stored_supply
from openbell.replay.tape import Tape, genesis

__all__ = ["ReplayPlan", "State", "System"]

State = Literal["stopped", "running", "paused"]

_CHECKPOINTS = 256  # kept at most; beyond, every other one is dropped


class _Checkpoint(NamedTuple):
    """A replay between two chunks: everything needed to go on from there."""

    after_ns: int
    parts: tuple[Any, ...]
    kept: Any


def _fixed() -> UsageError:
    return UsageError(
        "the streams of this replay are fixed",
        hint="a replay with a pace, and without a strategy, can change them",
    )


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
    supply
        Makes what is played, if not what is stored: see `live.live_supply`.

    Attributes
    ----------
    pace
        To pause, step, seek and change the speed; None if there is none.
    keep
        With a pace: called between chunks for what a consumer wants back from `rewind`; None if
        it cannot go back there.
    has_fixed_streams
        Whether a consumer relies on the streams there were at the start.

    Raises
    ------
    UsageError, RunError
        If the plan cannot be played: no bars, no session, a derived timeframe that does not fit.
    """

    def __init__(  # noqa: PLR0913  # what is played, then how
        self,
        store: ReadStore,
        plan: ReplayPlan,
        settings: Mapping[str, object],
        *,
        pace: Pace | None = None,
        scheduler: Scheduler | None = None,
        supply: SupplyMaker | None = None,
        lead_in: bool = True,
    ) -> None:
        self.pace = pace
        self.keep: Callable[[], Any] = lambda: ()
        self.has_fixed_streams = False
        self._store = store
        self._scheduler = scheduler or Threads()
        self._asked = plan
        self.calendars = cast_of(plan).calendars
        self.agenda = plan_agenda(
            self.calendars,
            plan.start_ns,
            plan.end_ns,
            labels=plan.labels,
            extended=plan.extended,
        )
        self._maker_of_supply = supply or partial(stored_supply, store)
        self._supply = self._make_supply()
        if self._supply.is_live and pace is not None:
            raise ReplayError(
                "a live run cannot be paced, paused or sought",
                hint="record it, and replay the recording",
            )
        self._hand = Hand(int(self.agenda.open_ns[0]))
        self.clock = Clock(self._hand)
        self.tape = Tape(genesis(settings))
        self._shown = Shown(plan, self.calendars, self._hand)
        self._shown.turn_to(plan, self._supply.streams)
        self.session_data = self._shown.session_data
        self.coordinator = Coordinator(
            self._hand, self._shown.windows, self.session_data, self.tape, pace, plan.start_ns
        )
        self.coordinator.before_load = self._show_prepared
        self._prefetch: Prefetcher[Prepared] | None = None
        self._prepared: Prepared | None = None
        self._is_stopped = False
        self._first_ns = START_OF_TIME_NS
        self._checkpoints: list[_Checkpoint] = []
        self._changes = self._scheduler.monitor()  # held by who changes the two below
        self._registered: list[Pin] = []
        self._cancelled: list[Series] = []
        self._maker: SliceMaker | None = None
        if pace is not None:
            self.coordinator.before_chunk = self._check_in
        if plan.trailing and lead_in and supply is None:
            self.lead_in(plan.pins, plan.fill)

    # What it plays

    @property
    def counts(self) -> Mapping[str, Counts]:
        """What became of the rows read, by series, up to the chunk that is played."""
        return self._prepared.counts if self._prepared else self._supply.counts

    @property
    def prefetch_wait_s(self) -> float:
        """How long the replay waited for sessions that were not prepared yet."""
        return self._prefetch.waited_ns / SECOND_NS if self._prefetch is not None else 0.0

    @property
    def session_ended(self) -> SessionEnded | None:
        """The session that closed last, and why; None before the first."""
        return self.coordinator.ended[-1] if self.coordinator.ended else None

    @property
    def upkeep(self) -> Mapping[str, UpkeepCounts]:
        """What upkeep found missing and filled, by series; of those alone that can be filled."""
        return self._prepared.upkeep if self._prepared else self._supply.upkeep

    @property
    def plan(self) -> ReplayPlan:
        """What is played; grows by what is registered."""
        return self._shown.plan

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """As registered."""
        return self._shown.instruments

    @property
    def names(self) -> tuple[str, ...]:
        """Of the instruments."""
        return self._shown.names

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Of the streams, in the order of rule 4."""
        return self._shown.tracks

    def track(self, instrument: int, kind: str = "") -> int:
        """Position of a track: base bars by default, else a timeframe, ``trades`` or ``quotes``."""
        return self._shown.track(instrument, kind)

    def window(self, track: int) -> Window:
        """What is known of a track."""
        return self._shown.windows[track]

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
        self._prefetch = self._prepare()

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
            self._supply.close()
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
        CancelledError
            If it was stopped before its end. A live run closes what is open, and ends.
        """
        if self._prefetch is None:
            raise ReplayError("the system is not started", hint="use `with system:` or start()")
        if self._is_stopped:
            raise ReplayError("the system is stopped", hint="build a new one")
        for step in self.coordinator.steps(
            self._chunks(self._prefetch),
            sessions=len(self.agenda.sessions),
            progress=progress,
            cancel=cancel,
        ):
            yield step
            self._require_running()
        self._require_running()

    def _chunks(self, prefetch: Prefetcher[Prepared]) -> Iterator[Chunk]:
        for prepared in prefetch:
            self._prepared = prepared
            yield prepared.chunk
        if not self._is_stopped:
            self._prepared = None  # all there is

    def _require_running(self) -> None:
        if self._is_stopped and not self._supply.is_live:
            raise CancelledError("the replay was stopped")

    def release(self, step: Step) -> Iterator[int]:
        """Release the slices of a step, one by one."""
        return self.coordinator.release(step)

    def slice_maker(self) -> SliceMaker:
        """What makes the slices of the present chunk."""
        chunk = self.coordinator.chunk
        if self._maker is None or self._maker.chunk is not chunk:
            self._maker = SliceMaker(
                chunk, self.tracks, self.names, self.session_data, self._shown.windows
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
        taking = None
        try:
            while True:
                taking = asyncio.ensure_future(asyncio.to_thread(next, slices, None))
                if (one := await asyncio.shield(taking)) is None:
                    return
                yield one
        finally:
            if taking is not None and not taking.done():  # left while a thread waits for a slice
                self.stop()
                await asyncio.wait([taking])
                taking.exception()  # seen: that it was stopped
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

    def register(self, pin: Pin) -> None:
        """Play one more stream, beginning with what becomes known after the present moment.

        Raises
        ------
        UsageError
            If it is or was played, or its sessions are not, or the streams cannot be changed.
            What was cancelled in a live run can be registered again.
        """
        if isinstance(self._supply, LiveSupply):
            if self.has_fixed_streams and pin.series not in self._known_series:
                raise _fixed()
            self._supply.register(pin.series)
            return
        if self.plan.with_pin(pin).calendar_of(pin.series.instrument) not in self.calendars:
            raise UsageError(
                f"{pin.series} has other sessions than this replay",
                hint="begin a replay that plays both from the start",
            )
        with self._changes:
            if pin.series in self._known_series:
                raise UsageError(f"{pin.series} is played already", hint="a stream is played once")
            self._change(lambda: self._registered.append(pin))

    def cancel(self, series: Series) -> None:
        """Play no more of a stream than what is known by the present moment; it stays visible.

        Raises
        ------
        UsageError
            If it is not played, or was cancelled, or the streams cannot be changed.
        """
        if isinstance(self._supply, LiveSupply):
            self._supply.cancel(series)
            return
        with self._changes:
            if series not in self._known_series:
                raise UsageError(f"{series} is not played", hint="cancel what was registered")
            if series in self.plan.cancelled or series in self._cancelled:
                raise UsageError(f"{series} was cancelled before", hint="cancel a stream once")
            self._change(lambda: self._cancelled.append(series))

    @property
    def _known_series(self) -> list[Series]:
        return [pin.series for pin in (*self.plan.pins, *self._registered)]

    def _change(self, change: Callable[[], None]) -> None:
        if self.pace is None or self.has_fixed_streams:
            raise _fixed()
        change()
        self.pace.interrupt()

    def rewind(self, to_ns: int | None) -> Any:
        """Do what a `Rewind` asks for.

        Go back to the last checkpoint up to a moment, from where the pace goes on to it; or, if
        there is no moment, go on from the present one with other streams.

        Returns
        -------
        Any
            What `keep` gave at the checkpoint.
        """
        if to_ns is None:
            return self._change_streams()
        while len(self._checkpoints) > 1 and self._checkpoints[-1].after_ns > to_ns:
            self._checkpoints.pop()
        found = self._checkpoints.pop()  # taken again when its chunk is loaded
        self._restore(found.parts)
        self._begin_again(found.after_ns)
        assert self.pace is not None
        self.pace.begin(max(found.after_ns, int(self.agenda.open_ns[0])))
        return found.kept

    def _begin_again(self, after_ns: int) -> None:
        assert self._prefetch is not None
        self._prefetch.close()
        self._require_running()
        waited_ns = self._prefetch.waited_ns
        self._supply = self._make_supply()
        self._prefetch = self._prepare(after_ns)
        self._prefetch.waited_ns = waited_ns

    def _prepare(self, after_ns: int = START_OF_TIME_NS) -> Prefetcher[Prepared]:
        prepared = self._supply.prepared(after_ns)
        return Prefetcher(prepared, self._scheduler, ahead=self.plan.prefetch)

    def _change_streams(self) -> None:
        """Go on with other streams; there is no going back over the change."""
        at_ns = self.clock.now()
        with self._changes:
            plan = reduce(ReplayPlan.with_pin, self._registered, self._asked)
            cancelled = {**plan.cancelled, **dict.fromkeys(self._cancelled, at_ns)}
            self._asked = replace(plan, cancelled=cancelled)
            self._registered, self._cancelled = [], []
        self.tape.cut(self._hand.slice)
        self._shown.cut()
        self._first_ns = at_ns + 1
        self._begin_again(self._first_ns)
        self._shown.turn_to(self._asked, self._supply.streams)
        self._checkpoints.clear()

    def _slices(self) -> Iterator[Slice]:
        for step in self.steps():
            if step.kind == kernels.BAR:
                maker = self.slice_maker()
                for i in self.release(step):
                    yield Slice(maker, i)

    # Checkpoints, between two chunks

    def _check_in(self) -> None:
        is_first = not self._checkpoints
        after_ns = self._first_ns if is_first else self._hand.times_ns.item(-1)
        kept = self.keep()
        if is_first or kept is not None:
            self._checkpoints.append(_Checkpoint(after_ns, self._parts(), kept))
        if len(self._checkpoints) > _CHECKPOINTS:
            del self._checkpoints[1::2]

    def _parts(self) -> tuple[Any, ...]:
        now = self._hand.times_ns, self._hand.slice
        return now, self.tape.mark(), self._shown.mark(), self.coordinator.mark()

    def _restore(self, parts: tuple[Any, ...]) -> None:
        (self._hand.times_ns, self._hand.slice), tape, shown, coordinator = parts
        self.tape.go_back(tape)
        self._shown.go_back(shown)
        self.coordinator.go_back(coordinator)

    # How it is built

    def _make_supply(self) -> Supply:
        return self._maker_of_supply(self._asked, self.agenda)

    def _show_prepared(self) -> None:
        """Show what the next chunk is played from, if that has changed."""
        prepared = self._prepared
        if prepared is not None and prepared.chunk.tracks != self.tracks:
            self._shown.turn_to(prepared.plan, prepared.streams)

    def lead_in(self, pins: Sequence[Pin], fill: Sequence[Pin] = ()) -> None:
        """Play the sessions before the first of each calendar, to fill trailing history.

        Parameters
        ----------
        pins, fill
            What they are played from, as of a `ReplayPlan`: stored, even where the system is live.
        """
        for position, data in enumerate(self.session_data):
            names = data.instruments
            own = self.agenda.of(position)
            played = tuple(p for p in pins if str(p.series.instrument) in names)
            if not own or not played:
                continue
            label = own[0].session.label
            first = self.calendars[position].next(label, -self.plan.trailing)
            symbols = {each.instrument.symbol for each in names.values() if each.has_bars}
            plan = replace(
                self.plan,
                pins=played,
                fill=tuple(p for p in fill if p.series.instrument.symbol in symbols),
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
        first = self._shown.streams[0]
        assert isinstance(first, Feed)
        return first.take(int(self.agenda.close_ns.max()), self.agenda)
