"""Live feeds: rows of a series as they are released from arrivals, and bars derived from them.

They stand where stored feeds stand (`feed.py`), so the rest of a replay does not tell the
difference. What makes a row known is in `rules.py`; nothing here looks at a clock.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from openbell.market.arrivals import ASKED, DISCONNECTED, FAILED, SILENT, Arrival, Asides
from openbell.market.bars import Bars
from openbell.market.calendars import Calendar
from openbell.market.columns import FILLED, NON_POSITIVE, Columns, Ints
from openbell.market.instrument import Series
from openbell.market.moments import END_OF_TIME_NS, MINUTE_NS, START_OF_TIME_NS
from openbell.market.timeframe import Timeframe
from openbell.replay import kernels
from openbell.replay.agenda import Agenda, Played
from openbell.replay.chunk import Rolled, Rows, Track
from openbell.replay.feed import Counts, DerivedFeed, Feed, joined, picked
from openbell.replay.rules import (
    ACCEPTED,
    CORRUPT,
    FUTURE,
    LATE,
    REASONS,
    UNREGISTERED,
    Gate,
)

_WIDTHS = {kernels.TRADE: 3, kernels.QUOTE: 4, kernels.BAR: 5}  # values of each kind
_NOTED = {DISCONNECTED: "disconnected", SILENT: "silent", FAILED: "failed"}


@dataclass(slots=True)
class LiveCounts(Counts):
    """What became of the arrivals of a series, by the rules of `rules.py`.

    Attributes
    ----------
    late
        Bars released as revisions.
    unregistered, future, repeated, out_of_order, stale
        Withheld.
    waiting
        Had not happened yet, by our clock, when the run was stopped.
    disconnected, silent, failed
        How often its source noted it.
    """

    late: int = 0
    unregistered: int = 0
    future: int = 0
    repeated: int = 0
    out_of_order: int = 0
    stale: int = 0
    waiting: int = 0
    disconnected: int = 0
    silent: int = 0
    failed: int = 0

    def add(self, name: str) -> None:
        """One more of a kind."""
        setattr(self, name, getattr(self, name) + 1)


class _Row(NamedTuple):
    """One row that waits for the moment it is known."""

    known_ns: int
    session: int
    key_ns: int
    end_ns: int
    values: tuple[float, ...]
    label: int
    origin: int


class LiveFeed(Feed):
    """Hands over the rows of one series as they arrive.

    Parameters
    ----------
    gate
        Judges what arrives.
    rolled
        When sessions opened and closed so far.

    Attributes
    ----------
    counts
        What became of what arrived.
    revised, asides
        Revisions, withheld items and notes that became known in the stretch taken last.
    passed_ns
        When it was seen that the present session is over for it; `END_OF_TIME_NS` if not yet.
    known_ns
        The moment of the last row released.
    """

    counts: LiveCounts

    def __init__(
        self, track: Track, series: Series, calendar: int, gate: Gate, rolled: Rolled
    ) -> None:
        super().__init__(track, series, calendar, lambda _, __: self.empty(), (0, 0))
        self.counts = LiveCounts()
        self.passed_ns = END_OF_TIME_NS
        self.known_ns = 0
        self.gate = gate
        self.rolled = rolled
        self._close_ns = END_OF_TIME_NS - 1
        self._open_session = -1
        self._early: list[tuple[Arrival, Played, int]] = []
        self._new: deque[_Row] = deque()
        self._late: deque[_Row] = deque()
        self._aside: deque[_Row] = deque()
        self._none: tuple[Rows, ...] = ()
        self._none = (self._rows([]), self._rows([], is_revision=True), self._asides([]))
        _, self.revised, self.asides = self._none

    @property
    def due_ns(self) -> int:
        """The moment of the next row that waits for it; `END_OF_TIME_NS` if none does."""
        waiting = [rows[0].known_ns for rows in (self._new, self._late) if rows]
        return min(waiting, default=END_OF_TIME_NS)

    # What happens

    def receive(self, arrival: Arrival) -> None:
        """Take an item in, to be released or withheld."""
        verdict, played = self.gate.judge(arrival)
        if verdict in REASONS:
            self.counts.add(REASONS[verdict])
            self._put_aside(arrival, verdict)
        elif played is not None:
            if self.rolled.open_ns[played.ordinal] == END_OF_TIME_NS:
                self._early.append((arrival, played, verdict))
            else:
                self._release(arrival, played, verdict)
        if verdict not in (UNREGISTERED, CORRUPT, FUTURE):
            self._pass(arrival, self.gate.moment_ns(arrival, played))

    def note(self, arrival: Arrival) -> None:
        """Take a note in."""
        if arrival.what in _NOTED:
            self.counts.add(_NOTED[arrival.what])
        self._put_aside(arrival, 0)

    def open(self, played: Played) -> None:
        """Its session has opened: release what was held for it."""
        self._open_session = played.ordinal
        self._close_ns = played.session.close_ns
        self.passed_ns = END_OF_TIME_NS
        early, self._early = self._early, []
        for each in early:
            self._release(*each)

    def close(self, played: Played) -> None:
        """Its session has closed: what still comes of it is withheld."""
        self._open_session = -1
        self.gate.close(played.session.close_ns)

    def count_waiting(self) -> None:
        """Nothing more will be released: count what waits for it."""
        self.counts.waiting += len(self._early) + len(self._new) + len(self._late)

    def is_dry(self, played: Played) -> bool:
        """Whether nothing of the session that closes was released in its last minute."""
        return self.known_ns < played.session.close_ns - MINUTE_NS

    def _pass(self, arrival: Arrival, moment_ns: int) -> None:
        over_ns = self._close_ns if self.series.is_bars else self._close_ns + 1
        if moment_ns >= over_ns:
            self.passed_ns = min(self.passed_ns, max(arrival.receipt_ns, moment_ns))

    def _release(self, arrival: Arrival, played: Played, verdict: int) -> None:
        opened_ns = int(self.rolled.open_ns[played.ordinal])
        moment_ns = self.gate.moment_ns(arrival, played)
        self.known_ns = max(arrival.receipt_ns, moment_ns, opened_ns + 1, self.known_ns)
        values = arrival.values[: _WIDTHS[self.track.kind]]
        prices = values[: {kernels.TRADE: 1, kernels.QUOTE: 2}.get(self.track.kind, 4)]
        was_asked = arrival.what == ASKED
        label = NON_POSITIVE * any(p <= 0 for p in prices) | FILLED * was_asked
        row = _Row(
            self.known_ns, played.ordinal, arrival.venue_ns, moment_ns, values, label, was_asked
        )
        if verdict == LATE:
            self._late.append(row)
        else:
            assert verdict == ACCEPTED
            self._new.append(row)

    def _put_aside(self, arrival: Arrival, reason: int) -> None:
        """On the tape while a session is open; otherwise it is only counted."""
        if self._open_session >= 0:
            values = (float(reason), float(arrival.what), arrival.values[0])
            self._aside.append(
                _Row(arrival.receipt_ns, self._open_session, arrival.venue_ns, 0, values, 0, 0)
            )

    # What is taken

    def take(self, until_ns: int, agenda: Agenda) -> Rows:  # noqa: ARG002  # a feed's form
        """As `Feed.take`; revisions and asides of the same stretch become attributes."""
        rows = self._rows(_up_to(self._new, until_ns))
        self.revised = self._rows(_up_to(self._late, until_ns), is_revision=True)
        self.asides = self._asides(_up_to(self._aside, until_ns))
        self.counts.played += len(rows.known_ns)
        self.counts.late += len(self.revised.known_ns)
        return rows

    def _rows(self, rows: Sequence[_Row], *, is_revision: bool = False) -> Rows:
        if not rows and self._none:
            return self._none[is_revision]
        known, session, key, end, values, label, origin = _columns(rows, _WIDTHS[self.track.kind])
        ends = (end,) if self.series.is_bars else ()
        kind: Any = type(self.empty())
        data = kind(self.series, key, *ends, *values, label)
        return Rows(data, known, session, None, origin if is_revision else None)

    def _asides(self, rows: Sequence[_Row]) -> Rows:
        if not rows and self._none:
            return self._none[2]
        known, session, key, _, values, _, _ = _columns(rows, 3)
        return Rows(Asides(self.series, key, *values), known, session)


class LiveRevisions:
    """The stream of bars of a feed that came late."""

    def __init__(self, base: LiveFeed) -> None:
        self.track = base.track._replace(kind=kernels.REVISION)
        self.series = base.series
        self.base = base

    def empty(self) -> Columns:
        """No bars."""
        return self.base.empty()

    @property
    def rows(self) -> Rows:
        """Those of the stretch the feed has taken last."""
        return self.base.revised


class LiveAsides:
    """The stream of what came of a feed's series and was not released."""

    def __init__(self, base: LiveFeed) -> None:
        self.track = Track(kernels.ASIDE, base.track.instrument, base.track.kind)
        self.series = base.series
        self.base = base

    def empty(self) -> Columns:
        """None."""
        return Asides.empty(self.series)

    @property
    def rows(self) -> Rows:
        """Those of the stretch the feed has taken last."""
        return self.base.asides


class LiveDerived(DerivedFeed):
    """Builds wider bars from the base bars of a live feed.

    A derived bar is known as soon as its interval is over and its last base bar is there, or one
    of a later interval, or its session has closed; `grace_s` after its end at the latest. What
    comes for it later gives a revision.

    Attributes
    ----------
    revised
        The revisions of the stretch last built.
    due_ns
        When the next bar is known at the latest; `END_OF_TIME_NS` if none is begun.
    """

    def __init__(
        self, track: Track, feed: LiveFeed, frame: Timeframe, calendar: Calendar, grace_ns: int
    ) -> None:
        place = feed.series.instrument.place
        super().__init__(track, feed, frame, place.anchor, calendar)
        self.due_ns = END_OF_TIME_NS
        self.feed = feed
        self._grace_ns = grace_ns
        self._width_ns = feed.series.timeframe.width_ns
        self._until_ns = START_OF_TIME_NS
        none, nowhere = np.empty(0, np.int64), np.empty(0, np.int32)
        self._rows = Rows(feed.empty(), none, nowhere)
        self._none = Rows(self.empty(), none, nowhere, none)
        self.revised = self._none._replace(origin=none)
        self._closed = 0

    def build(self, base: Rows, until_ns: int, agenda: Agenda) -> Rows:
        """The bars that become known up to and including a moment, and not before."""
        after_ns, self._until_ns = self._until_ns, until_ns
        if not self._has_news(base, until_ns):
            self.revised = self._none._replace(origin=self._none.known_ns)
            return self._none
        rows = joined(self._rows, base, self.feed.revised._replace(origin=None))
        rows = picked(rows, np.argsort(rows.data.key_ns, kind="stable"))
        rows, begins, ends = self._binned(rows, agenda)
        closed = self._closed_ns(rows, ends, agenda)
        made = self._made_ns(rows, ends, closed)
        first = (made > after_ns) & (made <= until_ns) & (rows.known_ns <= made)
        again = (rows.known_ns > made) & (rows.known_ns > after_ns)
        self.revised = self._build(rows, (begins, ends), rows.known_ns, again, agenda)
        self.revised = self.revised._replace(origin=np.zeros_like(self.revised.known_ns))
        self.due_ns = int(made[made > until_ns].min(initial=END_OF_TIME_NS))
        self._rows = picked(rows, closed > until_ns)
        return self._build(rows, (begins, ends), made, first, agenda)

    def _has_news(self, base: Rows, until_ns: int) -> bool:
        """Whether there are new rows, or a bar is due, or a session has closed."""
        before, self._closed = self._closed, int((self.feed.rolled.close_ns <= until_ns).sum())
        is_due = until_ns >= self.due_ns or self._closed > before
        return is_due or bool(len(base.known_ns) or len(self.feed.revised.known_ns))

    def _closed_ns(self, rows: Rows, ends: Ints, agenda: Agenda) -> Ints:
        """When the session closed in which each row's bar ends."""
        session = rows.session
        if not self._frame.is_intraday:
            session = agenda.opened_before(self.base.calendar, ends)
        is_over = agenda.close_ns[session] >= ends
        return np.where(is_over, self.feed.rolled.close_ns[session], END_OF_TIME_NS)

    def _made_ns(self, rows: Rows, ends: Ints, closed: Ints) -> Ints:
        """When each row's bar is known, as far as can be told now."""
        never = np.full(1, END_OF_TIME_NS)
        earliest = np.minimum.accumulate(np.append(rows.known_ns, never)[::-1])[::-1]
        last = rows.data.key_ns.searchsorted(ends - self._width_ns)
        return np.maximum(
            ends, np.minimum(np.minimum(earliest[last], ends + self._grace_ns), closed)
        )

    def _build(
        self, rows: Rows, spans: tuple[Ints, Ints], moments: Ints, which: Any, agenda: Agenda
    ) -> Rows:
        """For each moment and bar of the rows that a mask picks: the bar as known then."""
        begins, ends = spans
        known, begin = np.unique(np.stack([moments[which], begins[which]]), axis=1)
        firsts, afters = np.searchsorted(begins, begin), np.searchsorted(begins, begin, "right")
        members = [
            _newest(rows, lo, hi, at) for lo, hi, at in zip(firsts, afters, known, strict=True)
        ]
        row = np.concatenate([np.empty(0, np.int64), *members])
        nth = np.repeat(np.arange(len(members)), [len(each) for each in members])
        made = self._widened(picked(rows, row), nth, ends[row], agenda)
        data = Bars(self.series, **(made.data.columns() | {"start_ns": begin}))
        return Rows(data, known, made.session, made.present)


class LiveDerivedRevisions:
    """The stream of derived bars that were computed again."""

    def __init__(self, derived: LiveDerived) -> None:
        self.track = derived.track._replace(kind=kernels.REVISION)
        self.series = derived.series
        self._derived = derived

    def empty(self) -> Columns:
        """No bars."""
        return Bars.empty(self.series)

    @property
    def rows(self) -> Rows:
        """Those of the stretch last built."""
        return self._derived.revised


def _newest(rows: Rows, first: int, after: int, known_ns: int) -> Ints:
    """Of consecutive rows those known at a moment, of equal keys the last."""
    found = first + np.flatnonzero(rows.known_ns[first:after] <= known_ns)
    keys = rows.data.key_ns[found]
    return found[np.append(keys[1:] != keys[:-1], np.True_)] if len(found) else found


def _up_to(rows: deque[_Row], until_ns: int) -> list[_Row]:
    """Take the first rows off, those known up to a moment."""
    found = []
    while rows and rows[0].known_ns <= until_ns:
        found.append(rows.popleft())
    return found


def _columns(rows: Iterable[_Row], width: int) -> tuple[Any, ...]:
    """Known, session, key, end, the values one by one, label and origin as columns."""
    known, session, key, end, values, label, origin = zip(*rows, strict=True) if rows else [()] * 7
    numbers = np.array(values, np.float64).reshape(-1, width).T
    sessions, labels = (np.array(column, np.int32) for column in (session, label))
    moments = (np.array(column, np.int64) for column in (key, end))
    origins = np.array(origin, np.int64)
    return np.array(known, np.int64), sessions, *moments, numbers, labels, origins
