"""How session tables are made: from the library, from rules of our own, with other hours.

Slow (the library needs pandas, 1.5 s to import), so `calendars` keeps what comes out.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openbell.market.calendar_overrides import OVERRIDES, Override
from openbell.market.columns import Ints
from openbell.market.errors import UsageError
from openbell.market.moments import DAY_NS, SECOND_NS, parse_date
from openbell.market.session_table import SessionTable, day_number, without_empty_breaks
from openbell.market.zones import zone_info

FIRST_DAY = date(1990, 1, 1)
LAST_DAY = date(2035, 12, 31)

# Ours → the library's. NYSE is taken over its mirror XNYS because it knows extended hours, late
# opens and the circuit breaker of 1997; the CME calendars called "CME_…" are outdated twins.
_LIBRARY_NAMES = {
    "XNYS": "NYSE",
    "CME_EQUITY": "CME Globex Equity",
    "CME_AGRICULTURE": "CMEGlobex_Grains",
    "CME_METALS": "CMEGlobex_Metals",
    "CME_ENERGY": "CMEGlobex_Energy",
}
_SINCE = {"XNYS": date(1928, 1, 1)}
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Hours:
    """Regular hours on a venue's clocks, in minutes after midnight of the session's day.

    Attributes
    ----------
    open, close
        ``open < close``; an overnight session's open is negative: the evening before.
    """

    open: int
    close: int

    @classmethod
    def parse(cls, open: str, close: str, *, overnight: bool = False) -> "Hours":  # noqa: A002
        """Hours from ``09:30`` and ``16:00``; `overnight` ones open on the day before.

        Raises
        ------
        UsageError
            If a time is none, or the session would not open before it closes.
        """
        start = minutes(open) - (24 * 60 if overnight else 0)
        end = minutes(close)
        if start >= end:
            raise UsageError(
                f"a session cannot open at {open} and close at {close}",
                hint="say overnight if it opens the evening before",
            )
        return cls(start, end)


def minutes(clock: str) -> int:
    """Minutes after midnight of ``HH:MM``; ``24:00`` is the end of the day."""
    hour, colon, minute = clock.partition(":")
    if colon and hour.isdigit() and minute.isdigit() and len(minute) == 2:
        total = int(hour) * 60 + int(minute)
        if int(minute) < 60 and total <= 24 * 60:
            return total
    raise UsageError(f"`{clock}` is not a time of day", hint="write it as 09:30")


def moments(days: Ints, minute: int, zone: str) -> Ints:
    """UTC nanoseconds at which the clocks of `zone` show `minute` of each day.

    Raises
    ------
    UsageError
        If the zone is unknown.
    """
    clock = zone_info(zone)
    start = datetime(1970, 1, 1) + timedelta(minutes=minute)  # noqa: DTZ001  # zone comes below
    seconds = [
        int((start + timedelta(days=day)).replace(tzinfo=clock).timestamp())
        for day in days.tolist()
    ]
    return np.array(seconds, np.int64) * SECOND_NS


def weekdays(text: str) -> frozenset[int]:
    """Weekdays (Monday is 0) of ``mon-fri``, ``sun-thu``, ``mon,wed,fri`` or ``all``."""
    found: set[int] = set()
    for part in ("mon-sun" if text == "all" else text).split(","):
        first, _, last = part.strip().lower().partition("-")
        if first not in _WEEKDAYS or (last or first) not in _WEEKDAYS:
            raise UsageError(f"`{text}` names no weekdays", hint="write mon-fri, or mon,wed,fri")
        start = _WEEKDAYS.index(first)
        count = (_WEEKDAYS.index(last or first) - start) % 7 + 1
        found |= {(start + step) % 7 for step in range(count)}
    return frozenset(found)


def days_on(days: frozenset[int], holidays: Sequence[str] = ()) -> Ints:
    """Day numbers of the whole span that fall on one of the weekdays and on no holiday."""
    span = np.arange(day_number(FIRST_DAY), day_number(LAST_DAY) + 1)
    closed = [day_number(parse_date(text)) for text in holidays]
    # 1970-01-01 was a Thursday.
    keep = np.isin((span + 3) % 7, sorted(days)) & ~np.isin(span, closed)
    return span[keep]


def regular_table(name: str, zone: str, days: Ints, hours: Hours) -> SessionTable:
    """A session on each of `days`, at the same hours, without extended hours or breaks."""
    if zone == "UTC":
        opens, closes = (days * DAY_NS + m * 60 * SECOND_NS for m in (hours.open, hours.close))
    else:
        opens, closes = (moments(days, m, zone) for m in (hours.open, hours.close))
    none = np.empty(0, np.int64)
    early = np.zeros(len(days), bool)
    return SessionTable(name, days, opens, closes, opens, closes, early, none.reshape(0, 2), none)


def with_early_closes(table: SessionTable, early: dict[str, str], zone: str) -> SessionTable:
    """The same sessions, some closing earlier: date → time of day."""
    close, is_early = table.close_ns.copy(), table.is_early.copy()
    for text, clock in early.items():
        row = np.flatnonzero(table.day == day_number(parse_date(text)))
        if not len(row):
            raise UsageError(
                f"{table.calendar} has no session on {text} that could close early",
                hint="look at the date",
            )
        close[row] = moments(table.day[row], minutes(clock), zone)
        if (close[row] <= table.open_ns[row]).any():
            raise UsageError(
                f"{table.calendar} cannot close at {clock} on {text}: not open by then"
            )
        is_early[row] = True
    return replace(table, close_ns=close, post_ns=close, is_early=is_early)


def with_hours(table: SessionTable, hours: Hours, zone: str) -> SessionTable:
    """The same days with other regular hours; early closes stay where they are earlier.

    Extended hours grow where the new hours leave them; breaks outside the new hours go, and so do
    sessions that close early before the new hours begin.
    """
    opens, closes = (moments(table.day, m, zone) for m in (hours.open, hours.close))
    closes = np.where(table.is_early, np.minimum(closes, table.close_ns), closes)
    wanted = replace(
        table,
        open_ns=opens,
        close_ns=closes,
        pre_ns=np.minimum(table.pre_ns, opens),
        post_ns=np.maximum(table.post_ns, closes),
    )
    return without_empty_breaks(wanted.take(opens < closes))


def with_overrides(table: SessionTable, zone: str) -> SessionTable:
    """The table with what `calendar_overrides` says of its calendar."""
    for override in OVERRIDES:
        if override.calendar == table.calendar:
            table = _overridden(table, override, zone)
    return table


def _overridden(table: SessionTable, override: Override, zone: str) -> SessionTable:
    first, last = (day_number(parse_date(text)) for text in (override.first, override.last))
    rows = np.flatnonzero((table.day >= first) & (table.day <= last))
    close, breaks, row = table.close_ns.copy(), table.break_ns, table.break_row
    if override.close:
        late = rows[~table.is_early[rows]]
        close[late] = moments(table.day[late], minutes(override.close), zone)
    if override.pause:
        pause = [moments(table.day[rows], minutes(clock), zone) for clock in override.pause]
        breaks = np.concatenate([breaks, np.column_stack(pause)])
        row = np.concatenate([row, rows])
        order = np.argsort(breaks[:, 0], kind="stable")
        breaks, row = breaks[order], row[order]
    post = np.maximum(table.post_ns, close)
    return without_empty_breaks(
        replace(table, close_ns=close, post_ns=post, break_ns=breaks, break_row=row)
    )


def library_table(name: str) -> tuple[str, SessionTable]:
    """Zone and sessions of one of the library's calendars.

    Raises
    ------
    UsageError
        If the library has no calendar of this name.
    """
    # pandas takes 1.5 s to import; only where a table is made for the first time.
    import pandas_market_calendars as mcal

    known = _LIBRARY_NAMES.get(name, name)
    if known not in mcal.get_calendar_names():
        raise UsageError(
            f"there is no calendar `{name}`",
            hint="use XNYS, CME_EQUITY, FOREX, 24/7 or another name of pandas_market_calendars",
        )
    with warnings.catch_warnings():
        # The library calls what pandas will drop in its next version; we cannot change it here.
        warnings.simplefilter("ignore", DeprecationWarning)
        source = mcal.get_calendar(known)
        frame = source.schedule(_SINCE.get(name, FIRST_DAY), LAST_DAY, market_times="all")
        early = frame.index.isin(source.early_closes(frame).index)
    return str(source.tz), without_empty_breaks(_from_frame(name, frame, early))


def _from_frame(name: str, frame: Any, early: NDArray[np.bool_]) -> SessionTable:
    """A table from the library's schedule: a frame of UTC moments indexed by session date."""

    def column(title: str, otherwise: str) -> Ints:
        found = frame[title if title in frame else otherwise]
        moments_ns: Ints = found.to_numpy("datetime64[ns]").astype(np.int64)
        return moments_ns

    breaks, row = np.empty((0, 2), np.int64), np.empty(0, np.int64)
    if "break_start" in frame:
        row = np.flatnonzero(frame["break_start"].notna() & frame["break_end"].notna())
        starts, ends = column("break_start", ""), column("break_end", "")
        breaks = np.column_stack([starts, ends])[row]
    return SessionTable(
        name,
        frame.index.to_numpy("datetime64[D]").astype(np.int64),
        column("market_open", ""),
        column("market_close", ""),
        column("pre", "market_open"),
        column("post", "market_close"),
        early,
        breaks,
        row,
    )
