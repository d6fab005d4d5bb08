"""From a configuration to a result: resolve, plan, play, measure."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from openbell.backtest.config import RunConfig, configured_calendars
from openbell.backtest.engine import Engine, Played
from openbell.backtest.orders import FILL_MODES, OPTIMISTIC
from openbell.backtest.result import RunResult, SessionLine
from openbell.backtest.strategy import Strategy
from openbell.market.counted import counted
from openbell.market.errors import RunError
from openbell.market.instrument import Pin, Terms, terms_of
from openbell.market.moments import SECOND_NS, is_date, parse_moment
from openbell.market.progress import CancelToken, Progress, silent
from openbell.ports import ReadStore
from openbell.replay.filling import in_words
from openbell.replay.pacing import Pace
from openbell.replay.scheduler import Scheduler
from openbell.replay.system import ReplayPlan, System
from openbell.replay.upkeep import total


@dataclass(frozen=True, slots=True)
class Code:
    """The code of a strategy, to tell whether it changed.

    Attributes
    ----------
    files
        SHA-256 by file name.
    """

    files: Mapping[str, str]

    @property
    def hash(self) -> str:
        """One SHA-256 over all files."""
        return hashlib.sha256(_canonical(dict(self.files))).hexdigest()


def plan_run(config: RunConfig, store: ReadStore, pins: Sequence[Pin]) -> ReplayPlan:
    """What a run plays: the range of its configuration, or all that is stored.

    Raises
    ------
    UsageError
        If a date is no date.
    RunError
        If nothing is stored.
    """
    infos = [store.info(pin) for pin in pins]
    filled = [info for info in infos if info.rows]
    if not filled:
        raise RunError(
            f"nothing is stored in {', '.join(map(str, pins))}", hint="bring data in first"
        )
    # What is known by the start is caught up: a tick at its own moment would be, too.
    start_ns = min(info.first_ns - (not info.pin.series.is_bars) for info in filled)
    end_ns = max(info.last_ns for info in filled) + 1
    if config.start and not is_date(config.start):
        start_ns = parse_moment(config.start)
    if config.end and not is_date(config.end):
        end_ns = parse_moment(config.end)
    return ReplayPlan(
        pins=tuple(pins),
        start_ns=start_ns,
        end_ns=end_ns,
        labels=(
            config.start if is_date(config.start) else "",
            config.end if is_date(config.end) else "",
        ),
        extended=config.hours == "extended",
        derived=config.derived,
        trailing=config.trailing,
        history=config.history,
        calendars=configured_calendars(
            [pin.series.instrument for pin in pins], config.session_start, config.session_end
        ),
        fill=_resolved(config, config.fill_from, store),
        check_ns=config.check_interval_s * SECOND_NS,
        retries=config.retries,
    )


def resolve(config: RunConfig, store: ReadStore) -> tuple[Pin, ...]:
    """The versions a configuration stands on."""
    return _resolved(config, config.on, store)


def _resolved(config: RunConfig, refs: Sequence[str], store: ReadStore) -> tuple[Pin, ...]:
    as_of_ns = parse_moment(config.as_of) if config.as_of else None
    return tuple(store.resolve(ref, as_of_ns=as_of_ns) for ref in refs)


def terms_for(config: RunConfig, pins: Sequence[Pin]) -> tuple[Terms, ...]:
    """What one unit of each instrument is, with the configuration's own numbers put over it."""
    found = []
    for instrument in dict.fromkeys(pin.series.instrument for pin in pins):
        known = terms_of(instrument)
        found.append(
            Terms(
                known.price_step if config.price_step is None else config.price_step,
                known.size_step if config.lot is None else config.lot,
                known.multiplier if config.multiplier is None else config.multiplier,
            )
        )
    return tuple(found)


def settings_of(config: RunConfig, strategy: Strategy) -> dict[str, object]:
    """What the seal begins with: all settings that decide, none that only name or find."""
    found = config.deciding()
    for name in ("on", "as_of", "strategy", "min_quality", "benchmark", "history"):
        found.pop(name)
    found.pop("fill_from", None)
    return {**found, "strategy": type(strategy).__name__, "parameters": strategy.parameters}


def run_backtest(  # noqa: PLR0913  # what decides, then how it is told
    strategy: Strategy,
    config: RunConfig,
    store: ReadStore,
    code: Code,
    *,
    version: str = "",
    sessions_per_chunk: int = 0,
    pace: Pace | None = None,
    scheduler: Scheduler | None = None,
    progress: Progress = silent,
    cancel: CancelToken | None = None,
) -> RunResult:
    """Run a strategy. The same pins, code and settings give the same seal.

    Parameters
    ----------
    strategy
        A fresh one is made from its class and parameters.
    sessions_per_chunk
        How much is prepared at once; changes nothing but speed.
    pace
        To run it paced, and to pause, step and seek; changes nothing but when it happens.
    scheduler
        Where threads and real time come from; the machine's own by default.

    Returns
    -------
    RunResult
        With status ``failed`` if the strategy raised, ``interrupted`` if it was stopped.

    Raises
    ------
    RunError
        If no bar was played, or the data is less complete than the run demands.
    """
    began = time.perf_counter()
    fresh = type(strategy)(**strategy.parameters)
    config = config.with_parameters(fresh.parameters)
    pins = resolve(config, store)
    plan = replace(plan_run(config, store, pins), sessions_per_chunk=sessions_per_chunk)
    config = replace(config, fill_from=tuple(map(str, plan.fill)))
    system = System(store, plan, settings_of(config, fresh), pace=pace, scheduler=scheduler)
    basis = Basis(
        run_id(config, pins, code), tuple(map(str, pins)), checksums_of(store, pins), code, version
    )
    result = play_run(system, fresh, config, basis, store, progress=progress, cancel=cancel)
    return replace(result, elapsed_s=time.perf_counter() - began)


def play_run(  # noqa: PLR0913  # what is played, then how it is told
    system: System,
    fresh: Strategy,
    config: RunConfig,
    basis: "Basis",
    store: ReadStore,
    *,
    progress: Progress = silent,
    cancel: CancelToken | None = None,
) -> RunResult:
    """Play a system to its end with a fresh strategy, and measure what came of it."""
    engine = Engine(system, fresh, config, terms_for(config, system.plan.pins))
    bars_per_year = sessions_per_year(system) * bars_per_session(system)
    try:
        fresh.on_plan(store, system.plan)
        played = engine.play(bars_per_year, progress=progress, cancel=cancel)
    finally:
        fresh.on_end()
    if played.status == "done":
        _require_data(engine)
    return _judged(_result(engine, played, basis))


def run_id(config: RunConfig, pins: Sequence[Pin | str], code: Code) -> str:
    """The name of a run: the same configuration, versions and code have the same."""
    what = {"config": config.deciding(), "pins": [str(pin) for pin in pins], "code": code.hash}
    return hashlib.sha256(_canonical(what)).hexdigest()[:8]


def checksums_of(store: ReadStore, pins: Sequence[Pin]) -> tuple[str, ...]:
    """The checksums of the content of some versions."""
    return tuple(
        next(v.checksum for v in store.versions(pin.series) if v.pin == pin) for pin in pins
    )


@dataclass(frozen=True, slots=True)
class Basis:
    """What a run is named by and stands on, besides its configuration."""

    id: str
    pins: tuple[str, ...]
    checksums: tuple[str, ...]
    code: Code
    version: str
    engine: str = "native"


def _canonical(values: object) -> bytes:
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS)


def _judged(result: RunResult) -> RunResult:
    """The result, failed if its data is less complete than it demands."""
    least = result.config.min_quality
    if result.completeness < least and result.status == "done":
        return replace(
            result,
            status="failed",
            error=f"completeness is {result.completeness:.2%}, the run demands {least:.2%}",
        )
    return result


def sessions_per_year(system: System) -> float:
    """How many sessions a year has, by the calendar of the first instrument, around the run.

    Counted over the whole year of the first session: 252 for US stocks, 365 around the clock.
    """
    book = system.calendars[0]
    year = system.agenda.sessions[0].session.label[:4]
    first, after = parse_moment(f"{year}-01-01"), parse_moment(f"{int(year) + 1}-01-01")
    return float(len(book.between(first, after)))


def bars_per_session(system: System) -> float:
    """How many base bars of the first instrument a session has."""
    series = system.plan.pins[0].series
    if not series.is_bars or not series.timeframe.is_intraday:
        return 1.0
    first = system.agenda.sessions[0].session
    return (first.close_ns - first.open_ns) / series.timeframe.width_ns


def _require_data(engine: Engine) -> None:
    if engine.bars or any(c.played for c in engine.system.counts.values()):
        return
    off = sum(c.off_hours for c in engine.system.counts.values())
    hint = "nothing is stored in that range; look at `openbell data list`"
    if off:
        hint = f"{off:,} rows lie outside the hours played; look at --from, --to and --hours"
    raise RunError(f"no bar of {', '.join(engine.system.names)} was played", hint=hint)


def _result(engine: Engine, played: Played, basis: Basis) -> RunResult:
    system, broker = engine.system, engine.broker
    whole, by_session = total(system.coordinator.measured)
    counts = system.counts.values()
    return RunResult(
        id=basis.id,
        config=engine.config,
        status=played.status,
        error=played.error,
        pins=basis.pins,
        checksums=basis.checksums,
        start_ns=system.plan.start_ns,
        end_ns=system.plan.end_ns,
        sessions=[
            SessionLine(label, digest, by_session.get(label, 1.0))
            for label, digest in zip(system.tape.labels, system.tape.digests, strict=True)
        ],
        bars=engine.bars,
        withheld={
            "off_hours": sum(c.off_hours for c in counts),
            "corrupt": sum(c.corrupt for c in counts),
        },
        completeness=whole,
        equity=played.equity,
        benchmark=played.benchmark,
        orders=broker.orders,
        fills=broker.fills,
        outcomes=broker.outcomes,
        entries=system.tape.entries,
        log=engine.context.log_lines,
        code_hash=basis.code.hash,
        code_files=dict(basis.code.files),
        calendars={c.name: c.version for c in system.calendars},
        sessions_per_year=sessions_per_year(system),
        multipliers={
            name: terms.multiplier for name, terms in zip(system.names, broker.terms, strict=True)
        },
        exposure=played.exposure,
        engine=basis.engine,
        version=basis.version,
        warnings=_warnings(engine, whole),
    )


_THIN = 0.9  # completeness below which a result says so loudly


def _warnings(engine: Engine, whole: float) -> tuple[str, ...]:
    """What a reader of the result must know."""
    found = []
    if engine.config.costs.is_free:
        found.append("no costs: fees and slippage are zero")
    if engine.config.fill in OPTIMISTIC:
        found.append(f"fills {engine.config.fill} are optimistic: {FILL_MODES[engine.config.fill]}")
    rejected = sum(outcome.state == "rejected" for outcome in engine.broker.outcomes)
    if rejected:
        found.append(f"{counted(rejected, 'order')} rejected")
    waiting = len(engine.broker.working) + len(engine.broker.placed)
    if waiting:
        found.append(f"{counted(waiting, 'order')} still waiting at the end")
    if whole < _THIN:
        found.append(f"only {whole:.1%} of the expected bars are there; see openbell data check")
    found += in_words(engine.system.upkeep)
    corrupt = sum(c.corrupt for c in engine.system.counts.values())
    over = sum(c.over_close for c in engine.system.counts.values())
    if over:
        found.append(
            f"{counted(over, 'bar')} reaching over the close of a session, taken as known at it: a "
            "look ahead, if anything from after it is in there"
        )
    if corrupt:
        found.append(f"{counted(corrupt, 'corrupt row')} withheld")
    return (*found, *engine.strategy.remarks)
