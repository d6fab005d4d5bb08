"""A Node strategy as a `Strategy`: the same seal whatever happens to its process."""

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import astuple
from redis import RedisError

import openbell
from openbell.app.running import verify
from openbell.backtest.catalog import from_instance, load_strategy
from openbell.backtest.config import RunConfig
from openbell.backtest.result import RunResult
from openbell.backtest.run import run_backtest
from openbell.bridge.answering import Recorded
from openbell.bridge.child import Limits
from openbell.bridge.history import HistoricalDataBootstrapService
from openbell.bridge.link import Link, Setup
from openbell.bridge.redis_server import RedisServer, connect
from openbell.bridge.remote import RemoteStrategy, remote_strategy
from openbell.market.errors import OpenbellError, UsageError
from openbell.market.moments import iso
from openbell.market.progress import CancelToken
from openbell.ports import Store
from tests.backtest.made import bars, flat, play
from tests.bridge.speaking import COUNTING, STRATEGIES
from tests.house import ROOT

NODE = ROOT / "examples" / "node"
EMA = NODE / "ema-strategy.js"
MODULES = (ROOT / "packages" / "node_modules",)
SPY = "XNYS:SPY/1m"
CROSS: Mapping[str, Any] = {"entry": "cross", "minEMASpread": 0.02}
PATIENT = Limits(pauses_s=(0.01,), lives=20)


@pytest.fixture(scope="module")
def setup() -> Iterator[Setup]:
    """A running Redis, and modules that are installed already."""
    with RedisServer() as server:
        yield Setup(redis_url=server.url, modules=MODULES, limits=PATIENT)


def made(file: Path, setup: Setup, **parameters: Any) -> RemoteStrategy:
    """A strategy of a file."""
    return remote_strategy(file, setup=setup)(**parameters)


def run(strategy: Any, store: Store, **changes: Any) -> RunResult:
    """A run over SPY of March 2011."""
    config = RunConfig("made", (SPY,), **changes)
    return run_backtest(strategy, config, store, from_instance(strategy).code)


@contextmanager
def killing(*whens: int) -> Iterator[list[int]]:
    """Kill the runner just after these messages of a run were sent; gives who was killed."""
    killed: list[int] = []
    send = Link.send
    counts: Counter[Link] = Counter()

    def sent(link: Link, kind: Any, data: object) -> None:
        send(link, kind, data)
        counts[link] += 1
        if counts[link] in whens and link.pid > 0:
            os.kill(link.pid, 9)
            killed.append(link.pid)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Link, "send", sent)
        yield killed


# The seal


@pytest.mark.timeout(180)  # starts Node fifty times
def test_twenty_runs_have_one_seal_though_half_of_them_lose_their_runner(
    setup: Setup, store: Store
) -> None:
    seals = set()
    for at in range(10):
        seals.add(run(made(EMA, setup, **CROSS), store, end="2011-03-01T17:00Z").seal)
        with killing(2, 20 + 8 * at, 21 + 8 * at) as killed:
            seals.add(run(made(EMA, setup, **CROSS), store, end="2011-03-01T17:00Z").seal)
        assert len(killed) == 3
    assert len(seals) == 1
    assert "" not in seals


@pytest.mark.timeout(180)  # plays a month twice, message by message
def test_a_whole_month_has_one_seal_though_its_runner_is_killed_and_redis_restarted(
    setup: Setup, store: Store
) -> None:
    plain = run(made(EMA, setup, **CROSS), store)
    with RedisServer() as server, killing(1_000, 5_000, 8_000) as killed:
        timer = threading.Timer(2.0, server.restart)
        timer.start()
        broken = run(made(EMA, replace(setup, redis_url=server.url), **CROSS), store)
        timer.join()
    assert len(killed) == 3
    assert plain.status == broken.status == "done"
    assert plain.seal == broken.seal
    assert len(plain.fills) > 100
    assert any("died" in warning for warning in broken.warnings)


@pytest.mark.timeout(180)  # plays a month twice, once message by message
@pytest.mark.parametrize(("entry", "end"), [("cross", ""), ("retracement", "2011-03-08")])
def test_it_decides_what_the_same_strategy_in_python_decides(
    entry: str, end: str, setup: Setup, store: Store
) -> None:
    parameters = {**CROSS, "entry": entry}
    there = run(made(EMA, setup, **parameters), store, end=end)
    here = run(load_strategy(str(NODE / "ema_twin.py"), parameters).strategy, store, end=end)
    assert here.status == there.status == "done"
    assert [astuple(f)[:7] for f in here.fills] == [astuple(f)[:7] for f in there.fills]
    assert [astuple(o)[:8] for o in here.orders] == [astuple(o)[:8] for o in there.orders]
    assert len(here.fills) > 20


def test_a_strategy_that_asks_for_its_history_itself_is_as_reproducible(
    setup: Setup, store: Store
) -> None:
    own = NODE / "self-bootstrap-strategy.js"
    settings = {"start": "2011-03-08", "end": "2011-03-09"}
    plain = run(made(own, setup, **CROSS), store, **settings)
    with killing(2, 200) as killed:
        broken = run(made(own, setup, **CROSS), store, **settings)
    assert len(killed) == 2
    assert (plain.status, broken.status) == ("done", "done"), broken.error
    assert plain.seal == broken.seal
    assert plain.fills


# Verification


def test_a_stored_run_is_verified_by_doing_it_again(spy: Path, place: Path) -> None:
    run = openbell.backtest(str(EMA), SPY, end="2011-03-02", parameters=CROSS)
    run.save(report=False)
    assert run.loaded.ref.startswith(f"{EMA}:")
    assert (run.folder / "files" / EMA.name).read_text() == EMA.read_text()
    assert verify(run.id).is_same
    assert verify(run).is_same


def test_changed_code_beside_the_strategy_is_named_as_the_cause(spy: Path, place: Path) -> None:
    for name in ("telling.js", "plan.js"):
        (place / name).write_text((STRATEGIES / name).read_text())
    acts = json.dumps({"60": {"action": "BUY", "quantity": 3}})
    run = openbell.backtest("telling.js", SPY, end="2011-03-02", parameters={"acts": acts})
    run.save(report=False)
    assert set(run.result.code_files) == {"telling.js", "plan.js"}
    plan = place / "plan.js"
    plan.write_text(plan.read_text().replace("acts[count]", "acts[count + 1]"))
    found = verify(run.id)
    assert not found.is_same
    assert found.causes == ("strategy code changed: 1 file",)


def test_its_place_is_in_no_seal(setup: Setup, store: Store, tmp_path: Path) -> None:
    copy = tmp_path / EMA.name
    copy.write_text(EMA.read_text())
    seals = {run(made(file, setup), store, end="2011-03-02").seal for file in (EMA, copy)}
    assert len(seals) == 1


# Signals


def told(setup: Setup, acts: Mapping[int, Any], prices: Any, **changes: Any) -> RunResult:
    """A run of `telling.js` over bars made by hand; it wants no history."""
    texts = {str(at): act for at, act in acts.items()}
    strategy = made(STRATEGIES / "telling.js", setup, acts=json.dumps(texts), historicalBarsBack=0)
    return play(strategy, prices, **changes)


def test_signals_become_orders_and_positions_are_told_back(setup: Setup) -> None:
    acts = {
        2: {"direction": "LONG", "positionSize": 3, "stopLoss": 90},
        3: {"action": "HOLD"},
        4: {"action": "BUY", "quantity": 1},
        6: {"direction": "CLOSE_POSITION"},
        8: {"action": "HOLD"},
    }
    result = told(setup, acts, bars(flat(100, 101, 102, 103, 104, 105, 106, 107, 108)))
    assert [(o.size, o.stop if o.kind == "stop" else o.kind, o.tag) for o in result.orders] == [
        (3.0, "market", "flat"),
        (-3.0, 90.0, "stop loss"),
        (1.0, "market", "LONG 3 at 102, stop 90"),
        (-4.0, 90.0, "stop loss"),
        (-4.0, "market", "close"),
    ]
    assert [f.size for f in result.fills] == [3.0, 1.0, -4.0]


def test_the_target_closes_the_position_and_takes_the_stop_back(setup: Setup) -> None:
    acts = {1: {"action": "SELL", "quantity": 2, "stopLoss": 105, "takeProfit": 95}}
    result = told(setup, acts, bars(flat(100, 100, 99, 94, 110, 110)))
    assert [(f.size, f.price) for f in result.fills] == [(-2.0, 100.0), (2.0, 94.0)]
    assert [(o.order, o.reason) for o in result.outcomes] == [(2, "its rival was filled")]


def test_a_signal_without_a_quantity_is_the_runs_full_size(setup: Setup) -> None:
    result = told(setup, {1: {"action": "BUY"}}, bars(flat(100, 100, 100)), size=7.0)
    assert [f.size for f in result.fills] == [7.0]


def test_a_signal_that_says_nothing_sensible_is_refused_and_told(setup: Setup) -> None:
    acts = {1: {"action": "DANCE"}, 2: {"action": "BUY", "quantity": "many"}}
    result = told(setup, acts, bars(flat(100, 100, 100, 100)))
    assert result.orders == []
    assert [line.text[:14] for line in result.log] == ["signal refused"] * 2
    assert any("2 signals of the strategy were refused" in w for w in result.warnings)


# History


@pytest.mark.parametrize(
    ("start", "first", "fed"),
    [
        ("", "50 from 2011-03-01T14:30:00Z", "2011-03-01T15:21:00Z"),
        ("2011-03-02", "50 from 2011-03-01T20:10:00Z", "2011-03-02T14:31:00Z"),
    ],
)
def test_history_is_what_was_before_the_run_else_its_first_bars(
    start: str, first: str, fed: str, setup: Setup, store: Store
) -> None:
    acts = json.dumps({"1": {"action": "BUY", "quantity": 1}})
    strategy = made(STRATEGIES / "telling.js", setup, acts=acts)
    result = run(strategy, store, start=start, end="2011-03-03" if start else "2011-03-02")
    order = result.orders[0]
    assert order.tag == first
    assert iso(order.time_ns) == fed


# What goes wrong


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match=r"there is no file nowhere\.js"):
        openbell.backtest("nowhere.js", SPY)


def test_what_the_strategy_raises_fails_the_run_at_its_bar(setup: Setup, store: Store) -> None:
    result = run(made(COUNTING, setup, throwAt=3, historicalBarsBack=0), store, end="2011-03-02")
    assert result.status == "failed"
    assert "the strategy raised: no more" in result.error
    assert "2011-03-01T14:33:00Z" in result.error


def test_two_instruments_are_refused(setup: Setup) -> None:
    with pytest.raises(UsageError, match="trades one series of bars, not 2"):
        play(made(COUNTING, setup), bars(flat(1)), bars(flat(1), name="MADE:OTHER"))


def test_nothing_is_left_of_a_run_that_was_stopped(
    setup: Setup, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = CancelToken()
    begun: list[int] = []
    send = Link.send

    def sent(link: Link, kind: Any, data: object) -> None:
        begun.append(link.pid)
        if len(begun) == 100:
            token.cancel()
        send(link, kind, data)

    monkeypatch.setattr(Link, "send", sent)
    strategy = made(COUNTING, setup)
    config = RunConfig("made", (SPY,), end="2011-03-03")
    code = from_instance(strategy).code
    result = run_backtest(strategy, config, store, code, cancel=token)
    assert result.status == "interrupted"
    with pytest.raises(ProcessLookupError):
        os.kill(max(begun), 0)


# The original's channels


def test_the_original_channels_carry_the_same_strategy(setup: Setup, store: Store) -> None:
    parameters = {**CROSS, "transport": "compatible", "wait_s": 0.03}
    result = run(made(EMA, setup, **parameters), store, start="2011-03-02", end="2011-03-03")
    assert result.status == "done", result.error
    assert result.fills
    shown = [w for w in result.warnings if "compatible transport" in w]
    assert len(shown) == 1
    assert shown[0].endswith("0 messages were lost")


def test_bars_nobody_hears_are_counted_and_shown(setup: Setup, store: Store) -> None:
    parameters = {**CROSS, "transport": "compatible", "wait_s": 0.002}
    with killing(100) as killed:
        result = run(made(EMA, setup, **parameters), store, start="2011-03-02", end="2011-03-03")
    assert killed
    assert not [w for w in result.warnings if w.endswith(" 0 messages were lost")]


def test_what_broken_connections_cost_the_original_channels_is_counted(
    setup: Setup, store: Store
) -> None:
    parameters = {**CROSS, "transport": "compatible", "wait_s": 0.01, "historicalBarsBack": 0}
    counts: dict[str, int] = {}
    with (
        RedisServer() as server,
        acting(
            {
                50: lambda: cut(server),
                120: server.stop,
                124: server.restart,
                200: lambda: pause(server),
                300: lambda: fill(server),
            }
        ),
    ):
        own = replace(setup, redis_url=server.url, told=counts.update)
        result = run(made(EMA, own, **parameters), store, start="2011-03-02", end="2011-03-03")
    assert result.status == "done", result.error
    assert result.bars == 390
    assert counts["cut"] > 0
    assert counts["lost"] > 0
    assert counts["sent"] >= 2 * 390
    [shown] = [w for w in result.warnings if "compatible transport" in w]
    assert shown.endswith(f"{counts['lost']:,} messages were lost")


@contextmanager
def acting(acts: Mapping[int, Callable[[], object]]) -> Iterator[None]:
    """Do something just after so many messages of a run were sent."""
    send = Link.send
    count = iter(range(1, 1_000_000))

    def sent(link: Link, kind: Any, data: object) -> None:
        send(link, kind, data)
        acts.get(next(count), int)()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Link, "send", sent)
        yield


def pause(server: RedisServer) -> None:
    """Let a Redis say nothing for half a second."""
    os.kill(server.pid, signal.SIGSTOP)
    threading.Timer(0.5, os.kill, (server.pid, signal.SIGCONT)).start()


@pytest.mark.parametrize("transport", ["lock-step", "compatible"])
def test_a_circuit_whose_redis_is_gone_for_good_ends_as_a_failed_run(
    transport: str, setup: Setup, store: Store
) -> None:
    with RedisServer() as server, acting({60: server.stop}):
        own = replace(setup, redis_url=server.url, bot=True, within_s=0.5)
        strategy = made(EMA, own, **CROSS, transport=transport, wait_s=0.001)
        result = run(strategy, store, start="2011-03-02", end="2011-03-02T15:45Z")
    if transport == "lock-step":
        assert result.status == "failed"
        assert "Redis is away" in result.error
    else:
        assert result.status == "done", result.error
        assert any("messages were lost" in w and " 0 messages" not in w for w in result.warnings)


def test_signals_that_come_late_are_carried_out_counted_and_shown(
    setup: Setup, store: Store
) -> None:
    strategy = made(STRATEGIES / "late.js", setup, transport="compatible", wait_s=0.01)
    hour = {"start": "2011-03-02T14:30Z", "end": "2011-03-02T15:30Z"}
    result = run(strategy, store, **hour)
    assert result.status == "done", result.error
    assert len(result.orders) >= 4
    shown = next(w for w in result.warnings if "compatible transport" in w)
    assert int(shown.split("; ")[1].split(" ")[0]) >= 4


def test_a_sweep_runs_a_node_strategy_with_every_combination(spy: Path, place: Path) -> None:
    found = openbell.sweep(str(EMA), SPY, {"minEMASpread": [0.02, 0.2]}, end="2011-03-02")
    assert found.result.runs == 2
    assert len(set(found.table["fills"])) == 2


def test_a_day_around_the_clock_with_every_fault_is_the_day_without(setup: Setup) -> None:
    steps = np.random.default_rng(1).normal(0, 0.05, 1440)
    closes = (100.0 + np.cumsum(steps)).round(2)
    day = bars([(c, c, c, c) for c in closes.tolist()])
    plain = play(made(COUNTING, setup, historicalBarsBack=0), day, cash=1e9)
    with RedisServer() as server, killing(5, 400, 401, 900) as killed:
        cuts = [threading.Timer(0.2 + 0.3 * at, lambda: cut(server)) for at in range(8)]
        cuts.append(threading.Timer(1.0, server.restart))
        for timer in cuts:
            timer.start()
        strategy = made(COUNTING, replace(setup, redis_url=server.url), historicalBarsBack=0)
        broken = play(strategy, day, cash=1e9)
        for timer in cuts:
            timer.join()
    assert len(killed) == 4
    assert broken.status == "done", broken.error
    assert plain.seal == broken.seal
    assert len(plain.orders) == 480


def fill(server: RedisServer) -> None:
    """Leave a Redis no room; what is only published needs none."""
    with connect(server.url) as client:
        client.config_set("maxmemory", 1)


def cut(server: RedisServer) -> None:
    """Cut every connection; one that comes while the server is restarted has nothing to cut."""
    with suppress(OpenbellError, RedisError), connect(server.url) as client:
        client.client_kill_filter(_type="normal", skipme=True)


# What its author should know


@pytest.mark.parametrize(
    "act",
    [
        'Promise.reject(new Error("of the aside"))',
        'setImmediate(() => { throw new Error("of the aside"); })',
    ],
)
def test_what_a_strategy_raises_aside_is_said(act: str, setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "aside.js").write_text(
        f"module.exports = class A {{ processMarketData() {{ {act}; return {{ ready: true }}; }} }}"
    )
    done = play(made(tmp_path / "aside.js", setup, historicalBarsBack=0), bars(flat(1, 2, 3, 4, 5)))
    assert done.status == "done"
    [warning] = [w for w in done.warnings if "in a timer or a forgotten promise" in w]
    assert "raised 5 times" in warning
    assert warning.endswith("the first time: of the aside")


def test_a_strategy_that_was_never_ready_is_named(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "never.js").write_text(
        "module.exports = class N { processMarketData() { return { ready: false }; } }"
    )
    never = "the strategy was never ready, and gave no signal"
    assert (
        never
        in play(
            made(tmp_path / "never.js", setup, historicalBarsBack=0), bars(flat(1, 2, 3, 4, 5))
        ).warnings
    )
    assert (
        never
        not in play(made(COUNTING, setup, historicalBarsBack=0), bars(flat(1, 2, 3, 4, 5))).warnings
    )


def test_a_start_that_fails_says_where_in_the_strategy(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "bad.js").write_text(
        "module.exports = class B {\n  constructor() { throw new Error('no good'); }\n"
        "  processMarketData() {}\n};"
    )
    done = play(made(tmp_path / "bad.js", setup), bars(flat(1, 2, 3, 4, 5)))
    assert done.status == "failed"
    assert "Error: no good\n    at new B (" in done.error
    assert "bad.js:2:" in done.error
    assert "node:" not in done.error
    assert '"stack"' not in done.error


def test_another_history_service_at_the_same_redis_is_said(
    setup: Setup, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = NODE / "self-bootstrap-strategy.js"
    settings = {"start": "2011-03-08", "end": "2011-03-08T15:00Z"}
    said = "another history service is at the same Redis"
    alone = run(made(own, setup, **CROSS), store, **settings)
    assert not any(said in warning for warning in alone.warnings)
    find = Recorded.find

    def late(*words: Any) -> Any:
        threading.Event().wait(0.5)  # the other answers first, and the run is over before we do
        return find(*words)

    monkeypatch.setattr(Recorded, "find", late)
    with connect(setup.redis_url) as client, HistoricalDataBootstrapService(client):
        beside = run(made(own, setup, **CROSS), store, **settings)
    assert any(said in warning for warning in beside.warnings)
