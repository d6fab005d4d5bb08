"""The player: a replay on the screen, held and moved by keys.

The replay runs on a thread of its own; the screen is drawn, and keys are read, on the main one.
Between them stands `Played`: what was released so far, of every instrument.
"""

import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from openbell.app.cli import picture
from openbell.app.cli.played import Known, Played
from openbell.app.cli.terminal import say_lines
from openbell.market.counted import counted
from openbell.market.errors import CancelledError, ReplayError
from openbell.market.moments import SECOND_NS, iso, to_datetime
from openbell.quality.report import percent
from openbell.replay.pacing import Pace
from openbell.replay.system import System

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_DRAW_S = 0.1
_END_S = 30.0
_SPEEDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 360.0, 1_000.0, 5_000.0, 0.0)
_ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
_NAMES = {"\x1b": "escape", "\r": "enter", "\n": "enter", "\x7f": "backspace", "\b": "backspace"}
_EPOCH = to_datetime(0)


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
        self._played = Played(system, pace)
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
        where = self._played.at_ns, clock_s, held, self.pace.is_over, self.pace.speed
        return *where, self._played.chosen, self._typed, self._said

    def screen(self, console: "Console") -> "RenderableType":
        """What there is to see, as large as the terminal."""
        said = self._said
        if self._typed is not None:
            said = f"go to (10:42, or 2011-03-15 10:42, enter): {self._typed}▏"
        with self._lock:
            return picture.screen(self._played, said, *console.size)

    def start(self) -> None:
        """Begin to play; at the end the last picture stays."""
        self.pace.stays = True
        self._thread.start()

    def stop(self) -> None:
        """End the replay and wait for it."""
        self.pace.stop()
        self._thread.join(_END_S)
        if self._thread.is_alive():
            raise ReplayError(
                f"the replay did not end within {_END_S:g} s", hint="stop the process itself"
            )

    def raise_error(self) -> None:
        """Raise what ended the replay, unless it was somebody at the keys."""
        if self._error is not None and not self.has_quit:
            raise self._error

    def last_words(self) -> Iterator[str]:
        """Where each instrument stood in the end, and how many slices came late."""
        for name, known in self._played.known.items():
            yield _stood(name, known, self._played.at_ns)
        if self.pace.late:
            worst_ms = self.pace.lateness_ns_max / 1e6
            yield f"late slices: {self.pace.late:,}, by at most {worst_ms:,.0f} ms"

    def _run(self) -> None:
        try:
            for one in self.system:
                with self._lock:
                    self._played.take(one)
        except CancelledError as stopped:
            self.has_quit = True
            self._error = stopped
        except BaseException as error:  # noqa: BLE001  # raised again on the main thread
            self._error = error

    # Keys

    def press(self, key: str) -> None:
        """Do what a key says."""
        if self._typed is not None:
            self._type(key)
            return
        acts = {
            " ": self._hold, "right": self._step, "left": self._back, "s": self._next_session,
            "+": lambda: self._shift(1), "=": lambda: self._shift(1), "-": lambda: self._shift(-1),
            "up": lambda: self._played.choose(-1), "down": lambda: self._played.choose(1),
            "g": self._ask, "q": self._quit,
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
        self._seek(self._played.at_ns - self._played.shown.bar_ns)

    def _next_session(self) -> None:
        ahead = (s.session.open_ns for s in self.system.agenda.sessions)
        found = next((ns for ns in ahead if ns > self._played.now_ns), None)
        if found is None:
            self._said = "this is the last session"
        else:
            self._seek(found)

    def _seek(self, to_ns: int) -> None:
        """Go to a moment; of going back the screen knows at once, a slice may never come."""
        with self._lock:
            if to_ns < self._played.at_ns:
                self._played.go_back(to_ns)
        self.pace.seek(to_ns)

    def _shift(self, by: int) -> None:
        at = min(
            range(len(_SPEEDS)), key=lambda k: abs((_SPEEDS[k] or 1e9) - (self.pace.speed or 1e9))
        )
        self.pace.speed = _SPEEDS[min(max(at + by, 0), len(_SPEEDS) - 1)]

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
        zone = self._played.shown.zone
        local = to_datetime(self._played.now_ns).astimezone(zone)
        try:
            day = datetime.fromisoformat(date).date() if date else local.date()
            hour, minute = map(int, clock.split(":"))
            moment = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
        except ValueError:
            self._said = f"`{text}` is no time: type 10:42, or 2011-03-15 10:42"
            return
        self._seek((moment - _EPOCH) // timedelta(microseconds=1) * 1_000)


def _stood(name: str, known: Known, at_ns: int) -> str:
    if not known.data.has_bars and known.ticks:
        return f"{iso(at_ns)}   {name} {counted(known.ticks, 'moment')} with ticks"
    if not known.bars:
        return f"{name}: nothing was released"
    last = known.bars[-1]
    return (
        f"{iso(last.end_ns)}   {name} c {last.close:,.10g} v {known.volume:,.10g}   "
        f"{percent(known.completeness)} complete"
    )


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
        yield _NAMES.get(read[0], read[0])
        read = read[1:]
