"""Bars as ProjectX is asked for them: a contract, a range, so many units, a limit.

What is known of a contract at a moment is made of base bars that had ended by then, so that an
answer never looks past the moment it is bounded by: neither the clock's nor the asker's.
"""

from dataclasses import dataclass

import numpy as np

from openbell.bridge.answers import BAD_LIMIT, BAD_UNIT, BAD_UNIT_NUMBER, NO_CONTRACT
from openbell.bridge.channels import MAX_LIMIT
from openbell.bridge.contracts import Contract
from openbell.bridge.past import Wanted, newest_bars
from openbell.bridge.requests import PROJECTX_UNITS, UNIT_NS
from openbell.market.bars import Bars
from openbell.market.build import require_wider
from openbell.market.columns import CORRUPT
from openbell.market.errors import NotRecordedError, UsageError
from openbell.market.instrument import Pin
from openbell.market.moments import DAY_NS
from openbell.market.timeframe import CODES, Timeframe, timeframe
from openbell.ports import ReadStore


@dataclass(frozen=True, slots=True)
class Asked:
    """Which bars are asked for: those that start in ``[start_ns, end_ns)``, the newest `limit`.

    Attributes
    ----------
    unit
        1 second, 2 minute, 3 hour, 4 day, 5 week, 6 month.
    number
        How many units make a bar.
    limit
        1 to 20,000.
    has_partial
        Whether the bar that had not ended belongs to them, as far as it was known.
    """

    start_ns: int
    end_ns: int
    unit: int
    number: int
    limit: int
    has_partial: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The bars asked for, oldest first.

    Attributes
    ----------
    pin
        The version they are of.
    withheld
        How many corrupt base bars were left out of them.
    """

    bars: Bars
    pin: Pin
    withheld: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no answer: ProjectX's code for it, 1 to 4, and words."""

    code: int
    message: str


def width_of(unit: int, number: int) -> Timeframe | Refusal:
    """The timeframe of some units.

    Bars of seconds, minutes and hours are at most a day wide, those of days at most a year;
    weeks and months come one by one.
    """
    if unit not in PROJECTX_UNITS:
        return Refusal(BAD_UNIT, f"unit is {unit}; it must be 1 to {len(PROJECTX_UNITS)}")
    letter = PROJECTX_UNITS[unit]
    most = {"d": 366, "w": 1, "M": 1}.get(letter) or DAY_NS // UNIT_NS[letter]
    if not 1 <= number <= most:
        return Refusal(
            BAD_UNIT_NUMBER, f"unitNumber is {number}; with unit {unit} it must be 1 to {most}"
        )
    code = f"{number}{letter}"
    return timeframe(code) if code in CODES else Timeframe(code, number * UNIT_NS[letter])


def retrieve(
    store: ReadStore, contract: Contract | None, asked: Asked, now_ns: int
) -> Found | Refusal:
    """The bars asked for, as they were known at the earlier of `now_ns` and the range's end."""
    if contract is None:
        return Refusal(NO_CONTRACT, "contract not found")
    wide = width_of(asked.unit, asked.number)
    if isinstance(wide, Refusal):
        return wide
    if not 1 <= asked.limit <= MAX_LIMIT:
        return Refusal(BAD_LIMIT, f"limit is {asked.limit}; it must be 1 to {MAX_LIMIT}")
    try:
        pin = store.resolve(contract.ref)
    except NotRecordedError as error:
        return Refusal(NO_CONTRACT, error.message)
    if problem := _misfit(pin.series.timeframe, wide):
        return Refusal(BAD_UNIT_NUMBER, problem)
    return _newest(store, pin, wide, asked, min(now_ns, asked.end_ns))


def _misfit(base: Timeframe, wide: Timeframe) -> str:
    """Why bars of the one cannot be built from bars of the other; empty if they can."""
    try:
        if base != wide:
            require_wider(base, wide)
    except UsageError as error:
        return error.message
    return ""


def _newest(store: ReadStore, pin: Pin, wide: Timeframe, asked: Asked, known_ns: int) -> Found:
    wanted = Wanted(
        count=asked.limit, known_ns=known_ns, start_ns=asked.start_ns, hours=None,
        in_progress=asked.has_partial,
    )  # fmt: skip
    withheld = 0

    def read(start_ns: int, end_ns: int) -> Bars:
        nonlocal withheld
        rows = store.read(pin, start_ns, end_ns)
        assert isinstance(rows, Bars)
        withheld = int(np.count_nonzero(rows.label & CORRUPT))
        return rows

    bars = newest_bars(read, store.info(pin), wide, wanted)
    return Found(bars, pin, withheld)
