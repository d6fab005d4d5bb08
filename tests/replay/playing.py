"""How these tests play: a store of some data, a system over it, and what its tape recorded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from openbell.market.bars import Bars, bars_from
from openbell.market.columns import Floats, Ints
from openbell.market.instrument import Pin, Series
from openbell.market.moments import MINUTE_NS, parse_moment
from openbell.market.ticks import Quotes, Trades
from openbell.ports import Data, Manifest
from openbell.replay import kernels
from openbell.replay.system import ReplayPlan, System
from openbell.stores.memory import MemoryStore

KINDS = ("open", "bar", "derived", "revision", "quote", "trade", "close", "aside")


@dataclass(frozen=True, slots=True)
class Stored:
    """A store and the pins of what was written into it, in order."""

    store: MemoryStore
    pins: tuple[Pin, ...]

    def system(self, start: str, end: str, **plan: Any) -> System:
        """A system over all pins, from one moment to before the other."""
        pins = plan.pop("pins", self.pins)
        settings, pace = plan.pop("settings", {}), plan.pop("pace", None)
        spanned = ReplayPlan(pins, parse_moment(start), parse_moment(end), **plan)
        return System(self.store, spanned, settings, pace=pace)


def stored(*data: Data) -> Stored:
    store = MemoryStore(lambda: 0)
    return Stored(store, tuple(store.write(each, Manifest("test")).pin for each in data))


class Record(NamedTuple):
    """One record of the tape: what became known, and of which session it is."""

    known_ns: int
    kind: str
    instrument: int
    frame: int
    session: int
    key_ns: int


def records(system: System) -> list[Record]:
    """Everything a replay puts on its tape, in order."""
    return [_decoded(words) for block in blocks(system) for words in block.tolist()]


def blocks(system: System) -> Iterator[Ints]:
    """The canonical records of each chunk, played one after the other: (records, 8 words)."""
    chunk = None
    with system:
        for _ in system.steps():
            if system.coordinator.chunk is not chunk:
                chunk = system.coordinator.chunk
                yield np.frombuffer(chunk.records, np.int64).reshape(-1, 8).copy()


def _decoded(words: Sequence[int]) -> Record:
    meta, known, key = words[:3]
    kind, frame, instrument = meta >> 56, meta >> 48 & 0xFF, meta >> 32 & 0xFFFF
    return Record(known, KINDS[kind], instrument, frame, meta & 0xFFFF_FFFF, key)


def play(system: System) -> System:
    """Play a system to its end."""
    for _ in system:
        pass
    return system


def rows_of(system: System, kind: int = kernels.BAR) -> list[Any]:
    """The rows of every track of a kind, joined over all chunks, by track."""
    found: dict[int, list[Any]] = {}
    chunk = None
    with system:
        for _ in system.steps():
            if system.coordinator.chunk is not chunk:
                chunk = system.coordinator.chunk
                for k, track in enumerate(system.tracks):
                    if track.kind == kind:
                        found.setdefault(k, []).append(chunk.rows[k])
    return [
        (
            type(parts[0].data).joined([p.data for p in parts]),
            np.concatenate([p.known_ns for p in parts]),
            np.concatenate([p.present for p in parts]) if parts[0].present is not None else None,
        )
        for _, parts in sorted(found.items())
    ]


def at(text: str) -> int:
    """The nanoseconds of a moment."""
    return parse_moment(text)


def ticking(starts: Ints, base: float = 100.0) -> list[Any]:
    """Prices and volumes that differ from row to row, each an exact function of its start."""
    step = (starts // MINUTE_NS % 997).astype(np.float64)
    close = base + step / 100.0
    return [close - 0.02, close + 0.05, close - 0.07, close, 1.0 + step]


def minutes(series: str, *starts: Any, width_ns: int = MINUTE_NS, base: float = 100.0) -> Bars:
    """Bars that start at the given moments."""
    start = np.array([at(s) if isinstance(s, str) else s for s in starts], np.int64)
    return bars_from(series, start, start + width_ns, ticking(start, base))


def every_minute(series: str, start: str, end: str, base: float = 100.0) -> Bars:
    """A bar for every minute from one moment to before the other."""
    return minutes(series, *range(at(start), at(end), MINUTE_NS), base=base)


def trades(series: str, *times: str) -> Trades:
    time = np.array([at(t) for t in times], np.int64)
    size = np.arange(1.0, len(time) + 1)
    none = np.zeros(len(time), np.int64)
    return Trades(Series.parse(series), time, 100.0 + size, size, none, none)


def quotes(series: str, *times: str) -> Quotes:
    time = np.array([at(t) for t in times], np.int64)
    bid: Floats = 100.0 + np.arange(len(time), dtype=np.float64)
    one = np.ones(len(time))
    return Quotes(
        Series.parse(series), time, bid, bid + 0.01, one, one, np.zeros(len(time), np.int64)
    )


def labelled(bars: Bars, row: int, label: int) -> Bars:
    """The same bars with a label on one of them."""
    labels = bars.label.copy()
    labels[row] = label
    return Bars(bars.series, **(bars.columns() | {"label": labels}))
