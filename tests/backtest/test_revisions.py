"""Runs that fill gaps: what a strategy is told, what it may not profit from, and that it holds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import openbell as ob
from openbell.backtest.config import RunConfig
from openbell.backtest.orders import Fill
from openbell.market.bars import Bars
from openbell.market.calendars import calendar
from openbell.market.errors import UsageError
from openbell.market.instrument import Series
from openbell.market.moments import MINUTE_NS, iso
from tests.quality.reading import spy_march

SPY, OTHER = "XNYS:SPY/1m", "ARCX:SPY/1m"


class Told(ob.Strategy):
    """Writes down what it is told, and trades now and then."""

    def on_start(self, ctx: Any) -> None:
        self.told: list[tuple[str, int, int]] = []
        self.average = ctx.sma(20)

    def on_fill(self, ctx: Any, fill: Fill) -> None:
        self.told.append(("fill", ctx.now_ns, fill.time_ns))

    def on_revision(self, ctx: Any, bar: ob.Bar) -> None:
        self.told.append(("revision", ctx.now_ns, bar.start_ns))
        assert bar.start_ns in ctx.history(30, bar.instrument).start_ns

    def on_bar(self, ctx: Any, bar: ob.Bar) -> None:
        self.told.append(("bar", ctx.now_ns, bar.start_ns))
        if len(self.told) % 50 == 0:
            ctx.target(bar.instrument, float(len(self.told) % 100 == 0))
        ctx.log(f"{self.average.value:.6f} {ctx.price()}")


def days(samples: Path) -> Bars:
    """Two sessions of March 2011, regular hours."""
    spy, hours = spy_march(samples), map(calendar("XNYS").session, ("2011-03-01", "2011-03-02"))
    return Bars.joined([spy.between(session.open_ns, session.close_ns) for session in hours])


@pytest.fixture
def lake(samples: Path) -> ob.Lake:
    """Every thirteenth minute is missing; the other venue has them all."""
    whole = days(samples)
    lake = ob.open_lake(":memory:")
    lake.write(whole.take(np.arange(len(whole)) % 13 != 5))
    lake.write(whole.renamed(Series.parse(OTHER)))
    return lake


def told(lake: ob.Lake, **settings: Any) -> tuple[list[tuple[str, int, int]], Any]:
    """What a strategy is told in a run, and the run."""
    seen: list[Told] = []

    class Kept(Told):
        def on_stop(self, ctx: Any) -> None:
            seen.append(self)

    run = ob.backtest(Kept(), SPY, lake=lake, **settings)
    assert run.status == "done", run.result.error
    return seen[0].told, run


def test_a_strategy_is_told_of_revisions_after_fills_and_before_bars(lake: ob.Lake) -> None:
    events, run = told(lake, fill_from=OTHER, derived=("5m",))
    kinds = [kind for kind, _, _ in events]
    assert set(kinds) == {"fill", "revision", "bar"}
    order = {"fill": 0, "revision": 1, "bar": 2}
    keys = [(now, order[kind]) for kind, now, _ in events]
    assert keys == sorted(keys)
    late = [now - start for kind, now, start in events if kind == "revision"]
    assert min(late) == 2 * MINUTE_NS
    (line,) = [w for w in run.result.warnings if "missing when due" in w]
    assert line.startswith("XNYS:SPY/1m: 60 bars missing when due; 60 filled from")
    assert run.result.completeness == 1.0


def test_without_filling_a_run_is_what_it_was(lake: ob.Lake) -> None:
    events, run = told(lake)
    assert {kind for kind, _, _ in events} == {"fill", "bar"}
    assert "fill_from" not in run.result.config.deciding()
    assert run.result.completeness == 1.0 - 60 / 780


def test_orders_marks_and_indicators_look_at_no_revision(lake: ob.Lake) -> None:
    """The log holds an indicator and the price at every bar: both runs write the same."""

    class Quiet(Told):
        def on_revision(self, ctx: Any, bar: ob.Bar) -> None: ...

    plain = ob.backtest(Quiet(), SPY, lake=lake)
    filled = ob.backtest(Quiet(), SPY, lake=lake, fill_from=OTHER)
    assert [line.text for line in plain.result.log] == [line.text for line in filled.result.log]
    assert plain.result.fills == filled.result.fills
    assert plain.seal != filled.seal
    at_bars = np.isin(filled.result.equity.time_ns, plain.result.equity.time_ns)
    same = filled.result.equity.equity[at_bars] == plain.result.equity.equity
    assert same.all()


def test_a_filled_run_names_the_versions_it_filled_from_and_holds(lake: ob.Lake) -> None:
    run = ob.backtest("ema-cross", SPY, lake=lake, fill_from=OTHER)
    assert run.result.config.fill_from == (f"{OTHER}@1",)
    lake.write(lake.bars(OTHER).take(slice(0, 5)).renamed(Series.parse("BATS:SPY/1m")))
    check = ob.verify(run)
    assert check.is_same, check.text
    other = ob.backtest("ema-cross", SPY, lake=lake, fill_from="BATS:SPY/1m")
    assert other.id != run.id
    assert other.seal != run.seal


@pytest.mark.parametrize("wrong", [{"check_interval_s": 0}, {"retries": -1}])
def test_impossible_checks_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        RunConfig("ema-cross", (SPY,), **wrong)


def test_a_replay_fills_as_well(lake: ob.Lake) -> None:
    system = ob.replay(SPY, lake=lake, fill_from=[OTHER])
    seen = [bar for now in system for bar in now.revisions]
    assert len(seen) == 60
    assert system.upkeep[SPY].filled == {f"{OTHER}@1": 60}
    assert iso(seen[0].start_ns) == "2011-03-01T14:35:00Z"
