"""The line live sources push into: bounded, stamped once a batch, recorded before it is seen."""

import threading
from collections.abc import Sequence

import pytest

from openbell.market.arrivals import (
    ASKED,
    BAR,
    CANCELLED,
    CONNECTED,
    FAILED,
    NO_SERIES,
    PASSED,
    QUOTE,
    REGISTERED,
    STOPPED,
    TRADE,
    Arrival,
)
from openbell.market.errors import ReplayError, StoreError, UnavailableError, UsageError
from openbell.market.moments import END_OF_TIME_NS, SECOND_NS
from openbell.recording.live import Collector
from openbell.replay.asking import Asker
from openbell.replay.intake import Intake, Played
from openbell.replay.live import live_plan, live_supply, rules_of
from openbell.replay.pacing import Pace
from openbell.replay.system import System
from openbell.stores.memory import MemoryStore
from tests.replay.jumps import Jumps
from tests.replay.living import (
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
from tests.replay.playing import minutes, play

PRICE = (100.0, 1.0, 1.0)


@pytest.fixture
def kept() -> Kept:
    return Kept(header(SPY, PRINTS, TICKS))


@pytest.fixture
def intake(kept: Kept) -> Intake:
    return Intake(kept, OPEN_NS, Jumps())


def system_of(intake: Intake, kept: Kept, pace: Pace | None = None) -> System:
    plan = live_plan(kept.header, calendars=half_hours(SPY))
    supply = live_supply(lambda: intake, rules_of(kept.header))
    return System(MemoryStore(lambda: 0), plan, {}, supply=supply, pace=pace)


# What comes out


def test_everything_that_waits_is_taken_at_once_and_received_at_one_instant(
    intake: Intake, kept: Kept
) -> None:
    for n in range(3):
        assert intake.push(PRINTS, TRADE, OPEN_NS + n, PRICE, n + 1)
    taken = intake.take(END_OF_TIME_NS)
    assert [a.sequence for a in taken] == [1, 2, 3]
    assert {a.receipt_ns for a in taken} == {OPEN_NS + 1}
    assert taken[0] == Arrival(1, TRADE, OPEN_NS, OPEN_NS + 1, 1, (*PRICE, 0.0, 0.0))
    assert kept.arrivals == list(taken)


def test_receipts_increase_even_if_time_stands_still(intake: Intake) -> None:
    receipts = []
    for _ in range(5):
        intake.push(PRINTS, TRADE, OPEN_NS, PRICE)
        receipts.append(intake.take(END_OF_TIME_NS)[0].receipt_ns)
    assert receipts == [OPEN_NS + n for n in range(1, 6)]


def test_if_nothing_comes_until_it_is_due_the_passing_of_time_is_what_arrives(
    intake: Intake, kept: Kept
) -> None:
    (passed,) = intake.take(OPEN_NS + 7 * SECOND_NS)
    assert passed.what == PASSED
    assert passed.receipt_ns >= OPEN_NS + 7 * SECOND_NS
    assert kept.arrivals == [passed]


def test_what_is_handed_out_was_written_before() -> None:
    class Full(Kept):
        def append(self, arrivals: Sequence[Arrival]) -> None:
            raise StoreError("the disk is full")

    intake = Intake(Full(header(PRINTS)), OPEN_NS, Jumps())
    intake.push(PRINTS, TRADE, OPEN_NS, PRICE)
    with pytest.raises(StoreError, match="full"):
        intake.take(END_OF_TIME_NS)


# Back-pressure


def test_a_source_waits_while_the_line_is_full(kept: Kept) -> None:
    intake = Intake(kept, OPEN_NS, capacity=100)
    total = 5_000

    def push() -> None:
        for n in range(total):
            assert intake.push(PRINTS, TRADE, OPEN_NS + n, PRICE, n + 1)

    source = threading.Thread(target=push)
    source.start()
    numbers: list[int] = []
    while len(numbers) < total:
        batch = intake.take(END_OF_TIME_NS)
        assert len(batch) <= 100
        numbers += [a.sequence for a in batch]
    source.join(10)
    assert not source.is_alive()
    assert numbers == list(range(1, total + 1))
    assert intake.deepest <= 100
    assert intake.waits > 0


def test_a_line_holds_thousands_of_items_from_many_threads(kept: Kept) -> None:
    intake = Intake(kept, OPEN_NS, capacity=8_000)

    def push(first: int) -> None:
        for n in range(2_000):
            intake.push(PRINTS, TRADE, OPEN_NS, PRICE, first + n)

    sources = [threading.Thread(target=push, args=(2_000 * k,)) for k in range(4)]
    for each in sources:
        each.start()
    for each in sources:
        each.join(10)
    assert intake.deepest == 8_000
    taken = [a.sequence for a in intake.take(END_OF_TIME_NS)]
    assert sorted(taken) == list(range(8_000))
    for first in range(0, 8_000, 2_000):
        assert [n for n in taken if first <= n < first + 2_000] == list(range(first, first + 2_000))


def test_a_source_that_waits_is_let_go_when_nothing_more_is_wanted(kept: Kept) -> None:
    intake = Intake(kept, OPEN_NS, capacity=1)
    said: list[bool] = []
    intake.push(PRINTS, TRADE, OPEN_NS, PRICE)
    source = threading.Thread(
        target=lambda: said.append(intake.push(PRINTS, TRADE, OPEN_NS, PRICE))
    )
    source.start()
    intake.close()
    source.join(10)
    assert said == [False]
    assert intake.take(END_OF_TIME_NS) == []


# What is refused


def test_only_what_was_announced_can_be_pushed(intake: Intake) -> None:
    other = minutes("XNYS:GE/1m").series
    with pytest.raises(UsageError, match=r"XNYS:GE/1m was not announced"):
        intake.push(other, BAR, OPEN_NS)


@pytest.mark.parametrize(
    ("series", "what"), [(SPY, TRADE), (SPY, QUOTE), (PRINTS, BAR), (TICKS, ASKED), (SPY, 99)]
)
def test_a_series_takes_its_own_kind_alone(intake: Intake, series: str, what: int) -> None:
    with pytest.raises(UsageError, match="cannot hold"):
        intake.push(series, what, OPEN_NS)  # type: ignore[arg-type]  # a Series


# Registering


def test_a_stream_can_be_cancelled_and_registered_again(intake: Intake) -> None:
    intake.cancel(PRINTS)
    intake.register(PRINTS)
    assert [a.what for a in intake.take(END_OF_TIME_NS)] == [CANCELLED, REGISTERED]


def test_a_second_registration_is_refused(intake: Intake) -> None:
    with pytest.raises(UsageError, match="registered already"):
        intake.register(PRINTS)
    intake.cancel(PRINTS)
    with pytest.raises(UsageError, match="is not registered"):
        intake.cancel(PRINTS)


def test_a_system_passes_it_on_and_a_recording_is_played_as_it_was(
    intake: Intake, kept: Kept
) -> None:
    system = system_of(intake, kept)
    system.cancel(PRINTS)
    system.register(system.plan.pins[1])
    assert [a.what for a in intake.take(END_OF_TIME_NS)] == [CANCELLED, REGISTERED]
    with pytest.raises(ReplayError, match="as it was"):
        replayed(recorded(header(PRINTS), trade(1))).cancel(PRINTS)


def test_a_live_run_cannot_be_paced(intake: Intake, kept: Kept) -> None:
    with pytest.raises(ReplayError, match="cannot be paced, paused or sought"):
        system_of(intake, kept, Pace(1.0))


# Its end


def test_stopping_lets_what_waits_through_and_nothing_after(intake: Intake) -> None:
    intake.push(PRINTS, TRADE, OPEN_NS, PRICE)
    intake.stop()
    assert not intake.push(PRINTS, TRADE, OPEN_NS, PRICE)
    assert [a.what for a in intake.take(END_OF_TIME_NS)] == [TRADE, STOPPED]


def test_a_source_that_fails_says_why_and_when_all_have_it_is_over(intake: Intake) -> None:
    error = UnavailableError("gone")
    for series in (SPY, PRINTS):
        intake.fail(series, error)
        assert intake.push(TICKS, QUOTE, OPEN_NS, (1.0, 2.0, 1.0, 1.0))
    intake.fail(TICKS, error)
    assert intake.failures == {SPY: error, PRINTS: error, TICKS: error}
    assert not intake.push(TICKS, QUOTE, OPEN_NS)
    whats = [a.what for a in intake.take(END_OF_TIME_NS)]
    assert whats == [FAILED, QUOTE, FAILED, QUOTE, FAILED, STOPPED]


def test_bars_built_of_a_series_fail_with_it(kept: Kept) -> None:
    intake = Intake(kept, OPEN_NS, Jumps(), collector=Collector([SPY]))
    intake.fail(PRINTS, error := UnavailableError("gone"))
    assert intake.failures == {PRINTS: error, SPY: error}
    assert [(a.series, a.what) for a in intake.take(END_OF_TIME_NS)] == [(1, FAILED), (0, FAILED)]


# Bars built of what is received


def test_built_bars_are_received_with_the_trade_that_ends_them(kept: Kept) -> None:
    intake = Intake(kept, OPEN_NS - 2 * SECOND_NS, Jumps(), collector=Collector([SPY]))
    intake.push(PRINTS, CONNECTED)
    intake.take(END_OF_TIME_NS)
    for second in (1, 2, 61):
        intake.push(PRINTS, TRADE, OPEN_NS + second * SECOND_NS, (100.0 + second, 1.0, 0.0))
    time_passes(intake, 62)
    intake.stop()
    taken = intake.take(END_OF_TIME_NS)
    assert [(a.series, a.what) for a in taken] == [(1, TRADE)] * 3 + [
        (0, BAR),
        (NO_SERIES, STOPPED),
    ]
    assert len({a.receipt_ns for a in taken}) == 1
    assert taken[3].values == (101.0, 102.0, 101.0, 102.0, 2.0)
    assert kept.arrivals[-5:] == taken


def test_the_clock_ends_a_bar_when_nothing_comes(kept: Kept) -> None:
    intake = Intake(kept, OPEN_NS - 2 * SECOND_NS, Jumps(), collector=Collector([SPY]))
    intake.push(PRINTS, CONNECTED)
    intake.take(END_OF_TIME_NS)
    time_passes(intake, 0)
    intake.push(PRINTS, TRADE, OPEN_NS, PRICE)
    intake.take(END_OF_TIME_NS)
    passed, bar = intake.take(END_OF_TIME_NS)
    assert (passed.what, bar.what, bar.venue_ns) == (PASSED, BAR, OPEN_NS)
    assert bar.receipt_ns == OPEN_NS + 61 * SECOND_NS


def test_a_trade_goes_into_a_bar_if_it_is_released(kept: Kept) -> None:
    """It was ahead of our clock when it was pushed, and is not when it is taken."""
    intake = Intake(kept, OPEN_NS - 2 * SECOND_NS, Jumps(), collector=Collector([SPY]))
    intake.push(PRINTS, CONNECTED)
    intake.take(END_OF_TIME_NS)
    intake.push(PRINTS, TRADE, OPEN_NS + SECOND_NS, PRICE)
    time_passes(intake, 0.5)
    intake.take(END_OF_TIME_NS)
    intake.push(PRINTS, TRADE, OPEN_NS + 61 * SECOND_NS, PRICE)
    time_passes(intake, 62)
    intake.take(END_OF_TIME_NS)
    intake.stop()
    intake.take(END_OF_TIME_NS)
    system = replayed(kept)
    list(system)
    assert [system.counts[str(each)].played for each in (SPY, PRINTS)] == [1, 2]


def time_passes(intake: Intake, second: float) -> None:
    """Until so many seconds after the opening."""
    scheduler = intake._scheduler
    assert isinstance(scheduler, Jumps)
    scheduler.real_ns += OPEN_NS + round(second * SECOND_NS) - intake.now_ns()


# Asking again


def test_what_is_fetched_again_comes_in_as_an_arrival(kept: Kept) -> None:
    class Books:
        def bars(self, series: object, start_ns: int, end_ns: int) -> object:
            return minutes("XNYS:SPY/1m", start_ns)

    intake = Intake(kept, OPEN_NS)
    asker = Asker(intake, Books())  # type: ignore[arg-type]  # gives bars
    asker(SPY, OPEN_NS, OPEN_NS + 1)
    (arrival,) = intake.take(END_OF_TIME_NS)
    asker.stop()
    asker.stop()
    assert (arrival.what, arrival.venue_ns) == (ASKED, OPEN_NS)
    assert (asker.asked, asker.answered, asker.failed) == (1, 1, 0)


def test_a_refill_that_does_not_answer_is_counted(kept: Kept) -> None:
    answered = threading.Event()

    class Books:
        def bars(self, series: object, start_ns: int, end_ns: int) -> object:
            answered.set()
            raise UnavailableError("no answer")

    asker = Asker(Intake(kept, OPEN_NS), Books())  # type: ignore[arg-type]  # never gives any
    asker(SPY, OPEN_NS, OPEN_NS + 1)
    assert answered.wait(10)
    asker.stop()
    assert (asker.failed, str(asker.error)) == (1, "no answer")


# A recording, played


def test_a_recording_gives_whole_instants() -> None:
    many = [trade(1, after_s=3, number=n + 1) for n in range(5_000)]
    played = Played(recorded(header(PRINTS), minute(0), *many))
    first = played.take(0)
    assert len(first) == 5_000
    assert [a.what for a in played.take(0)] == [BAR, STOPPED]
    assert played.take(0) == []


# With real threads


def alive() -> set[str]:
    return {t.name for t in threading.enumerate() if t.name.startswith("openbell")}


def test_whoever_stops_looking_ends_all_of_it(intake: Intake, kept: Kept) -> None:
    intake = Intake(kept, OPEN_NS, capacity=10)
    said: list[bool] = []

    def push() -> None:
        number = 0
        while intake.push(PRINTS, TRADE, OPEN_NS, PRICE, number := number + 1):
            pass
        said.append(False)

    source = threading.Thread(target=push)
    source.start()
    system = system_of(intake, kept)
    slices = iter(system)
    for _ in range(3):
        next(slices)
    slices.close()  # type: ignore[attr-defined]  # a generator
    source.join(10)
    assert said == [False]
    assert system.state == "stopped"
    assert not alive()
    assert play(replayed(kept)).counts[str(PRINTS)].played >= 3


def test_a_fault_in_the_recording_surfaces_where_slices_are_taken() -> None:
    class Full(Kept):
        def append(self, arrivals: Sequence[Arrival]) -> None:
            raise StoreError("the disk is full")

    kept = Full(header(PRINTS))
    intake = Intake(kept, OPEN_NS)
    intake.push(PRINTS, TRADE, OPEN_NS, PRICE)
    system = system_of(intake, kept)
    with pytest.raises(StoreError, match="full"):
        play(system)
    assert not intake.push(PRINTS, TRADE, OPEN_NS, PRICE)
    assert not alive()
