"""A configuration means the same in PyBroker and natively, or it is refused."""

from typing import Any

import pytest

from openbell.backtest.catalog import load_strategy
from openbell.backtest.config import Costs, RunConfig
from openbell.backtest.engines.pybroker_run import run_in_pybroker
from openbell.backtest.run import run_backtest
from openbell.market.build import widen
from openbell.market.errors import UsageError
from openbell.market.timeframe import timeframe
from tests.backtest.engines.test_pybroker import ours, regular, theirs
from tests.backtest.made import store_of
from tests.house import run
from tests.report.spy import spy_bars

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.set_index")
ON = ("XNYS:SPY/1m@1",)


@pytest.mark.parametrize(
    "changes",
    [
        {"start": "2011-03-07", "end": "2011-03-15"},
        {"start": "2011-03-14", "end": "2011-03-16", "hours": "extended"},
        {"costs": Costs(fee_rate=0.0002), "end": "2011-03-05", "sizing": "percent", "size": 0.5},
        {"costs": Costs(fee_per_unit=0.01), "end": "2011-03-05", "cash": 20_000},
        {"end": "2011-03-04", "close_at_end": True},
    ],
)
def test_range_hours_money_sizing_and_fees_are_those_of_the_configuration(
    changes: dict[str, Any],
) -> None:
    loaded = load_strategy("ema-cross", {"fast": 9, "slow": 19})
    store = store_of(spy_bars())
    config = RunConfig("ema-cross", ON, **changes)
    native = run_backtest(loaded.strategy, config, store, loaded.code)
    found = run_in_pybroker(loaded.strategy, config, store)
    assert theirs(found.result) == ours(native)
    assert len(native.round_trips) > 5
    equity = found.result.portfolio["market_value"].iloc[-1]
    assert equity == pytest.approx(native.equity_end, rel=1e-9)
    assert [str(pin) for pin in found.pins] == list(ON)
    assert (list(found.log), list(found.remarks)) == ([], [])


@pytest.mark.parametrize(
    ("changes", "odd"),
    [
        ({"min_quality": 0.5}, "min_quality"),
        ({"derived": ("5m",)}, "derived"),
        ({"fill": "same_close"}, "fill=same_close"),
        ({"costs": Costs(slip_steps=1.0)}, "slip_steps"),
        ({"costs": Costs(fee_rate=0.1, fee_per_unit=0.1)}, "fee_rate, fee_per_unit"),
        ({"multiplier": 50.0}, "multiplier"),
        ({"start": "2011-03-07T15:00Z"}, "2011-03-07T15:00Z"),
    ],
)
def test_what_pybroker_cannot_do_is_named(changes: dict[str, Any], odd: str) -> None:
    strategy = load_strategy("ema-cross", {}).strategy
    with pytest.raises(UsageError, match=f"PyBroker cannot do: {odd}$"):
        run_in_pybroker(strategy, RunConfig("ema-cross", ON, **changes), store_of(regular()))


def test_one_timeframe_is_played() -> None:
    strategy = load_strategy("ema-cross", {}).strategy
    store = store_of(regular(), widen(regular(), timeframe("5m")))
    config = RunConfig("ema-cross", (*ON, "XNYS:SPY/5m"))
    with pytest.raises(UsageError, match="bars of 1m and 5m"):
        run_in_pybroker(strategy, config, store)


@pytest.mark.parametrize("name", ["pybroker", "pybroker_run"])
def test_without_pybroker_it_is_said_how_to_get_it(name: str) -> None:
    code = f"import sys; sys.modules['pybroker'] = None; import openbell.backtest.engines.{name}"
    done = run("-c", code)
    assert "MissingExtraError: PyBroker needs the optional part `pybroker`" in done.stderr
