"""Which stretch of time a bar covers when a file gives only a date, or an hour cut off.

Bars of a day are named by a date. Where a venue has sessions and they lie on one date of its
clocks, the bar covers that session; where it trades around the clock, that day of UTC.
"""

from typing import NamedTuple

import numpy as np

from openbell.market.calendars import Calendar, calendar
from openbell.market.columns import OFF_SESSION, Ints
from openbell.market.errors import UsageError
from openbell.market.instrument import Venue
from openbell.market.moments import DAY_NS
from openbell.market.timeframe import Timeframe
from openbell.market.zones import to_utc


class Spans(NamedTuple):
    """Stretches of time, half-open, each column of shape (n,).

    Attributes
    ----------
    start_ns, end_ns : int64
    label : int64
        `OFF_SESSION` where the calendar has no session.
    unknown
        How many dates lie outside the years the calendar knows: midnight to midnight.
    """

    start_ns: Ints
    end_ns: Ints
    label: Ints
    unknown: int = 0


def dated_spans(days: Ints, width: Timeframe, place: Venue) -> Spans:
    """What bars of a day, a week or a month cover that are named by a date of theirs.

    A day is its session, from open to close. A date without a session covers its midnight to
    the next on the venue's clocks and is labelled `OFF_SESSION`. A week (Monday to Sunday) or a
    month goes from the open of its first session to the close of its last.

    Parameters
    ----------
    days : shape (n,)
        Days since 1970-01-01; of weeks and months any date inside.

    Raises
    ------
    UsageError
        If the timeframe is ``3d``, which no rule says how to count in sessions.
    """
    first, last = _bounds(days, width, place)
    known = calendar(place.calendar)
    lo = np.searchsorted(known.table.day, first, side="left")
    hi = np.searchsorted(known.table.day, last, side="right") - 1
    is_off = lo > hi
    is_known = (last >= known.table.day[0]) & (first <= known.table.day[-1])
    lo, hi = np.minimum(lo, len(known.table) - 1), np.maximum(hi, 0)
    start_ns = np.where(is_off, _midnight(first, known), known.table.open_ns[lo])
    end_ns = np.where(is_off, _midnight(last + 1, known), known.table.close_ns[hi])
    label = np.where(is_off & is_known, OFF_SESSION, 0)
    return Spans(start_ns, end_ns, label, int((~is_known).sum()))


def day_spans(days: Ints, zone: str) -> Spans:
    """Midnight to midnight on the clocks of `zone`, whatever the sessions."""
    start_ns = to_utc(days * DAY_NS, zone).utc_ns
    end_ns = to_utc((days + 1) * DAY_NS, zone).utc_ns
    return Spans(start_ns, end_ns, np.zeros(len(days), np.int64))


def clipped(start_ns: Ints, end_ns: Ints, place: Venue) -> Spans:
    """Bars that overlap regular hours, cut to them; others as they are.

    For sources whose bars hold regular hours alone and are named by the full hour: the US hour
    bar of 09:00 begins at 09:30.
    """
    table = calendar(place.calendar).table
    row = np.minimum(np.searchsorted(table.close_ns, start_ns, side="right"), len(table) - 1)
    overlaps = (table.open_ns[row] < end_ns) & (start_ns < table.close_ns[row])
    start_ns = np.where(overlaps, np.maximum(start_ns, table.open_ns[row]), start_ns)
    end_ns = np.where(overlaps, np.minimum(end_ns, table.close_ns[row]), end_ns)
    return Spans(start_ns, end_ns, np.zeros(len(start_ns), np.int64))


def _bounds(days: Ints, width: Timeframe, place: Venue) -> tuple[Ints, Ints]:
    """First and last date of each bar."""
    if width.code == "1d":
        return days, days
    if width.code == "1w":
        monday = days - (days + 3) % 7  # 1970-01-01 was a Thursday
        return monday, monday + 6
    if width.code == "1M":
        months = days.astype("datetime64[D]").astype("datetime64[M]")
        first = months.astype("datetime64[D]").astype(np.int64)
        return first, (months + 1).astype("datetime64[D]").astype(np.int64) - 1
    if width.code == "3d" and place.anchor == "epoch":
        return days, days + 2
    raise UsageError(f"bars of {width} cannot be placed by a date at {place.code}")


def _midnight(days: Ints, known: Calendar) -> Ints:
    return to_utc(days * DAY_NS, known.zone).utc_ns
