"""Timeframes: the width of a bar."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

from openbell.market.errors import UsageError
from openbell.market.moments import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

CODES = (
    "1s", "1m", "3m", "5m", "10m", "15m", "30m", "45m",
    "1h", "2h", "3h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M",
)  # fmt: skip

Anchor = Literal["session", "epoch"]

_UNITS_NS = {"s": SECOND_NS, "m": MINUTE_NS, "h": HOUR_NS, "d": DAY_NS, "w": 7 * DAY_NS}


@dataclass(frozen=True, slots=True)
class Timeframe:
    """The width of a bar: a code such as ``1m``, ``1h``, ``1d``. Case matters: ``1M`` is a month.

    Attributes
    ----------
    code
        One of `CODES`.
    width_ns
        Nominal width in nanoseconds; 0 for ``1M``, which has no fixed width. Bars of a day and
        more, and the last bar of a session, may be shorter: a bar's own end is the truth.
    """

    code: str
    width_ns: int

    @property
    def is_intraday(self) -> bool:
        """Whether several bars fit into one session: below a day."""
        return 0 < self.width_ns < DAY_NS

    def __str__(self) -> str:
        return self.code


@cache
def timeframe(code: str) -> Timeframe:
    """The timeframe of a code; case matters.

    Raises
    ------
    UsageError
        If the code is not one of `CODES`.

    Examples
    --------
    >>> timeframe("5m").width_ns // 60_000_000_000
    5
    """
    if code not in CODES:
        raise UsageError(
            f"unknown timeframe `{code}`", hint=f"use one of {', '.join(CODES)} (1M is a month)"
        )
    if code == "1M":
        return Timeframe(code, 0)
    return Timeframe(code, int(code[:-1]) * _UNITS_NS[code[-1]])
