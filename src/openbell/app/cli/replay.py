"""`openbell replay`: play sessions again."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openbell.app.cli import options
from openbell.app.cli.exits import INTERRUPTED
from openbell.app.cli.terminal import say, say_json, say_lines, working
from openbell.market.errors import CancelledError, UsageError
from openbell.market.moments import iso, parse_date

if TYPE_CHECKING:
    from openbell.replay.slices import Slice
    from openbell.replay.system import System


def replay(
    names: Annotated[
        list[str],
        typer.Argument(metavar="SERIES…", help="What to play: XNYS:SPY, XNYS:SPY/1m, a pin."),
    ],
    date: Annotated[
        str, typer.Option("--date", metavar="DATE", help="Play this session alone.")
    ] = "",
    start: options.From = "",
    end: options.To = "",
    hours: options.Hours = None,
    session: options.Session = "",
    derived: options.Derived = None,
    fill_from: options.FillFrom = None,
    speed: Annotated[
        float,
        typer.Option("--speed", min=0, help="Times real time; 0: as fast as it goes."),
    ] = 0,
    lines: Annotated[
        bool, typer.Option("--lines", help="Print lines where a screen could be drawn.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=0, help="Slices to print; 20 at speed 0, else all."),
    ] = None,
    lake: options.Lake = None,
    as_json: options.Json = False,
) -> None:
    """Play sessions again, slice by slice, and say what was in them.

    At speed 0 prints the first slices, then one line a session. At another speed plays on the
    screen, with keys to hold, step, go to a time and change the speed; or, where there is no
    screen, prints slices as they come.

    [bold]Examples[/]

      openbell replay XNYS:SPY --date 2011-03-14

      openbell replay XNYS:SPY --date 2011-03-14 --speed 60

      openbell replay XNYS:SPY/1m --from 2011-03-14 --to 2011-03-19 --derived 30m --limit 0
    """
    from openbell.app.cli import player
    from openbell.app.replaying import replay as build
    from openbell.replay.filling import in_words

    if date:
        if start or end:
            raise UsageError("--date is one session", hint="leave --from and --to out")
        start = date
        end = (parse_date(date) + timedelta(days=1)).isoformat()
    opens, closes = options.session_hours(session)
    system = build(
        names, lake=lake, start=start, end=end, hours=hours or "regular",
        session_start=opens, session_end=closes, derived=derived or (), speed=speed,
        fill_from=fill_from or (),
    )  # fmt: skip
    if speed and player.can_play() and not lines and not as_json:
        if player.play(system):
            raise typer.Exit(INTERRUPTED)
        return
    seen = _Seen(system, limit, as_they_come=bool(speed) and not as_json)
    with working("playing") as (progress, cancel):
        seen.play(progress, cancel)
    if as_json:
        say_json(seen.to_dict())
    else:
        say_lines(seen.lines())
        say(seen.table())
        say_lines(in_words(seen.system.upkeep))
    if seen.is_stopped:
        raise typer.Exit(INTERRUPTED)


class _Seen:
    """What a replay showed: its first slices, and a row for every session and instrument."""

    def __init__(self, system: "System", limit: int | None, *, as_they_come: bool) -> None:
        self.system = system
        self.limit = 20 if limit is None else limit
        if as_they_come and limit is None:
            self.limit = sys.maxsize
        self.as_they_come = as_they_come
        self.slices: list[dict[str, Any]] = []
        self.sessions: list[dict[str, Any]] = []
        self.count = 0
        self.is_stopped = False

    def play(self, progress: Any, cancel: Any) -> None:
        """Play to the end, or until somebody asks to stop."""
        try:
            with self.system as system:
                self._play(system, progress, cancel)
        except CancelledError:
            self.is_stopped = True

    def _play(self, system: "System", progress: Any, cancel: Any) -> None:
        from openbell.replay import kernels
        from openbell.replay.slices import Slice

        for step in system.steps(progress=progress, cancel=cancel):
            if step.kind == kernels.BAR:
                maker = system.slice_maker()
                for i in system.release(step):
                    self.count += 1
                    if len(self.slices) < self.limit:
                        self.slices.append(_slice(Slice(maker, i)))
                        if self.as_they_come:
                            say_lines([self._line(self.slices[-1])])
            elif step.kind == kernels.CLOSE and step.played is not None:
                self.sessions += _session(system, step.played)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "pins": [str(pin) for pin in self.system.plan.pins],
            "slices": self.slices,
            "slices_in_all": self.count,
            "sessions": self.sessions,
            "upkeep": {series: asdict(c) for series, c in self.system.upkeep.items()},
            "is_stopped": self.is_stopped,
        }

    def lines(self) -> Iterator[str]:
        """The first slices, one a line."""
        if not self.as_they_come:
            yield from map(self._line, self.slices)
        if self.slices and self.count > len(self.slices):
            yield f"… {self.count - len(self.slices):,} more slices (--limit prints more)"

    def _line(self, one: dict[str, Any]) -> str:
        bars = "   ".join(
            _words(name, bar, len(self.system.names)) for name, bar in one["bars"].items()
        )
        return f"{one['time']}   {bars or 'no bar: ticks or wider bars'}"

    def table(self) -> Any:
        """One row a session and instrument."""
        from rich.table import Table

        from openbell.quality.report import percent

        table = Table("session", "instrument")
        for name in ("bars", "open", "high", "low", "close", "volume", "completeness"):
            table.add_column(name, justify="right")
        for row in self.sessions:
            prices = (row[name] for name in ("open", "high", "low", "close"))
            table.add_row(
                row["session"], row["instrument"], f"{row['bars']:,}",
                *("–" if price is None else f"{price:,.10g}" for price in prices),
                f"{row['volume']:,.10g}", percent(row["completeness"]),
            )  # fmt: skip
        return table


def _words(name: str, bar: dict[str, Any], instruments: int) -> str:
    """A bar in a line; of several instruments the close and the volume alone."""
    names = ("open", "high", "low", "close") if instruments == 1 else ("close",)
    prices = " ".join(f"{price[0]} {bar[price]:,.10g}" for price in names)
    return f"{name} {prices} v {bar['volume']:,.10g}"


def _slice(one: "Slice") -> dict[str, Any]:
    bars = {name: one[name]._asdict() for name in one}
    for bar in bars.values():
        bar["start"], bar["end"] = iso(bar.pop("start_ns")), iso(bar.pop("end_ns"))
    return {"time": iso(one.time_ns), "bars": bars}


def _session(system: "System", played: Any) -> Iterator[dict[str, Any]]:
    """What each instrument's session came to, at its close."""
    for name, data in system.session_data[played.calendar].instruments.items():
        row = {
            "session": played.session.label, "instrument": name, "bars": 0, "open": None,
            "high": None, "low": None, "close": None, "volume": 0.0,
            "completeness": data.completeness,
        }  # fmt: skip
        if data.base not in ("trades", "quotes") and len(bars := data.bars()):
            row |= {
                "bars": len(bars), "open": float(bars.open[0]), "high": data.figures.high,
                "low": data.figures.low, "close": float(bars.close[-1]),
                "volume": data.figures.volume,
            }  # fmt: skip
        yield row
