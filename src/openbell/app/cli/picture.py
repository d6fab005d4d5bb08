"""The player's screen: a title, the clock, candles with their quality, the other instruments."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from openbell.app.cli.played import Known, Played
from openbell.market.counted import counted
from openbell.market.moments import HOUR_NS, to_datetime
from openbell.quality.report import percent
from openbell.replay.pacing import Pace
from openbell.report.candles import Candle, Column, columns, drawn

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_NARROW = 80  # columns; where there are fewer, UTC is left out
_KEYS = (
    "space hold/go · → next bar · ← back · + − speed · s next session · g go to · "
    "↑ ↓ symbol · q quit"
)
_KEYS_SHORT = "space → ← + − s g ↑ ↓ · q quit"
_OVER = "over · ← back · g go to · q quit"


def screen(played: Played, said: str, width: int, height: int) -> "RenderableType":
    """Everything, as large as the terminal.

    Parameters
    ----------
    said
        The last line; where it is empty, the keys.
    width, height
        In characters.
    """
    from rich.console import Group
    from rich.text import Text

    others = _others(played, height // 4) if len(played.known) > 1 else []
    room = max(height - 5 - len(others), 3)
    lines = [
        _title(played), _clock(played, width), Text(""), *_chart(played, width, room), *others,
        _prompt(played.pace, said, width),
    ]  # fmt: skip
    for line in lines:
        line.no_wrap, line.overflow = True, "crop"
    return Group(*lines)


def _title(played: Played) -> "Text":
    from rich.text import Text

    pins = [str(pin) for pin in played.system.plan.pins]
    name = str(played.shown.data.instrument)
    title = next((pin for pin in pins if pin.startswith(f"{name}/")), name)
    text = Text("REPLAY  ", style="bold reverse")
    text.append(f" {title}", style="bold")
    if len(played.known) > 1:
        text.append(f"  {played.chosen + 1} of {len(played.known)}", style="dim")
    if (session := played.session) is not None:
        early = "  early close" if session.is_early_close else ""
        text.append(f"   session {session.label}{early}")
    return text


def _clock(played: Played, width: int) -> "Text":
    from rich.text import Text

    known = played.shown
    now = to_datetime(played.now_ns)
    text = Text(f"{now.astimezone(known.zone):%Y-%m-%d %H:%M:%S %Z}", style="bold")
    text.append(f"  ({now:%H:%M:%S} UTC)   " if width >= _NARROW else "   ", style="dim")
    text.append(_pace_in_words(played.pace), style="cyan")
    if known.bars:
        first, last = known.bars[0], known.bars[-1]
        change = last.close / first.open - 1.0
        text.append(f"   {last.close:,.10g}", style="bold")
        text.append(f"  {change:+.2%}", style="green" if change >= 0 else "red")
        if known.volume:
            text.append(f"  volume {known.volume:,.10g}", style="dim")
    return text


def _pace_in_words(pace: Pace) -> str:
    if pace.is_over:
        return "■ over"
    if pace.is_paused:
        return "⏸ held"
    return f"▶ {pace.speed:g}x" if pace.speed else "▶ full speed"


def _chart(played: Played, width: int, height: int) -> "list[Text]":
    """Candles with an axis of prices, the hours, and a line on what is there."""
    from rich.text import Text

    session = played.session
    if session is None:
        return [Text("waiting for the first session…", style="dim")]
    known = played.shown
    span = session.open_ns, session.close_ns
    cut = columns(known.bars, span, played.at_ns, width - 11, known.bar_ns)
    lines = _candles(cut, height - 2)
    if known.data.has_bars:
        told = _quality(cut, known)
    else:
        drawn_from = f"drawn from {known.data.base}: {counted(known.ticks, 'moment')}"
        told = Text(drawn_from, style="dim")
    return [*lines, _hours(known, span, len(cut)), told]


def _candles(cut: Sequence[Column], height: int) -> "list[Text]":
    from rich.text import Text

    shown = [column for column in cut if isinstance(column, Candle)]
    lines = []
    for line, cells in enumerate(drawn(cut, height)):
        text = Text()
        for sign, rises in cells:
            text.append(sign, style="green" if rises else "red")
        text.append(_axis(shown, line, height), style="dim")
        lines.append(text)
    return lines


def _axis(shown: Sequence[Candle], line: int, height: int) -> str:
    """The price at every fourth line."""
    if not shown or line % 4:
        return ""
    low, high = min(c.low for c in shown), max(c.high for c in shown)
    return f" {high - (high - low) * line / height:,.6g}"


def _hours(known: Known, span: tuple[int, int], width: int) -> "Text":
    """The full hours of the venue's clocks, as many as there is room for."""
    from rich.text import Text

    line = [" "] * (width + 5)
    hours = range(-(-span[0] // HOUR_NS) * HOUR_NS, span[1] + 1, HOUR_NS)
    each = -(-len(hours) * 8 // width)
    for moment in hours[::each]:
        k = (moment - span[0]) * width // (span[1] - span[0])
        line[k : k + 5] = f"{to_datetime(moment).astimezone(known.zone):%H:%M}"
    return Text("".join(line), style="dim")


def _quality(cut: Sequence[Column], known: Known) -> "Text":
    """A sign a column: all there, some missing, none there, not due yet."""
    from rich.text import Text

    text = Text()
    for column in cut:
        if not isinstance(column, Candle):
            text.append("▁" if column else " ", style="red")
        elif column.present < column.due:
            text.append("▃", style="yellow")
        else:
            text.append("▇", style="green")
    text.append(f" {percent(known.completeness)}")
    return text


def _others(played: Played, room: int) -> "list[Text]":
    """A line an instrument, those around the chosen one if there is no room for all."""
    from rich.text import Text

    zone = played.shown.zone
    lines = []
    for number, (name, known) in enumerate(played.known.items()):
        last, at = "–", ""
        if known.bars:
            last = f"{known.bars[-1].close:,.10g}"
            at = f"{to_datetime(known.bars[-1].end_ns).astimezone(zone):%H:%M}"
        complete = percent(known.completeness) if known.data.has_bars else "–"
        chosen = "▸" if number == played.chosen else " "
        lines.append(Text(f"{chosen} {name:<24}{last:>14}  {at:<5}  {complete:>8}"))
    room = min(room, 8)
    first = min(max(played.chosen - room // 2, 0), max(len(lines) - room, 0))
    return lines[first : first + room]


def _prompt(pace: Pace, said: str, width: int) -> "Text":
    from rich.text import Text

    if said:
        return Text(said, style="bold")
    if pace.is_over:
        return Text(_OVER, style="bold")
    return Text(_KEYS if width > len(_KEYS) else _KEYS_SHORT, style="dim")
