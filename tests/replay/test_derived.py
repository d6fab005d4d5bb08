"""Rule 3: derived bars, grouped by time and never by count, known at the end of their interval."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.market.bars import Bars
from openbell.market.build import widen_counted
from openbell.market.calendars import calendar, user_calendar
from openbell.market.errors import BadDataError, UsageError
from openbell.market.moments import HOUR_NS, MINUTE_NS, iso
from openbell.market.timeframe import timeframe
from openbell.replay import kernels
from tests.replay.playing import at, every_minute, minutes, play, records, rows_of, stored, trades

MONDAY = ("2019-06-03", "2019-06-04")
OPEN, CLOSE = "2019-06-03T13:30Z", "2019-06-03T20:00Z"


def derived(data: Bars, frame: str, start: str, end: str, **plan: Any) -> tuple[Bars, Any, Any]:
    """The derived bars of one replay, when each is known, and of how many it is made."""
    system = stored(data).system(start, end, derived=(frame,), **plan)
    ((bars, known_ns, present),) = rows_of(system, kernels.DERIVED)
    return bars, known_ns, present


def test_an_interval_ends_where_no_base_bar_ends() -> None:
    bars = minutes("XNYS:SPY/1m", "2019-06-03T13:31Z", "2019-06-03T13:36Z")
    _made, known, present = derived(bars, "5m", *MONDAY)
    assert [iso(t) for t in known.tolist()] == ["2019-06-03T13:35:00Z", "2019-06-03T13:40:00Z"]
    assert present.tolist() == [1, 1]
    times = [s.time_ns for s in stored(bars).system(*MONDAY, derived=("5m",))]
    assert [iso(t)[11:16] for t in times] == ["13:32", "13:35", "13:37", "13:40"]


def test_missing_minutes_do_not_shift_what_follows() -> None:
    whole = every_minute("XNYS:SPY/1m", OPEN, CLOSE)
    kept = np.ones(len(whole), bool)
    kept[[0, 7, 8, 9, 10, 11, 200]] = False
    full, *_ = derived(whole, "5m", *MONDAY)
    made, _known, present = derived(whole.take(kept), "5m", *MONDAY)
    assert made.start_ns.tolist() == full.start_ns.tolist()
    assert present[:4].tolist() == [4, 2, 3, 5]
    untouched = np.ones(len(full), bool)
    untouched[[0, 1, 2, 40]] = False
    assert made.take(untouched) == full.take(untouched)


def test_an_interval_without_base_bars_makes_none() -> None:
    bars = minutes("XNYS:SPY/1m", "2019-06-03T13:30Z", "2019-06-03T15:00Z")
    made, _, _ = derived(bars, "15m", *MONDAY)
    assert [iso(t)[11:16] for t in made.start_ns.tolist()] == ["13:30", "15:00"]


def test_intervals_are_counted_from_the_open_and_the_last_ends_at_the_close() -> None:
    made, known, present = derived(every_minute("XNYS:SPY/1m", OPEN, CLOSE), "1h", *MONDAY)
    assert [iso(t)[11:16] for t in made.start_ns.tolist()][:2] == ["13:30", "14:30"]
    assert present.tolist() == [60] * 6 + [30]
    assert iso(int(known[-1])) == "2019-06-03T20:00:00Z"


def test_a_half_day_cuts_the_last_interval() -> None:
    half = every_minute("XNYS:SPY/1m", "2015-12-24T14:30Z", "2015-12-24T18:00Z")
    _made, known, present = derived(half, "1h", "2015-12-24", "2015-12-25")
    assert present.tolist() == [60, 60, 60, 30]
    assert iso(int(known[-1])) == "2015-12-24T18:00:00Z"


def test_intervals_of_a_venue_around_the_clock_are_counted_from_midnight() -> None:
    bars = every_minute("COINBASE:BTCUSD/1m", "2018-04-05T23:30Z", "2018-04-06T05:30Z")
    made, _, present = derived(bars, "4h", "2018-04-05", "2018-04-07")
    assert [iso(t)[8:16] for t in made.start_ns.tolist()] == ["05T20:00", "06T00:00", "06T04:00"]
    assert present.tolist() == [30, 240, 90]


def test_a_derived_bar_is_known_at_the_close_though_its_interval_would_go_on() -> None:
    """Bars counted from midnight, in a session of one's own that closes at half past."""
    hours = user_calendar("office", "UTC", "09:15", "12:30")
    bars = every_minute("COINBASE:BTCUSD/1m", "2018-04-05T09:00Z", "2018-04-05T13:00Z")
    made, known, present = derived(
        bars, "1h", "2018-04-05", "2018-04-06", calendars={"COINBASE:BTCUSD": hours}
    )
    assert [iso(t)[11:16] for t in made.start_ns.tolist()] == ["09:15", "10:00", "11:00", "12:00"]
    assert [iso(t)[11:16] for t in known.tolist()] == ["10:00", "11:00", "12:00", "12:30"]
    assert present.tolist() == [45, 60, 60, 30]


@pytest.mark.parametrize("per_chunk", [1, 2, 4])
def test_a_week_becomes_known_when_its_last_session_closes(per_chunk: int) -> None:
    bars = minutes("XNYS:SPY/1m", "2019-06-03T13:30Z", "2019-06-05T13:30Z", "2019-06-11T13:30Z")
    _made, known, present = derived(
        bars, "1w", "2019-06-03", "2019-06-15", sessions_per_chunk=per_chunk
    )
    assert [iso(t) for t in known.tolist()] == ["2019-06-07T20:00:00Z", "2019-06-14T20:00:00Z"]
    assert present.tolist() == [2, 1]


def test_a_week_whose_end_is_not_played_does_not_become_known() -> None:
    bars = every_minute("XNYS:SPY/1m", OPEN, CLOSE)
    made, *_ = derived(bars, "1w", "2019-06-03", "2019-06-07")
    assert not len(made)


@pytest.mark.parametrize(
    ("base", "frame"), [("5m", "1m"), ("5m", "5m"), ("1h", "45m"), ("3m", "5m"), ("1M", "5m")]
)
def test_a_timeframe_that_is_not_wider_or_does_not_fit_is_refused(base: str, frame: str) -> None:
    bars = minutes(f"XNYS:SPY/{base}", OPEN)
    with pytest.raises(UsageError, match=f"{frame} bars cannot be built from {base} bars"):
        stored(bars).system(*MONDAY, derived=(frame,))


def test_a_base_bar_that_reaches_over_a_derived_one_is_refused_and_shows_no_future() -> None:
    """Hours counted from midnight do not fit into two hours counted from half past nine."""
    bars = minutes("XNYS:SPY/1h", "2019-06-03T14:00Z", "2019-06-03T15:00Z", width_ns=HOUR_NS)
    with pytest.raises(BadDataError, match="15:30:00Z, where the wide bar it starts in ends"):
        play(stored(bars).system(*MONDAY, derived=("2h",)))


def test_trades_have_no_derived_bars() -> None:
    system = stored(trades("XNYS:SPY/trades", "2019-06-03T14:00Z")).system(*MONDAY, derived=("5m",))
    assert [r.kind for r in records(system)] == ["open", "trade", "close"]


sizes = st.sampled_from(["3m", "5m", "10m", "15m", "30m", "45m", "1h", "2h", "4h", "1d"])


@given(
    st.sets(st.integers(0, 389), min_size=1, max_size=60),
    st.sampled_from(["2019-06-03", "2019-07-03"]),
    sizes,
)
def test_derived_bars_are_those_built_from_the_whole_session(
    present: set[int], day: str, frame: str
) -> None:
    session = calendar("XNYS").session(day)
    starts = [session.open_ns + k * MINUTE_NS for k in sorted(present)]
    bars = minutes("XNYS:SPY/1m", *starts)
    made, known, counts = derived(bars, frame, day, f"{day}T23:00")
    expected, of = widen_counted(bars.between(session.open_ns, session.close_ns), timeframe(frame))
    assert made == expected
    assert counts.tolist() == of.tolist()
    assert known.tolist() == expected.end_ns.tolist()


@given(
    st.sets(st.integers(0, 3 * 1440 - 1), min_size=1, max_size=60),
    st.sampled_from(["3m", "45m", "4h", "12h", "1d", "3d"]),
    st.integers(1, 3),
)
def test_derived_bars_do_not_depend_on_where_chunks_are_cut(
    present: set[int], frame: str, per_chunk: int
) -> None:
    first = at("2018-04-04")
    bars = minutes("COINBASE:BTCUSD/1m", *(first + k * MINUTE_NS for k in sorted(present)))
    whole = derived(bars, frame, "2018-04-04", "2018-04-07", sessions_per_chunk=3)
    cut = derived(bars, frame, "2018-04-04", "2018-04-07", sessions_per_chunk=per_chunk)
    assert whole[0] == cut[0]
    assert whole[1].tolist() == cut[1].tolist()
    assert whole[2].tolist() == cut[2].tolist()
