"""A slice: everything that became known at one moment."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from itertools import repeat
from math import nan
from typing import Any

import numpy as np

from openbell.market.bars import Bar, Bars
from openbell.market.errors import UsageError
from openbell.market.moments import iso, to_datetime
from openbell.replay import kernels
from openbell.replay.chunk import Chunk, Track
from openbell.replay.session_data import SessionData, Window

_BAR_COLUMNS = ("start_ns", "end_ns", "open", "high", "low", "close", "volume")


class SliceMaker:
    """Makes the slices of a chunk; turns its columns into lists when they are first read."""

    def __init__(
        self,
        chunk: Chunk,
        tracks: Sequence[Track],
        names: Sequence[str],
        sessions: Sequence[SessionData],
        windows: Sequence[Window],
    ) -> None:
        self.chunk = chunk
        self.names = names
        self.sessions = sessions
        self._base = {names[t.instrument]: k for k, t in enumerate(tracks) if t.kind == kernels.BAR}
        self._carried = [
            windows[self._base[n]].carried_close if n in self._base else nan for n in names
        ]
        self._rows: dict[str, list[tuple[Any, ...] | None]] = {}
        self._revisions = [k for k, t in enumerate(tracks) if t.kind == kernels.REVISION]

    def bar(self, name: str, at: int) -> Bar | None:
        """The base bar of an instrument that became known at a slice, or None."""
        rows = self._rows.get(name)
        if rows is None:
            rows = self._rows[name] = self._make_rows(name)
        row = rows[at]
        return None if row is None else Bar(*row)

    def revisions(self, at: int) -> list[Bar]:
        """The bars released as revisions at a slice, by instrument and timeframe."""
        return self._revised.get(at, [])

    @cached_property
    def _revised(self) -> dict[int, list[Bar]]:
        found: dict[int, list[Bar]] = {}
        for track in self._revisions:
            bars = self._data(track)
            at = self.chunk.counts[track].searchsorted(np.arange(len(bars)), "right")
            for row, slice_ in enumerate(at.tolist()):
                found.setdefault(slice_, []).append(bars.bar(row))
        return found

    @cached_property
    def closes(self) -> list[list[float]]:
        """By slice, the last known close of every instrument."""
        columns = np.empty((len(self.chunk.times_ns), len(self.names)))
        for k, (name, carried) in enumerate(zip(self.names, self._carried, strict=True)):
            columns[:, k] = carried
            if name in self._base:
                track = self._base[name]
                known = np.concatenate(([carried], self._data(track).close))
                columns[:, k] = known[self.chunk.counts[track]]
        found: list[list[float]] = columns.tolist()
        return found

    def _make_rows(self, name: str) -> list[tuple[Any, ...] | None]:
        """By slice, what a bar is made of: plain tuples, which the garbage collector leaves out."""
        if name not in self.names:
            raise UsageError(f"{name} is not played", hint=f"played are {', '.join(self.names)}")
        found: list[tuple[Any, ...] | None] = [None] * len(self.chunk.times_ns)
        if name in self._base:
            track = self._base[name]
            bars = self._data(track)
            columns = (getattr(bars, column).tolist() for column in _BAR_COLUMNS)
            rows = list(zip(repeat(name), *columns))
            counts = self.chunk.counts[track]
            new = np.flatnonzero(np.diff(counts, prepend=0))
            for at, row in zip(new.tolist(), (counts[new] - 1).tolist(), strict=True):
                found[at] = rows[row]
        return found

    def _data(self, track: int) -> Bars:
        data = self.chunk.rows[track].data
        assert isinstance(data, Bars)
        return data


class Slice:
    """Everything that became known at one moment, per instrument. A read-only view.

    ``slice["XNYS:SPY"]`` is the base bar that became known now; instruments without one are
    not in the slice.
    """

    __slots__ = ("_index", "_maker")

    def __init__(self, maker: SliceMaker, index: int) -> None:
        self._maker = maker
        self._index = index

    @property
    def time_ns(self) -> int:
        """The moment, nanoseconds since 1970-01-01 UTC."""
        return self._maker.chunk.times_ns[self._index]

    @property
    def time(self) -> datetime:
        """The moment as an aware datetime in UTC."""
        return to_datetime(self.time_ns)

    @property
    def session(self) -> SessionData:
        """What is known of the session of the first calendar; see `sessions` for the others."""
        return self._maker.sessions[0]

    @property
    def sessions(self) -> Sequence[SessionData]:
        """What is known of each calendar's session."""
        return self._maker.sessions

    def get(self, name: str) -> Bar | None:
        """The bar of an instrument, or None if none became known now."""
        return self._maker.bar(name, self._index)

    @property
    def revisions(self) -> Sequence[Bar]:
        """Bars that were missing and are filled now, and wider bars computed again with them.

        By instrument, then timeframe, which a bar's start and end tell; most slices have none.
        """
        return self._maker.revisions(self._index)

    @property
    def closes(self) -> Sequence[float]:
        """The last known close of every instrument, as registered; NaN before its first bar."""
        return self._maker.closes[self._index]

    def __getitem__(self, name: str) -> Bar:
        bar = self._maker.bar(name, self._index)
        if bar is None:
            raise KeyError(name)
        return bar

    def __contains__(self, name: str) -> bool:
        return name in self._maker.names and self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._maker.names if self.get(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __str__(self) -> str:
        return f"{iso(self.time_ns)} {', '.join(self)}"
