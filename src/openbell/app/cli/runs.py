"""`openbell runs`: what was run, side by side, and away with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openbell.app.cli import options
from openbell.app.cli.terminal import confirm, note, say, say_json, say_lines

if TYPE_CHECKING:
    from openbell.ports import RunStore

app = typer.Typer(no_args_is_help=True, help="Look at finished runs and compare them.")

Id = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or its beginning.")]


def _store(runs: Path | None) -> "tuple[RunStore, Path]":
    from openbell.app import wiring
    from openbell.app.settings import settings

    folder = settings(runs=runs).runs
    return wiring.open_runs(folder), folder


@app.command("list")
def list_(
    strategy: Annotated[str, typer.Option("--strategy", help="Only of this strategy.")] = "",
    instrument: Annotated[
        str, typer.Option("--instrument", help="Only over this instrument: XNYS:SPY.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Runs to list.")] = 50,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Runs to pass over.")] = 0,
    runs: options.Runs = None,
    as_json: options.Json = False,
) -> None:
    """List runs, newest first.

    [bold]Examples[/]

      openbell runs list --strategy ema_cross

      openbell runs list --json | jq '.[0].seal'
    """
    store, folder = _store(runs)
    found = store.list_runs(strategy=strategy, instrument=instrument, limit=limit, offset=offset)
    if as_json:
        say_json(found)
        return
    damaged = [one for one in found if one["status"] == "damaged"]
    sound = [one for one in found if one["status"] != "damaged"]
    for one in damaged:
        note(f"run {one['id']} is damaged: {one['error']}")
    if not sound:
        say_lines([f"no runs in {folder}", "next: openbell backtest --help"])
        return
    from openbell.report.tables import runs_table

    say(runs_table(sound), least=("fills", "win rate", "costs", "sessions", "data"))
    if len(found) == limit:
        note(f"there may be more: --offset {offset + limit}")


@app.command()
def show(
    run: Id,
    report: Annotated[
        bool, typer.Option("--report", help="Print only where the report is.")
    ] = False,
    table: Annotated[
        str,
        typer.Option("--table", help="Print a table: fills, round_trips, orders, equity, …"),
    ] = "",
    runs: options.Runs = None,
    as_json: options.Json = False,
) -> None:
    """Show what a run came to: all figures with their definitions.

    [bold]Examples[/]

      openbell runs show 7f3a

      xdg-open $(openbell runs show 7f3a --report)

      openbell runs show 7f3a --table fills --json
    """
    store, folder = _store(runs)
    record = store.load(run)
    page = folder / record.id / "files" / "report.html"
    has_page = "report.html" in record.files
    if report:
        _show_report(record.id, page, has_page=has_page, as_json=as_json)
    elif table:
        from openbell.backtest.records import from_record
        from openbell.report.export import tables

        _show_table({**record.tables, **tables(from_record(record))}, table, as_json=as_json)
    elif as_json:
        say_json({**record.summary, "report": str(page) if has_page else None})
    else:
        _show_summary(record.summary, str(page) if has_page else "")


def _show_report(run_id: str, page: Path, *, has_page: bool, as_json: bool) -> None:
    from openbell.market.errors import NotRecordedError

    if not has_page:
        raise NotRecordedError(
            f"run {run_id} has no report",
            hint=f"make one: openbell backtest --config {page.parent / 'config.json'}",
        )
    if as_json:
        say_json({"report": str(page)})
    else:
        say_lines([str(page)])


def _show_table(tables: Mapping[str, Mapping[str, Any]], name: str, *, as_json: bool) -> None:
    from openbell.app.table import Table
    from openbell.market.errors import UsageError

    if name not in tables:
        raise UsageError(f"a run has no table `{name}`", hint=f"it has {', '.join(sorted(tables))}")
    found = Table(tables[name])
    if as_json:
        say_json(dict(found.columns))
    else:
        say_lines(found.to_polars().write_csv(separator="\t").splitlines())


def _show_summary(summary: Mapping[str, Any], report: str) -> None:
    from openbell.report.tables import metrics_table, run_lines

    say(run_lines(summary, report=report))
    say(metrics_table(summary))


@app.command()
def export(
    run: Id,
    to: Annotated[
        Path,
        typer.Option("--to", metavar="PLACE", help="Where to: a file .json, or a folder of CSV."),
    ],
    force: options.Force = False,
    runs: options.Runs = None,
    as_json: options.Json = False,
) -> None:
    """Write a run for other programs: its summary and tables as JSON, or its tables as CSV.

    [bold]Examples[/]

      openbell runs export 7f3a --to run.json

      openbell runs export 7f3a --to tables
    """
    from openbell.app.running import load_run
    from openbell.app.writing import writing
    from openbell.report.export import write

    result = load_run(run, runs)
    with writing(to):
        files = [str(path) for path in write(result, to, force=force)]
    if as_json:
        say_json({"id": result.id, "files": files})
    else:
        say_lines(f"written: {file}" for file in files)


@app.command()
def compare(
    which: Annotated[list[str], typer.Argument(metavar="RUN RUN…", help="Two runs or more.")],
    runs: options.Runs = None,
    as_json: options.Json = False,
) -> None:
    """Put runs side by side: first the settings that differ, then every figure.

    [bold]Examples[/]

      openbell runs compare 7f3a 91c0
    """
    from openbell.market.errors import UsageError

    if len(which) < 2:
        raise UsageError(
            "one run cannot be compared", hint="name two or more of: openbell runs list"
        )
    store, _ = _store(runs)
    found = [store.load(run).summary for run in which]
    differing = differences(found)
    if as_json:
        say_json({"runs": found, "differences": differing})
        return
    from openbell.report.tables import compare_table

    say(compare_table(found))
    seals = {one["seal"] for one in found}
    say_lines(["the same seal" if len(seals) == 1 else "different seals"])


def differences(summaries: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Settings that are not the same in all runs, costs and parameters one by one."""
    flat = [_flat(one) for one in summaries]
    names = dict.fromkeys(name for one in flat for name in one)
    rows = {name: [one.get(name) for one in flat] for name in names}
    return {name: values for name, values in rows.items() if any(v != values[0] for v in values)}


def _flat(summary: Mapping[str, Any]) -> dict[str, Any]:
    config = dict(summary["config"])
    # A strategy may call a parameter `size`, as a setting is called.
    parameters = {f"parameters.{name}": v for name, v in config.pop("parameters").items()}
    parts = {**parameters, **config.pop("costs")}
    more = {"pins": summary["on"], "code": summary["code_hash"], "openbell": summary["version"]}
    return {**config, **parts, **more}


@app.command()
def delete(
    which: Annotated[list[str], typer.Argument(metavar="RUN…", help="Runs, or their beginnings.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    runs: options.Runs = None,
    as_json: options.Json = False,
) -> None:
    """Forget runs, with their reports. Asks first.

    [bold]Examples[/]

      openbell runs delete 7f3a --yes
    """
    store, _ = _store(runs)
    ids = [store.load(run).id for run in which]
    confirm(f"Delete {', '.join(ids)}?", yes=yes, instead="add --yes")
    for run_id in ids:
        store.delete(run_id)
    if as_json:
        say_json({"deleted": ids})
    else:
        say_lines(f"deleted {run_id}" for run_id in ids)
