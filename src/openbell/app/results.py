"""What a run and a sweep came to, and what can be done with it."""

import tempfile
from pathlib import Path
from typing import Any

from openbell.app import wiring
from openbell.app.lake import Lake
from openbell.app.recorded import bars_of_recording
from openbell.app.settings import settings
from openbell.app.table import Table
from openbell.app.writing import writing
from openbell.backtest.catalog import Loaded
from openbell.backtest.config import RunConfig
from openbell.backtest.live import recording_id
from openbell.backtest.metrics import Metrics
from openbell.backtest.records import to_record
from openbell.backtest.result import RunResult
from openbell.backtest.sweep import SweepResult
from openbell.market.bars import Bars
from openbell.market.counted import counted
from openbell.market.errors import NotRecordedError, StoreError, UsageError
from openbell.market.instrument import Pin
from openbell.market.moments import iso
from openbell.ports import RunRecord, RunStore
from openbell.report.export import tables

CONFIG = "config.json"
REPORT = "report.html"


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

        page, bars = Path(path), bars_of(self.result, self.lake)
        with writing(page):
            write_page(self.result, bars, page)
        return page

    def chart(self, path: Path | str) -> Path:
        """Draw price with fills, equity and drawdown as a PNG picture."""
        from openbell.report.charts import write_chart

        picture, bars = Path(path), bars_of(self.result, self.lake)
        with writing(picture):
            write_chart(self.result, bars, picture)
        return picture

    def export(self, place: Path | str, *, force: bool = False) -> list[Path]:
        """Write summary and tables: as JSON into a file ``….json``, else as CSV into a folder."""
        from openbell.report.export import write

        with writing(Path(place)):
            return write(self.result, Path(place), force=force)

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
        table = place / f"{self.id}.parquet"
        with writing(table):
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
        title = (
            f"sweep {self.id}, {counted(self.result.runs, 'run')} on {', '.join(self.result.pins)}"
        )
        grid = self._grid((down, rows), (across, columns))
        with writing(picture):
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


def _kept(store: RunStore, run_id: str) -> RunRecord | None:
    """What is kept under an id; nothing, if it is damaged and may be replaced."""
    try:
        return store.load(run_id)
    except (NotRecordedError, StoreError):
        return None


def _key(value: Any) -> tuple[bool, Any]:
    """Numbers before words, each in their order."""
    return isinstance(value, str), value


def config_text(config: RunConfig) -> str:
    """A configuration as the text of a file that `openbell backtest --config` takes."""
    import orjson

    return orjson.dumps(config.to_dict(), option=orjson.OPT_INDENT_2).decode() + "\n"


def bars_of(result: RunResult, lake: Lake) -> dict[str, Bars]:
    """The base bars of a run's range, by instrument."""
    if recording_id(result.config.on):
        return bars_of_recording(lake, result.config.on[0])
    pins: list[Pin] = [lake.store.resolve(ref) for ref in result.pins]
    found = {
        str(pin.series.instrument): lake.store.read(pin, result.start_ns, result.end_ns)
        for pin in pins
        if pin.series.is_bars
    }
    return {name: bars for name, bars in found.items() if isinstance(bars, Bars)}
