"""Arrivals: what a live source pushes, in order of arrival, and the record each becomes.

A record has 80 bytes, little-endian: a CRC-32 of the 76 bytes after it, the series (an ordinal
of the recording's header), what it is, its place among all arrivals of the recording counted
from 0, the venue's time, the time of receipt, the venue's own number, and five values.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from openbell.market.columns import Columns, Floats, Ints

# What arrives: data, …
TRADE, QUOTE, BAR, ASKED = range(1, 5)
# … and notes: about a series, …
CONNECTED, DISCONNECTED, SILENT, FAILED, REGISTERED, CANCELLED = range(16, 22)
# … about time, which is up to here, and about the end: nothing more comes.
PASSED, STOPPED = range(22, 24)
NAMES = {
    TRADE: "trade",
    QUOTE: "quote",
    BAR: "bar",
    ASKED: "bar asked for",
    CONNECTED: "connected",
    DISCONNECTED: "disconnected",
    SILENT: "silent",
    FAILED: "failed",
    REGISTERED: "registered",
    CANCELLED: "cancelled",
    PASSED: "passed",
    STOPPED: "stopped",
}

NO_SERIES = 0xFFFF  # of notes that are about none
NOTHING = (0.0, 0.0, 0.0, 0.0, 0.0)

_RECORD = np.dtype([
    ("crc", "<u4"), ("series", "<u2"), ("what", "u1"), ("none", "u1"), ("place", "<u8"),
    ("venue_ns", "<i8"), ("receipt_ns", "<i8"), ("sequence", "<i8"), ("values", "<f8", (5,)),
])  # fmt: skip
RECORD_BYTES = _RECORD.itemsize
_CRC_BYTES = 4


class Arrival(NamedTuple):
    """One thing that arrived.

    Attributes
    ----------
    series
        Ordinal of its series; `NO_SERIES` for a note that is about none.
    what
        A key of `NAMES`.
    venue_ns
        When the venue says it happened; the start of a bar; 0 for a note.
    receipt_ns
        When it was received. Does not decrease from one arrival to the next.
    sequence
        The venue's own number, increasing within a series; 0 if it has none.
    values
        Price, size and side of a trade; bid, ask, bid size and ask size of a quote; open, high,
        low, close and volume of a bar; zero for the rest.
    """

    series: int
    what: int
    venue_ns: int
    receipt_ns: int
    sequence: int = 0
    values: tuple[float, float, float, float, float] = NOTHING


def five(values: Sequence[float]) -> tuple[float, float, float, float, float]:
    """Values filled up with zeros to the five of an arrival."""
    a, b, c, d, e = (*map(float, values), *NOTHING)[:5]
    return a, b, c, d, e


def pack(arrivals: Sequence[Arrival], place: int) -> bytes:
    """The records of arrivals; the first stands at `place` in its recording."""
    records = np.zeros(len(arrivals), _RECORD)
    for at, (series, what, venue_ns, receipt_ns, sequence, values) in enumerate(arrivals):
        records[at] = (0, series, what, 0, place + at, venue_ns, receipt_ns, sequence, values)
    records["crc"] = list(map(_crc, _cut(records.tobytes())))
    return records.tobytes()


def unpack(data: bytes, place: int) -> list[Arrival]:
    """The arrivals of consecutive records, up to the first that is torn, damaged or misplaced.

    Parameters
    ----------
    place
        Where the first record stands in its recording.
    """
    whole = len(data) // RECORD_BYTES * RECORD_BYTES
    records = np.frombuffer(data[:whole], _RECORD)
    is_good = records["crc"] == np.array(list(map(_crc, _cut(data[:whole]))), np.uint32)
    is_good &= records["place"] == np.arange(place, place + len(records), dtype=np.uint64)
    good = int(np.argmin(is_good)) if not is_good.all() else len(records)
    names = ("series", "what", "venue_ns", "receipt_ns", "sequence")
    columns: list[list[Any]] = [records[name][:good].tolist() for name in names]
    values = map(tuple, records["values"][:good].tolist())
    return [Arrival(*parts) for parts in zip(*columns, values, strict=True)]


def _cut(data: bytes) -> Iterable[bytes]:
    return (data[at : at + RECORD_BYTES] for at in range(0, len(data), RECORD_BYTES))


def _crc(record: bytes) -> int:
    return zlib.crc32(record[_CRC_BYTES:])


@dataclass(frozen=True, slots=True, eq=False)
class Asides(Columns):
    """What came of a series and was not released as data: items withheld, and notes.

    Attributes
    ----------
    time_ns : int64, shape (n,)
        The venue's time; 0 for a note. In order of arrival, not of time.
    reason : float64, shape (n,)
        Why it was withheld: a key of `replay.rules.REASONS`; 0 for a note.
    what : float64, shape (n,)
        What it is: a key of `NAMES`.
    value : float64, shape (n,)
        The first of its values: a price, a bid, an open.
    """

    time_ns: Ints
    reason: Floats
    what: Floats
    value: Floats
