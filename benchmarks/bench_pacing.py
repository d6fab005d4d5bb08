"""Pacing by real time, and memory over a thousand sessions.

The first plays seeded quotes, forty a minute at uneven moments, at 1x for more than three minutes
and looks at the clock as each slice is handed out. The second plays a hundred instruments through
a thousand sessions of a fresh process, and compares what the process holds early and late: the
median over the sessions of the second tenth and of the last. Before each look the allocator gives
back what it keeps for later, some 35 MB that come and go.
"""

import ctypes
import gc
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.bench_replay import FIRST, SESSION
from benchmarks.row import Row
from openbell.market.bars import Bars, bars_from
from openbell.market.calendars import calendar
from openbell.market.columns import Ints
from openbell.market.instrument import Pin, Series
from openbell.market.moments import MINUTE_NS, SECOND_NS, parse_moment
from openbell.market.ticks import Quotes
from openbell.ports import Manifest
from openbell.replay.pacing import Pace
from openbell.replay.plan import ReplayPlan
from openbell.replay.system import System
from openbell.stores.memory import MemoryStore

GROUP = "Pacing"
COMMAND = "python -m benchmarks.run pacing"
OPEN = "2019-01-02T14:30Z"
PAGE = 4096  # bytes, of /proc/self/statm


def rows(quick: bool) -> list[Row]:
    return [*pacing(10 if quick else 190), *memory(20 if quick else 1000)]


def pacing(seconds: int) -> list[Row]:
    late_ms = np.array(lateness(seconds)) / 1e6
    what = f"1x over {seconds} s, {len(late_ms)} slices: lateness"
    return [
        Row(GROUP, f"{what}, p50", float(np.quantile(late_ms, 0.5)), "ms", "", COMMAND),
        Row(GROUP, f"{what}, p99", float(np.quantile(late_ms, 0.99)), "ms", "≤ 20", COMMAND),
        Row(GROUP, f"{what}, most", float(late_ms.max()), "ms", "", COMMAND),
    ]


def lateness(seconds: int) -> list[int]:
    """By how much each slice came after it was due, in nanoseconds."""
    store, open_ns = MemoryStore(lambda: 0), parse_moment(OPEN)
    pin = store.write(quotes(open_ns, seconds), Manifest("benchmark")).pin
    pace = Pace(1.0, end_of_data_s=0.1)
    system = System(store, ReplayPlan((pin,), open_ns, open_ns + 10**13), {}, pace=pace)
    return [time.monotonic_ns() - pace.due_ns(one.time_ns) for one in system]


def quotes(open_ns: int, seconds: int) -> Quotes:
    chance = np.random.default_rng(1)
    count = seconds * 2 // 3
    time_ns = open_ns + np.sort(chance.integers(0, seconds * SECOND_NS, count))
    bid = 100.0 + chance.normal(0.0, 0.1, count)
    one = np.ones(count)
    series = Series.parse("XNYS:SPY/quotes")
    return Quotes(series, time_ns, bid, bid + 0.01, one, one, np.zeros(count, np.int64))


def memory(sessions: int) -> list[Row]:
    """A process of its own tells what it holds before, early and late in the sessions."""
    code = f"from benchmarks.bench_pacing import hold; hold({sessions})"
    root = Path(__file__).parents[1]
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    before, early, late, took = map(float, told.stdout.split())
    what = f"100 instruments, {sessions} sessions"
    return [
        Row(GROUP, f"{what}: held in the last tenth, more than in the second: of the whole",
            100.0 * (late - early) / late, "%", "≤ 1", COMMAND),
        Row(GROUP, f"{what}: the same", (late - early) / 1e6, "MB", "", COMMAND),
        Row(GROUP, f"{what}: the same for each session between; 1.2 KB are digests and measures",
            (late - early) / (0.8 * sessions) / 1e3, "KB", "", COMMAND),
        Row(GROUP, f"{what}: held in the last tenth, more than before the first",
            (late - before) / 1e6, "MB", "", COMMAND),
        Row(GROUP, f"{what}: held in the last tenth, by the whole process",
            late / 1e6, "MB", "", COMMAND),
        Row(GROUP, f"{what}: time", took, "s", "", COMMAND),
    ]  # fmt: skip


class Endless:
    """A store that makes each session's minutes when they are read: nothing is held."""

    def __init__(self, opens: Ints) -> None:
        self._opens = opens

    def read(self, pin: Pin, start_ns: int, end_ns: int) -> Bars:
        opens = self._opens[(self._opens >= start_ns - SESSION * MINUTE_NS)]
        start = (opens[opens < end_ns][:, None] + np.arange(SESSION) * MINUTE_NS).ravel()
        start = start[(start >= start_ns) & (start < end_ns)]
        price = 100.0 + (start // MINUTE_NS % 97) * 0.01
        columns = [price, price + 0.03, price - 0.02, price + 0.01, price]
        return bars_from(pin.series, start, start + MINUTE_NS, columns)


def hold(sessions: int) -> None:
    """Play, and print the bytes held before, early and late, and the seconds it took."""
    table = calendar("XNYS").table
    first = int(np.searchsorted(table.open_ns, parse_moment(FIRST)))
    opens = table.open_ns[first : first + sessions][~table.is_early[first : first + sessions]]
    pins = tuple(Pin(Series.parse(f"XNYS:S{k}/1m"), 1) for k in range(100))
    plan = ReplayPlan(
        pins, int(opens[0]), int(table.close_ns[first + sessions - 1]), derived=("5m",), trailing=5
    )
    store = Endless(opens)
    system = System(store, plan, {})  # type: ignore[arg-type]  # a replay only reads
    began, before, held, seen = time.perf_counter(), resident(), [], 0
    tenth = max(len(opens) // 10, 1)
    for one in system:
        if one.session.session is not None and one.session.session.label != seen:
            seen = one.session.session.label
            is_wanted = len(held) // tenth in {1, 9}
            held.append(resident() if is_wanted else 0)
    early, late = np.median(held[tenth : 2 * tenth]), np.median(held[9 * tenth : 10 * tenth])
    print(before, early, late, time.perf_counter() - began)


def resident() -> int:
    """Bytes the process holds, without what the allocator could give back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
