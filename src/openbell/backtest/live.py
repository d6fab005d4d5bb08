"""Runs over what arrives live, and over recordings of it."""

import time
from collections.abc import Sequence
from dataclasses import replace

from openbell.backtest.config import RunConfig, configured_calendars
from openbell.backtest.result import RunResult
from openbell.backtest.run import Basis, Code, play_run, run_id, settings_of
from openbell.backtest.strategy import Strategy
from openbell.market.errors import UsageError
from openbell.market.progress import CancelToken, Progress, silent
from openbell.ports import ReadStore, RecordingHeader
from openbell.replay.live import live_plan
from openbell.replay.pacing import Pace
from openbell.replay.plan import ReplayPlan
from openbell.replay.supply import SupplyMaker
from openbell.replay.system import System

_PREFIX = "recording:"


def recording_ref(recording_id: str) -> str:
    """By what a recording is named where series are: ``recording:3f9a02c1``."""
    return f"{_PREFIX}{recording_id}"


def recording_id(on: Sequence[str]) -> str:
    """The id of the recording that refs name; empty if they name series.

    Raises
    ------
    UsageError
        If they name more than one recording, or one among series.
    """
    if not any(ref.startswith(_PREFIX) for ref in on):
        return ""
    if len(on) > 1:
        raise UsageError(
            f"{', '.join(on)} cannot be played together", hint="a recording is played alone"
        )
    return on[0].removeprefix(_PREFIX)


def system_over(
    strategy: Strategy,
    config: RunConfig,
    store: ReadStore,
    header: RecordingHeader,
    supply: SupplyMaker,
    *,
    pace: Pace | None = None,
) -> System:
    """The system of a run over arrivals.

    Parameters
    ----------
    store
        Where the strategy may look for what was before.
    header
        Of the recording that is made, or played.
    supply
        Plays the arrivals: see `replay.live.live_supply`.
    pace
        To play a recording paced.

    Raises
    ------
    UsageError
        If the configuration asks for what only stored series can give.
    """
    settings = settings_of(config.with_parameters(strategy.parameters), strategy)
    return System(store, plan_arrivals(config, header), settings, pace=pace, supply=supply)


def run_arrivals(  # noqa: PLR0913  # as `run_backtest`
    system: System,
    strategy: Strategy,
    config: RunConfig,
    store: ReadStore,
    code: Code,
    header: RecordingHeader,
    *,
    is_live: bool = False,
    checksum: str = "",
    version: str = "",
    progress: Progress = silent,
    cancel: CancelToken | None = None,
) -> RunResult:
    """Run a strategy over what arrives live, or over a recording of it: with the same seal.

    Parameters
    ----------
    system
        From `system_over`, of the same strategy, configuration, store and header.
    is_live
        Whether it is the live run itself; that and its replays are different runs.
    checksum
        Of the recording; not known before a live run is over.

    Raises
    ------
    RunError
        As `run_backtest`.
    """
    began = time.perf_counter()
    fresh = type(strategy)(**strategy.parameters)
    config = config.with_parameters(fresh.parameters)
    names = tuple(f"{series}@{recording_ref(header.id)}" for series in header.series)
    basis = Basis(
        run_id(config, (*names, "live") if is_live else names, code),
        names,
        (checksum,) * len(names),
        code,
        version,
        engine="live" if is_live else "native",
    )
    result = play_run(system, fresh, config, basis, store, progress=progress, cancel=cancel)
    return replace(result, elapsed_s=time.perf_counter() - began)


def plan_arrivals(config: RunConfig, header: RecordingHeader) -> ReplayPlan:
    """What a run over arrivals plays: all of them, and every series from the start.

    Raises
    ------
    UsageError
        If the configuration asks for what only stored series can give.
    """
    for name in ("start", "end", "as_of", "fill_from", "trailing"):
        if getattr(config, name):
            raise UsageError(
                f"{name} is {getattr(config, name)}, and a recording is played as it was",
                hint="leave it out, or run on the series in the lake",
            )
    instruments = [series.instrument for series in header.series]
    return live_plan(
        replace(header, added=0),
        extended=config.hours == "extended",
        derived=config.derived,
        history=config.history,
        calendars=configured_calendars(instruments, config.session_start, config.session_end),
    )
