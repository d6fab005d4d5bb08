"""Seeks, pauses, stops and changes of streams at awkward moments: nights, edges, half-way."""

import asyncio
import threading
from typing import Any

import pytest

from openbell.market.errors import CancelledError, UsageError
from openbell.market.instrument import Pin, Series
from openbell.market.moments import MINUTE_NS, SECOND_NS
from openbell.ports import Data
from openbell.replay.pacing import Pace
from openbell.replay.system import ReplayPlan, System
from tests.replay.jumps import Jumps
from tests.replay.playing import Stored, at, every_minute, stored

SPY, QQQ = Series.parse("XNYS:SPY/1m"), Series.parse("XNAS:QQQ/1m")
DAYS = ("2019-06-03", "2019-06-04")
FIRST_CLOSE, SECOND_OPEN = at("2019-06-03T20:00Z"), at("2019-06-04T13:30Z")


def both_days(name: str, base: float = 100.0) -> Data:
    days = [every_minute(name, f"{day}T13:30Z", f"{day}T20:00Z", base) for day in DAYS]
    return type(days[0]).joined(days)


DATA = stored(both_days("XNYS:SPY/1m"), both_days("XNAS:QQQ/1m", 50.0))


def system(*which: int, data: Stored = DATA, pace: Pace | None = None, **plan: Any) -> System:
    pins = tuple(data.pins[k] for k in which)
    return data.system("2019-06-03", "2019-06-05", pins=pins, pace=pace, **plan)


def plain_seal(*which: int, **plan: Any) -> str:
    played = system(*which, **plan)
    list(played)
    return played.tape.seal


# Seeks


@pytest.mark.parametrize("per_chunk", [1, 4])
@pytest.mark.parametrize("from_", ["2019-06-03T14:00Z", "2019-06-04T14:00Z"])
def test_a_seek_into_the_night_waits_for_no_night(per_chunk: int, from_: str) -> None:
    real = Jumps()
    pace = Pace(60, real)
    played = system(0, pace=pace, sessions_per_chunk=per_chunk)
    sought_ns, released = 0, {}
    for one in played:
        released[one.time_ns] = real.real_ns
        if one.time_ns == at(from_) and not sought_ns:
            sought_ns = real.real_ns
            pace.seek(at("2019-06-04T02:00Z"))
    assert released[SECOND_OPEN + MINUTE_NS] - sought_ns == SECOND_NS
    assert played.tape.seal == plain_seal(0)


@pytest.mark.parametrize("goal", ["2019-06-01", "2019-06-03T13:30Z"])
def test_a_seek_before_the_first_open_begins_there(goal: str) -> None:
    real = Jumps()
    pace = Pace(60, real)
    sought_ns, times = 0, []
    for one in system(0, pace=pace):
        times.append(real.real_ns)
        if not sought_ns and one.time_ns == at("2019-06-03T14:00Z"):
            sought_ns = real.real_ns
            pace.seek(at(goal))
    assert times[30] - sought_ns == SECOND_NS
    assert len(times) == 30 + 780


def test_a_seek_before_a_start_in_the_middle_of_a_session_begins_at_the_start() -> None:
    real = Jumps()
    pace = Pace(60, real)
    sought_ns, times = 0, []
    for one in DATA.system("2019-06-03T15:00Z", "2019-06-04", pace=pace):
        times.append((one.time_ns, real.real_ns))
        if not sought_ns and one.time_ns == at("2019-06-03T16:00Z"):
            sought_ns = real.real_ns
            pace.seek(at("2019-06-03T14:00Z"))
    assert times[60] == (at("2019-06-03T15:01Z"), sought_ns + SECOND_NS)


def test_a_seek_after_the_last_close_plays_the_rest_and_ends() -> None:
    real = Jumps()
    pace = Pace(1, real)
    played = system(0, pace=pace)
    for k, _ in enumerate(played):
        if k == 5:
            pace.seek(at("2020-01-01"))
    assert real.real_ns < 5 * SECOND_NS + 7 * 60 * SECOND_NS
    assert played.tape.seal == plain_seal(0)


def test_of_two_seeks_the_second_holds() -> None:
    pace = Pace(0, Jumps())
    seen: list[int] = []
    for one in system(0, pace=pace, sessions_per_chunk=1):
        seen.append(one.time_ns)
        if len(seen) == 500:
            pace.seek(at("2019-06-03T14:00Z"))
            pace.seek(at("2019-06-04T18:00Z"))
    assert seen == sorted(seen)


def test_a_seek_while_going_back_goes_further_back() -> None:
    """The second goal lies before the checkpoint that the first one went back to."""
    real = Jumps()
    pace = Pace(60, real, is_paused=True)
    goals = iter(["2019-06-04T15:00Z", "2019-06-04T14:00Z", "2019-06-03T15:00Z"])
    shown: list[int] = []

    def move() -> None:
        goal = next(goals, None)
        if goal is None:
            pace.stop()
            return
        pace.seek(at(goal))
        if goal == "2019-06-04T14:00Z":  # and at once, before anything was released again
            pace.seek(at(next(goals)))

    real.at_wait = [move] * 4
    played = system(0, pace=pace, sessions_per_chunk=1)
    with pytest.raises(CancelledError):
        shown.extend(one.time_ns for one in played)
    assert played.clock.now() == at("2019-06-03T15:00Z")


def test_a_step_after_a_seek_is_one_slice_further_than_the_goal() -> None:
    real = Jumps()
    pace = Pace(60, real, is_paused=True)

    def move() -> None:
        pace.seek(at("2019-06-03T15:00Z"))
        pace.step("bar")

    real.at_wait = [move, pace.stop]
    played = system(0, pace=pace)
    with pytest.raises(CancelledError):
        list(played)
    assert played.clock.now() == at("2019-06-03T15:01Z")


# Pauses


def test_a_pause_ends_a_step() -> None:
    real = Jumps()
    pace = Pace(60, real, is_paused=True)
    real.at_wait = [lambda: pace.step("session"), pace.stop]
    seen: list[int] = []

    def play() -> None:
        for one in system(0, pace=pace):
            seen.append(one.time_ns)
            if len(seen) == 10:
                pace.pause()

    with pytest.raises(CancelledError):
        play()
    assert len(seen) == 10


def test_a_step_leaves_the_clock_where_it_stood() -> None:
    real = Jumps()
    pace = Pace(1, real)
    for k, _ in enumerate(system(0, pace=pace)):
        if k == 2:
            real.real_ns += 30 * SECOND_NS
            pace.step()
            assert pace.horizon_ns == at("2019-06-03T13:33:30Z")
            break


def test_the_clock_stays_where_it_was_until_the_next_session_opens() -> None:
    real = Jumps()
    pace = Pace(60, real, close_grace_s=3600)
    played = system(0, pace=pace, sessions_per_chunk=1)
    seen: list[tuple[int, int]] = []
    for one in played:
        if one.time_ns == FIRST_CLOSE:
            real.at_wait = [lambda: seen.append((played.clock.now(), pace.horizon_ns))] * 20
    night = {now for now, _ in seen}
    assert night == {FIRST_CLOSE}
    horizons = [horizon for _, horizon in seen]
    assert horizons == sorted(horizons)
    assert FIRST_CLOSE < horizons[0] < horizons[-1] <= FIRST_CLOSE + 3600 * SECOND_NS


def test_a_pause_in_the_night_takes_nothing_off_the_grace() -> None:
    real = Jumps()
    pace = Pace(1, real, close_grace_s=60)
    played = system(0, pace=pace)
    slept: list[int] = []

    def hold() -> None:
        slept.append(real.real_ns)
        pace.pause()

    released = {}
    for one in played:
        released[one.time_ns] = real.real_ns
        if one.time_ns == FIRST_CLOSE:
            real.at_wait = [lambda: None, hold, lambda: None, pace.resume]
    night_ns = released[SECOND_OPEN + MINUTE_NS] - released[FIRST_CLOSE]
    assert night_ns == pytest.approx(120 * SECOND_NS + 0.2 * SECOND_NS, abs=SECOND_NS)


# Streams


@pytest.mark.parametrize("per_chunk", [1, 4])
def test_streams_changed_in_the_night_miss_no_opening(per_chunk: int) -> None:
    real = Jumps()
    pace = Pace(60, real)
    played = system(0, pace=pace, sessions_per_chunk=per_chunk)
    seen: list[tuple[int, ...]] = []
    for one in played:
        seen.append((one.time_ns, *(one[name].start_ns for name in one)))
        if one.time_ns == FIRST_CLOSE:
            real.at_wait = [lambda: played.register(DATA.pins[1])]
    assert len(seen[390:]) == 390
    assert {len(each) for each in seen[390:]} == {3}
    assert [m.present for m in played.coordinator.measured] == [390, 390, 390]


def test_streams_changed_before_the_first_open_miss_no_opening() -> None:
    played = system(0, pace=Pace())
    played.register(DATA.pins[1])
    list(played)
    assert [m.present for m in played.coordinator.measured] == [390] * 4


def test_streams_changed_while_held_after_going_back_change_there() -> None:
    real = Jumps()
    pace = Pace(60, real)
    played = system(0, pace=pace, sessions_per_chunk=1)
    real.at_wait = [
        lambda: pace.seek(at("2019-06-04T15:00Z")),
        pace.pause,
        lambda: pace.seek(at("2019-06-03T15:00Z")),
        lambda: played.register(DATA.pins[1]),
        lambda: setattr(pace, "speed", 0),
        pace.resume,
    ]
    first = None
    for one in played:
        if first is None and "XNAS:QQQ" in one:
            first = one.time_ns
    assert first == at("2019-06-03T15:01Z")
    assert [m.present for m in played.coordinator.measured] == [390, 300, 390, 390]


@pytest.mark.parametrize("moment", ["2019-06-03T14:00Z", "2019-06-03T20:00Z"])
def test_two_changes_while_held_are_both_made(moment: str) -> None:
    real = Jumps()
    pace = Pace(0, real)
    played = system(0, pace=pace)
    real.at_wait = [
        lambda: played.register(DATA.pins[1]),
        lambda: played.cancel(SPY),
        pace.resume,
    ]
    seen: dict[str, int] = {}
    for one in played:
        seen.update(dict.fromkeys(one, one.time_ns))
        if one.time_ns == at(moment):
            pace.pause()
    assert seen == {"XNYS:SPY": at(moment), "XNAS:QQQ": at("2019-06-04T20:00Z")}


def test_a_stream_is_cancelled_once() -> None:
    played = system(0, 1, pace=Pace())
    for k, _ in enumerate(played):
        if k == 3:
            played.cancel(QQQ)
        if k == 6:
            with pytest.raises(UsageError, match="XNAS:QQQ/1m was cancelled"):
                played.cancel(QQQ)


# Ends


def test_a_replay_that_is_stopped_from_its_own_loop_says_so() -> None:
    for pace in (None, Pace()):
        played = system(0, pace=pace, sessions_per_chunk=1)
        seen: list[int] = []

        def loop(played: System, seen: list[int]) -> None:
            for one in played:
                seen.append(one.time_ns)
                if len(seen) == 5:
                    played.stop()

        with pytest.raises(CancelledError, match="stopped"):
            loop(played, seen)
        assert len(seen) <= 390


def test_a_loop_that_is_left_early_leaves_no_thread_behind() -> None:
    played = system(0, pace=Pace(60), sessions_per_chunk=1)
    slices = iter(played)
    pace = played.pace
    assert pace is not None
    pace.seek(at("2019-06-03T14:00Z"))
    next(slices)
    slices.close()  # type: ignore[attr-defined]  # a generator
    assert played.state == "stopped"
    assert "openbell-prefetch" not in {thread.name for thread in threading.enumerate()}


def test_an_asynchronous_loop_can_be_cancelled_while_the_replay_waits() -> None:
    played = system(0, pace=Pace(0.001))

    async def wait() -> None:
        async for _ in played.stream():
            pass

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait(), 0.2)

    asyncio.run(main())
    assert played.state == "stopped"


class Failing:
    """A store that fails at the n-th read."""

    def __init__(self, at_read: int) -> None:
        self.left = at_read

    def read(self, pin: Pin, start_ns: int, end_ns: int) -> Data:
        self.left -= 1
        if not self.left:
            raise OSError("the disk is gone")
        return DATA.store.read(pin, start_ns, end_ns)


def test_an_error_of_prefetch_after_going_back_surfaces() -> None:
    store: Any = Failing(5)
    plan = ReplayPlan(
        DATA.pins[:1], at("2019-06-03"), at("2019-06-05"), sessions_per_chunk=1, prefetch=1
    )
    pace = Pace()
    played = System(store, plan, {}, pace=pace)

    def loop() -> None:
        for one in played:
            if one.time_ns == at("2019-06-04T15:00Z"):
                pace.seek(at("2019-06-03T15:00Z"))

    with pytest.raises(OSError, match="the disk is gone"):
        loop()
    assert store.left <= 0
    assert played.state == "stopped"


class Reading:
    """A store that says when the n-th day is read."""

    def __init__(self, day: str) -> None:
        self.day_ns = at(day)
        self.is_read = threading.Event()

    def read(self, pin: Pin, start_ns: int, end_ns: int) -> Data:
        if end_ns > self.day_ns:
            self.is_read.set()
        return DATA.store.read(pin, start_ns, end_ns)


@pytest.mark.parametrize("prefetch", [0, 3])
def test_what_was_counted_is_what_was_played_however_far_it_was_read(prefetch: int) -> None:
    store: Any = Reading("2019-06-04")
    plan = ReplayPlan(
        DATA.pins[:1], at("2019-06-03"), at("2019-06-05"), sessions_per_chunk=1, prefetch=prefetch
    )
    played = System(store, plan, {})
    for one in played:
        if one.time_ns == at("2019-06-03T15:00Z"):
            assert not prefetch or store.is_read.wait(10)
            break
    assert played.counts["XNYS:SPY/1m"].played == 390
    assert store.is_read.is_set() == bool(prefetch)


# Followers


def test_a_follower_that_raises_holds_nobody_up() -> None:
    played = system(0, pace=Pace())
    other = played.follow("broken")
    raised: list[Exception] = []
    bars: dict[str, Any] = {}

    def work() -> None:
        try:
            for one in other:
                bars["XNYS:SPY"] = one["XNYS:SPY"] if len(bars) < 1 else one["XNYS:QQQ"]
        except UsageError as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert len(list(played)) == 780
    thread.join(10)
    assert len(raised) == 1


def test_a_follower_is_late_by_what_it_took_and_not_by_the_night() -> None:
    real = Jumps()
    pace = Pace(60, real)
    plan = ReplayPlan(DATA.pins[:1], at("2019-06-03"), at("2019-06-05"), prefetch=0)
    played = System(DATA.store, plan, {}, pace=pace, scheduler=real)
    other = played.follow("chart", capacity=2000)
    list(played)
    assert len(list(other)) == 780
    assert other.lateness_ns_max == (389 + 1 + 390) * SECOND_NS


# Several calendars


def around_the_clock() -> Stored:
    coin = every_minute("COINBASE:BTCUSD/1m", "2019-06-03", "2019-06-05", 9000.0)
    return stored(both_days("XNYS:SPY/1m"), coin)


BOTH = around_the_clock()


@pytest.mark.parametrize("start", ["2019-06-03", "2019-06-03T15:00Z", "2019-06-04T13:30Z"])
def test_calendars_side_by_side_give_one_seal_however_they_are_moved(start: str) -> None:
    def play(pace: Pace | None, moves: dict[int, int]) -> System:
        played = BOTH.system(
            start, "2019-06-05", pace=pace, sessions_per_chunk=1, derived=("5m",), trailing=1
        )
        for k, _ in enumerate(played):
            if k in moves and pace is not None:
                pace.seek(moves.pop(k))
        return played

    plain = play(None, {})
    moves = {
        100: at("2019-06-04T18:00Z"),
        1000: at("2019-06-04T00:00Z"),
        1500: at("2019-06-03T13:30Z"),
        2500: at("2019-06-04T20:00Z"),
    }
    moved = play(Pace(100_000, Jumps()), moves)
    assert moved.tape.digests == plain.tape.digests
    assert list(moved.coordinator.measured) == list(plain.coordinator.measured)
    assert moved.coordinator.ended == plain.coordinator.ended


def test_two_replays_in_one_process_do_not_know_each_other() -> None:
    first, second = system(0, pace=Pace()), system(0, 1, pace=Pace())
    one, two = iter(first), iter(second)
    pairs = list(zip(one, two, strict=True))
    assert len(pairs) == 780
    assert first.tape.seal == plain_seal(0)
    assert second.tape.seal == plain_seal(0, 1)


def test_a_replay_that_stays_waits_at_its_end_for_a_way_back_or_a_stop() -> None:
    real = Jumps()
    pace = Pace(0, real)
    pace.stays = True
    told: list[tuple[bool, int]] = []
    played = system(0, pace=pace, sessions_per_chunk=1)

    def back() -> None:
        told.append((pace.is_over, pace.horizon_ns))
        pace.seek(at("2019-06-04T15:00Z"))

    real.at_wait = [back, pace.stop]
    seen: list[int] = []
    with pytest.raises(CancelledError):
        seen.extend(one.time_ns for one in played)
    assert told == [(True, at("2019-06-04T20:00Z"))]
    assert played.tape.seal == plain_seal(0)
