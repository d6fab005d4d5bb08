"""Calendars: which sessions a venue has.

``calendar("XNYS")`` gives one by name: those of `market.instrument.venue`, every other name that
pandas_market_calendars knows, and those put in by `register`. Its sessions are a table of
columns. The first time, a table is made with the library; with a cache (`set_cache`) later
processes load it in milliseconds and never import pandas.
"""

import itertools
import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from openbell.market import calendar_hours as hours
from openbell.market.calendar_overrides import VERSION
from openbell.market.columns import Ints
from openbell.market.errors import NotRecordedError, UsageError
from openbell.market.moments import DAY_NS, iso, parse_date
from openbell.market.session import Session
from openbell.market.session_table import SessionTable, day_label, day_number

__all__ = [
    "Calendar",
    "SessionTable",
    "TableCache",
    "calendar",
    "expected_starts",
    "override_hours",
    "register",
    "set_cache",
    "user_calendar",
]


class TableCache(Protocol):
    """Keeps finished session tables between processes."""

    def load(self, key: str) -> dict[str, NDArray[Any]] | None:
        """The arrays saved under `key`; None if there are none, or they are damaged."""
        ...

    def save(self, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep the arrays under `key`, in place of what was there."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Calendar:
    """The sessions of a venue.

    Attributes
    ----------
    name
        As asked for: ``XNYS``.
    zone
        IANA time zone of the venue's clocks.
    version
        What the sessions come from: versions of the library and of our overrides,
        ``5.5.0+1``; for user-defined ones a checksum of the sessions.
    table
        All sessions known, 1990 (XNYS: 1928) to 2035.
    """

    name: str
    zone: str
    version: str
    table: SessionTable

    def session(self, label: str) -> Session:
        """The session of a date; raise `NotRecordedError` if there is none on it."""
        row = self._row(label)
        if row < 0:
            near = [self.next(label, step).label for step in (-1, 1)]
            raise NotRecordedError(
                f"{label} is no session of {self.name}",
                hint=f"the session before it is {near[0]}, the one after it {near[1]}",
            )
        return self.table.session(row)

    def next(self, label: str, count: int = 1) -> Session:
        """The session `count` after the date (before it, if negative), which need not be one.

        Raises
        ------
        NotRecordedError
            If that lies outside the years the calendar knows.
        UsageError
            If `count` is 0.
        """
        if count == 0:
            raise UsageError("the session 0 after a date is asked for", hint="use `session`")
        day = day_number(parse_date(label))
        after = int(np.searchsorted(self.table.day, day, side="right"))
        row = after + count - 1 if count > 0 else self._first_from(day) + count
        if not 0 <= row < len(self.table):
            raise NotRecordedError(
                f"{self.name} is known {self._span()}; it has no session {count:+d} from {label}"
            )
        return self.table.session(row)

    def at(self, ns: int, *, extended: bool = False) -> Session | None:
        """The session whose hours the moment falls in, breaks included; None between sessions."""
        opens, closes = self._hours(extended=extended)
        row = int(np.searchsorted(opens, ns, side="right")) - 1
        if row < 0 or ns >= closes[row]:
            return None
        return self.table.session(row)

    def between(self, start_ns: int, end_ns: int, *, extended: bool = False) -> SessionTable:
        """The sessions whose hours overlap ``start_ns <= t < end_ns``."""
        opens, closes = self._hours(extended=extended)
        lo = int(np.searchsorted(closes, start_ns, side="right"))
        hi = int(np.searchsorted(opens, end_ns, side="left"))
        return self.table.rows(lo, max(lo, hi))

    def row_at(self, ns: Ints, *, extended: bool = False) -> Ints:
        """Row in `table` of the session each moment falls in, -1 outside.

        A break is outside regular hours, but inside extended hours.

        Raises
        ------
        UsageError
            If a moment lies outside the years the calendar knows.
        """
        self._require_known(ns)
        opens, closes = self._hours(extended=extended)
        row = np.searchsorted(opens, ns, side="right") - 1
        outside = ns >= closes[row]
        if not extended and len(self.table.break_ns):
            nth = np.searchsorted(self.table.break_ns[:, 0], ns, side="right") - 1
            outside |= (nth >= 0) & (ns < self.table.break_ns[nth, 1])
        return np.where(outside | (row < 0), -1, row)

    def _hours(self, *, extended: bool) -> tuple[Ints, Ints]:
        if extended:
            return self.table.pre_ns, self.table.post_ns
        return self.table.open_ns, self.table.close_ns

    def _row(self, label: str) -> int:
        day = day_number(parse_date(label))
        row = self._first_from(day)
        return row if row < len(self.table) and self.table.day[row] == day else -1

    def _first_from(self, day: int) -> int:
        return int(np.searchsorted(self.table.day, day, side="left"))

    def _span(self) -> str:
        return f"from {day_label(int(self.table.day[0]))} to {day_label(int(self.table.day[-1]))}"

    def _require_known(self, ns: Ints) -> None:
        # A few days at both ends, to take in the holidays around New Year.
        first_ns = (int(self.table.day[0]) - _MARGIN_DAYS) * DAY_NS
        end_ns = (int(self.table.day[-1]) + _MARGIN_DAYS) * DAY_NS
        if len(ns) and (ns.min() < first_ns or ns.max() >= end_ns):
            far = int(ns.min()) if ns.min() < first_ns else int(ns.max())
            raise UsageError(f"{self.name} is known {self._span()}, not at {iso(far)}")


_MARGIN_DAYS = 5

_lock = threading.Lock()
_known: dict[str, Calendar] = {}
_cache: list[TableCache] = []


def set_cache(cache: TableCache | None) -> None:
    """Keep tables in `cache` from now on; None to keep them in this process only."""
    with _lock:
        _cache[:] = [cache] if cache is not None else []


def register(new: Calendar) -> Calendar:
    """Make a calendar known by its name, in place of one that had it before; give it back."""
    with _lock:
        _known[new.name] = new
    return new


def calendar(name: str) -> Calendar:
    """The calendar of a name; made or loaded once a process.

    Raises
    ------
    UsageError
        If neither we nor the library know the name.
    """
    with _lock:
        found = _known.get(name)
    return found if found is not None else register(_native(name) or _from_library(name))


def _native(name: str) -> Calendar | None:
    """The calendars that need no library.

    ``24/7`` has a session per UTC day, ``24/5`` one per UTC weekday. The ``FOREX`` week is
    Sunday 17:00 to Friday 17:00 in New York, parted at 17:00; it has no holidays.
    """
    rules = {
        "24/7": ("UTC", "all", hours.Hours(0, 24 * 60)),
        "24/5": ("UTC", "mon-fri", hours.Hours(0, 24 * 60)),
        "FOREX": ("America/New_York", "mon-fri", hours.Hours(-7 * 60, 17 * 60)),
    }
    if name not in rules:
        return None
    zone, days, regular = rules[name]
    on = hours.days_on(hours.weekdays(days))
    return Calendar(name, zone, f"+{VERSION}", hours.regular_table(name, zone, on, regular))


def _from_library(name: str) -> Calendar:
    version = f"{metadata.version('pandas_market_calendars')}+{VERSION}"
    key = f"{name} {version}"
    with _lock:
        cache = _cache[0] if _cache else None
    arrays = cache.load(key) if cache else None
    if arrays is None:
        zone, table = hours.library_table(name)
        table = hours.with_overrides(table, zone)
        if cache:
            cache.save(key, {**table.columns(), "zone": np.array(zone)})
        return Calendar(name, zone, version, table)
    zone = str(arrays.pop("zone"))
    return Calendar(name, zone, version, SessionTable(name, **arrays))


def user_calendar(  # noqa: PLR0913  # a calendar has this many parts
    name: str,
    zone: str,
    open: str,  # noqa: A002  # the word for it
    close: str,
    *,
    days: str = "mon-fri",
    holidays: Sequence[str] = (),
    early_closes: Mapping[str, str] | None = None,
    overnight: bool = False,
) -> Calendar:
    """A calendar of your own; `register` it to use it by name.

    Parameters
    ----------
    open, close
        Times of day on the clocks of `zone`, ``09:30``; ``24:00`` is the day's end.
    days
        Weekdays by which sessions are named: ``mon-fri``, ``mon,wed``, ``all``.
    holidays
        Dates without a session.
    early_closes
        Date → time of day of the close.
    overnight
        Whether sessions open on the day before the one they are named by.

    Raises
    ------
    UsageError
        If a date, time, weekday or zone is none, or an early close is on no session or not after
        its open.
    """
    regular = hours.Hours.parse(open, close, overnight=overnight)
    table = hours.regular_table(name, zone, hours.days_on(hours.weekdays(days), holidays), regular)
    table = hours.with_early_closes(table, dict(early_closes or {}), zone)
    return Calendar(name, zone, _checksum(table), table)


def override_hours(base: Calendar, start: str, end: str) -> Calendar:
    """The same days with regular hours from `start` to `end`, ``09:30`` to ``16:00`` venue time.

    A start that is not before the end is on the evening before. Early closes stay early;
    extended hours grow where the new hours leave them; a session that closes early before the new
    hours begin is none.
    """
    overnight = hours.minutes(start) >= hours.minutes(end)
    regular = hours.Hours.parse(start, end, overnight=overnight)
    name = f"{base.name} {start}-{end}"
    table = hours.with_hours(replace(base.table, calendar=name), regular, base.zone)
    return Calendar(name, base.zone, base.version, table)


def _checksum(table: SessionTable) -> str:
    code = 0
    for column in table.columns().values():
        code = zlib.crc32(column.tobytes(), code)
    return f"user-{code:08x}"


def expected_starts(session: Session, width_ns: int, *, extended: bool = False) -> Ints:
    """Starts of the bars a whole session has, in order, breaks left out.

    Widths are counted from the session's open, before it and after the close too; a bar ends at
    the open and at the close at the latest, as in `build.bins`. A bar is expected if at least a
    part of it lies outside breaks.

    Parameters
    ----------
    width_ns
        Above zero.
    """
    edges = [session.open_ns, session.close_ns]
    if extended:
        edges = [session.pre_ns, *edges, session.post_ns]
    starts = np.concatenate(
        [
            _grid(session.open_ns, start, end, width_ns)
            for start, end in itertools.pairwise(edges)
            if start < end
        ]
    )
    ends = np.append(starts[1:], edges[-1])
    keep = np.ones(len(starts), bool)
    for break_start, break_end in session.breaks:
        keep &= (starts < break_start) | (ends > break_end)
    return starts[keep]


def _grid(origin_ns: int, start_ns: int, end_ns: int, width_ns: int) -> Ints:
    """The start, and the multiples of the width from the origin that lie inside the stretch."""
    first = origin_ns + (start_ns - origin_ns) // width_ns * width_ns
    return np.maximum(np.arange(first, end_ns, width_ns, dtype=np.int64), start_ns)
