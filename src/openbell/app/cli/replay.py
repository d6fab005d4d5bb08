"""`openbell replay`: play sessions again."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import structs

from openbell.app.cli import options
from openbell.app.cli.exits import INTERRUPTED
from openbell.app.cli.terminal import note, say, say_json, say_lines, working
from openbell.market.counted import counted
from openbell.market.errors import CancelledError, UsageError
from openbell.market.moments import iso, parse_date

if TYPE_CHECKING:
    from openbell.market.bars import Bar
    from openbell.replay.session_data import InstrumentData
    from openbell.replay.slices import Slice
    from openbell.replay.system import System

# What is shown of a tick, by kind.
_TICKS = {"trades": ("price", "size"), "quotes": ("bid", "ask", "bid_size", "ask_size")}


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
        say(seen.table() if seen.sessions else "no session came to its close")
        say_lines(in_words(seen.system.upkeep))
    if seen.is_stopped:
        raise typer.Exit(INTERRUPTED)
    if not seen.count:
        note("nothing is stored of these sessions; look at `openbell data list`")


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
                        self.slices.append(_slice(self.system, Slice(maker, i)))
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
            yield f"… {counted(self.count - len(self.slices), 'more slice')} (--limit prints more)"

    def _line(self, one: dict[str, Any]) -> str:
        parts = [_words(name, bar, len(self.system.names)) for name, bar in one["bars"].items()]
        for name, frames in one["derived"].items():
            parts += [_words(f"{name} {code}", bar, 2) for code, bar in frames.items()]
        parts += [_words(_revised(bar), bar, 2) for bar in one["revisions"]]
        parts += [f"{name} {_trades(rows)}" for name, rows in one["trades"].items()]
        parts += [f"{name} {_quotes(rows)}" for name, rows in one["quotes"].items()]
        return f"{one['time']}   {'   '.join(parts)}"

    def table(self) -> Any:
        """One row a session and instrument; ticks are counted where they are played."""
        from rich.table import Table

        from openbell.quality.report import percent

        ticks = [kind for kind in _TICKS if any(kind in row for row in self.sessions)]
        table = Table("session", "instrument")
        for name in ("bars", *ticks, "open", "high", "low", "close", "volume", "completeness"):
            table.add_column(name, justify="right")
        for row in self.sessions:
            prices = (row[name] for name in ("open", "high", "low", "close"))
            is_measured = row["completeness"] is not None
            table.add_row(
                row["session"], row["instrument"], f"{row['bars']:,}",
                *(f"{row[kind]:,}" if kind in row else "–" for kind in ticks),
                *("–" if price is None else f"{price:,.10g}" for price in prices),
                f"{row['volume']:,.10g}", percent(row["completeness"]) if is_measured else "–",
            )  # fmt: skip
        return table


def _words(name: str, bar: dict[str, Any], instruments: int) -> str:
    """A bar in a line; of several instruments the close and the volume alone."""
    names = ("open", "high", "low", "close") if instruments == 1 else ("close",)
    prices = " ".join(f"{price[0]} {bar[price]:,.10g}" for price in names)
    return f"{name} {prices} v {bar['volume']:,.10g}"


def _revised(bar: dict[str, Any]) -> str:
    return f"{bar['instrument']} revised {bar['start'][11:16]}-{bar['end'][11:16]}"


def _trades(rows: list[dict[str, float]]) -> str:
    return f"trade {rows[-1]['price']:,.10g} × {rows[-1]['size']:,.10g}{_more(rows)}"


def _quotes(rows: list[dict[str, float]]) -> str:
    return f"quote {rows[-1]['bid']:,.10g} / {rows[-1]['ask']:,.10g}{_more(rows)}"


def _more(rows: list[dict[str, float]]) -> str:
    """How many came at the same moment, before the newest."""
    return f" and {len(rows) - 1:,} more" if len(rows) > 1 else ""


def _slice(system: "System", one: "Slice") -> dict[str, Any]:
    """All that became known at a moment, by instrument."""
    found: dict[str, Any] = {
        "time": iso(one.time_ns),
        "bars": {name: _bar(one[name]) for name in one},
        "derived": {}, "revisions": [_bar(bar) for bar in one.revisions],
        "trades": {}, "quotes": {},
    }  # fmt: skip
    for name, data in ((n, d[n]) for d in system.session_data for n in d):
        for kind in data.kinds:
            if not data.window(kind).is_updated:
                continue
            if kind in _TICKS:
                found[kind][name] = _ticks(data, kind)
            elif kind != data.base:
                bars: Any = data.history(1, kind)
                found["derived"].setdefault(name, {})[kind] = _bar(bars.bar(0))
    return found


def _bar(bar: "Bar") -> dict[str, Any]:
    found = structs.asdict(bar)
    found["start"], found["end"] = iso(found.pop("start_ns")), iso(found.pop("end_ns"))
    return found


def _ticks(data: "InstrumentData", kind: str) -> list[dict[str, float]]:
    """The trades or quotes that became known at the present moment."""
    names = _TICKS[kind]
    window = data.window(kind)
    known = window.last(window.brought)
    rows = zip(*(getattr(known, name).tolist() for name in names), strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _session(system: "System", played: Any) -> Iterator[dict[str, Any]]:
    """What each instrument's session came to, at its close; of trades alone their prices."""
    for name, data in system.session_data[played.calendar].instruments.items():
        row = {
            "session": played.session.label, "instrument": name, "bars": 0, "open": None,
            "high": None, "low": None, "close": None, "volume": 0.0,
            "completeness": data.completeness if data.has_bars else None,
        }  # fmt: skip
        row |= {kind: len(getattr(data, kind)) for kind in _TICKS if kind in data.kinds}
        if data.has_bars and len(bars := data.bars()):
            row |= {
                "bars": len(bars), "open": float(bars.open[0]), "high": data.figures.high,
                "low": data.figures.low, "close": float(bars.close[-1]),
                "volume": data.figures.volume,
            }  # fmt: skip
        elif not data.has_bars and row.get("trades"):
            price, size = data.trades.price, data.trades.size
            row |= {
                "open": float(price[0]), "high": float(price.max()), "low": float(price.min()),
                "close": float(price[-1]), "volume": float(size.sum()),
            }  # fmt: skip
        yield row
