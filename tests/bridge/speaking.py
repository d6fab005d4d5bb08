"""A run spoken by hand: slices out, signals back, and what they must be."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from openbell.bridge.child import Limits
from openbell.bridge.link import Link, Setup
from openbell.market.moments import MINUTE_NS, parse_moment

STRATEGIES = Path(__file__).parent / "strategies"
COUNTING = STRATEGIES / "counting.js"
START_NS = parse_moment("2011-03-01T14:30")
QUICK = Limits(pauses_s=(0.01,))

Said = tuple[int, float]


def expected(count: int) -> list[Said]:
    """What `counting.js` says after so many slices: how many there were, and their sum."""
    return [(n, float(sum(range(1, n + 1)))) for n in range(3, count + 1, 3)]


class Speaking:
    """A run that has begun; its slices are priced 1, 2, 3, …"""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.said: list[Said] = []
        self.signals: list[Mapping[str, Any]] = []
        self.count = 0
        self.now_ns = START_NS
        self._timers: list[threading.Timer] = []

    def feed(self, count: int, before: Mapping[int, Callable[[], object]] | None = None) -> None:
        """Send slices one by one; `before` acts between sending a slice and asking for its answer.

        It names slices by number, from 1.
        """
        for _ in range(count):
            self.count += 1
            self.now_ns += MINUTE_NS
            item = {"symbol": "SPY", "timestamp": self.now_ns // 10**6, "price": float(self.count)}
            self.link.send("slice", item)
            if before and self.count in before:
                before[self.count]()
            self._take(self.link.ask())

    def _take(self, answers: Sequence[Mapping[str, Any] | None]) -> None:
        for answer in answers:
            for signal in (answer or {}).get("signals", ()):
                self.signals.append(signal)
                self.said.append((signal["quantity"], signal["price"]))

    def kill(self, lives: int = 0) -> None:
        """End the runner at once, as it is, once it was begun anew so often."""
        last = time.monotonic() + 20
        while self.link.statistics["restarted"] < lives:
            assert time.monotonic() < last, f"no runner after {lives} others"
            threading.Event().wait(0.001)
        assert self.link.pid > 0
        os.kill(self.link.pid, 9)

    def later(self, delay_s: float, act: Callable[[], object]) -> Callable[[], None]:
        """What does something in a moment, on a thread of its own, before the run is taken down."""

        def start() -> None:
            self._timers.append(threading.Timer(delay_s, act))
            self._timers[-1].start()

        return start

    def settle(self) -> None:
        """Wait for what was to be done later."""
        for timer in self._timers:
            timer.join()


@contextmanager
def speaking(
    url: str, *, limits: Limits = QUICK, within_s: float = 20.0, **config: Any
) -> Iterator[Speaking]:
    """A run with `counting.js` at a Redis."""
    now = [START_NS]
    setup = Setup(redis_url=url, limits=limits, within_s=within_s)
    link = Link(COUNTING, config, setup, lambda: now[0], symbol="SPY")
    with closing(link):
        link.open()
        run = Speaking(link)
        link._now_ns = lambda: run.now_ns
        try:
            yield run
        finally:
            run.settle()
