"""Feeds: base data of one instrument, handed over as it becomes known; bars derived from it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import numpy as np

from openbell.market.bars import Bars
from openbell.market.build import bins, require_wider, straddles
from openbell.market.calendars import Calendar
from openbell.market.columns import CORRUPT, Columns, Ints
from openbell.market.instrument import Series
from openbell.market.kernels import table_bins, widen_columns
from openbell.market.ticks import Quotes, Trades
from openbell.market.timeframe import Anchor, Timeframe
from openbell.replay import kernels
from openbell.replay.agenda import Agenda, Sorted
from openbell.replay.chunk import Rows, Track

# Rows of one series whose key lies in ``[start_ns, end_ns)``, in order.
Reader = Callable[[int, int], Columns]
_WIDENED = attrgetter("open", "high", "low", "close", "volume", "label")


@dataclass(slots=True)
class Counts:
    """What became of the rows a feed read: played, or withheld for a reason.

    Attributes
    ----------
    played
        Rows released, or to be released.
    off_hours
        Rows outside the hours played (before the open, in a break, at the close or later).
    corrupt
        Rows stored with the label `CORRUPT`.
    over_close
        Bars among the played whose interval ends after their session's close, at which they are
        known: right if they hold nothing from after the close.
    """

    played: int = 0
    off_hours: int = 0
    corrupt: int = 0
    over_close: int = 0


class Times:
    """Sorts bars out; instruments that trade in the same minutes share these.

    What is shared is sorted out once and held once.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[Agenda, int, str], tuple[Ints, Ints, Sorted]] = {}

    def sort_out(self, agenda: Agenda, calendar: int, bars: Bars) -> tuple[Bars, Sorted]:
        """As `Agenda.sort_out`; the bars come back with the times of the bars before, if alike."""
        key = agenda, calendar, bars.series.kind
        if key in self._last:
            start_ns, end_ns, found = self._last[key]
            if kernels.are_like(bars.start_ns, bars.end_ns, bars.label, start_ns, end_ns):
                return Bars.made(bars.series, start_ns, end_ns, *_WIDENED(bars)), found
        found = agenda.sort_out(calendar, bars)
        if not found.corrupt:
            self._last[key] = bars.start_ns, bars.end_ns, found
        return bars, found


class Feed:
    """Hands over the rows of one series chunk by chunk, in order, each once.

    Parameters
    ----------
    track
        Which stream of the replay it is.
    series
        What it reads.
    calendar
        Position of its calendar on the agenda.
    read
        Reads the pinned version; called once for every stretch of time.
    span_ns
        The replay's range, start and end: only rows with ``start <= key < end`` are played.
    times
        Shared with the feeds of other instruments.
    """

    def __init__(
        self,
        track: Track,
        series: Series,
        calendar: int,
        read: Reader,
        span_ns: tuple[int, int],
        times: Times | None = None,
    ) -> None:
        self.track = track
        self.series = series
        self.counts = Counts()
        self.calendar = calendar
        self.span_ns = span_ns
        self._read = read
        self._times = times or Times()
        self._at_ns, self._end_ns = span_ns
        self._held: Columns | None = None

    def empty(self) -> Columns:
        """No rows, of the kind it reads."""
        kinds: dict[str, type[Columns]] = {"trades": Trades, "quotes": Quotes}
        return kinds.get(self.series.kind, Bars).empty(self.series)

    def take(self, until_ns: int, agenda: Agenda) -> Rows:
        """The rows that become known up to and including `until_ns` and were not taken before.

        A trade or quote stamped exactly there waits if its session opens there.
        """
        limit_ns = max(min(self._end_ns, until_ns + 1), self._at_ns)
        data = self._read(self._at_ns, limit_ns)
        self._at_ns = limit_ns
        if self._held is not None:
            data = type(data).joined([self._held, data])
        rows = self._sane(data, agenda)
        ready = int(rows.known_ns.searchsorted(until_ns, "right"))
        is_tick = not self.series.is_bars
        if is_tick and ready and agenda.open_ns[rows.session[ready - 1]] == until_ns:
            ready = int(rows.known_ns.searchsorted(until_ns))
        self.counts.played += ready
        rows, held = _cut(rows, ready)
        self._held = held.data if held else None
        if isinstance(rows.data, Bars) and rows.known_ns is not rows.data.end_ns:  # else none
            self.counts.over_close += int(np.count_nonzero(rows.known_ns < rows.data.end_ns))
        return rows

    def skip(self, to_ns: int) -> None:
        """Leave out, unread, what starts before a moment and was not taken."""
        self._at_ns = max(self._at_ns, min(to_ns, self._end_ns))

    def finish(self, agenda: Agenda) -> None:
        """Count what is left after the last session's close."""
        if self._at_ns < self._end_ns:
            self._sane(self._read(self._at_ns, self._end_ns), agenda)
            self._at_ns = self._end_ns
        self.counts.off_hours += 0 if self._held is None else len(self._held)

    def _sane(self, data: Columns, agenda: Agenda) -> Rows:
        """The rows within the hours played that are not corrupt, and when each is known."""
        if isinstance(data, Bars):
            data, found = self._times.sort_out(agenda, self.calendar, data)
            session, known, corrupt, kept = found
        else:
            withheld = (data.columns()["label"] & CORRUPT) != 0
            corrupt = int(np.count_nonzero(withheld))
            session, known = agenda.ordinals_of_ticks(self.calendar, data.key_ns), data.key_ns
            session[withheld] = -1
            kept = int(np.count_nonzero(session >= 0))
        self.counts.corrupt += corrupt
        self.counts.off_hours += len(session) - kept - corrupt
        rows = Rows(data, known, session)
        return rows if kept == len(session) else picked(rows, session >= 0)


class DerivedFeed:
    """Builds wider bars from the base bars of one feed, counted from the session's open or epoch.

    A derived bar is known at the end of its interval, or at the session's close if that is
    earlier, whether or not a base bar ends there. An interval without base bars makes none. Below
    a day no bar reaches over an open or a close.

    Raises
    ------
    UsageError
        If the base bars are not narrower, or do not fit into the derived ones.
    """

    def __init__(
        self, track: Track, base: Feed, frame: Timeframe, anchor: Anchor, calendar: Calendar
    ) -> None:
        require_wider(base.series.timeframe, frame)
        self.track = track
        self.base = base
        self.series = replace(base.series, kind=frame.code)
        self._frame, self._anchor = frame, anchor
        self._calendar = calendar
        self._held: Rows | None = None

    def empty(self) -> Columns:
        """No bars."""
        return Bars.empty(self.series)

    def build(self, base: Rows, until_ns: int, agenda: Agenda) -> Rows:
        """The derived bars whose interval ends up to and including `until_ns`.

        Raises
        ------
        BadDataError
            If a base bar reaches over the end of the derived bar it starts in.
        """
        rows = base if self._held is None else joined(self._held, base)
        rows, begins, ends = self._binned(rows, agenda)
        self._require_fit(rows, ends)
        ready = int(ends.searchsorted(until_ns, "right"))
        rows, self._held = _cut(rows, ready)
        return self._widened(rows, begins[:ready], ends[:ready], agenda)

    def _widened(self, rows: Rows, begins: Ints, ends: Ints, agenda: Agenda) -> Rows:
        """One derived bar for each bin of consecutive rows."""
        made = widen_columns(begins, ends, *_WIDENED(rows.data))
        bars, present = Bars.made(self.series, *made[:-1]), made[-1]
        if self._frame.is_intraday:
            session = rows.session[present.cumsum() - 1]
        else:
            session = agenda.opened_before(self.base.calendar, bars.end_ns)
        return Rows(bars, bars.end_ns, session, present)

    def _binned(self, rows: Rows, agenda: Agenda) -> tuple[Rows, Ints, Ints]:
        """The rows that go into derived bars; start and end of each row's bar."""
        begins, ends = self._bins(rows, agenda)
        if self._frame.is_intraday:
            return rows, begins, ends
        inside = begins >= 0  # a day or more leaves extended hours out
        return picked(rows, inside), begins[inside], ends[inside]

    def _bins(self, rows: Rows, agenda: Agenda) -> tuple[Ints, Ints]:
        starts = rows.data.key_ns
        if self._frame.is_intraday and self._anchor == "session":
            return table_bins(starts, rows.session, *agenda.bounds, self._frame.width_ns)
        begins, ends = bins(starts, self._frame, anchor=self._anchor, calendar=self._calendar)
        if not self._frame.is_intraday:
            return begins, ends
        opens, closes = agenda.open_ns[rows.session], agenda.close_ns[rows.session]
        return np.maximum(begins, opens), np.minimum(ends, closes)

    def _require_fit(self, rows: Rows, ends: Ints) -> None:
        over = rows.known_ns > ends
        if np.count_nonzero(over):
            assert isinstance(rows.data, Bars)
            first = int(over.argmax())
            raise straddles(self.series, rows.data.bar(first), int(ends[first]))


def picked(rows: Rows, which: Any) -> Rows:
    """The rows that a slice, mask or index array picks; columns that stay whole are not copied."""
    if getattr(which, "dtype", None) == np.bool_:
        count = int(np.count_nonzero(which))
        which = slice(count) if count in (0, len(which)) else which
    origin = None if rows.origin is None else rows.origin[which]
    data = rows.data.take(which)
    known = _own_ns(data) if rows.known_ns is _own_ns(rows.data) else rows.known_ns[which]
    return Rows(data, known, rows.session[which], None, origin)


def _own_ns(data: Columns) -> Ints:
    """When each row is known by itself; held once, where nothing else decides it."""
    return data.end_ns if isinstance(data, Bars) else data.key_ns


def joined(*parts: Rows) -> Rows:
    """The rows of all parts, one after the other; all or none have an origin."""
    parts = tuple(part for part in parts if len(part.session)) or parts[:1]
    if len(parts) == 1:
        return parts[0]
    origins = [part.origin for part in parts if part.origin is not None]
    return Rows(
        type(parts[0].data).joined([part.data for part in parts]),
        np.concatenate([part.known_ns for part in parts]),
        np.concatenate([part.session for part in parts]),
        None,
        np.concatenate(origins) if origins else None,
    )


def _cut(rows: Rows, at: int) -> tuple[Rows, Rows | None]:
    """The rows before a position, and those from it on; None for no rows."""
    if at == len(rows.known_ns):
        return rows, None
    return picked(rows, slice(at)), picked(rows, slice(at, None))
