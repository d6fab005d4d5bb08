"""Runs made by hand, for tests of what a run came to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from openbell.backtest.config import RunConfig
from openbell.backtest.orders import NAN, Fill, Order
from openbell.backtest.result import EquityCurve, RunResult, SessionLine
from openbell.market.moments import DAY_NS, parse_moment
from openbell.market.session_table import day_label

FIRST_NS = parse_moment("2011-03-01T21:00Z")
SPY = "XNYS:SPY"


def fill(
    order: int,
    size: float,
    price: float,
    *,
    fee: float = 0.0,
    slippage: float = 0.0,
    instrument: str = SPY,
    time_ns: int | None = None,
) -> Fill:
    """A fill; the order's number gives its moment unless one is given."""
    at_ns = FIRST_NS + order if time_ns is None else time_ns
    return Fill(order, at_ns, "2011-03-01", instrument, size, price, fee, slippage, NAN)


def order(number: int, size: float) -> Order:
    """A market order."""
    return Order(number, FIRST_NS + number, SPY, size, "market", NAN, NAN, NAN, "")


def run(
    equity: Sequence[float],
    *,
    closes: Sequence[int] | None = None,
    cash: float = 100.0,
    benchmark: Sequence[float] | None = None,
    fills: Sequence[Fill] = (),
    multipliers: Mapping[str, float] | None = None,
    **changes: Any,
) -> RunResult:
    """A run with this equity: one row a session, a day apart, unless `closes` says otherwise."""
    rows = np.asarray(equity, np.float64)
    ends = np.arange(len(rows)) if closes is None else np.asarray(closes, np.int64)
    time_ns = FIRST_NS + DAY_NS * np.arange(len(rows), dtype=np.int64)
    labels = [day_label(int(time_ns[row] // DAY_NS)) for row in ends]
    given: dict[str, Any] = {
        "id": "7f3a", "config": RunConfig("ema-cross", (f"{SPY}/1m",), cash=cash),
        "status": "done", "error": "", "pins": (f"{SPY}/1m@1",), "checksums": ("c0ffee",),
        "start_ns": FIRST_NS, "end_ns": FIRST_NS + DAY_NS * len(rows),
        "sessions": [SessionLine(label, f"{i:064x}", 1.0) for i, label in enumerate(labels, 1)],
        "bars": len(rows), "withheld": {}, "completeness": 1.0,
        "equity": EquityCurve(time_ns, rows, rows, ends),
        "benchmark": rows if benchmark is None else np.asarray(benchmark, np.float64),
        "orders": [order(f.order, f.size) for f in fills], "fills": fills, "outcomes": [],
        "entries": [], "log": [], "code_hash": "abad1dea", "code_files": {"cross.py": "abad1dea"},
        "calendars": {"XNYS": "5.5.0+1"}, "sessions_per_year": 252.0,
        "multipliers": multipliers or {SPY: 1.0}, "exposure": 0.5, "version": "0.1.0",
    }  # fmt: skip
    return RunResult(**{**given, **changes})


def with_openings(result: RunResult) -> RunResult:
    """The same run with a row for each session's opening, as the engine gives it."""
    curve = result.equity
    begins = np.concatenate(([0], curve.closes[:-1] + 1))
    before = np.concatenate(([result.cash_start], curve.equity))[begins]
    equity = np.insert(curve.equity, begins, before)
    time_ns = np.insert(curve.time_ns, begins, curve.time_ns[begins] - 1)
    closes = curve.closes + 1 + np.arange(len(curve.closes))
    benchmark = np.insert(result.benchmark, begins, result.benchmark[begins])
    return replace(result, equity=EquityCurve(time_ns, equity, equity, closes), benchmark=benchmark)
