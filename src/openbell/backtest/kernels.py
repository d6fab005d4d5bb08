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
from openbell.market.columns import Floats, Ints

slipped = njit(cache=True, nogil=True, inline="always")(money.slipped)
fee_of = njit(cache=True, nogil=True, inline="always")(money.fee_of)
whole_lots = njit(cache=True, nogil=True, inline="always")(money.whole_lots)
position_after = njit(cache=True, nogil=True, inline="always")(money.position_after)
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
# Places of a run's books: money and position, then the round trip under way.
B_CASH, B_POSITION, B_ENTERED, B_ENTRY_VALUE, B_LEFT, B_EXIT_VALUE, B_FEES = range(7)
BOOKS = 7


@njit(cache=True, nogil=True)
def play_signals(
    bars: Floats,
    targets: Floats,
    vol: Floats,
    ends: Ints,
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
    ends : int64, shape (sessions,)
        How many bars are known at each session's close; a session may have none of its own.
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
    multiplier = terms[T_MULTIPLIER]
    same_close = terms[T_SAME_CLOSE] > 0.0
    figures[:] = 0.0
    books = np.zeros(BOOKS)
    books[B_CASH] = terms[T_CASH]
    cash, position = books[B_CASH], 0.0
    pending, asked = 0.0, 0.0
    equity = peak = last_close = cash
    worst = 0.0
    returns = np.empty(len(ends))
    keep_equity = len(equity_out) > 0
    first = 0
    for session in range(len(ends)):
        for i in range(first, ends[session]):
            if pending != 0.0:
                _trade(i, o[i], v[i], pending, terms, books, fills, figures)
                cash, position = books[B_CASH], books[B_POSITION]
                pending = 0.0
            if targets[i] != asked and not np.isnan(targets[i]):
                asked = targets[i]
                equity = cash + position * c[i] * multiplier
                wide = vol[i] if len(vol) else 0.0
                wanted = wanted_units(
                    asked, c[i], equity, wide,
                    terms[T_SIZING], terms[T_SIZE], multiplier, terms[T_LOT],
                )  # fmt: skip
                pending = wanted - position
                if same_close and pending != 0.0:
                    _trade(i, c[i], v[i], pending, terms, books, fills, figures)
                    cash, position = books[B_CASH], books[B_POSITION]
                    pending = 0.0
            equity = cash + position * c[i] * multiplier
            if keep_equity:
                equity_out[i] = equity
            if equity > peak:
                peak = equity
            elif equity < peak * (1.0 + worst):
                worst = equity / peak - 1.0
        first = ends[session]
        returns[session] = equity / last_close - 1.0 if last_close > 0.0 else np.nan
        last_close = equity
    figures[F_EQUITY] = equity
    figures[F_DRAWDOWN] = worst
    figures[F_SHARPE] = _sharpe(returns, sessions_per_year)
    return int(figures[F_FILLS])


@njit(cache=True, nogil=True)
def _sharpe(returns: Floats, per_year: float) -> float:
    """As `metrics.sharpe`: NaN below two sessions, or where only rounding differs."""
    n = len(returns)
    if n < 2 or np.isnan(returns).any():
        return np.nan
    if returns.max() - returns.min() <= 1e-12 * np.abs(returns).max():
        return np.nan
    mean = returns.mean()
    deviation = math.sqrt(((returns - mean) ** 2).sum() / (n - 1.0))
    return float(mean / deviation * math.sqrt(per_year))


@njit(cache=True, nogil=True)
def _trade(
    i: int,
    at: float,
    volume: float,
    pending: float,
    terms: Floats,
    books: Floats,
    fills: Floats,
    figures: Floats,
) -> None:
    """Fill a market order for `pending` units at a price, or refuse it; as `broker.Broker`."""
    sign = 1.0 if pending > 0.0 else -1.0
    size = abs(whole_lots(pending, terms[T_LOT]))
    price = slipped(
        at, sign, size, volume, terms[T_STEPS_AWAY], terms[T_SLIP_RATE], terms[T_IMPACT]
    )
    value = size * price * terms[T_MULTIPLIER]
    fee = fee_of(value, size, terms[T_FEE_UNIT], terms[T_FEE_RATE], terms[T_FEE_MINIMUM])
    cash = books[B_CASH] - sign * value - fee
    before = books[B_POSITION]
    after = position_after(before, sign * size, terms[T_LOT])
    worth = after * price * terms[T_MULTIPLIER]
    if size == 0.0 or not is_affordable(abs(worth), cash + worth, terms[T_LEVERAGE], before, after):
        figures[F_REJECTED] += 1.0
        return
    _count_trip(before, sign, size, price, fee, terms[T_MULTIPLIER], books, figures)
    books[B_CASH], books[B_POSITION] = cash, after
    figures[F_FEES] += fee
    filled = int(figures[F_FILLS])
    figures[F_FILLS] += 1.0
    if filled < len(fills):
        row = fills[filled]
        row[0], row[1], row[2], row[3], row[4] = i, sign * size, price, fee, cash


@njit(cache=True, nogil=True)
def _count_trip(
    before: float,
    sign: float,
    size: float,
    price: float,
    fee: float,
    multiplier: float,
    books: Floats,
    figures: Floats,
) -> None:
    """Put a fill into the round trip under way; end it where it comes back to flat or beyond."""
    if before * sign >= 0.0:
        books[B_ENTERED] += size
        books[B_ENTRY_VALUE] += size * price
        books[B_FEES] += fee
        return
    held = abs(before)
    closing = min(size, held)
    share = fee * (closing / size)
    books[B_LEFT] += closing
    books[B_EXIT_VALUE] += closing * price
    books[B_FEES] += share
    if size < held:
        return
    profit = (books[B_EXIT_VALUE] - books[B_ENTRY_VALUE]) * -sign * multiplier - books[B_FEES]
    figures[F_TRIPS] += 1.0
    figures[F_WINS] += 1.0 if profit > 0.0 else 0.0
    books[B_ENTERED:] = 0.0
    if size > held:
        books[B_ENTERED] = size - closing
        books[B_ENTRY_VALUE] = (size - closing) * price
        books[B_FEES] = fee - share
