"""Options that several commands share."""

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openbell.market.errors import UsageError

if TYPE_CHECKING:
    from openbell.app.lake import Lake as AppLake

_data = partial(typer.Option, rich_help_panel="Data")
_run = partial(typer.Option, rich_help_panel="Run")
_cost = partial(typer.Option, rich_help_panel="Costs")
_kept = partial(typer.Option, rich_help_panel="Where things are")

Lake = Annotated[
    Path | None,
    _kept("--lake", envvar="OPENBELL_LAKE", help="Folder of the market data.", show_default="lake"),
]
Runs = Annotated[
    Path | None,
    _kept("--runs", envvar="OPENBELL_RUNS", help="Folder of finished runs.", show_default="runs"),
]
Sweeps = Annotated[
    Path | None,
    _kept(
        "--sweeps",
        envvar="OPENBELL_SWEEPS",
        help="Folder of sweep tables and pictures.",
        show_default="sweeps",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")]
Force = Annotated[bool, typer.Option("--force", help="Write over files that are there.")]
From = Annotated[
    str,
    _data(
        "--from",
        metavar="DATE",
        help="First session (2011-03-14) or moment (2011-03-14T14:30Z).",
        show_default="the first",
    ),
]
To = Annotated[
    str,
    _data(
        "--to",
        metavar="DATE",
        help="Session or moment to stop before: the end is left out.",
        show_default="the last",
    ),
]
Hours = Annotated[
    str | None,
    _data(
        "--hours",
        metavar="WHICH",
        help="regular, or extended: with pre- and post-market.",
        show_default="regular",
    ),
]
Session = Annotated[
    str,
    _data(
        "--session",
        metavar="START-END",
        help="Regular hours instead of the calendar's own, on the venue's clocks: 10:00-15:00, "
        "or overnight 18:00-17:00. Early closes stay early.",
        show_default="the calendar's",
    ),
]
On = Annotated[
    list[str] | None,
    _data(
        "--on",
        metavar="SERIES",
        help="What to run on: XNYS:SPY/1m, XNYS:SPY/1m@3, a pin; may be repeated.",
    ),
]
AsOf = Annotated[
    str | None,
    _data(
        "--as-of",
        metavar="MOMENT",
        help="Use the data as it was known at this moment.",
        show_default="now",
    ),
]
MinQuality = Annotated[
    float | None,
    _data(
        "--min-quality",
        metavar="PERCENT",
        help="Least completeness of the data; below it the run fails (exit code 4).",
        show_default="0",
    ),
]
Derived = Annotated[
    list[str] | None,
    _data(
        "--derived",
        metavar="TIMEFRAME",
        help="Wider bars built on the way: 5m, 1h; may be repeated.",
    ),
]
Trailing = Annotated[
    int | None,
    _data(
        "--trailing",
        metavar="SESSIONS",
        help="Finished sessions kept at hand before the current one.",
        show_default="0",
    ),
]
FillFrom = Annotated[
    list[str] | None,
    _data(
        "--fill-from",
        metavar="SERIES",
        help="Where missing bars are looked for: bars of the same timeframe, also of another "
        "venue, or trades; may be repeated, asked in order.",
    ),
]
Set = Annotated[
    list[str] | None,
    _run("--set", metavar="NAME=VALUE", help="A parameter of the strategy; may be repeated."),
]
Cash = Annotated[float | None, _run("--cash", help="Money to begin with.", show_default="100000")]
Size = Annotated[
    float | None,
    _run("--size", help="How large a full position is; see --sizing.", show_default="100"),
]
Sizing = Annotated[
    str | None,
    _run(
        "--sizing",
        metavar="RULE",
        help="What --size counts: units, cash, percent (0.95 is 95 % of equity), volatility, risk.",
        show_default="units",
    ),
]
Fill = Annotated[
    str | None,
    _run(
        "--fill",
        metavar="MODE",
        help="How orders are filled: next_open, same_close (optimistic), intrabar, quotes, trades.",
        show_default="next_open",
    ),
]
Leverage = Annotated[
    float | None,
    _run("--leverage", help="Highest exposure over equity.", show_default="1"),
]
Benchmark = Annotated[
    str | None,
    _run(
        "--benchmark",
        metavar="INSTRUMENT",
        help="Whose buy-and-hold to compare with.",
        show_default="the first",
    ),
]
History = Annotated[
    int | None,
    _run("--history", metavar="ROWS", help="Rows a strategy may look back on.", show_default="500"),
]
Seed = Annotated[
    int | None,
    _run("--seed", help="Of the strategy's random numbers.", show_default="0"),
]
CloseAtEnd = Annotated[
    bool | None,
    _run(
        "--close-at-end/--mark-at-end",
        help="What becomes of open positions at the last close.",
        show_default="mark",
    ),
]
Lot = Annotated[
    float | None,
    _run("--lot", help="Smallest change of size.", show_default="the venue's"),
]
PriceStep = Annotated[
    float | None,
    _run("--price-step", help="Smallest change of price.", show_default="the venue's"),
]
Multiplier = Annotated[
    float | None,
    _run("--multiplier", help="Money per point and unit.", show_default="the venue's"),
]
FeePerUnit = Annotated[float | None, _cost("--fee-per-unit", help="Fee per share or contract.")]
FeeRate = Annotated[
    float | None,
    _cost("--fee-rate", help="Fee as a fraction of the money: 0.001 is 0.1 %."),
]
FeeMinimum = Annotated[float | None, _cost("--fee-minimum", help="Least fee of a fill.")]
SlipSteps = Annotated[float | None, _cost("--slip-steps", help="Price steps against us, per fill.")]
SlipRate = Annotated[
    float | None,
    _cost("--slip-rate", help="Fraction of the price against us: 0.0001 is one basis point."),
]
SlipVolume = Annotated[
    float | None,
    _cost("--slip-volume", help="Impact: price moves by this × (size ÷ volume of the bar)²."),
]
Config = Annotated[
    Path | None,
    _run(
        "--config",
        metavar="FILE",
        help="Settings of a run (runs/ID/files/config.json); options here come before them.",
    ),
]


def lake_at(
    lake: Path | None,
    *,
    runs: Path | None = None,
    sweeps: Path | None = None,
    recordings: Path | None = None,
) -> "AppLake":
    """The lake a command works on, with the folders that belong to it."""
    from openbell.app.lake import Lake as AppLake
    from openbell.app.lake import open_lake
    from openbell.app.settings import settings

    known = settings(lake=lake, runs=runs, sweeps=sweeps, recordings=recordings)
    return AppLake(open_lake(lake).store, known)


def session_hours(text: str) -> tuple[str, str]:
    """Start and end of ``10:00-15:00``; both empty for an empty text.

    Raises
    ------
    UsageError
        If it is not two times of day.
    """
    start, _, end = (part.strip() for part in text.partition("-"))
    if text and not (_TIME.fullmatch(start) and _TIME.fullmatch(end)):
        raise UsageError(f"--session is `{text}`", hint="write it as 10:00-15:00")
    return start, end


_TIME = re.compile(r"\d{1,2}:\d{2}")
