"""The same pins give the same slices and the same seal, whatever the machine does meanwhile."""

import os
import random
import subprocess
import sys
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple, replace

from openbell.market.bars import Bars
from openbell.market.instrument import Pin
from openbell.market.moments import MINUTE_NS
from openbell.ports import Data, Manifest
from openbell.replay.system import System
from openbell.replay.tape import FILLED, PLACED, Entry
from openbell.stores.memory import MemoryStore
from tests.replay.playing import Stored, at, every_minute, minutes, play, quotes, stored, trades

RANGE = ("2019-06-03", "2019-06-07")
LABELS = ["2019-06-03", "2019-06-04", "2019-06-05", "2019-06-06"]
SPY = every_minute("XNYS:SPY/1m", "2019-06-03T13:30Z", "2019-06-06T20:00Z")
COIN = minutes("COINBASE:BTCUSD/1m", *range(at("2019-06-03"), at("2019-06-07"), 7 * MINUTE_NS))
FUTURE = minutes("XCME:ES/1m", *range(at("2019-06-02T22:00Z"), at("2019-06-06"), 11 * MINUTE_NS))
TICKS = quotes("XNYS:SPY/quotes", "2019-06-03T13:30Z", "2019-06-04T14:00:30Z", "2019-06-05T20:00Z")
PRINTS = trades("COINBASE:BTCUSD/trades", "2019-06-04", "2019-06-04T14:00:30Z", "2019-06-05")
ALL = stored(SPY, COIN, FUTURE, TICKS, PRINTS)
PLAN: dict[str, Any] = {"derived": ("5m", "1h", "1w"), "trailing": 1}


def story(system: System) -> list[Any]:
    """Every slice: its moment, its bars, and some of what is seen at it."""
    return [
        (s.time_ns, [s[name] for name in s], repr(s.closes), s.sessions[0].completeness)
        for s in system
    ]


def told(system: System) -> tuple[list[Any], list[str], list[str]]:
    return story(system), system.tape.labels, system.tape.digests


WHOLE = told(ALL.system(*RANGE, **PLAN))


@settings(max_examples=12)
@given(st.integers(1, 14), st.permutations(range(5)))
def test_neither_chunks_nor_the_order_of_kinds_change_anything(
    per_chunk: int, order: list[int]
) -> None:
    """Pins in any order that registers the instruments as before: SPY, then BTC, then ES."""
    pins = [ALL.pins[k] for k in order]
    first = {str(p.series.instrument): p for p in reversed(pins)}
    names = ("XNYS:SPY", "COINBASE:BTCUSD", "XCME:ES")
    ordered = [first[name] for name in names]
    ordered += [p for p in pins if p not in ordered]
    system = ALL.system(*RANGE, pins=tuple(ordered), sessions_per_chunk=per_chunk, **PLAN)
    assert told(system) == WHOLE


def test_instruments_registered_in_another_order_give_another_tape() -> None:
    system = play(ALL.system(*RANGE, pins=ALL.pins[::-1], **PLAN))
    assert system.tape.seal != WHOLE[2][-1]


class Slow:
    """A store that keeps its readers waiting, now and then, for a moment."""

    def __init__(self, inner: MemoryStore, seed: int) -> None:
        self._inner = inner
        self._random = random.Random(seed)
        self._never = threading.Event()

    def read(self, pin: Pin, start_ns: int, end_ns: int) -> Data:
        self._never.wait(self._random.choice([0.0, 0.0, 0.001, 0.01]))
        return self._inner.read(pin, start_ns, end_ns)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


@pytest.mark.parametrize("seed", range(4))
def test_no_timing_of_threads_changes_anything(seed: int) -> None:
    plan = ALL.system(*RANGE, sessions_per_chunk=1, **PLAN).plan
    system = System(Slow(ALL.store, seed), plan, {})  # type: ignore[arg-type]
    pause = random.Random(seed)
    never = threading.Event()
    found = []
    for s in system:
        bars = [s[name] for name in s]
        quality = s.sessions[0].completeness
        found.append((s.time_ns, bars, repr(s.closes), quality))
        if pause.random() < 0.01:
            never.wait(0.001)
    assert (found, system.tape.labels, system.tape.digests) == WHOLE


def test_the_hash_seed_changes_nothing() -> None:
    script = "from tests.replay.test_repeatable import WHOLE; print(WHOLE[2][-1])"
    seals = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("4242",)
    }
    assert seals == {WHOLE[2][-1]}


def digests(data: Stored, **plan: Any) -> list[str]:
    return play(data.system(*RANGE, **plan)).tape.digests


def revised(bars: Bars, moment: str, by: float) -> Bars:
    row = bars.start_ns.tolist().index(at(moment))
    close = bars.close.copy()
    close[row] += by
    return Bars(bars.series, **(bars.columns() | {"close": close}))


@pytest.mark.parametrize("day", range(4))
@pytest.mark.parametrize("per_chunk", [1, 3])
def test_a_changed_bar_changes_exactly_the_digests_from_its_session_on(
    day: int, per_chunk: int
) -> None:
    before = digests(stored(SPY))
    other = revised(SPY, f"{LABELS[day]}T13:30Z", 1e-9)
    after = digests(stored(other), sessions_per_chunk=per_chunk)
    assert [a == b for a, b in zip(before, after, strict=True)] == [k < day for k in range(4)]


def test_a_bar_left_out_changes_the_seal() -> None:
    less = SPY.take(SPY.start_ns != at("2019-06-06T19:59Z"))
    assert digests(stored(less))[:3] == digests(stored(SPY))[:3]
    assert digests(stored(less))[3] != digests(stored(SPY))[3]


def test_what_is_not_played_does_not_change_the_seal() -> None:
    regular = SPY.between(at("2019-06-03T13:30Z"), at("2019-06-03T20:00Z"))
    assert digests(stored(SPY), labels=("2019-06-03", "2019-06-04")) == digests(
        stored(regular), labels=("2019-06-03", "2019-06-04")
    )


def test_the_same_rows_under_another_version_give_the_same_seal() -> None:
    data = stored(SPY)
    wrong = data.store.write(revised(SPY, "2019-06-05T15:00Z", 0.5), Manifest("wrong")).pin
    right = data.store.write(SPY, Manifest("right again")).pin
    assert (wrong.version, right.version) == (2, 3)
    seals = [digests(Stored(data.store, (pin,)))[-1] for pin in (*data.pins, wrong, right)]
    assert seals[0] == seals[2] != seals[1]


def test_settings_are_where_the_chain_begins() -> None:
    data = stored(SPY)
    one = digests(data, settings={"cash": 1, "fee": 2})
    assert one == digests(data, settings={"fee": 2, "cash": 1})
    other = digests(data, settings={"cash": 1, "fee": 3})
    assert all(a != b for a, b in zip(one, other, strict=True))


def decided(order: list[Entry], *, per_chunk: int = 0) -> list[str]:
    """Play with the given decisions, each at the slice of its moment."""
    system = stored(SPY).system(*RANGE, sessions_per_chunk=per_chunk)
    for current in system:
        for entry in order:
            if entry.time_ns == current.time_ns:
                system.tape.decide(system.clock.cursor.slice, *astuple(entry)[1:])
    return system.tape.digests


NOON = at("2019-06-05T16:00Z")
BUY = Entry(2, NOON, PLACED, 1, 0, 10.0, 0.0, 0.0, 0.0)
FILL = Entry(2, NOON, FILLED, 1, 0, 10.0, 100.0, 1.0, 9000.0)


def test_decisions_are_in_the_digest_of_their_session_and_all_after_it() -> None:
    quiet, traded = decided([]), decided([BUY, FILL])
    assert [a == b for a, b in zip(quiet, traded, strict=True)] == [True, True, False, False]
    assert traded == decided([BUY, FILL], per_chunk=1)


def test_a_decision_stands_on_the_tape_after_all_that_was_known() -> None:
    """The same entry, made a slice later, comes after one bar more."""
    seals = set()
    for late in (0, 1):
        system = stored(SPY).system(*RANGE)
        for current in system:
            if current.time_ns == NOON + late * MINUTE_NS:
                system.tape.decide(system.clock.cursor.slice, *astuple(BUY)[1:])
        seals.add(system.tape.seal)
    assert len(seals) == 2


@pytest.mark.parametrize(
    "other",
    [
        [FILL, BUY],
        [BUY],
        [replace(BUY, size=11.0), FILL],
        [BUY, replace(FILL, price=100.01)],
        [BUY, replace(FILL, order=2)],
        [BUY, replace(FILL, more=8999.0)],
        [replace(BUY, time_ns=NOON + MINUTE_NS), replace(FILL, time_ns=NOON + MINUTE_NS)],
    ],
)
def test_another_size_price_order_or_moment_changes_the_seal(other: list[Entry]) -> None:
    one, two = decided([BUY, FILL]), decided(other)
    assert one[:2] == two[:2]
    assert one[2] != two[2]
    assert one[3] != two[3]


def test_the_tape_keeps_decisions_and_labels_in_order() -> None:
    system = stored(SPY).system(*RANGE)
    assert system.tape.seal == ""
    for current in system:
        if current.time_ns == NOON:
            assert len(system.tape.digests) == 2
            system.tape.decide(system.clock.cursor.slice, *astuple(BUY)[1:])
    assert system.tape.entries == [BUY]
    assert system.tape.labels == LABELS
    assert system.tape.seal == system.tape.digests[-1]
    assert len(set(system.tape.digests)) == 4
