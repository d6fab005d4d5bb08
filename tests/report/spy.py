"""A crossover over the SPY minutes of March 2011, traded by hand: real bars and a run."""

import gzip
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from openbell.backtest.config import RunConfig
from openbell.backtest.orders import NAN, Fill, Order
from openbell.backtest.result import EquityCurve, LogLine, RunResult, SessionLine
from openbell.market.bars import Bars, bars_from
from openbell.market.calendars import calendar
from openbell.market.columns import Floats, Ints
from openbell.market.moments import MINUTE_NS

SPY = "XNYS:SPY"
SAMPLE = Path(__file__).parents[1] / "samples" / "pyalgotrade" / "nt-spy-minute-2011-03.csv.gz"


@cache
def spy_bars() -> Bars:
    """Regular and extended hours: 17,577 bars; the file is UTC and stamps the close."""
    with gzip.open(SAMPLE, "rt") as file:
        rows = [line.split(";") for line in file]
    stamps = [f"{r[0][:4]}-{r[0][4:6]}-{r[0][6:8]}T{r[0][9:11]}:{r[0][11:13]}" for r in rows]
    ends = np.array(stamps, "M8[ns]").astype(np.int64)
    columns = np.array([[float(v) for v in r[1:6]] for r in rows]).T
    return bars_from(f"{SPY}/1m", ends - MINUTE_NS, ends, list(columns))


def sessions() -> list[Any]:
    """The sessions of March 2011 that the file covers."""
    days = [f"2011-03-{day:02}" for day in range(1, 32)]
    table = calendar("XNYS")
    return [table.session(day) for day in days if np.datetime64(day).astype(int) % 7 not in (2, 3)]


def spy_run(fast: int = 12, slow: int = 26, size: float = 100.0, **changes: Any) -> RunResult:
    """The crossover: long `size` while the fast average is above the slow one, at the next open."""
    bars, days = spy_bars(), sessions()
    parts = [bars.between(s.open_ns, s.close_ns) for s in days]
    seen = Bars.joined(parts)
    held = np.where(_ema(seen.close, fast) > _ema(seen.close, slow), size, 0.0)
    fills, orders, cash = _trade(seen, held)
    curve, benchmark = _curve(parts, days, seen, held, cash)
    given: dict[str, Any] = {
        "id": "7f3a", "config": RunConfig("ema-cross", (f"{SPY}/1m",),
                                          parameters={"fast": fast, "slow": slow}, size=size),
        "status": "done", "error": "", "pins": (f"{SPY}/1m@1",), "checksums": ("c0ffee" * 10,),
        "start_ns": days[0].open_ns, "end_ns": days[-1].close_ns,
        "sessions": [SessionLine(s.label, f"{i:064x}", 1.0) for i, s in enumerate(days, 0x5C1E)],
        "bars": len(seen), "withheld": {"off_hours": len(bars) - len(seen)}, "completeness": 1.0,
        "equity": curve, "benchmark": benchmark, "orders": orders, "fills": fills, "outcomes": [],
        "entries": [], "log": [LogLine(int(seen.end_ns[30]), "first cross")],
        "code_hash": "abad1dea" * 8, "code_files": {"openbell/ema_cross.py": "abad1dea" * 8},
        "calendars": {"XNYS": "5.5.0+1"}, "sessions_per_year": 252.0, "multipliers": {SPY: 1.0},
        "exposure": float((held > 0).mean()), "version": "0.1.0", "elapsed_s": 0.42,
    }  # fmt: skip
    return RunResult(**{**given, **changes})


def _ema(values: Floats, length: int) -> Floats:
    found, alpha = values.copy(), 2 / (length + 1)
    for i in range(1, len(values)):
        found[i] = found[i - 1] + alpha * (values[i] - found[i - 1])
    return found


def _trade(seen: Bars, held: Floats) -> tuple[list[Fill], list[Order], Floats]:
    """Fills at the next open where the holding changes; cash after every bar."""
    fills: list[Fill] = []
    orders: list[Order] = []
    money = 100_000.0
    cash = np.full(len(seen), money)
    labels = seen.start_ns.astype("M8[ns]").astype("M8[D]").astype(str)
    for at in np.flatnonzero(np.diff(held)) + 1:
        if at + 1 >= len(seen):
            break
        change, number = float(held[at] - held[at - 1]), len(orders) + 1
        money -= change * seen.open[at + 1]
        cash[at + 1 :] = money
        orders.append(Order(number, int(seen.end_ns[at]), SPY, change, "market", NAN, NAN, NAN, ""))
        fills.append(Fill(number, int(seen.start_ns[at + 1]), str(labels[at + 1]), SPY, change,
                          float(seen.open[at + 1]), 0.0, 0.0, money))  # fmt: skip
    return fills, orders, cash


def _curve(
    parts: list[Bars], days: list[Any], seen: Bars, held: Floats, cash: Floats
) -> tuple[EquityCurve, Floats]:
    """As the engine gives it: one row for the opening roll, one a bar, one for the closing roll."""
    position = np.concatenate(([0.0], held[:-1]))
    ends = np.cumsum([len(p) for p in parts])
    row: list[Ints] = []
    times: list[Ints] = []
    for part, day, end in zip(parts, days, ends, strict=True):
        inside = np.arange(end - len(part), end)
        row.append(np.concatenate(([max(inside[0] - 1, 0)], inside, [inside[-1]])))
        times.append(np.concatenate(([day.open_ns], part.end_ns, [day.close_ns])))
    rows = np.concatenate(row)
    equity = cash + position * seen.close
    closes = ends + 2 * np.arange(1, len(parts) + 1) - 1
    curve = EquityCurve(np.concatenate(times), cash[rows], equity[rows], closes)
    return curve, 100_000.0 * seen.close[rows] / seen.close[0]
