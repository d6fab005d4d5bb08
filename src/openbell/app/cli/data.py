"""`openbell data`: bring data in, know how good it is, name it, take it out."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openbell.app.cli import importing, options, session
from openbell.app.cli.exits import BELOW_THRESHOLD
from openbell.app.cli.terminal import note, say, say_json, say_lines
from openbell.market.counted import counted
from openbell.market.errors import UsageError
from openbell.market.moments import iso

if TYPE_CHECKING:
    from openbell.market.columns import Columns
    from openbell.ports import Diff, SeriesInfo

app = typer.Typer(no_args_is_help=True, help="Bring market data in and know how good it is.")

_SHOWN = 40  # rows in a terminal, unless more are asked for

app.command("import")(importing.import_)
app.add_typer(session.app, name="session")

Ref = Annotated[
    str, typer.Argument(metavar="SERIES", help="XNYS:SPY/1m, XNYS:SPY/1m@3, or a pin's name.")
]


@app.command("list")
def list_(
    lake: options.Lake = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Leave out completeness, which reads the rows.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """What is stored: every series, its range, its newest version, how complete it is.

    [bold]Examples[/]

      openbell data list

      openbell data list --json | jq '.series[].pin'
    """
    from openbell.app.lake import open_lake

    at = open_lake(lake)
    infos = at.series() if at.is_there else []
    whole = {i.pin: at.completeness(str(i.pin)) if i.rows and not fast else None for i in infos}
    pins = at.pins() if at.is_there else {}
    if as_json:
        rows = [_info(info, whole[info.pin]) for info in infos]
        say_json({"series": rows, "pins": {name: str(pin) for name, pin in pins.items()}})
        return
    if not infos:
        say_lines([f"nothing is stored in {at.settings.lake}", "next: openbell data import --help"])
        return
    say(_series_table(infos, whole), least=("version", "from", "to"))
    if pins:
        say_lines(f"{name} = {pin}" for name, pin in pins.items())


def _info(info: "SeriesInfo", whole: float | None) -> dict[str, Any]:
    series = info.pin.series
    return {
        "series": str(series), "instrument": str(series.instrument), "kind": series.kind,
        "price": series.price, "version": info.pin.version, "pin": str(info.pin),
        "rows": info.rows, "first": iso(info.first_ns) if info.rows else None,
        "last": iso(info.last_ns) if info.rows else None, "size_bytes": info.size_bytes,
        "completeness": whole,
    }  # fmt: skip


def _series_table(infos: "list[SeriesInfo]", whole: dict[Any, float | None]) -> Any:
    from rich.table import Table

    from openbell.quality.report import percent

    table = Table("series", "kind", "from", "to")
    for name in ("rows", "version", "completeness"):
        table.add_column(name, justify="right")
    for info in infos:
        series, complete = info.pin.series, whole[info.pin]
        price = "" if series.price == "trade" else f".{series.price}"
        table.add_row(
            str(series.instrument),
            f"{series.kind}{price}",
            _day(info.first_ns, series.instrument.place.zone) if info.rows else "–",
            _day(info.last_ns, series.instrument.place.zone) if info.rows else "–",
            f"{info.rows:,}",
            f"@{info.pin.version}",
            "–" if complete is None else percent(complete),
        )
    return table


def _day(ns: int, zone: str) -> str:
    from openbell.market.moments import local

    return f"{local(ns, zone):%Y-%m-%d}"


@app.command()
def show(
    ref: Ref,
    start: options.From = "",
    end: options.To = "",
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=0,
            help="Rows to print; 0 for all.",
            show_default=f"{_SHOWN} in a terminal, else all",
        ),
    ] = None,
    lake: options.Lake = None,
    as_json: options.Json = False,
) -> None:
    """Print rows as they are stored; times are UTC.

    [bold]Examples[/]

      openbell data show XNYS:SPY/1m --from 2011-03-14 --to 2011-03-15 | head

      openbell data show XNYS:SPY/1m --limit 5 --json
    """
    import sys

    from openbell.app.lake import open_lake

    data = open_lake(lake).read(ref, start, end)
    most = limit if limit is not None else (_SHOWN if sys.stdout.isatty() else 0)
    shown = data.take(slice(0, most)) if most else data
    if as_json:
        say_json(list(_rows(shown)))
    else:
        say_lines(_row_lines(shown))
    if len(shown) < len(data):
        note(f"… {counted(len(data) - len(shown), 'more row')}; --limit 0 prints them all")
    if not len(data):
        note(f"{data.series} has no rows in this range")


def _rows(data: "Columns") -> Iterator[dict[str, Any]]:
    from openbell.market.columns import label_names

    columns = {name: column.tolist() for name, column in data.columns().items()}
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        yield {
            name.removesuffix("_ns"): iso(value)
            if name.endswith("_ns")
            else label_names(value)
            if name == "label"
            else value
            for name, value in row.items()
        }


def _row_lines(data: "Columns") -> Iterator[str]:
    names = [name.removesuffix("_ns") for name in data.names() if name != "end_ns"]
    is_moment = {"start", "time"}

    def cells(row: dict[str, Any]) -> Iterator[str]:
        for name in names:
            value = row[name]
            if name in is_moment:
                yield f"{value:<20}"
            elif name == "label":
                yield " ".join(value)
            else:
                yield f"{value:>12.10g}"

    if len(data):
        heads = (f"{n:<20}" if n in is_moment else f"{n:>12}" for n in names if n != "label")
        yield " ".join(heads).rstrip()
    for row in _rows(data):
        yield " ".join(cells(row)).rstrip()


@app.command()
def check(
    ref: Ref,
    start: options.From = "",
    end: options.To = "",
    hours: options.Hours = None,
    least: Annotated[
        float | None,
        typer.Option(
            "--min",
            min=0,
            max=100,
            metavar="PERCENT",
            help="Least completeness; below it the exit code is 4.",
        ),
    ] = None,
    details: Annotated[
        bool, typer.Option("--details", help="Print every gap and every finding.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write it as a page, too.")
    ] = None,
    lake: options.Lake = None,
    as_json: options.Json = False,
) -> None:
    """How good a series is: session by session, gap by gap, with reasons.

    Trades, quotes and daily bars of the same instrument, if stored, are taken as evidence.

    [bold]Examples[/]

      openbell data check XNYS:SPY/1m

      openbell data check XNYS:SPY/1m --min 99.5 --html quality.html
    """
    from openbell.app.lake import open_lake
    from openbell.app.writing import writing

    report = open_lake(lake).check(ref, start, end, hours=_hours(hours))
    if html is not None:
        from openbell.report.quality_page import quality_page

        with writing(html):
            html.write_text(quality_page(report), encoding="utf-8")
    if as_json:
        say_json(report.to_dict())
    else:
        say_lines(str(report).splitlines())
        if details:
            say_lines(_detail_lines(report))
        elif report.gaps or report.findings:
            say_lines([f"next: openbell data check {ref} --details"])
        if html is not None:
            say_lines([f"page: {html}"])
    if least is not None and report.completeness * 100 < least:
        note(f"below the threshold: {report.completeness:.4%} complete, {least:g} % asked for")
        raise typer.Exit(BELOW_THRESHOLD)


def _hours(text: str | None) -> str:
    if text not in (None, "regular", "extended"):
        raise UsageError(f"--hours is `{text}`", hint="use regular or extended")
    return text or "regular"


def _detail_lines(report: Any) -> Iterator[str]:
    for gap in report.gaps:
        bars = counted(gap.bars, "bar")
        yield f" gap      {_span(gap, report.zone)}   {bars} {gap.kind}: {gap.reason}"
    for one in report.findings:
        kind = one.kind.replace("_", " ")
        yield f" {one.severity:<8} {one.session or 'no session'}   {kind}: {one.message}"


def _span(gap: Any, zone: str) -> str:
    from openbell.market.moments import local

    return f"{gap.session} {local(gap.start_ns, zone):%H:%M:%S}–{local(gap.end_ns, zone):%H:%M:%S}"


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="A version: XNYS:SPY/1m@1.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="Another one: XNYS:SPY/1m@2.")],
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="Rows to print of each kind; 0 for all.")
    ] = 20,
    lake: options.Lake = None,
    as_json: options.Json = False,
) -> None:
    """What changed between two versions of a series.

    [bold]Examples[/]

      openbell data diff XNYS:SPY/1m@1 XNYS:SPY/1m@2
    """
    from openbell.app.lake import open_lake

    at = open_lake(lake)
    pins = at.store.resolve(before), at.store.resolve(after)
    found = at.store.diff(*pins)
    if as_json:
        parts = ("added", "removed", "revised_before", "revised_after")
        rows = {name: list(_rows(getattr(found, name))) for name in parts}
        say_json({"before": str(pins[0]), "after": str(pins[1]), **rows})
        return
    say_lines(
        [
            f"{pins[0]} → {pins[1]}: {len(found.added):,} added · {len(found.removed):,} removed"
            f" · {len(found.revised_after):,} revised"
        ]
    )
    say_lines(_diff_lines(found, limit))


def _diff_lines(found: "Diff", limit: int) -> Iterator[str]:
    parts = (
        ("added", "+", found.added),
        ("removed", "-", found.removed),
        ("was", "<", found.revised_before),
        ("is now", ">", found.revised_after),
    )
    for title, mark, rows in parts:
        if not len(rows):
            continue
        shown = rows.take(slice(0, limit)) if limit else rows
        head, *lines = _row_lines(shown)
        yield f"{title}:"
        yield f"  {head}"
        yield from (f"{mark} {line}" for line in lines)
        if len(shown) < len(rows):
            yield f"  … {len(rows) - len(shown):,} more"


@app.command()
def pin(
    name: Annotated[str, typer.Argument(help="The name to give: march, v1.2, before-the-split.")],
    ref: Ref,
    lake: options.Lake = None,
    as_json: options.Json = False,
) -> None:
    """Name a version of a series, so that it never expires and runs can stand on it.

    [bold]Examples[/]

      openbell data pin march XNYS:SPY/1m@1
    """
    from openbell.app.lake import open_lake

    found = open_lake(lake).pin(name, ref)
    if as_json:
        say_json({"name": name, "pin": str(found)})
    else:
        say_lines([f"{name} = {found}", f"next: openbell backtest ema-cross --on {name}"])


@app.command()
def export(
    ref: Ref,
    to: Annotated[
        Path,
        typer.Option("--to", metavar="FILE", help="Where to: .parquet, .csv or .feather."),
    ],
    start: Annotated[
        str, typer.Option("--start", metavar="DATE", help="First session or moment.")
    ] = "",
    end: Annotated[
        str, typer.Option("--end", metavar="DATE", help="Session or moment to stop before.")
    ] = "",
    force: options.Force = False,
    lake: options.Lake = None,
    as_json: options.Json = False,
) -> None:
    """Write rows into a file for other programs; importing it again gives the same rows.

    [bold]Examples[/]

      openbell data export XNYS:SPY/1m@1 --to spy.parquet
    """
    from openbell.app.lake import open_lake

    at = open_lake(lake)
    found = at.store.resolve(ref)
    rows = at.export(str(found), to, start, end, force=force)
    if as_json:
        say_json({"pin": str(found), "rows": rows, "file": str(to)})
    else:
        say_lines([f"{found}   {counted(rows, 'row')} written to {to}"])
