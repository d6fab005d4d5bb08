"""From what clocks showed to moments in UTC, in columns."""

from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from openbell.market.columns import Ints
from openbell.market.errors import UsageError
from openbell.market.moments import DAY_NS, SECOND_NS, to_datetime

_FIXED_NS = 900 * SECOND_NS  # zones change their clocks on full quarters of an hour


class Moments(NamedTuple):
    """What clocks showed, as moments.

    Attributes
    ----------
    utc_ns : int64, shape (n,)
        The moments; where clocks never showed the stamp, what they would have shown had they
        not been put forward yet.
    is_skipped, is_repeated : bool, shape (n,)
        Whether the clocks skipped the stamp (put forward), or showed it twice (put back).
    """

    utc_ns: Ints
    is_skipped: NDArray[np.bool_]
    is_repeated: NDArray[np.bool_]


@cache
def zone_info(zone: str) -> ZoneInfo:
    """The zone of an IANA name; raise `UsageError` for an unknown one."""
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"unknown time zone `{zone}`", hint="use an IANA name: America/New_York, UTC"
        ) from None


def to_utc(local_ns: Ints, zone: str) -> Moments:
    """The moments at which the clocks of `zone` showed `local_ns`.

    A stamp the clocks showed twice is taken for its first pass, until the stamps step back
    between two repeated ones: those after the step are of the second pass.

    Parameters
    ----------
    local_ns : shape (n,)
        Nanoseconds between 1970-01-01T00:00 and what the clocks showed, in order of the source.
    """
    first, second = _offsets(local_ns, zone)
    is_repeated = first > second
    is_skipped = first < second
    late = _second_pass(local_ns, is_repeated)
    return Moments(local_ns - np.where(late, second, first), is_skipped, is_repeated)


def _offsets(local_ns: Ints, zone: str) -> tuple[Ints, Ints]:
    """Offsets from UTC before and after a change of clocks near each stamp; equal elsewhere."""
    info = zone_info(zone)
    days, day_of = np.unique(local_ns // DAY_NS, return_inverse=True)
    at_start = np.array([_offset(info, int(d) * DAY_NS, 0) for d in days], np.int64)
    at_end = np.array([_offset(info, (int(d) + 1) * DAY_NS, 1) for d in days], np.int64)
    first, second = at_start[day_of], at_start[day_of].copy()
    changing = np.flatnonzero((at_start != at_end)[day_of])
    quarters, quarter_of = np.unique(local_ns[changing] // _FIXED_NS, return_inverse=True)
    for fold, into in ((0, first), (1, second)):
        found = [_offset(info, int(q) * _FIXED_NS, fold) for q in quarters]
        into[changing] = np.array(found, np.int64)[quarter_of]
    return first, second


def _offset(info: ZoneInfo, local_ns: int, fold: int) -> int:
    shown = to_datetime(local_ns).replace(tzinfo=info, fold=fold)
    delta = shown.utcoffset()
    assert delta is not None  # a ZoneInfo always knows
    return int(delta.total_seconds()) * SECOND_NS


def _second_pass(local_ns: Ints, is_repeated: NDArray[np.bool_]) -> NDArray[np.bool_]:
    late = np.zeros(len(local_ns), np.bool_)
    at = np.flatnonzero(is_repeated)
    if not len(at):
        return late
    day = local_ns[at] // DAY_NS
    steps_back = np.r_[False, (np.diff(local_ns[at]) < 0) & (np.diff(day) == 0)]
    passes = np.cumsum(steps_back)
    # Counted anew on each day on which clocks were put back.
    first_of_day = np.r_[True, np.diff(day) != 0]
    base = np.maximum.accumulate(np.where(first_of_day, passes, 0))
    late[at] = passes > base
    return late
