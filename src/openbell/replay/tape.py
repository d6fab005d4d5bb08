"""The tape, an ordered log of what happened, and its seal, a chain of session digests.

Everything that happens is a canonical record: data and session rolls are laid out in bulk
(`chunk.py`), decisions one by one as they are made. The digest of a session is the SHA-256 over
its records in order, begun with the digest of the session before; the first begins with the
run's settings. The seal is the last digest. No wall-clock value and no metric is in it.
"""

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from msgspec import Struct

from openbell.market.columns import Ints

# A decision: what, order number, instrument, its moment; then four numbers (see `Entry`).
_DECISION = struct.Struct("<4q4d")

PLACED, FILLED, CANCELLED, REJECTED = 16, 17, 18, 19
DECISIONS = {
    PLACED: "placed",
    FILLED: "filled",
    CANCELLED: "cancelled",
    REJECTED: "rejected",
}


class Entry(Struct, frozen=True, gc=False):
    """One decision on the tape.

    Attributes
    ----------
    session
        Position of its session's digest in the seal.
    time_ns
        The moment it became known.
    what
        A key of `DECISIONS`.
    order
        The order's number, from 1 in order of placing.
    instrument
        Ordinal of the instrument, as registered.
    size, price, extra, more
        Placed: signed size, limit, stop, trail. Filled: signed size, price, fee, cash after.
        Otherwise zero, or the price level concerned. NaN where there is none.
    """

    session: int
    time_ns: int
    what: int
    order: int
    instrument: int
    size: float
    price: float
    extra: float
    more: float

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """Size, price, extra, more."""
        return self.size, self.price, self.extra, self.more


def genesis(settings: Mapping[str, Any]) -> bytes:
    """The digest a chain begins with: of the settings as canonical JSON."""
    return hashlib.sha256(orjson.dumps(dict(settings), option=orjson.OPT_SORT_KEYS)).digest()


class Tape:
    """Collects decisions and hashes everything in the order it happened.

    Everything is hashed at once when a session closes, data and decisions in their order, so the
    digest does not depend on how sessions were cut into chunks; what a chunk leaves over is hashed
    when the next one is loaded.

    Attributes
    ----------
    entries
        The decisions so far.
    labels, digests
        For every session that was closed, its label and hexadecimal digest.
    """

    def __init__(self, begin: bytes) -> None:
        self.entries: list[Entry] = []
        self.labels: list[str] = []
        self.digests: list[str] = []
        self._hash = hashlib.sha256(begin)
        self._records: memoryview = memoryview(b"")
        self._ends: Ints = np.zeros(1, np.int64)
        self._hashed = 0
        self._decided_at: list[int] = []  # slices of the decisions that are not hashed yet

    def load(self, records: memoryview, ends: Ints) -> None:
        """Take over the next chunk: its records as bytes, and where each slice ends in them."""
        self._catch_up(len(self._ends) - 1)
        self._records = records
        self._ends = ends
        self._hashed = 0

    def decide(  # noqa: PLR0913, PLR0917  # a decision has this many parts
        self,
        at_slice: int,
        time_ns: int,
        what: int,
        order: int,
        instrument: int,
        size: float = 0.0,
        price: float = 0.0,
        extra: float = 0.0,
        more: float = 0.0,
    ) -> None:
        """Add a decision made at a slice; its parts are those of an `Entry`."""
        self._decided_at.append(at_slice)
        session = len(self.digests)
        self.entries.append(
            Entry(session, time_ns, what, order, instrument, size, price, extra, more)
        )

    def close_session(self, at_slice: int, label: str) -> str:
        """End a digest with a session's closing slice, or where a run broke off."""
        self._catch_up(at_slice)
        digest = self._hash.digest()
        self._hash = hashlib.sha256(digest)
        self.labels.append(label)
        self.digests.append(digest.hex())
        return self.digests[-1]

    def mark(self) -> tuple[Any, int, int]:
        """Where it stands, between two chunks, to go back to."""
        self._catch_up(len(self._ends) - 1)
        return self._hash.copy(), len(self.entries), len(self.digests)

    def go_back(self, mark: tuple[Any, int, int]) -> None:
        """Forget what came after a mark."""
        self._hash = mark[0].copy()
        self._let_go()
        self._decided_at.clear()
        del self.entries[mark[1] :], self.labels[mark[2] :], self.digests[mark[2] :]

    def cut(self, at_slice: int) -> None:
        """Leave out what this chunk has after a slice; if none is loaded, there is nothing to."""
        self._catch_up(min(at_slice, len(self._ends) - 1))
        self._let_go()

    def _let_go(self) -> None:
        self._records, self._ends, self._hashed = memoryview(b""), np.zeros(1, np.int64), 0

    def _catch_up(self, at_slice: int) -> None:
        """Hash up to and including a slice: of each its data, then the decisions made in it."""
        update, pack = self._hash.update, _DECISION.pack
        records, hashed = self._records, self._hashed
        ends = self._ends[self._decided_at].tolist()
        decided = self.entries[len(self.entries) - len(ends) :]
        for end, e in zip(ends, decided, strict=True):
            numbers = e.size, e.price, e.extra, e.more
            update(records[hashed:end])
            update(pack(e.what, e.order, e.instrument, e.time_ns, *numbers))
            hashed = end
        self._hashed = self._ends.item(at_slice)
        update(records[hashed : self._hashed])
        self._decided_at.clear()

    @property
    def seal(self) -> str:
        """The last digest; the empty string before the first."""
        return self.digests[-1] if self.digests else ""


def short_seal(seal: str) -> str:
    """The two ends of a seal or another digest, as a person reads it: ``5c1e…9ab0``."""
    return f"{seal[:4]}…{seal[-4:]}" if seal else "none"
