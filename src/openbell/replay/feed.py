"""Feeds: base data of one instrument, handed over as it becomes known; bars derived from it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from openbell.market.bars import Bars
from openbell.market.build import bins
from openbell.market.calendars import Calendar
from openbell.market.columns import CORRUPT, Columns, require_ordered
from openbell.market.errors import ReplayError
from openbell.market.instrument import Series
from openbell.market.kernels import widen_columns
from openbell.market.ticks import Quotes, Trades
from openbell.market.timeframe import Anchor, Timeframe
from openbell.replay.agenda import Agenda
from openbell.replay.chunk import Rows, Track

# Rows of one series whose key lies in ``[start_ns, end_ns)``, in order.
Reader = Callable[[int, int], Columns]
_WIDENED = ("open", "high", "low", "close", "volume", "label")


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
    """

    played: int = 0
    off_hours: int = 0
    corrupt: int = 0


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
    start_ns, end_ns
        The replay's range: only rows with ``start_ns <= key < end_ns`` are played.
    """

    def __init__(
        self, track: Track, series: Series, calendar: int, read: Reader, span_ns: tuple[int, int]
    ) -> None:
        self.track = track
        self.series = series
        self.counts = Counts()
        self._calendar = calendar
        self._read = read
        self._at_ns, self._end_ns = span_ns
        self._held: Columns | None = None

    def empty(self) -> Columns:
        """No rows, of the kind it reads."""
        kinds: dict[str, type[Columns]] = {"trades": Trades, "quotes": Quotes}
        return kinds.get(self.series.kind, Bars).empty(self.series)

    def take(self, until_ns: int, agenda: Agenda) -> Rows:
        """The rows that become known up to and including `until_ns` and were not taken before."""
        limit_ns = min(self._end_ns, until_ns + 1)
        data = self._read(self._at_ns, max(limit_ns, self._at_ns))
        if self._held is not None and len(self._held):
            data = type(data).joined([self._held, data])
        self._at_ns = max(limit_ns, self._at_ns)
        rows = self._sane(data, agenda)
        ready = rows.known_ns <= until_ns
        if rows.data.names()[0] == "time_ns":
            opens = np.array([p.session.open_ns for p in agenda.sessions], np.int64)
            ready &= ~((rows.known_ns == until_ns) & (opens[rows.session] == until_ns))
        self._held = rows.data.take(~ready)
        self.counts.played += int(ready.sum())
        return Rows(rows.data.take(ready), rows.known_ns[ready], rows.session[ready])

    def finish(self, agenda: Agenda) -> None:
        """Count what is left after the last session's close."""
        rest = self._read(self._at_ns, max(self._end_ns, self._at_ns))
        self._at_ns = self._end_ns
        self._sane(rest, agenda)

    def _sane(self, data: Columns, agenda: Agenda) -> Rows:
        """The rows within the hours played that are not corrupt, and when each is known."""
        corrupt = (data.columns()["label"] & CORRUPT) != 0
        self.counts.corrupt += int(corrupt.sum())
        data = data.take(~corrupt) if corrupt.any() else data
        is_bars = isinstance(data, Bars)
        session = agenda.ordinals(self._calendar, data.key_ns, is_tick=not is_bars)
        inside = session >= 0
        if is_bars:
            inside &= ~agenda.in_breaks(data.key_ns)
        if not inside.all():
            self.counts.off_hours += len(inside) - int(inside.sum())
            data, session = data.take(inside), session[inside]
        if not isinstance(data, Bars):
            return Rows(data, data.key_ns, session)
        closes = np.array([p.session.close_ns for p in agenda.sessions], np.int64)
        known = np.minimum(data.end_ns, closes[session])
        require_ordered(f"ends of {self.series}", known, strict=False)
        return Rows(data, known, session)


class DerivedFeed:
    """Builds wider bars from the base bars of one feed, counted from the session's open or epoch.

    A derived bar is known at the end of its interval, or at the session's close if that is
    earlier, whether or not a base bar ends there. An interval without base bars makes none.
    """

    def __init__(
        self, track: Track, base: Feed, frame: Timeframe, anchor: Anchor, calendar: Calendar
    ) -> None:
        if base.series.timeframe.width_ns >= frame.width_ns > 0:
            raise ReplayError(
                f"{frame} bars cannot be derived from {base.series}",
                hint="derived timeframes are wider than the base they are built from",
            )
        self.track = track
        self.base = base
        self.series = replace(base.series, kind=frame.code)
        self._frame, self._anchor, self._calendar = frame, anchor, calendar
        self._held: Rows | None = None

    def empty(self) -> Columns:
        """No bars."""
        return Bars.empty(self.series)

    def build(self, base: Rows, until_ns: int) -> Rows:
        """The derived bars whose interval ends up to and including `until_ns`."""
        data, session = base.data, base.session
        if self._held is not None and len(self._held.data):
            data = type(data).joined([self._held.data, data])
            session = np.concatenate([self._held.session, session])
        if not isinstance(data, Bars):
            raise ReplayError(f"{self.series} can only be derived from bars")
        begins, ends = bins(
            data.start_ns, self._frame, anchor=self._anchor, calendar=self._calendar
        )
        in_bin = begins >= 0
        if not in_bin.all():
            data, session = data.take(in_bin), session[in_bin]
            begins, ends = begins[in_bin], ends[in_bin]
        ready = int(np.searchsorted(ends, until_ns, side="right"))
        self._held = Rows(data.take(slice(ready, None)), ends[ready:], session[ready:])
        done = data.take(slice(0, ready)).columns()
        made = widen_columns(begins[:ready], ends[:ready], *(done[name] for name in _WIDENED))
        bars = Bars(self.series, *made[:-1])
        return Rows(bars, bars.end_ns, session[:ready][np.cumsum(made[-1]) - 1], made[-1])
