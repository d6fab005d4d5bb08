"""Compiled loops: indicators, and a whole run of a signal strategy.

Every column function has the same form, ``f(bars, params, state, out)``. `bars` holds the columns
open, high, low, close, volume as rows: float64, shape (5, n). The function writes one value per bar
into `out` and keeps in `state` (float64, zeros at the start) all it needs to go on with the next
bars, so it gives the same values however the bars are cut up.

Arithmetic is + − × ÷ √ and comparisons in one written order, never fastmath.
"""

import math

import numpy as np
from numba import njit

from openbell.backtest import money
from openbell.market.columns import Floats

slipped = njit(cache=True, nogil=True, inline="always")(money.slipped)
fee_of = njit(cache=True, nogil=True, inline="always")(money.fee_of)
is_affordable = njit(cache=True, nogil=True, inline="always")(money.is_affordable)
wanted_units = njit(cache=True, nogil=True, inline="always")(money.wanted_units)

# Rows of `bars`.
OPEN, HIGH, LOW, CLOSE, VOLUME = range(5)


@njit(cache=True, nogil=True)
def ema(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """Exponential moving average: ``s + α (x − s)``, α = 2 ÷ (n + 1), begun with the first value.

    params: n. state: s, values seen. NaN before n values.
    """
    c = bars[CLOSE]
    n = params[0]
    alpha = 2.0 / (n + 1.0)
    s = state[0]
    seen = state[1]
    for i in range(len(c)):
        s = c[i] if seen == 0.0 else s + alpha * (c[i] - s)
        seen += 1.0
        out[i] = s if seen >= n else np.nan
    state[0] = s
    state[1] = seen


@njit(cache=True, nogil=True, inline="always")
def _push(x: float, n: int, state: Floats) -> None:
    """Put a value into the ring of n values behind the three words (sum, next place, seen)."""
    place = int(state[1])
    state[0] = state[0] + x - state[3 + place]
    state[3 + place] = x
    state[1] = float((place + 1) % n)
    state[2] += 1.0
    if place == n - 1:
        # Summed afresh once a round, so that errors of rounding do not pile up.
        total = 0.0
        for k in range(n):
            total += state[3 + k]
        state[0] = total


@njit(cache=True, nogil=True, inline="always")
def _deviation(n: int, state: Floats) -> float:
    """Population standard deviation of the ring, oldest value first, in two passes."""
    first = int(state[1])
    mean = 0.0
    for k in range(n):
        mean += state[3 + (first + k) % n]
    mean = mean / n
    total = 0.0
    for k in range(n):
        away = state[3 + (first + k) % n] - mean
        total += away * away
    return math.sqrt(total / n)


@njit(cache=True, nogil=True)
def sma(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """Simple moving average of the last n values. params: n. NaN before n values."""
    c = bars[CLOSE]
    n = int(params[0])
    for i in range(len(c)):
        _push(c[i], n, state)
        out[i] = state[0] / n if state[2] >= n else np.nan


@njit(cache=True, nogil=True)
def deviation(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """Population standard deviation of the last n values. params: n. NaN before n values."""
    c = bars[CLOSE]
    n = int(params[0])
    for i in range(len(c)):
        _push(c[i], n, state)
        out[i] = _deviation(n, state) if state[2] >= n else np.nan


@njit(cache=True, nogil=True)
def zscore(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """(value − mean) ÷ population deviation of the last n values; 0 where nothing deviates.

    params: n. NaN before n values.
    """
    c = bars[CLOSE]
    n = int(params[0])
    for i in range(len(c)):
        _push(c[i], n, state)
        if state[2] < n:
            out[i] = np.nan
            continue
        wide = _deviation(n, state)
        out[i] = (c[i] - state[0] / n) / wide if wide > 0.0 else 0.0


@njit(cache=True, nogil=True)
def rsi(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """Relative strength index (Wilder 1978), 0 to 100; 50 where nothing moved.

    The first averages are plain means of n changes, later ones ``(a (n − 1) + x) ÷ n``.
    params: n. state: last value, gain, loss, values seen. NaN before n + 1 values.
    """
    c = bars[CLOSE]
    n = params[0]
    last, gain, loss, seen = state[0], state[1], state[2], state[3]
    for i in range(len(c)):
        change = c[i] - last if seen > 0.0 else 0.0
        up = max(change, 0.0)
        down = max(-change, 0.0)
        if seen <= n:
            gain += up / n
            loss += down / n
        else:
            gain = (gain * (n - 1.0) + up) / n
            loss = (loss * (n - 1.0) + down) / n
        last = c[i]
        seen += 1.0
        if seen <= n:
            out[i] = np.nan
        elif gain + loss == 0.0:
            out[i] = 50.0
        else:
            out[i] = 100.0 * (gain / (gain + loss))
    state[0], state[1], state[2], state[3] = last, gain, loss, seen


@njit(cache=True, nogil=True)
def atr(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """Average true range (Wilder 1978), in price units.

    The true range needs the close before, so the first bar has none; the first average is the
    plain mean of n ranges. params: n. state: last close, average, bars seen. NaN before n + 1.
    """
    h, low, c = bars[HIGH], bars[LOW], bars[CLOSE]
    n = params[0]
    last, average, seen = state[0], state[1], state[2]
    for i in range(len(c)):
        if seen > 0.0:
            reach = max(h[i] - low[i], abs(h[i] - last), abs(low[i] - last))
            average = average + reach / n if seen <= n else (average * (n - 1.0) + reach) / n
        last = c[i]
        seen += 1.0
        out[i] = average if seen > n else np.nan
    state[0], state[1], state[2] = last, average, seen


@njit(cache=True, nogil=True)
def highest(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """Highest high of the last n bars. params: n. NaN before n bars."""
    h = bars[HIGH]
    n = int(params[0])
    for i in range(len(h)):
        _push(h[i], n, state)
        top = state[3]
        for k in range(1, n):
            top = max(top, state[3 + k])
        out[i] = top if state[2] >= n else np.nan


@njit(cache=True, nogil=True)
def lowest(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """Lowest low of the last n bars. params: n. NaN before n bars."""
    low = bars[LOW]
    n = int(params[0])
    for i in range(len(low)):
        _push(low[i], n, state)
        bottom = state[3]
        for k in range(1, n):
            bottom = min(bottom, state[3 + k])
        out[i] = bottom if state[2] >= n else np.nan


@njit(cache=True, nogil=True)
def change(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """Rate of change: value ÷ value n bars before − 1. params: n. NaN before n + 1 values."""
    c = bars[CLOSE]
    n = int(params[0])
    for i in range(len(c)):
        before = state[3 + int(state[1])]
        out[i] = c[i] / before - 1.0 if state[2] >= n and before != 0.0 else np.nan
        _push(c[i], n, state)


@njit(cache=True, nogil=True)
def volatility(bars: Floats, params: Floats, state: Floats, out: Floats) -> None:
    """Yearly volatility: population deviation of the last n returns × √(bars per year).

    params: n, bars per year. state: the ring, then the last value. NaN before n returns.
    """
    c = bars[CLOSE]
    n = int(params[0])
    root = math.sqrt(params[1])
    for i in range(len(c)):
        last = state[3 + n]
        if last != 0.0:
            _push(c[i] / last - 1.0, n, state)
        state[3 + n] = c[i]
        out[i] = _deviation(n, state) * root if state[2] >= n else np.nan


# A whole run of a signal strategy

# Places of `terms`, the settings of a run as numbers.
(
    T_CASH, T_SIZING, T_SIZE, T_LOT, T_MULTIPLIER, T_STEPS_AWAY, T_SLIP_RATE, T_IMPACT,
    T_FEE_UNIT, T_FEE_RATE, T_FEE_MINIMUM, T_LEVERAGE, T_SAME_CLOSE,
) = range(13)  # fmt: skip
TERMS = 13
# Places of the figures a run gives.
F_EQUITY, F_DRAWDOWN, F_SHARPE, F_FILLS, F_TRIPS, F_WINS, F_REJECTED, F_FEES = range(8)
FIGURES = 8


@njit(cache=True, nogil=True)
def play_signals(
    bars: Floats,
    targets: Floats,
    vol: Floats,
    closes: Floats,
    terms: Floats,
    sessions_per_year: float,
    fills: Floats,
    equity_out: Floats,
    figures: Floats,
) -> int:
    """A run of one instrument on targets: fills, equity after each bar, figures.

    Parameters
    ----------
    bars : shape (5, n)
        The bars that are played.
    targets : shape (n,)
        What is wanted after each bar; NaN wants no change.
    vol : shape (n,) or (0,)
        Yearly volatility, for sizing by it.
    closes : shape (n,)
        1 at the last bar of a session, 0 elsewhere.
    fills : shape (k, 5) or (0, 5)
        Takes (bar, size, price, fee, cash) of each fill, as far as it reaches.
    equity_out : shape (n,) or (0,)
        Takes equity after each bar.
    figures : shape (FIGURES,)
        Takes the figures.

    Returns
    -------
    int
        How many fills there were.
    """
    o, c, v = bars[OPEN], bars[CLOSE], bars[VOLUME]
    cash = terms[T_CASH]
    multiplier = terms[T_MULTIPLIER]
    lot = terms[T_LOT]
    same_close = terms[T_SAME_CLOSE] > 0.0
    position = 0.0
    pending = 0.0
    asked = 0.0
    entry_equity = cash
    peak = cash
    worst = 0.0
    last_close = cash
    sessions = 0.0
    mean = 0.0
    spread = 0.0
    filled = 0
    trips = 0.0
    wins = 0.0
    rejected = 0.0
    fees = 0.0
    keep_equity = len(equity_out) > 0
    for i in range(len(c)):
        for moment in range(2):
            if moment == 1:
                target = targets[i]
                if target == target and target != asked:
                    asked = target
                    equity = cash + position * c[i] * multiplier
                    wide = vol[i] if len(vol) else 0.0
                    wanted = wanted_units(
                        target, c[i], equity, wide, terms[T_SIZING], terms[T_SIZE], multiplier, lot
                    )
                    pending = wanted - position
                if not same_close:
                    break
            if pending == 0.0 or (moment == 0 and same_close):
                continue
            size = abs(pending)
            sign = 1.0 if pending > 0.0 else -1.0
            at = c[i] if same_close else o[i]
            price = slipped(
                at, sign, size, v[i], terms[T_STEPS_AWAY], terms[T_SLIP_RATE], terms[T_IMPACT]
            )
            value = size * price * multiplier
            fee = fee_of(value, size, terms[T_FEE_UNIT], terms[T_FEE_RATE], terms[T_FEE_MINIMUM])
            new_cash = cash - sign * value - fee
            new_position = position + pending
            worth = new_position * price * multiplier
            pending = 0.0
            if not is_affordable(
                abs(worth), new_cash + worth, terms[T_LEVERAGE], position, new_position
            ):
                rejected += 1.0
                continue
            if position == 0.0:
                entry_equity = cash
            elif new_position == 0.0 or new_position * position < 0.0:
                trips += 1.0
                flat = cash + position * price * multiplier - fee
                wins += 1.0 if flat > entry_equity else 0.0
                entry_equity = flat
            cash = new_cash
            position = new_position
            fees += fee
            if filled < len(fills):
                fills[filled, 0] = i
                fills[filled, 1] = sign * size
                fills[filled, 2] = price
                fills[filled, 3] = fee
                fills[filled, 4] = cash
            filled += 1
        equity = cash + position * c[i] * multiplier
        if keep_equity:
            equity_out[i] = equity
        if equity > peak:
            peak = equity
        elif equity < peak * (1.0 + worst):
            worst = equity / peak - 1.0
        if closes[i] > 0.0:
            gained = equity / last_close - 1.0
            last_close = equity
            sessions += 1.0
            away = gained - mean
            mean += away / sessions
            spread += away * (gained - mean)
    figures[F_EQUITY] = cash + position * c[-1] * multiplier if len(c) else cash
    figures[F_DRAWDOWN] = worst
    figures[F_SHARPE] = np.nan
    if sessions > 1.0 and spread > 0.0:
        figures[F_SHARPE] = (
            mean / math.sqrt(spread / (sessions - 1.0)) * math.sqrt(sessions_per_year)
        )
    figures[F_FILLS] = filled
    figures[F_TRIPS] = trips
    figures[F_WINS] = wins
    figures[F_REJECTED] = rejected
    figures[F_FEES] = fees
    return filled
