"""A run that is paced, paused, stepped or sought is the run that was not."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openbell.backtest.catalog import from_instance
from openbell.backtest.result import RunResult
from openbell.backtest.run import run_backtest
from openbell.backtest.strategies.crossover import EmaCross
from openbell.backtest.strategy import Strategy
from openbell.backtest.verify import compare_runs
from openbell.market.bars import Bar, Bars
from openbell.market.instrument import Series
from openbell.market.moments import MINUTE_NS, iso, parse_moment
from openbell.market.progress import CancelToken
from openbell.replay.pacing import Pace, Unit
from tests.backtest.made import config_for, spy_march, store_of
from tests.replay.jumps import Jumps
from tests.replay.playing import every_minute


class Mixed(Strategy):
    """Two averages, limit orders, random sizes and a memory of its own."""

    def on_start(self, ctx: Any) -> None:
        self.fast, self.slow = ctx.ema(9), ctx.ema(26)
        self.seen: list[float] = []
        self.filled = 0

    def on_bar(self, ctx: Any, bar: Bar) -> None:
        self.seen = [*self.seen[-20:], bar.close]
        if not self.slow.ready or ctx.orders:
            return
        if self.fast.value > self.slow.value and ctx.position() <= 0:
            ctx.buy(ctx.random.randint(1, 9) * 10, limit=min(self.seen[-5:]))
        elif self.fast.value < self.slow.value and ctx.position() >= 0:
            ctx.sell(ctx.random.randint(1, 9) * 10, stop=bar.low)

    def on_fill(self, ctx: Any, fill: Any) -> None:
        self.filled += 1
        ctx.log(f"{self.filled}: {fill.price}")


class Uncopied(Mixed):
    """Holds what no copy can be made of."""

    def on_start(self, ctx: Any) -> None:
        super().on_start(ctx)
        self.endless = iter(int, 1).__next__
        self.lines = (line for line in "ab")


class Busy(Mixed):
    """Acts at opens, closes and fills, counts in 5m bars, and looks back over days."""

    def on_start(self, ctx: Any) -> None:
        super().on_start(ctx)
        self.wide = ctx.ema(3, kind="5m")
        self.opened: list[str] = []

    def on_session_open(self, ctx: Any, session: Any) -> None:
        self.opened.append(session.label)
        ctx.buy(10 * len(self.opened), tag="open")

    def on_session_close(self, ctx: Any, session: Any) -> None:
        before = [label for label, _ in ctx.data().historical]
        assert [label for label in before if label in self.opened] == self.opened[:-1][-2:]
        ctx.log(f"{before} {self.wide.value if self.wide.ready else 0.0} {ctx.data().figures}")
        if ctx.position() > 0:
            ctx.sell(ctx.position(), tag="close")

    def on_revision(self, ctx: Any, bar: Bar) -> None:
        ctx.log(f"{bar.start_ns} {bar.close}")


class Enclosed(Mixed):
    """Its rule is a closure over itself, which no copy follows."""

    def on_start(self, ctx: Any) -> None:
        super().on_start(ctx)
        self.rule: Callable[[], int] = lambda: self.filled % 3

    def on_bar(self, ctx: Any, bar: Bar) -> None:
        if self.rule() != 2 or bar.close > bar.open:
            super().on_bar(ctx, bar)


@pytest.fixture(scope="module")
def spy(samples: Path) -> Bars:
    return spy_march(samples)


def run(strategy: Strategy, spy: Bars, pace: Pace | None, **changes: Any) -> RunResult:
    config = config_for(spy, seed=5, **changes)
    code = from_instance(strategy).code
    return run_backtest(strategy, config, store_of(spy), code, pace=pace, sessions_per_chunk=4)


def require_same(a: RunResult, b: RunResult) -> None:
    assert compare_runs(a, b).is_same
    assert (a.seal, a.orders, a.fills, a.entries) == (b.seal, b.orders, b.fills, b.entries)
    assert a.equity.equity.tolist() == b.equity.equity.tolist()
    assert a.equity.closes.tolist() == b.equity.closes.tolist()
    assert (a.bars, a.exposure, a.completeness) == (b.bars, b.exposure, b.completeness)


class Hand:
    """Somebody who plays with a replay's pace, from a seed, while it waits."""

    def __init__(self, seed: int, spy: Bars, real: Jumps, pace: Pace, acts: int) -> None:
        self.chance = random.Random(seed)
        self.span = (int(spy.start_ns[0]), int(spy.end_ns[-len(spy) // 6]))
        self.pace = pace
        self.left = acts
        real.at_wait = [self.act] * acts
        self.real = real

    def act(self) -> None:
        """Change something; the last time, let it go to the end."""
        self.left -= 1
        if not self.left:
            self.pace.resume()
            self.pace.speed = 0
            return
        units: list[Unit] = ["slice", "bar", "session"]
        acts: list[Callable[[], None]] = [
            self.pace.pause,
            self.pace.resume,
            lambda: self.pace.step(self.chance.choice(units)),
            lambda: self.pace.seek(self.chance.randrange(*self.span, MINUTE_NS)),
            lambda: setattr(self.pace, "speed", self.chance.choice([60.0, 360.0, 5000.0])),
        ]
        self.chance.choice(acts)()


@pytest.mark.parametrize("strategy", [EmaCross(fast=12, slow=26), Mixed()])
@pytest.mark.parametrize("speed", [0.0, 60.0, 360.0])
def test_a_paced_run_is_the_run_at_full_speed(strategy: Strategy, speed: float, spy: Bars) -> None:
    require_same(run(strategy, spy, None), run(strategy, spy, Pace(speed, Jumps())))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("strategy", [EmaCross(fast=12, slow=26), Mixed(), Uncopied()])
def test_pauses_steps_and_seeks_change_no_order_and_no_fill(
    strategy: Strategy, seed: int, spy: Bars
) -> None:
    real = Jumps()
    pace = Pace(60, real)
    hand = Hand(seed, spy, real, pace, acts=40)
    played = run(strategy, spy, pace)
    assert hand.left < 40  # it may seek to the end
    require_same(run(strategy, spy, None), played)


def test_going_back_with_a_strategy_that_cannot_be_copied_is_said(spy: Bars) -> None:
    real = Jumps()
    pace = Pace(60, real)
    real.at_wait = [
        lambda: pace.seek(int(spy.end_ns[9000])),
        lambda: pace.seek(int(spy.end_ns[200])),
        lambda: setattr(pace, "speed", 0),
    ]
    played = run(Uncopied(), spy, pace)
    assert "went back to the start: this strategy cannot be copied" in [x.text for x in played.log]
    require_same(run(Uncopied(), spy, None), played)


def test_a_run_from_the_middle_of_a_session_begins_with_a_warm_strategy(spy: Bars) -> None:
    half = run(Mixed(), spy, None, start="2011-03-14T15:00Z", end="2011-03-15")
    assert half.completeness == 1.0
    assert min(order.time_ns for order in half.orders) >= int(spy.start_ns[0])
    first = min(order.time_ns for order in half.orders)
    assert first > 1_300_114_800 * 10**9  # 2011-03-14T15:00Z: nothing was decided before
    assert first < 1_300_114_800 * 10**9 + 26 * MINUTE_NS  # its averages knew the morning


@pytest.mark.parametrize("seed", range(4))
def test_going_back_restores_fillings_derived_bars_and_trailing_history(
    seed: int, spy: Bars
) -> None:
    holes = spy.take(np.arange(len(spy)) % 11 != 4)
    store = store_of(holes, spy.renamed(Series.parse("ARCX:SPY/1m")))
    settings: dict[str, Any] = {
        "seed": 5, "derived": ("5m",), "trailing": 2, "close_at_end": True,
        "fill_from": ("ARCX:SPY/1m",),
    }  # fmt: skip

    def play(pace: Pace | None) -> RunResult:
        config = config_for(holes, **settings)
        code = from_instance(Busy()).code
        return run_backtest(Busy(), config, store, code, pace=pace, sessions_per_chunk=3)

    real = Jumps()
    pace = Pace(60, real)
    Hand(seed, spy, real, pace, acts=40)
    plain, moved = play(None), play(pace)
    assert any("filled" in warning for warning in plain.warnings)
    require_same(plain, moved)
    assert [x.text for x in plain.log] == [x.text for x in moved.log]
    assert plain.warnings == moved.warnings


@pytest.mark.parametrize("seed", range(3))
def test_a_strategy_that_holds_a_closure_is_not_copied(seed: int, spy: Bars) -> None:
    real = Jumps()
    pace = Pace(60, real)
    Hand(seed, spy, real, pace, acts=40)
    require_same(run(Enclosed(), spy, None), run(Enclosed(), spy, pace))


class Breaking(Mixed):
    """Raises at its thousandth bar."""

    def on_start(self, ctx: Any) -> None:
        super().on_start(ctx)
        self.count = 0

    def on_bar(self, ctx: Any, bar: Bar) -> None:
        super().on_bar(ctx, bar)
        self.count += 1
        if self.count == 1000:
            raise ValueError("a thousand")


def test_a_strategy_that_raises_while_paced_fails_as_at_full_speed(spy: Bars) -> None:
    pace = Pace(60, real := Jumps())
    real.at_wait = [
        lambda: pace.seek(int(spy.end_ns[900])),
        lambda: pace.seek(int(spy.end_ns[300])),
        lambda: setattr(pace, "speed", 0),
    ]
    plain, moved = run(Breaking(), spy, None), run(Breaking(), spy, pace)
    assert plain.status == moved.status == "failed"
    assert plain.error == moved.error
    assert "a thousand" in plain.error
    require_same(plain, moved)


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("per_chunk", [1, 4])
@pytest.mark.parametrize("how", ["keys", "token", "stop"])
@pytest.mark.parametrize("moment", ["2011-03-01T18:00Z", "2011-03-02T18:00Z"])
def test_a_run_stopped_while_it_waits_keeps_what_it_had(
    per_chunk: int, how: str, moment: str, spy: Bars
) -> None:
    real = Jumps()
    pace, cancel = Pace(60, real), CancelToken()
    acts = {"keys": interrupt, "token": cancel.cancel, "stop": pace.stop}
    end_ns = parse_moment(moment)
    real.at_wait = [lambda: pace.seek(end_ns), pace.pause, acts[how]]
    config, code = config_for(spy, seed=5), from_instance(Mixed()).code
    stopped = run_backtest(
        Mixed(), config, store_of(spy), code, pace=pace, cancel=cancel, sessions_per_chunk=per_chunk
    )
    assert stopped.status == "interrupted"
    plain = run(Mixed(), spy, None)
    assert stopped.orders == plain.orders[: len(stopped.orders)]
    assert len(stopped.orders) == sum(order.time_ns <= end_ns for order in plain.orders)
    known = np.searchsorted(plain.equity.time_ns, end_ns, "right")
    assert stopped.equity.equity.tolist() == plain.equity.equity[:known].tolist()
    assert iso(int(stopped.equity.time_ns[-1])) in stopped.error


def test_a_run_stopped_in_the_night_ends_with_its_last_session(spy: Bars) -> None:
    real = Jumps()
    pace = Pace(60, real, close_grace_s=3600)
    close_ns = parse_moment("2011-03-01T21:00Z")
    real.at_wait = [lambda: pace.seek(close_ns + MINUTE_NS), lambda: None, pace.stop]
    stopped = run(Mixed(), spy, pace)
    assert [line.label for line in stopped.sessions] == ["2011-03-01"]
    assert stopped.error == "stopped at 2011-03-01T21:00:00Z"


class Diary(Strategy):
    """Writes down all it is told, and trades at opens and closes."""

    def on_session_open(self, ctx: Any, session: Any) -> None:
        ctx.log(f"open {session.label} {session.open_ns} {ctx.cash}")
        ctx.buy(1, instrument="XNYS:SPY")

    def on_session_close(self, ctx: Any, session: Any) -> None:
        ctx.log(f"close {session.label} {session.close_ns} {ctx.position('XNYS:SPY')}")
        ctx.target("COINBASE:BTCUSD", 0.1 if ctx.position("COINBASE:BTCUSD") == 0 else 0.0)

    def on_bar(self, ctx: Any, bar: Bar) -> None:
        if bar.start_ns % (30 * MINUTE_NS) == 0:
            ctx.log(f"{bar.instrument} {bar.close}")


@pytest.mark.parametrize("start", ["2019-06-03", "2019-06-03T15:00Z"])
@pytest.mark.parametrize("seed", range(3))
def test_a_run_on_two_calendars_is_the_same_however_it_is_moved(start: str, seed: int) -> None:
    days = ("2019-06-03", "2019-06-04")
    stocks = [every_minute("XNYS:SPY/1m", f"{day}T13:30Z", f"{day}T20:00Z") for day in days]
    data = (Bars.joined(stocks), every_minute("COINBASE:BTCUSD/1m", days[0], "2019-06-05", 90.0))
    config = config_for(*data, start=start, end="2019-06-05T00:00Z", close_at_end=True)

    def play(pace: Pace | None) -> RunResult:
        code = from_instance(Diary()).code
        return run_backtest(Diary(), config, store_of(*data), code, pace=pace, sessions_per_chunk=1)

    real = Jumps()
    pace = Pace(360, real)
    Hand(seed, data[1], real, pace, acts=40)
    plain, moved = play(None), play(pace)
    assert plain.status == "done", plain.error
    require_same(plain, moved)
    assert plain.log == moved.log
