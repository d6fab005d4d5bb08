"""What was started ends with the one who started it, even if that one is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from openbell.bridge.redis_server import RedisServer

OWNS_REDIS = """
import signal, sys, threading
from pathlib import Path
from openbell.bridge.redis_server import RedisServer
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # who runs the tests may ignore it: nohup
server = RedisServer(Path(sys.argv[1])).start()
print(server.pid, server._folder, flush=True)
threading.Event().wait()
"""
OWNS_A_LOOP = """
import sys, threading
from openbell.bridge.child import Child, Limits
child = Child([sys.executable, "-c", "while True: pass"], {}, limits=Limits(), got=lambda: 0)
child.start()
print(child.pid, child._folder.name, flush=True)
threading.Event().wait()
"""


def is_there(pid: int) -> bool:
    """Whether a process runs; one that only waits to be buried does not."""
    return stat(pid)[0] not in "ZX"


def stat(pid: int) -> tuple[str, int]:
    """A process's state and its parent; `X` and 0 for one that is gone."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return "X", 0
    return state, int(parent)


def wait_until_gone(pid: int, folder: Path) -> None:
    last = time.monotonic() + 10
    while is_there(pid) or folder.exists():
        assert time.monotonic() < last, f"{pid} or {folder} is still there"
        threading.Event().wait(0.02)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_private_redis_ends_with_its_owner(binary: Path, sent: signal.Signals) -> None:
    wait_until_gone(*left_by([OWNS_REDIS, str(binary)], sent))


def test_a_strategy_that_is_too_busy_to_notice_ends_with_its_owner() -> None:
    wait_until_gone(*left_by([OWNS_A_LOOP], signal.SIGKILL))


def left_by(words: list[str], sent: signal.Signals) -> tuple[int, Path]:
    """The child and the folder of a process that was sent a signal."""
    command = [sys.executable, "-c", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid, folder = owner.stdout.readline().split()
        assert is_there(int(pid))
        owner.send_signal(sent)
    return int(pid), Path(folder)


def test_a_private_redis_does_not_hear_the_keyboard(binary: Path) -> None:
    """Ctrl-C goes to the group of the terminal; the run ends first, then its Redis."""
    with RedisServer(binary) as server:
        assert os.getpgid(server.pid) != os.getpgid(0)


def test_no_guard_is_left(binary: Path) -> None:
    before = guards()
    with RedisServer(binary) as server:
        assert len(guards() - before) == 1
        server.restart()
        assert len(guards() - before) == 1
    assert guards() == before


def guards() -> set[int]:
    """The guards this process has started."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    children = [pid for pid in pids if stat(pid)[1] == os.getpid()]
    return {pid for pid in children if b"openbell-guard" in words_of(pid)}


def words_of(pid: int) -> bytes:
    """A child's command line; one whose program is being loaded has none for a moment."""
    words = Path(f"/proc/{pid}/cmdline")
    while not (found := words.read_bytes()) and is_there(pid):
        threading.Event().wait(0.001)
    return found
