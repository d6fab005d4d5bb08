"""Moving-average crossover: long while the fast average is above the slow one."""

from typing import ClassVar

import numpy as np
from numba import njit

from openbell.backtest import kernels
from openbell.backtest.indicators import Column
from openbell.backtest.strategy import SignalStrategy, param
from openbell.market.columns import Floats
from openbell.market.errors import UsageError


@njit(cache=True, nogil=True)
def ema_signals(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """1 where the fast EMA is above the slow one, else ``params[2]``; NaN until the slow is ready.

    params: fast, slow, target below. state: both averages, values seen. EMAs as `kernels.ema`.
    """
    c = bars[kernels.CLOSE]
    alpha_fast = 2.0 / (params[0] + 1.0)
    alpha_slow = 2.0 / (params[1] + 1.0)
    ready, below = params[1], params[2]
    fast, slow, seen = state[0], state[1], state[2]
    for i in range(len(c)):
        fast = c[i] if seen == 0.0 else fast + alpha_fast * (c[i] - fast)
        slow = c[i] if seen == 0.0 else slow + alpha_slow * (c[i] - slow)
        seen += 1.0
        if seen < ready:
            out[i] = np.nan
        else:
            out[i] = 1.0 if fast > slow else below
    state[0], state[1], state[2] = fast, slow, seen


@njit(cache=True, nogil=True)
def sma_signals(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """As `ema_signals` with simple averages. state: the states of both averages."""
    n = bars.shape[1]
    cut = 3 + int(params[0])
    fast, slow = np.empty(n), np.empty(n)
    kernels.sma(bars, params[0:1], state[:cut], fast)
    kernels.sma(bars, params[1:2], state[cut:], slow)
    for i in range(n):
        if np.isnan(slow[i]):
            out[i] = np.nan
        else:
            out[i] = 1.0 if fast[i] > slow[i] else params[2]


class MovingAverageCross(SignalStrategy):
    """Long while the fast average is above the slow one, flat (or short) otherwise."""

    aliases: ClassVar = {
        "fast_period": "fast",
        "short_window": "fast",
        "slow_period": "slow",
        "long_window": "slow",
        "ma_type": "average",
    }
    examples: ClassVar = {
        "quick": {"fast": 5, "slow": 20},
        "conservative": {"fast": 20, "slow": 50},
        "aggressive": {"fast": 5, "slow": 15, "short": True},
    }
    fast: int = param(12, "bars of the fast average", low=1, high=200)
    slow: int = param(26, "bars of the slow average", low=2, high=500)
    average: str = param("ema", "kind of average", choices=("ema", "sma"))
    short: bool = param(default=False, about="go short below, instead of flat")

    def check(self) -> None:
        """The fast average is over fewer bars."""
        if self.fast >= self.slow:
            raise UsageError(
                f"fast is {self.fast}, slow is {self.slow}", hint="fast must be less than slow"
            )

    def signals(self) -> Column:
        """The crossover of the chosen average."""
        params = (float(self.fast), float(self.slow), -1.0 if self.short else 0.0)
        if self.average == "ema":
            return Column(ema_signals, params, 3)
        return Column(sma_signals, params, 6 + self.fast + self.slow)


class EmaCross(MovingAverageCross):
    """Moving-average crossover of exponential averages, 12 and 26 bars."""


class SmaCross(MovingAverageCross):
    """Moving-average crossover of simple averages, 10 and 30 bars."""

    names = ("moving_average_crossover",)
    fast: int = param(10, "bars of the fast average", low=1, high=200)
    slow: int = param(30, "bars of the slow average", low=2, high=500)
    average: str = param("sma", "kind of average", choices=("ema", "sma"))
