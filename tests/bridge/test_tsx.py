"""The bridge for a loop of one's own: bars in, signals out."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from openbell.bridge.link import Setup
from openbell.bridge.redis_server import RedisServer
from openbell.bridge.tsx import TSXStrategyBridge
from openbell.market.errors import BadDataError, ReplayError, UsageError
from openbell.ports import Store
from tests.bridge.speaking import COUNTING, STRATEGIES
from tests.house import ROOT

EMA = ROOT / "examples" / "node" / "ema-strategy.js"
MODULES = (ROOT / "packages" / "node_modules",)
TELLING = STRATEGIES / "telling.js"


@pytest.fixture(scope="module")
def config() -> Iterator[dict[str, Any]]:
    with RedisServer() as server:
        yield {"redisHost": "127.0.0.1", "redisPort": server.port, "symbol": "XNYS:SPY"}


def minutes(count: int, first: float = 131.0) -> Iterator[dict[str, Any]]:
    """Bars of a morning that rises."""
    for at in range(count):
        when = datetime(2011, 3, 2, 14, 31 + at, tzinfo=UTC)
        yield {"timestamp": when, "close": first + at, "volume": 100, "open": first}


def bridge(file: Path, config: dict[str, Any], source: Any = None) -> TSXStrategyBridge:
    return TSXStrategyBridge(file, source, config, setup=Setup(modules=MODULES))


def test_signals_come_in_the_originals_form(config: dict[str, Any], store: Store) -> None:
    acts = '{"2": {"direction": "LONG", "positionSize": 3, "stopLoss": 130.5, "entryPrice": 132}}'
    with bridge(TELLING, {**config, "acts": acts, "botId": "b"}, store) as running:
        found = [running.process_market_data(bar) for bar in minutes(3)]
    assert found[0] is None
    assert found[2] is None
    assert found[1] is not None
    assert {name: found[1][name] for name in found[1] if name != "tsx_signal"} == {
        "action": "BUY", "price": 132.0, "shares": 3.0, "stop_loss": 130.5, "take_profit": None,
        "botId": "b", "timestamp": "2011-03-02T14:32:00Z", "strategy": "Telling",
    }  # fmt: skip
    assert found[1]["tsx_signal"]["direction"] == "LONG"


@pytest.mark.parametrize("transport", ["lock-step", "compatible"])
def test_history_reaches_to_the_simulations_time(
    transport: str, config: dict[str, Any], store: Store
) -> None:
    acts = '{"1": {"action": "BUY"}}'
    given = {**config, "acts": acts, "transport": transport, "wait_s": 1.0}
    running = bridge(TELLING, {**given, "historicalBarsBack": 3}, store)
    running.set_simulation_datetime("2011-03-02T14:30:00Z")
    with running:
        first = running.process_market_data(next(minutes(1)))
    assert first is not None
    assert first["tsx_signal"]["reason"] == "3 from 2011-03-01T20:57:00Z"


def test_without_a_source_history_is_made_up(config: dict[str, Any]) -> None:
    with bridge(EMA, config) as running:
        assert running.get_statistics()["history"] == 50


def test_positions_are_synchronised(config: dict[str, Any]) -> None:
    acts = '{"2": {"action": "BUY"}, "3": {"action": "BUY"}}'
    with bridge(TELLING, {**config, "acts": acts}) as running:
        position = {"symbol": "XNYS:SPY", "side": "SHORT", "quantity": 2, "entryPrice": 131.5}
        first, second, third = minutes(3)
        running.process_market_data(first)
        running.update_positions([position])
        seen = running.process_market_data(second)
        running.update_positions([])
        gone = running.process_market_data(third)
    assert seen is not None
    assert gone is not None
    assert seen["tsx_signal"]["reason"] == "SHORT 2 at 131.5, stop null"
    assert gone["tsx_signal"]["reason"] == "flat"


def test_statistics_count_what_happened(config: dict[str, Any]) -> None:
    acts = '{"1": {"action": "BUY"}, "2": {"action": "DANCE"}, "3": {"action": "HOLD"}}'
    running = bridge(TELLING, {**config, "acts": acts, "historicalBarsBack": 0})
    with running:
        for bar in minutes(4):
            running.process_market_data(bar)
        counts = running.get_statistics()
    assert counts["running"]
    assert not running.get_statistics()["running"]
    names = ("bars", "signals", "refused", "strategy")
    assert [counts[name] for name in names] == [4, 1, 1, "Telling"]


def test_it_starts_once_and_ends_twice(config: dict[str, Any]) -> None:
    running = bridge(COUNTING, config)
    assert running.start()
    assert running.start()
    running.shutdown()
    running.shutdown()


def test_a_bar_before_the_start_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ReplayError, match="not started"):
        bridge(COUNTING, config).process_market_data(next(minutes(1)))


@pytest.mark.parametrize("bar", [{"close": 1.0}, {"timestamp": 0}, {"timestamp": 0, "close": "x"}])
def test_a_bar_that_is_none_is_refused(bar: dict[str, Any], config: dict[str, Any]) -> None:
    with bridge(COUNTING, config) as running, pytest.raises(BadDataError):
        running.process_market_data(bar)


def test_what_cannot_be_is_said_before_anything_starts(config: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="unknown transport"):
        bridge(COUNTING, {**config, "transport": "pigeon"})
    with pytest.raises(UsageError, match="there is no file"):
        bridge(Path("nowhere.js"), config).start()
