"""A child process that is looked after: explicit environment, limits, restarts, last words."""

import os
import re
import resource
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

from openbell.bridge.guard import Guard
from openbell.market.errors import RunError, UsageError

_CANNOT_START = 1
BEGIN_ANEW = 75  # by which a runner says that nothing is wrong with it, but it must begin anew
_LAST_WORDS = 12  # lines of its output that an error carries
_LINE = 400  # characters of a line that are kept
_LONGEST = 64 * 1024  # bytes of a line that are read as one
_REPORT = b'{"type":"ERROR"'  # how the runner begins to tell what was raised


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a child may use.

    Attributes
    ----------
    memory_mb
        Its heap, in MiB.
    cpu_s
        Processor time of one life, in seconds.
    ready_s
        Wall time until it is ready.
    lives
        How often it may die in a row without having got any further.
    pauses_s
        Waits before the second life, the third, …; the last one goes on.
    """

    memory_mb: int = 512
    cpu_s: int = 24 * 3600
    ready_s: float = 30.0
    lives: int = 4
    pauses_s: tuple[float, ...] = (0.05, 0.5, 2.0)


class Child:
    """One child process, started again when it dies.

    Parameters
    ----------
    words
        The program and its arguments; no shell is asked.
    environment
        All that it sees of one.
    got
        How far it got; a death after any progress is counted as the first.
    pause
        Waits some seconds between two lives.

    Attributes
    ----------
    deaths
        How often it died, beginning anew left out.
    asides
        How often it raised in a timer or a forgotten promise, and went on.
    first_aside
        What it raised so first; empty if nothing.
    """

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        *,
        limits: Limits,
        got: Callable[[], int],
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self.deaths = 0
        self.asides = 0
        self.first_aside = ""
        self._words = list(words)
        self._environment = dict(environment)
        self._limits = limits
        self._got = got
        self._pause = pause or threading.Event().wait
        self._folder = tempfile.TemporaryDirectory(prefix="openbell-")
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None
        self._reader: threading.Thread | None = None
        self._lines: deque[str] = deque(maxlen=_LAST_WORDS)
        self._in_a_row = 0
        self._got_before = -1

    @property
    def pid(self) -> int:
        """Of its present life; 0 before the first and after the last."""
        return self._process.pid if self._process else 0

    @property
    def last_words(self) -> str:
        """The end of what it printed."""
        return "\n".join(self._lines)

    def start(self) -> None:
        """Begin a life."""
        home = self._folder.name
        try:
            process = subprocess.Popen(  # noqa: S603  # a list of words, and no shell
                self._words,
                cwd=home,
                env={"HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "TZ": "UTC"}
                | self._environment,
                stdin=subprocess.PIPE,  # it ends with us: this end closes then
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is ours; we end it in order
            )
        except OSError as error:
            raise UsageError(
                f"{self._words[0]} cannot be started: {error.strerror}",
                hint="is it installed? Name another program, or its full path",
            ) from error
        self._process = process
        self._guard = Guard(process.pid, Path(home))  # it may be too busy to see us go
        self._lines.clear()
        with suppress(ProcessLookupError):  # it ended already; `watch` says how
            cpu_s = self._limits.cpu_s
            resource.prlimit(process.pid, resource.RLIMIT_CPU, (cpu_s, cpu_s + 5))
            resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
        self._reader = threading.Thread(target=self._listen, args=(process,), daemon=True)
        self._reader.start()

    def watch(self) -> bool:
        """Start it again if it died; say whether that was so.

        Raises
        ------
        RunError
            If it dies again and again in one place; with its last words.
        """
        process = self._process
        if process is None or process.poll() is None:
            return False
        self._bury(process)
        self._count(process.returncode)
        self._pause(self._pauses(self._in_a_row - 1))
        self.start()
        return True

    def stop(self, within_s: float = 2.0) -> None:
        """End it: ask it, wait, then kill it. Nothing happens the second time."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(within_s)
            self._bury(process)
        self._folder.cleanup()

    def _count(self, code: int) -> None:
        """Count a death; raise if there were too many in a row."""
        got = self._got()
        self._in_a_row = self._in_a_row + 1 if got == self._got_before else 1
        self._got_before = got
        self.deaths += code != BEGIN_ANEW
        is_hopeless = got == 0 and code == _CANNOT_START
        if is_hopeless or self._in_a_row >= self._limits.lives:
            self._folder.cleanup()
            self._process = None
            how = f"ended {self._in_a_row} times in a row at the same place, at last"
            raise RunError(
                f"the strategy's process {'could not start: it ended' if is_hopeless else how} by "
                f"{_ending(code)}; its last words:\n{self.last_words or '(none)'}"
            )

    def _pauses(self, at: int) -> float:
        pauses = self._limits.pauses_s
        return pauses[min(at, len(pauses) - 1)] if pauses else 0.0

    def _bury(self, process: "subprocess.Popen[bytes]") -> None:
        """Take it away with all it started, and read the rest of what it said."""
        if self._guard is not None:
            self._guard.dismiss()
        with suppress(ProcessLookupError, PermissionError):
            _kill_group(process.pid)
        process.wait()
        if self._reader is not None:
            self._reader.join(1.0)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _listen(self, process: "subprocess.Popen[bytes]") -> None:
        """Keep the last lines; runs on its own thread until the pipe closes."""
        assert process.stdout is not None
        with suppress(ValueError, OSError):  # closed while we read: nothing more will come
            while line := process.stdout.readline(_LONGEST):
                if line.startswith(_REPORT):
                    self._take_report(line)
                else:
                    self._lines.append(line.decode(errors="replace").rstrip()[:_LINE])

    def _take_report(self, line: bytes) -> None:
        """Keep what was raised and where, without places that are not the strategy's."""
        try:
            report = orjson.loads(line)
            raised, phase = str(report["error"]), report["context"]["phase"]
            stack = str(report["stack"]).splitlines()
        except (orjson.JSONDecodeError, LookupError, TypeError):
            self._lines.append(line.decode(errors="replace").rstrip()[:_LINE])
            return
        places = [line for line in stack if line.strip() and not _NOT_THEIRS.search(line)]
        self._lines.extend(line[:_LINE] for line in places or [raised])
        if phase == "background":
            self.asides += 1
            self.first_aside = self.first_aside or raised[:_LINE]


# Places in a stack that belong to Node or to the runner.
_NOT_THEIRS = re.compile(r"\(?node:|/@openbell/|packages/runner")


def _kill_group(pid: int) -> None:
    os.killpg(pid, signal.SIGKILL)


def _ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name} (its limit of processor time)" if name == "SIGXCPU" else name
