"""Speed, pause, step and seek: they change when a slice is released, never which."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from openbell.market.errors import CancelledError, ReplayError, UsageError
from openbell.market.moments import MINUTE_NS, SECOND_NS, iso
from openbell.replay.pacing import Pace, Unit
from openbell.replay.system import System
from tests.replay.jumps import Jumps
from tests.replay.playing import Stored, at, every_minute, minutes, stored

DAYS = every_minute("XNYS:SPY/1m", "2019-06-03T13:30Z", "2019-06-03T20:00Z")
TWO = stored(
    type(DAYS).joined([DAYS, every_minute("XNYS:SPY/1m", "2019-06-04T13:30Z", "2019-06-04T20:00Z")])
)


def paced(data: Stored, pace: Pace, **plan: object) -> System:
    return data.system("2019-06-03", "2019-06-05", pace=pace, **plan)


def test_every_slice_is_released_when_it_is_due_and_a_night_takes_the_grace_alone() -> None:
    real = Jumps()
    system = paced(TWO, Pace(60, real, close_grace_s=60))
    released = [(s.time_ns, real.real_ns) for s in system]
    first = 5 * SECOND_NS
    assert [r - first for _, r in released[:390]] == [SECOND_NS * k for k in range(1, 391)]
    assert released[390][1] - released[389][1] == 2 * SECOND_NS  # a minute's grace, a minute's bar
    assert released[-1][1] == first + (390 + 1 + 390) * SECOND_NS


def test_a_change_of_speed_counts_from_where_the_clock_stands() -> None:
    real = Jumps()
    pace = Pace(60, real)
    times = []
    for k, _ in enumerate(paced(TWO, pace)):
        times.append(real.real_ns)
        if k == 9:
            pace.speed = 600
        if k == 19:
            break
    assert times[9] - times[0] == 9 * SECOND_NS
    assert times[19] - times[9] == SECOND_NS


def test_streams_that_run_dry_do_not_keep_a_session_open_for_hours() -> None:
    real = Jumps()
    pace = Pace(1, real, end_of_data_s=60)
    early = stored(every_minute("XNYS:SPY/1m", "2019-06-03T13:30Z", "2019-06-03T18:30Z"))
    system = early.system("2019-06-03", "2019-06-04", pace=pace)
    last_ns = 0
    for _ in system:
        last_ns = real.real_ns
    assert real.real_ns - last_ns == pytest.approx(60 * SECOND_NS, abs=SECOND_NS // 5)
    assert pace.timer_expired
    assert iso(system.clock.now()) == "2019-06-03T20:00:00Z"


def test_a_step_releases_one_slice_one_bar_or_a_session() -> None:
    real = Jumps()
    pace = Pace(0, real, is_paused=True)
    seen: list[tuple[str, str]] = []
    units: Iterator[Unit] = iter(["slice", "slice", "bar", "session", "slice"])
    done: list[str] = []

    def next_step() -> None:
        unit = next(units, None)
        if unit is None:
            pace.stop()
            return
        done.append(unit)
        pace.step(unit)

    real.at_wait = [next_step] * 6

    def play() -> None:
        for one in paced(TWO, pace, derived=("5m",)):
            seen.append((done[-1], iso(one.time_ns)))  # noqa: PERF401  # it ends by an error

    with pytest.raises(CancelledError):
        play()
    assert [s for s in seen if s[0] != "session"][:3] == [
        ("slice", "2019-06-03T13:31:00Z"),
        ("slice", "2019-06-03T13:32:00Z"),
        ("bar", "2019-06-03T13:33:00Z"),
    ]
    session = [moment for unit, moment in seen if unit == "session"]
    assert session[-1] == "2019-06-03T20:00:00Z"
    assert seen[-1] == ("slice", "2019-06-04T13:31:00Z")


def test_seeking_forward_and_back_lands_behind_what_is_known_then() -> None:
    pace = Pace(0, Jumps())
    seen: list[int] = []
    goals = iter(["2019-06-04T14:00Z", "2019-06-03T14:00Z", "2019-06-04T15:00Z"])
    system = paced(TWO, pace, sessions_per_chunk=1)
    for one in system:
        if len(seen) in (10, 500, 900) and (goal := next(goals, None)):
            pace.seek(at(goal))
        seen.append(one.time_ns)
    back = next(k for k in range(1, len(seen)) if seen[k] < seen[k - 1])
    assert back == 501
    assert iso(seen[back]) == "2019-06-03T13:31:00Z"  # called again on the way, from a checkpoint
    assert seen[back:] == [s.time_ns for s in paced(TWO, Pace(0, Jumps()))]


def test_pauses_steps_and_seeks_leave_no_trace_in_the_seal() -> None:
    plain = paced(TWO, Pace(), derived=("5m",), trailing=1, sessions_per_chunk=1)
    list(plain)
    pace = Pace(360, Jumps())
    moved = paced(TWO, pace, derived=("5m",), trailing=1, sessions_per_chunk=1)
    for k, _ in enumerate(moved):
        if k == 100:
            pace.seek(at("2019-06-04T18:00Z"))
        if k == 700:
            pace.seek(at("2019-06-03T15:00Z"))
        if k == 1000:
            pace.speed = 0
    assert moved.tape.seal == plain.tape.seal
    assert list(moved.coordinator.measured) == list(plain.coordinator.measured)


def test_a_paused_replay_shows_where_it_was_held() -> None:
    real = Jumps()
    pace = Pace(1, real)
    for k, _ in enumerate(paced(TWO, pace)):
        if k == 2:
            real.real_ns += 30 * SECOND_NS
            pace.pause()
            held = pace.horizon_ns
            real.real_ns += 30 * SECOND_NS
            assert pace.horizon_ns == held == at("2019-06-03T13:33:30Z")
            pace.resume()
            real.real_ns += 10 * SECOND_NS
            assert pace.horizon_ns == held + 10 * SECOND_NS
            break


def test_a_start_in_the_middle_of_a_session_is_on_time_from_there() -> None:
    real = Jumps()
    system = TWO.system("2019-06-03T15:00Z", "2019-06-04", pace=Pace(60, real))
    first = next(iter(system))
    assert iso(first.time_ns) == "2019-06-03T15:01:00Z"
    assert real.real_ns == 6 * SECOND_NS


@pytest.mark.parametrize("speed", [-1.0, float("inf"), float("nan")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(UsageError, match="a speed of"):
        Pace(speed)


def test_a_stop_from_another_thread_ends_a_wait() -> None:
    pace = Pace(0.001)
    system = paced(TWO, pace)
    threading.Timer(0.1, system.stop).start()
    with pytest.raises(CancelledError, match="stopped"):
        list(system)
    assert system.state == "stopped"


# Several consumers


def test_two_consumers_go_in_lock_step_at_full_speed() -> None:
    system = paced(TWO, Pace())
    other = system.follow("chart")
    mine: list[int] = []
    apart: list[int] = []
    seen: list[int] = []

    def work() -> None:
        for one in other:
            seen.append(one.time_ns)
            apart.append(len(mine) - len(seen))

    thread = threading.Thread(target=work)
    thread.start()
    mine.extend(one.time_ns for one in system)
    thread.join(10)
    assert seen == mine
    assert set(apart) <= {-1, 0}
    assert other.late == 0


def test_a_slow_consumer_of_a_paced_replay_gets_everything_and_is_counted_late() -> None:
    few = stored(
        minutes("XNYS:SPY/1m", *range(at("2019-06-03T13:30Z"), at("2019-06-03T13:40Z"), MINUTE_NS))
    )
    system = few.system("2019-06-03", "2019-06-04", pace=Pace(6000, end_of_data_s=0.01))
    other = system.follow("slow", capacity=2)
    seen = []
    gate = threading.Event()

    def work() -> None:
        for one in other:
            gate.wait(0.04)
            seen.append(one.time_ns)

    thread = threading.Thread(target=work)
    thread.start()
    mine = [one.time_ns for one in system]
    thread.join(10)
    assert seen == mine
    assert other.late > 0
    assert other.lateness_ns_max > 20_000_000


def test_a_follower_that_leaves_holds_nobody_up() -> None:
    system = paced(TWO, Pace())
    other = system.follow("short")

    def work() -> None:
        for one in other:
            if one.time_ns == at("2019-06-03T13:40Z"):
                break

    thread = threading.Thread(target=work)
    thread.start()
    assert len(list(system)) == 780
    thread.join(10)


def test_a_system_can_be_looped_over_asynchronously() -> None:
    async def collect() -> list[int]:
        return [one.time_ns async for one in paced(TWO, Pace()).stream()]

    assert asyncio.run(collect()) == [one.time_ns for one in paced(TWO, Pace())]


def test_a_rewind_without_a_pace_cannot_be_asked_for() -> None:
    system = TWO.system("2019-06-03", "2019-06-05")
    assert system.pace is None
    assert system.state == "stopped"
    with pytest.raises(ReplayError, match="not started"):
        next(system.steps())
