"""The whole engine under a seeded scheduler: any interleaving gives the same tape.

Every seed is another order in which coordinator, prefetch, followers and somebody at the keys run,
with slow reads and other speeds. A failing seed is named, and fails again:
``OPENBELL_SEEDS=1234:1235 pytest tests/replay/test_simulation.py``.
"""

import os
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openbell.market.bars import Bars
from openbell.market.calendars import calendar, override_hours
from openbell.market.instrument import Pin
from openbell.market.moments import MINUTE_NS
from openbell.ports import Data
from openbell.replay.followers import Follower
from openbell.replay.pacing import Pace, Unit
from openbell.replay.plan import ReplayPlan
from openbell.replay.slices import Slice
from openbell.replay.system import System
from tests.backtest.made import spy_march
from tests.replay.playing import Stored, at, quotes, stored, trades
from tests.replay.simulation import DeadlockError, Simulation

FIRST, END = "2011-03-10", "2011-03-15"  # daylight time begins on the 13th
SHORT = override_hours(calendar("XNYS"), "09:30", "09:50")
NAMES = ("XNYS:SPY", "XNAS:QQQ")


def seeds() -> range:
    """Those of a test run, or those asked for: ``2000`` or ``first:end``."""
    first, _, end = os.environ.get("OPENBELL_SEEDS", "2000").rpartition(":")
    return range(int(first or 0), int(end))


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
        spy, other, trades("XNYS:SPY/trades", *moments), quotes("XNAS:QQQ/quotes", *moments)
    )


_OPENS = (("2011-03-10", "14"), ("2011-03-11", "14"), ("2011-03-14", "13"))


class Slow:
    """A store that takes its time, from a seed."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def read(self, pin: Pin, start_ns: int, end_ns: int) -> Data:
        if self._simulation.chance.random() < 0.3:
            self._simulation.sleep(self._simulation.chance.random() * 3)
        return data().store.read(pin, start_ns, end_ns)


def plan() -> ReplayPlan:
    return ReplayPlan(
        data().pins, at(FIRST), at(END), derived=("5m",), trailing=1, sessions_per_chunk=1,
        calendars=dict.fromkeys(NAMES, SHORT),
    )  # fmt: skip


def view(one: Slice) -> tuple[Any, ...]:
    """Everything that can be seen at a slice."""
    found: list[tuple[Any, ...]] = []
    for session in one.sessions:
        for name in session:
            known = session[name]
            found.append((name, len(known.bars()), len(known.bars("5m")), known.completeness))
            found.append((known.figures, len(known.historical), known.bars_updated))
    return (*found, sorted(one))


@dataclass(frozen=True)
class Reference:
    seal: str
    views: dict[int, tuple[Any, ...]]


@cache
def reference() -> Reference:
    """What a replay shows and seals with nobody in its way."""
    system = System(data().store, plan(), {})
    views = {one.time_ns: view(one) for one in system}
    for name in NAMES:
        _require_bounded(views, name)
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
    """One seed: the slices anybody gets are those of the reference, and so is the seal."""
    with Simulation(seed) as simulation:
        chance = simulation.chance
        speed = chance.choice([0.0, 60.0, 360.0, 100_000.0])
        pace = Pace(speed, simulation) if chance.random() < 0.9 else None
        store: Any = Slow(simulation)
        chosen = replace(plan(), prefetch=chance.randrange(3))
        system = System(store, chosen, {}, pace=pace, scheduler=simulation)
        followers = [system.follow(f"f{k}", capacity=3) for k in range(chance.randrange(3))]
        seen: list[list[int]] = [[] for _ in followers]
        others = [
            simulation.start(follower.name, partial(_take, follower, into, simulation))
            for follower, into in zip(followers, seen, strict=True)
        ]
        is_alone = pace is None or chance.random() < 0.3
        if pace is not None and not is_alone:
            others.append(simulation.start("person", partial(_meddle, pace, simulation)))
        mine = []
        for one in system:
            assert view(one) == reference().views[one.time_ns], f"seed {seed} at {one.time}"
            if pace is not None and is_alone:
                assert pace.due_ns(one.time_ns) <= simulation.now_ns(), f"seed {seed}: early"
            mine.append(one.time_ns)
        for other in others:
            other.join()
        assert system.tape.seal == reference().seal, f"seed {seed}"
        assert all(times == mine for times in seen), f"seed {seed}"


def _take(follower: Follower, into: list[int], simulation: Simulation) -> None:
    for one in follower:
        if simulation.chance.random() < 0.1:
            simulation.sleep(simulation.chance.random())
        into.append(one.time_ns)


def _meddle(pace: Pace, simulation: Simulation) -> None:
    """Somebody at the keys."""
    chance = simulation.chance
    moments = sorted(reference().views)
    units: list[Unit] = ["slice", "bar", "session"]
    for _ in range(chance.randrange(12)):
        simulation.sleep(chance.random() * 5)
        act = chance.randrange(5)
        if act == 0:
            pace.pause()
        elif act == 1:
            pace.resume()
        elif act == 2:
            pace.step(chance.choice(units))
        elif act == 3:
            pace.seek(chance.choice(moments))
        else:
            pace.speed = chance.choice([60.0, 1000.0, 0.0])
    pace.speed = 0.0
    pace.resume()


def blocks(count: int) -> list[range]:
    """The seeds in parts, so that tests of several may run beside each other."""
    whole = seeds()
    size = -(-len(whole) // count)
    return [whole[k : k + size] for k in range(0, len(whole), size)]


@pytest.mark.parametrize("part", blocks(8), ids=lambda part: f"{part.start}-{part.stop}")
def test_any_interleaving_gives_the_same_views_and_the_same_seal(part: range) -> None:
    for seed in part:
        play(seed)


def test_the_same_seed_is_the_same_run() -> None:
    def switches(seed: int) -> int:
        with Simulation(seed) as simulation:
            store: Any = Slow(simulation)
            system = System(store, plan(), {}, scheduler=simulation)
            list(system)
        return simulation.switches

    assert switches(7) == switches(7)
    assert len({switches(seed) for seed in range(5)}) > 1


def test_a_dead_lock_is_found_and_named() -> None:
    simulation = Simulation(3)
    with simulation.monitor() as monitor, pytest.raises(DeadlockError, match="seed 3: main wait"):
        monitor.wait()
