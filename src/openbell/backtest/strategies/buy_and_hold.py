"""Buy and hold: the strategy every other one has to beat."""

import numpy as np
from numba import njit

from openbell.backtest.indicators import Column
from openbell.backtest.strategy import SignalStrategy, param
from openbell.market.columns import Floats


@njit(cache=True, nogil=True)
def signals(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """1 from bar number ``params[0]`` (counted from 0) on. state: bars seen."""
    for i in range(bars.shape[1]):
        out[i] = 1.0 if state[0] >= params[0] else np.nan
        state[0] += 1.0


class BuyAndHold(SignalStrategy):
    """Buys once and holds."""

    names = ("simple_buy_hold",)
    entry_delay: int = param(0, "bars to wait before buying", low=0, high=100)

    def signals(self) -> Column:
        """1 once the delay is over."""
        return Column(signals, (float(self.entry_delay),), 1)
