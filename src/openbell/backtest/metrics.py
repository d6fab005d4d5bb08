"""The figures of a run. `figures.FIGURES` says each in words; here is how it is computed.

All functions are pure and take columns. Returns are fractions. What cannot be said (no round
trips, no deviation, no equity left) is NaN, and None in JSON: never a made-up zero.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from openbell.backtest.orders import Fill
from openbell.backtest.round_trips import RoundTrip
from openbell.market.columns import Floats
from openbell.market.moments import SECOND_NS

if TYPE_CHECKING:
    from openbell.backtest.result import EquityCurve, RunResult

NAN = float("nan")

# Deviations below this share of the values are rounding, not movement.
_NOISE = 1e-12


@dataclass(frozen=True, slots=True)
class Metrics:
    """The figures of a run; label, unit and definition of each stand in `figures.FIGURES`.

    Examples
    --------
    >>> from openbell.backtest.figures import FIGURES
    >>> FIGURES["turnover"].says
    'money bought and sold ÷ mean equity, over the whole run'
    """

    sessions: int
    total_return: float
    benchmark_return: float
    annual_return: float
    cagr: float
    volatility: float
    sharpe: float
    sharpe_error: float
    sortino: float
    calmar: float
    max_drawdown: float
    max_drawdown_from_ns: int | None
    max_drawdown_low_ns: int | None
    max_drawdown_to_ns: int | None
    max_drawdown_sessions: int
    under_water: float
    exposure: float
    turnover: float
    round_trips: int
    win_rate: float
    profit_factor: float
    expectancy: float
    average_profit: float
    average_return: float
    average_win: float
    average_loss: float
    best: float
    worst: float
    longest_wins: int
    longest_losses: int
    average_holding_s: float
    best_session: float
    worst_session: float
    value_at_risk: float
    conditional_value_at_risk: float
    beta: float
    alpha: float
    fees: float
    slippage: float

    def to_dict(self) -> dict[str, Any]:
        """The figures by name, JSON-ready: None for what cannot be said."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }


def measure_run(result: "RunResult") -> Metrics:
    """All figures of a run.

    Session figures are of the sessions that were closed; total return, drawdown and costs go to
    the last slice, so that an interrupted run tells all it has.
    """
    cash, curve = result.config.cash, result.equity
    returns = session_returns(cash, curve.equity[curve.closes])
    index = session_returns(cash, result.benchmark[curve.closes])
    per_year = result.sessions_per_year
    growth = total_return(cash, curve.equity)
    compounded = cagr(growth, sessions_touched(curve), per_year)
    fall = deepest_drawdown(cash, curve.equity)
    return Metrics(
        sessions=len(returns),
        total_return=growth,
        benchmark_return=total_return(cash, result.benchmark),
        annual_return=annual_return(returns, per_year),
        cagr=compounded,
        volatility=volatility(returns, per_year),
        sharpe=sharpe(returns, per_year),
        sharpe_error=sharpe_error(returns, per_year),
        sortino=sortino(returns, per_year),
        calmar=ratio(compounded, -fall.depth),
        **_fall_in_time(fall, curve),
        under_water=under_water(cash, curve.equity),
        exposure=result.exposure,
        turnover=turnover(result.fills, result.multipliers, curve.equity),
        **_of_round_trips(result.round_trips),
        best_session=float(returns.max()) if len(returns) else NAN,
        worst_session=float(returns.min()) if len(returns) else NAN,
        value_at_risk=value_at_risk(returns),
        conditional_value_at_risk=conditional_value_at_risk(returns),
        beta=beta(returns, index),
        alpha=alpha(returns, index, per_year),
        fees=math.fsum(fill.fee for fill in result.fills),
        slippage=math.fsum(
            abs(f.size) * f.slippage * result.multipliers[f.instrument] for f in result.fills
        ),
    )


# Of session returns


def session_returns(cash: float, closes: Floats) -> Floats:
    """Return of each session: closing equity ÷ the closing equity before − 1, a fraction.

    Parameters
    ----------
    cash
        What the first session began with.
    closes : shape (sessions,)
        Equity at each session's close.

    Returns
    -------
    float64, shape (sessions,)
        NaN where the session began with nothing left, or with less.
    """
    before = np.concatenate(([cash], closes))[:-1]
    return closes / np.where(before > 0, before, NAN) - 1.0


def sessions_touched(curve: "EquityCurve") -> int:
    """Sessions that were closed, and the one a run broke off in."""
    closed = len(curve.closes)
    return closed + int(closed == 0 or int(curve.closes[-1]) < len(curve) - 1)


def total_return(cash: float, equity: Floats) -> float:
    """Last equity ÷ cash at the start − 1, a fraction; NaN without a row."""
    return float(equity[-1]) / cash - 1.0 if len(equity) else NAN


def annual_return(returns: Floats, per_year: float) -> float:
    """Mean session return × sessions per year, a fraction: arithmetic, not compounded."""
    return float(returns.mean()) * per_year if len(returns) else NAN


def cagr(growth: float, sessions: int, per_year: float) -> float:
    """Compound annual growth rate: ``(1 + growth) ** (per_year / sessions) − 1``, a fraction.

    Years are counted in sessions, as empyrical's `annual_return` does. NaN when nothing is left.
    """
    if sessions == 0 or not growth > -1:
        return NAN
    try:
        return float((1 + growth) ** (per_year / sessions) - 1)
    except OverflowError:
        return NAN


def volatility(returns: Floats, per_year: float) -> float:
    """Standard deviation of session returns (n − 1) × √(sessions per year), a fraction."""
    return deviation(returns) * math.sqrt(per_year)


def sharpe(returns: Floats, per_year: float) -> float:
    """Mean ÷ standard deviation (n − 1) of session returns × √(sessions per year).

    Sharpe, *The Sharpe Ratio* (1994), with a risk-free rate of 0. NaN where nothing deviates.
    """
    return ratio(_mean(returns), deviation(returns)) * math.sqrt(per_year)


def sharpe_error(returns: Floats, per_year: float) -> float:
    """Standard error of the yearly Sharpe ratio, for independent returns of one distribution.

    Lo, *The Statistics of Sharpe Ratios* (2002): ``√((1 + s²/2) / n)`` with the ratio per
    session s; scaled to a year like the ratio itself.
    """
    per_session = ratio(_mean(returns), deviation(returns))
    n = max(len(returns), 1)
    return math.sqrt((1 + per_session**2 / 2) / n) * math.sqrt(per_year)


def sortino(returns: Floats, per_year: float) -> float:
    """Mean session return ÷ downside deviation × √(sessions per year).

    The downside deviation is the root of the mean square of the returns below 0, over all
    sessions (Sortino and van der Meer, *Downside Risk*, 1991, target 0). NaN without a loss.
    """
    if not len(returns):
        return NAN
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    return ratio(_mean(returns), downside) * math.sqrt(per_year)


def value_at_risk(returns: Floats, tail: float = 0.05) -> float:
    """The quantile `tail` of session returns, linear between ranks: a fraction, mostly negative."""
    return float(np.quantile(returns, tail)) if len(returns) else NAN


def conditional_value_at_risk(returns: Floats, tail: float = 0.05) -> float:
    """Mean of the worst session returns: the lowest ``int((n − 1) × tail) + 1``, a fraction.

    Expected shortfall, counted as empyrical does.
    """
    if not len(returns):
        return NAN
    worst = int((len(returns) - 1) * tail) + 1
    return float(np.sort(returns)[:worst].mean())


def beta(returns: Floats, benchmark: Floats) -> float:
    """Covariance with the benchmark's returns ÷ their variance; pairs with a NaN are left out."""
    ours, theirs = _pairs(returns, benchmark)
    if len(ours) < 2 or deviation(theirs) == 0:
        return NAN
    return float(np.cov(ours, theirs)[0, 1] / np.var(theirs, ddof=1))


def alpha(returns: Floats, benchmark: Floats, per_year: float) -> float:
    """(Mean session return − beta × the benchmark's) × sessions per year, a fraction.

    Jensen, *The Performance of Mutual Funds* (1968), with a risk-free rate of 0; not compounded.
    """
    ours, theirs = _pairs(returns, benchmark)
    return (_mean(ours) - beta(returns, benchmark) * _mean(theirs)) * per_year


def deviation(values: Floats) -> float:
    """Standard deviation (n − 1); exactly 0 where only rounding differs; NaN below two values."""
    if len(values) < 2:
        return NAN
    spread, size = float(np.ptp(values)), float(np.abs(values).max())
    return 0.0 if spread <= _NOISE * size else float(np.std(values, ddof=1))


# Of the equity curve


class Fall(NamedTuple):
    """The deepest drawdown: how deep (zero or negative), and rows of the curve.

    Row −1 stands for the start. `back` is None when the high was not reached again.
    """

    depth: float
    high: int
    low: int
    back: int | None


def drawdowns(cash: float, equity: Floats) -> Floats:
    """Equity ÷ highest equity so far − 1, zero or negative; the cash at the start counts as one."""
    return equity / np.maximum.accumulate(np.maximum(equity, cash)) - 1.0


def deepest_drawdown(cash: float, equity: Floats) -> Fall:
    """The maximum drawdown over every row; the first of equals."""
    depths = drawdowns(cash, equity)
    if not len(depths) or depths.min() == 0:
        return Fall(0.0, -1, -1, None)
    low = int(depths.argmin())
    whole = np.flatnonzero(depths[:low] == 0)
    back = np.flatnonzero(depths[low:] == 0)
    return Fall(
        float(depths[low]),
        int(whole[-1]) if len(whole) else -1,
        low,
        low + int(back[0]) if len(back) else None,
    )


def under_water(cash: float, equity: Floats) -> float:
    """Share of rows with equity below the highest so far, 0 to 1."""
    return float(np.mean(drawdowns(cash, equity) < 0)) if len(equity) else NAN


def turnover(fills: Sequence[Fill], multipliers: Mapping[str, float], equity: Floats) -> float:
    """Money bought and sold ÷ mean equity, over the whole run: 2 is once in and once out."""
    moved = math.fsum(abs(f.size * f.price) * multipliers[f.instrument] for f in fills)
    return ratio(moved, _mean(equity))


def _fall_in_time(fall: Fall, curve: "EquityCurve") -> dict[str, Any]:
    """The maximum drawdown's fields of `Metrics`."""
    if fall.depth == 0:
        moments: list[int | None] = [None] * 3
        sessions = 0
    else:
        back = len(curve) - 1 if fall.back is None else fall.back
        rows = (max(fall.high, 0), fall.low, fall.back)
        moments = [None if row is None else int(curve.time_ns[row]) for row in rows]
        first, last = np.searchsorted(curve.closes, (rows[0], back))
        sessions = int(last - first) + 1
    return {
        "max_drawdown": fall.depth if len(curve) else NAN,
        "max_drawdown_from_ns": moments[0],
        "max_drawdown_low_ns": moments[1],
        "max_drawdown_to_ns": moments[2],
        "max_drawdown_sessions": sessions,
    }


# Of round trips


def profit_factor(profits: Floats) -> float:
    """Sum of profits ÷ |sum of losses|; NaN without a loss."""
    return ratio(float(profits[profits > 0].sum()), -float(profits[profits < 0].sum()))


def expectancy(profits: Floats) -> float:
    """Average profit ÷ |average loss|: what one unit of typical loss brings; NaN without a loss.

    Tharp, *Trade Your Way to Financial Freedom* (1999), with the average loss as the risk.
    """
    return ratio(_mean(profits), -_mean(profits[profits < 0]))


def longest_streak(holds: Sequence[bool] | np.typing.NDArray[np.bool_]) -> int:
    """The largest number of true values in a row; 0 when there is none."""
    edges = np.diff(np.concatenate(([0], np.asarray(holds, np.int8), [0])))
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return int((ends - begins).max(initial=0))


def _of_round_trips(trips: Sequence[RoundTrip]) -> dict[str, Any]:
    """The fields of `Metrics` that round trips give. One without profit or loss is neither."""
    profits = np.array([trip.profit for trip in trips])
    wins, losses = profits > 0, profits < 0
    return {
        "round_trips": len(trips),
        "win_rate": ratio(float(wins.sum()), len(trips)),
        "profit_factor": profit_factor(profits),
        "expectancy": expectancy(profits),
        "average_profit": _mean(profits),
        "average_return": _mean(np.array([trip.return_ for trip in trips])),
        "average_win": _mean(profits[wins]),
        "average_loss": _mean(profits[losses]),
        "best": float(profits.max()) if len(trips) else NAN,
        "worst": float(profits.min()) if len(trips) else NAN,
        "longest_wins": longest_streak(wins),
        "longest_losses": longest_streak(losses),
        "average_holding_s": _mean(np.array([t.holding_ns / SECOND_NS for t in trips])),
    }


def ratio(above: float, below: float) -> float:
    """The quotient; NaN unless what is below is greater than zero."""
    return above / below if below > 0 else NAN


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else NAN


def _pairs(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    both = np.isfinite(ours) & np.isfinite(theirs)
    return ours[both], theirs[both]
