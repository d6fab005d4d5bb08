"""Lock-step with a Node strategy over a private Redis: round trips, whole runs, catching up.

The strategy sums twenty closes and says something every fiftieth bar: what is measured is the way
there and back, not thinking.
"""

import os
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.bench_bridge import spy_bars
from benchmarks.row import Row
from openbell.backtest.catalog import from_instance
from openbell.backtest.config import RunConfig
from openbell.backtest.run import run_backtest
from openbell.bridge.link import Link, Setup
from openbell.bridge.redis_server import RedisServer
from openbell.bridge.remote import remote_strategy
from openbell.market.bars import Bars, bars_from
from openbell.market.moments import MINUTE_NS, parse_moment
from openbell.ports import Manifest
from openbell.stores.memory import MemoryStore

FIRST = parse_moment("2019-01-02")
GROUP = "Bridge"
COMMAND = "python -m benchmarks.run lockstep"
EMA = Path(__file__).parents[1] / "examples" / "node" / "ema-strategy.js"

STRATEGY = """
module.exports = class {
  constructor() { this.closes = []; this.count = 0; }
  processMarketData(price) {
    this.closes.push(price);
    if (this.closes.length > 20) this.closes.shift();
    const mean = this.closes.reduce((a, b) => a + b) / this.closes.length;
    this.count += 1;
    const action = price > mean ? "BUY" : "SELL";
    return { ready: true, signal: this.count % 50 ? null : { action, quantity: 1 } };
  }
};
"""


def rows(quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, RedisServer() as server:
        file = Path(folder) / "summing.js"
        file.write_text(STRATEGY)
        return [
            *round_trips(file, server.url, 500 if quick else 20_000),
            whole_run(file, server.url, 2 if quick else 50),
            one_seal(server.url, 2 if quick else 20),
        ]


def round_trips(file: Path, url: str, count: int) -> list[Row]:
    """From a bar as Python values to the strategy's answer as such, one by one."""
    now_ns = [FIRST]
    link = Link(file, {}, Setup(redis_url=url), lambda: now_ns[0], symbol="SPY")
    took = np.empty(count)
    with closing(link):
        link.open()
        began = time.perf_counter()
        for at in range(count):
            sent = time.perf_counter()
            now_ns[0] += MINUTE_NS
            link.send(
                "slice", {"symbol": "SPY", "timestamp": now_ns[0] // 10**6, "price": 1.0 + at}
            )
            link.ask()
            took[at] = time.perf_counter() - sent
        whole_s = time.perf_counter() - began
        os.kill(link.pid, 9)
        began = time.perf_counter()
        link.send("slice", {"symbol": "SPY", "timestamp": now_ns[0] // 10**6, "price": 1.0})
        link.ask()
        back_s = time.perf_counter() - began
    p50, p99 = (float(np.quantile(took, q)) * 1e3 for q in (0.5, 0.99))
    what = f"lock-step with Node, {count:,} slices"
    return [
        Row(GROUP, f"{what}: round trip p50", p50, "ms", "≤ 0.3", COMMAND),
        Row(GROUP, f"{what}: round trip p99", p99, "ms", "", COMMAND),
        Row(GROUP, f"{what}: slices", count / whole_s, "slices/s", "≥ 3,000", COMMAND),
        Row(GROUP, f"runner killed after {count:,} slices: back at work", back_s, "s", "", COMMAND),
    ]


def whole_run(file: Path, url: str, sessions: int) -> Row:
    """A backtest with its start, from the store to the seal."""
    data = minutes(sessions)
    store = MemoryStore(lambda: 0)
    store.write(data, Manifest("benchmark"))
    strategy = remote_strategy(file, setup=Setup(redis_url=url))()
    config = RunConfig("benchmark", (str(data.series),))
    began = time.perf_counter()
    result = run_backtest(strategy, config, store, from_instance(strategy).code)
    took_s = time.perf_counter() - began
    assert result.status == "done", result.error
    what = f"lock-step backtest of {result.bars:,} bars, from start to seal"
    return Row(GROUP, what, result.bars / took_s, "bars/s", "", COMMAND)


def one_seal(url: str, runs: int) -> Row:
    """How many seals the EMA example gives over SPY of March 2011; half the runners are killed."""
    store = MemoryStore(lambda: 0)
    store.write(spy_bars(), Manifest("benchmark"))
    parameters: dict[str, Any] = {"entry": "cross", "minEMASpread": 0.02}
    seals = set()
    for at in range(runs):
        strategy = remote_strategy(EMA, setup=Setup(redis_url=url))(**parameters)
        config = RunConfig("benchmark", ("XNYS:SPY/1m",), parameters=parameters)
        with pytest.MonkeyPatch.context() as patch:
            if at % 2:
                patch.setattr(Link, "send", killing(500 + 400 * at))
            result = run_backtest(strategy, config, store, from_instance(strategy).code)
        assert result.status == "done", result.error
        assert sum("died 1 times" in w for w in result.warnings) == at % 2, result.warnings
        seals.add(result.seal)
    what = f"different seals of {runs} runs over SPY March 2011, {runs // 2} runners killed"
    return Row(GROUP, what, float(len(seals)), "seals", "1", COMMAND)


def killing(when: int) -> Any:
    """`Link.send`, that ends the runner by force after so many messages."""
    send, left = Link.send, [when]

    def sent(link: Link, kind: Any, data: object) -> None:
        send(link, kind, data)
        left[0] -= 1
        if left[0] == 0:
            os.kill(link.pid, 9)

    return sent


def minutes(sessions: int) -> Bars:
    """Minutes around the clock, one session a day."""
    count = sessions * 1440
    start = FIRST + np.arange(count, dtype=np.int64) * MINUTE_NS
    close = 100.0 + np.cumsum(np.random.default_rng(1).normal(0, 0.01, count)).round(2)
    volume = np.full(count, 1000.0)
    return bars_from("MADE:COIN/1m", start, start + MINUTE_NS, [close] * 4 + [volume])
