"""Round trips: entries matched with exits, from flat back to flat."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from openbell.backtest.orders import Fill

Side = Literal["long", "short"]

# What is left of a position below this share of what was entered is rounding: 0.1 + 0.2 − 0.3.
_FLAT = 1e-9


class RoundTrip(Struct, frozen=True, gc=False):
    """From flat back to flat in one instrument; scaling in and out happens inside one round trip.

    Attributes
    ----------
    instrument
        Its name.
    side
        ``long`` or ``short``.
    entry_ns, exit_ns
        First fill and last fill.
    entry_price, exit_price
        Averages over the fills that added and that took away, weighted by size.
    size
        Units entered in all; positive on either side.
    profit
        Money, after fees.
    fees
        Money the venue took. Of a fill that reverses a position each round trip has a share by
        size.
    return_
        Profit ÷ (entry price × size × multiplier): a fraction of the money moved to enter.
    holding_ns
        From the first fill to the last.
    entry_order, exit_order
        Numbers of the orders of the first and the last fill.
    is_open
        Whether it is not finished: `exit_price` then holds a mark for what is still held.
    """

    instrument: str
    side: Side
    entry_ns: int
    exit_ns: int
    entry_price: float
    exit_price: float
    size: float
    profit: float
    fees: float
    return_: float
    holding_ns: int
    entry_order: int
    exit_order: int
    is_open: bool = False


class _Trip:
    """A round trip under way: entered and left so far, as sizes and sums of size × price."""

    def __init__(self, fill: Fill) -> None:
        self.first = self.last = fill
        self.sign = 1.0 if fill.size > 0 else -1.0
        self.entered = self.entry_value = self.left = self.exit_value = self.fees = 0.0

    @property
    def held(self) -> float:
        """Units held, positive on either side; exactly zero when only rounding is left."""
        held = self.entered - self.left
        return 0.0 if held <= _FLAT * self.entered else held

    def add(self, fill: Fill) -> None:
        """Take in a fill that does not go beyond flat."""
        units = fill.size * self.sign
        if units > 0:
            self.entered += units
            self.entry_value += units * fill.price
        else:
            self.left -= units
            self.exit_value -= units * fill.price
        self.fees += fill.fee
        self.last = fill

    def finish(self, multiplier: float) -> RoundTrip:
        money_in = self.entry_value * multiplier
        profit = (self.exit_value - self.entry_value) * self.sign * multiplier - self.fees
        return RoundTrip(
            instrument=self.first.instrument,
            side="long" if self.sign > 0 else "short",
            entry_ns=self.first.time_ns,
            exit_ns=self.last.time_ns,
            entry_price=self.entry_value / self.entered,
            exit_price=self.exit_value / self.left,
            size=self.entered,
            profit=profit,
            fees=self.fees,
            return_=profit / money_in if money_in else float("nan"),
            holding_ns=self.last.time_ns - self.first.time_ns,
            entry_order=self.first.order,
            exit_order=self.last.order,
        )


def match_round_trips(fills: Sequence[Fill], multipliers: Mapping[str, float]) -> list[RoundTrip]:
    """Finished round trips, in order of their last fill.

    Parameters
    ----------
    fills
        In order of time.
    multipliers
        Money per point and unit, by instrument.

    Notes
    -----
    A fill that goes beyond flat ends one round trip and begins the next. From flat to flat the
    profit is the sum of what was paid and received, whatever exit is matched with whatever entry.
    """
    return _match(fills, multipliers)[0]


def open_round_trips(
    fills: Sequence[Fill],
    multipliers: Mapping[str, float],
    prices: Mapping[str, float],
    time_ns: int,
) -> list[RoundTrip]:
    """Round trips still open, as if what is held were sold at `prices` without a fee.

    Their profits and those of `match_round_trips` add up to the change of equity, when `prices`
    are what the equity is marked to.

    Parameters
    ----------
    prices
        The mark of each instrument that is held.
    time_ns
        The moment of the marks; `exit_ns` of what is returned.
    """
    trips = []
    for name, trip in _match(fills, multipliers)[1].items():
        mark = replace(
            trip.last, time_ns=time_ns, size=-trip.sign * trip.held, price=prices[name], fee=0.0
        )
        trip.add(mark)
        trips.append(replace(trip.finish(multipliers[name]), is_open=True))
    return trips


def _match(
    fills: Iterable[Fill], multipliers: Mapping[str, float]
) -> tuple[list[RoundTrip], dict[str, _Trip]]:
    """Finished round trips, and those under way by instrument, in order of their first fill."""
    done: list[RoundTrip] = []
    under_way: dict[str, _Trip] = {}
    for fill in fills:
        trip = under_way.get(fill.instrument)
        for part in _parts(fill, trip):
            if trip is None:
                trip = under_way[fill.instrument] = _Trip(part)
            trip.add(part)
            if not trip.held:
                done.append(trip.finish(multipliers[fill.instrument]))
                del under_way[fill.instrument]
                trip = None
    return done, under_way


def _parts(fill: Fill, trip: _Trip | None) -> tuple[Fill, ...]:
    """The fill, cut in two where it goes through flat; the fee is shared by size."""
    if trip is None or -fill.size * trip.sign <= trip.held * (1 + _FLAT):
        return (fill,)
    share = trip.held / abs(fill.size)
    closing = replace(fill, size=-trip.sign * trip.held, fee=fill.fee * share)
    opening = replace(fill, size=fill.size - closing.size, fee=fill.fee - closing.fee)
    return closing, opening
