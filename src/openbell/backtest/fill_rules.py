"""When a working order is filled, and at what price, by fill mode.

Rules look at one order and one price event that came after it was placed. Levels are prices;
`sign` is 1 for a buy, -1 for a sale, so that ``sign * (price - limit) <= 0`` says "the limit
allows it" and ``sign * (price - stop) >= 0`` says "the stop is reached" for both.
"""

from msgspec import Struct

from openbell.backtest.orders import NAN, Order


class Offer(Struct, frozen=True, gc=False):
    """One price event of an instrument: a bar, a quote, or a trade.

    Attributes
    ----------
    buy, sell
        The price a buyer and a seller get; a side that is not offered is NaN.
    time_ns
        When a fill at it happens.
    volume
        Units traded with it; 0 where that means nothing.
    high, low, close
        Where prices went from there, for what looks inside a bar, and for stops that trail;
        the price itself where there is but one.
    """

    buy: float
    sell: float
    time_ns: int
    volume: float
    high: float
    low: float
    close: float


class Working(Struct, eq=False, gc=False):
    """An order at work: what was asked for, and where its levels stand now.

    Attributes
    ----------
    order
        As placed.
    ordinal
        Of its instrument.
    size
        Units in whole lots; at work it is greater than zero.
    sign
        1 for a buy, -1 for a sale.
    stop
        Its stop now; a trailing one moves, a triggered one is NaN.
    """

    order: Order
    ordinal: int
    size: float
    sign: float
    stop: float

    @property
    def is_taker(self) -> bool:
        """Whether slippage applies: everything but a resting limit."""
        return self.order.kind in ("market", "stop", "trailing")

    def follow(self, offer: Offer) -> None:
        """Move a trailing stop behind the best price of what is now known."""
        if self.order.kind != "trailing":
            return
        trail = self.order.trail
        if self.sign > 0:
            self.stop = min(self.stop, offer.low + trail)
        else:
            self.stop = max(self.stop, offer.high - trail)


def at_price(working: Working, offer: Offer) -> float:
    """The price an order is filled at when one price is offered; NaN if it is not.

    Used with the next open, the close, a quote's side, or a trade's price.
    """
    price = offer.buy if working.sign > 0.0 else offer.sell
    if working.order.kind == "market" or price != price:  # NaN: this side is not offered
        return price
    return _within_levels(working, price)


def inside_bar(working: Working, offer: Offer) -> float:
    """The price inside a bar, on the path that is worst for the order; NaN if it is not filled.

    A limit needs the price to go through it, not only to touch it, unless the bar opens there
    or better. A stop fills at its level, or at the open if that lies beyond. A trailing stop is
    tried before the bar's best price moves it, and again on the way from there to the close.
    """
    price = at_price(working, offer)
    if price == price:
        return price
    if working.order.kind == "limit":
        return _limit_inside(working, offer)
    if working.order.kind == "stop_limit":
        return _stop_limit_inside(working, offer)
    return _stop_inside(working, offer)


def _within_levels(working: Working, price: float) -> float:
    order, sign = working.order, working.sign
    if working.stop == working.stop:  # a stop that was not reached before
        if sign * (price - working.stop) < 0:
            return NAN
        working.stop = NAN
    if order.kind in ("stop", "trailing"):
        return price
    return price if sign * (price - order.limit) <= 0 else NAN


def _limit_inside(working: Working, offer: Offer) -> float:
    best = offer.low if working.sign > 0 else offer.high
    return working.order.limit if working.sign * (best - working.order.limit) < 0 else NAN


def _stop_inside(working: Working, offer: Offer) -> float:
    worst = offer.high if working.sign > 0 else offer.low
    if working.sign * (worst - working.stop) >= 0:
        return working.stop
    working.follow(offer)
    return working.stop if working.sign * (offer.close - working.stop) >= 0 else NAN


def _stop_limit_inside(working: Working, offer: Offer) -> float:
    if working.stop != working.stop:  # triggered in an earlier bar
        return _limit_inside(working, offer)
    reached = offer.high if working.sign > 0 else offer.low
    if working.sign * (reached - working.stop) < 0:
        return NAN
    stop, working.stop = working.stop, NAN
    return stop if working.sign * (stop - working.order.limit) <= 0 else NAN
