"""A stored run and the same run done again: the same, or the first thing that differs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from openbell.backtest.catalog import load_strategy
from openbell.backtest.config import Costs, RunConfig
from openbell.backtest.records import from_record, to_record
from openbell.backtest.result import RunResult
from openbell.backtest.run import Code, run_backtest
from openbell.backtest.strategy import Strategy
from openbell.backtest.verify import compare_runs
from openbell.market.bars import Bars
from openbell.market.moments import DAY_NS, HOUR_NS
from openbell.market.progress import CancelToken
from openbell.stores.runs import RunFolder
from tests.backtest.made import bars, flat, play, script, spy_march, store_of


@pytest.fixture(scope="module")
def spy(samples: Path) -> Bars:
    return spy_march(samples)


CODE = Code({"cross.py": "1"})


def run(
    spy: Bars, code: Code = CODE, strategy: Strategy | None = None, **changes: Any
) -> RunResult:
    config = RunConfig("ema-cross", ("XNYS:SPY/1m",), end="2011-03-05", **changes)
    chosen = strategy or load_strategy("ema-cross", changes.get("parameters", {})).strategy
    return run_backtest(chosen, config, store_of(spy), code)


@pytest.fixture(scope="module")
def stored(spy: Bars) -> RunResult:
    return run(spy)


def stored_again(result: RunResult, folder: Path) -> RunResult:
    store = RunFolder(folder)
    store.save(to_record(result, created="2026-11-21T00:00:00Z", files={}))
    return from_record(store.load(result.id))


def assert_equal(a: RunResult, b: RunResult) -> None:
    for name in ("id", "config", "status", "error", "pins", "checksums", "start_ns", "end_ns",
                 "sessions", "bars", "withheld", "completeness", "fills", "outcomes", "log",
                 "code_hash", "code_files", "calendars", "sessions_per_year", "multipliers",
                 "exposure", "engine", "version", "elapsed_s", "warnings"):  # fmt: skip
        one, other = getattr(a, name), getattr(b, name)
        assert (list(one) if isinstance(one, tuple) else one) == (
            list(other) if isinstance(other, tuple) else other
        ), name
    for name in ("orders", "entries"):
        assert repr(list(getattr(a, name))) == repr(list(getattr(b, name))), name
    for name in ("time_ns", "cash", "equity", "closes"):
        assert getattr(a.equity, name).tolist() == getattr(b.equity, name).tolist(), name
    assert np.array_equal(a.benchmark, b.benchmark, equal_nan=True)
    assert repr(a.metrics) == repr(b.metrics)
    assert a.summary() == b.summary()


def test_a_run_comes_back_from_its_record_as_it_was(stored: RunResult, tmp_path: Path) -> None:
    assert_equal(from_record(to_record(stored, created="now", files={})), stored)
    assert_equal(stored_again(stored, tmp_path), stored)


def test_failed_and_empty_runs_come_back_too(tmp_path: Path) -> None:
    def fail(ctx: Any) -> None:
        raise ValueError('häßlich, "quoted" — and\nlong')

    early = type("Early", (Strategy,), {"on_start": lambda self, ctx: fail(ctx)})()
    acts = {
        0: lambda ctx: (ctx.log("ünï"), ctx.buy(1, limit=3, tag="tag"), ctx.sell(1, trail=2)),
        2: fail,
    }
    for k, strategy in enumerate((early, script({}), script(acts), script({0: fail}))):
        found = play(strategy, bars(flat(1, 2, 3, 4)))
        assert_equal(stored_again(found, tmp_path / str(k)), found)


def test_the_same_run_is_verified(stored: RunResult, spy: Bars) -> None:
    found = compare_runs(stored, run(spy))
    assert found.is_same
    sides = len(stored.orders) + len(stored.fills)
    short = f"{stored.seal[:4]}…{stored.seal[-4:]}"
    assert found.text == f"verified: same seal {short} (4 sessions, {sides} orders and fills)"
    assert found.to_dict()["causes"] == []


class Late(Strategy):
    """The crossover, but for one order that is left out."""

    leave_out: int = 0
    shift: float = 0.0

    def on_start(self, ctx: Any) -> None:
        self.f, self.s = ctx.ema(12), ctx.ema(26)
        self.wanted, self.count = 0.0, 0

    def on_bar(self, ctx: Any, bar: Any) -> None:
        if not self.s.ready:
            return
        target = 1.0 if self.f.value > self.s.value else 0.0
        if target != self.wanted:
            self.wanted = target
            self.count += 1
            if self.count != self.leave_out:
                ctx.buy(100 + self.shift) if target else ctx.sell(100 + self.shift)


def altered(**parameters: Any) -> Strategy:
    """A changed `Late` under the same settings: what an edit of the file does."""
    cls = type("Late", (Late,), {**parameters, "describe": classmethod(lambda _: {})})
    made: Strategy = cls()
    return made


def test_changed_code_is_told_with_the_first_order_that_differs(spy: Bars) -> None:
    before = run(spy, strategy=altered(), sizing="units")
    after = run(spy, Code({"cross.py": "2"}), altered(leave_out=20))
    found = compare_runs(before, after)
    gone = next(o for o in before.orders if o.number == 20)
    assert not found.is_same
    assert found.text.startswith(f"differs: session {found.session}, ")
    assert ", order 20: was sell 100, now none" in found.text
    assert found.text.endswith("(strategy code changed: 1 file)")
    fill = next(f for f in before.fills if f.order == gone.number)
    assert fill.session == found.session
    assert found.causes == ("strategy code changed: 1 file",)


def test_one_order_more_is_told_as_well(spy: Bars) -> None:
    before, after = run(spy, strategy=altered(leave_out=7)), run(spy, strategy=altered())
    found = compare_runs(before, after)
    assert ", order 7: was none, now " in found.text
    assert found.text.endswith("(nothing known has changed)")


def test_changed_data_is_told(stored: RunResult, spy: Bars) -> None:
    noon = int(np.flatnonzero(spy.start_ns % DAY_NS == 17 * HOUR_NS)[1])
    volume = spy.volume.copy()
    volume[noon] += 1
    found = compare_runs(stored, run(Bars(spy.series, **{**spy.columns(), "volume": volume})))
    assert not found.is_same
    assert (
        found.text
        == f"differs: session {found.session}, the data or the settings, no decision (data changed)"
    )
    close = spy.close.copy()
    close[noon] *= 1.01
    high = np.maximum(spy.high, close)
    found = compare_runs(
        stored, run(Bars(spy.series, **{**spy.columns(), "close": close, "high": high}))
    )
    assert "order " in found.text
    assert found.text.endswith("(data changed)")


def test_changed_settings_name_the_first_decision_they_changed(
    stored: RunResult, spy: Bars
) -> None:
    found = compare_runs(stored, run(spy, parameters={"slow": 27}))
    assert "was " in found.text
    assert found.text.endswith("(settings changed)")
    found = compare_runs(stored, run(spy, seed=5))
    assert "no decision (settings changed)" in found.text


def test_a_change_of_the_price_alone_is_told_by_the_price(stored: RunResult, spy: Bars) -> None:
    found = compare_runs(stored, run(spy, costs=Costs(slip_rate=1e-12)))
    assert "order 1: was buy 100 at" in found.text
    assert found.expected != found.found
    assert "price 13" in found.expected


def test_a_change_of_the_time_alone_is_told_by_the_time() -> None:
    early, late = (
        play(script({k: lambda ctx: ctx.buy(1)}), bars(flat(1, 1, 1, 1))) for k in (0, 1)
    )
    found = compare_runs(early, late)
    assert (found.expected, found.found) == (
        "buy 1 at 2024-03-04T00:01:00Z", "buy 1 at 2024-03-04T00:02:00Z",
    )  # fmt: skip


def test_a_change_of_the_fee_alone_is_told_by_the_fee() -> None:
    acts = {0: lambda ctx: ctx.buy(1)}
    costs = (Costs(fee_minimum=1), Costs(fee_minimum=2))
    found = compare_runs(*(play(script(acts), bars(flat(1, 1, 1)), costs=c) for c in costs))
    assert found.expected.startswith("buy 1 at 1 filled, fee 1.0, cash ")
    assert found.found.startswith("buy 1 at 1 filled, fee 2.0, cash ")


def test_a_fill_that_became_a_rejection_is_told() -> None:
    acts = {0: lambda ctx: ctx.buy(1)}
    found = compare_runs(*(play(script(acts), bars(flat(1, 1, 1)), cash=c) for c in (2.0, 0.5)))
    assert (found.expected, found.found) == ("buy 1 at 1 filled", "rejected")


def test_runs_that_never_began_verify_nothing() -> None:
    broken = type("Broken", (Strategy,), {"on_start": lambda self, ctx: 1 / 0})()
    failed = play(broken, bars(flat(1, 2)))
    found = compare_runs(failed, failed)
    assert not found.is_same
    assert "before the first session, nothing to compare: ZeroDivisionError" in found.text


def test_several_instruments_are_named() -> None:
    a, b = bars(flat(1, 1, 1), "MADE:A"), bars(flat(1, 1, 1), "MADE:B")
    one, other = (
        play(script({0: lambda ctx, n=n: ctx.buy(1, n, limit=0.5)}), a, b)
        for n in ("MADE:A", "MADE:B")
    )  # fmt: skip
    found = compare_runs(one, other)
    assert (found.expected, found.found) == ("buy 1 MADE:A limit 0.5", "buy 1 MADE:B limit 0.5")


def test_another_version_is_told_where_the_seals_differ(stored: RunResult, spy: Bars) -> None:
    newer = replace(run(spy, seed=1), version="9.9", calendars={"XNYS": "other"})
    text = compare_runs(replace(stored, version="0.1"), newer).text
    assert text.endswith("(settings changed; calendar changed; openbell 0.1 then, 9.9 now)")


def test_an_interrupted_run_is_verified_by_the_sessions_it_finished(
    spy: Bars, stored: RunResult
) -> None:
    token = CancelToken()

    def stop(done: int, total: int, what: str) -> None:
        if done == 2:
            token.cancel()

    config = RunConfig("ema-cross", ("XNYS:SPY/1m",), end="2011-03-05")
    strategy = load_strategy("ema-cross", {}).strategy
    part = run_backtest(
        strategy, config, store_of(spy), CODE, progress=stop, cancel=token, sessions_per_chunk=1
    )
    assert part.status == "interrupted"
    assert 0 < len(part.sessions) < len(stored.sessions)
    found = compare_runs(part, stored)
    assert found.is_same
    assert found.text.startswith("verified")
    changed = [*part.sessions]
    changed[0] = structs.replace(changed[0], digest="0" * 64)
    assert not compare_runs(replace(part, sessions=changed), stored).is_same
