"""What a strategy holds: what is known now, and a way to act."""

import math
import random
from collections.abc import Callable, Sequence

from openbell.backtest import indicators
from openbell.backtest.broker import Broker
from openbell.backtest.config import RunConfig
from openbell.backtest.indicators import Column, Indicator
from openbell.backtest.money import (
    CASH,
    PERCENT,
    UNITS,
    VOLATILITY,
    wanted_units,
    whole_lots,
)
from openbell.backtest.orders import NAN, Order, kind_of
from openbell.backtest.result import LogLine
from openbell.market.columns import Columns
from openbell.market.errors import UsageError
from openbell.replay.session_data import InstrumentData
from openbell.replay.system import System

_LOG_LINES = 10_000
VOLATILITY_BARS = 100
SIZING_NUMBERS = {"units": UNITS, "cash": CASH, "percent": PERCENT, "volatility": VOLATILITY}


class Context:
    """Everything a strategy may see and do. Nothing here shows the future.

    Attributes
    ----------
    instruments
        Names, as registered.
    random
        Random numbers, seeded by the run's configuration.
    """

    def __init__(
        self,
        config: RunConfig,
        system: System,
        broker: Broker,
        prices: Callable[[], Sequence[float]],
    ) -> None:
        self.instruments = system.names
        self.random = random.Random(config.seed)  # noqa: S311  # for strategies, not for secrets
        self.log_lines: list[LogLine] = []
        self.columns: list[tuple[Indicator, int]] = []
        self._config = config
        self._system = system
        self._broker = broker
        self._prices = prices
        self._ordinals = {name: i for i, name in enumerate(system.names)}
        self._targets = dict.fromkeys(system.names, 0.0)
        self._sizing = SIZING_NUMBERS.get(config.sizing)
        self._wide: dict[str, Indicator] = {}
        self._has_started = False

    # What is known

    @property
    def now_ns(self) -> int:
        """The moment of this slice, nanoseconds since 1970-01-01 UTC."""
        return self._system.clock.now()

    @property
    def cash(self) -> float:
        """Money."""
        return self._broker.ledger.cash

    @property
    def equity(self) -> float:
        """Money plus positions at the last known close."""
        return self._broker.ledger.equity(self._prices())

    @property
    def orders(self) -> tuple[Order, ...]:
        """Orders waiting to be filled."""
        return tuple(working.order for working in self._broker.working)

    def position(self, instrument: str = "") -> float:
        """Signed units held of an instrument (of the only one, if none is named)."""
        return self._broker.ledger.positions[self._ordinal(instrument)]

    def average(self, instrument: str = "") -> float:
        """Average entry price of the position; 0 when flat."""
        return self._broker.ledger.averages[self._ordinal(instrument)]

    def price(self, instrument: str = "") -> float:
        """Last known close; NaN before the first."""
        return self._prices()[self._ordinal(instrument)]

    def data(self, instrument: str = "") -> InstrumentData:
        """Session data of an instrument: bars so far, derived bars, trailing history, figures."""
        ordinal = self._ordinal(instrument)
        name = self.instruments[ordinal]
        return next(d for d in self._system.session_data if name in d.instruments)[name]

    def history(self, count: int, instrument: str = "", kind: str = "") -> Columns:
        """The newest `count` rows: base bars, or ``5m``, ``trades``, …; fewer if there are fewer.

        Raises
        ------
        UsageError
            If more is asked for than the run keeps (`RunConfig.history`).
        """
        if not 0 < count <= self._config.history:
            raise UsageError(
                f"{count} rows of history",
                hint=f"this run keeps {self._config.history}; set history={count} in its settings",
            )
        return self.data(instrument).history(count, kind)

    # Indicators

    def ema(
        self, n: int, instrument: str = "", *, kind: str = "", source: str = "close"
    ) -> Indicator:
        """Exponential moving average; see `kernels.ema`."""
        return self.column(indicators.ema(n), instrument, kind=kind, source=source)

    def sma(
        self, n: int, instrument: str = "", *, kind: str = "", source: str = "close"
    ) -> Indicator:
        """Simple moving average; see `kernels.sma`."""
        return self.column(indicators.sma(n), instrument, kind=kind, source=source)

    def rsi(
        self, n: int, instrument: str = "", *, kind: str = "", source: str = "close"
    ) -> Indicator:
        """Relative strength index; see `kernels.rsi`."""
        return self.column(indicators.rsi(n), instrument, kind=kind, source=source)

    def indicator(
        self, name: str, n: int, instrument: str = "", *, kind: str = "", source: str = "close"
    ) -> Indicator:
        """Any indicator of `indicators.INDICATORS` by its name."""
        if name not in indicators.INDICATORS:
            raise UsageError(
                f"unknown indicator `{name}`", hint=f"use one of {', '.join(indicators.INDICATORS)}"
            )
        return self.column(indicators.INDICATORS[name](n), instrument, kind=kind, source=source)

    def column(
        self, column: Column, instrument: str = "", *, kind: str = "", source: str = "close"
    ) -> Indicator:
        """Any column function over an instrument's base bars, or its ``5m``, ``1h``, … bars.

        Raises
        ------
        UsageError
            After `on_start`: an indicator must see the run from its beginning.
        """
        if self._has_started:
            raise UsageError("an indicator was asked for too late", hint="make it in `on_start`")
        track = self._system.track(self._ordinal(instrument), kind)
        made = Indicator(column, source, self._system.clock.cursor, self._config.history)
        self.columns.append((made, track))
        return made

    # What it may do

    def buy(
        self,
        size: float,
        instrument: str = "",
        *,
        limit: float | None = None,
        stop: float | None = None,
        trail: float | None = None,
        tag: str = "",
    ) -> int:
        """Order to buy `size` units: at market, or with a limit, a stop, both, or a trailing stop.

        Gives the order's number. `trail` is the distance of a trailing stop in price units.
        """
        return self._order(size, instrument, limit, stop, trail, tag)

    def sell(
        self,
        size: float,
        instrument: str = "",
        *,
        limit: float | None = None,
        stop: float | None = None,
        trail: float | None = None,
        tag: str = "",
    ) -> int:
        """Order to sell `size` units; as `buy`."""
        return self._order(-size, instrument, limit, stop, trail, tag)

    def target(self, instrument: str, target: float) -> None:
        """Want a position: 1 is a full long one, 0 none, -1 a full short one; see `sizing`.

        Wanting what was wanted before does nothing: a position is not adjusted as prices move.
        """
        try:
            if self._targets[instrument] == target:
                return
        except KeyError:
            pass  # the only one, unnamed; or none of ours
        ordinal = self._ordinal(instrument)
        instrument = self.instruments[ordinal]
        if not math.isfinite(target):
            raise UsageError(f"a target of {target}", hint="want 1, 0, -1 or a part of it")
        if self._targets[instrument] == target:
            return
        wanted = self._wanted(ordinal, instrument, target)
        self._targets[instrument] = target
        held = self._broker.ledger.positions[ordinal] + self._broker.waiting(ordinal)
        if wanted != held:
            self._broker.place(instrument, wanted - held)

    def close(self, instrument: str = "") -> None:
        """Want no position."""
        self.target(self.instruments[self._ordinal(instrument)], 0.0)

    def cancel(self, number: int) -> None:
        """Take back an order, if it is still waiting after this slice's callbacks."""
        self._broker.cancel(number)

    def link(self, first: int, second: int) -> None:
        """Let the fill of either of two orders take the other back: a stop and a target, mostly."""
        self._broker.link(first, second)

    def full_size(self, instrument: str = "") -> float:
        """Units of a full position now, by the run's sizing."""
        ordinal = self._ordinal(instrument)
        return self._wanted(ordinal, self.instruments[ordinal], 1.0)

    def size_for_risk(self, stop: float, instrument: str = "") -> float:
        """Units for which the way from the last close to `stop` costs `size` × equity."""
        ordinal = self._ordinal(instrument)
        terms = self._broker.terms[ordinal]
        way = abs(self.price(instrument) - stop) * terms.multiplier
        if not way > 0.0:
            raise UsageError(f"a stop at {stop} risks nothing", hint="put it away from the price")
        return whole_lots(self._config.size * self.equity / way, terms.size_step)

    def log(self, text: str) -> None:
        """Write a line into the run; at most 10,000, and the last says so."""
        if len(self.log_lines) < _LOG_LINES - 1:
            self.log_lines.append(LogLine(self.now_ns, str(text)))
        elif len(self.log_lines) < _LOG_LINES:
            self.log_lines.append(LogLine(self.now_ns, "the log is full; nothing more is kept"))

    # Inside

    def begin(self, bars_per_year: float) -> None:
        """`on_start` is over; what sizing needs is made here."""
        if self._config.sizing == "volatility":
            wide = indicators.volatility(VOLATILITY_BARS, bars_per_year)
            self._wide = {name: self.column(wide, name) for name in self.instruments}
        self._has_started = True

    def _wanted(self, ordinal: int, instrument: str, target: float) -> float:
        terms, sizing = self._broker.terms[ordinal], self._sizing
        if sizing is None:
            raise UsageError(
                "sizing by risk needs a stop",
                hint="order with ctx.buy(ctx.size_for_risk(stop)) instead of ctx.target",
            )
        price = 1.0 if sizing == UNITS else self._known_price(instrument)
        return wanted_units(
            target,
            price,
            self.equity if sizing in (PERCENT, VOLATILITY) else 0.0,
            self._wide[instrument].value if self._wide else 0.0,
            sizing,
            self._config.size,
            terms.multiplier,
            terms.size_step,
        )

    def _known_price(self, instrument: str) -> float:
        price = self.price(instrument)
        if price != price:  # NaN
            raise UsageError(
                f"{instrument} has no price yet", hint="want a position once it had a bar"
            )
        return price

    def _ordinal(self, instrument: str) -> int:
        if not instrument and len(self.instruments) == 1:
            return 0
        if instrument in self._ordinals:
            return self._ordinals[instrument]
        raise UsageError(
            f"`{instrument}` is not played" if instrument else "there are several instruments",
            hint=f"name one of {', '.join(self.instruments)}",
        )

    def _order(
        self,
        size: float,
        instrument: str,
        limit: float | None,
        stop: float | None,
        trail: float | None,
        tag: str,
    ) -> int:
        name = self.instruments[self._ordinal(instrument)]
        if not (math.isfinite(size) and size != 0.0):
            raise UsageError(f"an order over {abs(size)} units", hint="order more than nothing")
        if trail is not None:
            if not 0.0 < trail < math.inf:
                raise UsageError(f"a trail of {trail}", hint="give a distance greater than zero")
            if stop is None:
                stop = self._known_price(name) + (trail if size > 0 else -trail)
        for what, level in (("limit", limit), ("stop", stop)):
            if level is not None and not math.isfinite(level):
                raise UsageError(f"a {what} of {level}", hint="give a price, or leave it out")
        levels = [NAN if level is None else float(level) for level in (limit, stop, trail)]
        return self._broker.place(name, float(size), kind_of(*levels), *levels, tag=tag)
