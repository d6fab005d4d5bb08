"""What is known now: views of the current session, per instrument, bounded by the clock.

Nothing here can be written by a reader, and nothing shows a row that is not known yet: every
view ends at the position of the clock's hand. Bars that are released as revisions take their
places in the views from that moment on.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from openbell.market.bars import Bars
from openbell.market.columns import Columns, Ints
from openbell.market.errors import UsageError
from openbell.market.instrument import Instrument, Series
from openbell.market.session import Session
from openbell.market.ticks import Quotes, Trades
from openbell.quality.completeness import completeness, expected_until
from openbell.replay import kernels
from openbell.replay.agenda import Played
from openbell.replay.chunk import Chunk, Rows
from openbell.replay.clock import Hand
from openbell.replay.feed import picked


class SessionFigures(NamedTuple):
    """What an instrument's session came to so far: volume in units, highest and lowest price."""

    volume: float
    high: float
    low: float


_NOTHING = SessionFigures(0.0, float("nan"), float("nan"))
_STATE = ("_newest", "_close", "_revised", "_revised_counts", "_tail", "_counts")


class Window:
    """The rows of one track that may be seen: a tail of earlier chunks, then the present chunk.

    Parameters
    ----------
    position
        Of its track among those of the replay.
    empty
        No rows, of the kind it holds.
    keep
        How many rows of earlier chunks stay at hand, at least one.
    hand
        Says which slice is now.
    revisions
        Position of the track of its revisions; None if there is none.
    """

    def __init__(
        self, position: int, empty: Columns, keep: int, hand: Hand, revisions: int | None = None
    ) -> None:
        none = np.empty(0, np.int32)
        self._parts: list[Columns] = [empty]  # joined when somebody looks
        self._sessions: list[kernels.Ordinals] = [none]
        self.position = position
        self._newest = empty
        self._close = float("nan")
        self.revisions = revisions
        self._revised = Rows(empty, empty.key_ns, none)
        nothing = np.zeros(hand.slice + 1, np.int32)  # by slice, up to the present one
        self._revised_counts: NDArray[np.int32] = nothing
        self._keep = max(keep, 1)
        self._hand = hand
        self._tail = 0
        self._counts: NDArray[np.int32] = nothing
        self._figures: tuple[Any, ...] | None = None

    def load(self, chunk: Chunk, open_sessions: Sequence[int]) -> None:
        """Go on to the next chunk: keep a tail that holds what is open, add the chunk's rows.

        Revisions of the chunk that is over take their places among the rows of the tail.
        """
        rows = chunk.rows[self.position]
        if isinstance(self._newest, Bars) and len(self._newest):
            self._close = float(self._newest.close[-1])
        self._newest = rows.data
        if self.revisions is not None:
            if len(self._revised.session):
                data, session = _revised(self._data, self._session, self._revised)
                self._parts, self._sessions = [data], [session]
            self._revised = chunk.rows[self.revisions]
            self._revised_counts = chunk.counts[self.revisions]
        first = tail = sum(map(len, self._parts))
        if open_sessions:
            first = sum(int(part.searchsorted(min(open_sessions))) for part in self._sessions)
        self._leave(min(first, tail - self._keep))
        self._join_newest()
        self._tail = sum(map(len, self._parts))
        self._parts.append(rows.data)
        self._sessions.append(rows.session)
        self._counts = chunk.counts[self.position]
        self._figures = None

    def mark(self) -> tuple[Any, ...]:
        """Where it stands between two chunks, for `go_back`."""
        parts, sessions = tuple(self._parts), tuple(self._sessions)
        return parts, sessions, tuple(getattr(self, name) for name in _STATE)

    def go_back(self, mark: tuple[Any, ...]) -> None:
        """Stand where it stood at a mark."""
        parts, sessions, state = mark
        self._parts, self._sessions, self._figures = list(parts), list(sessions), None
        for name, value in zip(_STATE, state, strict=True):
            setattr(self, name, value)

    def cut(self) -> None:
        """Forget what is not known yet."""
        known, fresh = self.known, self._fresh
        self._parts, self._sessions = [self._data.take(slice(known))], [self._session[:known]]
        self._newest = self._newest.take(slice(known - self._tail))
        self._revised = picked(self._revised, slice(fresh))

    def _leave(self, rows: int) -> None:
        """Leave out the oldest rows."""
        while rows > 0:
            left = min(rows, len(self._parts[0]))
            rows -= left
            if left == len(self._parts[0]) and len(self._parts) > 1:
                del self._parts[0], self._sessions[0]
            else:
                self._parts[0] = self._parts[0].take(slice(left, None))
                self._sessions[0] = self._sessions[0][left:]

    def _join_newest(self) -> None:
        """Join parts until each is more than twice the one after it: few stay, little is copied."""
        if len(self._parts) > 1 and not len(self._parts[-1]):
            del self._parts[-1], self._sessions[-1]
        while len(self._parts) > 1 and len(self._parts[-2]) <= 2 * len(self._parts[-1]):
            self._parts[-2:] = [type(self._parts[-1]).joined(self._parts[-2:])]
            self._sessions[-2:] = [np.concatenate(self._sessions[-2:])]

    def _join(self) -> None:
        if len(self._parts) > 1:
            self._parts = [type(self._parts[-1]).joined(self._parts)]
            self._sessions = [np.concatenate(self._sessions)]

    @property
    def _data(self) -> Columns:
        """The rows; those from `known` on are in the future, and shown by no view."""
        self._join()
        return self._parts[0]

    @property
    def _session(self) -> kernels.Ordinals:
        """The session of each row."""
        self._join()
        return self._sessions[0]

    @property
    def now_ns(self) -> int:
        """The moment of the present slice."""
        return self._hand.times_ns.item(self._hand.slice)

    @property
    def known(self) -> int:
        """How many rows are known now."""
        return self._tail + int(self._counts[self._hand.slice])

    @property
    def carried_close(self) -> float:
        """The last close before the present chunk, revisions left out; NaN if there is none."""
        return self._close

    @property
    def is_updated(self) -> bool:
        """Whether the present slice brought a row."""
        return self.brought > 0

    @property
    def brought(self) -> int:
        """How many rows the present slice brought."""
        i = self._hand.slice
        return int(self._counts[i] - (self._counts[i - 1] if i else 0))

    def last(self, rows: int) -> Columns:
        """The newest `rows` rows that are known, as revised by now."""
        known = self.known
        first = max(known - rows, 0)
        data = self._data.take(slice(first, known))
        if rows and (fresh := self._fresh):
            keys = self._revised.data.key_ns[:fresh]
            which = np.flatnonzero(keys >= data.key_ns[0]) if first else slice(fresh)
            data = _revised(data, self._session[first:known], picked(self._revised, which))[0]
            data = data.take(slice(max(len(data) - rows, 0), None))
        return data

    def of(self, session: int) -> Columns:
        """The rows of a session that are known, as revised by now."""
        lo = int(np.searchsorted(self._session, session))
        hi = min(int(np.searchsorted(self._session, session, side="right")), self.known)
        rows = slice(lo, max(lo, hi))
        data = self._data.take(rows)
        which = self._fresh_of(session)
        if len(which):
            data = _revised(data, self._session[rows], picked(self._revised, which))[0]
        return data

    @property
    def _fresh(self) -> int:
        """How many revisions of the present chunk are known now."""
        if self.revisions is None:
            return 0
        return int(self._revised_counts[self._hand.slice])

    def _fresh_of(self, session: int) -> Ints:
        """The rows of these that belong to a session."""
        return np.flatnonzero(self._revised.session[: self._fresh] == session)

    def present(self, played: Played) -> int:
        """How many rows of a session's regular hours are known."""
        if self._fresh and len(self._fresh_of(played.ordinal)):
            keys = self.of(played.ordinal).key_ns
        else:
            keys = self._keys_with(played)
        lo, hi = keys.searchsorted((played.regular.open_ns, played.regular.close_ns))
        return int(hi - lo)

    def _keys_with(self, played: Played) -> Ints:
        """Known keys, all of a session's among them; nothing is joined if one part holds them."""
        if len(self._parts) > 1:
            before = self._sessions[-2]
            if not len(before) or before[-1] < played.ordinal:
                return self._parts[-1].key_ns[: int(self._counts[self._hand.slice])]
        return self._data.key_ns[: self.known]

    def figures(self, session: int) -> SessionFigures:
        """Volume, high and low of a session's bars so far, as revised by now."""
        if self._fresh and len(self._fresh_of(session)):
            return self._figures_as_revised(session)
        last = self.known - 1
        if last < 0 or self._session[last] != session or not isinstance(self._data, Bars):
            return _NOTHING
        if self._figures is None:
            self._figures = kernels.walk_sessions(
                self._session, self._data.high, self._data.low, self._data.volume
            )
        volume, high, low = self._figures
        return SessionFigures(float(volume[last]), float(high[last]), float(low[last]))

    def _figures_as_revised(self, session: int) -> SessionFigures:
        bars = self.of(session)
        assert isinstance(bars, Bars)
        one = np.zeros(len(bars), np.int32)
        volume, high, low = kernels.walk_sessions(one, bars.high, bars.low, bars.volume)
        return SessionFigures(float(volume[-1]), float(high[-1]), float(low[-1]))


def _revised(
    data: Columns, session: kernels.Ordinals, by: Rows
) -> tuple[Columns, kernels.Ordinals]:
    """Rows and their sessions, in order; each revision in place of what has the same start.

    Parameters
    ----------
    by
        Revisions, the newest last.
    """
    data = type(data).joined([data, by.data])
    session = np.concatenate([session, by.session])
    order = np.argsort(data.key_ns, kind="stable")
    keys = data.key_ns[order]
    newest = order[np.append(keys[1:] != keys[:-1], True)]
    return data.take(newest), session[newest]


class InstrumentData:
    """What is known of one instrument now.

    Attributes
    ----------
    instrument
        Which one.
    historical
        Finished sessions before the current one, oldest first: label → timeframe → bars. As many
        as the replay's trailing sessions.
    """

    def __init__(self, instrument: Instrument, windows: Mapping[str, Window]) -> None:
        self.instrument = instrument
        self.historical: deque[tuple[str, Mapping[str, Bars]]] = deque()
        self._played: Played | None = None
        self.hold(windows)

    def hold(self, windows: Mapping[str, Window]) -> None:
        """Show these from now on, by kind, the base first."""
        self._windows = dict(windows)
        self._base = Series(self.instrument, next(iter(windows)))

    def enter(self, played: Played | None) -> None:
        """Turn to a session of its calendar; the coordinator says which."""
        self._played = played

    @property
    def base(self) -> str:
        """The timeframe of its base bars, or ``trades``, ``quotes`` where it has no bars."""
        return self._base.kind

    @property
    def has_bars(self) -> bool:
        """Whether bars of it are played, and not trades and quotes alone."""
        return self._base.is_bars

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is played of it: ``1m``, ``5m``, ``trades``, …; the base first."""
        return tuple(self._windows)

    def window(self, kind: str) -> Window:
        """The window of ``1m``, ``5m``, ``trades``, …; `UsageError` if it is not played."""
        if kind not in self._windows:
            raise UsageError(
                f"{kind} of {self.instrument} is not played",
                hint=f"played are {', '.join(self._windows)}; ask for more with `derived`",
            )
        return self._windows[kind]

    def history(self, count: int, kind: str = "") -> Columns:
        """The newest `count` rows that are known, of any session; fewer if there are fewer."""
        return self.window(kind or self.base).last(count)

    def bars(self, kind: str = "") -> Bars:
        """The current session's bars so far, of a timeframe (its base by default)."""
        found = self._current(kind or self.base)
        if not isinstance(found, Bars):
            raise UsageError(
                f"{self.instrument} is played without bars",
                hint=f"played are {', '.join(self.kinds)}",
            )
        return found

    @property
    def trades(self) -> Trades:
        """The current session's trades so far."""
        found = self._current("trades")
        assert isinstance(found, Trades)
        return found

    @property
    def quotes(self) -> Quotes:
        """The current session's quotes so far."""
        found = self._current("quotes")
        assert isinstance(found, Quotes)
        return found

    @property
    def bars_updated(self) -> bool:
        """Whether the present slice brought a base bar."""
        return self.window(self.base).is_updated

    @property
    def quotes_updated(self) -> bool:
        """Whether the present slice brought a quote."""
        return self.window("quotes").is_updated

    @property
    def figures(self) -> SessionFigures:
        """Volume, high and low of the current session so far."""
        if self._played is None:
            return _NOTHING
        return self.window(self.base).figures(self._played.ordinal)

    @property
    def completeness(self) -> float:
        """Bars present ÷ bars expected of the current session up to now; 1 while none is due."""
        if self._played is None or not self.has_bars:
            return 1.0
        window = self.window(self.base)
        present = window.present(self._played)
        width_ns = self._base.timeframe.width_ns
        return completeness(present, expected_until(self._played.regular, window.now_ns, width_ns))

    @property
    def bar_quality(self) -> float:
        """Completeness now, as the requirement has it: 0 to 100."""
        return 100.0 * self.completeness

    def _current(self, kind: str) -> Columns:
        window = self.window(kind)
        return window.of(-1 if self._played is None else self._played.ordinal)


class SessionData:
    """Everything known about the current session of one calendar, per instrument.

    Attributes
    ----------
    calendar
        Name of the calendar.
    instruments
        By instrument name.
    """

    def __init__(self, calendar: str, trailing: int) -> None:
        self.calendar = calendar
        self.instruments: dict[str, InstrumentData] = {}
        self._trailing = trailing
        self._played: Played | None = None

    def hold(self, instrument: Instrument, windows: Mapping[str, Window]) -> None:
        """Show these windows of an instrument from now on, by kind, the base first."""
        name = str(instrument)
        if name in self.instruments:
            self.instruments[name].hold(windows)
        else:
            self.instruments[name] = InstrumentData(instrument, windows)
            self.instruments[name].enter(self._played)

    @property
    def session(self) -> Session | None:
        """The session that is open, or None between sessions."""
        return self._played.session if self._played else None

    @property
    def is_active(self) -> bool:
        """Whether a session is open."""
        return self._played is not None

    @property
    def completeness(self) -> float:
        """The mean over its instruments that have bars, now; 1 if there are none."""
        found = [d.completeness for d in self.instruments.values() if d.has_bars]
        return sum(found) / len(found) if found else 1.0

    def open(self, played: Played) -> None:
        """Begin a session."""
        self._turn(played)

    def close(self) -> None:
        """End the session: it enters trailing history, and the oldest leaves."""
        played = self._played
        if played is not None and self._trailing:
            for data in self.instruments.values():
                data.historical.append((played.session.label, _snapshot(data)))
                while len(data.historical) > self._trailing:
                    data.historical.popleft()
        self._turn(None)

    def mark(self) -> tuple[Any, ...]:
        """Where it stands, for `go_back`."""
        return self._played, {n: tuple(data.historical) for n, data in self.instruments.items()}

    def go_back(self, mark: tuple[Any, ...]) -> None:
        """Stand where it stood at a mark."""
        played, historical = mark
        self.instruments = {name: self.instruments[name] for name in historical}
        for name, data in self.instruments.items():
            data.historical.clear()
            data.historical.extend(historical[name])
        self._turn(played)

    def _turn(self, played: Played | None) -> None:
        self._played = played
        for data in self.instruments.values():
            data.enter(played)

    def __getitem__(self, name: str) -> InstrumentData:
        if name not in self.instruments:
            raise UsageError(
                f"{name} is not played", hint=f"played are {', '.join(self.instruments)}"
            )
        return self.instruments[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.instruments)


def _snapshot(data: InstrumentData) -> Mapping[str, Bars]:
    found = {}
    for kind in data.kinds:
        if Series(data.instrument, kind).is_bars:
            bars = data.bars(kind)
            found[kind] = bars.take(np.arange(len(bars)))
    return found
