"""Backtests, sweeps and verification over a lake: what commands and notebooks both do."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import openbell
from openbell.app import wiring
from openbell.app.lake import Lake, open_lake
from openbell.app.ranges import require_forward
from openbell.app.recorded import run_recording
from openbell.app.results import Run, Sweep
from openbell.app.settings import settings
from openbell.backtest.catalog import Loaded, add_loader, from_instance, load_strategy
from openbell.backtest.config import RunConfig
from openbell.backtest.live import recording_id
from openbell.backtest.records import from_record
from openbell.backtest.result import RunResult
from openbell.backtest.run import run_backtest
from openbell.backtest.strategy import Strategy
from openbell.backtest.sweep import parse_grid, run_sweep
from openbell.backtest.verify import Verification, compare_runs
from openbell.market.errors import NotRecordedError, UsageError
from openbell.market.progress import CancelToken, Progress, silent
from openbell.ports import RunRecord

AnyLake = Lake | Path | str | None

for _suffix in wiring.NODE_SUFFIXES:
    add_loader(_suffix, wiring.node_strategy)


def backtest(  # what decides most often; the rest goes by name
    strategy: Strategy | type[Strategy] | str,
    on: str | Sequence[str],
    *,
    lake: AnyLake = None,
    parameters: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    cancel: CancelToken | None = None,
    **settings_: Any,
) -> Run:
    """Run a strategy over stored data.

    Parameters
    ----------
    strategy
        A strategy, its class, the name of a built-in one, or a Python file (``my.py:Class``).
    on
        Series to play: ``XNYS:SPY/1m``, ``XNYS:SPY/1m@3``, a pin's name; a bare instrument means
        its finest bars.
    lake
        Where they are stored; the usual place when left out.
    parameters
        Of the strategy, if it is not given with them.
    settings_
        Anything else of `RunConfig`: ``start``, ``end``, ``hours``, ``cash``, ``size``,
        ``sizing``, ``fill``, ``costs``, ``min_quality``, …

    Raises
    ------
    UsageError
        If something is named that does not exist.
    RunError
        If the run cannot be carried out. A strategy that raises does not raise here: its run has
        the status ``failed``.
    """
    at = _lake(lake)
    loaded = load(strategy, parameters or {})
    config = _config(loaded, on, {**defaults(at), **settings_})
    return run_config(loaded, config, at, progress=progress, cancel=cancel)


def sweep(  # noqa: PLR0913  # as `backtest`
    strategy: Strategy | type[Strategy] | str,
    on: str | Sequence[str],
    grid: Mapping[str, Any],
    *,
    lake: AnyLake = None,
    rank: str = "sharpe",
    workers: int = 0,
    progress: Progress = silent,
    cancel: CancelToken | None = None,
    **settings_: Any,
) -> Sweep:
    """Run a strategy with every combination of some parameters' values, on all cores.

    Parameters
    ----------
    grid
        Values by parameter: a sequence, or text as on the command line (``"5:20"``).
    rank
        The figure the table is ordered by.
    workers
        How many runs at once; 0 for all cores.
    settings_
        As for `backtest`.
    """
    at = _lake(lake)
    loaded = load(strategy, {})
    config = _config(loaded, on, {**defaults(at), **settings_})
    values = {name: _values(name, some) for name, some in grid.items()}
    return sweep_config(
        loaded, config, values, at, rank=rank, workers=workers, progress=progress, cancel=cancel
    )


def verify(
    run: Run | str,
    *,
    lake: AnyLake = None,
    runs: Path | str | None = None,
    progress: Progress = silent,
    cancel: CancelToken | None = None,
) -> Verification:
    """Do a run again, over the very versions it stood on, and compare.

    Parameters
    ----------
    run
        A run, or the id of a stored one.

    Raises
    ------
    NotRecordedError
        If the run, its strategy's file or its data is not there.
    UsageError
        If the second run is interrupted.
    """
    if isinstance(run, Run):
        stored, at = run.result, _lake(lake if lake is not None else run.lake)
        loaded = from_instance(run.loaded.strategy)
    else:
        stored, at = load_run(run, runs), _lake(lake)
        loaded = _again(stored)
    again = _run_again(stored, loaded, at, progress, cancel)
    if again.status == "interrupted":
        raise UsageError(
            f"run {stored.id} was not verified: the second run was interrupted",
            hint="run the command again, and let it end",
        )
    return compare_runs(stored, replace(again, config=stored.config))


def _run_again(
    stored: RunResult, loaded: Loaded, at: Lake, progress: Progress, cancel: CancelToken | None
) -> RunResult:
    """The run once more, over the very versions or the recording it stood on."""
    if recording_id(stored.config.on):
        whole = replace(stored.config, min_quality=0.0)
        return run_recording(loaded, whole, at, progress=progress, cancel=cancel)
    pinned = replace(stored.config, on=stored.pins, as_of="", min_quality=0.0)
    return run_backtest(
        loaded.strategy, pinned, at.store, loaded.code,
        version=openbell.__version__, progress=progress, cancel=cancel,
    )  # fmt: skip


def _again(stored: RunResult) -> Loaded:
    try:
        return load_strategy(stored.config.strategy, stored.config.parameters)
    except UsageError as error:
        if not error.message.startswith("there is no"):
            raise
        raise NotRecordedError(
            f"the strategy {stored.config.strategy} of run {stored.id} is not there",
            hint="go to the folder it was run in; its source is kept with the run",
        ) from error


def load(strategy: Strategy | type[Strategy] | str, parameters: Mapping[str, Any]) -> Loaded:
    """A strategy of any form, ready to run."""
    if isinstance(strategy, str):
        return load_strategy(strategy, parameters)
    if isinstance(strategy, type):
        return from_instance(strategy(**parameters))
    if parameters:
        return from_instance(type(strategy)(**{**strategy.parameters, **parameters}))
    return from_instance(strategy)


def prepare(values: Mapping[str, Any]) -> tuple[Loaded, RunConfig]:
    """The strategy that a configuration's values name, and the configuration in our own words."""
    asked = RunConfig.from_dict(values)
    loaded = load_strategy(asked.strategy, asked.parameters)
    return loaded, replace(asked, strategy=ref_of(loaded), parameters=loaded.strategy.parameters)


def _config(loaded: Loaded, on: str | Sequence[str], more: Mapping[str, Any]) -> RunConfig:
    own = {"strategy": ref_of(loaded), "parameters": loaded.strategy.parameters}
    return RunConfig.from_dict({**more, **own, "on": [on] if isinstance(on, str) else list(on)})


def ref_of(loaded: Loaded) -> str:
    """By what a run names its strategy: files below the working folder relative to it."""
    path, colon, cls = loaded.ref.rpartition(":")
    if not colon:
        return loaded.ref or loaded.name
    relative = os.path.relpath(path)
    return f"{path if relative.startswith('..') else relative}:{cls}"


def defaults(lake: Lake) -> dict[str, Any]:
    """What the process's settings say of every run."""
    known = lake.settings
    return {
        "trailing": known.trailing,
        "derived": known.derived,
        "session_start": known.session_start,
        "session_end": known.session_end,
        "check_interval_s": known.check_interval_s,
        "retries": 5 if known.retry_missing else 0,
    }


def run_config(
    loaded: Loaded,
    config: RunConfig,
    lake: Lake,
    *,
    progress: Progress = silent,
    cancel: CancelToken | None = None,
) -> Run:
    """Run a configuration."""
    if recording_id(config.on):
        played = run_recording(loaded, config, lake, progress=progress, cancel=cancel)
        return Run(played, loaded, lake)
    config = _playable(config, lake)
    result = run_backtest(
        loaded.strategy, config, lake.store, loaded.code,
        version=openbell.__version__, progress=progress, cancel=cancel,
    )  # fmt: skip
    return Run(result, loaded, lake)


def _playable(config: RunConfig, lake: Lake) -> RunConfig:
    require_forward(config.start, config.end)
    on, fill_from = (tuple(map(lake.playable, refs)) for refs in (config.on, config.fill_from))
    return replace(config, on=on, fill_from=fill_from)


def sweep_config(  # noqa: PLR0913  # as `run_sweep`
    loaded: Loaded,
    config: RunConfig,
    grid: Mapping[str, Sequence[Any]],
    lake: Lake,
    *,
    rank: str = "sharpe",
    workers: int = 0,
    progress: Progress = silent,
    cancel: CancelToken | None = None,
) -> Sweep:
    """Sweep over a configuration."""
    config = _playable(config, lake)
    found = run_sweep(
        loaded, config, grid, lake.store,
        rank=rank, workers=workers, progress=progress, cancel=cancel,
    )  # fmt: skip
    return Sweep(found, lake)


def load_record(run_id: str, runs: Path | str | None = None) -> RunRecord:
    """A stored run as it is kept; the beginning of its id is enough."""
    return wiring.open_runs(settings(runs=runs).runs).load(run_id)


def load_run(run_id: str, runs: Path | str | None = None) -> RunResult:
    """The result of a stored run."""
    return from_record(load_record(run_id, runs))


def read_config(path: Path) -> dict[str, Any]:
    """The values of a configuration file.

    Raises
    ------
    UsageError
        If there is no such file, or it is no JSON object.
    """
    import orjson

    try:
        values = orjson.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", hint="look at its name and who may read it"
        ) from error
    except orjson.JSONDecodeError as error:
        raise UsageError(
            f"{path} is no JSON: {error}", hint="every run keeps one: runs/ID/files/config.json"
        ) from error
    if not isinstance(values, dict):
        raise UsageError(f"{path} holds no settings", hint='write {"strategy": …, "on": [ … ]}')
    return values


def _lake(lake: AnyLake) -> Lake:
    return lake if isinstance(lake, Lake) else open_lake(lake)


def _values(name: str, some: Any) -> list[Any]:
    return parse_grid([f"{name}={some}"])[name] if isinstance(some, str) else list(some)
