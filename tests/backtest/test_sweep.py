"""Sweeps: the same figures as single runs, whichever way and on however many cores."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openbell.backtest.catalog import from_instance, load_strategy
from openbell.backtest.config import Costs, RunConfig
from openbell.backtest.run import run_backtest
from openbell.backtest.strategy import Strategy, param
from openbell.backtest.sweep import FIGURES, SweepResult, combinations, parse_grid, run_sweep
from openbell.market.errors import CancelledError, RunError, UsageError
from openbell.market.progress import CancelToken
from openbell.stores.memory import MemoryStore
from tests.backtest.made import bars, flat, spy_march, store_of

WEEK = RunConfig("ema-cross", ("XNYS:SPY/1m",), start="2011-03-07", end="2011-03-10")
GRID = {"fast": [4, 9], "slow": [9, 30, 60]}


@pytest.fixture(scope="module")
def march(samples: Path) -> MemoryStore:
    return store_of(spy_march(samples))


def sweep(
    store: MemoryStore, grid: Any = GRID, name: str = "ema-cross", **changes: Any
) -> SweepResult:
    how = {k: changes.pop(k) for k in ("rank", "workers", "progress", "cancel") if k in changes}
    return run_sweep(load_strategy(name, {}), replace(WEEK, **changes), grid, store, **how)


def rows(result: SweepResult) -> list[dict[str, Any]]:
    names = list(result.table)
    return [dict(zip(names, row, strict=True)) for row in zip(*result.table.values(), strict=True)]


def assert_figures(row: dict[str, Any], name: str, config: RunConfig, store: MemoryStore) -> None:
    parameters = {k: v for k, v in row.items() if k not in FIGURES}
    loaded = load_strategy(name, parameters)
    run = run_backtest(loaded.strategy, config, store, loaded.code)
    m = run.metrics
    wanted = {
        "total_return": m.total_return, "sharpe": m.sharpe, "max_drawdown": m.max_drawdown,
        "equity_end": run.equity_end, "round_trips": m.round_trips, "win_rate": m.win_rate,
        "fills": len(run.fills), "rejected": sum(o.state == "rejected" for o in run.outcomes),
        "fees": m.fees,
    }  # fmt: skip
    assert list(wanted) == list(FIGURES)
    for figure in FIGURES:
        assert row[figure] == pytest.approx(wanted[figure], rel=1e-9, nan_ok=True), figure


def test_a_sweeps_table_is_that_of_single_runs(march: MemoryStore) -> None:
    found = sweep(march, costs=Costs(fee_rate=0.0001), sizing="percent", size=0.9)
    assert (found.engine, found.runs, found.swept) == ("kernel", 5, ("fast", "slow"))
    config = replace(WEEK, costs=Costs(fee_rate=0.0001), sizing="percent", size=0.9)
    for row in rows(found):
        assert_figures(row, "ema-cross", config, march)
    ranked = found.table["sharpe"]
    assert ranked == sorted(ranked, reverse=True)
    assert found.best["sharpe"] == ranked[0]
    assert str(found).startswith(f"sweep {found.id}: 5 runs, best fast=")


@pytest.mark.timeout(180)  # starts three processes, each of which imports and compiles
def test_processes_and_kernels_give_the_same_figures(march: MemoryStore, tmp_path: Path) -> None:
    """A callback of its own takes a strategy out of the kernel, and changes nothing."""
    grid = {"fast": [4, 9], "slow": [30]}
    kernel = sweep(march, grid)
    assert kernel.engine == "kernel"
    subclass = """
from openbell.backtest.strategies.crossover import EmaCross


class Watched(EmaCross):
    def on_fill(self, ctx, fill):
        ctx.log("seen")
"""
    path = tmp_path / "watched.py"
    path.write_text(subclass)
    loaded = load_strategy(str(path), {})
    played, alone = (run_sweep(loaded, WEEK, grid, march, workers=k) for k in (2, 1))
    assert played.engine == "events"
    assert repr(played.table) == repr(alone.table)
    assert played.id == alone.id
    assert played.table["fast"] == kernel.table["fast"]
    for name in FIGURES:
        np.testing.assert_allclose(played.table[name], kernel.table[name], rtol=1e-9)


def test_the_number_of_workers_changes_nothing(march: MemoryStore) -> None:
    one, four = sweep(march, workers=1), sweep(march, workers=4)
    assert repr(one) == repr(four)


class Local(Strategy):
    """An event strategy that no other process can find."""

    every: int = param(3, low=1)

    def on_start(self, ctx: Any) -> None:
        self.count = 0

    def on_bar(self, ctx: Any, bar: Any) -> None:
        self.count += 1
        ctx.target(bar.instrument, int(self.count % self.every == 0))


def test_classes_made_in_a_function_are_swept_in_this_process(march: MemoryStore) -> None:
    class Inner(Local):
        pass

    loaded = from_instance(Inner())
    assert loaded.ref == ""
    found = run_sweep(loaded, WEEK, {"every": [2, 5]}, march)
    assert (found.engine, found.runs) == ("events", 2)


def test_a_failing_combination_is_named(march: MemoryStore) -> None:
    class Breaks(Local):
        def on_bar(self, ctx: Any, bar: Any) -> None:
            1 / (self.every - 5)

    with pytest.raises(RunError, match=r"with {'every': 5}: ZeroDivisionError"):
        run_sweep(from_instance(Breaks()), WEEK, {"every": [4, 5]}, march)


def test_quality_is_demanded_of_sweeps_as_well(march: MemoryStore, samples: Path) -> None:
    assert sweep(march, min_quality=1.0).runs == 5
    spy = spy_march(samples)
    torn = store_of(spy.take(np.arange(len(spy)) % 10 != 0))
    with pytest.raises(RunError, match=r"completeness is 90\.00%, the run demands 95\.00%"):
        sweep(torn, min_quality=0.95)


def test_sessions_without_bars_count_for_both(march: MemoryStore, samples: Path) -> None:
    spy = spy_march(samples)
    label = np.array(spy.start_ns, "M8[ns]").astype("M8[D]").astype(str)
    store = store_of(spy.take((label != "2011-03-08") & (label != "2011-03-07")))
    for row in rows(sweep(store, {"fast": [3], "slow": [9]}, end="2011-03-12")):
        assert_figures(row, "ema-cross", replace(WEEK, end="2011-03-12"), store)


def test_nothing_to_sweep_over_is_an_error(march: MemoryStore) -> None:
    for grid, message in (
        ({}, "a sweep needs values"),
        ({"fats": [1]}, "has no parameter `fats`"),
        ({"fast": ["x"]}, "fast is 'x'"),
        ({"fast": [9], "slow": [3]}, "no combination of the grid fits"),
        ({"fast": [0]}, "fast is 0"),
        ({"fast": range(1, 2000), "slow": range(1, 2000)}, "the grid has 3,996,001 runs"),
    ):
        with pytest.raises(UsageError, match=message):
            sweep(march, grid)
    with pytest.raises(UsageError, match="cannot rank by `luck`"):
        sweep(march, rank="luck")
    with pytest.raises(RunError):
        sweep(march, start="2012-01-01", end="2012-02-01")


def test_alias_names_are_swept_under_our_names(march: MemoryStore) -> None:
    found = sweep(march, {"short_window": [4], "long_window": [9, 20]}, "moving_average_crossover")
    assert found.swept == ("fast", "slow")
    assert found.table["fast"] == [4, 4]


def test_less_is_better_for_fees_and_what_cannot_be_said_comes_last(march: MemoryStore) -> None:
    found = sweep(march, rank="fees", costs=Costs(fee_minimum=1))
    assert found.table["fees"] == sorted(found.table["fees"])
    found = sweep(march, {"entry_delay": [0, 50]}, "buy-and-hold", rank="win_rate")
    assert np.isnan(found.table["win_rate"]).all()
    assert found.table["entry_delay"] == [0, 50]


def test_progress_is_told_and_a_sweep_can_be_stopped(march: MemoryStore) -> None:
    told: list[tuple[int, int, str]] = []
    sweep(march, progress=lambda *what: told.append(what))
    assert told == [(k, 5, "runs") for k in range(1, 6)]
    token = CancelToken()
    token.cancel()
    with pytest.raises(CancelledError):
        sweep(march, cancel=token)


def test_grids_are_read_from_texts() -> None:
    assert parse_grid(["a=1:3", "b=0.5:1.5:0.5", "c=x,true,2,2.5"]) == {
        "a": [1, 2, 3], "b": [0.5, 1.0, 1.5], "c": ["x", True, 2, 2.5],
    }  # fmt: skip
    for text in ("a", "a=", "=1", "a=3:1", "a=1:2:0", "a=1:2:3:4", "a=x:y", "a=1:1e9"):
        with pytest.raises(UsageError):
            parse_grid([text])
    with pytest.raises(UsageError, match="given twice"):
        parse_grid(["a=1", "a=2"])


def test_combinations_that_do_not_fit_are_left_out() -> None:
    strategy = load_strategy("ema-cross", {"short": True}).strategy
    found = combinations(strategy, {"fast": [5, 20], "slow": [10, 30]})
    assert [(c["fast"], c["slow"], c["short"]) for c in found] == [
        (5, 10, True), (5, 30, True), (20, 30, True),
    ]  # fmt: skip


def test_sweeps_over_ticks_are_refused_with_a_reason() -> None:
    from tests.backtest.test_run import quotes

    book = quotes([(1, 99.0, 101.0)])
    with pytest.raises(RunError, match="fills next_open need bars of MADE:COIN"):
        run_sweep(
            load_strategy("ema-cross", {}), RunConfig("x", (str(book.series),)), {"fast": [2]},
            store_of(book),
        )  # fmt: skip


def test_a_sweep_over_few_bars_has_no_fills() -> None:
    data = bars(flat(1, 2, 3))
    found = run_sweep(
        load_strategy("ema-cross", {}), RunConfig("x", (str(data.series),)), {"fast": [2, 3]},
        store_of(data),
    )  # fmt: skip
    assert found.table["fills"] == [0.0, 0.0]
    assert found.table["equity_end"] == [100_000.0] * 2
