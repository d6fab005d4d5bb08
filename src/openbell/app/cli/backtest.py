"""`openbell backtest`, `sweep` and `verify`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openbell.app.cli import options
from openbell.app.cli.exits import (
    BELOW_THRESHOLD,
    DONE,
    FAILED,
    INTERRUPTED,
    NOT_VERIFIED,
)
from openbell.app.cli.terminal import note, say, say_json, say_lines, working
from openbell.market.counted import counted
from openbell.market.errors import UsageError

if TYPE_CHECKING:
    from openbell.app.lake import Lake
    from openbell.app.results import Run, Sweep

Name = Annotated[
    str,
    typer.Argument(
        metavar="STRATEGY", help="A built-in one, or a Python file: my_strategy.py[:Class].",
        show_default=False,
    ),
]  # fmt: skip

_COSTS = (
    "fee_per_unit", "fee_rate", "fee_minimum", "slip_steps", "slip_rate", "slip_volume",
)  # fmt: skip


def backtest(
    strategy: Name = "",
    on: options.On = None,
    start: options.From = "",
    end: options.To = "",
    hours: options.Hours = None,
    session: options.Session = "",
    set_: options.Set = None,
    cash: options.Cash = None,
    size: options.Size = None,
    sizing: options.Sizing = None,
    fill: options.Fill = None,
    leverage: options.Leverage = None,
    fee_per_unit: options.FeePerUnit = None,
    fee_rate: options.FeeRate = None,
    fee_minimum: options.FeeMinimum = None,
    slip_steps: options.SlipSteps = None,
    slip_rate: options.SlipRate = None,
    slip_volume: options.SlipVolume = None,
    min_quality: options.MinQuality = None,
    as_of: options.AsOf = None,
    derived: options.Derived = None,
    trailing: options.Trailing = None,
    fill_from: options.FillFrom = None,
    history: options.History = None,
    seed: options.Seed = None,
    close_at_end: options.CloseAtEnd = None,
    benchmark: options.Benchmark = None,
    lot: options.Lot = None,
    price_step: options.PriceStep = None,
    multiplier: options.Multiplier = None,
    config: options.Config = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no HTML page.")] = False,
    png: Annotated[
        Path | None, typer.Option("--png", metavar="FILE", help="Draw a picture, too.")
    ] = None,
    lake: options.Lake = None,
    runs: options.Runs = None,
    as_json: options.Json = False,
) -> None:
    """Run a strategy over stored data; keep the run, its report and its seal.

    A strategy that raises, or Ctrl-C, leaves a run up to there, marked as such.

    [bold]Examples[/]

      openbell backtest ema-cross --on XNYS:SPY/1m --set fast=12 --set slow=26 --size 100

      openbell backtest my_strategy.py --on march --from 2011-03-07 --to 2011-03-26

      openbell backtest --config runs/7f3a91c2/files/config.json --fee-per-unit 0.005
    """
    given = dict(locals())
    at = options.lake_at(lake, runs=runs)
    values = values_of(given, at)
    from openbell.app.running import prepare, run_config

    loaded, plan = prepare(values)
    with working("running") as (progress, cancel):
        run = run_config(loaded, plan, at, progress=progress, cancel=cancel)
    keep(run, report=not no_report, png=png, as_json=as_json)
    code = code_of(run)
    if code:
        raise typer.Exit(code)


def values_of(given: Mapping[str, Any], at: "Lake") -> dict[str, Any]:
    """The settings of a run: the process's, then the file's, then the command's own."""
    from openbell.app.running import defaults, read_config

    values = defaults(at) | (read_config(given["config"]) if given["config"] else {})
    own = {name: given[name] for name in _NAMES if given.get(name) not in (None, "", [])}
    if given.get("session"):
        own["session_start"], own["session_end"] = options.session_hours(given["session"])
    costs = {name: given[name] for name in _COSTS if given.get(name) is not None}
    if costs:
        own["costs"] = {**values.get("costs", {}), **costs}
    if "min_quality" in own:
        own["min_quality"] = _fraction(own["min_quality"])
    if given["strategy"]:
        values.pop("strategy_type", None)
    parameters = {**values.get("parameters", {}), **set_values(given["set_"] or [])}
    values |= own
    if parameters:
        values["parameters"] = parameters
    if not ({"strategy", "strategy_type"} & set(values)):
        raise UsageError(
            "no strategy is named",
            hint="for instance: openbell backtest ema-cross --on XNYS:SPY/1m"
            " (see: openbell strategy list)",
        )
    if not values.get("on"):
        raise UsageError(
            "nothing to run on is named", hint="add --on XNYS:SPY/1m (see: openbell data list)"
        )
    return values


_NAMES = (
    "strategy", "on", "start", "end", "hours", "cash", "size", "sizing", "fill", "leverage",
    "min_quality", "as_of", "derived", "trailing", "history", "seed", "close_at_end", "benchmark",
    "lot", "price_step", "multiplier", "fill_from",
)  # fmt: skip


def _fraction(percent: float) -> float:
    if 0 < percent < 1:
        raise UsageError(
            f"--min-quality {percent:g} is less than one percent",
            hint=f"it is given in percent; for {percent:.0%} write --min-quality {percent * 100:g}",
        )
    return percent / 100


def set_values(texts: Sequence[str]) -> dict[str, Any]:
    """Parameters by name, each with one value."""
    from openbell.backtest.sweep import parse_grid

    grid = parse_grid(texts)
    for name, values in grid.items():
        if len(values) != 1:
            raise UsageError(
                f"--set {name} has {len(values):,} values",
                hint="give one, or try them all with: openbell sweep",
            )
    return {name: values[0] for name, values in grid.items()}


def keep(run: "Run", *, report: bool, png: Path | None, as_json: bool) -> None:
    """Store the run and say what it came to."""
    folder = run.folder
    if run.is_kept_finished and run.status == "interrupted":
        note(f"run {run.id} is kept as finished; this part of it is not")
    else:
        run.save(report=report)
    page = folder / "files" / "report.html"
    found = str(page) if page.exists() else ""
    if png is not None:
        run.chart(png)
    summary = run.result.summary()
    if as_json:
        more = {"folder": str(folder), "report": found or None, "png": str(png) if png else None}
        say_json({**summary, **more})
        return
    from openbell.report.tables import run_lines

    say(run_lines(summary, report=found))
    if png is not None:
        say_lines([f"picture: {png}"])


def code_of(run: "Run") -> int:
    """The exit code of a command that made a run."""
    if run.status == "interrupted":
        return INTERRUPTED
    if run.status == "done":
        return DONE
    is_below = run.result.completeness < run.result.config.min_quality
    return BELOW_THRESHOLD if is_below else FAILED


def sweep(
    strategy: Name = "",
    on: options.On = None,
    start: options.From = "",
    end: options.To = "",
    hours: options.Hours = None,
    session: options.Session = "",
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUES",
            rich_help_panel="Run",
            help="Values to try: fast=5:20, slow=20:60:5, average=ema,sma; may be repeated.",
        ),
    ] = None,
    rank: Annotated[
        str, typer.Option("--rank", help="The figure to order by.", rich_help_panel="Run")
    ] = "sharpe",
    workers: Annotated[
        int, typer.Option("--workers", min=0, help="Runs at once; 0 for all cores.")
    ] = 0,
    top: Annotated[int, typer.Option("--top", min=1, help="Rows to print.")] = 10,
    cash: options.Cash = None,
    size: options.Size = None,
    sizing: options.Sizing = None,
    fill: options.Fill = None,
    leverage: options.Leverage = None,
    fee_per_unit: options.FeePerUnit = None,
    fee_rate: options.FeeRate = None,
    fee_minimum: options.FeeMinimum = None,
    slip_steps: options.SlipSteps = None,
    slip_rate: options.SlipRate = None,
    slip_volume: options.SlipVolume = None,
    as_of: options.AsOf = None,
    derived: options.Derived = None,
    trailing: options.Trailing = None,
    history: options.History = None,
    seed: options.Seed = None,
    close_at_end: options.CloseAtEnd = None,
    lot: options.Lot = None,
    price_step: options.PriceStep = None,
    multiplier: options.Multiplier = None,
    config: options.Config = None,
    lake: options.Lake = None,
    sweeps: options.Sweeps = None,
    as_json: options.Json = False,
) -> None:
    """Run a strategy with every combination of some values, on all cores.

    [bold]Examples[/]

      openbell sweep ema-cross --on XNYS:SPY/1m --set fast=5:20 --set slow=20:60:5

      openbell sweep rsi-reversion --on march --set n=7,14,21 --rank total_return --top 3
    """
    given = {**locals(), "set_": [], "min_quality": None, "benchmark": None}
    at = options.lake_at(lake, sweeps=sweeps)
    values = values_of(given, at)
    from openbell.app.running import prepare, sweep_config
    from openbell.backtest.sweep import parse_grid

    loaded, plan = prepare(values)
    grid = parse_grid(set_ or [])
    with working("sweeping") as (progress, cancel):
        found = sweep_config(
            loaded, plan, grid, at, rank=rank, workers=workers, progress=progress, cancel=cancel
        )
    files = found.save()
    if as_json:
        say_json(
            {"id": found.id, "runs": found.result.runs, "rank": rank, "best": found.best,
             "pins": list(found.result.pins), "engine": found.result.engine,
             "files": [str(file) for file in files], "rows": list(found.table.rows())[:top]}
        )  # fmt: skip
        return
    say(_top_table(found, top), least=("rejected", "fills", "Win rate", "equity end", "Fees"))
    say_lines(_sweep_lines(found, files))


def _sweep_lines(found: "Sweep", files: Sequence[Path]) -> Iterator[str]:
    """What a sweep came to, and that a best one is partly luck."""
    runs, rank = found.result.runs, found.result.rank
    best = " ".join(f"{name}={found.best[name]}" for name in found.result.swept)
    is_ranked = found.best[rank] == found.best[rank]  # not NaN: somebody traded
    first = f"best {best}" if is_ranked else f"none has a {rank}"
    yield " · ".join([counted(runs, "run"), first, f"sweep {found.id}", *map(str, files)])
    if runs > 1 and is_ranked:
        yield f"warning: the best of {runs:,} is partly luck; try it on other sessions"


def _top_table(found: Any, top: int) -> Any:
    """The best rows: the parameters that varied, then the figures."""
    from rich.table import Table

    from openbell.backtest.figures import FIGURES
    from openbell.backtest.sweep import FIGURES as SWEPT
    from openbell.report import text

    names = [*found.result.swept, *SWEPT]
    table = Table()
    for name in names:
        table.add_column(FIGURES[name].label if name in FIGURES else name.replace("_", " "))
        table.columns[-1].justify = "right"
    for row, _ in zip(found.table.rows(), range(top), strict=False):
        cells = (
            text.figure(name, row[name]) if name in FIGURES else _plain(row[name]) for name in names
        )
        table.add_row(*cells)
    return table


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}" if value % 1 else f"{value:,.0f}"
    return str(value)


def verify(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or its beginning.")],
    lake: options.Lake = None,
    runs: options.Runs = None,
    as_json: options.Json = False,
) -> None:
    """Do a run again over the very data it stood on, and compare the seals.

    If they differ (exit code 5), the first decision that does is named, and what has changed.

    [bold]Examples[/]

      openbell verify 7f3a
    """
    from openbell.app import running

    at = options.lake_at(lake)
    with working("verifying") as (progress, cancel):
        found = running.verify(run, lake=at, runs=runs, progress=progress, cancel=cancel)
    if as_json:
        say_json(found.to_dict())
    else:
        say_lines([found.text])
    if not found.is_same:
        raise typer.Exit(NOT_VERIFIED)
