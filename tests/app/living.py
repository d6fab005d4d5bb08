"""How these tests live: a clock that runs faster, and a strategy that tells what it saw."""

import threading
import time
from pathlib import Path
from typing import Any

from openbell.app.lake import Lake, open_lake
from openbell.app.replaying import replay
from openbell.app.settings import settings
from openbell.replay.scheduler import Monitor, Threads

SERIES = ("BINANCE:BTCUSDT/trades", "BINANCE:BTCUSDT/quotes")
TELLING = '''
from openbell import Strategy, param


class Telling(Strategy):
    """Buys and sells in turn, and writes down everything it sees."""

    path: str = param("")
    every: int = param(25)

    def on_start(self, ctx):
        self.trades = 0
        self.file = open(self.path, "w") if self.path else None

    def tell(self, *words):
        if self.file:
            print(*words, file=self.file, flush=True)

    def on_end(self):
        if self.file:
            self.file.close()

    def on_bar(self, ctx, bar):
        self.tell("bar", ctx.now_ns, bar.start_ns, bar.close, bar.volume)

    def on_revision(self, ctx, bar):
        self.tell("revision", ctx.now_ns, bar.start_ns, bar.close, bar.volume)

    def on_quote(self, ctx, quote):
        self.tell("quote", ctx.now_ns, quote.time_ns, quote.bid, quote.ask)

    def on_trade(self, ctx, trade):
        self.tell("trade", ctx.now_ns, trade.time_ns, trade.price, trade.size)
        self.trades += 1
        if self.trades % self.every == 0:
            (ctx.buy if self.trades // self.every % 2 else ctx.sell)(0.01)

    def on_fill(self, ctx, fill):
        self.tell("fill", ctx.now_ns, fill.size, fill.price)
'''


class _HastyMonitor(threading.Condition):
    def __init__(self, times: float) -> None:
        super().__init__()
        self._times = times

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else timeout / self._times)


class Hasty(Threads):
    """The machine's threads, and time that runs some times as fast."""

    def __init__(self, times: float) -> None:
        self._times = times

    def now_ns(self) -> int:
        return round(time.monotonic_ns() * self._times)

    def monitor(self) -> Monitor:
        return _HastyMonitor(self._times)


def lake_in(folder: Path) -> Lake:
    """A lake, recordings and runs below a folder."""
    chosen = settings(lake=folder / "lake", runs=folder / "runs", recordings=folder / "recordings")
    return Lake(open_lake(folder / "lake").store, chosen)


def strategy_in(folder: Path) -> str:
    """The file of the strategy that tells."""
    path = folder / "telling.py"
    path.write_text(TELLING)
    return str(path)


def digests_of_replay(lake: Lake, recording: str) -> dict[str, str]:
    """By session, what a replay of a recording comes to."""
    system = replay(f"recording:{recording}", lake=lake)
    for _ in system:
        pass
    return dict(zip(system.tape.labels, system.tape.digests, strict=True))


def until(holds: Any, limit_s: float = 30.0) -> None:
    """Wait until something holds; fail if it does not in time."""
    pause = threading.Event()
    for _ in range(round(limit_s / 0.05)):
        if holds():
            return
        pause.wait(0.05)
    raise AssertionError("it did not come about")
