"""The player: a replay on the screen, held and moved by keys.

The replay runs on a thread of its own; the screen is drawn, and keys are read, on the main one.
Between them stands `_Shown`: what was released so far, of every instrument.
"""

import select
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from openbell.app.cli.terminal import say_lines
from openbell.market.bars import Bar
from openbell.market.counted import counted
from openbell.market.errors import CancelledError
from openbell.market.instrument import Series
from openbell.market.moments import HOUR_NS, MINUTE_NS, SECOND_NS, iso, to_datetime
from openbell.market.session import Session
from openbell.market.ticks import Quotes, Trades
from openbell.market.zones import zone_info
from openbell.replay.pacing import Pace
from openbell.replay.session_data import InstrumentData, SessionData
from openbell.replay.slices import Slice
from openbell.replay.system import System

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_DRAW_S = 0.1
_NARROW = 80  # columns; where there are fewer, UTC is left out
_SPEEDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 360.0, 1_000.0, 5_000.0, 0.0)
_KEYS = (
    "space hold/go · → next bar · ← back · + − speed · s next session · g go to · "
    "↑ ↓ symbol · q quit"
)
_KEYS_SHORT = "space → ← + − s g ↑ ↓ · q quit"
_OVER = "over · ← back · g go to · q quit"
_ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}


def can_play() -> bool:
    """Whether keys can be read and a screen be drawn."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def play(system: System) -> bool:
    """Show a paced replay until it is over or somebody quits; True if it was interrupted.

    What was on the screen goes with it, so a line an instrument says where it stood.
    """
    from rich.console import Console
    from rich.live import Live

    assert system.pace is not None
    player = Player(system, system.pace)
    console = Console(highlight=False)
    with (
        _raw_keys(),
        Live(player.screen(console), console=console, screen=True, auto_refresh=False) as live,
    ):
        player.start()
        drawn = None
        is_interrupted = False
        try:
            while not player.is_over:
                for key in _keys(_DRAW_S):
                    player.press(key)
                if (state := (player.state, console.size)) != drawn:
                    live.update(player.screen(console), refresh=True)
                    drawn = state
        except KeyboardInterrupt:
            is_interrupted = True
        finally:
            player.stop()
    player.raise_error()
    say_lines(player.last_words())
    return is_interrupted


class _Known:
    """What was released of one instrument in the present session."""

    def __init__(self, book: SessionData, data: InstrumentData) -> None:
        self.book, self.data = book, data
        self.bars: list[Bar] = []
        self.volume = 0.0
        self.completeness = 1.0
        self.ticks = 0

    def add(self, bar: Bar) -> None:
        """A bar that became known."""
        self.bars.append(bar)
        self.volume += bar.volume

    def tick(self, name: str, moment_ns: int, price: float, size: float) -> None:
        """A tick, where there are no bars: into the bar of its minute."""
        start_ns = moment_ns - moment_ns % MINUTE_NS
        high = low = first = price
        if self.bars and self.bars[-1].start_ns == start_ns:
            before = self.bars.pop()
            self.volume -= before.volume
            first, high, low = before.open, max(before.high, price), min(before.low, price)
            size += before.volume
        self.add(Bar(name, start_ns, start_ns + MINUTE_NS, first, high, low, price, size))


class Player:
    """A replay, what of it is on the screen, and what keys do.

    Attributes
    ----------
    has_quit
        Whether somebody pressed q.
    """

    def __init__(self, system: System, pace: Pace) -> None:
        self.system = system
        self.pace = pace
        self.has_quit = False
        self._lock = threading.Lock()
        known = {n: _Known(book, book[n]) for book in system.session_data for n in book}
        self._known = {name: known[name] for name in system.names}
        self._at_ns = 0
        self._went_back = False
        self._sessions: dict[str, Session | None] = {}
        self._chosen = 0
        self._typed: str | None = None
        self._said = ""
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="openbell-player", daemon=True)

    # Its life

    @property
    def is_over(self) -> bool:
        """Whether the replay is over."""
        return self._thread.ident is not None and not self._thread.is_alive()

    @property
    def state(self) -> tuple[Any, ...]:
        """What the screen depends on; while it is the same, nothing needs to be drawn."""
        clock_s = self.pace.horizon_ns // SECOND_NS
        held = self.pace.is_paused
        where = self._at_ns, clock_s, held, self.pace.is_over, self.pace.speed
        return *where, self._chosen, self._typed, self._said

    def start(self) -> None:
        """Begin to play; at the end the last picture stays."""
        self.pace.stays = True
        self._thread.start()

    def stop(self) -> None:
        """End the replay and wait for it."""
        self.pace.stop()
        self._thread.join(30.0)

    def raise_error(self) -> None:
        """Raise what ended the replay, unless it was somebody at the keys."""
        if self._error is not None and not self.has_quit:
            raise self._error

    def last_words(self) -> Iterator[str]:
        """Where each instrument stood in the end, and how many slices came late."""
        from openbell.quality.report import percent

        for name, known in self._known.items():
            if not known.data.has_bars and known.ticks:
                yield f"{iso(self._at_ns)}   {name} {counted(known.ticks, 'moment')} with ticks"
            elif known.bars:
                last = known.bars[-1]
                yield (
                    f"{iso(last.end_ns)}   {name} c {last.close:,.10g} v {known.volume:,.10g}   "
                    f"{percent(known.completeness)} complete"
                )
            else:
                yield f"{name}: nothing was released"
        if self.pace.late:
            worst_ms = self.pace.lateness_ns_max / 1e6
            yield f"late slices: {self.pace.late:,}, by at most {worst_ms:,.0f} ms"

    def _run(self) -> None:
        try:
            for one in self.system:
                with self._lock:
                    self._take(one)
        except CancelledError as stopped:
            self.has_quit = True
            self._error = stopped
        except BaseException as error:  # noqa: BLE001  # raised again on the main thread
            self._error = error

    def _take(self, one: Slice) -> None:
        went_back = self._went_back or one.time_ns < self._at_ns
        self._at_ns, self._went_back = one.time_ns, False
        for data in one.sessions:
            if data.session is not None and (went_back or data.session != self._played(data)):
                self._turn(data)
            for name in data:
                if name not in self._known:
                    self._known[name] = _Known(data, data[name])
                known = self._known[name]
                if bar := one.get(name):
                    known.add(bar)
                elif not data[name].has_bars:
                    self._take_ticks(name, data[name])
                known.completeness = data[name].completeness

    def _take_ticks(self, name: str, data: InstrumentData) -> None:
        """The newest trade, or the middle of the newest quote, if there is a new one."""
        if not data.window(data.base).is_updated:
            return
        newest = data.history(1)
        if isinstance(newest, Trades):
            price, size = newest.price.item(0), newest.size.item(0)
        else:
            assert isinstance(newest, Quotes)
            price, size = (newest.bid.item(0) + newest.ask.item(0)) / 2.0, 0.0
        self._known[name].ticks += 1
        self._known[name].tick(name, self._at_ns, price, size)

    def _turn(self, data: SessionData) -> None:
        """Begin a session, or be somewhere else in it: its bars before this slice are known."""
        self._sessions[data.calendar] = data.session
        for name in data:
            known = self._known[name] = _Known(data, data[name])
            if data[name].has_bars:
                earlier = data[name].bars()
                bars = map(earlier.bar, range(len(earlier)))
                known.bars = [bar for bar in bars if bar.end_ns < self._at_ns]
                known.volume = sum(bar.volume for bar in known.bars)

    def _played(self, data: SessionData) -> Session | None:
        return self._sessions.get(data.calendar)

    # Keys

    def press(self, key: str) -> None:
        """Do what a key says."""
        if self._typed is not None:
            self._type(key)
            return
        acts = {
            " ": self._hold, "right": self._step, "left": self._back, "s": self._next_session,
            "+": lambda: self._shift(1), "=": lambda: self._shift(1), "-": lambda: self._shift(-1),
            "g": self._ask, "up": lambda: self._choose(-1), "down": lambda: self._choose(1),
            "q": self._quit,
        }  # fmt: skip
        if key in acts:
            self._said = ""
            acts[key]()

    def _hold(self) -> None:
        if self.pace.is_paused:
            self.pace.resume()
        else:
            self.pace.pause()

    def _step(self) -> None:
        self.pace.step("slice")

    def _back(self) -> None:
        self.pace.pause()
        self._seek(self._at_ns - self._bar_ns)

    def _next_session(self) -> None:
        ahead = (s.session.open_ns for s in self.system.agenda.sessions)
        found = next((ns for ns in ahead if ns > self._now_ns), None)
        if found is None:
            self._said = "this is the last session"
        else:
            self._seek(found)

    def _seek(self, to_ns: int) -> None:
        """Go to a moment; of going back the screen knows at once, a slice may never come."""
        with self._lock:
            if to_ns < self._at_ns:
                self._at_ns, self._went_back = to_ns, True
                for known in self._known.values():
                    known.bars = [bar for bar in known.bars if bar.end_ns <= to_ns]
                    known.volume = sum(bar.volume for bar in known.bars)
        self.pace.seek(to_ns)

    def _shift(self, by: int) -> None:
        at = min(
            range(len(_SPEEDS)), key=lambda k: abs((_SPEEDS[k] or 1e9) - (self.pace.speed or 1e9))
        )
        self.pace.speed = _SPEEDS[min(max(at + by, 0), len(_SPEEDS) - 1)]

    def _choose(self, by: int) -> None:
        self._chosen = (self._chosen + by) % len(self._known)

    def _quit(self) -> None:
        self.has_quit = True
        self.pace.stop()

    def _ask(self) -> None:
        self._typed = ""

    def _type(self, key: str) -> None:
        """A time is being typed: ``10:42`` or ``2011-03-15 10:42``, in the venue's zone."""
        typed = self._typed or ""
        if key == "enter":
            self._typed = None
            self._go_to(typed)
        elif key == "escape":
            self._typed = None
        elif key == "backspace":
            self._typed = typed[:-1]
        elif len(key) == 1 and len(typed) < 16 and key in "0123456789:- ":
            self._typed = typed + key

    def _go_to(self, text: str) -> None:
        date, _, clock = text.strip().rpartition(" ")
        local = to_datetime(self._now_ns).astimezone(self._zone)
        try:
            day = datetime.fromisoformat(date).date() if date else local.date()
            hour, minute = map(int, clock.split(":"))
            moment = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self._zone)
        except ValueError:
            self._said = f"`{text}` is no time: type 10:42, or 2011-03-15 10:42"
            return
        self._seek((moment - _EPOCH) // timedelta(microseconds=1) * 1_000)

    # The screen

    @property
    def _session(self) -> Session | None:
        """The session of the instrument on the screen; the last one, when it is over."""
        book = self._shown.book
        return book.session or self._played(book)  # one that is open may have no slice yet

    @property
    def _shown(self) -> _Known:
        """The instrument on the screen."""
        return list(self._known.values())[self._chosen]

    @property
    def _zone(self) -> Any:
        return zone_info(self._shown.data.instrument.place.zone)

    @property
    def _now_ns(self) -> int:
        """Where the clock stands: between two slices it goes on."""
        return max(self.pace.horizon_ns, self._at_ns) or int(self.system.agenda.open_ns[0])

    @property
    def _bar_ns(self) -> int:
        data = self._shown.data
        width_ns = Series(data.instrument, data.base).timeframe.width_ns if data.has_bars else 0
        return width_ns or MINUTE_NS

    def screen(self, console: "Console") -> "RenderableType":
        """Everything, as large as the terminal."""
        from rich.console import Group
        from rich.text import Text

        width, height = console.size
        with self._lock:
            others = self._others(height // 4) if len(self._known) > 1 else []
            room = max(height - 5 - len(others), 3)
            lines = [
                self._title(), self._clock(width), Text(""), *self._chart(width, room), *others,
                self._prompt(width),
            ]  # fmt: skip
        for line in lines:
            line.no_wrap, line.overflow = True, "crop"
        return Group(*lines)

    def _prompt(self, width: int) -> "Text":
        from rich.text import Text

        if self._typed is not None:
            return Text(f"go to (10:42, or 2011-03-15 10:42, enter): {self._typed}▏", style="bold")
        if self._said:
            return Text(self._said, style="bold")
        if self.pace.is_over:
            return Text(_OVER, style="bold")
        return Text(_KEYS if width > len(_KEYS) else _KEYS_SHORT, style="dim")

    def _title(self) -> "Text":
        from rich.text import Text

        pins = [str(pin) for pin in self.system.plan.pins]
        name = str(self._shown.data.instrument)
        title = next((pin for pin in pins if pin.startswith(f"{name}/")), name)
        said = Text("REPLAY  ", style="bold reverse")
        said.append(f" {title}", style="bold")
        if len(self._known) > 1:
            said.append(f"  {self._chosen + 1} of {len(self._known)}", style="dim")
        if self._session is not None:
            early = "  early close" if self._session.is_early_close else ""
            said.append(f"   session {self._session.label}{early}")
        return said

    def _clock(self, width: int) -> "Text":
        from rich.text import Text

        now = to_datetime(self._now_ns)
        local = now.astimezone(self._zone)
        said = Text(f"{local:%Y-%m-%d %H:%M:%S %Z}", style="bold")
        said.append(f"  ({now:%H:%M:%S} UTC)   " if width >= _NARROW else "   ", style="dim")
        said.append(self._pace_in_words(), style="cyan")
        known = self._shown
        if known.bars:
            first, last = known.bars[0], known.bars[-1]
            change = last.close / first.open - 1.0
            said.append(f"   {last.close:,.10g}", style="bold")
            said.append(f"  {change:+.2%}", style="green" if change >= 0 else "red")
            if known.volume:
                said.append(f"  volume {known.volume:,.10g}", style="dim")
        return said

    def _pace_in_words(self) -> str:
        if self.pace.is_over:
            return "■ over"
        if self.pace.is_paused:
            return "⏸ held"
        return f"▶ {self.pace.speed:g}x" if self.pace.speed else "▶ full speed"

    def _chart(self, width: int, height: int) -> "list[Text]":
        from rich.text import Text

        from openbell.report.candles import Candle, columns, drawn

        session = self._session
        if session is None:
            return [Text("waiting for the first session…", style="dim")]
        known = self._shown
        span = session.open_ns, session.close_ns
        cut = columns(known.bars, span, self._at_ns, width - 11, self._bar_ns)
        lines = []
        shown = [c for c in cut if isinstance(c, Candle)]
        for line, cells in enumerate(drawn(cut, height - 2)):
            text = Text()
            for sign, rises in cells:
                text.append(sign, style="green" if rises else "red")
            text.append(_axis(shown, line, height - 2), style="dim")
            lines.append(text)
        told = self._quality(cut, known)
        if not (data := known.data).has_bars:
            told = Text(f"drawn from {data.base}: {counted(known.ticks, 'moment')}", style="dim")
        return [*lines, self._hours(span, len(cut)), told]

    def _hours(self, span: tuple[int, int], width: int) -> "Text":
        """The full hours of the venue's clocks, as many as there is room for."""
        from rich.text import Text

        line = [" "] * (width + 5)
        hours = range(-(-span[0] // HOUR_NS) * HOUR_NS, span[1] + 1, HOUR_NS)
        each = -(-len(hours) * 8 // width)
        for moment in hours[::each]:
            k = (moment - span[0]) * width // (span[1] - span[0])
            line[k : k + 5] = f"{to_datetime(moment).astimezone(self._zone):%H:%M}"
        return Text("".join(line), style="dim")

    def _quality(self, cut: Sequence[Any], known: _Known) -> "Text":
        """A sign a column: all there, some missing, none there, not due yet."""
        from rich.text import Text

        from openbell.quality.report import percent
        from openbell.report.candles import Candle

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

    def _others(self, room: int) -> "list[Text]":
        """A line an instrument, those around the chosen one if there is no room for all."""
        from rich.text import Text

        from openbell.quality.report import percent

        lines = []
        for number, (name, known) in enumerate(self._known.items()):
            last = f"{known.bars[-1].close:,.10g}" if known.bars else "–"
            end = to_datetime(known.bars[-1].end_ns).astimezone(self._zone) if known.bars else None
            at = f"{end:%H:%M}" if end else ""
            text = f"{'▸' if number == self._chosen else ' '} {name:<24}{last:>14}  {at:<5}"
            complete = percent(known.completeness) if known.data.has_bars else "–"
            lines.append(Text(f"{text}  {complete:>8}"))
        room = min(room, 8)
        first = min(max(self._chosen - room // 2, 0), max(len(lines) - room, 0))
        return lines[first : first + room]


_EPOCH = to_datetime(0)


def _axis(shown: Sequence[Any], line: int, height: int) -> str:
    """The price at every fourth line."""
    if not shown or line % 4:
        return ""
    low, high = min(c.low for c in shown), max(c.high for c in shown)
    return f" {high - (high - low) * line / height:,.6g}"


@contextmanager
def _raw_keys() -> Iterator[None]:
    """Let every key come at once, without an echo."""
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _keys(wait_s: float) -> Iterator[str]:
    """The keys pressed until now; waits for the first."""
    import os

    while select.select([sys.stdin], [], [], wait_s)[0]:
        read = os.read(sys.stdin.fileno(), 64).decode("utf-8", "replace")
        if not read:
            yield "q"
            return
        yield from named(read)
        wait_s = 0.0


def named(read: str) -> Iterator[str]:
    """Keys by name, out of what a terminal sends for them."""
    while read:
        if read[:2] in ("\x1b[", "\x1bO") and read[2:3] in _ARROWS:
            yield _ARROWS[read[2]]
            read = read[3:]
            continue
        names = {
            "\x1b": "escape",
            "\r": "enter",
            "\n": "enter",
            "\x7f": "backspace",
            "\b": "backspace",
        }
        yield names.get(read[0], read[0])
        read = read[1:]
