"""Indicators: column functions with their parameters, and what a strategy holds of one.

Definitions stand with the functions in `kernels.py`. ``value`` is NaN and ``ready`` false until
the indicator is warm.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from openbell.backtest import kernels
from openbell.market.bars import Bars
from openbell.market.columns import Floats
from openbell.market.errors import ColumnError, UsageError
from openbell.replay.clock import Cursor

SOURCES = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Column:
    """A column function and its parameters; see `kernels` for the form.

    Attributes
    ----------
    function
        ``f(bars, params, state, out)``, compiled or plain.
    params
        What it is given as `params`.
    state
        How many words of state it needs.
    """

    function: Callable[..., Any]
    params: tuple[float, ...]
    state: int

    def over(self, bars: Bars, state: Floats | None = None, *, source: str = "close") -> Floats:
        """The values over bars, going on from `state` (changed in place) if it is given."""
        if source not in SOURCES:
            raise UsageError(f"unknown source `{source}`", hint=f"use one of {', '.join(SOURCES)}")
        out = np.empty(len(bars))
        if state is None:
            state = self.fresh_state()
        main = getattr(bars, source)
        rows = np.array((bars.open, bars.high, bars.low, main, bars.volume))
        try:
            self.function(rows, np.array(self.params), state, out)
        except Exception as error:
            name = getattr(self.function, "__name__", str(self.function))
            first = str(error).strip().partition("\n")[0]
            raise ColumnError(
                f"the column function {name} failed: {type(error).__name__}: {first}",
                hint="see docs/guides/write-a-strategy.md for its form",
            ) from error
        return out

    def fresh_state(self) -> Floats:
        """The state before the first bar."""
        return np.zeros(self.state)


def _length(n: int, *, least: int = 1) -> int:
    if n != int(n) or n < least:
        raise UsageError(f"an indicator over {n} bars", hint=f"use a whole number from {least} on")
    return int(n)


def ema(n: int) -> Column:
    """Exponential moving average over n bars."""
    return Column(kernels.ema, (_length(n),), 2)


def sma(n: int) -> Column:
    """Simple moving average over n bars."""
    return Column(kernels.sma, (_length(n),), 3 + n)


def deviation(n: int) -> Column:
    """Population standard deviation over n bars."""
    return Column(kernels.deviation, (_length(n),), 3 + n)


def zscore(n: int) -> Column:
    """Distance from the mean of n bars in deviations."""
    return Column(kernels.zscore, (_length(n, least=2),), 3 + n)


def rsi(n: int) -> Column:
    """Relative strength index over n changes."""
    return Column(kernels.rsi, (_length(n),), 4)


def atr(n: int) -> Column:
    """Average true range over n ranges."""
    return Column(kernels.atr, (_length(n),), 3)


def highest(n: int) -> Column:
    """Highest high of n bars."""
    return Column(kernels.highest, (_length(n),), 3 + n)


def lowest(n: int) -> Column:
    """Lowest low of n bars."""
    return Column(kernels.lowest, (_length(n),), 3 + n)


def change(n: int) -> Column:
    """Rate of change over n bars, a fraction."""
    return Column(kernels.change, (_length(n),), 3 + n)


def volatility(n: int, bars_per_year: float) -> Column:
    """Yearly volatility from the last n returns."""
    return Column(kernels.volatility, (_length(n, least=2), bars_per_year), 4 + n)


INDICATORS: dict[str, Callable[[int], Column]] = {
    "ema": ema,
    "sma": sma,
    "deviation": deviation,
    "zscore": zscore,
    "rsi": rsi,
    "atr": atr,
    "highest": highest,
    "lowest": lowest,
    "change": change,
}


class _Ready:
    """Whether an indicator has a value; looked up until it has one for the rest of the chunk.

    From then on its own `ready` stands before this one, and is read in a quarter of the time.
    """

    def __get__(self, indicator: "Indicator", _: type | None = None) -> bool:
        value = indicator.value
        is_ready = value == value  # false for NaN only
        if is_ready and indicator.is_warm:
            indicator.ready = True
        return is_ready


class Indicator:
    """A column function over one track of a replay, read at the clock's hand.

    Values of a chunk are computed in one go when it is loaded; only those up to now can be read.

    Attributes
    ----------
    ready
        Whether there is a value.
    """

    ready = _Ready()

    def __init__(self, column: Column, source: str, cursor: Cursor, keep: int) -> None:
        self.column = column
        self._source = source
        self._cursor = cursor
        self._state = column.fresh_state()
        self._tail = keep
        self._rows = np.full(keep, np.nan)
        self._counts = np.zeros(1, np.int64)
        self._by_slice: list[float] = [float("nan")]
        self._warm_from = 0

    def load(self, bars: Bars, counts: Any) -> None:
        """Go on to the next chunk: its bars, and how many are known at each slice."""
        values = self.column.over(bars, self._state, source=self._source)
        self._rows = np.concatenate([self._rows[len(self._rows) - self._tail :], values])
        self._counts = counts
        by_slice = self._rows[self._tail - 1 + counts]
        self._by_slice = by_slice.tolist()
        self._warm_from = int(np.flatnonzero(np.isnan(by_slice)).max(initial=-1)) + 1
        with suppress(AttributeError):
            del self.ready

    @property
    def is_warm(self) -> bool:
        """Whether there is a value now and in all that is left of the chunk."""
        return self._cursor.slice >= self._warm_from

    @property
    def value(self) -> float:
        """The newest value; NaN until warm."""
        return self._by_slice[self._cursor.slice]

    def history(self, count: int) -> Floats:
        """The newest `count` values, oldest first; NaN where there was none."""
        if not 0 < count <= self._tail:
            raise UsageError(
                f"{count} values of history", hint=f"at most {self._tail} are kept; see `history`"
            )
        end = self._tail + int(self._counts[self._cursor.slice])
        view = self._rows[end - count : end]
        view.flags.writeable = False
        return view
