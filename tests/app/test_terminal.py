"""Tables in terminals of any width."""

import contextlib
import fcntl
import os
import pty
import struct
import termios
from pathlib import Path

import pytest

from tests.commands import IMPORT_SPY, openbell, started


def at_a_terminal(*words: str, columns: int, cwd: Path) -> str:
    """What a command shows in a terminal of some width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = started(
        *words, cwd=cwd, stdout=theirs, environment={"COLUMNS": str(columns), "TERM": "dumb"}
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal is gone when the command has ended
        while part := os.read(ours, 65_536):
            shown += part
    os.close(ours)
    process.communicate(timeout=50)
    return shown.decode()


@pytest.mark.usefixtures("place")
def test_a_narrow_terminal_never_cuts_what_a_series_or_run_is_called(place: Path) -> None:
    assert openbell(*IMPORT_SPY).code == 0
    assert openbell("backtest", "ema-cross", "--on", "XNYS:SPY/1m", "--no-report").code == 0
    run = openbell("runs", "list", "--json").json[0]["id"]
    assert " XNYS:SPY " in at_a_terminal("data", "list", columns=40, cwd=place)
    assert f" {run} " in at_a_terminal("runs", "list", columns=40, cwd=place)
