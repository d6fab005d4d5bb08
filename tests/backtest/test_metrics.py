import csv
import gzip
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.backtest import metrics
from openbell.backtest.figures import FIGURES
from openbell.backtest.metrics import Metrics, measure_run
from openbell.market.columns import Floats
from openbell.market.moments import DAY_NS
from tests.backtest.runs import FIRST_NS, fill, run

YEAR = 252.0


@pytest.fixture(scope="module")
def returns(samples: Path) -> Floats:
    """1,506 daily returns of a real portfolio, 2004 to 2009."""
    with gzip.open(samples / "pyfolio" / "test_returns.csv.gz", "rt") as file:
        rows = list(csv.reader(file))
    return np.array([float(row[1]) for row in rows if row[1]])


@pytest.fixture(scope="module")
def oracle() -> Any:
    """empyrical; imported late, for it is slow and only some tests need it."""
    import empyrical

    return empyrical


def test_every_figure_has_a_label_a_unit_and_a_definition_in_the_order_of_the_fields() -> None:
    assert list(FIGURES) == [field.name for field in fields(Metrics)]
    assert len({figure.label for figure in FIGURES.values()}) == len(FIGURES)


def test_real_returns_give_what_empyrical_gives(returns: Floats, oracle: Any) -> None:
    assert len(returns) > 1_500
    growth = float(np.prod(1 + returns) - 1)
    curve = np.asarray(np.cumprod(1 + returns), np.float64)

    def close(value: float) -> Any:
        return pytest.approx(value, rel=1e-12)

    assert metrics.sharpe(returns, YEAR) == close(oracle.sharpe_ratio(returns))
    assert metrics.sortino(returns, YEAR) == close(oracle.sortino_ratio(returns))
    assert metrics.volatility(returns, YEAR) == close(oracle.annual_volatility(returns))
    assert metrics.cagr(growth, len(returns), YEAR) == close(oracle.cagr(returns))
    assert metrics.deepest_drawdown(1.0, curve).depth == close(oracle.max_drawdown(returns))
    assert metrics.value_at_risk(returns) == close(oracle.value_at_risk(returns))
    worst = oracle.conditional_value_at_risk(returns)
    assert metrics.conditional_value_at_risk(returns) == close(worst)


def test_a_whole_run_over_real_returns_agrees_with_empyrical(returns: Floats, oracle: Any) -> None:
    market = np.roll(returns, 1) * 0.5 + 0.0001
    found = measure_run(
        run(100 * np.cumprod(1 + returns), benchmark=100 * np.cumprod(1 + market))  # type: ignore[arg-type]
    )
    assert found.sessions == len(returns)
    assert found.sharpe == pytest.approx(oracle.sharpe_ratio(returns), rel=1e-9)
    assert found.calmar == pytest.approx(oracle.calmar_ratio(returns), rel=1e-9)
    assert found.beta == pytest.approx(oracle.beta(returns, market), rel=1e-9)
    compounded = (1 + found.alpha / YEAR) ** YEAR - 1
    assert compounded == pytest.approx(oracle.alpha(returns, market), rel=1e-9)


def test_session_returns_begin_with_the_cash() -> None:
    found = metrics.session_returns(100.0, np.array([110.0, 99.0]))
    assert found == pytest.approx([0.1, -0.1])


def test_a_session_that_begins_with_nothing_left_has_no_return() -> None:
    found = metrics.session_returns(100.0, np.array([0.0, 50.0]))
    assert found[0] == -1.0
    assert math.isnan(found[1])


def test_yearly_figures_by_hand() -> None:
    r = np.array([0.01, -0.02, 0.03])
    assert metrics.annual_return(r, 250) == pytest.approx(0.02 / 3 * 250)
    assert metrics.cagr(0.21, 500, 250) == pytest.approx(0.1)
    deviation = math.sqrt(((0.01 - 0.02 / 3) ** 2 + (0.02 + 0.02 / 3) ** 2
                           + (0.03 - 0.02 / 3) ** 2) / 2)  # fmt: skip
    assert metrics.volatility(r, 250) == pytest.approx(deviation * math.sqrt(250))
    assert metrics.sharpe(r, 250) == pytest.approx(0.02 / 3 / deviation * math.sqrt(250))
    downside = math.sqrt(0.02**2 / 3)
    assert metrics.sortino(r, 250) == pytest.approx(0.02 / 3 / downside * math.sqrt(250))
    s = 0.02 / 3 / deviation
    expected = math.sqrt((1 + s * s / 2) / 3 * 250)
    assert metrics.sharpe_error(r, 250) == pytest.approx(expected)


def test_tails_by_hand() -> None:
    r = np.arange(-10, 11) / 100
    assert metrics.value_at_risk(r) == pytest.approx(-0.09)
    assert metrics.conditional_value_at_risk(r) == pytest.approx(-0.095)


def test_beta_of_twice_the_benchmark_is_two_and_alpha_is_what_is_added() -> None:
    market = np.array([0.01, -0.02, 0.03, math.nan])
    ours = np.array([0.021, -0.039, 0.061, 5.0])
    assert metrics.beta(ours, market) == pytest.approx(2.0)
    assert metrics.alpha(ours, market, 250) == pytest.approx(0.25)


@pytest.mark.parametrize("r", [[], [0.01], [0.0, 0.0, 0.0], [0.1 + 1e-17, 0.1, 0.1]])
def test_without_deviation_there_is_no_sharpe_ratio(r: list[float]) -> None:
    assert math.isnan(metrics.sharpe(np.array(r), YEAR))
    assert math.isnan(metrics.sharpe_error(np.array(r), YEAR))
    assert math.isnan(metrics.beta(np.array(r), np.array(r)))


def test_without_a_loss_there_is_no_sortino_ratio_profit_factor_or_expectancy() -> None:
    gains = np.array([0.01, 0.02])
    assert math.isnan(metrics.sortino(gains, YEAR))
    assert math.isnan(metrics.profit_factor(gains))
    assert math.isnan(metrics.expectancy(gains))


@pytest.mark.parametrize(("growth", "sessions"), [(-1.0, 10), (-1.5, 10), (0.1, 0), (9e9, 1)])
def test_there_is_no_growth_rate_of_nothing_left_or_beyond_number(
    growth: float, sessions: int
) -> None:
    assert math.isnan(metrics.cagr(growth, sessions, YEAR))


def test_the_drawdown_counts_from_the_cash_at_the_start() -> None:
    assert metrics.drawdowns(100.0, np.array([90.0, 80.0])) == pytest.approx([-0.1, -0.2])


def test_the_deepest_drawdown_has_a_high_a_low_and_an_end() -> None:
    equity = np.array([100.0, 120.0, 90.0, 60.0, 100.0, 120.0, 115.0])
    assert metrics.deepest_drawdown(100.0, equity) == (-0.5, 1, 3, 5)
    assert metrics.deepest_drawdown(100.0, equity[:5]) == (-0.5, 1, 3, None)
    assert metrics.deepest_drawdown(100.0, equity[:2]) == (0.0, -1, -1, None)


def test_a_drawdown_inside_a_session_counts_though_the_close_hides_it() -> None:
    found = measure_run(run([100, 50, 100, 100, 90, 101], closes=[2, 5]))
    assert found.max_drawdown == -0.5
    assert found.max_drawdown_sessions == 1
    assert found.max_drawdown_from_ns == FIRST_NS
    assert found.max_drawdown_low_ns == FIRST_NS + DAY_NS
    assert found.max_drawdown_to_ns == FIRST_NS + 2 * DAY_NS
    assert found.under_water == pytest.approx(2 / 6)
    assert found.worst_session == 0.0


def test_a_drawdown_that_lasts_to_the_end_has_no_end() -> None:
    found = measure_run(run([110, 105, 99, 100]))
    assert found.max_drawdown == pytest.approx(-0.1)
    assert found.max_drawdown_to_ns is None
    assert found.max_drawdown_sessions == 4


def test_round_trip_figures_by_hand() -> None:
    fills = [
        fill(1, 10, 10.0, fee=1.0, slippage=0.5), fill(2, -10, 12.0, fee=1.0),
        fill(3, 10, 10.0), fill(4, -10, 9.0),
        fill(5, 10, 10.0), fill(6, -10, 10.5),
        fill(7, -10, 10.0), fill(8, 10, 10.0),
    ]  # fmt: skip
    found = measure_run(run([100, 110, 105, 111], fills=fills))
    assert (found.round_trips, found.win_rate) == (4, 0.5)
    assert found.profit_factor == pytest.approx(23 / 10)
    assert found.average_profit == pytest.approx(13 / 4)
    assert found.expectancy == pytest.approx(13 / 4 / 10)
    assert (found.average_win, found.average_loss) == (11.5, -10.0)
    assert (found.best, found.worst) == (18.0, -10.0)
    assert (found.longest_wins, found.longest_losses) == (1, 1)
    assert found.average_return == pytest.approx((0.18 - 0.1 + 0.05) / 4)
    assert found.average_holding_s == pytest.approx(1e-9)
    assert (found.fees, found.slippage) == (2.0, 5.0)
    assert found.turnover == pytest.approx(815 / 106.5)


def test_a_run_without_round_trips_makes_nothing_up() -> None:
    found = measure_run(run([100.0, 100.0, 100.0], fills=[fill(1, 1, 10.0)])).to_dict()
    assert found["round_trips"] == found["longest_wins"] == 0
    for name in ("win_rate", "profit_factor", "expectancy", "average_profit", "best", "worst",
                 "average_win", "average_return", "average_holding_s", "sharpe", "sortino",
                 "calmar", "beta"):  # fmt: skip
        assert found[name] is None, name


def test_a_run_that_broke_off_before_its_first_close_is_measured_by_what_it_has() -> None:
    found = measure_run(run([100.0, 80.0], closes=[]))
    assert found.total_return == pytest.approx(-0.2)
    assert found.max_drawdown_sessions == 1
    assert found.to_dict()["sharpe"] is None
    assert found.cagr == pytest.approx(0.8**252 - 1)


def test_growth_counts_the_session_a_run_broke_off_in() -> None:
    found = measure_run(run([100.0, 105.0, 110.25], closes=[0]))
    assert found.sessions == 1
    assert found.cagr == pytest.approx(1.1025 ** (252 / 2) - 1)


def test_a_run_without_a_single_row_is_measured_as_unknown() -> None:
    found = measure_run(run([])).to_dict()
    assert found["total_return"] is found["max_drawdown"] is found["under_water"] is None


def test_a_benchmark_that_starts_late_is_compared_where_both_are() -> None:
    nan = math.nan
    found = measure_run(run([101, 102, 104, 103], benchmark=[nan, 100, 102, 101]))
    assert found.benchmark_return == pytest.approx(0.01)
    assert math.isfinite(found.beta)


@pytest.mark.parametrize(
    ("drawing", "longest"), [("", 0), ("-", 0), ("#", 1), ("##-###-", 3), ("###", 3), ("-#-#", 1)]
)
def test_longest_streak(drawing: str, longest: int) -> None:
    assert metrics.longest_streak([mark == "#" for mark in drawing]) == longest


@given(st.lists(st.floats(1.0, 1e6), min_size=1, max_size=80))
def test_drawdowns_are_never_positive_and_the_deepest_is_their_lowest(values: list[float]) -> None:
    equity = np.array(values)
    depths = metrics.drawdowns(100.0, equity)
    fall = metrics.deepest_drawdown(100.0, equity)
    assert (depths <= 0).all()
    assert fall.depth == depths.min()
    if fall.back is not None:
        assert fall.high < fall.low < fall.back
        assert equity[fall.back] >= max(100.0, equity[: fall.low].max(initial=0.0))


@given(st.lists(st.floats(1.0, 1e6), min_size=1, max_size=40), st.integers(2, 9))
def test_session_figures_do_not_depend_on_the_currency(values: list[float], factor: int) -> None:
    one = measure_run(run(values)).to_dict()
    other = measure_run(run([v * factor for v in values], cash=100.0 * factor)).to_dict()
    for name in ("sharpe", "sortino", "calmar", "max_drawdown", "cagr", "volatility"):
        if one[name] is not None and other[name] is not None:
            assert other[name] == pytest.approx(one[name], rel=1e-6, abs=1e-9), name


def test_figures_are_json_ready() -> None:
    found = measure_run(run([110.0, 100.0])).to_dict()
    assert found["total_return"] == 0.0
    assert not any(isinstance(value, float) and math.isnan(value) for value in found.values())
