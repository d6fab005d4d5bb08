"""Filling: bars that were missing when they were due, found in other pinned series.

A pure function of the pins, made in columns when a chunk is prepared, as if upkeep had asked:

1. Checks are counted from the session's open. At each, upkeep finds the bars of regular hours
   that should be known and are not there, and asks the series of `fill` for them, in order.
2. What is found is released at the next check, at most at the close, as a revision that says
   where it came from.
3. What is not found is asked for again at the next checks, a number of times, then left missing.
   A row that a pin holds is there to be found from its own end on.
4. Derived bars that were released before are computed again and released as revisions at the
   same moment; those to come include what was found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from openbell.market.bars import Bars
from openbell.market.calendars import Calendar
from openbell.market.columns import FILLED, Columns, Ints
from openbell.market.counted import counted
from openbell.market.errors import UsageError
from openbell.market.instrument import Pin, Series
from openbell.market.kernels import table_bins, widen_columns
from openbell.market.moments import START_OF_TIME_NS
from openbell.market.session import Session
from openbell.market.ticks import Trades
from openbell.market.timeframe import Anchor, Timeframe
from openbell.quality.completeness import Flags, slot_layout
from openbell.quality.gaps import IMPROBABLE
from openbell.replay import kernels
from openbell.replay.agenda import Agenda, Played
from openbell.replay.chunk import Rows, Track
from openbell.replay.feed import DerivedFeed, Feed, joined, picked

_NEVER = np.int64(2**40)  # an ask that does not come


@dataclass(slots=True)
class UpkeepCounts:
    """What upkeep found missing of one instrument, in sessions that are prepared to their close.

    Attributes
    ----------
    found
        Bars that were not there when they were due, and were asked for.
    filled
        Of these, how many were filled, by pin.
    left
        Of these, how many were left missing.
    retries
        How often bars were asked for again.
    quiet
        Bars that were not asked for: pinned trades or quotes tell that nothing traded.
    """

    found: int = 0
    filled: dict[str, int] = field(default_factory=dict)
    left: int = 0
    retries: int = 0
    quiet: int = 0


def in_words(upkeep: Mapping[str, UpkeepCounts]) -> list[str]:
    """What upkeep found missing, one line a series; none where nothing was."""
    found = []
    for series, counts in upkeep.items():
        filled = ", ".join(f"{n:,} filled from {pin}" for pin, n in counts.filled.items() if n)
        if counts.found:
            found.append(
                f"{series}: {counted(counts.found, 'bar')} missing when due; "
                f"{filled or 'none filled'}, {counts.left:,} left missing"
            )
    return found


class Filling(NamedTuple):
    """How missing bars of one instrument are asked for.

    Attributes
    ----------
    sources
        Number among the pins of `fill` (from 1), pin, and feed of bars of the base's timeframe
        or of trades; asked in this order.
    evidence
        Feeds of the instrument's own trades and quotes, which tell where nothing traded.
    check_ns
        Time between two checks.
    retries
        How often a bar is asked for again.
    """

    sources: Sequence[tuple[int, Pin, Feed]]
    evidence: Sequence[Feed]
    check_ns: int
    retries: int


def fits(pin: Pin, base: Series) -> bool:
    """Whether a pin can fill bars of a series; another venue's is matched by symbol.

    Raises
    ------
    UsageError
        If it is of the same symbol and holds neither such bars nor trades.
    """
    series = pin.series
    if series.instrument.symbol != base.instrument.symbol:
        return False
    same = (series.kind, series.price) == (base.kind, base.price)
    if not base.timeframe.is_intraday or not (same or series.kind == "trades"):
        raise UsageError(
            f"{base} cannot be filled from {pin}",
            hint="bars narrower than a day are filled from bars of their timeframe, or from trades",
        )
    return True


class _Slots(NamedTuple):
    """The slots of a session: when each starts, its first ask, and whether a bar is expected."""

    start_ns: Ints
    asked_ns: Ints
    expected: Flags


class _Missing(NamedTuple):
    """A session that had gaps: its slots, and at which ask the base's own bar is there."""

    played: Played
    slots: _Slots
    base: Ints


class _Kept:
    """The rows of a feed that belong to sessions which are not over."""

    def __init__(self) -> None:
        self._rows: Rows | None = None

    def add(self, rows: Rows) -> Rows:
        """All of them, with those that come now."""
        self._rows = rows if self._rows is None else joined(self._rows, rows)
        return self._rows

    def leave(self, until_ns: int, agenda: Agenda) -> None:
        """Forget sessions that close up to and including a moment."""
        if self._rows is not None:
            self._rows = picked(self._rows, agenda.close_ns[self._rows.session] > until_ns)


class FillFeed:
    """Fills the base bars of one instrument: a stream of revisions.

    Parameters
    ----------
    base
        Whose bars are filled.
    filling
        From what, and how often.

    Attributes
    ----------
    counts
        What was found.
    """

    def __init__(self, base: Feed, filling: Filling) -> None:
        self.track = Track(kernels.REVISION, base.track.instrument, 0)
        self.base = base
        self.series = base.series
        self.counts = UpkeepCounts(filled={str(pin): 0 for _, pin, _ in filling.sources})
        self._filling = filling
        self._width_ns = base.series.timeframe.width_ns
        self._base = _Kept()
        own = [feed for _, _, feed in filling.sources]
        self._kept = {feed: _Kept() for feed in (*own, *filling.evidence)}
        self._after_ns = self._until_ns = START_OF_TIME_NS
        none, nowhere = np.empty(0, np.int64), np.empty(0, np.int32)
        self._made = self._nothing = Rows(self.empty(), none, nowhere, None, none)

    def empty(self) -> Columns:
        """No bars."""
        return Bars.empty(self.series)

    def build(self, base: Rows, until_ns: int, agenda: Agenda) -> Rows:
        """The bars released up to and including a moment, and not before; the same if repeated.

        What can be filled from is read only where there are gaps.
        """
        if until_ns == self._until_ns:
            return self._made
        self._after_ns, self._until_ns = self._until_ns, until_ns
        rows = self._base.add(base)
        running = agenda.running(self.base.calendar, self._after_ns, until_ns)
        gaps = [found for played in running if (found := self._gaps_of(played, rows))]
        self._made = _in_order(self._nothing, *(self._fill(gaps, agenda) if gaps else ()))
        goes_on = (p.session.open_ns for p in running if p.session.close_ns > until_ns)
        begin_ns = min(goes_on, default=until_ns)
        self._base.leave(until_ns, agenda)
        for feed, kept in self._kept.items():
            kept.leave(until_ns, agenda)
            feed.skip(begin_ns)
        return self._made

    def _gaps_of(self, played: Played, rows: Rows) -> _Missing | None:
        """The slots of a session, if a bar is missing when it is due."""
        slots = self._slots(played.regular)
        base, _ = self._asks(slots, played, rows)
        return _Missing(played, slots, base) if (slots.expected & (base > 0)).any() else None

    def _fill(self, gaps: Sequence[_Missing], agenda: Agenda) -> list[Rows]:
        """What is released for gaps in the present stretch, by session and source."""
        known = {
            feed: kept.add(feed.take(self._until_ns, agenda)) for feed, kept in self._kept.items()
        }
        sources = [self._bars(known[feed], agenda) for _, _, feed in self._filling.sources]
        return [
            picked(each, (each.known_ns > self._after_ns) & (each.known_ns <= self._until_ns))
            for gap in gaps
            for each in self._of_session(gap, known, sources)
        ]

    def _of_session(
        self, gap: _Missing, known: dict[Feed, Rows], sources: Sequence[Rows]
    ) -> list[Rows]:
        """What is filled of a session, by source; each known when it is released."""
        played, slots, base = gap
        session, check_ns = played.regular, self._filling.check_ns
        found = [self._asks(slots, played, rows) for rows in sources]
        asks = np.stack([base, *(asks for asks, _ in found)])
        which, ask = asks.argmin(axis=0), np.minimum(asks.min(axis=0), self._filling.retries + 1)
        wanted = slots.expected & (base > 0)
        quiet = wanted & self._quiet(slots, played, known)
        wanted &= ~quiet
        filled = wanted & (which > 0) & (ask <= self._filling.retries)
        if self._after_ns < session.close_ns <= self._until_ns:
            self._count(slots, session, wanted, which * filled, ask)
            self.counts.quiet += int(quiet.sum())
        asked_ns = np.minimum(slots.asked_ns + ask * check_ns, session.close_ns)
        release_ns = np.minimum(asked_ns + check_ns, session.close_ns)
        parts = []
        for nth, (rows, (_, row)) in enumerate(zip(sources, found, strict=True), 1):
            mine = filled & (which == nth)
            number = np.full(int(mine.sum()), self._filling.sources[nth - 1][0])
            parts.append(picked(rows, row[mine])._replace(known_ns=release_ns[mine], origin=number))
        return parts

    def _slots(self, session: Session) -> _Slots:
        """Of a session's regular hours, within the replay's range."""
        origin_ns, width_ns = slot_layout(session, self._width_ns, "session")
        start = np.arange(origin_ns, session.close_ns, width_ns)
        end = np.minimum(start + width_ns, session.close_ns)
        first_ns, after_ns = self.base.span_ns
        expected = (start >= first_ns) & (start < after_ns)
        for begin_ns, end_ns in session.breaks:
            expected &= (start < begin_ns) | (end > end_ns)
        check_ns = self._filling.check_ns
        checks = -((session.open_ns - end) // check_ns)
        asked = np.minimum(session.open_ns + checks * check_ns, session.close_ns)
        return _Slots(start, asked, expected)

    def _asks(self, slots: _Slots, played: Played, rows: Rows) -> tuple[Ints, Ints]:
        """By slot: at which ask, counted from 0, a bar of it is there; and its row."""
        first, end = np.searchsorted(rows.session, (played.ordinal, played.ordinal + 1))
        starts = rows.data.key_ns[first:end]
        slot = np.searchsorted(slots.start_ns, starts, side="right") - 1
        inside = (slot >= 0) & (starts < played.regular.close_ns)
        slot, row = slot[inside], np.arange(first, end)[inside]
        late_ns = rows.known_ns[row] - slots.asked_ns[slot]
        asks, row_of = np.full(len(slots.start_ns), _NEVER), np.zeros(len(slots.start_ns), np.int64)
        asks[slot[::-1]] = np.maximum(-(-late_ns // self._filling.check_ns), 0)[::-1]
        row_of[slot[::-1]] = row[::-1]
        return asks, row_of

    def _quiet(self, slots: _Slots, played: Played, known: dict[Feed, Rows]) -> Flags:
        """In which slots nothing traded, as its trades or quotes tell by the end of the slot.

        Trades tell it where they are heard and there is none, quotes where they are heard.
        """
        quiet, traded = np.zeros((2, len(slots.start_ns)), np.bool_)
        for feed in self._filling.evidence:
            rows = known[feed]
            first, end = np.searchsorted(rows.session, (played.ordinal, played.ordinal + 1))
            times = rows.data.key_ns[first:end]
            times = times[(times >= slots.start_ns[0]) & (times < played.regular.close_ns)]
            slot = np.searchsorted(slots.start_ns, times, side="right") - 1
            events = np.bincount(slot, minlength=len(slots.start_ns))
            heard = kernels.heard(events, slots.expected, IMPROBABLE)
            if feed.series.kind == "trades":
                traded |= events > 0
                heard &= events == 0
            quiet |= heard
        return quiet & ~traded

    def _count(
        self, slots: _Slots, session: Session, wanted: Flags, which: Ints, ask: Ints
    ) -> None:
        counts, filling = self.counts, self._filling
        counts.found += int(wanted.sum())
        counts.left += int((wanted & (ask > filling.retries)).sum())
        for nth, (_, pin, _) in enumerate(filling.sources, 1):
            counts.filled[str(pin)] += int((which == nth).sum())
        checks = -((slots.asked_ns - session.close_ns) // filling.check_ns)
        again = np.minimum(ask, np.minimum(filling.retries, checks))
        counts.retries += int(again[wanted].sum())

    def _bars(self, rows: Rows, agenda: Agenda) -> Rows:
        """The rows as bars of the base's series; trades become the bars they make."""
        data = rows.data
        if isinstance(data, Trades):
            bins = table_bins(data.time_ns, rows.session, *agenda.bounds, self._width_ns)
            price = data.price
            made = widen_columns(*bins, price, price, price, price, data.size, data.label)
            data, session = Bars(self.series, *made[:-1]), rows.session[made[-1].cumsum() - 1]
            rows = Rows(data, data.end_ns, session)
        columns = data.columns()
        filled = columns["label"] | FILLED
        return rows._replace(data=Bars(self.series, **(columns | {"label": filled})))


def _in_order(*parts: Rows) -> Rows:
    """All parts in the order they are released."""
    rows = joined(*parts)
    if not len(rows.session):
        return rows
    return picked(rows, np.lexsort((rows.data.key_ns, rows.known_ns)))


class FilledDerived(DerivedFeed):
    """Builds wider bars from base bars and what was filled of them before they are released.

    Attributes
    ----------
    revised
        The bars computed again in the stretch last built: known at the moment of the filling.
    """

    def __init__(
        self, track: Track, fills: FillFeed, frame: Timeframe, anchor: Anchor, calendar: Calendar
    ) -> None:
        super().__init__(track, fills.base, frame, anchor, calendar)
        none, nowhere = np.empty(0, np.int64), np.empty(0, np.int32)
        self.fills = fills
        self._until_ns = START_OF_TIME_NS
        self._rows = Rows(fills.empty(), none, nowhere, None, none)
        self._nothing = self.revised = Rows(self.empty(), none, nowhere, none, none)

    def build(self, base: Rows, until_ns: int, agenda: Agenda) -> Rows:
        """As `DerivedFeed.build`."""
        fills = self.fills.build(base, until_ns, agenda)
        after_ns, self._until_ns = self._until_ns, until_ns
        rows = joined(self._rows, base._replace(origin=np.zeros_like(base.known_ns)), fills)
        if len(fills.session):
            rows = picked(rows, np.argsort(rows.data.key_ns, kind="stable"))
        rows, begins, ends = self._binned(rows, agenda)
        assert rows.origin is not None
        is_base = rows.origin == 0
        self._require_fit(picked(rows, is_base), ends[is_base])
        due = (ends > after_ns) & (ends <= until_ns) & (is_base | (rows.known_ns < ends))
        late = ~is_base & (rows.known_ns >= ends)
        late &= (rows.known_ns > after_ns) & (rows.known_ns <= until_ns)
        self.revised = self._again(rows, begins, ends, late, agenda)
        kept = (ends > until_ns) | (agenda.close_ns[rows.session] > until_ns)
        self._rows = picked(rows, kept)
        return self._widened(picked(rows, due), begins[due], ends[due], agenda)

    def _again(self, rows: Rows, begins: Ints, ends: Ints, late: Flags, agenda: Agenda) -> Rows:
        """For each moment and bar in which late rows were released: the bar with them."""
        assert rows.origin is not None
        if not late.any():
            return self._nothing
        known, begin = np.unique(np.stack([rows.known_ns[late], begins[late]]), axis=1)
        bounds = np.searchsorted(begins, begin), np.searchsorted(begins, begin, side="right")
        members = [
            first + np.flatnonzero((rows.origin[first:end] == 0) | (rows.known_ns[first:end] <= at))
            for first, end, at in zip(*bounds, known, strict=True)
        ]
        row = np.concatenate([np.empty(0, np.int64), *members])
        nth = np.repeat(np.arange(len(members)), [len(each) for each in members])
        made = self._widened(picked(rows, row), nth, ends[row], agenda)
        columns = made.data.columns() | {"start_ns": begin}
        data = Bars(self.series, **columns)
        return Rows(data, known, made.session, made.present, np.zeros_like(known))


class DerivedRevisions:
    """The stream of derived bars that were computed again."""

    def __init__(self, derived: FilledDerived) -> None:
        self.track = derived.track._replace(kind=kernels.REVISION)
        self.base = derived.base
        self.series = derived.series
        self._derived = derived

    def empty(self) -> Columns:
        """No bars."""
        return Bars.empty(self.series)

    def build(self, base: Rows, until_ns: int, agenda: Agenda) -> Rows:  # noqa: ARG002
        """What the derived feed, built before this, has made again."""
        return self._derived.revised
