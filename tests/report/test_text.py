import math

import pytest

from openbell.backtest.config import Costs
from openbell.backtest.figures import FIGURES
from openbell.market.moments import parse_moment
from openbell.replay.tape import short_seal
from openbell.report import text


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_cannot_be_said_is_a_dash(value: float | None) -> None:
    assert text.number(value) == text.percent(value) == text.span(value) == "–"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(131.5, "131.50"), (0.00001234, "0.00001234"), (43251.125, "43,251.125"), (-1.0, "−1.00")],
)
def test_a_price_keeps_its_own_digits(value: float, shown: str) -> None:
    assert text.price(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(100.0, "100"), (0.05, "0.05"), (1e-8, "0.00000001")])
def test_a_size_says_no_more_than_it_is(value: float, shown: str) -> None:
    assert text.size(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1.0, "100.0 %"), (0.99999, "99.9 %"), (0.995, "99.5 %"), (0.999, "99.9 %"), (0.0, "0.0 %")],
)
def test_completeness_is_never_rounded_up(value: float, shown: str) -> None:
    assert text.completeness(value) == shown


def test_free_trading_is_said_loudly_and_costs_in_words() -> None:
    assert text.costs(Costs()) == text.costs({}) == "no costs!"
    assert text.costs(Costs(fee_rate=0.001, slip_steps=1)) == (
        "0.1 % of the money moved, slippage 1 price steps"
    )


def test_every_unit_of_a_figure_has_a_form() -> None:
    shown = {name: text.figure(name, 1.0) for name in FIGURES}
    assert shown["total_return"] == "100.00 %"
    assert shown["turnover"] == "1.0 ×"
    assert shown["round_trips"] == "1"
    assert shown["average_holding_s"] == "1.0 s"
    assert shown["max_drawdown_from_ns"] == "1970-01-01 00:00:00Z"


def test_a_moment_is_shown_on_the_venues_clocks() -> None:
    at = parse_moment("2011-03-14T13:30Z")
    assert text.clock(at, "America/New_York") == "2011-03-14 09:30:00"


def test_a_seal_is_shortened_to_its_ends() -> None:
    assert short_seal("5c1e" + "0" * 56 + "9ab0") == "5c1e…9ab0"
    assert short_seal("") == "none"
