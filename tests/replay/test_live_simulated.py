"""Live sessions with faults, each from a seed: what was recorded replays to the same seal.

Real minutes of SPY, trades of gold and quotes of EURUSD are pushed by threads of a simulation,
which decides who runs next; so nothing waits, and a seed that fails fails again. Most seeds play
some minutes in one of many ways; every tenth half an hour of all three. What must have been seen
is found naively (`naive.py`). A failing seed is named, with the command that plays it again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest

from openbell.market.arrivals import (
    ASKED,
    CANCELLED,
    FAILED,
    PASSED,
    RECORD_BYTES,
    REGISTERED,
    STOPPED,
)
from openbell.market.bars import Bar
from openbell.market.calendars import Calendar, SessionTable
from openbell.market.columns import Ints
from openbell.market.instrument import Series
from openbell.market.moments import DAY_NS, MINUTE_NS, SECOND_NS
from openbell.replay.asking import Asker
from openbell.replay.followers import Follower
from openbell.replay.intake import Intake
from openbell.replay.live import live_plan, live_supply, rules_of
from openbell.replay.slices import Slice
from openbell.replay.system import System
from openbell.stores.memory import MemoryStore
from tests.replay.living import CLOSE_NS, OPEN_NS, Kept, half_hours, header, replayed
from tests.replay.naive import Expected, require_as_expected
from tests.replay.naive_asking import require_asked
from tests.replay.playing import blocks
from tests.replay.simulation import PART, Simulation, again, parts, seeds
from tests.replay.venues import EURO, GOLD, ROUGH, SPY, Books, Odds, Venue, items

VARIABLE, FILE = "OPENBELL_LIVE_SEEDS", "tests/replay/test_live_simulated.py"
FAULTS = {
    "late", "corrupt", "future", "repeated", "out_of_order", "stale", "unregistered", "off_hours",
    "waiting", "disconnected", "silent", "failed",
}  # fmt: skip
OTHERS = (ASKED, REGISTERED, CANCELLED, FAILED, PASSED, STOPPED)  # not pushed by a venue
JITTER_NS = SECOND_NS  # the most that may pass until who is not held up has seen a slice


@cache
def sittings(*minutes: tuple[float, float]) -> Calendar:
    """Sessions on a morning: when each begins and ends, in minutes after ten."""
    opens, closes = (OPEN_NS + np.array(minutes) * MINUTE_NS).astype(np.int64).T
    day = OPEN_NS // DAY_NS + np.arange(len(minutes))
    none = np.empty(0, np.int64)
    table = SessionTable(
        "sittings", day, opens, closes, opens, closes, day < 0, none.reshape(0, 2), none
    )
    return Calendar("sittings", "UTC", "1", table)


class Scene(NamedTuple):
    """What is played in a seed, and how."""

    series: tuple[Series, ...]
    calendars: Mapping[str, Calendar]
    derived: tuple[str, ...]
    end_ns: int
    odds: Odds
    share: float  # of the items there are
    rules: Mapping[str, Any]
    prefetch: int = 1
    followers: int = 0
    is_hurried: bool = True  # or the consumer takes its time
    leaves_after: int = 10_000  # slices


LONG = Scene(
    (SPY, GOLD, EURO), half_hours(SPY), ("5m", "15m"), CLOSE_NS + 5 * MINUTE_NS, Odds(), 1.0,
    {"stale_s": 20},
)  # fmt: skip


def short(chance: Random) -> Scene:
    """Some minutes."""
    series = chance.choice([(SPY, GOLD, EURO), (SPY, GOLD), (EURO, SPY), (GOLD, EURO), (SPY,)])
    where = chance.choice([
        sittings((0, 9)),
        sittings((0, 6.5), (7, 10)),
        sittings((0, 4), (4, 8), (9, 11)),
        sittings((-5, 3), (3, 9)),
    ])  # fmt: skip
    of = chance.choice([series, [s for s in series if s == SPY]])
    return Scene(
        series,
        {str(s.instrument): where for s in of},
        chance.choice([("5m",), ("3m", "5m"), ()]),
        OPEN_NS + 12 * MINUTE_NS,
        ROUGH,
        chance.choice([0.5, 0.9]),
        {
            "stale_s": 10,
            "close_grace_s": chance.choice([20, 60]),
            "ask_s": 30,
            "retries": 1,
            "skew_s": chance.choice([1, 3]),
            "grace_s": chance.choice([0, 5, 15]),
        },
        prefetch=chance.randrange(3),
        followers=chance.choice([0, 0, 1]),
        is_hurried=chance.random() < 0.8,
        leaves_after=chance.choice([10_000] * 9 + [chance.randrange(1, 20)]),
    )


class Seen(NamedTuple):
    """What is seen of everything at a slice; or that a session opened or closed, and why."""

    time_ns: int
    bars: Sequence[Bar] = ()
    shown: str = ""  # of each instrument: how many bars, figures, completeness
    closes: str = ""
    revisions: Sequence[Bar] = ()
    roll: tuple[Any, ...] = ()


def seen(system: System, words: list[Ints] | None = None) -> Iterator[Seen]:
    """All that is seen of a run, and what its tape holds."""
    chunk = None
    with system:
        for step in system.steps():
            if system.coordinator.chunk is not chunk:
                chunk = system.coordinator.chunk
                if words is not None:
                    words.append(np.frombuffer(chunk.records, np.int64).reshape(-1, 8))
            if step.played is not None:
                roll = (step.kind, step.played.ordinal, step.cause)
                yield Seen(chunk.times_ns[step.begin], roll=roll)
                continue
            maker = system.slice_maker()
            for at in system.release(step):
                yield _seen(Slice(maker, at))


def _seen(one: Slice) -> Seen:
    shown = {
        name: (len(known.bars()), *known.figures, known.completeness)
        for session in one.sessions
        for name, known in session.instruments.items()
        if known.has_bars
    }
    bars = [one[name] for name in one]
    return Seen(one.time_ns, bars, repr(shown), repr(one.closes), one.revisions)


class Lived(NamedTuple):
    scene: Scene
    story: list[Seen]
    digests: list[str]
    counts: Mapping[str, Any]
    kept: Kept
    is_whole: bool
    asked: Mapping[int, list[int]] | None  # when each bar was asked for, by its start


class Live:
    """One live run: venues, somebody who meddles, one who is asked, and who consumes it."""

    def __init__(self, scene: Scene, simulation: Simulation) -> None:
        chance = simulation.chance
        begin_ns = OPEN_NS - 30 * SECOND_NS
        head = header(*scene.series, start=begin_ns, end=scene.end_ns, **scene.rules)
        self.scene, self.simulation, self.kept = scene, simulation, Kept(head)
        self.capacity = chance.choice([1, 2, 30, 10_000])
        self.intake = Intake(self.kept, begin_ns, simulation, capacity=self.capacity)
        self.books = Books(self.intake, simulation)
        self.asker = Asker(self.intake, self.books, simulation)
        self.asked: dict[int, list[int]] | None = {} if chance.random() < 0.5 else None
        asks = self._ask if self.asked is not None else None
        self.system = System(
            MemoryStore(lambda: 0),
            live_plan(
                head, derived=scene.derived, calendars=scene.calendars, prefetch=scene.prefetch
            ),
            {},
            scheduler=simulation,
            supply=live_supply(lambda: self.intake, rules_of(head), asks),
        )
        self.followed: list[list[int]] = [[] for _ in range(scene.followers)]
        self.venues = [
            Venue(s, self.intake, simulation, scene.odds, scene.share) for s in scene.series
        ]
        works: list[Callable[[], None]] = [
            *(venue.run for venue in self.venues),
            *(partial(self._follow, self.system.follow("other"), own) for own in self.followed),
            self._stop,
        ]
        if chance.random() < 0.8:
            works.append(chance.choice([self._cancel, self._stop_early]))
        self.is_whole = True
        self.workers = [simulation.start(f"worker {k}", work) for k, work in enumerate(works)]

    def play(self) -> list[Seen]:
        """What the consumer sees; nothing before its time, and if it hurries at it."""
        story = []
        for one in seen(self.system):
            if not self.scene.is_hurried and self.simulation.chance.random() < 0.1:
                self.simulation.sleep(self.simulation.chance.randrange(60))
            past_ns = self.intake.now_ns() - one.time_ns
            assert past_ns > -1000, "early"  # receipts are a nanosecond apart at least
            assert past_ns < JITTER_NS or not self.scene.is_hurried, "late"
            story.append(one)
            if len(story) >= self.scene.leaves_after:
                self.is_whole = False
                break
        return story

    def end(self) -> None:
        """All that ran beside it ends, and has kept to its limits."""
        self.system.stop()
        self.asker.stop()
        for worker in self.workers:
            worker.join(5000)
            assert not worker.is_alive(), worker.name
        self._require_recorded()
        self._require_fetched()

    def _require_recorded(self) -> None:
        """All that was pushed is in the recording, in order, received when it was pushed."""
        arrivals = self.kept.arrivals
        is_stopped = arrivals[-1].what == STOPPED
        for k, venue in enumerate(self.venues):
            own = [a for a in arrivals if a.series == k and a.what not in OTHERS]
            for arrival, (began_ns, pushed) in zip(own, venue.pushed, strict=is_stopped):
                at_ns = arrival.receipt_ns
                assert repr(arrival) == repr(pushed._replace(series=k, receipt_ns=at_ns))
                assert began_ns <= at_ns, "early"
                assert at_ns < began_ns + JITTER_NS or not self.scene.is_hurried, "late"
        waited = Counter(a.receipt_ns for a in arrivals if a.what not in OTHERS)
        assert max(waited.values(), default=0) <= self.capacity

    def _require_fetched(self) -> None:
        """All that was asked for is fetched within a minute."""
        until_ns = self.kept.arrivals[-1].receipt_ns
        for start_ns, moments in (self.asked or {}).items():
            fetched = self.books.fetched.get(start_ns, [])
            for at_ns in (at_ns for at_ns in moments if at_ns + MINUTE_NS < until_ns):
                assert any(-JITTER_NS < f - at_ns < MINUTE_NS for f in fetched), "asked in vain"

    def _ask(self, series: Series, start_ns: int, end_ns: int) -> None:
        assert self.asked is not None
        for each_ns in range(start_ns, end_ns, MINUTE_NS):
            self.asked.setdefault(each_ns, []).append(self.intake.now_ns())
        self.asker(series, start_ns, end_ns)

    def _follow(self, follower: Follower, into: list[int]) -> None:
        into.extend(one.time_ns for one in follower)

    def _cancel(self) -> None:
        """Let one series come in no more for a while."""
        which = self.simulation.chance.choice(self.scene.series)
        self._await_some_item(which)
        self.intake.cancel(which)
        self.simulation.sleep(self.simulation.chance.random() * self._length_s / 3)
        self.intake.register(which)

    def _stop_early(self) -> None:
        """At a moment like others, or when something came that has not happened yet."""
        self._await_some_item(self.simulation.chance.choice(self.scene.series))
        if self.simulation.chance.random() < 0.5:
            before = sum(venue.ahead for venue in self.venues)
            self.simulation.wait_until(
                lambda: sum(venue.ahead for venue in self.venues) > before, self._length_s
            )
        self.intake.stop()

    def _await_some_item(self, series: Series) -> None:
        """Until about one comes, where most can go wrong."""
        chance = self.simulation.chance
        moments = [i.at_ns for i in items(series) if i.at_ns < self.scene.end_ns]
        at_ns = chance.choice(moments) + chance.randrange(SECOND_NS)
        self.simulation.sleep(max(at_ns - self.intake.now_ns(), 0) / SECOND_NS)

    def _stop(self) -> None:
        self.simulation.sleep(self._length_s)
        self.intake.stop()

    @property
    def _length_s(self) -> float:
        return (self.scene.end_ns - self.kept.header.start_ns) / SECOND_NS


def live(seed: int, *, is_long: bool = True) -> Lived:
    with Simulation(seed) as simulation:
        run = Live(LONG if is_long else short(simulation.chance), simulation)
        story = run.play()
        run.end()
        assert all(
            times == [one.time_ns for one in story if not one.roll] for times in run.followed
        )
    digests, counts = run.system.tape.digests, run.system.counts
    return Lived(run.scene, story, digests, counts, run.kept, run.is_whole, run.asked)


def replay(lived: Lived, kept: Kept | None = None) -> System:
    scene = lived.scene
    return replayed(kept or lived.kept, derived=scene.derived, calendars=scene.calendars)


def words_of(system: System) -> Ints:
    return np.concatenate(list(blocks(system)))


def require_same(lived: Lived) -> None:
    """The recording replays to what was seen live, and that is what had to be seen."""
    system = replay(lived)
    words: list[Ints] = []
    story = list(seen(system, words))
    if not lived.is_whole:
        assert story[: len(lived.story)] == lived.story
        return
    assert story == lived.story
    assert system.tape.digests == lived.digests
    assert system.counts == lived.counts
    expected = Expected(lived.kept, system, np.concatenate(words))
    require_as_expected(expected)
    if lived.asked is not None and lived.scene.is_hurried:
        require_asked(expected, lived.asked, JITTER_NS)
    for one in story:
        if not one.roll:
            assert repr(expected.seen(one.time_ns)) == one.shown
            assert expected.brought(one.time_ns) == [bar.start_ns for bar in one.bars]
    assert {name: dict(happened(counts)) for name, counts in lived.counts.items()} == {
        name: dict(counts) for name, counts in expected.counts.items()
    }


def happened(counts: Any) -> Iterator[tuple[str, int]]:
    return ((name, count) for name, count in asdict(counts).items() if count)


@pytest.mark.parametrize("part", parts(seeds(VARIABLE)), ids=str)
def test_a_recording_replays_to_the_seal_of_its_live_run(part: range) -> None:
    faults: set[str] = set()
    for seed in part:
        with again(seed, VARIABLE, FILE):
            lived = live(seed, is_long=seed % 10 == 0)
            require_same(lived)
        faults |= {name for counts in lived.counts.values() for name, _ in happened(counts)}
    if len(part) == PART:  # fewer need not have all
        assert faults >= FAULTS


@pytest.mark.parametrize("seed", range(1000, 1012))
def test_what_a_kill_leaves_replays_to_what_was_seen_until_then(seed: int) -> None:
    lived = live(seed)
    kept = lived.kept
    whole = words_of(replay(lived))
    for share in (0.1, 0.5, 0.9, 0.99):
        torn = kept.torn(int(len(kept.data) * share))
        found = words_of(replay(lived, torn))
        last_ns = torn.arrivals[-1].receipt_ns
        assert len(torn.arrivals) == int(len(kept.data) * share) // RECORD_BYTES
        np.testing.assert_array_equal(found[found[:, 1] < last_ns], whole[whole[:, 1] < last_ns])
