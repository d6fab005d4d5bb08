"""One strategy on one symbol in one run of PyBroker: bars and fills to it, its orders back."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np
from pybroker.common import PriceType, StopType
from pybroker.context import ExecContext

from openbell.backtest.config import RunConfig
from openbell.backtest.engines.pybroker_desk import Book, Market, MarketContext, terms_in_pybroker
from openbell.backtest.fill_rules import Working
from openbell.backtest.orders import Fill, Order, Outcome
from openbell.backtest.strategy import Strategy
from openbell.market.bars import Bar
from openbell.market.calendars import calendar
from openbell.market.errors import RunError
from openbell.market.moments import START_OF_TIME_NS
from openbell.market.session import Session
from openbell.ports import ReadStore
from openbell.replay.plan import ReplayPlan

_STOP_TYPES = {
    "stop": StopType.LOSS,
    "stop_limit": StopType.LOSS,
    "limit": StopType.PROFIT,
    "trailing": StopType.TRAILING,
}


class _Sent(NamedTuple):
    """An order of ours that PyBroker has.

    Attributes
    ----------
    order
        Ours.
    size
        Of it, in whole lots; signed.
    what
        PyBroker's word for such an order: ``market``, ``limit``, ``stop_loss``, ….
    created
        The bar it was placed on, by its date.
    stops
        Numbers of PyBroker's stops.
    """

    order: Order
    size: float
    what: str
    created: Any
    stops: tuple[int, ...] = ()


class Player:
    """One strategy on one symbol in one run."""

    def __init__(self, strategy: Strategy, config: RunConfig, ctx: ExecContext) -> None:
        self.strategy = strategy
        self.market = Market(ctx.symbol, config.on[0].rpartition("/")[2], config.history)
        instrument = self.market.series.instrument
        is_fractional = ctx.config.enable_fractional_shares
        terms = terms_in_pybroker(instrument, config.lot, is_fractional=is_fractional)
        self.book = Book(config, self.market, terms)
        self.context = MarketContext(config, self.market, self.book)
        self._calendar = calendar(instrument.place.calendar)
        self._session: Session | None = None
        self._seen_ns = START_OF_TIME_NS
        self._last_id = 0
        self._sent: list[_Sent] = []

    def begin(self, ctx: ExecContext, planned: tuple[ReadStore, ReplayPlan] | None) -> None:
        """Start the strategy, at the start of the first bar."""
        self.market.hand.times_ns = ctx.date[:1].astype("datetime64[ns]").astype(np.int64)
        if planned:
            self.strategy.on_plan(*planned)
        self.strategy.on_start(self.context)
        self.context.begin(float(ctx.config.bars_per_year or "nan"))

    def step(self, ctx: ExecContext) -> None:
        """One bar: what was filled, the callbacks, what is ordered."""
        bar = self._go_on(ctx)
        self._synchronise(ctx)
        if not (self._session and bar.start_ns < self._session.close_ns):
            self._enter(self._calendar.at(bar.start_ns))
        self._take_fills(ctx)
        self.strategy.on_bar(self.context, bar)
        if self._session and bar.end_ns >= self._session.close_ns:
            self._enter(None)
        self.book.accept(0, self._tell)
        self._withdraw(ctx)
        self._hand_on(ctx)

    def stop(self) -> None:
        """The run is over."""
        self._enter(None)
        self.strategy.on_stop(self.context)

    def _enter(self, session: Session | None) -> None:
        """Turn to a session, or to none, as in extended hours."""
        if session == self._session:
            return
        if self._session is not None:
            self.strategy.on_session_close(self.context, self._session)
        self._session = session
        if session is not None:
            self.book.label = session.label
            self.strategy.on_session_open(self.context, session)

    def _go_on(self, ctx: ExecContext) -> Bar:
        """Take in the bars that are new; the last is now. Where there is no volume it is 0."""
        # Each window of a walk-forward has columns of its own.
        date = ctx.date.astype("datetime64[ns]", copy=False).view(np.int64)
        new = len(date) - int(np.searchsorted(date, self._seen_ns, side="right"))
        self._seen_ns = int(date[-1])
        volume = np.broadcast_to(0.0, len(date)) if ctx.volume is None else ctx.volume
        ohlcv = (ctx.open, ctx.high, ctx.low, ctx.close, volume)
        bars, bar = self.market.look(date, ohlcv, new)
        for indicator, _ in self.context.columns:
            indicator.load(bars, np.array([len(bars)]))
        return bar

    def _synchronise(self, ctx: ExecContext) -> None:
        """Positions and money as PyBroker has them."""
        ledger = self.book.ledger
        held, average = 0.0, 0.0
        for position in ctx.positions(self.market.symbol):
            sign = 1.0 if position.type == "long" else -1.0
            held = sign * float(position.shares)
            average = float(position.entry_notional / position.shares)
        ledger.positions[0], ledger.averages[0] = held, average
        ledger.cash, ledger.worth = float(ctx.cash), float(ctx.total_market_value)

    # From PyBroker

    def _take_fills(self, ctx: ExecContext) -> None:
        """Tell the strategy what was filled of what it ordered, and what was not."""
        if not self._sent:
            return
        for done in self._filled(ctx):
            self._share_out(done, [s for s in self._sent if _is_of(done, s)])
        for left in [s for s in self._sent if s.what == "market"]:
            self._end(left, "rejected", "PyBroker did not fill it: not enough money")
        held = {
            stop.id
            for position in ctx.positions(self.market.symbol)
            for entry in position.entries
            for stop in entry.stops
        }
        wanted = {w.order.number for w in self.book.working} - set(self.book.placed)
        for left in [s for s in self._sent if s.stops and not held & set(s.stops)]:
            if left.order.number in wanted:
                self._end(left, "cancelled", "PyBroker ends stops with their position")

    def _filled(self, ctx: ExecContext) -> list[Any]:
        """PyBroker's orders of this symbol since the last time, in order; stops as one."""
        orders = ctx._portfolio.orders  # noqa: SLF001  # `ctx.orders` goes through all of them
        new = list(takewhile(lambda order: order.id > self._last_id, reversed(orders)))
        if new:
            self._last_id = new[0].id
        found: list[Any] = []
        for order in reversed([order for order in new if order.symbol == self.market.symbol]):
            if found and found[-1].order_type == order.order_type != "market":
                shares, fees = found[-1].shares + order.shares, found[-1].fees + order.fees
                found[-1] = order._replace(shares=shares, fees=fees)
            else:
                found.append(order)
        return found

    def _share_out(self, done: Any, sent: Sequence[_Sent]) -> None:
        """Give what PyBroker bought or sold to the orders it was for, in order of placing."""
        left = float(done.shares) * (1.0 if done.type == "buy" else -1.0)
        wanted = sum(s.size for s in sent)
        if sent and abs(left) < abs(wanted) and not sent[0].stops:
            self.context.log(f"PyBroker filled {left:g} of {wanted:g} units: not enough money")
        for number, each in enumerate(sent, 1):
            size = left if number == len(sent) else each.size
            left -= size
            self._sent.remove(each)
            self._fill(done, each, size)

    def _fill(self, done: Any, sent: _Sent, size: float) -> None:
        order = sent.order
        share = abs(size) / float(done.shares)
        fill = Fill(
            order.number,
            int(np.datetime64(done.date, "ns").astype(np.int64)),
            self.book.label,
            self.market.symbol,
            size,
            float(done.fill_price),
            float(done.fees) * share,
            abs(float(done.fill_price) - float(done.market_price)),
            self.book.ledger.cash,
        )
        self.book.done(order.number)
        self.book.fills.append(fill)
        self.book.end_rival(order.number, fill.time_ns)
        self._tell(fill)

    def _tell(self, fill: Fill) -> None:
        self.strategy.on_fill(self.context, fill)

    def _end(self, sent: _Sent, state: str, reason: str) -> None:
        self._sent.remove(sent)
        self.book.done(sent.order.number)
        now_ns = self.context.now_ns
        self.book.outcomes.append(Outcome(sent.order.number, now_ns, state, reason))
        self.context.log(f"order {sent.order.number} was {state}: {reason}")

    # To PyBroker

    def _withdraw(self, ctx: ExecContext) -> None:
        """Take back from PyBroker what the strategy took back."""
        working = {w.order.number for w in self.book.working}
        for sent in [s for s in self._sent if s.order.number not in working]:
            self._sent.remove(sent)
            for stop in sent.stops:
                ctx.cancel_stop(stop)
            for pending in list(ctx.pending_orders(self.market.symbol)):
                if sent.what == "limit" and pending.created == sent.created:
                    ctx.cancel_pending_order(pending.id)

    def _hand_on(self, ctx: ExecContext) -> None:
        """Give PyBroker the orders it does not have yet."""
        numbers = {s.order.number for s in self._sent}
        new = [w for w in self.book.working if w.order.number not in numbers]
        market = [w for w in new if w.order.kind == "market"]
        coming = [s.size for s in self._sent if not s.stops] + [w.order.size for w in market]
        held = self.book.ledger.positions[0]
        entries = []
        for w in (w for w in new if w.order.kind != "market"):
            if held * w.sign < 0.0:
                self._guard(ctx, w, held)
            elif not any(size * w.sign < 0.0 for size in coming):  # else it guards what comes
                entries.append(_require_limit(w))
        if len(entries) > 1 or (entries and market):
            raise RunError(
                f"{len(entries) + len(market)} orders for {self.market.symbol} on one bar",
                hint="PyBroker takes one at a time; place them on different bars",
            )
        self._order(ctx, entries or market)

    def _order(self, ctx: ExecContext, orders: Sequence[Working]) -> None:
        """One limit order, or market orders together."""
        created = ctx.date[-1]
        what = "limit" if orders and orders[0].order.kind == "limit" else "market"
        sent = [_Sent(w.order, w.sign * w.size, what, created) for w in orders]
        self._sent += sent
        units = sum(s.size for s in sent)
        if units == 0.0:
            for each in sent:
                self._end(each, "cancelled", "the orders of this bar cancel each other out")
            return
        side = "buy" if units > 0 else "sell"
        setattr(ctx, f"{side}_shares", abs(units))
        setattr(ctx, f"{side}_fill_price", PriceType.OPEN)
        if what == "limit":
            setattr(ctx, f"{side}_limit_price", orders[0].order.limit)
            setattr(ctx, f"{side}_timeout_bars", -1)

    def _guard(self, ctx: ExecContext, w: Working, held: float) -> None:
        """Put a stop on every entry of the position, in points from the price it was filled at."""
        if w.size != abs(held):
            raise RunError(
                f"order {w.order.number} guards {w.size:g} of {abs(held):g} units",
                hint="PyBroker's stops are for the whole position: give its size",
            )
        kind = _STOP_TYPES[w.order.kind]
        what = f"stop_{kind.value}"
        taken = [s for s in self._sent if s.what == what]
        if taken:
            raise RunError(
                f"orders {taken[0].order.number} and {w.order.number} are both a {what}",
                hint="take the first back before placing the second",
            )
        stops = tuple(
            _add_stop(ctx, entry, kind, w.order)
            for position in ctx.positions(self.market.symbol)
            for entry in position.entries
        )
        self._sent.append(_Sent(w.order, w.sign * w.size, what, ctx.date[-1], stops))


def _require_limit(w: Working) -> Working:
    if w.order.kind != "limit":
        raise RunError(
            f"PyBroker has no {w.order.kind} orders to enter with",
            hint="enter with market or limit orders, or use the native engine",
        )
    return w


def _add_stop(ctx: ExecContext, entry: Any, kind: StopType, order: Order) -> int:
    """Give a filled entry a stop; its number.

    PyBroker takes stops only with the order that enters, in points, when the price of the fill is
    not known yet. What follows is what it does itself at the fill.
    """
    stop = ctx._create_stop(  # noqa: SLF001
        stop_type=kind,
        pos_type=entry.type,
        points=_points(entry, kind, order),
        percent=None,
        bars=None,
        fill_price=None,
        limit_price=order.limit if order.kind == "stop_limit" else None,
        exit_price=None,
    )
    ctx._portfolio._add_stops(entry, [stop])  # noqa: SLF001
    number: int = stop.id
    return number


def _points(entry: Any, kind: StopType, order: Order) -> Decimal:
    """The distance of an order's level from the price an entry was filled at.

    Negative where the level lies on the other side of it, as a stop that secures a profit does.
    """
    if kind == StopType.TRAILING:
        return Decimal(str(order.trail))
    level = order.limit if kind == StopType.PROFIT else order.stop
    below: Decimal = entry.price - Decimal(str(level))
    return below if (entry.type == "long") == (kind == StopType.LOSS) else -below


def _is_of(done: Any, sent: _Sent) -> bool:
    """Whether PyBroker's order is the one that was sent."""
    return done.order_type == sent.what and (
        sent.what.startswith("stop") or done.created == sent.created
    )
