"""A strategy in Node trades in PyBroker what it trades in the native engine."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import pytest

from openbell.backtest.engines.pybroker import execution
from openbell.bridge.remote import remote_strategy
from openbell.market.errors import UsageError
from tests.backtest.engines.test_pybroker import played, regular
from tests.backtest.made import play
from tests.house import ROOT

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.set_index")
FILE = ROOT / "examples" / "node" / "ema-strategy.js"
SETTINGS = {"entry": "cross", "minEMASpread": 0.05, "dollarPerPoint": 1, "dollarRiskPerTrade": 20}


def by_bar(fills: Iterable[tuple[int, float, float]]) -> dict[int, tuple[float, float]]:
    """Units and money of each bar, by its start; PyBroker counts the entries of a stop apart."""
    found: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for time_ns, size, price in fills:
        found[time_ns][0] += size
        found[time_ns][1] += size * price
    return {time_ns: (size, round(money, 6)) for time_ns, (size, money) in found.items()}


def test_it_trades_the_same_bars_sizes_and_prices_but_where_stops_differ() -> None:
    made = remote_strategy(FILE)
    data = regular().take(slice(0, 390 * 6))
    native = play(made(**SETTINGS), data, fill="intrabar")
    mine = by_bar((f.time_ns, f.size, f.price) for f in native.fills)
    result = played(made(**SETTINGS), data)
    theirs = by_bar(
        (
            int(np.datetime64(o.date, "ns").astype(np.int64)),
            float(o.shares) * (1.0 if o.type == "buy" else -1.0),
            float(o.fill_price),
        )
        for o in result.orders.itertuples()
    )
    alike = [at for at in mine if theirs.get(at) == mine[at]]
    assert len(alike) > 0.97 * max(len(mine), len(theirs)) > 190
    assert result.log == []


def test_it_needs_to_know_where_the_past_is() -> None:
    with pytest.raises(UsageError, match="looks into the past"):
        execution(remote_strategy(FILE)())
