"""Starts a venue on loopback (`venue.py`), and takes what a source pushes."""

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from openbell.market.instrument import Series
from tests.conftest import SAMPLES
from tests.house import ROOT

BITCOIN = SAMPLES / "hftbacktest/examples/spot/btcusdt_20240808_head.gz"


@contextmanager
def venue(
    data: Path = BITCOIN, *faults: str, speak: str = "lines", **options: Any
) -> Iterator[str]:
    """A venue that plays data; gives its address."""
    words = [w for name, value in options.items() for w in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "tests.sources.venue", "--speak", speak, "--data", str(data)]
    child = subprocess.Popen(
        [*command, *words, "--faults", *faults], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        port = child.stdout.readline().strip()
        yield f"{'tcp' if speak == 'lines' else 'ws'}://127.0.0.1:{port}"
    finally:
        child.kill()
        child.communicate()


class Pushed(NamedTuple):
    """What was pushed once."""

    series: Series
    what: int
    venue_ns: int
    values: tuple[float, ...]
    number: int


class Basket:
    """An `Inlet` that keeps what it is given, and wants nothing more after so many items."""

    def __init__(self, most: int = 10**9, *, room: threading.Semaphore | None = None) -> None:
        self.pushed: list[Pushed] = []
        self.failed: dict[Series, Exception] = {}
        self.full = threading.Event()
        self._most = most
        self._room = room

    def push(
        self,
        series: Series,
        what: int,
        venue_ns: int = 0,
        values: Sequence[float] = (),
        sequence: int = 0,
    ) -> bool:
        if self._room is not None:
            self._room.acquire()
        self.pushed.append(Pushed(series, what, venue_ns, tuple(values), sequence))
        if len(self.pushed) >= self._most:
            self.full.set()
        return not self.full.is_set()

    def fail(self, series: Series, error: Exception) -> None:
        self.failed[series] = error
        self.full.set()
