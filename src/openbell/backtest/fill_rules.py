"""When a working order is filled, and at what price, by fill mode.

Rules look at one order and one price event that came after it was placed. Levels are prices;
`sign` is 1 for a buy, -1 for a sale, so that ``sign * (price - limit) <= 0`` says "the limit
allows it" and ``sign * (price - stop) >= 0`` says "the stop is reached" for both.
"""

from openbell.backtest.orders import NAN, Order


class Working:
    """An order at work: what was asked for, and where its levels stand now.

    Attributes
    ----------
    order
        As placed.
    ordinal
        Of its instrument.
    size
        Units in whole lots, greater than zero.
    sign
        1 for a buy, -1 for a sale.
    stop
        Its stop now; a trailing one moves, a triggered one is NaN.
    """

    __slots__ = ("order", "ordinal", "sign", "size", "stop")

    def __init__(self, order: Order, ordinal: int, size: float) -> None:
        self.order = order
        self.ordinal = ordinal
        self.size = size
        self.sign = 1.0 if order.size > 0 else -1.0
        self.stop = order.stop

    @property
    def is_taker(self) -> bool:
        """Whether slippage applies: everything but a resting limit."""
        return self.order.kind in ("market", "stop", "trailing")

    def follow(self, high: float, low: float) -> None:
        """Move a trailing stop behind the best price of what is now known."""
        if self.order.kind != "trailing":
            return
        trail = self.order.trail
        if self.sign > 0:
            self.stop = min(self.stop, low + trail)
        else:
            self.stop = max(self.stop, high - trail)


def at_price(working: Working, price: float) -> float:
    """The price an order is filled at when one price is offered; NaN if it is not.

    Used with the next open, the close, a quote's side, or a trade's price.
    """
    order, sign = working.order, working.sign
    if order.kind == "market" or price != price:  # NaN: this side is not offered
        return price
    if working.stop == working.stop:  # a stop that was not reached before
        if sign * (price - working.stop) < 0:
            return NAN
        working.stop = NAN
    if order.kind in ("stop", "trailing"):
        return price
    return price if sign * (price - order.limit) <= 0 else NAN


def inside_bar(working: Working, bar: tuple[float, float, float, float]) -> float:
    """The price inside a bar (open, high, low, close), on the path that is worst for the order.

    A limit needs the price to go through it, not only to touch it, unless the bar opens there
    or better. A stop fills at its level, or at the open if that lies beyond. A trailing stop is
    tried before the bar's best price moves it, and again on the way from there to the close.
    """
    price = at_price(working, bar[0])
    if price == price:
        return price
    if working.order.kind == "limit":
        return _limit_inside(working, bar)
    if working.order.kind == "stop_limit":
        return _stop_limit_inside(working, bar)
    return _stop_inside(working, bar)


def _limit_inside(working: Working, bar: tuple[float, float, float, float]) -> float:
    _, high, low, _ = bar
    best = low if working.sign > 0 else high
    return working.order.limit if working.sign * (best - working.order.limit) < 0 else NAN


def _stop_inside(working: Working, bar: tuple[float, float, float, float]) -> float:
    _, high, low, close = bar
    worst = high if working.sign > 0 else low
    if working.sign * (worst - working.stop) >= 0:
        return working.stop
    working.follow(high, low)
    return working.stop if working.sign * (close - working.stop) >= 0 else NAN


def _stop_limit_inside(working: Working, bar: tuple[float, float, float, float]) -> float:
    if working.stop != working.stop:  # triggered in an earlier bar
        return _limit_inside(working, bar)
    _, high, low, _ = bar
    reached = high if working.sign > 0 else low
    if working.sign * (reached - working.stop) < 0:
        return NAN
    stop, working.stop = working.stop, NAN
    return stop if working.sign * (stop - working.order.limit) <= 0 else NAN
