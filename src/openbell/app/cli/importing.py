"""`openbell data import`: files into the lake."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openbell.app.cli import options
from openbell.app.cli.terminal import say_json, say_lines, working
from openbell.market.counted import counted
from openbell.market.errors import UsageError
from openbell.market.moments import iso

if TYPE_CHECKING:
    from openbell.recording.importing import ImportReport, SeriesReport

_SERIES_SHOWN = 30


def import_(
    paths: Annotated[list[Path], typer.Argument(help="Files, archives or folders.")],
    series: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="SERIES",
            help="What the rows are: XNYS:SPY/1m, BINANCE:BTC-USDT/trades"
            " ({symbol} stands for the file's name: XNYS:{symbol}/1m).",
        ),
    ] = "",
    file_format: Annotated[
        str,
        typer.Option(
            "--format", help="csv, parquet, lean or freqtrade.", show_default="told from the names"
        ),
    ] = "",
    zone: Annotated[
        str,
        typer.Option(
            "--zone", help="Time zone of stamps that do not say it: UTC, America/New_York."
        ),
    ] = "",
    stamp: Annotated[
        str, typer.Option("--stamp", help="Whether bars are named by their open or their close.")
    ] = "open",
    date_order: Annotated[
        str,
        typer.Option("--date-order", help="ymd, dmy or mdy.", show_default="told from the rows"),
    ] = "",
    delimiter: Annotated[
        str, typer.Option("--delimiter", help="Of text.", show_default="told from the rows")
    ] = "",
    header: Annotated[
        bool | None,
        typer.Option(
            "--header/--no-header",
            help="Whether the first line names the columns.",
            show_default="told from the rows",
        ),
    ] = None,
    decimal: Annotated[
        str, typer.Option("--decimal", help="Point or comma.", show_default="told from the rows")
    ] = "",
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="OURS=THEIRS",
            help="Which column is what: close=Last, stamp=1; may be repeated.",
        ),
    ] = None,
    symbols: Annotated[
        str, typer.Option("--symbols", help="Only these, of a LEAN or freqtrade folder: spy,aapl.")
    ] = "",
    resolutions: Annotated[
        str, typer.Option("--resolutions", help="Only these, of a LEAN folder: minute,daily.")
    ] = "",
    kinds: Annotated[
        str, typer.Option("--kinds", help="Only these, of a LEAN folder: trade,quote.")
    ] = "",
    venue: Annotated[
        str,
        typer.Option("--venue", help="Where it trades: for freqtrade, and LEAN with --symbols."),
    ] = "",
    timeframe: Annotated[
        str,
        typer.Option("--timeframe", help="What freqtrade bars are where their name is wrong."),
    ] = "",
    start: Annotated[
        str,
        typer.Option("--from", metavar="DATE", help="Only rows from this date, of a LEAN folder."),
    ] = "",
    end: Annotated[
        str, typer.Option("--to", metavar="DATE", help="Only rows before this date, of LEAN's.")
    ] = "",
    any_spacing: Annotated[
        bool,
        typer.Option("--any-spacing", help="Take bars that do not fit their timeframe's width."),
    ] = False,
    max_rejected: Annotated[
        int, typer.Option("--max-rejected", min=0, help="Rows that may be left out.")
    ] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be stored.")
    ] = False,
    lake: options.Lake = None,
    as_json: options.Json = False,
) -> None:
    """Store what files hold: all of them, or nothing if one cannot be taken.

    What the files are is told from them, and can be said instead. Doing it again changes nothing.

    [bold]Examples[/]

      openbell data import spy.csv.gz --as XNYS:SPY/1m --zone UTC --stamp close

      openbell data import Data/ --format lean --symbols spy,aapl

      openbell data import user_data/data/binance --venue BINANCE

      openbell data import prices/ --as 'XNYS:{symbol}/1d' --date-order dmy
    """
    from openbell.app.lake import open_lake

    at = open_lake(lake)
    with working("reading") as (progress, cancel):
        report = at.import_file(
            paths, series=series, format=file_format, zone=zone, stamp=_stamp(stamp),
            date_order=date_order, delimiter=_delimiter(delimiter), header=header,
            decimal={"point": ".", "comma": ","}.get(decimal, decimal),
            columns=_pairs(column or []), symbols=_list(symbols), resolutions=_list(resolutions),
            kinds=_list(kinds), venue=venue, timeframe=timeframe, start=start, end=end,
            check_spacing=not any_spacing, max_rejected=max_rejected, dry_run=dry_run,
            progress=progress, cancel=cancel,
        )  # fmt: skip
    if as_json:
        say_json(report.to_dict())
    else:
        say_lines(_import_lines(report))


def _stamp(text: str) -> str:
    if text not in ("open", "close"):
        raise UsageError(f"--stamp is `{text}`", hint="use open or close")
    return text


def _delimiter(text: str) -> str:
    return {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"}.get(text, text)


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for ours, equals, theirs in pairs:
        if not (ours and equals and theirs):
            raise UsageError(
                f"--column `{ours}{equals}{theirs}` says nothing", hint="write --column close=Last"
            )
    return {ours: theirs for ours, _, theirs in pairs}


def _import_lines(report: "ImportReport") -> Iterator[str]:
    lines = [str(one).partition("   ") for one in report.series[:_SERIES_SHOWN]]
    width = max(len(name) for name, _, _ in lines)
    for name, gap, what in lines:
        yield f"{name:<{width}}{gap}{what}"
    if len(report.series) > _SERIES_SHOWN:
        yield f"… and {len(report.series) - _SERIES_SHOWN:,} more series; see: openbell data list"
    if len(report.series) == 1 and (report.has_changes or report.is_dry_run):
        yield from _details(report.series[0])
    if len(report.series) > 1:
        rows = f"{counted(sum(one.kept for one in report.series), 'row')} kept"
        is_new = report.has_changes or report.is_dry_run
        yield f"{len(report.series):,} series · {rows if is_new else 'nothing new'}"
    if report.is_dry_run:
        yield "dry run: nothing was stored"
    elif report.has_changes:
        bars = next((one for one in report.series if one.series.is_bars), report.series[0])
        verb = "check" if bars.series.is_bars else "show"
        yield f"next: openbell data {verb} {bars.series}"


def _details(one: "SeriesReport") -> Iterator[str]:
    if one.kept:
        yield f"{_minute(one.first_ns)} → {_minute(one.last_ns)} UTC"
    if one.labels:
        yield "labels: " + ", ".join(f"{name} {count:,}" for name, count in one.labels.items())
    yield from one.notes
    for row in one.rejects:
        yield f"rejected: {row.file} row {row.row:,}: {row.rule}"
    if one.rejected > len(one.rejects):
        yield f"rejected: … and {one.rejected - len(one.rejects):,} more"


def _minute(ns: int) -> str:
    return iso(ns)[:16].replace("T", " ")
