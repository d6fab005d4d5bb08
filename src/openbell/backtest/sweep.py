"""Sweeps: one strategy, many parameters, all cores.

A signal strategy over one instrument runs in compiled kernels, on threads over the same columns:
they release the interpreter. Anything else is played by the engine, in processes that read the
columns from shared, memory-mapped files. Both give the same figures for the same parameters.
"""

import hashlib
import itertools
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from openbell.backtest import kernels
from openbell.backtest.catalog import Loaded, from_instance, load_strategy
from openbell.backtest.config import RunConfig
from openbell.backtest.context import SIZING_NUMBERS, VOLATILITY_BARS
from openbell.backtest.indicators import volatility
from openbell.backtest.result import RunResult
from openbell.backtest.run import (
    bars_per_session,
    plan_run,
    resolve,
    run_backtest,
    sessions_per_year,
    terms_for,
)
from openbell.backtest.shared_columns import ColumnFiles, ColumnStore, write_columns
from openbell.backtest.strategy import CALLBACKS, SignalStrategy, Strategy
from openbell.market.bars import Bars
from openbell.market.columns import Floats, Ints
from openbell.market.counted import counted
from openbell.market.errors import OpenbellError, RunError, UsageError
from openbell.market.instrument import Pin
from openbell.market.progress import CancelToken, Progress, silent
from openbell.ports import ReadStore
from openbell.replay.system import System

MAX_RUNS = 1_000_000
FIGURES = (
    "total_return", "sharpe", "max_drawdown", "equity_end", "round_trips", "win_rate", "fills",
    "rejected", "fees",
)  # fmt: skip
# Figures of which less is better.
_LESS = frozenset({"fees", "rejected"})


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep found.

    Attributes
    ----------
    id
        Short hexadecimal name: of the configuration, the grid, the versions and the code.
    table
        By column: the parameters, then `FIGURES`; one row per run, best first.
    rank
        The figure it is ordered by.
    swept
        The parameters that varied, in order.
    pins
        Versions of the data.
    engine
        ``kernel`` or ``events``.
    """

    id: str
    table: Mapping[str, list[Any]]
    rank: str
    swept: tuple[str, ...]
    pins: tuple[str, ...]
    engine: str

    @property
    def runs(self) -> int:
        """How many runs there were."""
        return len(self.table[self.rank])

    @property
    def best(self) -> dict[str, Any]:
        """The first row."""
        return {name: column[0] for name, column in self.table.items()}

    def __str__(self) -> str:
        found = ", ".join(f"{name}={self.best[name]}" for name in self.swept)
        figure = f"{self.rank} {self.best[self.rank]:.4g}"
        return f"sweep {self.id}: {counted(self.runs, 'run')}, best {found} ({figure})"


def parse_grid(texts: Sequence[str]) -> dict[str, list[Any]]:
    """The values of each parameter, from texts such as ``fast=5:20``.

    ``a:b`` is every whole number from a to b, both included; ``a:b:step`` steps (whole or not);
    ``x,y,z`` lists values.

    Raises
    ------
    UsageError
        If a text has another form, or a name is given twice.

    Examples
    --------
    >>> parse_grid(["fast=5:7", "slow=20:60:20", "average=ema,sma"])
    {'fast': [5, 6, 7], 'slow': [20, 40, 60], 'average': ['ema', 'sma']}
    """
    grid: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals or not name or not values:
            raise UsageError(f"`{text}` gives no values", hint="write fast=5:20 or fast=5,10,15")
        if name in grid:
            raise UsageError(
                f"`{name}` is given twice", hint="give all its values at once: fast=5,10,15"
            )
        grid[name] = _values(name, values)
    return grid


def run_sweep(  # noqa: PLR0913  # what decides, then how it is done and told
    loaded: Loaded,
    config: RunConfig,
    grid: Mapping[str, Sequence[Any]],
    store: ReadStore,
    *,
    rank: str = "sharpe",
    workers: int = 0,
    progress: Progress = silent,
    cancel: CancelToken | None = None,
) -> SweepResult:
    """Run a strategy with every combination of the grid's values.

    Combinations whose parameters do not fit together (fast above slow) are left out; if none
    fits, that is an error.

    Parameters
    ----------
    rank
        One of `FIGURES`; the table is ordered by it, best first.
    workers
        How many run at once; 0 for all cores. Changes nothing but speed.

    Raises
    ------
    UsageError
        If the grid or `rank` is wrong.
    CancelledError
        If `cancel` asks to stop.
    """
    if rank not in FIGURES:
        raise UsageError(f"cannot rank by `{rank}`", hint=f"use one of {', '.join(FIGURES)}")
    sets = combinations(loaded.strategy, grid)
    workers = workers or os.cpu_count() or 1
    pins = resolve(config, store)
    config = replace(config, on=tuple(map(str, pins)))
    runner = _kernel_runner if _fits_kernel(loaded.strategy, config, pins) else _event_runner
    figures: list[Floats] = []
    with runner(loaded, config, store, workers) as (executor, one):
        for done, values in enumerate(_ordered(executor, one, sets, 2 * workers), 1):
            if cancel is not None:
                cancel.check()
            figures.append(values)
            progress(done, len(sets), "runs")
    table = _table(sets, np.array(figures), rank)
    what = [config.to_dict(), {k: list(v) for k, v in grid.items()}, loaded.code.hash]
    return SweepResult(
        id=hashlib.sha256(orjson.dumps(what, option=orjson.OPT_SORT_KEYS)).hexdigest()[:8],
        table=table,
        rank=rank,
        swept=tuple(_own_name(loaded.strategy, name) for name in grid),
        pins=config.on,
        engine="kernel" if runner is _kernel_runner else "events",
    )


def combinations(strategy: Strategy, grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """All parameter sets of a grid that fit, in order of the grid."""
    if not grid:
        raise UsageError("a sweep needs values to try", hint="give --set fast=5:20")
    size = 1
    for values in grid.values():
        size *= len(values)
    if size > MAX_RUNS:
        raise UsageError(
            f"the grid has {size:,} runs", hint=f"at most {MAX_RUNS:,}; take larger steps"
        )
    cls, own = type(strategy), strategy.parameters
    known = cls.describe()
    found: list[dict[str, Any]] = []
    last: UsageError | None = None
    for values in itertools.product(*grid.values()):
        given = {_own_name(strategy, n): v for n, v in zip(grid, values, strict=True)}
        for name, value in given.items():
            if name in known:
                known[name].check(value)
        try:
            found.append(cls(**{**own, **given}).parameters)
        except UsageError as error:
            if not set(given) <= set(known):
                raise
            last = error
    if not found:
        raise UsageError("no combination of the grid fits the strategy", hint=str(last or ""))
    return found


# The compiled way


def _fits_kernel(strategy: Strategy, config: RunConfig, pins: Sequence[Pin]) -> bool:
    """Whether a run is decided by a column function and market orders alone."""
    is_plain = isinstance(strategy, SignalStrategy) and not any(
        getattr(type(strategy), name) is not getattr(SignalStrategy, name) for name in CALLBACKS
    )
    return (
        is_plain
        and len(pins) == 1
        and pins[0].series.is_bars
        and config.fill in ("next_open", "intrabar", "same_close")
        and config.sizing in SIZING_NUMBERS
        and not config.close_at_end
    )


@contextmanager
def _kernel_runner(
    loaded: Loaded, config: RunConfig, store: ReadStore, workers: int
) -> Iterator[tuple[Executor, Callable[[dict[str, Any]], Floats]]]:
    columns = KernelColumns.of(config, store)
    cls = type(loaded.strategy)
    if config.min_quality:  # completeness is measured by playing
        _require_done(run_backtest(loaded.strategy, config, store, loaded.code))

    def one(parameters: dict[str, Any]) -> Floats:
        strategy = cls(**parameters)
        assert isinstance(strategy, SignalStrategy)
        return columns.run(strategy)[0]

    one(loaded.strategy.parameters)  # compiles once, before threads begin
    with ThreadPoolExecutor(workers, thread_name_prefix="openbell-sweep") as pool:
        yield pool, one


@dataclass(frozen=True, slots=True, eq=False)
class KernelColumns:
    """The columns a kernel runs over, and the terms of the run as numbers.

    Attributes
    ----------
    bars : float64, shape (5, n)
        The bars that would be played, in order.
    ends : int64, shape (sessions,)
        How many of them are known at each session's close.
    first
        How many of them are caught up: known before the run begins, and not acted on.
    """

    bars: Floats
    ends: Ints
    first: int
    volatility: Floats
    terms: Floats
    sessions_per_year: float

    @classmethod
    def of(cls, config: RunConfig, store: ReadStore) -> "KernelColumns":
        """The columns of a configuration's data, through the same feeds as a replay."""
        pins = resolve(config, store)
        system = System(store, replace(plan_run(config, store, pins), derived=()), {})
        rows = system.read_base()
        data = rows.data
        assert isinstance(data, Bars)
        if not len(data):
            raise RunError("no bar was played", hint="look at --from, --to and --hours")
        stacked = np.stack((data.open, data.high, data.low, data.close, data.volume))
        per_year = sessions_per_year(system)
        wide = np.empty(0)
        if config.sizing == "volatility":
            wide = volatility(VOLATILITY_BARS, per_year * bars_per_session(system)).over(data)
        sessions = np.arange(len(system.agenda.sessions))
        ends = np.searchsorted(rows.session, sessions, side="right").astype(np.int64)
        first = int(rows.known_ns.searchsorted(system.plan.start_ns, "right"))
        return cls(stacked, ends, first, wide, _terms(config, pins), per_year)

    def run(
        self, strategy: SignalStrategy, *, fills: int = 0, keep_equity: bool = False
    ) -> tuple[Floats, Floats, Floats]:
        """Figures in the order of `FIGURES`; the first `fills` fills; equity after each bar."""
        column = strategy.signals()
        n = self.bars.shape[1]
        targets = np.empty(n)
        column.function(self.bars, np.array(column.params), column.fresh_state(), targets)
        targets[: self.first] = np.nan
        found = np.empty((fills, 5))
        equity = np.empty(n if keep_equity else 0)
        figures = np.empty(kernels.FIGURES)
        count = kernels.play_signals(
            self.bars, targets, self.volatility, self.ends, self.terms,
            self.sessions_per_year, found, equity, figures,
        )  # fmt: skip
        return _figures(figures, self.terms), found[:count], equity


def _terms(config: RunConfig, pins: Sequence[Any]) -> Floats:
    (terms,) = terms_for(config, pins)
    costs = config.costs
    found = np.zeros(kernels.TERMS)
    found[kernels.T_CASH] = config.cash
    found[kernels.T_SIZING] = SIZING_NUMBERS[config.sizing]
    found[kernels.T_SIZE] = config.size
    found[kernels.T_LOT] = terms.size_step
    found[kernels.T_MULTIPLIER] = terms.multiplier
    found[kernels.T_STEPS_AWAY] = costs.slip_steps * terms.price_step
    found[kernels.T_SLIP_RATE] = costs.slip_rate
    found[kernels.T_IMPACT] = costs.slip_volume
    found[kernels.T_FEE_UNIT] = costs.fee_per_unit
    found[kernels.T_FEE_RATE] = costs.fee_rate
    found[kernels.T_FEE_MINIMUM] = costs.fee_minimum
    found[kernels.T_LEVERAGE] = config.leverage
    found[kernels.T_SAME_CLOSE] = float(config.fill == "same_close")
    return found


def _figures(k: Floats, terms: Floats) -> Floats:
    trips, equity = k[kernels.F_TRIPS], k[kernels.F_EQUITY]
    return np.array(
        [
            equity / terms[kernels.T_CASH] - 1.0,
            k[kernels.F_SHARPE],
            k[kernels.F_DRAWDOWN],
            equity,
            trips,
            k[kernels.F_WINS] / trips if trips else np.nan,
            k[kernels.F_FILLS],
            k[kernels.F_REJECTED],
            k[kernels.F_FEES],
        ]
    )


# The way through the engine


@contextmanager
def _event_runner(
    loaded: Loaded, config: RunConfig, store: ReadStore, workers: int
) -> Iterator[tuple[Executor, Callable[[dict[str, Any]], Floats]]]:
    with tempfile.TemporaryDirectory(prefix="openbell-sweep-") as folder:
        files = write_columns(store, resolve(config, store), Path(folder))
        if not loaded.ref or loaded.strategy.code_files:
            # A class that is in no Python file cannot be found by another process.
            with ThreadPoolExecutor(1) as thread:
                yield thread, _EventRun(type(loaded.strategy), config, files)
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            yield pool, _EventRun(loaded.ref, config, files)


@dataclass(frozen=True, slots=True)
class _EventRun:
    """One run, in this process or another one; what it needs travels as plain values."""

    strategy: str | type[Strategy]
    config: RunConfig
    files: ColumnFiles

    def __call__(self, parameters: dict[str, Any]) -> Floats:
        try:
            result = self._run(parameters)
        except OpenbellError as error:
            raise RunError(f"with {parameters}: {error.message}", hint=error.hint) from None
        _require_done(result)
        m = result.metrics
        rejected = sum(o.state == "rejected" for o in result.outcomes)
        return np.array(
            [m.total_return, m.sharpe, m.max_drawdown, result.equity_end, m.round_trips,
             m.win_rate, len(result.fills), rejected, m.fees]
        )  # fmt: skip

    def _run(self, parameters: dict[str, Any]) -> RunResult:
        if isinstance(self.strategy, str):
            loaded = load_strategy(self.strategy, parameters)
        else:
            loaded = from_instance(self.strategy(**parameters))
        return run_backtest(loaded.strategy, self.config, ColumnStore(self.files), loaded.code)


# Common


def _require_done(result: RunResult) -> None:
    if result.status != "done":
        raise RunError(
            f"with {dict(result.config.parameters)}: {result.error}",
            hint="run it alone with these parameters: openbell backtest",
        )


def _ordered(
    executor: Executor,
    one: Callable[[dict[str, Any]], Floats],
    sets: Sequence[dict[str, Any]],
    ahead: int,
) -> Iterator[Floats]:
    """The results in order, with at most `ahead` runs submitted at a time."""
    waiting: list[Future[Floats]] = []
    for parameters in sets:
        waiting.append(executor.submit(one, parameters))
        if len(waiting) >= ahead:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def _table(sets: Sequence[Mapping[str, Any]], figures: Floats, rank: str) -> dict[str, list[Any]]:
    """Rows ordered by the rank, best first; what cannot be said comes last, ties keep order."""
    key = figures[:, FIGURES.index(rank)]
    key = key if rank in _LESS else -key
    order = np.argsort(np.where(np.isnan(key), np.inf, key), kind="stable").tolist()
    table: dict[str, list[Any]] = {name: [sets[k][name] for k in order] for name in sets[0]}
    for place, name in enumerate(FIGURES):
        table[name] = figures[order, place].tolist()
    return table


def _own_name(strategy: Strategy, name: str) -> str:
    return type(strategy).aliases.get(name, name)


def _values(name: str, text: str) -> list[Any]:
    if ":" not in text:
        return [_value(part) for part in text.split(",")]
    parts = [_value(part) for part in text.split(":")]
    if len(parts) not in (2, 3) or not all(isinstance(p, int | float) for p in parts):
        raise UsageError(f"`{name}={text}` is no range", hint="write 5:20 or 20:60:5")
    first, last, step = (*parts, 1)[:3]
    if step <= 0 or last < first:
        raise UsageError(f"`{name}={text}` is empty", hint="go up, by a step greater than zero")
    count = int((last - first) / step + 1e-9) + 1
    if count > MAX_RUNS:
        raise UsageError(f"`{name}={text}` has {count:,} values", hint="take a larger step")
    return [first + k * step for k in range(count)]


def _value(text: str) -> Any:
    lowered = text.strip().lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip()
