"""MACD: long while the histogram is above a threshold."""

from typing import ClassVar

import numpy as np
from numba import njit

from openbell.backtest import kernels
from openbell.backtest.indicators import Column
from openbell.backtest.strategy import SignalStrategy, param
from openbell.market.columns import Floats
from openbell.market.errors import UsageError


@njit(cache=True, nogil=True)
def signals(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """1 where the histogram is above the threshold, `below` where under its negative, else NaN.

    The line is EMA(fast) − EMA(slow) (Appel 1979), the signal an EMA of the line over all bars,
    the histogram their difference. Nothing is said before slow + signal bars.
    params: fast, slow, signal, threshold, below. state: three averages, values seen.
    """
    c = bars[kernels.CLOSE]
    alpha = 2.0 / (params[:3] + 1.0)
    fast, slow, line, seen = state[0], state[1], state[2], state[3]
    for i in range(len(c)):
        fast = c[i] if seen == 0.0 else fast + alpha[0] * (c[i] - fast)
        slow = c[i] if seen == 0.0 else slow + alpha[1] * (c[i] - slow)
        value = fast - slow
        line = value if seen == 0.0 else line + alpha[2] * (value - line)
        seen += 1.0
        histogram = value - line
        out[i] = np.nan
        if seen >= params[1] + params[2]:
            if histogram > params[3]:
                out[i] = 1.0
            elif histogram < -params[3]:
                out[i] = params[4]
    state[0], state[1], state[2], state[3] = fast, slow, line, seen


class Macd(SignalStrategy):
    """Long while the MACD histogram is above a threshold, flat (or short) below its negative."""

    names = ("macd_strategy",)
    aliases: ClassVar = {"histogram_threshold": "threshold"}
    examples: ClassVar = {"classic": {"fast": 12, "slow": 26, "signal": 9}}
    fast: int = param(12, "bars of the fast average", low=2, high=50)
    slow: int = param(26, "bars of the slow average", low=3, high=100)
    signal: int = param(9, "bars of the signal line", low=2, high=30)
    threshold: float = param(0.0, "least histogram, in price units", low=0.0)
    short: bool = param(default=False, about="go short below, instead of flat")

    def check(self) -> None:
        """The fast average is over fewer bars."""
        if self.fast >= self.slow:
            raise UsageError(
                f"fast is {self.fast}, slow is {self.slow}", hint="fast must be less than slow"
            )

    def signals(self) -> Column:
        """The sign of the histogram."""
        below = -1.0 if self.short else 0.0
        params = (float(self.fast), float(self.slow), float(self.signal), self.threshold, below)
        return Column(signals, params, 4)
