"""Backtests, sweeps and verification over a lake: what commands and notebooks both do."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import openbell
from openbell.app import wiring
from openbell.app.lake import Lake, open_lake
from openbell.app.settings import settings
from openbell.app.table import Table
from openbell.backtest.catalog import Loaded, from_instance, load_strategy
from openbell.backtest.config import RunConfig
from openbell.backtest.metrics import Metrics
from openbell.backtest.records import from_record, to_record
from openbell.backtest.result import RunResult
from openbell.backtest.run import run_backtest
from openbell.backtest.strategy import Strategy
from openbell.backtest.sweep import SweepResult, parse_grid, run_sweep
from openbell.backtest.verify import Verification, compare_runs
from openbell.market.bars import Bars
from openbell.market.errors import NotRecordedError, StoreError, UsageError
from openbell.market.instrument import Pin
from openbell.market.moments import iso
from openbell.market.progress import CancelToken, Progress, silent
from openbell.ports import RunRecord, RunStore
from openbell.report.export import tables

CONFIG = "config.json"
REPORT = "report.html"

AnyLake = Lake | Path | str | None


def backtest(  # what decides most often; the rest goes by name
    strategy: Strategy | type[Strategy] | str,
    on: str | Sequence[str],
    *,
    lake: AnyLake = None,
    parameters: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    cancel: CancelToken | None = None,
    **settings_: Any,
) -> "Run":
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
) -> "Sweep":
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
    run: "Run | str",
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
        If the run was interrupted: where, depends on the moment, not on the data.
    """
    if isinstance(run, Run):
        stored, at = run.result, _lake(lake if lake is not None else run.lake)
        loaded = from_instance(run.loaded.strategy)
    else:
        stored, at = load_run(run, runs), _lake(lake)
        loaded = _again(stored)
    if stored.status == "interrupted":
        raise UsageError(
            f"run {stored.id} was interrupted, which no second run can repeat",
            hint=f"run it to its end: openbell backtest --config runs/{stored.id}/files/{CONFIG}",
        )
    pinned = replace(stored.config, on=stored.pins, as_of="", min_quality=0.0)
    again = run_backtest(
        loaded.strategy, pinned, at.store, loaded.code,
        version=openbell.__version__, progress=progress, cancel=cancel,
    )  # fmt: skip
    if again.status == "interrupted":
        raise UsageError(f"run {stored.id} was not verified: the second run was interrupted")
    return compare_runs(stored, replace(again, config=stored.config))


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
    return {"trailing": lake.settings.trailing, "derived": lake.settings.derived}


def run_config(
    loaded: Loaded,
    config: RunConfig,
    lake: Lake,
    *,
    progress: Progress = silent,
    cancel: CancelToken | None = None,
) -> "Run":
    """Run a configuration."""
    config = replace(config, on=tuple(lake.playable(ref) for ref in config.on))
    result = run_backtest(
        loaded.strategy, config, lake.store, loaded.code,
        version=openbell.__version__, progress=progress, cancel=cancel,
    )  # fmt: skip
    return Run(result, loaded, lake)


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
) -> "Sweep":
    """Sweep over a configuration."""
    config = replace(config, on=tuple(lake.playable(ref) for ref in config.on))
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


def _kept(store: RunStore, run_id: str) -> RunRecord | None:
    """What is kept under an id; nothing, if it is damaged and may be replaced."""
    try:
        return store.load(run_id)
    except (NotRecordedError, StoreError):
        return None


class Run:
    """A finished run: its figures and tables, and what can be done with it.

    Attributes
    ----------
    result
        Everything it came to.
    loaded
        The strategy and its sources.
    lake
        Where its data is stored.
    """

    def __init__(self, result: RunResult, loaded: Loaded, lake: Lake) -> None:
        self.result = result
        self.loaded = loaded
        self.lake = lake

    @property
    def id(self) -> str:
        """Its name: of the configuration, the versions of the data and the code."""
        return self.result.id

    @property
    def status(self) -> str:
        """``done``, ``failed`` or ``interrupted``."""
        return self.result.status

    @property
    def metrics(self) -> Metrics:
        """The run in figures."""
        return self.result.metrics

    @property
    def seal(self) -> str:
        """The hash chain over all that happened; see `verify`."""
        return self.result.seal

    @property
    def equity(self) -> Table:
        """Cash, equity and the benchmark's equity at every moment."""
        return self.table("equity")

    @property
    def trades(self) -> Table:
        """The round trips: from flat back to flat."""
        return self.table("round_trips")

    def table(self, name: str) -> Table:
        """A table of the run: equity, fills, orders, outcomes, round_trips, sessions, log."""
        found = tables(self.result)
        if name not in found:
            raise UsageError(
                f"a run has no table `{name}`", hint=f"it has {', '.join(sorted(found))}"
            )
        return Table(found[name])

    def report(self, path: Path | str) -> Path:
        """Write the report: one HTML page that needs nothing from outside."""
        from openbell.report.page import write_page

        page = Path(path)
        page.parent.mkdir(parents=True, exist_ok=True)
        write_page(self.result, bars_of(self.result, self.lake), page)
        return page

    def chart(self, path: Path | str) -> Path:
        """Draw price with fills, equity and drawdown as a PNG picture."""
        from openbell.report.charts import write_chart

        picture = Path(path)
        picture.parent.mkdir(parents=True, exist_ok=True)
        write_chart(self.result, bars_of(self.result, self.lake), picture)
        return picture

    @property
    def folder(self) -> Path:
        """Where `save` keeps it."""
        return self.lake.settings.runs / self.id

    @property
    def is_kept_finished(self) -> bool:
        """Whether the same run is kept already, played to its end."""
        before = _kept(wiring.open_runs(self.lake.settings.runs), self.id)
        return before is not None and before.summary["status"] == "done"

    def save(self, folder: Path | str | None = None, *, report: bool = True) -> Path:
        """Keep the run with its configuration, the strategy's source and the report.

        Without `report` one that was written for the same result stays.

        Returns
        -------
        Path
            The run's folder.
        """
        runs = settings(runs=folder).runs if folder else self.lake.settings.runs
        store = wiring.open_runs(runs)
        before = _kept(store, self.id)
        files = {**self.loaded.sources, CONFIG: config_text(self.result.config)}
        if report:
            with tempfile.TemporaryDirectory() as place:
                files[REPORT] = self.report(Path(place) / REPORT).read_text(encoding="utf-8")
        elif before and before.summary["seal"] == self.seal and REPORT in before.files:
            files[REPORT] = before.files[REPORT]
        store.save(to_record(self.result, created=iso(wiring.now_ns()), files=files))
        return runs / self.id

    def __repr__(self) -> str:
        from openbell.report.tables import run_lines

        return str(run_lines(self.result.summary()))

    def _repr_html_(self) -> str:
        from openbell.report.tables import run_html

        return run_html(self.result.summary())


class Sweep:
    """A finished sweep.

    Attributes
    ----------
    result
        Everything it found.
    """

    def __init__(self, result: SweepResult, lake: Lake) -> None:
        self.result = result
        self._folder = lake.settings.sweeps

    @property
    def id(self) -> str:
        """Its name: of the configuration, the grid, the versions and the code."""
        return self.result.id

    @property
    def best(self) -> dict[str, Any]:
        """Parameters and figures of the best run."""
        return self.result.best

    @property
    def table(self) -> Table:
        """One row a run, best first."""
        return Table(self.result.table)

    def save(self, folder: Path | str | None = None) -> list[Path]:
        """Keep the table as Parquet and, if two parameters or more varied, a heat map as PNG."""
        place = Path(folder) if folder else self._folder
        place.mkdir(parents=True, exist_ok=True)
        table = place / f"{self.id}.parquet"
        self.table.to_polars().write_parquet(table)
        if len(self._axes()) < 2:
            return [table]
        return [table, self.heat_map(place / f"{self.id}.png")]

    def heat_map(self, path: Path | str) -> Path:
        """Draw the two parameters with the most values against each other as a PNG picture.

        Where more parameters varied, each cell shows the best of all its runs.

        Raises
        ------
        UsageError
            If fewer than two parameters varied.
        """
        from openbell.report.charts import write_heat_map

        axes = self._axes()
        if len(axes) < 2:
            raise UsageError("a heat map needs two parameters", hint="sweep over two or more")
        (down, rows), (across, columns) = axes[:2]
        picture = Path(path)
        picture.parent.mkdir(parents=True, exist_ok=True)
        title = f"sweep {self.id}, {self.result.runs:,} runs on {', '.join(self.result.pins)}"
        grid = self._grid((down, rows), (across, columns))
        write_heat_map(
            picture, grid, (down, rows), (across, columns), rank=self.result.rank, title=title
        )
        return picture

    def _axes(self) -> list[tuple[str, list[Any]]]:
        """The parameters that have several values, with these, the longest first."""
        found = [(name, sorted(set(self.table[name]), key=_key)) for name in self.result.swept]
        return sorted((one for one in found if len(one[1]) > 1), key=lambda one: -len(one[1]))

    def _grid(self, down: tuple[str, list[Any]], across: tuple[str, list[Any]]) -> Any:
        import numpy as np

        grid = np.full((len(down[1]), len(across[1])), np.nan)
        places = zip(self.table[down[0]], self.table[across[0]], strict=True)
        for (row, column), value in zip(places, self.table[self.result.rank], strict=True):
            at = down[1].index(row), across[1].index(column)
            if np.isnan(grid[at]):  # rows come best first
                grid[at] = value
        return grid

    def __repr__(self) -> str:
        return str(self.result)

    def _repr_html_(self) -> str:
        return f"<p>{self.result}</p>{self.table._repr_html_()}"


def _key(value: Any) -> tuple[bool, Any]:
    """Numbers before words, each in their order."""
    return isinstance(value, str), value


def config_text(config: RunConfig) -> str:
    """A configuration as the text of a file that `openbell backtest --config` takes."""
    import orjson

    return orjson.dumps(config.to_dict(), option=orjson.OPT_INDENT_2).decode() + "\n"


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
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path} is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path} holds no settings", hint='write {"strategy": …, "on": [ … ]}')
    return values


def bars_of(result: RunResult, lake: Lake) -> dict[str, Bars]:
    """The base bars of a run's range, by instrument."""
    pins: list[Pin] = [lake.store.resolve(ref) for ref in result.pins]
    found = {
        str(pin.series.instrument): lake.store.read(pin, result.start_ns, result.end_ns)
        for pin in pins
        if pin.series.is_bars
    }
    return {name: bars for name, bars in found.items() if isinstance(bars, Bars)}


def _lake(lake: AnyLake) -> Lake:
    return lake if isinstance(lake, Lake) else open_lake(lake)


def _values(name: str, some: Any) -> list[Any]:
    return parse_grid([f"{name}={some}"])[name] if isinstance(some, str) else list(some)
