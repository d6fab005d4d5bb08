"""What a strategy holds while PyBroker plays: its orders, its money, and a context to act in."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from msgspec import structs

from openbell.backtest.broker import Broker, Ledger
from openbell.backtest.config import RunConfig
from openbell.backtest.context import Context
from openbell.market.bars import Bar, Bars, bars_from
from openbell.market.build import bins
from openbell.market.calendars import calendar
from openbell.market.columns import Columns, Floats, Ints
from openbell.market.errors import UsageError
from openbell.market.instrument import Instrument, Series, Terms, terms_of
from openbell.replay.clock import Clock, Hand
from openbell.replay.session_data import InstrumentData
from openbell.replay.system import System
from openbell.replay.tape import Tape


class Market:
    """What is known of one symbol: the clock, and the newest bars.

    Attributes
    ----------
    symbol
        What PyBroker calls it.
    series
        Of its bars. A symbol that is none of our names is taken to trade around the clock.
    keep
        How many bars a strategy may look back on.
    """

    def __init__(self, symbol: str, kind: str, keep: int) -> None:
        named = ":" in symbol
        instrument = Instrument.parse(symbol) if named else Instrument("PYBROKER", symbol)
        self.symbol = symbol
        self.series = Series(instrument, kind)
        self.names = (symbol,)
        self.keep = keep
        self.hand = Hand(0)
        self.clock = Clock(self.hand)
        self._start_ns: Ints = np.empty(0, np.int64)
        self._ohlcv: Sequence[Floats] = [np.empty(0)] * 5

    def look(self, start_ns: Ints, ohlcv: Sequence[Floats], new: int) -> tuple[Bars, Bar]:
        """Take in all bars there are, of which some are new; gives those, and the last: now."""
        self._start_ns, self._ohlcv = start_ns, ohlcv
        found = self.newest(new)
        bar = structs.replace(found.bar(-1), instrument=self.symbol)
        self.hand.times_ns = np.array([bar.end_ns])
        return found, bar

    def newest(self, count: int) -> Bars:
        """The newest bars; fewer if there are fewer."""
        start_ns = self._start_ns[-count:]
        ohlcv = [np.asarray(column[-count:], np.float64) for column in self._ohlcv]
        return bars_from(self.series, start_ns, _ends(self.series, start_ns), ohlcv)

    def prices(self) -> list[float]:
        """The last close; NaN before the first."""
        close = self._ohlcv[3]
        return [float(close[-1]) if len(close) else float("nan")]

    def track(self, ordinal: int, kind: str) -> int:
        """Where an indicator's bars are; PyBroker plays one timeframe."""
        if kind not in ("", self.series.kind):
            raise UsageError(f"{kind} bars are not played", hint="PyBroker plays one timeframe")
        return ordinal


def _ends(series: Series, start_ns: Ints) -> Ints:
    """The ends of bars by their starts: the calendar's, or the width in no session."""
    place, width = series.instrument.place, series.timeframe
    found = bins(start_ns, width, anchor=place.anchor, calendar=calendar(place.calendar))[1]
    return np.where(found > start_ns, found, start_ns + width.width_ns)


def terms_in_pybroker(instrument: Instrument, lot: float | None, *, is_fractional: bool) -> Terms:
    """Units as PyBroker counts them: whole ones unless told otherwise, a point worth 1."""
    known = terms_of(instrument)
    step = known.size_step if lot is None else lot
    return replace(known, size_step=step if is_fractional else max(step, 1.0), multiplier=1.0)


class _NoTape:
    """Takes the place of the tape: PyBroker's runs have no seal."""

    def decide(self, *_: object) -> None:
        return None


class _Ledger(Ledger):
    """Cash and positions as PyBroker has them, equity too."""

    worth = 0.0

    def equity(self, prices: Sequence[float]) -> float:  # noqa: ARG002  # PyBroker marks them
        return self.worth


class Book(Broker):
    """Takes a strategy's orders; PyBroker fills them."""

    ledger: _Ledger

    def __init__(self, config: RunConfig, market: Market, terms: Terms) -> None:
        super().__init__(
            config, market.names, (terms,), cast(Tape, _NoTape()), now=market.clock.now,
            offers=lambda *_: (), prices=lambda _: (), session=lambda *_: self.label,
        )  # fmt: skip
        self.label = ""
        self.ledger = _Ledger(config.cash, (terms,))

    def done(self, number: int) -> None:
        """An order is at work no longer. `working` stays the same list."""
        self.working[:] = [w for w in self.working if w.order.number != number]

    def end_rival(self, number: int, time_ns: int) -> None:
        """Take back the order that was linked to a filled one."""
        if number in self._rivals:
            self._cancel(self._rivals[number], 0, time_ns, "its rival was filled")


class MarketContext(Context):
    """What a strategy sees and does in PyBroker: its symbol's bars, without session data."""

    def __init__(self, config: RunConfig, market: Market, book: Book) -> None:
        super().__init__(config, cast(System, market), book, market.prices)
        self._market = market

    def data(self, instrument: str = "") -> InstrumentData:
        """Not there."""
        raise UsageError(
            f"no session data of {instrument or self._market.symbol}",
            hint="PyBroker does not play sessions; use ctx.history, or the native engine",
        )

    def history(self, count: int, instrument: str = "", kind: str = "") -> Columns:
        """The newest `count` bars."""
        self._market.track(self._ordinal(instrument), kind)
        if not 0 < count <= self._market.keep:
            raise UsageError(
                f"{count} rows of history", hint=f"{self._market.keep} are kept; set history"
            )
        return self._market.newest(count)
