"""The broker: takes orders, fills them by the run's fill mode, and keeps the ledger.

Per slice, in this order (session-engine rule 4): working orders are tried in order of placing;
the strategy's callbacks run and may place orders; those are numbered and put to work. All of it
goes on the tape. Broker work happens only while orders are waiting.
"""

from array import array
from collections.abc import Callable, Sequence

from openbell.backtest.config import RunConfig
from openbell.backtest.fill_rules import Offer, Working, at_price, inside_bar
from openbell.backtest.money import (
    fee_of,
    is_affordable,
    position_after,
    slipped,
    whole_lots,
)
from openbell.backtest.orders import NAN, Fill, Order, OrderKind, Outcome
from openbell.market.errors import UsageError
from openbell.market.instrument import Terms
from openbell.replay.tape import CANCELLED, FILLED, PLACED, REJECTED, Tape

OnFill = Callable[[Fill], None] | None  # what is told of every fill, if anything


class Ledger:
    """Cash and positions, changed by fills alone.

    Attributes
    ----------
    cash
        Money.
    positions, averages
        By ordinal of the instrument: signed units, and their average entry price.
    """

    def __init__(self, cash: float, terms: Sequence[Terms]) -> None:
        self.cash = cash
        self.positions = [0.0] * len(terms)
        self.averages = [0.0] * len(terms)
        self._multipliers = [t.multiplier for t in terms]

    def equity(self, prices: Sequence[float]) -> float:
        """Cash plus positions at these prices, added in order of the instruments."""
        total = self.cash
        for position, price, multiplier in zip(
            self.positions, prices, self._multipliers, strict=True
        ):
            if position:
                total += position * price * multiplier
        return total

    def apply(self, ordinal: int, size: float, after: float, price: float, cash: float) -> None:
        """Take over a fill: signed units, the position after it, their price, the cash after."""
        before = self.positions[ordinal]
        if before * size >= 0.0:
            value = abs(before) * self.averages[ordinal] + abs(size) * price
            self.averages[ordinal] = value / abs(after) if after else 0.0
        elif before * after < 0.0:
            self.averages[ordinal] = price
        elif after == 0.0:
            self.averages[ordinal] = 0.0
        self.positions[ordinal] = after
        self.cash = cash


class Broker:
    """Fills orders against offers.

    Parameters
    ----------
    now
        Gives the moment of the slice.
    offers
        Gives what is offered for an instrument in a slice, in order; empty if nothing is.
    prices
        Gives the last known price of every instrument at a slice.
    session
        Gives the label of the session of an instrument at a slice.

    Attributes
    ----------
    working
        Orders waiting to be filled, in order of placing. Always the same list.
    placed
        Orders of this slice that are not at work yet: a sign to call `accept`. Always the same
        list.
    steps
        After each fill of the present chunk, four numbers: slice, ordinal, position, cash.
    """

    def __init__(  # noqa: PLR0913  # what a broker stands between
        self,
        config: RunConfig,
        names: Sequence[str],
        terms: Sequence[Terms],
        tape: Tape,
        *,
        now: Callable[[], int],
        offers: Callable[[int, int], Sequence[Offer]],
        prices: Callable[[int], Sequence[float]],
        session: Callable[[int, int], str],
    ) -> None:
        self.ledger = Ledger(config.cash, terms)
        self.terms = terms
        self.orders: list[Order] = []
        self.fills: list[Fill] = []
        self.outcomes: list[Outcome] = []
        self.working: list[Working] = []
        self.placed: list[Order | int] = []
        self.steps = array("d")
        self._config = config
        self._names = names
        self._ordinals = {name: i for i, name in enumerate(names)}
        self._tape = tape
        self._now = now
        self._offers, self._prices, self._session = offers, prices, session
        self._numbered = 0
        self._rivals: dict[int, int] = {}
        self._rule = inside_bar if config.fill == "intrabar" else at_price
        self._is_free = config.costs.is_free

    # What a strategy asks for

    def place(  # noqa: PLR0913  # an order has this many parts
        self,
        instrument: str,
        size: float,
        kind: OrderKind = "market",
        limit: float = NAN,
        stop: float = NAN,
        trail: float = NAN,
        *,
        tag: str = "",
    ) -> int:
        """Take an order; it is put to work after the callbacks of this slice. Gives its number.

        Levels it does not have are NaN.
        """
        self._numbered = number = self._numbered + 1
        order = Order(number, self._now(), instrument, size, kind, limit, stop, trail, tag)
        self.placed.append(order)
        return number

    def cancel(self, number: int) -> None:
        """Take back an order after the callbacks of this slice, if it is still at work then."""
        if not 0 < number <= self._numbered:
            raise UsageError(f"there is no order {number}", hint="cancel by the number of placing")
        self.placed.append(number)

    def link(self, first: int, second: int) -> None:
        """Let the fill of either of two orders take the other back, in the same moment."""
        for number in (first, second):
            if not 0 < number <= self._numbered:
                raise UsageError(f"there is no order {number}", hint="link by numbers of placing")
        self._rivals[first], self._rivals[second] = second, first

    def waiting(self, ordinal: int) -> float:
        """Units that working and newly placed market orders of an instrument will add."""
        if not self.working and not self.placed:
            return 0.0
        name, lot = self._names[ordinal], self.terms[ordinal].size_step
        new = (o for o in self.placed if isinstance(o, Order))
        orders = [*(w.order for w in self.working), *new]
        market = (o.size for o in orders if o.instrument == name and o.kind == "market")
        return sum(whole_lots(size, lot) for size in market)

    # What happens to it

    def match(self, at: int, on_fill: OnFill) -> None:
        """Try the working orders against what is offered in a slice."""
        for working in self.working.copy():
            if self._rivals and working not in self.working:
                continue  # its rival was filled just now
            for offer in self._offers(working.ordinal, at):
                price = self._rule(working, offer)
                if price == price:  # not NaN
                    self.working.remove(working)
                    self._fill(working, price, offer, at, on_fill)
                    break
                working.follow(offer)

    def accept(self, at: int, on_fill: OnFill) -> None:
        """Number and put to work what was placed in a slice; carry out what was cancelled."""
        placed = self.placed.copy()
        self.placed.clear()
        for item in placed:
            if isinstance(item, Order):
                working = self._begin(item, at)
                if working.size:
                    self.working.append(working)
                else:
                    self._refuse(item, at, item.time_ns, "smaller than a lot")
            else:
                self._cancel(item, at, self._now())
        if self._config.fill == "same_close":
            self.match(at, on_fill)
            if self.placed:
                self.accept(at, on_fill)

    def close_out(self, at: int, on_fill: OnFill) -> None:
        """Close all positions at the last prices, at the end of a run."""
        prices, time_ns = self._prices(at), self._now()
        for ordinal, position in enumerate(self.ledger.positions):
            if position:
                self.place(self._names[ordinal], -position, tag="end of run")
                order = self.placed.pop()
                assert isinstance(order, Order)
                price = prices[ordinal]
                end = Offer(price, price, time_ns, 0.0, price, price, price)
                self._fill(self._begin(order, at), price, end, at, on_fill)

    def _begin(self, order: Order, at: int) -> Working:
        """Keep an order, put it on the tape, and see what of it can be put to work."""
        ordinal, size = self._ordinals[order.instrument], order.size
        levels = order.limit, order.stop, order.trail
        self.orders.append(order)
        self._tape.decide(at, order.time_ns, PLACED, order.number, ordinal, size, *levels)
        lots = whole_lots(size, self.terms[ordinal].size_step)
        return Working(order, ordinal, abs(lots), 1.0 if size > 0.0 else -1.0, order.stop)

    def _cancel(self, number: int, at: int, time_ns: int, reason: str = "by the strategy") -> None:
        found = [w for w in self.working if w.order.number == number]
        if found:
            self.working.remove(found[0])
            self._note(at, CANCELLED, found[0].order, time_ns)
            self.outcomes.append(Outcome(number, time_ns, "cancelled", reason))

    def _fill(
        self,
        working: Working,
        price: float,
        offer: Offer,
        at: int,
        on_fill: OnFill,
    ) -> None:
        order, ordinal, sign, size = working.order, working.ordinal, working.sign, working.size
        terms, ledger = self.terms[ordinal], self.ledger
        paid, fee = price, 0.0
        if not self._is_free:
            paid, fee = self._with_costs(working, price, offer.volume)
        cash = ledger.cash - sign * (size * paid * terms.multiplier) - fee
        bought = sign * size
        after = position_after(ledger.positions[ordinal], bought, terms.size_step)
        if after != 0.0 and not self._can_pay(ordinal, after, paid, cash, at):
            self._refuse(order, at, offer.time_ns, "not enough money")
            return
        ledger.apply(ordinal, bought, after, paid, cash)
        self.steps.extend((at, ordinal, after, cash))
        time_ns, number, label = offer.time_ns, order.number, self._session(ordinal, at)
        away = abs(paid - price)
        fill = Fill(number, time_ns, label, order.instrument, bought, paid, fee, away, cash)
        self.fills.append(fill)
        self._tape.decide(at, time_ns, FILLED, number, ordinal, bought, paid, fee, cash)
        if number in self._rivals:
            self._cancel(self._rivals[number], at, time_ns, "its rival was filled")
        if on_fill is not None:
            on_fill(fill)

    def _with_costs(self, working: Working, price: float, volume: float) -> tuple[float, float]:
        """The price paid for an order's fill at a price, and the fee."""
        costs, terms, size = self._config.costs, self.terms[working.ordinal], working.size
        paid = price
        if working.is_taker:
            steps_away = costs.slip_steps * terms.price_step
            paid = slipped(
                price, working.sign, size, volume, steps_away, costs.slip_rate, costs.slip_volume
            )
        moved = size * paid * terms.multiplier
        return paid, fee_of(moved, size, costs.fee_per_unit, costs.fee_rate, costs.fee_minimum)

    def _can_pay(self, ordinal: int, after: float, price: float, cash: float, at: int) -> bool:
        worth = after * price * self.terms[ordinal].multiplier
        gross, equity = abs(worth), cash + worth
        positions = self.ledger.positions
        for k, held in enumerate(positions):
            if held and k != ordinal:
                worth = held * self._prices(at)[k] * self.terms[k].multiplier
                gross += abs(worth)
                equity += worth
        return is_affordable(gross, equity, self._config.leverage, positions[ordinal], after)

    def _refuse(self, order: Order, at: int, time_ns: int, reason: str) -> None:
        self._note(at, REJECTED, order, time_ns)
        self.outcomes.append(Outcome(order.number, time_ns, "rejected", reason))

    def _note(self, at: int, what: int, order: Order, time_ns: int) -> None:
        ordinal = self._ordinals[order.instrument]
        self._tape.decide(at, time_ns, what, order.number, ordinal)
