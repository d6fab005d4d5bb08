"""The figures of a run in words: label, unit and definition of each field of `Metrics`."""

from typing import Literal, NamedTuple

Unit = Literal["fraction", "ratio", "money", "times", "count", "sessions", "moment", "seconds"]


class Figure(NamedTuple):
    """What a figure is.

    Attributes
    ----------
    label
        What a table calls it.
    unit
        ``fraction`` (0.012 is 1.2 %), ``ratio`` (no unit), ``money``, ``times`` (of equity),
        ``count``, ``sessions``, ``moment`` (ns UTC), ``seconds``.
    says
        Its definition in a sentence.
    """

    label: str
    unit: Unit
    says: str


FIGURES: dict[str, Figure] = {
    "sessions": Figure("Sessions", "count", "sessions that were closed"),
    "total_return": Figure("Total return", "fraction", "equity at the end ÷ cash at the start − 1"),
    "benchmark_return": Figure(
        "Benchmark return", "fraction", "total return of buying the benchmark and holding it"
    ),
    "annual_return": Figure(
        "Annual return", "fraction", "mean session return × sessions per year (not compounded)"
    ),
    "cagr": Figure(
        "CAGR",
        "fraction",
        "(1 + total return) ^ (sessions per year ÷ sessions touched) − 1 (compounded)",
    ),
    "volatility": Figure(
        "Volatility",
        "fraction",
        "standard deviation of session returns (n − 1) × √(sessions per year)",
    ),
    "sharpe": Figure(
        "Sharpe ratio",
        "ratio",
        "mean ÷ standard deviation (n − 1) of session returns × √(sessions per year);"
        " risk-free rate 0",
    ),
    "sharpe_error": Figure(
        "Standard error of Sharpe",
        "ratio",
        "√((1 + s² ÷ 2) ÷ sessions) × √(sessions per year), s the Sharpe ratio per session;"
        " for independent returns (Lo 2002)",
    ),
    "sortino": Figure(
        "Sortino ratio",
        "ratio",
        "mean session return ÷ root of the mean square of negative ones (over all sessions)"
        " × √(sessions per year)",
    ),
    "calmar": Figure("Calmar ratio", "ratio", "CAGR ÷ |maximum drawdown|"),
    "max_drawdown": Figure(
        "Max drawdown",
        "fraction",
        "lowest equity ÷ highest equity so far − 1, over every slice, the cash at the start"
        " included",
    ),
    "max_drawdown_from_ns": Figure(
        "Max drawdown from", "moment", "the high before the maximum drawdown"
    ),
    "max_drawdown_low_ns": Figure(
        "Max drawdown low", "moment", "the lowest equity of the maximum drawdown"
    ),
    "max_drawdown_to_ns": Figure(
        "Max drawdown to", "moment", "when that high was reached again; none if it was not"
    ),
    "max_drawdown_sessions": Figure(
        "Max drawdown length",
        "sessions",
        "sessions touched from the high until it was reached again, or until the end",
    ),
    "under_water": Figure(
        "Time under water", "fraction", "share of slices with equity below the highest so far"
    ),
    "exposure": Figure("Exposure", "fraction", "share of slices with an open position"),
    "turnover": Figure(
        "Turnover", "times", "money bought and sold ÷ mean equity, over the whole run"
    ),
    "round_trips": Figure("Round trips", "count", "finished ones, from flat back to flat"),
    "win_rate": Figure(
        "Win rate", "fraction", "round trips with a profit after fees ÷ all round trips"
    ),
    "profit_factor": Figure(
        "Profit factor", "ratio", "sum of profits ÷ |sum of losses| of round trips"
    ),
    "expectancy": Figure(
        "Expectancy", "ratio", "average round trip ÷ |average loss|: profit per unit lost (Tharp)"
    ),
    "average_profit": Figure("Average round trip", "money", "mean profit after fees"),
    "average_return": Figure(
        "Average return", "fraction", "mean of profit ÷ money moved to enter, of round trips"
    ),
    "average_win": Figure("Average win", "money", "mean profit of winning round trips"),
    "average_loss": Figure("Average loss", "money", "mean profit of losing ones (negative)"),
    "best": Figure("Best round trip", "money", "highest profit after fees"),
    "worst": Figure("Worst round trip", "money", "lowest profit after fees"),
    "longest_wins": Figure("Longest run of wins", "count", "winning round trips in a row"),
    "longest_losses": Figure("Longest run of losses", "count", "losing round trips in a row"),
    "average_holding_s": Figure(
        "Average holding time",
        "seconds",
        "mean time from first to last fill, closed hours included",
    ),
    "best_session": Figure("Best session", "fraction", "highest session return"),
    "worst_session": Figure("Worst session", "fraction", "lowest session return"),
    "value_at_risk": Figure(
        "VaR 95 %", "fraction", "5th percentile of session returns, linear between ranks"
    ),
    "conditional_value_at_risk": Figure(
        "CVaR 95 %", "fraction", "mean of the worst 5 % of session returns, at least one"
    ),
    "beta": Figure(
        "Beta",
        "ratio",
        "covariance with the benchmark's session returns ÷ their variance",
    ),
    "alpha": Figure(
        "Alpha",
        "fraction",
        "(mean session return − beta × the benchmark's) × sessions per year; risk-free rate 0",
    ),
    "fees": Figure("Fees", "money", "what the venue took, of all fills"),
    "slippage": Figure("Slippage", "money", "what prices moved against us, of all fills"),
}
