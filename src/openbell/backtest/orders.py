"""Orders and fills: what a strategy asks for, and what it got."""

from typing import Literal

from msgspec import Struct

NAN = float("nan")

OrderKind = Literal["market", "limit", "stop", "stop_limit", "trailing"]
FillMode = Literal["next_open", "same_close", "intrabar", "quotes", "trades"]

FILL_MODES: dict[FillMode, str] = {
    "next_open": "the open of the instrument's next bar; limits and stops are looked at there too",
    "same_close": "the close of the bar that was decided on (optimistic: nobody trades there)",
    "intrabar": "market orders at the next open; limits and stops inside a bar, worst path first",
    "quotes": "the next quote: bid or ask",
    "trades": "the price of the next trade",
}
OPTIMISTIC: frozenset[FillMode] = frozenset({"same_close"})


def kind_of(limit: float, stop: float, trail: float) -> OrderKind:
    """The kind of an order with these levels; NaN where it has none."""
    if trail == trail:  # not NaN
        return "trailing"
    if limit == limit:
        return "stop_limit" if stop == stop else "limit"
    return "stop" if stop == stop else "market"


class Order(Struct, frozen=True, gc=False):
    """What a strategy asks for.

    Attributes
    ----------
    number
        From 1, in order of placing within the run.
    time_ns
        When it was placed: the slice it was decided on.
    instrument
        Its name.
    size
        Units; positive buys, negative sells.
    kind
        Market, limit, stop, stop_limit, or trailing (a stop that follows the best price).
    limit, stop
        Price levels; NaN where there is none. A trailing order's first stop stands here.
    trail
        Distance of a trailing stop from the best price, in price units; NaN otherwise.
    tag
        A word of the strategy's own, kept with the order.
    """

    number: int
    time_ns: int
    instrument: str
    size: float
    kind: OrderKind
    limit: float
    stop: float
    trail: float
    tag: str


class Fill(Struct, frozen=True, gc=False):
    """What an order got.

    Attributes
    ----------
    order
        Number of the order.
    time_ns
        When it happened: in mode ``next_open`` the start of the bar whose open it is.
    session
        Label of the session it became known in.
    instrument
        Its name.
    size
        Units; positive bought, negative sold.
    price
        Price per unit, slippage included.
    fee
        Money the venue took; zero or more.
    slippage
        Price difference against us, per unit; zero or more.
    cash
        Cash after it.
    """

    order: int
    time_ns: int
    session: str
    instrument: str
    size: float
    price: float
    fee: float
    slippage: float
    cash: float


class Outcome(Struct, frozen=True, gc=False):
    """How an order ended that was not filled: ``rejected`` or ``cancelled``, and why."""

    order: int
    time_ns: int
    state: str
    reason: str
