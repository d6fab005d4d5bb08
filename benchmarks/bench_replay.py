"""The session engine, timed: preparing sessions, releasing slices, memory; on CPU time.

Each figure is the best of some tries. Sessions are those of XNYS from 2019-01-02 on, prices a
seeded random walk. "Whole preparation" is everything prefetch does with rows that are at hand in
memory: hours, corrupt rows, merging, positions, canonical records.
"""

import gc
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import Row
from openbell.market.bars import Bars, bars_from
from openbell.market.calendars import calendar
from openbell.market.instrument import Series
from openbell.market.moments import END_OF_TIME_NS, MINUTE_NS, START_OF_TIME_NS, parse_moment
from openbell.market.timeframe import timeframe
from openbell.ports import Manifest
from openbell.replay.chunk import Chunk, Track, merge
from openbell.replay.feed import DerivedFeed, Feed
from openbell.replay.kernels import BAR, DERIVED
from openbell.replay.system import ReplayPlan, System
from openbell.stores.lake import Lake
from openbell.stores.memory import MemoryStore

GROUP = "Replay"
COMMAND = "python -m benchmarks.run replay"
FIRST = "2019-01-02"
SESSION = 390  # minutes


def minutes(name: str, sessions: int, seed: int) -> Bars:
    """Regular minutes of so many whole sessions."""
    table = calendar("XNYS").table
    first = int(np.searchsorted(table.open_ns, parse_moment(FIRST)))
    opens = table.open_ns[first : first + 2 * sessions]
    opens = opens[~table.is_early[first : first + 2 * sessions]][:sessions]
    start = (opens[:, None] + np.arange(SESSION) * MINUTE_NS).ravel()
    chance = np.random.default_rng(seed)
    price = np.round(100.0 + np.cumsum(chance.normal(0.0, 0.02, len(start))), 2)
    volume = chance.integers(1, 1000, len(start)).astype(np.float64)
    columns = [price, price + 0.03, price - 0.02, price + 0.01, volume]
    return bars_from(name, start, start + MINUTE_NS, columns)


class Data:
    """A store of some instruments, and systems over it; each may lack one minute a session."""

    def __init__(self, instruments: int, sessions: int, *, lacking: bool = False) -> None:
        self.store = MemoryStore(lambda: 0)
        data = [minutes(f"XNYS:S{k}/1m", sessions, k) for k in range(instruments)]
        if lacking:
            data = [d.take(np.arange(len(d)) % SESSION != k) for k, d in enumerate(data)]
        self.bars = sum(map(len, data))
        self.pins = tuple(self.store.write(d, Manifest("benchmark")).pin for d in data)
        self.end_ns = int(data[0].end_ns[-1])

    def system(self, **plan: Any) -> System:
        spanned = ReplayPlan(self.pins, parse_moment(FIRST), self.end_ns, **plan)
        return System(self.store, spanned, {})


def best_s(make: Callable[[], Any], act: Callable[[Any], Any], times: int) -> float:
    """The least CPU time of `act` on what `make` gives; the making is not counted."""
    act(make())
    took = []
    for _ in range(times):
        subject = make()
        gc.collect()
        before = time.process_time()
        act(subject)
        took.append(time.process_time() - before)
    return min(took)


def repeated_s(act: Callable[[], Any], times: int, tries: int = 5) -> float:
    """The least CPU time of one call among many, none of whose results is kept."""

    def repeat(_nothing: None) -> None:
        for _ in range(times):
            act()

    return best_s(lambda: None, repeat, tries) / times


def chunks_of(system: System) -> list[Chunk]:
    """Every chunk, as prefetch makes it, its records laid out, on this thread; gives the last."""
    last: list[Chunk] = []
    for chunk in system._supply.chunks():
        assert chunk.records
        assert len(chunk.counts)
        last = [chunk]
    return last


def floor(bars: Bars) -> float:
    """Bars per second of the barest loop over lists that does something with each bar."""
    columns = [c.tolist() for c in (bars.start_ns, bars.close, bars.volume)]

    def loop(_: None) -> float:
        total = 0.0
        for _start, close, volume in zip(*columns, strict=True):
            total += close * volume
        return total

    return len(bars) / best_s(lambda: None, loop, 5)


def merging(quick: bool) -> list[Row]:
    """The order of rule 4, for the rows of 100 streams."""
    grid = parse_moment(FIRST) + np.arange(SESSION * 4) * MINUTE_NS
    known = np.tile(grid, 100)
    zeros = np.zeros(len(known), np.int32)
    took = best_s(lambda: None, lambda _: merge(known, zeros), 3 if quick else 9)
    what = "merge alone, 100 streams (requirement: 10,000 bars/s)"
    return [Row(GROUP, what, len(known) / took / 1e6, "M bars/s", "≥ 50 M", COMMAND)]


def preparing(quick: bool) -> list[Row]:
    """Whole preparation, with and without derived bars."""
    found = []
    for instruments, target, derived in (
        (10, "≥ 25 M", ()),
        (100, "≥ 25 M", ()),
        (10, "", ("5m", "15m")),
    ):
        # Long enough that memory is used again, as in a run: a new page costs more than its bars.
        data = Data(instruments, 4 if quick else 2_000 // instruments)
        make = partial(data.system, derived=derived)
        took = best_s(make, chunks_of, 2 if quick else 15)
        wide = " with 5m and 15m" if derived else ""
        what = f"whole preparation, {instruments} instruments{wide} (requirement: 10,000 bars/s)"
        found.append(Row(GROUP, what, data.bars / took / 1e6, "M bars/s", target, COMMAND))
    return found


def take_slices(system: System) -> None:
    for _ in system:
        pass


def take_closes(system: System) -> float:
    total = 0.0
    for moment in system:
        for close in moment.closes:
            total += close
    return total


def take_bars(system: System) -> float:
    total = 0.0
    names = system.names
    for moment in system:
        for name in names:
            total += moment[name].close
    return total


def playing(quick: bool) -> list[Row]:
    """The whole engine, sealed: reading, preparing, releasing, hashing, both threads' CPU time."""
    data = Data(10, 4 if quick else 100)
    bare = floor(minutes("XNYS:S0/1m", 4 if quick else 250, 0)) / 1e6
    found = [Row(GROUP, "floor: a bare loop over lists", bare, "M bars/s", "", COMMAND)]
    for what, act, target in (
        ("takes slices", take_slices, "≥ 3 M"),
        ("reads all closes", take_closes, "≥ 3 M"),
        ("reads every bar", take_bars, ""),
    ):
        took = best_s(data.system, act, 2 if quick else 7)
        figure = data.bars / took / 1e6
        line = (
            f"full engine, sealed, 10 instruments, consumer {what} "
            f"({figure / bare:.2f} of the floor; requirement: 10,000 bars/s)"
        )
        found.append(Row(GROUP, line, figure, "M bars/s", target, COMMAND))
    return [*found, waiting(data)]


def waiting(data: Data) -> Row:
    """How long a consumer that reads every bar waits for sessions to be prepared."""
    system = data.system()
    began = time.perf_counter()
    take_bars(system)
    share = 100.0 * system.prefetch_wait_s / (time.perf_counter() - began)
    return Row(GROUP, "waiting for prefetch, share of that replay", share, "%", "", COMMAND)


def upkeep(quick: bool) -> list[Row]:
    """What upkeep does for one instrument's session."""
    data = Data(1, 1)
    system = data.system()
    for moment in system:
        if moment.time_ns == data.end_ns - 10 * MINUTE_NS:
            break
    own = system.session_data[0]["XNYS:S0"]
    times = 200 if quick else 5_000
    measured = repeated_s(lambda: own.completeness, times)
    until_ns, agenda = data.end_ns, system.agenda
    read = lambda _start, _end: minutes("XNYS:S0/1m", 1, 0)  # noqa: E731
    base = Feed(Track(BAR, 0, 0), data.pins[0].series, 0, read, (START_OF_TIME_NS, END_OF_TIME_NS))
    rows = base.take(until_ns, agenda)
    wide = [
        DerivedFeed(Track(DERIVED, 0, k), base, timeframe(code), "session", system.calendars[0])
        for k, code in enumerate(("5m", "15m"), 1)
    ]
    built = repeated_s(lambda: [w.build(rows, until_ns, agenda) for w in wide], times // 10)
    return [
        Row(GROUP, "completeness of one instrument's session (requirement: 1 ms)",
            measured * 1e6, "µs", "≤ 10", COMMAND),
        Row(GROUP, "derived 5m and 15m of one instrument's session (requirement: 5 ms)",
            built * 1e6, "µs", "≤ 50", COMMAND),
    ]  # fmt: skip


def filling(quick: bool) -> list[Row]:
    """What a gap costs: the same replay from the lake, with gaps filled and left as they are."""
    found = []
    for sessions, gaps, what in ((1, 1, "a single gap"), (4 if quick else 20, 400, "of many")):
        whole = minutes("XNYS:S0/1m", sessions, 0)
        kept = np.ones(len(whole), np.bool_)
        kept[np.random.default_rng(0).choice(len(whole) - 5, gaps, replace=False)] = False
        with tempfile.TemporaryDirectory() as folder:
            lake = Lake(Path(folder) / "lake", time.time_ns)
            other = whole.renamed(Series.parse("ARCX:S0/1m"))
            pins = [lake.write(d, Manifest("benchmark")).pin for d in (whole.take(kept), other)]
            end_ns = int(whole.end_ns[-1])
            plan = ReplayPlan((pins[0],), parse_moment(FIRST), end_ns, derived=("5m",))
            took = [
                best_s(partial(System, lake, each, {}), chunks_of, 3 if quick else 9)
                for each in (replace(plan, fill=(pins[1],)), plan)
            ]
        line = f"gap fill from the lake, per gap, {what} (requirement: 100 ms)"
        found.append(Row(GROUP, line, (took[0] - took[1]) / gaps * 1e3, "ms", "≤ 10", COMMAND))
    return found


def memory(quick: bool) -> list[Row]:
    """What is held: by 10,000 bars that wait in the queue, and by a long replay."""
    alike, apart = (queued_mb(Data(10, 4, lacking=lacking)) for lacking in (False, True))
    few, many = (peak_mb(Data(100, n)) for n in ((2, 4) if quick else (10, 40)))
    return [
        Row(GROUP, "10,000 queued bars, 10 instruments (requirement: 1 MB)", alike, "MB",
            "≤ 0.6", COMMAND),
        Row(GROUP, "the same, each with minutes of its own; 0.6 MB are the columns stored",
            apart, "MB", "", COMMAND),
        Row(GROUP, "memory of a replay of 100 instruments, 10 sessions", few, "MB", "", COMMAND),
        Row(GROUP, "the same, 40 sessions: independent of their number", many, "MB",
            f"≤ {few + 1.0:.1f}", COMMAND),
    ]  # fmt: skip


def queued_mb(data: Data) -> float:
    """What 10,000 bars take in a chunk that waits."""
    (chunk,) = data.system(sessions_per_chunk=4)._supply.chunks()
    return chunk_bytes(chunk) / data.bars * 10_000 / 1e6


def chunk_bytes(chunk: Chunk) -> int:
    """Bytes of all columns of a chunk as it waits; records and lists are made when it is loaded."""
    columns = [c for rows in chunk.rows for c in rows.data.columns().values()]
    columns += [c for rows in chunk.rows for c in (rows.known_ns, rows.session)]
    columns += [chunk.place, chunk.starts, chunk.known_ns]
    return sum({c.__array_interface__["data"][0]: c.nbytes for c in columns}.values())


def peak_mb(data: Data) -> float:
    """Most memory held at once by a replay, the stored rows not counted."""
    system = data.system(sessions_per_chunk=1)
    gc.collect()
    tracemalloc.start()
    take_slices(system)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 1e6


def rows(quick: bool) -> list[Row]:
    found: list[Row] = []
    for part in (merging, preparing, playing, upkeep, filling, memory):
        found += part(quick)
    return found
