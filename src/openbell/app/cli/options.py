"""Options that several commands share."""

import re
from pathlib import Path
from typing import Annotated

import typer

from openbell.market.errors import UsageError

_DATA, _RUN, _COST, _KEEP = "Data", "Run", "Costs", "Where things are"

Lake = Annotated[
    Path | None,
    typer.Option(
        "--lake", envvar="OPENBELL_LAKE", rich_help_panel=_KEEP, help="Folder of the market data.",
        show_default="lake",
    ),
]  # fmt: skip
Runs = Annotated[
    Path | None,
    typer.Option(
        "--runs", envvar="OPENBELL_RUNS", rich_help_panel=_KEEP, help="Folder of finished runs.",
        show_default="runs",
    ),
]  # fmt: skip
Sweeps = Annotated[
    Path | None,
    typer.Option(
        "--sweeps", envvar="OPENBELL_SWEEPS", rich_help_panel=_KEEP,
        help="Folder of sweep tables and pictures.", show_default="sweeps",
    ),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")]
Force = Annotated[bool, typer.Option("--force", help="Write over files that are there.")]
From = Annotated[
    str,
    typer.Option(
        "--from", metavar="DATE", rich_help_panel=_DATA,
        help="First session (2011-03-14) or moment (2011-03-14T14:30Z).", show_default="the first",
    ),
]  # fmt: skip
To = Annotated[
    str,
    typer.Option(
        "--to", metavar="DATE", rich_help_panel=_DATA,
        help="Session or moment to stop before: the end is left out.", show_default="the last",
    ),
]  # fmt: skip
Hours = Annotated[
    str | None,
    typer.Option(
        "--hours", metavar="WHICH", rich_help_panel=_DATA,
        help="regular, or extended: with pre- and post-market.", show_default="regular",
    ),
]  # fmt: skip
Session = Annotated[
    str,
    typer.Option(
        "--session", metavar="START-END", rich_help_panel=_DATA,
        help="Regular hours instead of the calendar's own, on the venue's clocks: 10:00-15:00, "
        "or overnight 18:00-17:00. Early closes stay early.",
        show_default="the calendar's",
    ),
]  # fmt: skip
On = Annotated[
    list[str] | None,
    typer.Option(
        "--on", metavar="SERIES", rich_help_panel=_DATA,
        help="What to run on: XNYS:SPY/1m, XNYS:SPY/1m@3, a pin; may be repeated.",
    ),
]  # fmt: skip
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", metavar="MOMENT", rich_help_panel=_DATA,
        help="Use the data as it was known at this moment.", show_default="now",
    ),
]  # fmt: skip
MinQuality = Annotated[
    float | None,
    typer.Option(
        "--min-quality", metavar="PERCENT", rich_help_panel=_DATA,
        help="Least completeness of the data; below it the run fails (exit code 4).",
        show_default="0",
    ),
]  # fmt: skip
Derived = Annotated[
    list[str] | None,
    typer.Option(
        "--derived", metavar="TIMEFRAME", rich_help_panel=_DATA,
        help="Wider bars built on the way: 5m, 1h; may be repeated.",
    ),
]  # fmt: skip
Trailing = Annotated[
    int | None,
    typer.Option(
        "--trailing", metavar="SESSIONS", rich_help_panel=_DATA,
        help="Finished sessions kept at hand before the current one.", show_default="0",
    ),
]  # fmt: skip
FillFrom = Annotated[
    list[str] | None,
    typer.Option(
        "--fill-from", metavar="SERIES", rich_help_panel=_DATA,
        help="Where missing bars are looked for: bars of the same timeframe, also of another "
        "venue, or trades; may be repeated, asked in order.",
    ),
]  # fmt: skip
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", rich_help_panel=_RUN,
        help="A parameter of the strategy; may be repeated.",
    ),
]  # fmt: skip
Cash = Annotated[
    float | None,
    typer.Option(
        "--cash", rich_help_panel=_RUN, help="Money to begin with.", show_default="100000"
    ),
]
Size = Annotated[
    float | None,
    typer.Option(
        "--size", rich_help_panel=_RUN, help="How large a full position is; see --sizing.",
        show_default="100",
    ),
]  # fmt: skip
Sizing = Annotated[
    str | None,
    typer.Option(
        "--sizing", metavar="RULE", rich_help_panel=_RUN,
        help="What --size counts: units, cash, percent (0.95 is 95 % of equity), volatility, risk.",
        show_default="units",
    ),
]  # fmt: skip
Fill = Annotated[
    str | None,
    typer.Option(
        "--fill", metavar="MODE", rich_help_panel=_RUN,
        help="How orders are filled: next_open, same_close (optimistic), intrabar, quotes, trades.",
        show_default="next_open",
    ),
]  # fmt: skip
Leverage = Annotated[
    float | None,
    typer.Option(
        "--leverage", rich_help_panel=_RUN, help="Highest exposure over equity.", show_default="1"
    ),
]
Benchmark = Annotated[
    str | None,
    typer.Option(
        "--benchmark", metavar="INSTRUMENT", rich_help_panel=_RUN,
        help="Whose buy-and-hold to compare with.", show_default="the first",
    ),
]  # fmt: skip
History = Annotated[
    int | None,
    typer.Option(
        "--history", metavar="ROWS", rich_help_panel=_RUN,
        help="Rows a strategy may look back on.", show_default="500",
    ),
]  # fmt: skip
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed", rich_help_panel=_RUN, help="Of the strategy's random numbers.", show_default="0"
    ),
]
CloseAtEnd = Annotated[
    bool | None,
    typer.Option(
        "--close-at-end/--mark-at-end", rich_help_panel=_RUN,
        help="What becomes of open positions at the last close.", show_default="mark",
    ),
]  # fmt: skip
Lot = Annotated[
    float | None,
    typer.Option(
        "--lot", rich_help_panel=_RUN, help="Smallest change of size.", show_default="the venue's"
    ),
]
PriceStep = Annotated[
    float | None,
    typer.Option(
        "--price-step", rich_help_panel=_RUN, help="Smallest change of price.",
        show_default="the venue's",
    ),
]  # fmt: skip
Multiplier = Annotated[
    float | None,
    typer.Option(
        "--multiplier", rich_help_panel=_RUN, help="Money per point and unit.",
        show_default="the venue's",
    ),
]  # fmt: skip
FeePerUnit = Annotated[
    float | None,
    typer.Option("--fee-per-unit", rich_help_panel=_COST, help="Fee per share or contract."),
]
FeeRate = Annotated[
    float | None,
    typer.Option(
        "--fee-rate", rich_help_panel=_COST, help="Fee as a fraction of the money: 0.001 is 0.1 %."
    ),
]
FeeMinimum = Annotated[
    float | None, typer.Option("--fee-minimum", rich_help_panel=_COST, help="Least fee of a fill.")
]
SlipSteps = Annotated[
    float | None,
    typer.Option("--slip-steps", rich_help_panel=_COST, help="Price steps against us, per fill."),
]
SlipRate = Annotated[
    float | None,
    typer.Option(
        "--slip-rate", rich_help_panel=_COST,
        help="Fraction of the price against us: 0.0001 is one basis point.",
    ),
]  # fmt: skip
SlipVolume = Annotated[
    float | None,
    typer.Option(
        "--slip-volume", rich_help_panel=_COST,
        help="Impact: price moves by this × (size ÷ volume of the bar)².",
    ),
]  # fmt: skip
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", rich_help_panel=_RUN,
        help="Settings of a run (runs/ID/files/config.json); options here come before them.",
    ),
]  # fmt: skip


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
