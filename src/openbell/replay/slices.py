"""A slice: everything that became known at one moment."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from openbell.market.bars import Bar, Bars
from openbell.market.errors import UsageError
from openbell.market.moments import iso, to_datetime
from openbell.replay import kernels
from openbell.replay.chunk import Chunk, Track
from openbell.replay.session_data import SessionData


class SliceMaker:
    """Makes the slices of a chunk; holds the columns they read."""

    def __init__(
        self,
        chunk: Chunk,
        tracks: Sequence[Track],
        names: Sequence[str],
        sessions: Sequence[SessionData],
    ) -> None:
        self.chunk = chunk
        self.names = names
        self.sessions = sessions
        self.position = {name: i for i, name in enumerate(names)}
        self.base = {t.instrument: k for k, t in enumerate(tracks) if t.kind == kernels.BAR}

    def bar(self, name: str, index: int) -> Bar | None:
        """The base bar of an instrument that became known at a slice; None if there is none."""
        if name not in self.position:
            raise UsageError(f"{name} is not played", hint=f"played are {', '.join(self.names)}")
        track = self.base.get(self.position[name])
        if track is None:
            return None
        counts = self.chunk.counts[track]
        row = int(counts[index]) - 1
        if row < 0 or (index and counts[index - 1] == row + 1):
            return None
        bars = self.chunk.rows[track].data
        assert isinstance(bars, Bars)
        return bars.bar(row)


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

    def __getitem__(self, name: str) -> Bar:
        bar = self.get(name)
        if bar is None:
            raise KeyError(name)
        return bar

    def __contains__(self, name: str) -> bool:
        return name in self._maker.position and self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._maker.names if self.get(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __str__(self) -> str:
        return f"{iso(self.time_ns)} {', '.join(self)}"
