"""Series that are registered for the first time while a live run goes on.

First by hand, then from seeds: real bars, trades and quotes are pushed by threads of a simulation
while another registers new series at any moment. The recording must replay to all of it.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import cache
from random import Random
from typing import Any, NamedTuple

import pytest

from openbell.market.arrivals import (
    ASKED,
    BAR,
    CANCELLED,
    CONNECTED,
    NO_SERIES,
    QUOTE,
    REGISTERED,
    TRADE,
    Arrival,
)
from openbell.market.bars import Bars
from openbell.market.errors import (
    BadDataError,
    ReplayError,
    StoreError,
    UnavailableError,
    UsageError,
)
from openbell.market.instrument import Pin, Series
from openbell.market.moments import END_OF_TIME_NS, MINUTE_NS, SECOND_NS
from openbell.ports import Data, RecordingHeader
from openbell.recording.live import Collector
from openbell.replay.asking import Asker
from openbell.replay.intake import Intake, Played
from openbell.replay.live import live_plan, live_supply, rules_of
from openbell.replay.pacing import Pace
from openbell.replay.scheduler import Worker
from openbell.replay.slices import Slice
from openbell.replay.system import System
from openbell.sources.lean import LeanFolder
from openbell.stores.memory import MemoryStore
from tests.conftest import SAMPLES
from tests.replay.jumps import Jumps
from tests.replay.living import (
    CLOSE_NS,
    OPEN_NS,
    PRINTS,
    SPY,
    TICKS,
    Kept,
    half_hours,
    header,
    minute,
    recorded,
    replayed,
    trade,
)
from tests.replay.playing import at
from tests.replay.simulation import Simulation, seeds
from tests.replay.simulation import again as told_of

AAPL = Series.parse("XNAS:AAPL/1m")


def told(system: Iterable[Slice]) -> list[Any]:
    """Every slice: its moment, its bars, and what is seen of everything at it."""
    return [
        (
            s.time_ns,
            [s[name] for name in s],
            list(s.revisions),
            repr(s.closes),
            [(data.completeness, [_shown(data[name]) for name in data]) for data in s.sessions],
        )
        for s in system
    ]


def _shown(one: Any) -> Any:
    return str(one.instrument), one.kinds, one.completeness, repr(one.figures)


# By hand


def grown(*arrivals: Arrival, new: Sequence[Series], head: RecordingHeader | None = None) -> Kept:
    """A recording of arrivals, by default of SPY at first, to which series were announced."""
    kept = recorded(head or header(SPY), *arrivals)
    for series in new:
        kept.announce(series)
    return kept


def registered(ordinal: int, second: float) -> Arrival:
    return Arrival(ordinal, REGISTERED, 0, OPEN_NS + round(second * SECOND_NS))


def aapl_joins() -> Kept:
    """Half an hour of SPY; after a third of it AAPL is registered."""
    own = [minute(nth, series=1, close=50.0) for nth in range(10, 30)]
    return grown(*(minute(n) for n in range(30)), registered(1, 600.2), *own, new=[AAPL])


def test_a_new_series_is_there_from_its_registration_on() -> None:
    kept = aapl_joins()
    system = replayed(kept, derived=("5m",))
    names: dict[int, tuple[str, ...]] = {}
    wide: set[int] = set()
    for one in system:
        names[one.time_ns] = tuple(one.session)
        assert len(one.closes) == len(one.session.instruments)
        if "XNAS:AAPL" in one.session.instruments:
            wide |= set(one.session["XNAS:AAPL"].bars("5m").key_ns.tolist())
    at_ns = OPEN_NS + 600_200_000_000
    assert {found for moment_ns, found in names.items() if moment_ns < at_ns} == {("XNYS:SPY",)}
    assert names[at_ns] == ("XNYS:SPY", "XNAS:AAPL")
    assert system.counts["XNAS:AAPL/1m"].played == 20
    measured = list(system.coordinator.measured)
    assert [(m.instrument, m.present) for m in measured] == [("XNYS:SPY", 30), ("XNAS:AAPL", 20)]
    assert {m.expected for m in measured} == {30}
    assert sorted(wide) == [OPEN_NS + n * MINUTE_NS for n in (10, 15, 20, 25)]
    assert [pin.series for pin in system.plan.pins] == [SPY, AAPL]


def test_trades_join_the_bars_of_their_instrument() -> None:
    ticks = [trade(62, series=1), trade(63, series=1)]
    kept = grown(minute(0), registered(1, 61), *ticks, minute(1), new=[PRINTS])
    system = replayed(kept)
    for one in system:
        is_later = one.time_ns >= OPEN_NS + 61 * SECOND_NS
        assert one.session["XNYS:SPY"].kinds == (("1m", "trades") if is_later else ("1m",))
    assert system.names == ("XNYS:SPY",)
    assert system.counts[str(PRINTS)].played == 2


def test_what_was_seen_before_stays_when_a_series_joins() -> None:
    bars = [minute(n, after_s=1 + 70 * (n == 4)) for n in range(8)]
    bars.append(minute(5, after_s=2, close=7.0))
    kept = grown(*bars, registered(1, 400), new=[TICKS])
    for one in replayed(kept, derived=("5m",)):
        due = {a.venue_ns for a in bars if a.receipt_ns <= one.time_ns}
        assert one.session["XNYS:SPY"].bars().key_ns.tolist() == sorted(due)


def test_the_hours_of_the_run_are_those_of_what_joins() -> None:
    kept = grown(minute(0), registered(1, 30), minute(0, series=1), new=[AAPL])
    system = replayed(kept, calendars=half_hours(SPY))
    list(system)
    assert system.plan.calendar_of(AAPL.instrument) is system.plan.calendar_of(SPY.instrument)
    assert system.counts["XNAS:AAPL/1m"].played == 1


def test_of_a_session_that_had_closed_nothing_is_released() -> None:
    bars = [minute(n) for n in range(30)]
    days = header(SPY, end="2019-06-04T14:30Z")
    late = minute(29, after_s=90, series=1)
    system = replayed(grown(*bars, registered(1, 1_860), late, new=[AAPL], head=days))
    list(system)
    assert system.coordinator.ended[0].time_ns < late.receipt_ns
    assert asdict(system.counts["XNAS:AAPL/1m"])["off_hours"] == 1


def test_a_session_waits_for_the_last_bar_of_what_joined() -> None:
    bars = [minute(n) for n in range(30)]
    last = minute(29, after_s=20, series=1)
    system = replayed(grown(*bars, registered(1, 1_700), last, new=[AAPL]))
    list(system)
    assert system.coordinator.ended[0].time_ns == CLOSE_NS + 20 * SECOND_NS


def test_whoever_wants_it_whole_has_every_series_from_the_start() -> None:
    """Nothing waits for it before it is registered: on the second day."""
    bars = [minute(n) for n in range(30)]
    days, day = header(SPY, end="2019-06-04T14:30Z"), 24 * 60
    late = [registered(1, day * 60.0), minute(day + 1), minute(day + 1, series=1)]
    kept = grown(*bars, *late, new=[AAPL], head=days)
    joined, whole = replayed(kept), replayed_whole(kept)
    assert {len(one.closes) for one in joined} == {1, 2}
    assert {len(one.closes) for one in whole} == {2}
    assert whole.tape.digests == joined.tape.digests
    assert len(whole.tape.digests) == 2


def replayed_whole(kept: Kept, **plan: Any) -> System:
    """As who relies on the streams there are at the start has it: a strategy."""
    return System(
        MemoryStore(lambda: 0),
        live_plan(replace(kept.header, added=0), calendars=HOURS, **plan),
        {},
        supply=live_supply(lambda: Played(kept), rules_of(kept.header)),
    )


def test_a_header_that_was_left_behind_is_named() -> None:
    kept = grown(minute(0), registered(1, 30), new=[])
    with pytest.raises(BadDataError, match="names 1 series, and registers another"):
        list(replayed(kept))


def test_one_can_go_back_to_before_a_registration() -> None:
    kept = aapl_joins()
    pace = Pace()
    plain, sought = replayed(kept, derived=("5m",)), replayed(kept, derived=("5m",), pace=pace)
    story = told(plain)
    goals = [OPEN_NS + m * MINUTE_NS for m in (15, 5, 2)]
    seen: list[Any] = []

    class Seeking:
        """The same system; twenty minutes on, it goes back."""

        def __iter__(self) -> Iterator[Any]:
            for one in sought:
                yield one
                if goals and one.time_ns > OPEN_NS + 20 * MINUTE_NS:
                    seen.append(goals[0])
                    pace.seek(goals.pop(0))

    again = told(Seeking())
    last = max(k for k, one in enumerate(again) if k and one[0] <= again[k - 1][0])
    assert seen == [OPEN_NS + m * MINUTE_NS for m in (15, 5, 2)]
    assert again[last:] == [one for one in story if one[0] >= again[last][0]]
    assert again[last][0] <= OPEN_NS + 3 * MINUTE_NS
    assert sought.tape.digests == plain.tape.digests
    assert sought.coordinator.measured == plain.coordinator.measured


# What is refused


def lived(*series: Series) -> tuple[Kept, Intake, System]:
    kept = Kept(header(*series))
    intake = Intake(kept, OPEN_NS, Jumps())
    plan = live_plan(kept.header, calendars=half_hours(SPY), derived=("5m",))
    supply = live_supply(lambda: intake, rules_of(kept.header))
    return kept, intake, System(MemoryStore(lambda: 0), plan, {}, supply=supply)


def test_what_cannot_join_is_refused_and_leaves_no_trace() -> None:
    kept, intake, system = lived(SPY)
    for text, words in (
        ("XNYS:SPY/1m", "is registered already"),
        ("XNYS:SPY/1m.bid", "cannot come in beside XNYS:SPY/1m"),
        ("XNAS:AAPL/1d", "cannot come live"),
        ("COINBASE:BTCUSD/1m", "has other sessions"),
        ("XNAS:AAPL/15m", "5m"),
    ):
        with pytest.raises(UsageError, match=words):
            system.register(Pin(Series.parse(text), 1))
    assert kept.header == header(SPY)
    with pytest.raises(UsageError, match="not announced"):
        intake.push(AAPL, BAR, OPEN_NS, (1.0,) * 5)


def test_under_a_strategy_nothing_new_joins() -> None:
    kept, intake, system = lived(SPY, PRINTS)
    system.has_fixed_streams = True
    with pytest.raises(UsageError, match="streams of this replay are fixed"):
        system.register(Pin(AAPL, 1))
    system.cancel(PRINTS)
    system.register(Pin(PRINTS, 1))
    assert [a.what for a in intake.take(END_OF_TIME_NS)] == [CANCELLED, REGISTERED]
    assert kept.header.added == 0


def test_a_recording_that_cannot_be_told_lets_nothing_in() -> None:
    class Full(Kept):
        def announce(self, series: Series) -> None:
            raise StoreError("the disk is full")

    intake = Intake(Full(header(SPY)), OPEN_NS, Jumps())
    with pytest.raises(StoreError, match="full"):
        intake.register(AAPL)
    with pytest.raises(UsageError, match="not announced"):
        intake.push(AAPL, BAR, OPEN_NS, (1.0,) * 5)


def test_when_a_run_is_over_nothing_new_joins() -> None:
    kept, intake, _ = lived(SPY)
    intake.stop()
    with pytest.raises(ReplayError, match="the run is over"):
        intake.register(AAPL)
    assert kept.header.added == 0


def test_a_new_series_can_be_cancelled_and_registered_again() -> None:
    kept, intake, system = lived(SPY)
    system.register(Pin(AAPL, 1))
    assert intake.push(AAPL, BAR, OPEN_NS, (1.0,) * 5)
    system.cancel(AAPL)
    system.register(Pin(AAPL, 1))
    taken = intake.take(END_OF_TIME_NS)
    assert [(a.series, a.what) for a in taken] == [
        (1, REGISTERED), (1, BAR), (1, CANCELLED), (1, REGISTERED),
    ]  # fmt: skip
    assert kept.header.series == (SPY, AAPL)


# From seeds

GOLD, GOLD_BARS = (Series.parse(f"XCEC:GC-201312/{kind}") for kind in ("trades", "1m"))
EURO, EURO_BIDS = (Series.parse(f"OANDA:EURUSD/{kind}") for kind in ("quotes", "1m.bid"))
FILES = {
    SPY: ("equity/usa/minute/spy", "2013-10-07"),
    AAPL: ("equity/usa/minute/aapl", "2014-06-09"),
    GOLD: ("future/comex", "2013-10-07"),
    EURO: ("forex/oanda/tick", "2014-05-01"),
    EURO_BIDS: ("forex/oanda/minute", "2014-05-01"),
}
WHAT = {"trades": TRADE, "quotes": QUOTE}
PAIRS = ((SPY, AAPL), (GOLD, GOLD_BARS), (EURO, EURO_BIDS))  # of one calendar each
DERIVED = ("3m", "5m")
HOURS = half_hours(SPY) | {"XNAS:AAPL": half_hours(SPY)["XNYS:SPY"]}
BEGIN_NS, END_NS = OPEN_NS - 10 * SECOND_NS, OPEN_NS + 6 * MINUTE_NS
VARIABLE, AT_ONCE = "OPENBELL_JOINING_SEEDS", 12
SEEDS = seeds(VARIABLE) if VARIABLE in os.environ else range(300)


class Item(NamedTuple):
    """What a venue says: when, its time for it, the values."""

    at_ns: int
    venue_ns: int
    values: tuple[float, ...]


@cache
def real(series: Series) -> Data:
    """The first minutes of real data, moved to the day of these tests; some dozen rows."""
    folder, day = FILES[series]
    files = LeanFolder([SAMPLES / "lean/Data" / folder]).parse()
    name = str(series).partition(":")[2]  # the files do not tell one exchange from another
    parts: list[Any] = [p.data for p in files if str(p.data.series).endswith(f":{name}")]
    open_ns = at(f"{day}T14:00Z")
    data = type(parts[0]).joined(parts).between(open_ns, open_ns + END_NS - OPEN_NS)
    data = data.take(slice(None, None, 1 + len(data) // 25))
    moved = {n: c + (OPEN_NS - open_ns) * n.endswith("_ns") for n, c in data.columns().items()}
    found: Data = type(data)(series, **moved)
    return found


@cache
def items(series: Series) -> tuple[Item, ...]:
    """The same, as they are pushed."""
    data = real(series)
    names = [n for n in data.names() if n not in ("start_ns", "end_ns", "time_ns", "label")]
    values = zip(*(data.columns()[n].tolist() for n in names), strict=True)
    known = data.end_ns if isinstance(data, Bars) else data.key_ns
    return tuple(map(Item, known.tolist(), data.key_ns.tolist(), values))


class Books:
    """Real bars, to be asked for again; not always there."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def bars(self, series: Series, start_ns: int, end_ns: int) -> Bars:
        self._simulation.sleep(self._simulation.chance.random() * 3)
        if series not in FILES or self._simulation.chance.random() < 0.3:
            raise UnavailableError("the venue does not answer")
        found = real(series).between(start_ns, end_ns)
        assert isinstance(found, Bars)
        return found


class Run:
    """One live run of a seed: who begins, who joins when, and what became of it."""

    def __init__(self, seed: int) -> None:
        with Simulation(seed) as simulation:
            self._simulation, self._chance = simulation, simulation.chance
            self.begin, self.later = _cast(simulation.chance)
            self.kept = Kept(header(*self.begin, start=BEGIN_NS, end=END_NS))
            self._collector = Collector(set(self.begin) & {GOLD_BARS})
            self._intake = Intake(
                self.kept, BEGIN_NS, simulation, collector=self._collector,
                capacity=self._chance.choice([3, 10_000]),
            )  # fmt: skip
            asker = Asker(self._intake, Books(simulation), simulation)
            self.system = System(
                MemoryStore(lambda: 0),
                live_plan(self.kept.header, derived=DERIVED, calendars=HOURS),
                {},
                scheduler=simulation,
                supply=live_supply(
                    lambda: self._intake, rules_of(self.kept.header),
                    asker if self._chance.random() < 0.5 else None,
                ),
            )  # fmt: skip
            self._workers: list[Worker] = []
            for series in self.begin:
                self._start(str(series), self._bring, series)
            for series in self.later:
                self._start(f"meddler {series}", self._meddle, series)
            self._start("stopper", self._stop)
            self.story = told(self.system)
            asker.stop()
            for worker in self._workers:  # they start others
                worker.join(5_000)

    def _start(self, name: str, work: Callable[..., None], *of: Series) -> None:
        self._workers.append(self._simulation.start(name, lambda: work(*of)))

    def _bring(self, series: Series) -> None:
        """Push what a series has from now on; not always in order, or once."""
        if series not in FILES or not self._intake.push(series, CONNECTED):
            return
        waiting: list[Item] = []
        for item in items(series):
            self._sleep(item.at_ns - self._intake.now_ns() + self._chance.randrange(SECOND_NS))
            waiting.append(item)
            if self._chance.random() < 0.2:
                continue
            if self._chance.random() < 0.2:
                waiting = [*waiting[::-1], waiting[-1]]
            for each in waiting:
                what = WHAT.get(series.kind, BAR)
                if not self._intake.push(series, what, each.venue_ns, each.values):
                    return
            waiting.clear()

    def _meddle(self, series: Series) -> None:
        """Register a series, and bring it; now and then cancel it for a while."""
        self._sleep(self._chance.randrange(END_NS - BEGIN_NS))
        try:
            self.system.register(Pin(series, 1))
        except ReplayError:
            return
        if series == GOLD_BARS:
            self._collector.build(GOLD_BARS)
        self._start(str(series), self._bring, series)
        if self._chance.random() < 0.3:
            self._sleep(self._chance.randrange(60 * SECOND_NS))
            self.system.cancel(series)
            self._sleep(self._chance.randrange(60 * SECOND_NS))
            self.system.register(Pin(series, 1))

    def _stop(self) -> None:
        self._sleep(self._chance.randrange(END_NS - OPEN_NS, END_NS - BEGIN_NS + MINUTE_NS))
        self._intake.stop()

    def _sleep(self, left_ns: int) -> None:
        if left_ns > 0:
            self._simulation.sleep(left_ns / SECOND_NS)


def _cast(chance: Random) -> tuple[list[Series], list[Series]]:
    """Who is there at the start, and who joins: of the same calendars."""
    pairs = chance.sample(PAIRS, chance.randint(1, 3))
    both = [chance.sample(pair, 2) for pair in pairs]
    return [one for one, _ in both], [other for _, other in both]


def assert_same(run: Run, again: System, story: list[Any]) -> None:
    system = run.system
    assert story == run.story
    assert again.tape.digests == system.tape.digests
    assert again.counts == system.counts
    assert again.coordinator.measured == system.coordinator.measured
    assert again.coordinator.ended == system.coordinator.ended
    assert (again.names, again.tracks, again.plan) == (system.names, system.tracks, system.plan)


def assert_replays(run: Run) -> None:
    """Joined where it joined; and from the start, as a strategy has it, with the same digests."""
    again = replayed(run.kept, derived=DERIVED, calendars=HOURS)
    assert_same(run, again, told(again))
    whole = replayed_whole(run.kept, derived=DERIVED)
    list(whole)
    assert whole.tape.digests == again.tape.digests


@pytest.mark.parametrize("first", range(0, len(SEEDS), AT_ONCE))
def test_a_recording_replays_to_all_of_its_live_run(first: int) -> None:
    joined = asked = 0
    for seed in SEEDS[first : first + AT_ONCE]:
        with told_of(seed, VARIABLE, "tests/replay/test_live_registering.py"):
            run = Run(seed)
            assert_replays(run)
        counts = [run.system.counts.get(str(series)) for series in run.later]
        joined += sum(each is not None and each.played > 0 for each in counts)
        ordinals = range(len(run.begin), len(run.kept.header.series))
        asked += sum(a.what == ASKED and a.series in ordinals for a in run.kept.arrivals)
    if len(SEEDS) >= AT_ONCE:
        assert joined > 0
        assert asked > 0 or first > 0


@pytest.mark.parametrize("seed", range(1000, 1020))
def test_what_a_kill_leaves_replays_to_what_was_seen_until_then(seed: int) -> None:
    run = Run(seed)
    kept = run.kept
    for share in (0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        torn = kept.torn(round(len(kept.data) * share))
        last_ns = torn.arrivals[-1].receipt_ns
        count = 1 + max(a.series for a in torn.arrivals if a.series != NO_SERIES)
        for known in {max(count, len(run.begin)), len(kept.header.series)}:  # announced by then
            added = known - len(run.begin)
            torn.header = replace(kept.header, series=kept.header.series[:known], added=added)
            story = told(replayed(torn, derived=DERIVED, calendars=HOURS))
            seen = [one for one in story if one[0] < last_ns]
            assert seen == run.story[: len(seen)], f"seed {seed}, {share}"
            assert all(one[0] >= last_ns for one in run.story[len(seen) :])
