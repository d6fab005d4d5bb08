"""The whole engine under a seeded scheduler: any interleaving gives the same tape.

Every seed is another order in which coordinator, prefetch, followers and somebody at the keys run,
with slow reads and other speeds. Some play slices, some with gaps filled, some with streams that
come and go, some a strategy's orders. A failing seed is named, with the command that plays it
again.
"""

from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openbell.backtest.catalog import from_instance
from openbell.backtest.config import RunConfig
from openbell.backtest.result import RunResult
from openbell.backtest.run import Code, run_backtest
from openbell.backtest.strategy import Strategy
from openbell.market.bars import Bar, Bars
from openbell.market.calendars import calendar, override_hours
from openbell.market.instrument import Pin, Series
from openbell.market.moments import MINUTE_NS
from openbell.ports import Data
from openbell.replay.followers import Follower
from openbell.replay.pacing import Pace, Unit
from openbell.replay.plan import ReplayPlan
from openbell.replay.slices import Slice
from openbell.replay.system import System
from openbell.stores.memory import MemoryStore
from tests.backtest.made import spy_march
from tests.replay.playing import Stored, at, quotes, stored, trades
from tests.replay.simulation import DeadlockError, Simulation, again, parts, seeds

VARIABLE, FILE = "OPENBELL_SEEDS", "tests/replay/test_simulation.py"
FIRST, END = "2011-03-10", "2011-03-15"  # daylight time begins on the 13th
SHORT = override_hours(calendar("XNYS"), "09:30", "09:50")
NAMES = ("XNYS:SPY", "XNAS:QQQ")


@cache
def data() -> Stored:
    """Twenty real minutes of three sessions; half of them again, and some ticks."""
    whole = spy_march(Path(__file__).parents[1] / "samples")
    spy = whole.take((whole.start_ns >= at(FIRST)) & (whole.start_ns < at(END)))
    half = spy.take(np.arange(len(spy)) % 3 != 0)
    columns = {name: column for name, column in half.columns().items() if name != "series"}
    other = type(spy)(half.series.parse("XNAS:QQQ/1m"), **columns)
    moments = [f"{day}T{hour}:3{k}:30Z" for day, hour in _OPENS for k in range(1, 9)]
    return stored(
        spy, other, trades("XNYS:SPY/trades", *moments), quotes("XNAS:QQQ/quotes", *moments),
        spy.renamed(Series.parse("ARCX:QQQ/1m")),
    )  # fmt: skip


_OPENS = (("2011-03-10", "14"), ("2011-03-11", "14"), ("2011-03-14", "13"))


class Slow(MemoryStore):
    """What is stored, taking its time from a seed."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        vars(self).update(vars(data().store))

    def read(self, pin: Pin, start_ns: int, end_ns: int) -> Data:
        if self._simulation.chance.random() < 0.3:
            self._simulation.sleep(self._simulation.chance.random() * 3)
        return super().read(pin, start_ns, end_ns)


def plan(*, is_filled: bool = False) -> ReplayPlan:
    return ReplayPlan(
        data().pins[:4], at(FIRST), at(END), derived=("5m",), trailing=1, sessions_per_chunk=1,
        calendars=dict.fromkeys(NAMES, SHORT), fill=data().pins[4:] if is_filled else (),
    )  # fmt: skip


def view(one: Slice) -> tuple[Any, ...]:
    """Everything that can be seen at a slice."""
    found: list[tuple[Any, ...]] = []
    for session in one.sessions:
        for name in session:
            known = session[name]
            found.append((name, len(known.bars()), len(known.bars("5m")), known.completeness))
            past = [(label, len(bars["5m"])) for label, bars in known.historical]
            found.append((known.figures, past, known.bars_updated))
    return (*found, sorted(one))


@dataclass(frozen=True)
class Reference:
    seal: str
    views: dict[int, tuple[Any, ...]]


@cache
def reference(*, is_filled: bool = False) -> Reference:
    """What a replay shows and seals with nobody in its way."""
    system = System(data().store, plan(is_filled=is_filled), {})
    views = {one.time_ns: view(one) for one in system}
    _require_bounded(views, "XNYS:SPY")
    if is_filled:
        assert system.upkeep["XNAS:QQQ/1m"].left == 0
    else:
        _require_bounded(views, "XNAS:QQQ")
    return Reference(system.tape.seal, views)


def _require_bounded(views: dict[int, tuple[Any, ...]], name: str) -> None:
    """No bar is seen late or early: as many as end by then, of the session played."""
    store = data()
    (pin,) = (p for p in store.pins if str(p.series) == f"{name}/1m")
    bars = store.store.read(pin, at(FIRST), at(END))
    assert isinstance(bars, Bars)
    for moment, seen in views.items():
        opens = max(o for day, hour in _OPENS if (o := at(f"{day}T{hour}:30Z")) < moment)
        known = (bars.start_ns >= opens) & (bars.end_ns <= min(moment, opens + 20 * MINUTE_NS))
        shown = next(x for x in seen if x[0] == name)[1]
        assert shown == np.count_nonzero(known), (name, moment)


def play(seed: int) -> None:
    """One seed, in one of the ways a replay goes."""
    ways = (play_slices, play_slices, play_filled, play_changed, play_asked, play_run)
    with Simulation(seed) as simulation:
        ways[seed % len(ways)](simulation)


def speed(simulation: Simulation) -> float:
    return simulation.chance.choice([0.0, 60.0, 360.0, 100_000.0])


def play_slices(simulation: Simulation, *, is_filled: bool = False) -> None:
    """The slices anybody gets are those of the reference, and so is the seal."""
    chance, expected = simulation.chance, reference(is_filled=is_filled)
    pace = Pace(speed(simulation), simulation) if chance.random() < 0.9 else None
    chosen = replace(plan(is_filled=is_filled), prefetch=chance.randrange(3))
    system = System(Slow(simulation), chosen, {}, pace=pace, scheduler=simulation)
    followers = [system.follow(f"f{k}", capacity=3) for k in range(chance.randrange(3))]
    seen: list[list[int]] = [[] for _ in followers]
    others = [
        simulation.start(follower.name, partial(_take, follower, into, simulation))
        for follower, into in zip(followers, seen, strict=True)
    ]
    is_alone = pace is None or chance.random() < 0.3
    if pace is not None and not is_alone:
        others.append(simulation.start("person", partial(_meddle, pace, simulation)))
    mine: list[int] = []
    for one in system:
        assert view(one) == expected.views[one.time_ns], one.time
        if pace is not None and is_alone:
            assert pace.due_ns(one.time_ns) <= simulation.now_ns(), "early"
        if is_alone and (pace is None or not pace.speed):
            assert all(len(times) >= len(mine) for times in seen), "left behind"
        mine.append(one.time_ns)
    for other in others:
        other.join()
    assert system.tape.seal == expected.seal
    assert all(times == mine for times in seen)


def play_filled(simulation: Simulation) -> None:
    """As `play_slices`, with the gaps of one instrument filled."""
    play_slices(simulation, is_filled=True)


# What changes at which slice: at the first morning, at a close, and in the last session.
CHANGES = {
    at("2011-03-10T14:35Z"): ("register", 2),
    at("2011-03-11T14:50Z"): ("register", 3),
    at("2011-03-14T13:40Z"): ("cancel", 1),
}


def change(system: System, what: str, which: int) -> None:
    pin = data().pins[which]
    if what == "register":
        system.register(pin)
    else:
        system.cancel(pin.series)


def changed(system: System) -> tuple[str, dict[int, tuple[Any, ...]]]:
    """The seal and what is shown when streams come and go at fixed moments."""
    views = {}
    for one in system:
        assert one.time_ns not in views
        views[one.time_ns] = view(one)
        if one.time_ns in CHANGES:
            change(system, *CHANGES[one.time_ns])
    return system.tape.seal, views


def few() -> ReplayPlan:
    return replace(plan(), pins=data().pins[:2])


@cache
def reference_changed() -> tuple[str, dict[int, tuple[Any, ...]]]:
    whole = replace(few(), sessions_per_chunk=4)
    return changed(System(data().store, whole, {}, pace=Pace()))


def play_changed(simulation: Simulation) -> None:
    """Streams that come and go at fixed moments give one tape."""
    pace = Pace(speed(simulation), simulation)
    person = simulation.start("person", partial(_meddle, pace, simulation, seeks=False))
    system = System(Slow(simulation), few(), {}, pace=pace, scheduler=simulation)
    assert changed(system) == reference_changed()
    person.join()


def play_asked(simulation: Simulation) -> None:
    """Whenever another asks for other streams, those that stay lose no slice."""
    pace = Pace(speed(simulation), simulation)
    system = System(Slow(simulation), few(), {}, pace=pace, scheduler=simulation)

    def ask() -> None:
        for what, which in CHANGES.values():
            simulation.sleep(simulation.chance.random() * 10)
            change(system, what, which)

    others = [
        simulation.start("person", partial(_meddle, pace, simulation, seeks=False)),
        simulation.start("another", ask),
    ]
    bars = [one["XNYS:SPY"].start_ns for one in system if "XNYS:SPY" in one]
    for other in others:
        other.join()
    (played,) = (v for k, v in system.counts.items() if k == "XNYS:SPY/1m")
    assert len(set(bars)) == len(bars) == played.played == 60
    assert [m.present for m in system.coordinator.measured if m.instrument == NAMES[0]] == [20] * 3


class Trader(Strategy):
    """Orders of all kinds at bars, opens, closes and fills, with chance and memory."""

    def on_start(self, ctx: Any) -> None:
        self.mean = ctx.ema(3, "XNYS:SPY", kind="5m")
        self.days: list[str] = []

    def on_session_open(self, ctx: Any, session: Any) -> None:
        self.days.append(session.label)
        ctx.buy(10, instrument="XNYS:SPY")

    def on_session_close(self, ctx: Any, session: Any) -> None:
        ctx.target("XNAS:QQQ", 0.0)
        ctx.log(" ".join(self.days))

    def on_bar(self, ctx: Any, bar: Bar) -> None:
        if ctx.random.random() < 0.2:
            ctx.target(bar.instrument, ctx.random.randrange(-3, 4) / 10)
        elif self.mean.ready and bar.close > self.mean.value and len(ctx.orders) < 3:
            ctx.buy(5, instrument=bar.instrument, limit=bar.low)

    def on_fill(self, ctx: Any, fill: Any) -> None:
        ctx.log(f"{fill.price} {ctx.cash}")


def run(store: MemoryStore, **how: Any) -> RunResult:
    spy, qqq = (str(pin.series) for pin in data().pins[:2])
    config = RunConfig(
        "run", (spy, qqq), start=FIRST, end=END, derived=("5m",), trailing=1, seed=3,
        session_start="09:30", session_end="09:50", close_at_end=True, fill_from=("ARCX:QQQ/1m",),
    )  # fmt: skip
    return run_backtest(Trader(), config, store, code(), sessions_per_chunk=1, **how)


@cache
def code() -> Code:
    return from_instance(Trader()).code


@cache
def reference_run() -> RunResult:
    found = run(data().store)
    assert found.status == "done", found.error
    assert len(found.fills) > 20
    return found


def play_run(simulation: Simulation) -> None:
    """A run's orders, fills and words are the same."""
    pace = Pace(speed(simulation), simulation)
    person = simulation.start("person", partial(_meddle, pace, simulation))
    played, expected = run(Slow(simulation), pace=pace, scheduler=simulation), reference_run()
    person.join()
    assert played.seal == expected.seal
    assert (played.orders, played.fills) == (expected.orders, expected.fills)
    assert (played.log, played.warnings) == (expected.log, expected.warnings)
    assert played.equity.equity.tolist() == expected.equity.equity.tolist()


def _take(follower: Follower, into: list[int], simulation: Simulation) -> None:
    for one in follower:
        if simulation.chance.random() < 0.1:
            simulation.sleep(simulation.chance.random())
        into.append(one.time_ns)


def _meddle(pace: Pace, simulation: Simulation, *, seeks: bool = True) -> None:
    """Somebody at the keys."""
    chance = simulation.chance
    moments = [*reference().views, at("2011-03-09"), at("2011-03-11T03:00Z")]
    units: list[Unit] = ["slice", "bar", "session"]
    for _ in range(chance.randrange(12)):
        simulation.sleep(chance.random() * 5)
        act = chance.randrange(5 if seeks else 4)
        if act == 0:
            pace.pause()
        elif act == 1:
            pace.resume()
        elif act == 2:
            pace.step(chance.choice(units))
        elif act == 3:
            pace.speed = chance.choice([60.0, 1000.0, 0.0])
        else:
            pace.seek(chance.choice(moments))
    pace.speed = 0.0
    pace.resume()


@pytest.mark.parametrize("part", parts(seeds(VARIABLE)), ids=str)
def test_any_interleaving_gives_the_same_views_and_the_same_seal(part: range) -> None:
    for seed in part:
        with again(seed, VARIABLE, FILE):
            play(seed)


def test_the_same_seed_is_the_same_run() -> None:
    def switches(seed: int) -> int:
        with Simulation(seed) as simulation:
            system = System(Slow(simulation), plan(), {}, scheduler=simulation)
            list(system)
        return simulation.switches

    assert switches(7) == switches(7)
    assert len({switches(seed) for seed in range(5)}) > 1


def test_a_dead_lock_is_found_and_named() -> None:
    simulation = Simulation(3)
    with simulation.monitor() as monitor, pytest.raises(DeadlockError, match="seed 3: main wait"):
        monitor.wait()
