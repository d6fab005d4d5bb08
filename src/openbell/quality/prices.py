"""Checks of price movements: jumps, bad ticks, split-like jumps, stale runs.

Moves are measured on a robust scale: a log return over the time t (in bars) is divided by the
square root of t and by the largest of three sizes of a usual move,

- 1.4826 × the median absolute deviation of all such returns (which for normal returns is their
  standard deviation: Rousseeuw and Croux, *Alternatives to the Median Absolute Deviation*, 1993),
- √(π/2) × the mean absolute return of the 30 bars before and the 30 after, outliers cut, since
  markets are wilder at some hours than at others (a neighbourhood as in Brownlees and Gallo,
  *Financial econometric analysis at ultra-high frequency*, 2006),
- the smallest change of price that occurs.

Regular and extended hours have scales of their own, and so has the night between sessions.
"""

from typing import Any, NamedTuple

import numpy as np

from openbell.market.columns import Floats, Ints
from openbell.quality.completeness import Flags
from openbell.quality.found import Kind, per_session
from openbell.quality.gaps import improbable, runs
from openbell.quality.placed import Placed
from openbell.quality.report import Finding

JUMP = 15.0  # of the usual move; in normal returns 5 would not happen in a century of minutes
SPLIT = 8.0  # of the usual night; a lower bar, for the ratio speaks as well
SPLIT_TOLERANCE = 0.03  # how far the log of the ratio may be from that of the split
MIN_RETURNS = 20  # fewer give no scale

_SPLITS = [(n, 1) for n in (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 40, 50, 100)] + [(3, 2)]
_SPLITS += [(b, a) for a, b in _SPLITS]
_WINDOW = 30


class Moves(NamedTuple):
    """Log returns from one bar to the next.

    Attributes
    ----------
    at : shape (n,)
        Positions of the bars, n; returns are n - 1.
    returns, usual : shape (n - 1,)
        From close to close; size of a usual move over the same time.
    joined : shape (n - 1,)
        Whether the two bars follow each other in one session (daily bars always do).
    """

    at: Ints
    returns: Floats
    usual: Floats
    joined: Flags


def price_checks(placed: Placed) -> list[Finding]:
    """All checks of this module."""
    nights = _nights(placed)
    splits = _split_like(nights)
    found = _splits(placed, nights, splits)
    for at in _groups(placed):
        moves = _moves(placed, at)
        if moves is not None:
            found += _movements(placed, moves, nights.opens[splits])
    if placed.is_intraday:
        found += _night_jumps(placed, nights, splits)
    return found + stale_runs(placed)


def stale_runs(placed: Placed) -> list[Finding]:
    """Bars in a row that repeat one flat price, in too long a row for chance.

    A bar is flat if its high is its low and its close is that of the bar before. Improbable is
    what `gaps` calls so: a run of probability below one in a million at the instrument's own rate
    of flat bars. Regular hours only, across sessions for daily bars.
    """
    at = np.flatnonzero(placed.usable & (placed.cell >= 0))
    if len(at) < MIN_RETURNS:
        return []
    bars, session = placed.bars, placed.session[at]
    apart = np.flatnonzero(np.diff(session)) + 1 if placed.is_intraday else np.empty(0, np.int64)
    close = bars.close[at]
    same = np.concatenate(([False], close[1:] == close[:-1]))
    flat = same & (bars.high[at] == bars.low[at])
    flat[apart] = False
    begin, end = runs(flat, np.concatenate(([0], apart, [len(at)])))
    long = improbable(end - begin, int(flat.sum()), len(at))
    length = dict(zip(at[begin[long]].tolist(), (end - begin)[long].tolist(), strict=True))

    def say(i: int) -> tuple[str, dict[str, Any]]:
        price, count = float(bars.close[i]), length[i] + 1
        text = f"the same price {price:.10g} {count:,} bars in a row around {placed.when(i)}"
        return text, {"price": price, "bars": count}

    kind = Kind("stale_run", "warning")
    lengths = (end - begin)[long].astype(np.float64)
    return per_session(placed, kind, at[begin[long]], say, lengths)


def _groups(placed: Placed) -> list[Ints]:
    """Positions of the bars to measure together: regular hours, and what is around them."""
    bars = placed.bars
    good = placed.usable & (bars.low > 0)
    if not placed.is_intraday:
        return [np.flatnonzero(good)]
    regular = placed.cell >= 0
    return [np.flatnonzero(good & regular), np.flatnonzero(good & ~regular & (placed.row >= 0))]


def _moves(placed: Placed, at: Ints) -> Moves | None:
    """The moves of the bars at `at`; None when there are too few for a scale."""
    if len(at) <= MIN_RETURNS:
        return None
    bars = placed.bars
    returns = np.diff(np.log(bars.close[at]))
    time = np.ones(len(returns))
    joined = np.ones(len(returns), np.bool_)
    if placed.is_intraday:
        time = np.diff(bars.start_ns[at]) / bars.series.timeframe.width_ns
        # Before the open and after the close are hours of one session, but far apart.
        joined = (np.diff(placed.row[at]) == 0) & (time < _WINDOW * 4)
    if joined.sum() < MIN_RETURNS:
        return None
    scaled = np.where(joined, returns / np.sqrt(time), 0.0)
    usual = np.maximum(_smallest(bars.close[at]), 1.4826 * _mad(scaled[joined]))
    return Moves(
        at, returns, np.sqrt(time) * np.maximum(usual, _around(scaled, joined, usual)), joined
    )


def _mad(values: Floats) -> float:
    return float(np.median(np.abs(values - np.median(values))))


def _smallest(prices: Floats) -> float:
    """The smallest change of price that occurs, relative to the usual price."""
    usual = float(np.median(prices))
    changes = np.abs(np.diff(prices)) / usual
    changes = changes[changes > 1e-9]  # below lies rounding
    return float(changes.min()) if len(changes) else 1e-9


def _around(scaled: Floats, joined: Flags, usual: float) -> Floats:
    """Size of a usual move by the neighbours of each return, itself left out."""
    size = np.minimum(np.abs(scaled), 25 * usual)
    total = np.concatenate(([0.0], np.cumsum(size)))
    count = np.concatenate(([0], np.cumsum(joined)))
    here = np.arange(len(size))
    lo, hi = np.maximum(here - _WINDOW, 0), np.minimum(here + _WINDOW + 1, len(size))
    others = np.maximum(count[hi] - count[lo] - joined, 1)
    around: Floats = np.sqrt(np.pi / 2) * (total[hi] - total[lo] - size) / others
    return around


def _movements(placed: Placed, moves: Moves, split_at: Ints) -> list[Finding]:
    """Jumps, and bad ticks: prices that neither the bars before nor those after know."""
    strength = np.abs(moves.returns) / moves.usual
    jumped = (strength > JUMP) & moves.joined & ~np.isin(moves.at[1:], split_at)
    spiked = _returning(moves, jumped)
    jumped[1:] &= ~spiked[:-1]
    wick = _wicks(placed, moves)
    wick[1:] = np.where(spiked, np.maximum(wick[1:], strength), wick[1:])
    ticks = np.flatnonzero(wick > JUMP)
    rows = np.flatnonzero(jumped & ~spiked & (wick[1:] <= JUMP))
    return [
        *_say_ticks(placed, moves, ticks, wick),
        *_say_jumps(placed, moves, rows, strength),
    ]


def _returning(moves: Moves, jumped: Flags) -> Flags:
    """Which jumps are undone by the next bar, but for a quarter."""
    back = np.zeros(len(jumped), np.bool_)
    left = np.abs(moves.returns[:-1] + moves.returns[1:])
    back[:-1] = jumped[:-1] & moves.joined[1:] & (left < 0.25 * np.abs(moves.returns[:-1]))
    return back


def _wicks(placed: Placed, moves: Moves) -> Floats:
    """How far high or low lie beyond the close and the prices around it, in usual moves."""
    bars, at = placed.bars, moves.at
    known = np.stack([bars.close[at], *_neighbours(placed, moves)])
    beyond = np.maximum(
        np.log(bars.high[at] / known.max(axis=0)), np.log(known.min(axis=0) / bars.low[at])
    )
    far: Floats = beyond / np.maximum(np.append(moves.usual, 0), np.insert(moves.usual, 0, 0))
    return far


def _neighbours(placed: Placed, moves: Moves) -> tuple[Floats, Floats, Floats]:
    """Around each bar: the close before, the open after, the close after.

    At the edge of a session, where one side is missing, the other stands in for it.
    """
    close, open_ = placed.bars.close[moves.at], placed.bars.open[moves.at]
    has_before, has_after = np.insert(moves.joined, 0, False), np.append(moves.joined, False)
    before, after = np.insert(close[:-1], 0, 0.0), np.append(close[1:], 0.0)
    after_open = np.append(open_[1:], 0.0)
    alone = np.where(has_before, before, close)
    return (
        np.where(has_before, before, np.where(has_after, after, close)),
        np.where(has_after, after_open, alone),
        np.where(has_after, after, alone),
    )


def _say_ticks(placed: Placed, moves: Moves, ticks: Ints, wick: Floats) -> list[Finding]:
    bars = placed.bars
    around = np.stack(_neighbours(placed, moves))

    def say(i: int) -> tuple[str, dict[str, Any]]:
        near = around[:, np.searchsorted(moves.at, i)]
        lo, hi = float(near.min()), float(near.max())
        high, low = float(bars.high[i]), float(bars.low[i])
        name, off = ("high", high) if high / hi > lo / low else ("low", low)
        text = f"{name} {off:.10g} at {placed.when(i)}, while prices around it are {_span(lo, hi)}"
        return text, {"price": off, "around": [lo, hi]}

    return per_session(placed, Kind("bad_tick", "warning"), moves.at[ticks], say, wick[ticks])


def _span(lo: float, hi: float) -> str:
    return f"{lo:.10g}" if lo == hi else f"{lo:.10g}–{hi:.10g}"


def _say_jumps(placed: Placed, moves: Moves, rows: Ints, strength: Floats) -> list[Finding]:
    bars = placed.bars

    def say(i: int) -> tuple[str, dict[str, Any]]:
        n = int(np.searchsorted(moves.at, i))
        a, b, times = (
            float(bars.close[moves.at[n - 1]]),
            float(bars.close[i]),
            float(strength[n - 1]),
        )
        text = f"{_change(a, b)} at {placed.when(i)}, {times:.0f} times a usual move"
        return text, {"from": a, "to": b, "strength": round(times, 1)}

    return per_session(placed, Kind("jump", "note"), moves.at[rows + 1], say, strength[rows])


def _change(a: float, b: float) -> str:
    """Two prices and the change between them in words: ``645.57 → 92.69 (−85.6 %)``."""
    percent = f"{(b / a - 1) * 100:+.2f}".replace("-", "−")
    return f"{a:.10g} → {b:.10g} ({percent} %)"


class Nights(NamedTuple):
    """From the last close of a session to the first open of the next that has bars.

    Attributes
    ----------
    opens : shape (n,)
        Position of the first bar after the night.
    before, after, later : shape (n,)
        Price before the night, after it, and at the end of the session that follows.
    sessions : shape (n,)
        How many nights it was, where sessions without bars lie in between.
    usual : float
        Size of a usual night's move; 0 when there are too few nights and bars to tell.
    """

    opens: Ints
    before: Floats
    after: Floats
    later: Floats
    sessions: Ints
    usual: float

    @property
    def returns(self) -> Floats:
        """Log return of each night."""
        return np.log(self.after / self.before)

    @property
    def strength(self) -> Floats:
        """Returns in usual moves over as many nights; zero where a usual one is not known."""
        usual = self.usual or np.inf
        return np.abs(self.returns) / (usual * np.sqrt(self.sessions))


def _nights(placed: Placed) -> Nights:
    bars = placed.bars
    at = np.flatnonzero(placed.usable & (bars.low > 0) & (placed.cell >= 0))
    session = placed.session[at]
    is_first = np.diff(session, prepend=-1) != 0
    first, last = at[is_first], at[np.diff(session, append=-1) != 0]
    before, after, later = bars.close[last[:-1]], bars.open[first[1:]], bars.close[last[1:]]
    nights = Nights(first[1:], before, after, later, np.diff(session[is_first]), 0.0)
    bars_a_session = len(at) / max(len(first), 1)
    return nights._replace(usual=_usual_night(nights, _moves(placed, at), bars_a_session))


def _usual_night(nights: Nights, moves: Moves | None, bars_a_session: float) -> float:
    """The larger of the nights' own scale and that of a whole session's bars."""
    own = by_day = 0.0
    if len(nights.opens) >= MIN_RETURNS:
        own = 1.4826 * _mad(nights.returns / np.sqrt(nights.sessions))
    if moves is not None:
        by_day = float(np.median(moves.usual[moves.joined])) * np.sqrt(bars_a_session)
    return max(own, by_day)


def _split_like(nights: Nights) -> Flags:
    """Nights whose ratio of prices is that of a split, and whose new price stays."""
    change = nights.returns
    logs = np.log([new / old for old, new in _SPLITS])
    near = np.abs(change[:, None] - logs[None, :]).min(axis=1, initial=np.inf)
    stays = np.log(nights.later / nights.before) * np.sign(change) > np.abs(change) / 2
    found: Flags = (near <= SPLIT_TOLERANCE) & (nights.strength > SPLIT) & stays
    return found


def _splits(placed: Placed, nights: Nights, splits: Flags) -> list[Finding]:

    def say(i: int) -> tuple[str, dict[str, Any]]:
        n = int(np.searchsorted(nights.opens, i))
        a, b = float(nights.before[n]), float(nights.after[n])
        new, old = min(_SPLITS, key=lambda s: abs(np.log(b / a * s[0] / s[1])))
        text = f"{a:.10g} → {b:.10g} overnight looks like a {new}-for-{old} split"
        return text, {"from": a, "to": b, "new": new, "old": old}

    return per_session(placed, Kind("split_like", "warning"), nights.opens[splits], say)


def _night_jumps(placed: Placed, nights: Nights, splits: Flags) -> list[Finding]:
    strength = nights.strength

    def say(i: int) -> tuple[str, dict[str, Any]]:
        n = int(np.searchsorted(nights.opens, i))
        a, b, times = float(nights.before[n]), float(nights.after[n]), float(strength[n])
        text = f"{_change(a, b)} overnight, {times:.0f} times a usual night"
        return text, {"from": a, "to": b, "strength": round(times, 1)}

    rows = np.flatnonzero((strength > JUMP) & ~splits)
    return per_session(placed, Kind("night_jump", "note"), nights.opens[rows], say)
