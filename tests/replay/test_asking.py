"""Missing bars of a live run: found at their time, asked for in runs, and not for ever."""

from typing import Any

import pytest

from openbell.market.arrivals import NO_SERIES, PASSED, Arrival
from openbell.market.instrument import Series
from openbell.market.moments import MINUTE_NS, SECOND_NS
from openbell.replay.intake import Played
from openbell.replay.live import live_plan, live_supply, rules_of
from openbell.replay.system import System
from openbell.stores.memory import MemoryStore
from tests.replay.living import OPEN_NS, SPY, half_hours, header, minute, recorded
from tests.replay.playing import play

BEFORE_NS = OPEN_NS - 10 * SECOND_NS


def ticking(until_s: int, every_s: int = 1) -> list[Arrival]:
    """Time passes, and is seen to pass."""
    return [
        Arrival(NO_SERIES, PASSED, 0, BEFORE_NS + n * every_s * SECOND_NS)
        for n in range(until_s // every_s)
    ]


class Asked:
    """Notes what is asked for: the first minute, and how many."""

    def __init__(self) -> None:
        self.runs: list[tuple[int, int]] = []

    def __call__(self, series: Series, start_ns: int, end_ns: int) -> None:
        assert series == SPY
        assert (start_ns - OPEN_NS) % MINUTE_NS == (end_ns - OPEN_NS) % MINUTE_NS == 0
        self.runs.append(((start_ns - OPEN_NS) // MINUTE_NS, (end_ns - start_ns) // MINUTE_NS))


def asked(*arrivals: Arrival, start: int = BEFORE_NS, **rules: Any) -> list[tuple[int, int]]:
    """What is asked for while these arrive; checks are made as soon as something does."""
    kept = recorded(header(SPY, start=start, **rules), *arrivals)
    found = Asked()
    plan = live_plan(kept.header, calendars=half_hours(SPY))
    supply = live_supply(lambda: OneByOne(kept), rules_of(kept.header), found)
    play(System(MemoryStore(lambda: 0), plan, {}, supply=supply))
    return found.runs


class OneByOne(Played):
    """A recording played as it came: one instant after the other."""

    def take(self, due_ns: int) -> list[Arrival]:
        found: list[Arrival] = []
        while self._next is not None and not (
            found and self._next.receipt_ns > found[-1].receipt_ns
        ):
            found.append(self._next)
            self._next = next(self._arrivals, None)
        return found


def test_nothing_is_asked_for_while_nothing_is_missing() -> None:
    bars = [minute(n) for n in range(10)]
    assert asked(*bars, *ticking(600)) == []


def test_a_run_of_missing_bars_is_asked_for_at_once() -> None:
    bars = [minute(n) for n in range(9) if n not in (2, 3, 4, 6)]
    assert asked(*bars, *ticking(560), ask_s=500)[0:2] == [(2, 3), (6, 1)]


def test_a_bar_is_not_missing_before_the_grace_is_over() -> None:
    assert asked(*ticking(10 + 60 + 4), ask_s=1, grace_s=5) == []
    assert asked(*ticking(10 + 60 + 7), ask_s=1, grace_s=5) == [(0, 1)] * 2


@pytest.mark.parametrize("retries", [0, 3])
def test_each_is_asked_for_a_number_of_times(retries: int) -> None:
    bars = [minute(n) for n in range(1, 20)]
    assert asked(*bars, *ticking(1200), retries=retries) == [(0, 1)] * (retries + 1)


def test_what_has_come_is_not_asked_for_again() -> None:
    bars = [*(minute(n) for n in range(1, 20)), minute(0, after_s=150)]
    assert len(asked(*bars, *ticking(1200))) == 2


def test_a_run_that_begins_in_the_middle_asks_for_what_was_before() -> None:
    begin_ns = OPEN_NS + 10 * MINUTE_NS
    later = [each for each in ticking(700) if each.receipt_ns > begin_ns]
    assert asked(*later, start=begin_ns)[0] == (0, 9)


def test_a_missing_closing_bar_is_asked_for_before_the_session_closes() -> None:
    bars = [minute(n) for n in range(29)]
    assert asked(*bars, *ticking(1900), ask_s=1700) == [(29, 1)]
