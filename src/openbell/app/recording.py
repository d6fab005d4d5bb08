"""Live recording: what the command and a notebook both do.

A source pushes, on its thread, through a collector into the intake. A system, or a run of a
strategy, plays what arrives in the caller's thread. A watch finishes bars by the clock, says how
far it is, and ends it all when its time is over or somebody asks.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import openbell
from openbell.app import wiring
from openbell.app.lake import Lake
from openbell.app.recorded import bring_in, kept_settings, plan_of, recordings, supply_of
from openbell.app.results import Run
from openbell.backtest.catalog import Loaded
from openbell.backtest.config import RunConfig
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
from openbell.market.errors import CancelledError, OpenbellError, ReplayError, UsageError
from openbell.market.instrument import Series
from openbell.market.moments import END_OF_TIME_NS, SECOND_NS, iso
from openbell.market.progress import CancelToken
from openbell.ports import RecordingHeader, Version
from openbell.recording.live import Collector, with_bars
from openbell.replay.intake import Intake
from openbell.replay.live import as_settings, live_supply, rules_of
from openbell.replay.live_feeds import LiveCounts
from openbell.replay.rules import REASONS, Rules
from openbell.replay.scheduler import Scheduler, Threads
from openbell.replay.system import System

_WATCH_S = 0.2  # how often the watch looks
_DAY_S = 86_400.0
_NOTES = ("disconnected", "silent", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to record.

    Attributes
    ----------
    series
        What the source is asked for: trades, quotes, bars.
    url
        Where it comes from, see `wiring.live_source`.
    for_s
        For how many seconds.
    until_ns
        Until when instead; 0 if that is not said.
    rules
        By which rules what arrives is released or withheld.
    hours, session_start, session_end, derived
        As of a replay.
    """

    series: tuple[Series, ...]
    url: str
    for_s: float = _DAY_S
    until_ns: int = 0
    rules: Rules = field(default_factory=Rules)
    hours: str = "regular"
    session_start: str = ""
    session_end: str = ""
    derived: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """How far a series is.

    Attributes
    ----------
    received
        Items that came, bars built here included.
    released
        Items released, revisions included.
    withheld
        Items that were not, by reason.
    noted
        Notes of its source, by name: disconnected, silent, failed.
    left_out
        Bars built here that were no wholes.
    last_ns
        The venue's time of the last item; 0 before the first.
    completeness
        Of the present or last session, 0 to 1; None for trades and quotes, and before the first.
    """

    series: str
    received: int
    released: int
    withheld: dict[str, int]
    noted: dict[str, int]
    left_out: int
    last_ns: int
    completeness: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        last = iso(self.last_ns) if self.last_ns else None
        return {
            "series": self.series, "received": self.received, "released": self.released,
            "withheld": self.withheld, "noted": self.noted, "left_out": self.left_out,
            "last": last, "completeness": self.completeness,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a recording came to.

    Attributes
    ----------
    id
        Of the recording.
    lines
        One a series.
    arrivals
        How many arrivals were recorded, notes included.
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
        If its end is over.
    """
    start_ns = wiring.now_ns()
    end_ns = asked.until_ns or start_ns + round(asked.for_s * SECOND_NS)
    if end_ns <= start_ns:
        raise UsageError(f"{iso(end_ns)} is over", hint="record until a moment still to come")
    series = with_bars(asked.series)
    name = hashlib.sha256(repr((asked.url, list(map(str, series)), start_ns)).encode())
    settings = {**as_settings(asked.rules), **kept_settings(_plan_settings(asked), asked.url)}
    return RecordingHeader(name.hexdigest()[:8], series, start_ns, end_ns, settings)


def record(  # noqa: PLR0913  # what, where, and how it is told
    header: RecordingHeader,
    asked: Asked,
    lake: Lake,
    *,
    strategy: tuple[Loaded, RunConfig] | None = None,
    scheduler: Scheduler | None = None,
    cancel: CancelToken | None = None,
    tell: Callable[[Sequence[Line]], None] = lambda _: None,
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

    Raises
    ------
    UnavailableError, RefusedError
        If the source cannot be connected to, in which case nothing is recorded.
    """
    scheduler = scheduler or Threads()
    store = recordings(lake)
    plan = _plan_settings(asked)
    calendars = plan_of(header, plan).calendars
    _warm_up(lake, header, plan)
    recording = store.create(header)
    intake = Intake(recording, wiring.now_ns(), scheduler)
    built = [series for series in header.series if series not in asked.series]
    collector = Collector(
        intake, built, intake.now_ns, skew_s=asked.rules.skew_s, calendars=calendars
    )
    try:
        source = wiring.live_source(asked.url, asked.series, intake.now_ns)
        system = _system(lake, header, intake, plan, strategy)
        source.start(collector)
    except OpenbellError:
        recording.close()
        store.delete(header.id)
        raise
    watch = Watch(header, system, intake, collector, tell, cancel, scheduler)
    try:
        result = _play(lake, header, system, strategy)
    finally:
        watch.stop()
        intake.close()
        source.stop()
        recording.close()
    if watch.error is not None:
        raise watch.error
    error = None
    if len(intake.failures) == len(header.series):
        error = next(iter(intake.failures.values()))
    return _recorded(lake, header, watch.lines(), system, (result, strategy, error))


def _warm_up(lake: Lake, header: RecordingHeader, plan: Mapping[str, Any]) -> None:
    """Compile what plays, on an item of each series; else the first seconds would wait for it."""
    at_ns = header.start_ns
    with TemporaryDirectory() as folder:
        sample = wiring.open_recordings(Path(folder)).create(header)
        sample.append([Arrival(NO_SERIES, PASSED, 0, at_ns + 1)])
        for ordinal, series in enumerate(header.series):
            what = {"trades": TRADE, "quotes": QUOTE}.get(series.kind, BAR)
            sample.append([Arrival(ordinal, what, at_ns, at_ns + 2, 0, five([1.0] * 5))])
        sample.append([Arrival(NO_SERIES, STOPPED, 0, at_ns + 3)])
        sample.close()
        for _ in System(lake.store, plan_of(header, plan), {}, supply=supply_of(sample)):
            pass


def _plan_settings(asked: Asked) -> dict[str, Any]:
    names = ("hours", "session_start", "session_end", "derived")
    return {name: getattr(asked, name) for name in names}


def _system(
    lake: Lake,
    header: RecordingHeader,
    intake: Intake,
    plan: Mapping[str, Any],
    strategy: tuple[Loaded, RunConfig] | None,
) -> System:
    supply = live_supply(lambda: intake, rules_of(header))
    if strategy is None:
        return System(lake.store, plan_of(header, plan), {}, supply=supply)
    loaded, config = strategy
    system = system_over(loaded.strategy, _on(header, config), lake.store, header, supply)
    MarketView(system, config.fill)  # refuses what cannot be filled, before anything is recorded
    return system


def _on(header: RecordingHeader, config: RunConfig) -> RunConfig:
    return replace(config, on=(recording_ref(header.id),))


def _play(
    lake: Lake,
    header: RecordingHeader,
    system: System,
    strategy: tuple[Loaded, RunConfig] | None,
) -> RunResult | None:
    if strategy is None:
        for _ in system:
            pass
        return None
    loaded, config = strategy
    return run_arrivals(
        system,
        loaded.strategy,
        _on(header, config),
        lake.store,
        loaded.code,
        header,
        is_live=True,
        version=openbell.__version__,
    )


def _recorded(
    lake: Lake,
    header: RecordingHeader,
    lines: Sequence[Line],
    system: System,
    came: tuple[RunResult | None, tuple[Loaded, RunConfig] | None, Exception | None],
) -> Recorded:
    result, strategy, error = came
    recording = recordings(lake).open(header.id)
    run = None
    if result is not None and strategy is not None:
        checksums = (recording.checksum,) * len(header.series)
        run = Run(replace(result, checksums=checksums), strategy[0], lake)
    digests = dict(zip(system.tape.labels, system.tape.digests, strict=True))
    versions = tuple(bring_in(lake, recording))
    return Recorded(header.id, tuple(lines), digests, versions, run, error)


class Watch:
    """Finishes bars by the clock, tells how far it is, and ends a recording; on its own thread.

    Attributes
    ----------
    error
        What went wrong in it, which ends the recording; None if nothing did.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # it looks after all of them
        self,
        header: RecordingHeader,
        system: System,
        intake: Intake,
        collector: Collector,
        tell: Callable[[Sequence[Line]], None],
        cancel: CancelToken | None,
        scheduler: Scheduler,
    ) -> None:
        self.error: Exception | None = None
        self._header, self._system = header, system
        self._intake, self._collector = intake, collector
        self._tell = tell
        self._cancel = cancel or CancelToken()
        last_close_ns = int(system.agenda.close_ns.max())
        # Sessions that close by then close by themselves, when their last data is there.
        self._stop_ns = header.end_ns if last_close_ns > header.end_ns else END_OF_TIME_NS
        self._monitor = scheduler.monitor()
        self._is_over = False
        self._complete: dict[str, float] = {}
        system.coordinator.before_chunk = self._measure
        self._worker = scheduler.start("openbell-watch", self._run)

    def stop(self, *, timeout_s: float = 10.0) -> None:
        """End it; `ReplayError` if it does not end in time."""
        with self._monitor:
            self._is_over = True
            self._monitor.notify_all()
        self._worker.join(timeout_s)
        if self._worker.is_alive():
            raise ReplayError(f"{self._worker.name} is still busy after {timeout_s:g} s")

    def lines(self) -> list[Line]:
        """How far every series is."""
        return [self._line(series) for series in self._header.series]

    def _run(self) -> None:
        try:
            while not self._wait():
                self._look()
        except Exception as error:  # noqa: BLE001  # handed to whoever records
            self.error = error
            self._intake.stop()

    def _wait(self) -> bool:
        with self._monitor:
            if not self._is_over:
                self._monitor.wait(_WATCH_S)
            return self._is_over

    def _look(self) -> None:
        self._collector.tick()
        self._tell(self.lines())
        if self._intake.now_ns() >= self._stop_ns or self._is_asked():
            self._intake.stop()

    def _is_asked(self) -> bool:
        try:
            self._cancel.check()
        except CancelledError:
            return True
        return False

    def _line(self, series: Series) -> Line:
        counts = self._system.counts[str(series)]
        assert isinstance(counts, LiveCounts)
        received = self._collector.received(series)
        return Line(
            str(series),
            received.items,
            counts.played + counts.late,
            {name: n for name in REASONS.values() if (n := getattr(counts, name))},
            {name: n for name in _NOTES if (n := getattr(counts, name))},
            self._collector.left_out(series),
            received.last_ns,
            self._complete.get(str(series.instrument)) if series.is_bars else None,
        )

    def _measure(self) -> None:
        """Take down how complete everything is; on the thread that plays, between two chunks."""
        self._complete = {
            name: one.completeness
            for data in self._system.session_data
            if data.session is not None
            for name, one in data.instruments.items()
        } or self._complete
