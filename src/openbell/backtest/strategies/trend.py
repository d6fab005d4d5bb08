"""Trend following: Donchian breakout, and momentum."""

from typing import ClassVar

import numpy as np
from numba import njit

from openbell.backtest import kernels
from openbell.backtest.indicators import Column
from openbell.backtest.strategy import SignalStrategy, param
from openbell.market.columns import Floats
from openbell.market.errors import UsageError


@njit(cache=True, nogil=True)
def donchian_signals(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """Long above the highest high of the bars before, until below the lowest low of fewer.

    params: entry bars, exit bars, whether to go short. state: what is held, the last values of
    the four channels (entry high and low, exit high and low), then their states.
    """
    n = bars.shape[1]
    entry, leave, short = int(params[0]), int(params[1]), params[2]
    cut = 5 + 2 * (3 + entry)
    top, bottom, exit_top, exit_bottom = np.empty((4, n))
    kernels.highest(bars, params[0:1], state[5 : 8 + entry], top)
    kernels.lowest(bars, params[0:1], state[8 + entry : cut], bottom)
    kernels.highest(bars, params[1:2], state[cut : cut + 3 + leave], exit_top)
    kernels.lowest(bars, params[1:2], state[cut + 3 + leave :], exit_bottom)
    c = bars[kernels.CLOSE]
    held = state[0]
    for i in range(n):
        # The channels of the bars before this one; zero says there were none.
        if state[1] == 0.0 or np.isnan(state[1]):
            out[i] = np.nan
        else:
            if c[i] > state[1]:
                held = 1.0
            elif c[i] < state[2]:
                held = -1.0 if short > 0.0 else 0.0
            elif (held > 0.0 and c[i] < state[4]) or (held < 0.0 and c[i] > state[3]):
                held = 0.0
            out[i] = held
        state[1], state[2], state[3], state[4] = top[i], bottom[i], exit_top[i], exit_bottom[i]
    state[0] = held


@njit(cache=True, nogil=True)
def momentum_signals(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """1 where the rate of change is above the threshold, `below` under its negative, else NaN.

    params: n, threshold, below. state: of `kernels.change`.
    """
    kernels.change(bars, params[0:1], state, out)
    for i in range(len(out)):
        if out[i] > params[1]:
            out[i] = 1.0
        elif out[i] < -params[1]:
            out[i] = params[2]
        else:
            out[i] = np.nan


class DonchianBreakout(SignalStrategy):
    """Long once the close is above the channel of the bars before, until below a narrower one."""

    examples: ClassVar = {"turtle": {"entry": 20, "exit": 10}, "slow": {"entry": 55, "exit": 20}}
    entry: int = param(20, "bars of the channel to enter by", low=2, high=500)
    exit: int = param(10, "bars of the channel to leave by", low=1, high=500)
    short: bool = param(default=False, about="go short below the channel, instead of flat")

    def check(self) -> None:
        """The channel to leave by is over no more bars."""
        if self.exit > self.entry:
            raise UsageError(
                f"exit is {self.exit}, entry is {self.entry}", hint="exit must not exceed entry"
            )

    def signals(self) -> Column:
        """The close against both channels."""
        state = 5 + 2 * (3 + self.entry) + 2 * (3 + self.exit)
        params = (float(self.entry), float(self.exit), float(self.short))
        return Column(donchian_signals, params, state)


class Momentum(SignalStrategy):
    """Long while the price is above that of some bars before by a threshold."""

    examples: ClassVar = {"quick": {"period": 20}, "slow": {"period": 200, "threshold": 0.01}}
    period: int = param(60, "bars to look back", low=1, high=2000)
    threshold: float = param(0.0, "least change, as a fraction", low=0.0, high=1.0)
    short: bool = param(default=False, about="go short on a fall, instead of flat")

    def signals(self) -> Column:
        """The rate of change against the threshold."""
        below = -1.0 if self.short else 0.0
        return Column(
            momentum_signals, (float(self.period), self.threshold, below), 3 + self.period
        )
