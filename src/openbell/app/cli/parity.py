"""`openbell parity`: how a live run and a replay differ."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openbell.app.cli import options
from openbell.app.cli.exits import NOT_VERIFIED
from openbell.app.cli.terminal import say, say_json, say_lines
from openbell.market.counted import counted
from openbell.market.moments import iso

if TYPE_CHECKING:
    from openbell.backtest.parity import Parity

_SHOWN = 10

_WORDS = {
    "outside": "outside the other's time",
    "not_played": "not played by the other",
    "withheld": "withheld by the other",
    "late": "late in the other",
    "missing": "not there in the other",
    "other_values": "other values",
    "revised": "revised",
    "known_at": "known at another moment",
}


def parity(
    live: Annotated[str, typer.Argument(metavar="LIVE", help="The live run's id.")],
    replay: Annotated[str, typer.Argument(metavar="REPLAY", help="The other run's id.")],
    lake: options.Lake = None,
    runs: options.Runs = None,
    as_json: options.Json = False,
) -> None:
    """Explain how a live run and a replay of it, or a run over the lake's bars, differ.

    Every row that one of both did not see, or saw otherwise, is counted by its cause; then come
    the orders and fills that differ, with what differed in the data before them, and settings and
    code. Ends with exit code 5 if anything differs.

    [bold]Examples[/]

      openbell parity 56627e79 334e9f92
    """
    from openbell.app.parity import parity as compare

    found = compare(live, replay, lake=lake, runs=runs)
    if as_json:
        say_json(found.to_dict())
    else:
        _show(found)
    if not found.is_same:
        raise typer.Exit(NOT_VERIFIED)


def _show(found: "Parity") -> None:
    if found.data:
        say(_data_table(found))
    if found.decisions:
        say(_decision_table(found))
    say_lines(_lines(found))


def _data_table(found: "Parity") -> Any:
    from rich.table import Table

    table = Table("series", "rows", "difference", "seen by", "first", "more")
    for one in found.data:
        table.add_row(
            one.series, f"{one.rows:,}", _WORDS[one.cause], one.where, iso(one.first_ns), one.words
        )
    return table


def _decision_table(found: "Parity") -> Any:
    from rich.table import Table

    table = Table("order", "live", "replay", "first difference in the data before")
    for one in found.decisions[:_SHOWN]:
        table.add_row(str(one.order), one.live, one.replay, one.before or "none")
    return table


def _lines(found: "Parity") -> Iterator[str]:
    from openbell.replay.tape import short_seal

    if len(found.decisions) > _SHOWN:
        yield f"… {len(found.decisions) - _SHOWN:,} more orders and fills differ (--json has all)"
    yield from found.others
    live, replay = map(short_seal, found.seals)
    if found.is_same:
        yield f"same: seals {live} and {replay}"
        return
    rows = sum(one.rows for one in found.data)
    yield (
        f"differs: {counted(rows, 'row')} of data, {len(found.decisions):,} orders and fills, "
        f"{counted(len(found.others), 'setting')}; seals {live} and {replay}"
    )
