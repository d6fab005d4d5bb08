"""What the calendar library does not know: hours that venues had in the past.

Whoever adds an entry gives its source and raises `VERSION`, which is part of every calendar's
version and so of every run's record. Hours before an entry's first day are the library's.
"""

from dataclasses import dataclass

VERSION = "1"


@dataclass(frozen=True, slots=True)
class Override:
    """Other hours of a calendar for a range of sessions, on the clocks of the venue.

    Attributes
    ----------
    calendar
        Whose hours.
    first, last
        Labels of the first and last session, both included.
    close
        The regular close; empty to leave it. Early closes keep theirs.
    pause
        Start and end of a break; empty to leave the breaks.
    source
        Where this is known from.
    """

    calendar: str
    first: str
    last: str
    close: str = ""
    pause: tuple[str, str] | tuple[()] = ()
    source: str = ""


_ADVISORY = (
    "NinjaTrader advisory 25 (2015-09-15): CME equity, metals and energy close at 16:00 from "
    "2015-09-21, before that at 16:15"
)

OVERRIDES = (
    Override(
        "CME_EQUITY", "2012-11-19", "2015-09-18", close="16:15",
        source="CME notice of 2012-11: trading ends at 16:15 from trade date 2012-11-19; "
        f"{_ADVISORY}. The last ES minutes of 2013-10 to 2013-12 start at 16:14",
    ),
    Override(
        "CME_EQUITY", "2012-11-19", "2021-06-25", pause=("15:15", "15:30"),
        source="CME notice of 2012-11; pandas_market_calendars, class CME_Equity: no pause from "
        "trade date 2021-06-28. ES minutes of 2013 and of 2020-01-06 stop for it",
    ),
    Override(
        "CME_METALS", "2013-01-02", "2015-09-18", close="16:15",
        source=f"{_ADVISORY}. The last GC trade of 2013-10-07 is at 16:14. Not known since when",
    ),
    Override(
        "CME_ENERGY", "2013-01-02", "2015-09-18", close="16:15",
        source=f"{_ADVISORY}. Not known since when",
    ),
)  # fmt: skip
