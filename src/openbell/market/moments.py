"""Moments in time: int64 nanoseconds UTC inside, ISO 8601 with Z outside."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from openbell.market.errors import UsageError

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS
END_OF_TIME_NS = 2**63 - 1
START_OF_TIME_NS = -(2**63)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_ns(moment: datetime) -> int:
    """Nanoseconds since 1970-01-01 UTC of an aware datetime, exact to the microsecond."""
    if moment.tzinfo is None:
        raise UsageError(f"{moment} has no time zone", hint="give one, e.g. 2011-03-14T09:30-04:00")
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND_NS + since.microseconds * 1_000


def to_datetime(ns: int) -> datetime:
    """The aware UTC datetime of `ns`, cut to the microsecond."""
    return _EPOCH + timedelta(microseconds=ns // 1_000)


def iso(ns: int) -> str:
    """ISO 8601 with Z; as many decimals as needed (0, 3, 6 or 9).

    Examples
    --------
    >>> iso(1_300_109_400_000_000_000)
    '2011-03-14T13:30:00Z'
    >>> iso(1_500_000)
    '1970-01-01T00:00:00.001500Z'
    """
    whole, rest = divmod(ns, SECOND_NS)
    text = to_datetime(whole * SECOND_NS).strftime("%Y-%m-%dT%H:%M:%S")
    if rest == 0:
        return text + "Z"
    for digits, unit in ((3, 1_000_000), (6, 1_000), (9, 1)):
        if rest % unit == 0:
            return f"{text}.{rest // unit:0{digits}d}Z"
    raise AssertionError("unreachable: 1 divides everything")


def local(ns: int, zone: str) -> datetime:
    """The same moment on the clocks of `zone`."""
    return to_datetime(ns).astimezone(ZoneInfo(zone))


def parse_moment(text: str, zone: str = "UTC") -> int:
    """Nanoseconds of an ISO 8601 date or moment; without an offset it is read in `zone`.

    A bare date means its midnight in `zone`.

    Raises
    ------
    UsageError
        If the text is no ISO 8601 date or moment.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"`{text}` is not a date or time", hint="write 2011-03-14 or 2011-03-14T09:30Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    return to_ns(moment)


def parse_date(text: str) -> date:
    """A session label from ``YYYY-MM-DD``."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"`{text}` is not a date", hint="write it as 2011-03-14") from None


def is_date(text: str) -> bool:
    """Whether a bound of a range is a date, that is a session label, and not a moment.

    Raises
    ------
    UsageError
        If it has the length of a date and is none.

    Examples
    --------
    >>> is_date("2011-03-14"), is_date("2011-03-14T09:30Z")
    (True, False)
    """
    return len(text) == len("2011-03-14") and bool(parse_date(text))
