"""What a person means by a range: session labels, or moments."""

from datetime import timedelta

from openbell.market.calendars import calendar
from openbell.market.errors import UsageError
from openbell.market.instrument import Instrument
from openbell.market.moments import (
    END_OF_TIME_NS,
    START_OF_TIME_NS,
    is_date,
    parse_date,
    parse_moment,
)


def bounds(instrument: Instrument, start: str, end: str) -> tuple[int, int]:
    """The half-open range between two bounds, in nanoseconds UTC.

    A date is the beginning of the first session with that label or a later one, extended hours
    included; a moment without an offset is UTC; an empty bound is none.

    Raises
    ------
    UsageError
        If a bound is neither a date nor a moment, or the range ends before it begins.
    NotRecordedError
        If a date lies outside the years the calendar knows.
    """
    require_forward(start, end)
    return (
        _moment(instrument, start) if start else START_OF_TIME_NS,
        _moment(instrument, end) if end else END_OF_TIME_NS,
    )


def require_forward(start: str, end: str) -> None:
    """Two dates, or two moments, must be in order; `UsageError` if nothing lies between them."""
    if not (start and end) or is_date(start) != is_date(end):
        return  # whether a moment is before a session, only its calendar says
    if parse_moment(end) <= parse_moment(start):
        raise UsageError(
            f"nothing lies from {start} to {end}",
            hint="the end is left out: name one that comes after the start",
        )


def _moment(instrument: Instrument, text: str) -> int:
    if not is_date(text):
        return parse_moment(text)
    before = parse_date(text) - timedelta(days=1)
    return calendar(instrument.place.calendar).next(before.isoformat()).pre_ns
