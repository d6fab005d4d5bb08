"""Commands as a person types them, carried out in this process or in one of their own."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from openbell.app.cli.main import run

SPY = Path(__file__).parent / "samples" / "pyalgotrade" / "nt-spy-minute-2011-03.csv.gz"
LEAN = Path(__file__).parent / "samples" / "lean" / "Data"
IMPORT_SPY = (
    "data", "import", str(SPY), "--as", "XNYS:SPY/1m", "--zone", "UTC", "--stamp", "close",
)  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)


def openbell(*words: str) -> Said:
    """Carry out a command in this process, in the present folder."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(words)
    return Said(code, out.getvalue(), err.getvalue())


def started(
    *words: str,
    cwd: Path,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> subprocess.Popen[str]:
    """Start a command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "openbell.app.cli.main", *words],
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=stdout,
        stderr=stderr,
        text=True,
    )
