"""`openbell data session`: what sessions looked like while they were played."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openbell.app.cli import options
from openbell.app.cli.terminal import note, say_json, say_lines, working
from openbell.market.counted import counted
from openbell.market.errors import UsageError

if TYPE_CHECKING:
    from openbell.app.lake import Lake
    from openbell.market.instrument import Series
    from openbell.report.session_dump import Row

app = typer.Typer(no_args_is_help=True, help="What sessions looked like while they were played.")

_UNITS = {"s": 1, "m": 60, "h": 3600}


@app.command("csv")
def csv_(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="SERIES…", help="What to play: XNYS:SPY, XNYS:SPY/1m, a pin."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="A session configuration that says what to play."
        ),
    ] = None,
    start: options.From = "",
    end: options.To = "",
    hours: options.Hours = None,
    session: options.Session = "",
    every: Annotated[
        str,
        typer.Option("--every", metavar="TIME", help="Session time between rows: 30s, 5m, 1h."),
    ] = "60s",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where to.", show_default="stdout"),
    ] = None,
    force: options.Force = False,
    lake: options.Lake = None,
    as_json: options.Json = False,
) -> None:
    """Play sessions and write a row for every sample: volume, bars, quality, queues per symbol.

    Wider bars (1m, 5m, 15m) are built where the stored ones are narrower.

    [bold]Examples[/]

      openbell data session csv XNYS:SPY --from 2011-03-14 --to 2011-03-15 --out session.csv

      openbell data session csv XNYS:SPY XNYS:GOOG --every 5m | head

      openbell data session csv --config session.json --out session.csv
    """
    from openbell.app.lake import open_lake
    from openbell.app.replaying import replay
    from openbell.report.session_dump import columns, session_rows

    every_ns = _every(every)
    if out is not None and out.exists() and not force:
        raise UsageError(f"{out} is there already", hint="write over it with --force")
    if bool(names) == bool(config):
        raise UsageError("what to play is not clear", hint="name series, or a file by --config")
    at = open_lake(lake)
    opens, closes = options.session_hours(session)
    if config is not None:
        played = _from_config(config, at, start, end)
    else:
        played = _from_names(names or [], at, start, end)
    system = replay(
        **played, lake=at, hours=hours or "regular", session_start=opens, session_end=closes,
    )  # fmt: skip
    with working("playing") as (progress, cancel):
        rows = session_rows(system, every_ns, progress=progress, cancel=cancel)
        if out is not None:
            _save(out, _lines(columns(system), rows), as_json=as_json)
        elif as_json:
            say_json(list(rows))
        else:
            say_lines(_lines(columns(system), rows))


def _lines(names: list[str], rows: "Iterator[Row]") -> Iterator[str]:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="")
    writer.writeheader()
    yield text.getvalue()
    for row in rows:
        text.seek(0)
        text.truncate()
        writer.writerow(row)
        yield text.getvalue()


def _save(out: Path, lines: Iterator[str], *, as_json: bool) -> None:
    """Write the file at one stroke, and say so: what is interrupted leaves none."""
    from openbell.app.writing import writing

    draft = out.with_name(f".{out.name}.{os.getpid()}")
    count = -1
    with writing(out):
        try:
            with draft.open("w", encoding="utf-8") as file:
                for line in lines:
                    file.write(f"{line}\n")
                    count += 1
            draft.replace(out)
        finally:
            draft.unlink(missing_ok=True)
    if as_json:
        say_json({"file": str(out), "rows": count})
    else:
        note(f"{counted(count, 'row')} written to {out}")


def _every(text: str) -> int:
    """Nanoseconds of ``30s``, ``5m``, ``1h``; a number alone is seconds."""
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _UNITS else (text, "s")
    if not (number.isascii() and number.isdigit() and 0 < int(number) <= 86_400):
        raise UsageError(f"--every is `{text}`", hint="write it as 60s, 5m or 1h")
    return int(number) * _UNITS[unit] * 1_000_000_000


def _from_names(names: list[str], at: "Lake", start: str, end: str) -> dict[str, Any]:
    played = [at.store.resolve(at.playable(name)).series for name in names]
    return {"names": names, "start": start, "end": end, "derived": _derived(played, ())}


def _from_config(file: Path, at: "Lake", start: str, end: str) -> dict[str, Any]:
    """What a session configuration plays; at full speed, as nobody watches."""
    from openbell.app.session_config import read_session_config
    from openbell.app.systems import resolve
    from openbell.market.instrument import Series

    config = read_session_config(file)
    if config.mode == "live":
        raise UsageError(f"{file} is of mode live", hint="a dump is of sessions that are stored")
    asked = resolve(config, at)
    for line in config.not_done:
        note(f"not done: {line}")
    return {
        "names": asked.refs, "start": start or config.start, "end": end or config.end,
        "derived": _derived([Series.parse(ref) for ref in asked.refs], asked.derived),
        "trailing": config.trailing, "fill_from": asked.fill,
        "check_interval_s": config.check_interval_s, "retries": config.retries,
    }  # fmt: skip


def _derived(played: "Sequence[Series]", asked: Sequence[str]) -> list[str]:
    """What is asked for, and the timeframes of the dump that can be built for every series."""
    from openbell.market.timeframe import timeframe
    from openbell.report.session_dump import FRAMES

    widths = [series.timeframe.width_ns for series in played if series.is_bars]
    built = [
        code
        for code in FRAMES
        if all(0 < w < (wide := timeframe(code).width_ns) and wide % w == 0 for w in widths)
    ]
    return list(dict.fromkeys([*asked, *built]))
