"""`openbell record`: write down what arrives, while it happens."""

import re
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from openbell.app.cli import options
from openbell.app.cli.exits import FAILED, INTERRUPTED, exit_code
from openbell.app.cli.recording_lines import (
    as_dict,
    ending,
    shown,
    table_of,
    words_of,
)
from openbell.app.cli.terminal import complain, note, say, say_json, say_lines, stoppable
from openbell.market.counted import counted
from openbell.market.errors import OpenbellError, UsageError
from openbell.market.moments import iso, parse_moment

if TYPE_CHECKING:
    from openbell.app.lake import Lake
    from openbell.app.recording import Asked
    from openbell.app.streams import Streams

_START = "start"


class _StartsByDefault(TyperGroup):
    """`openbell record SERIES…` is short for `openbell record start SERIES…`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = [_START, *args]
        found: list[str] = super().parse_args(ctx, args)
        return found


app = typer.Typer(
    cls=_StartsByDefault,
    no_args_is_help=True,
    help="Record what arrives live, and look at what was recorded.",
)

Recordings = Annotated[
    Path | None,
    typer.Option(
        "--recordings", envvar="OPENBELL_RECORDINGS", rich_help_panel="Where things are",
        help="Folder of recordings.", show_default="recordings",
    ),
]  # fmt: skip
Id = Annotated[str, typer.Argument(metavar="RECORDING", help="A recording's id, or its beginning.")]


@app.command(_START)
def start(
    names: Annotated[
        list[str],
        typer.Argument(metavar="SERIES…", help="What to record: BINANCE:BTCUSDT/trades, /quotes."),
    ],
    from_url: Annotated[
        str,
        typer.Option(
            "--from-url",
            metavar="URL",
            help="Where it comes from: wss://stream.binance.com:9443, or tcp://host:port for a "
            "line feed.",
        ),
    ],
    ask_url: Annotated[
        str,
        typer.Option(
            "--ask-url",
            metavar="URL",
            help="Where bars that did not come are asked for again, every minute: "
            "https://api.binance.com.",
        ),
    ] = "",
    for_: Annotated[
        str,
        typer.Option(
            "--for", metavar="TIME", help="How long: 90s, 30m, 1h, 1d.", show_default="1d"
        ),
    ] = "",
    until: Annotated[
        str, typer.Option("--until", metavar="MOMENT", help="Until when, instead.")
    ] = "",
    more: Annotated[
        bool,
        typer.Option(
            "--more",
            help="Read further series from standard input while it records, one a line; "
            "-SERIES leaves one out from then on.",
        ),
    ] = False,
    strategy: Annotated[
        str,
        typer.Option(
            "--strategy",
            metavar="STRATEGY",
            help="Run a strategy on paper over what arrives: a built-in one, or a Python file.",
        ),
    ] = "",
    set_: options.Set = None,
    hours: options.Hours = None,
    session: options.Session = "",
    derived: options.Derived = None,
    cash: options.Cash = None,
    size: options.Size = None,
    sizing: options.Sizing = None,
    fill: options.Fill = None,
    fee_per_unit: options.FeePerUnit = None,
    fee_rate: options.FeeRate = None,
    slip_steps: options.SlipSteps = None,
    slip_rate: options.SlipRate = None,
    recordings: Recordings = None,
    lake: options.Lake = None,
    runs: options.Runs = None,
    as_json: options.Json = False,
) -> None:
    """Record what arrives; at the end bring it into the lake.

    Of instruments whose trades are recorded, and no bars, minute bars are built. A line a series
    says how far it is. Ctrl-C and SIGTERM end it in order; what a crash leaves can be replayed.

    [bold]Examples[/]

      openbell record BINANCE:BTCUSDT/trades BINANCE:BTCUSDT/quotes --from-url \
wss://stream.binance.com:9443 --for 1h

      openbell record start BINANCE:BTCUSDT/1m --from-url wss://stream.binance.com:9443 \
--strategy ema-cross --set fast=5 --set slow=20 --size 0.01

      openbell record BINANCE:BTCUSDT/quotes --from-url wss://stream.binance.com:9443 --more
    """
    given = dict(locals())
    at = options.lake_at(lake, recordings=recordings, runs=runs)
    asked = _asked(given, at)
    from openbell.app.recording import begin, record

    chosen = _strategy(given, asked, at) if strategy else None
    header = begin(asked)
    note(f"recording {header.id} until {iso(header.end_ns)}")
    try:
        with stoppable(signal.SIGTERM) as cancel, shown() as tell:
            found = record(
                header, asked, at, strategy=chosen, cancel=cancel, tell=tell,
                begun=_listen if more else lambda _: None,
            )  # fmt: skip
    except KeyboardInterrupt:
        note(f"stopped at once; what was recorded stays: openbell record store {header.id}")
        raise typer.Exit(INTERRUPTED) from None
    if found.run is not None:
        found.run.save()
    if as_json:
        say_json(as_dict(found))
    else:
        say(table_of(found.lines))
        say_lines(ending(found))
    if isinstance(found.error, OpenbellError):
        complain(found.error.message, found.error.hint)
        raise typer.Exit(exit_code(found.error))
    if found.run is not None and found.run.status == "failed":
        raise typer.Exit(FAILED)


def _listen(streams: "Streams") -> None:
    """Register what standard input names; on a thread that ends with the process."""
    threading.Thread(
        target=_hear, args=(streams, sys.stdin), name="openbell-more", daemon=True
    ).start()


def _hear(streams: "Streams", lines: Iterable[str]) -> None:
    from openbell.market.instrument import Series

    for text in filter(None, map(str.strip, lines)):
        try:
            series = Series.parse(text.removeprefix("-"))
            if text.startswith("-"):
                streams.cancel(series)
                note(f"{series} is left out from now on")
            else:
                streams.register(series)
                note(f"{series} is recorded from now on")
        except OpenbellError as error:
            complain(error.message, error.hint)


def _asked(given: dict[str, Any], at: "Lake") -> "Asked":
    from openbell.app.recording import Asked
    from openbell.market.instrument import Series

    opens, closes = options.session_hours(given["session"])
    return Asked(
        series=tuple(dict.fromkeys(Series.parse(name) for name in given["names"])),
        url=given["from_url"],
        ask_url=given["ask_url"],
        **how_long(given["for_"], given["until"]),
        hours=given["hours"] or "regular",
        session_start=opens or at.settings.session_start,
        session_end=closes or at.settings.session_end,
        derived=tuple(given["derived"] or at.settings.derived),
    )


_TIME = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def how_long(for_: str, until: str) -> dict[str, Any]:
    """What ``--for`` and ``--until`` say, as `recording.Asked` has it."""
    if for_ and until:
        raise UsageError("--for and --until say the same", hint="leave one of them out")
    until_ns = parse_moment(until) if until else 0
    return {"for_s": _seconds(for_ or "1d"), "until_ns": until_ns}


def _seconds(text: str) -> float:
    """How many seconds ``90s``, ``30m``, ``1h`` or ``1d`` are."""
    match = _TIME.fullmatch(text)
    if match is None or not float(match[1]):
        raise UsageError(f"--for is `{text}`", hint="write 90s, 30m, 1h or 1d")
    return float(match[1]) * _UNITS[match[2]]


_RUN = ("cash", "size", "sizing", "fill")
_COSTS = ("fee_per_unit", "fee_rate", "slip_steps", "slip_rate")


def _strategy(given: dict[str, Any], asked: "Asked", at: "Lake") -> Any:
    """The strategy and its configuration."""
    from openbell.app.cli.backtest import set_values
    from openbell.app.running import defaults, prepare

    values = {**defaults(at), "strategy": given["strategy"], "on": ["recording:new"]}
    values |= {name: given[name] for name in _RUN if given[name] is not None}
    values |= {
        name: getattr(asked, name) for name in ("hours", "session_start", "session_end", "derived")
    }
    values["costs"] = {name: given[name] for name in _COSTS if given[name] is not None}
    values["parameters"] = set_values(given["set_"] or [])
    return prepare(values)


@app.command("list")
def list_(recordings: Recordings = None, as_json: options.Json = False) -> None:
    """List recordings, newest first.

    [bold]Examples[/]

      openbell record list
    """
    from openbell.app import recorded

    at = options.lake_at(None, recordings=recordings)
    found = [recorded.summary(h) for h in recorded.recordings(at).list_recordings()]
    if as_json:
        say_json(found)
        return
    if not found:
        say_lines([f"no recordings in {at.settings.recordings}", "next: openbell record --help"])
        return
    from rich.table import Table

    table = Table("recording", "start", "planned until", "series", "from")
    for one in found:
        table.add_row(one["id"], one["start"], one["end"], ", ".join(one["series"]), one["source"])
    say(table, least=("planned until", "from"))


@app.command()
def show(recording: Id, recordings: Recordings = None, as_json: options.Json = False) -> None:
    """Show what a recording holds: items and notes by series, and its checksum.

    [bold]Examples[/]

      openbell record show 3f9a
    """
    from openbell.app import recorded

    found = recorded.about(
        recorded.recordings(options.lake_at(None, recordings=recordings)).open(recording)
    )
    if as_json:
        say_json(found)
        return
    ended = "ended in order" if found["ended"] else "did not end in order"
    by_series = found["by_series"].items()
    say_lines(
        [
            f"recording {found['id']} from {found['source']}, {ended}",
            f"{found['start']} → {found['last_receipt']}, {found['arrivals']:,} arrivals",
            *(f"{name}: {words_of(counts) or 'nothing'}" for name, counts in by_series),
            f"checksum {found['checksum']}",
        ]
    )


@app.command()
def store(
    recording: Id,
    recordings: Recordings = None,
    lake: options.Lake = None,
    as_json: options.Json = False,
) -> None:
    """Bring what was recorded into the lake; done already where recording ended in order.

    [bold]Examples[/]

      openbell record store 3f9a
    """
    from openbell.app import recorded

    at = options.lake_at(lake, recordings=recordings)
    versions = recorded.bring_in(at, recorded.recordings(at).open(recording))
    if as_json:
        say_json([str(version.pin) for version in versions])
    else:
        say_lines(f"{version.pin}: {counted(version.rows, 'row')}" for version in versions)
