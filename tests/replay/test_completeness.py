"""Completeness during play: bars present ÷ bars expected, as a count by hand gives it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.market.calendars import calendar, expected_starts
from openbell.market.moments import HOUR_NS, MINUTE_NS
from openbell.market.session import Session
from openbell.replay.upkeep import total
from tests.replay.playing import every_minute, minutes, play, quotes, stored, trades


def expected_by_hand(session: Session, now_ns: int, width_ns: int = MINUTE_NS) -> int:
    """How many of the session's bars have ended by now, one after the other."""
    starts = expected_starts(session, width_ns).tolist()
    return sum(min(start + width_ns, session.close_ns) <= now_ns for start in starts)


@settings(max_examples=30)
@given(
    st.sets(st.integers(0, 419), min_size=1, max_size=200),
    st.sampled_from([("XNYS:SPY", "2019-07-03"), ("XHKG:700", "2019-06-03")]),
    st.integers(1, 2),
)
def test_completeness_at_any_moment_is_a_count_by_hand(
    present: set[int], what: tuple[str, str], per_chunk: int
) -> None:
    name, day = what
    session = calendar(name[:4]).session(day)
    bars = minutes(f"{name}/1m", *(session.open_ns + k * MINUTE_NS for k in sorted(present)))
    starts = set(bars.start_ns.tolist()) & set(expected_starts(session, MINUTE_NS).tolist())
    other = every_minute("COINBASE:BTCUSD/1m", f"{day}T00:00Z", f"{day}T23:00Z")
    system = stored(bars, other).system(day, f"{day}T23:30", sessions_per_chunk=per_chunk)
    for current in system:
        own = current.session
        if current.time_ns % (7 * MINUTE_NS) or own.session is None:
            continue
        now = current.time_ns
        expected = expected_by_hand(session, now)
        seen = sum(start + MINUTE_NS <= now for start in starts)
        assert own[name].completeness == (seen / expected if expected else 1.0)
        assert own[name].bar_quality == 100.0 * own[name].completeness
    (measured,) = [m for m in system.coordinator.measured if m.instrument == name]
    assert (measured.present, measured.expected) == (
        len(starts),
        len(expected_starts(session, MINUTE_NS)),
    )


def test_hours_are_expected_as_hours() -> None:
    bars = minutes("XNYS:SPY/1h", "2019-06-03T13:30Z", "2019-06-03T19:30Z", width_ns=HOUR_NS)
    system = play(stored(bars).system("2019-06-03", "2019-06-04"))
    (measured,) = system.coordinator.measured
    assert (measured.present, measured.expected) == (2, 7)


def test_extended_bars_do_not_make_up_for_regular_ones() -> None:
    bars = minutes("XNYS:SPY/1m", "2019-06-03T12:00Z", "2019-06-03T13:30Z", "2019-06-03T21:00Z")
    system = play(stored(bars).system("2019-06-03", "2019-06-04", extended=True))
    (measured,) = system.coordinator.measured
    assert (measured.present, measured.expected) == (1, 390)


def test_nothing_is_expected_before_the_first_minute_has_ended_nor_between_sessions() -> None:
    bars = every_minute("XNYS:SPY/1m", "2019-06-03T13:30Z", "2019-06-03T20:00Z")
    ticks = trades("XNYS:SPY/trades", "2019-06-03T13:30:10Z")
    system = stored(bars, ticks).system("2019-06-03", "2019-06-04")
    first = next(iter(system))
    assert first.session.completeness == 1.0
    system = play(stored(bars, ticks).system("2019-06-03", "2019-06-04"))
    assert not system.session_data[0].is_active
    assert system.session_data[0].completeness == 1.0


def test_ticks_count_neither_as_present_nor_as_missing() -> None:
    half = every_minute("XNYS:SPY/1m", "2019-06-03T13:30Z", "2019-06-03T16:45Z")
    ticks = quotes("XNYS:QQQ/quotes", "2019-06-03T14:00Z", "2019-06-03T20:00Z")
    system = stored(half, ticks).system("2019-06-03", "2019-06-04")
    for current in system:
        assert current.session["XNYS:QQQ"].completeness == 1.0
        mean = current.session.completeness
        assert mean == current.session["XNYS:SPY"].completeness
    assert [m.instrument for m in system.coordinator.measured] == ["XNYS:SPY"]


@pytest.mark.parametrize("per_chunk", [1, 2])
def test_a_whole_run_is_measured_over_all_sessions_and_instruments(per_chunk: int) -> None:
    spy = every_minute("XNYS:SPY/1m", "2019-06-03T13:30Z", "2019-06-03T20:00Z")
    qqq = every_minute("XNYS:QQQ/1m", "2019-06-03T13:30Z", "2019-06-04T16:45Z")
    system = play(stored(spy, qqq).system("2019-06-03", "2019-06-05", sessions_per_chunk=per_chunk))
    whole: Any = total(system.coordinator.measured)
    assert whole == (
        (390 + 390 + 0 + 195) / 1560,
        {"2019-06-03": 1.0, "2019-06-04": 195 / 780},
    )
