"""Live recording: what the command and a notebook both do.

A source pushes, on its thread, through a collector into the intake. A system, or a run of a
strategy, plays what arrives in the caller's thread. A watch finishes bars by the clock, says how
far it is, and ends it all when its time is over or somebody asks.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import openbell
from openbell.app import wiring
from openbell.app.lake import Lake
from openbell.app.recorded import bring_in, kept_settings, plan_of, recordings, supply_of
from openbell.app.results import Run
from openbell.app.streams import Streams
from openbell.app.watching import Line, Watch
from openbell.backtest.catalog import Loaded
from openbell.backtest.config import RunConfig, check_session
from openbell.backtest.live import recording_ref, run_arrivals, system_over
from openbell.backtest.market_view import MarketView
from openbell.backtest.result import RunResult
from openbell.market.arrivals import (
    BAR,
    NO_SERIES,
    PASSED,
    QUOTE,
    STOPPED,
    TRADE,
    Arrival,
    five,
)
from openbell.market.errors import OpenbellError, UsageError
from openbell.market.instrument import Pin, Series
from openbell.market.moments import DAY_NS, SECOND_NS, iso
from openbell.market.progress import CancelToken
from openbell.ports import RecordingHeader, Version
from openbell.recording.live import Collector, with_bars
from openbell.replay.asking import Asker
from openbell.replay.intake import Intake
from openbell.replay.live import as_settings, live_supply
from openbell.replay.plan import ReplayPlan
from openbell.replay.rules import Rules
from openbell.replay.scheduler import Scheduler, Threads
from openbell.replay.supply import SupplyMaker
from openbell.replay.system import System

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to record.

    Attributes
    ----------
    series
        What the source is asked for: trades, quotes, bars.
    url
        Where it comes from, see `wiring.live_source`.
    ask_url
        Where missing bars are asked for again, see `wiring.refill`; empty for nowhere.
    for_s
        For how many seconds.
    until_ns
        Until when instead; 0 if that is not said.
    rules
        By which rules what arrives is released or withheld.
    hours, session_start, session_end, derived
        As of a replay.
    trailing
        Finished sessions kept at hand; those before it began as far as the same bars are stored.
    """

    series: tuple[Series, ...]
    url: str
    ask_url: str = ""
    for_s: float = _DAY_S
    until_ns: int = 0
    rules: Rules = field(default_factory=Rules)
    hours: str = "regular"
    session_start: str = ""
    session_end: str = ""
    derived: tuple[str, ...] = ()
    trailing: int = 0


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a recording came to.

    Attributes
    ----------
    id
        Of the recording.
    lines
        One a series.
    digests
        Of the sessions played, by label, in order.
    versions
        What is in the lake now, of every series anything came of.
    run
        Of the strategy, if there was one.
    error
        What ended it, if nobody asked for that: the source brings nothing more.
    """

    id: str
    lines: tuple[Line, ...]
    digests: dict[str, str]
    versions: tuple[Version, ...]
    run: Run | None
    error: Exception | None


def begin(asked: Asked) -> RecordingHeader:
    """The header of a recording that begins now.

    Raises
    ------
    UsageError
        If its end is over, its hours are none, or there is no session before its end.
    """
    if asked.hours not in ("regular", "extended"):
        raise UsageError(f"hours is `{asked.hours}`", hint="use regular or extended")
    check_session(asked.session_start, asked.session_end)
    start_ns = wiring.now_ns()
    end_ns = asked.until_ns or start_ns + round(asked.for_s * SECOND_NS)
    if end_ns <= start_ns:
        raise UsageError(f"{iso(end_ns)} is over", hint="record until a moment still to come")
    series = with_bars(asked.series)
    name = hashlib.sha256(repr((asked.url, list(map(str, series)), start_ns)).encode())
    settings = {**as_settings(asked.rules), **kept_settings(_plan_settings(asked), asked.url)}
    header = RecordingHeader(name.hexdigest()[:8], series, start_ns, end_ns, settings)
    require_sessions(plan_of(header, _plan_settings(asked)))
    return header


_AHEAD_NS = 14 * DAY_NS  # how far the next session is looked for


def require_sessions(plan: ReplayPlan) -> None:
    """Raise `UsageError` if no session is open or opens in a plan's time, and name the next."""
    calendars = dict.fromkeys(plan.calendar_of(pin.series.instrument) for pin in plan.pins)
    coming = [
        book.between(plan.start_ns, plan.start_ns + _AHEAD_NS, extended=plan.extended)
        for book in calendars
    ]
    opens = [table.session(0) for table in coming if len(table)]
    first_ns = min((s.pre_ns if plan.extended else s.open_ns for s in opens), default=plan.end_ns)
    if first_ns >= plan.end_ns:
        raise UsageError(
            f"no session of {', '.join(book.name for book in calendars)} opens before "
            f"{iso(plan.end_ns)}",
            hint=f"the next opens at {iso(first_ns)}: record until later than that"
            if opens
            else "record for longer",
        )


def check(header: RecordingHeader, asked: Asked, lake: Lake) -> None:
    """Raise what a recording would raise at its start, but for what its source answers.

    Raises
    ------
    UsageError, RunError
        If there is no session in its time, its bars cannot be built, or nothing of ours brings
        such series from such an address.
    """
    wiring.live_source(asked.url, asked.series, wiring.now_ns)
    if asked.ask_url:
        wiring.refill(asked.ask_url, wiring.now_ns)
    _Job(header, asked, lake, None).warm_up()


def play_through(system: System) -> None:
    """Play a system to its end, for nobody."""
    for _ in system:
        pass


def record(  # noqa: PLR0913  # what, where, and how it is told
    header: RecordingHeader,
    asked: Asked,
    lake: Lake,
    *,
    strategy: tuple[Loaded, RunConfig] | None = None,
    scheduler: Scheduler | None = None,
    cancel: CancelToken | None = None,
    tell: Callable[[Sequence[Line]], None] = lambda _: None,
    play: Callable[[System], None] = play_through,
    begun: Callable[[Streams], None] = lambda _: None,
) -> Recorded:
    """Record until the time is over, the last session has closed, or somebody asks to stop.

    What was recorded is then brought into the lake. A kill leaves the recording as far as it got.

    Parameters
    ----------
    header
        From `begin`.
    strategy
        A strategy to run on paper over what arrives, and its configuration.
    scheduler
        Where threads and elapsed time come from.
    tell
        Called some times a second with how far it is, on another thread.
    play
        What plays the system to its end, if no strategy does.
    begun
        Called once when data can come, with what registers and cancels series from then on.

    Raises
    ------
    UnavailableError, RefusedError
        If the source cannot be connected to, in which case nothing is recorded.
    """
    scheduler = scheduler or Threads()
    job = _Job(header, asked, lake, strategy)
    job.warm_up()
    store = recordings(lake)
    recording = store.create(header)
    collector = job.collector()
    intake = Intake(recording, wiring.now_ns(), scheduler, collector=collector)
    asker = None
    try:
        source = wiring.live_source(asked.url, asked.series, intake.now_ns)
        if asked.ask_url:
            asker = Asker(intake, wiring.refill(asked.ask_url, intake.now_ns), scheduler)
        system = job.system(live_supply(lambda: intake, asked.rules, asker))
        source.start(intake)
    except OpenbellError:
        if asker is not None:
            asker.stop()
        recording.close()
        store.delete(header.id)
        raise
    watch = Watch(header, system, intake, collector, tell, cancel, scheduler)
    try:
        begun(Streams(asked.url, source, system, intake, collector))
        result = job.play(system, play)
    finally:
        watch.stop()
        intake.close()
        source.stop()
        if asker is not None:
            asker.stop()
        recording.close()
    if watch.error is not None:
        raise watch.error
    is_over = len(intake.failures) == len(recording.header.series)
    return Recorded(
        header.id,
        tuple(watch.lines()),
        dict(zip(system.tape.labels, system.tape.digests, strict=True)),
        tuple(bring_in(lake, store.open(header.id))),
        job.run_of(result, store.open(header.id).checksum),
        next(iter(intake.failures.values())) if is_over else None,
    )


def _plan_settings(asked: Asked) -> dict[str, Any]:
    names = ("hours", "session_start", "session_end", "derived")
    return {name: getattr(asked, name) for name in names}


class _Job:
    """What is played while it is recorded: sessions alone, or a strategy over them."""

    def __init__(
        self,
        header: RecordingHeader,
        asked: Asked,
        lake: Lake,
        strategy: tuple[Loaded, RunConfig] | None,
    ) -> None:
        self._header, self._asked, self._lake = header, asked, lake
        self._plan = replace(plan_of(header, _plan_settings(asked)), trailing=asked.trailing)
        self._strategy = strategy
        if strategy is not None:
            loaded, config = strategy
            self._strategy = loaded, replace(config, on=(recording_ref(header.id),))

    def warm_up(self) -> None:
        """Compile what plays, on an item a series; else the first seconds would wait for it."""
        at_ns = self._header.start_ns
        with TemporaryDirectory() as folder:
            sample = wiring.open_recordings(Path(folder)).create(self._header)
            sample.append([Arrival(NO_SERIES, PASSED, 0, at_ns + 1)])
            for ordinal, series in enumerate(self._header.series):
                what = {"trades": TRADE, "quotes": QUOTE}.get(series.kind, BAR)
                sample.append([Arrival(ordinal, what, at_ns, at_ns + 2, 0, five([1.0] * 5))])
            sample.append([Arrival(NO_SERIES, STOPPED, 0, at_ns + 3)])
            sample.close()
            for _ in System(self._lake.store, self._plan, {}, supply=supply_of(sample)):
                pass

    def collector(self) -> Collector:
        """What builds the bars that the source is not asked for."""
        built = [series for series in self._header.series if series not in self._asked.series]
        return Collector(built, skew_s=self._asked.rules.skew_s, calendars=self._plan.calendars)

    def system(self, supply: SupplyMaker) -> System:
        """The system that plays; `UsageError` if the strategy's orders could not be filled."""
        if self._strategy is None:
            system = System(self._lake.store, self._plan, {}, supply=supply)
            if self._asked.trailing:
                system.lead_in(self._stored_bars())
            return system
        loaded, config = self._strategy
        system = system_over(loaded.strategy, config, self._lake.store, self._header, supply)
        MarketView(system, config.fill)  # asked now, before anything is recorded
        return system

    def _stored_bars(self) -> list[Pin]:
        """What is stored now of the bars that are recorded."""
        at = self._lake
        known = list(at.store.list_series()) if at.is_there else []
        return [at.store.resolve(str(s)) for s in known if s.is_bars and s in self._header.series]

    def play(self, system: System, play: Callable[[System], None]) -> RunResult | None:
        """Play to the end; what the strategy came to, if there is one."""
        if self._strategy is None:
            play(system)
            return None
        loaded, config = self._strategy
        return run_arrivals(
            system,
            loaded.strategy,
            config,
            self._lake.store,
            loaded.code,
            self._header,
            is_live=True,
            version=openbell.__version__,
        )

    def run_of(self, result: RunResult | None, checksum: str) -> Run | None:
        """The run, now that the content of its recording is known."""
        if result is None or self._strategy is None:
            return None
        checksums = (checksum,) * len(self._header.series)
        return Run(replace(result, checksums=checksums), self._strategy[0], self._lake)
