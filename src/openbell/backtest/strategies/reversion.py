"""Mean reversion: buy what has fallen far, sell it when it has come back."""

from typing import ClassVar

import numpy as np
from numba import njit

from openbell.backtest import kernels
from openbell.backtest.indicators import Column
from openbell.backtest.strategy import SignalStrategy, param
from openbell.market.columns import Floats
from openbell.market.errors import UsageError


@njit(cache=True, nogil=True)
def rsi_signals(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """1 where RSI is under oversold, `above` where it is over overbought, else NaN.

    params: n, oversold, overbought, above. state: of `kernels.rsi`.
    """
    kernels.rsi(bars, params[0:1], state, out)
    for i in range(len(out)):
        if out[i] < params[1]:
            out[i] = 1.0
        elif out[i] > params[2]:
            out[i] = params[3]
        else:
            out[i] = np.nan


@njit(cache=True, nogil=True)
def zscore_signals(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """Enter where the z-score is beyond ±entry, against it; leave once it is back within ±exit.

    params: n, entry, exit, whether to go short. state: what is held, then of `kernels.zscore`.
    """
    kernels.zscore(bars, params[0:1], state[1:], out)
    entry, leave, short = params[1], params[2], params[3]
    held = state[0]
    for i in range(len(out)):
        z = out[i]
        if z < -entry:
            held = 1.0
        elif z > entry:
            held = -1.0 if short > 0.0 else 0.0
        elif (held > 0.0 and z >= -leave) or (held < 0.0 and z <= leave):
            held = 0.0
        out[i] = np.nan if np.isnan(z) else held
    state[0] = held


@njit(cache=True, nogil=True)
def breakout_signals(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """Go with a move beyond ±entry deviations; leave once it is back at the mean.

    params and state as `zscore_signals`, exit unused.
    """
    kernels.zscore(bars, params[0:1], state[1:], out)
    entry, short = params[1], params[3]
    held = state[0]
    for i in range(len(out)):
        z = out[i]
        if z > entry:
            held = 1.0
        elif z < -entry:
            held = -1.0 if short > 0.0 else 0.0
        elif (held > 0.0 and z <= 0.0) or (held < 0.0 and z >= 0.0):
            held = 0.0
        out[i] = np.nan if np.isnan(z) else held
    state[0] = held


class RsiReversion(SignalStrategy):
    """Long once RSI is under oversold, until it is over overbought."""

    names = ("rsi_strategy",)
    aliases: ClassVar = {"rsi_period": "period"}
    examples: ClassVar = {
        "conservative": {"period": 14, "oversold": 20.0, "overbought": 80.0},
        "aggressive": {"period": 7, "oversold": 35.0, "overbought": 65.0},
    }
    period: int = param(14, "changes RSI is taken over", low=2, high=100)
    oversold: float = param(30.0, "RSI to buy under", low=0.0, high=50.0)
    overbought: float = param(70.0, "RSI to sell over", low=50.0, high=100.0)
    short: bool = param(default=False, about="go short over overbought, instead of flat")

    def signals(self) -> Column:
        """RSI against its two levels."""
        above = -1.0 if self.short else 0.0
        return Column(rsi_signals, (float(self.period), self.oversold, self.overbought, above), 4)


class BollingerReversion(SignalStrategy):
    """Long below the lower Bollinger band until the middle; or, as breakout, above the upper."""

    names = ("bollinger_bands",)
    aliases: ClassVar = {
        "bb_period": "period",
        "bb_std_dev": "deviations",
        "bb_position": "direction",
    }
    examples: ClassVar = {
        "conservative": {"period": 30, "deviations": 2.5},
        "breakout": {"direction": "breakout"},
    }
    period: int = param(20, "bars of the bands", low=2, high=500)
    deviations: float = param(2.0, "width of the bands in deviations", low=0.1, high=10.0)
    direction: str = param(
        "mean_reversion", "against the move or with it", choices=("mean_reversion", "breakout")
    )
    short: bool = param(default=False, about="go short at the other band, instead of flat")

    def signals(self) -> Column:
        """The close against the bands."""
        function = zscore_signals if self.direction == "mean_reversion" else breakout_signals
        params = (float(self.period), self.deviations, 0.0, float(self.short))
        return Column(function, params, 4 + self.period)


class ZscoreReversion(SignalStrategy):
    """Long once the close is far below its mean, until it is near it again."""

    examples: ClassVar = {"wide": {"period": 50, "entry": 2.5}}
    period: int = param(20, "bars of mean and deviation", low=2, high=500)
    entry: float = param(2.0, "deviations to enter beyond", low=0.1, high=10.0)
    exit: float = param(0.5, "deviations to leave within", low=0.0, high=10.0)
    short: bool = param(default=False, about="go short above the mean, instead of flat")

    def check(self) -> None:
        """Leaving lies nearer to the mean than entering."""
        if self.exit >= self.entry:
            raise UsageError(
                f"exit is {self.exit:g}, entry is {self.entry:g}",
                hint="exit must be less than entry",
            )

    def signals(self) -> Column:
        """The z-score against its two levels."""
        params = (float(self.period), self.entry, self.exit, float(self.short))
        return Column(zscore_signals, params, 4 + self.period)
