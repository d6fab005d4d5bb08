"""The player on a real terminal: what is on the screen, and what keys do."""

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import openbell as ob
from openbell.app.cli.player import named
from openbell.market.bars import Bar
from openbell.market.moments import MINUTE_NS
from openbell.report.candles import Candle, columns, drawn
from tests.commands import openbell
from tests.replay.playing import quotes

# The first command may have to compile what it plays.
pytestmark = pytest.mark.timeout(180)

MADE: list["Terminal"] = []


@pytest.fixture(autouse=True)
def _no_command_left() -> Iterator[None]:
    """Whatever a test came to, its commands end with it."""
    yield
    while MADE:
        child = MADE.pop().child
        child.kill()
        child.wait(20)


class Terminal:
    """A command on a terminal of 110 by 30 characters, if nothing else is said."""

    def __init__(self, *args: str, width: int = 110, height: int = 30) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        command = [str(Path(sys.executable).with_name("openbell")), *args]
        environment = {**os.environ, "TERM": "xterm"}
        for size in ("COLUMNS", "LINES"):  # these would come before the terminal's own size
            environment.pop(size, None)
        self.child = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment
        )
        os.close(slave)
        MADE.append(self)
        self.all = ""
        self.text = codecs.getincrementaldecoder("utf-8")("replace")  # as terminals do

    def until(self, pattern: str, *, limit_s: float = 100.0) -> str:
        """What came on the screen since the last look, up to where a pattern was seen."""
        raw, seen, end = "", "", time.monotonic() + limit_s
        while not re.search(pattern, seen):
            assert time.monotonic() < end, f"{pattern} was not seen in {seen[-2000:]}"
            if select.select([self.master], [], [], 0.1)[0]:
                raw += self.text.decode(os.read(self.master, 65536))
                seen = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", raw[-200_000:])
        self.all += seen
        return seen

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def close(self) -> int:
        """Wait for the command's end, reading on; its exit code."""
        with contextlib.suppress(OSError):  # Linux's word for the other end being closed
            while select.select([self.master], [], [], 20)[0]:
                self.all += self.text.decode(os.read(self.master, 65536))
        os.close(self.master)
        return self.child.wait(20)


@pytest.fixture
def terminal(spy_lake: Path) -> Terminal:
    args = ("replay", "XNYS:SPY", "--from", "2011-03-11", "--to", "2011-03-16", "--speed", "3600")
    return Terminal(*args, "--lake", str(spy_lake))


def test_a_session_is_drawn_and_moved_by_keys(terminal: Terminal) -> None:
    shown = terminal.until(r"(?s)[┃│╽╿].*100\.0 %")
    assert "REPLAY   XNYS:SPY/1m@1" in shown
    assert re.search(r"2011-03-11 \d\d:\d\d:\d\d EST  \(\d\d:\d\d:\d\d UTC\)", shown)
    assert re.search("[┃│╽╿]", shown)
    terminal.press(" ")
    terminal.until("held")
    terminal.press("g2011-03-14 10:00\n")
    held = terminal.until(r"2011-03-14 10:00:00 EDT  \(14:00:00 UTC\)")
    assert "held" in held
    terminal.press("\x1b[C")
    terminal.until("10:01:00 EDT")
    terminal.press("\x1b[D")
    terminal.until("10:00:00 EDT")
    terminal.press("s")
    terminal.until("2011-03-15 09:30:00 EDT|session 2011-03-14.*16:00:00 EDT")
    terminal.press("gno:w\n")
    terminal.until("is no time")
    terminal.press("- ")
    terminal.until("1000x")
    terminal.press("q")
    assert terminal.close() == 0
    assert re.search(r"XNYS:SPY c 1\d\d\.\d+ v [\d,]+ +\d+\.\d % complete", terminal.all)
    assert "LIVE" not in terminal.all
    assert "Traceback" not in terminal.all


def test_going_back_to_before_the_open_is_seen_though_no_slice_comes(terminal: Terminal) -> None:
    terminal.until(r"100\.0 %")
    terminal.press(" ")
    terminal.until("held")
    terminal.press("g2011-03-14 10:00\n")
    terminal.until("2011-03-14 10:00:00 EDT")
    terminal.press("g9:00\n")
    terminal.until("2011-03-14 09:00:00 EDT")
    terminal.press("\x1b[C\x1b[C\x1b[C")
    terminal.until("2011-03-14 09:3[0-2]:00 EDT")


def test_an_interrupted_player_says_so(terminal: Terminal) -> None:
    terminal.until(r"100\.0 %")
    terminal.child.send_signal(signal.SIGINT)
    assert terminal.close() == 130
    assert "interrupted" in terminal.all


def test_a_session_is_shown_before_its_first_bar(spy_lake: Path) -> None:
    args = ("replay", "XNYS:SPY", "--from", "2011-03-14", "--to", "2011-03-15", "--speed", "0.5")
    terminal = Terminal(*args, "--lake", str(spy_lake))
    shown = terminal.until("session 2011-03-14")
    assert "waiting" not in shown.rpartition("session 2011-03-14")[2]
    terminal.child.kill()
    terminal.child.wait()


def test_a_replay_that_is_over_stays_on_its_last_picture_and_can_go_back(spy_lake: Path) -> None:
    args = ("replay", "XNYS:SPY", "--date", "2011-03-14", "--speed", "100000")
    terminal = Terminal(*args, "--lake", str(spy_lake))
    over = terminal.until("over · ← back · g go to · q quit")
    assert re.search("2011-03-14 16:00:00 EDT .* ■ over", over)
    terminal.press(" g15:00\n")
    terminal.until("15:00:00 EDT .* ⏸ held")
    terminal.press(" ")
    terminal.until("16:00:00 EDT .* ■ over")
    terminal.press("q")
    assert terminal.close() == 0


def test_a_small_terminal_shows_less_and_breaks_no_line(spy_lake: Path) -> None:
    args = ("replay", "XNYS:SPY", "--date", "2011-03-14", "--speed", "100000")
    terminal = Terminal(*args, "--lake", str(spy_lake), width=60, height=15)
    over = terminal.until("over · ← back")
    assert "UTC" not in over[over.rindex("REPLAY") :]
    assert re.search(r"16:00:00 EDT   ■ over   1\d\d\.\d+  [+-]\d\.\d\d%  vol", over)
    terminal.press("q")
    assert terminal.close() == 0


def test_ticks_without_bars_are_drawn_by_the_minute(tmp_path: Path) -> None:
    lake = ob.open_lake(str(tmp_path))
    lake.write(quotes("XNYS:GE/quotes", *(f"2011-03-14T14:{m:02}:30Z" for m in range(60))))
    args = ("replay", "XNYS:GE/quotes", "--date", "2011-03-14", "--speed", "100000")
    terminal = Terminal(*args, "--lake", str(tmp_path))
    over = terminal.until("over · ← back")
    assert "drawn from quotes: 60 moments" in over
    assert "159.005  +59.00%" in over
    terminal.press("q")
    assert terminal.close() == 0
    assert "XNYS:GE 60 moments with ticks" in terminal.all


def test_without_a_terminal_a_paced_replay_prints_lines_as_they_come(spy_lake: Path) -> None:
    args = ("replay", "XNYS:SPY", "--date", "2011-03-14", "--speed", "100000")
    said = openbell(*args, "--lake", str(spy_lake))
    assert said.code == 0
    lines = [line for line in said.out.splitlines() if line.startswith("2011-03-14T")]
    assert len(lines) == 390
    assert lines[0].startswith("2011-03-14T13:31:00Z   XNYS:SPY o ")


def test_keys_are_named_as_terminals_send_them() -> None:
    assert list(named("\x1b[A\x1bOBq \x7f\r\x1b")) == [
        "up", "down", "q", " ", "backspace", "enter", "escape"
    ]  # fmt: skip


def bar(minute: int, open_: float, high: float, low: float, close: float) -> Bar:
    start = minute * MINUTE_NS
    return Bar("XNYS:SPY", start, start + MINUTE_NS, open_, high, low, close, 1.0)


def test_columns_say_what_is_there_and_what_is_due() -> None:
    bars = [bar(0, 1, 3, 1, 2), bar(1, 2, 4, 2, 3), bar(4, 3, 3, 2, 2)]
    found = columns(bars, (0, 8 * MINUTE_NS), 7 * MINUTE_NS, 4, MINUTE_NS)
    assert found == [Candle(1, 4, 1, 3, 2, 2), 2, Candle(3, 3, 2, 2, 1, 2), 1]


def test_candles_have_bodies_and_wicks_at_their_prices() -> None:
    lines = drawn([Candle(1, 4, 0, 2, 1, 1), 0, Candle(4, 4, 4, 4, 1, 1)], 2)
    assert ["".join(sign for sign, _ in line) for line in lines] == ["│ ╹", "╿  "]
    assert [rises for _, rises in lines[0]] == [True, True, True]
