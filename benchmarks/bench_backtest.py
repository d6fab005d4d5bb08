"""Backtests, timed on CPU time, beside the barest loop and peers on the same work.

The work: an EMA 12/26 cross over synthetic minutes of 252 sessions × 390, a market order at each
cross, filled at the next open, one share, no costs. Each figure is the best of some tries. Peers
are those of the development set; `tests/backtest/test_peers.py` shows that they trade the same.
"""

import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from benchmarks.bench_replay import SESSION, Data, best_s, minutes
from benchmarks.row import Row
from openbell.backtest.catalog import load_strategy
from openbell.backtest.config import RunConfig
from openbell.backtest.run import Code, run_backtest
from openbell.backtest.strategy import Strategy
from openbell.backtest.sweep import KernelColumns, combinations
from openbell.market.bars import Bars
from openbell.ports import Manifest
from openbell.stores.lake import Lake

GROUP = "Backtest"
COMMAND = "python -m benchmarks.run backtest"
YEAR = 252
GRID = {"fast": list(range(5, 25, 2)), "slow": list(range(30, 80, 5))}


class Cross(Strategy):
    """Long while the fast average is above the slow one; a callback per bar."""

    fast: int = 12
    slow: int = 26

    def on_start(self, ctx: Any) -> None:
        self.f, self.s = ctx.ema(self.fast), ctx.ema(self.slow)

    def on_bar(self, ctx: Any, bar: Any) -> None:
        if self.s.ready:
            ctx.target(bar.instrument, 1 if self.f.value > self.s.value else 0)


class Watch(Strategy):
    """Looks at one instrument of each slice."""

    def on_start(self, ctx: Any) -> None:
        self.name, self.total = ctx.instruments[0], 0.0

    def on_slice(self, _: Any, now: Any) -> None:
        bar = now.get(self.name)
        if bar is not None:
            self.total += bar.close


def config(data: Data) -> RunConfig:
    return RunConfig("bench", tuple(map(str, data.pins)), size=1.0)


class Floor:
    """The same cross in plain Python: a call per bar, two averages, fills, equity; no engine."""

    def __init__(self, opens: list[float], closes: list[float]) -> None:
        self.opens, self.closes = opens, closes
        self.fast = self.slow = self.position = self.wanted = 0.0
        self.cash, self.fills, self.seen = 100_000.0, 0, 0

    def on_bar(self, close: float) -> None:
        if not self.seen:
            self.fast = self.slow = close
        self.fast += 2.0 / 13.0 * (close - self.fast)
        self.slow += 2.0 / 27.0 * (close - self.slow)
        self.seen += 1
        if self.seen >= 26:
            self.wanted = 1.0 if self.fast > self.slow else 0.0

    def run(self) -> list[float]:
        equity = []
        for opened, close in zip(self.opens, self.closes, strict=True):
            if self.wanted != self.position:
                self.cash -= (self.wanted - self.position) * opened
                self.position = self.wanted
                self.fills += 1
            self.on_bar(close)
            equity.append(self.cash + self.position * close)
        return equity


def events(quick: bool) -> list[Row]:
    """One instrument with a callback per bar, and the floor beneath it."""
    data = Data(1, 10 if quick else YEAR)
    bars = minutes("XNYS:S0/1m", 10 if quick else YEAR, 0)
    chosen = config(data)
    tries = 2 if quick else 9
    took = best_s(Cross, lambda s: run_backtest(s, chosen, data.store, Code({})), tries)
    lists = bars.open.tolist(), bars.close.tolist()
    bare = best_s(lambda: Floor(*lists), Floor.run, tries)
    loop, run = Floor(*lists), run_backtest(Cross(), chosen, data.store, Code({}))
    assert (loop.run()[-1], loop.fills) == (run.equity_end, len(run.fills))
    slower = Cross(fast=50, slow=200)
    calm = best_s(lambda: slower, lambda s: run_backtest(s, chosen, data.store, Code({})), tries)
    rare = len(run_backtest(slower, chosen, data.store, Code({})).fills) / data.bars
    often = f"event strategy, EMA 12/26, a fill on {len(run.fills) / data.bars:.1%} of the bars"
    found = [
        (f"{often}, equity, sealed", data.bars / took / 1e6, "≥ 1 M"),
        (f"the same with EMA 50/200, a fill on {rare:.1%}", data.bars / calm / 1e6, "≥ 1 M"),
        ("bare Python loop, EMA 12/26", data.bars / bare / 1e6, ""),
    ]
    times = Row(GROUP, "event strategy ÷ bare loop", took / bare, "× its time", "", COMMAND)
    return [*(Row(GROUP, w, figure, "M bars/s", t, COMMAND) for w, figure, t in found), times]


def slices(quick: bool) -> list[Row]:
    """Ten instruments merged, a callback per moment."""
    data = Data(10, 5 if quick else YEAR)
    chosen = config(data)
    took = best_s(Watch, lambda s: run_backtest(s, chosen, data.store, Code({})), 1 if quick else 5)
    rate = data.bars / took / 1e6
    return [Row(GROUP, "10 instruments by slices, sealed", rate, "M bars/s", "≥ 3 M", COMMAND)]


def sweeps(quick: bool) -> list[Row]:
    """A hundred pairs in the kernel, on one core, with drawdown and Sharpe."""
    data = Data(1, 10 if quick else YEAR)
    strategy = load_strategy("ema-cross", {}).strategy
    cls = type(strategy)
    pairs = [cls(**p) for p in combinations(strategy, GRID)]
    columns = KernelColumns.of(config(data), data.store)

    def run(_: None) -> list[Any]:
        return [columns.run(pair) for pair in pairs]  # type: ignore[arg-type]

    took = best_s(lambda: None, run, 2 if quick else 9)
    rate = data.bars * len(pairs) / took / 1e6
    what = f"sweep kernel, {len(pairs)} pairs, drawdown and Sharpe"
    return [Row(GROUP, what, rate, "M bars/s", "≥ 100 M", COMMAND)]


def peers(quick: bool) -> list[Row]:
    """backtesting.py over the same bars."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own deprecations
        import backtesting
        import pandas as pd

        bars = minutes("XNYS:S0/1m", 2 if quick else YEAR, 0)
        names = ("open", "high", "low", "close", "volume")
        frame = pd.DataFrame(
            {n.capitalize(): getattr(bars, n) for n in names}, index=pd.to_datetime(bars.start_ns)
        )

        class Peer(backtesting.Strategy):  # type: ignore[misc]  # it has no types
            def init(self) -> None:
                close = pd.Series(self.data.Close)
                self.f, self.s = (
                    self.I(lambda n=n: close.ewm(span=n, adjust=False).mean().to_numpy())
                    for n in (12, 26)
                )

            def next(self) -> None:
                if len(self.data) < 26:
                    return
                if self.f[-1] > self.s[-1]:
                    if not self.position and not self.orders:
                        self.buy(size=1)
                elif self.position:
                    self.position.close()

        test = backtesting.Backtest(frame, Peer, cash=100_000, finalize_trades=False)
        took = best_s(lambda: None, lambda _: test.run(), 1)
    rate = len(bars) / took / 1e6
    what = f"backtesting.py {backtesting.__version__}, the same cross"
    return [Row(GROUP, what, rate, "M bars/s", "", COMMAND)]


def commands(quick: bool) -> list[Row]:
    """`openbell backtest` from a new process, its report written, kernels cached."""
    bars: Bars = minutes("XNYS:S0/1m", 10 if quick else YEAR, 0)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        lake = Lake(home / "lake", time.time_ns)
        lake.create()
        lake.write(bars, Manifest("benchmark"))
        words = [
            str(Path(sys.executable).with_name("openbell")), "backtest", "ema-cross",
            "--on", "XNYS:S0/1m", "--size", "1",
        ]  # fmt: skip
        # As Python is unless told otherwise: compiled modules are kept.
        usual = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        took = []
        for _ in range(1 if quick else 4):
            before = time.perf_counter()
            done = subprocess.run(
                words, cwd=home, env=usual, capture_output=True, text=True, check=False
            )
            took.append(time.perf_counter() - before)
            if done.returncode:
                raise SystemExit(done.stderr)
    what = f"`openbell backtest`, a new process, {len(bars) // SESSION} sessions, report written"
    return [Row(GROUP, what, min(took), "s", "≤ 3", COMMAND)]


def rows(quick: bool) -> list[Row]:
    """All figures."""
    parts = (events, slices, sweeps, peers, commands)
    return [row for part in parts for row in part(quick)]
