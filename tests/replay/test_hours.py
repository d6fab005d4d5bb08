"""What is played and what is withheld: hours, breaks, corrupt rows; each row counted once."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from openbell.market.bars import bars_from
from openbell.market.calendars import calendar
from openbell.market.columns import CORRUPT, FILLED
from openbell.market.errors import RunError, UnorderedError, UsageError
from openbell.market.moments import HOUR_NS, MINUTE_NS, iso
from openbell.replay import kernels
from openbell.replay.feed import Counts
from tests.replay.playing import (
    at,
    every_minute,
    labelled,
    minutes,
    play,
    quotes,
    records,
    rows_of,
    stored,
    trades,
)

DAY = ("2019-06-03", "2019-06-04")
SPY = every_minute("XNYS:SPY/1m", "2019-06-03T08:00Z", "2019-06-04")
HOURS = ("2019-06-03T13:30Z", "2019-06-03T20:00Z")


def test_a_bar_is_known_at_its_end() -> None:
    ((bars, known, _),) = rows_of(stored(SPY).system(*DAY))
    assert known.tolist() == bars.end_ns.tolist()
    assert iso(int(bars.start_ns[0])) == "2019-06-03T13:30:00Z"


def test_bars_outside_regular_hours_are_withheld_and_counted() -> None:
    system = play(stored(SPY).system(*DAY))
    assert system.counts["XNYS:SPY/1m"] == Counts(390, len(SPY) - 390, 0)


@settings(max_examples=25)  # each plays up to four systems
@example(taken=[{0, 1}, {0, 1}], corrupt=True)
@given(
    taken=st.lists(st.sets(st.integers(-2, 3), min_size=1), min_size=2, max_size=3),
    corrupt=st.booleans(),
)
def test_instruments_with_the_same_minutes_play_as_each_would_alone(
    taken: list[set[int]], corrupt: bool
) -> None:
    open_ns = at(HOURS[0])
    data = [
        minutes(f"XNYS:S{k}/1m", *(open_ns + m * MINUTE_NS for m in sorted(own)), base=50.0 + k)
        for k, own in enumerate(taken)
    ]
    if corrupt:
        data[-1] = labelled(data[-1], 0, CORRUPT)
    together = stored(*data).system(*DAY)
    for each, (bars, known, _) in zip(data, rows_of(together), strict=True):
        alone = stored(each).system(*DAY)
        ((own, own_known, _),) = rows_of(alone)
        assert (bars, known.tolist()) == (own, own_known.tolist())
        assert together.counts[str(each.series)] == alone.counts[str(each.series)]


def test_times_that_instruments_share_are_held_once() -> None:
    spy, aapl = (every_minute(f"XNYS:{s}/1m", *HOURS) for s in ("SPY", "AAPL"))
    chunk = play(stored(spy, aapl).system(*DAY)).coordinator.chunk
    one, other = (rows.data.columns() for rows in chunk.rows)
    shared = [name for name, column in one.items() if np.shares_memory(column, other[name])]
    assert shared == ["start_ns", "end_ns"]
    assert np.shares_memory(chunk.rows[0].session, chunk.rows[1].session)


def test_a_bar_that_starts_at_the_close_is_after_hours() -> None:
    bars = minutes("XNYS:SPY/1m", "2019-06-03T19:59Z", "2019-06-03T20:00Z")
    system = stored(bars).system(*DAY)
    assert [r.kind for r in records(system)] == ["open", "bar", "close"]
    assert system.counts["XNYS:SPY/1m"] == Counts(1, 1, 0)


def test_extended_hours_are_played_when_asked_for() -> None:
    system = stored(SPY).system(*DAY, extended=True, derived=("1h",))
    found = records(system)
    session = calendar("XNYS").session("2019-06-03")
    assert (found[0].known_ns, found[-1].known_ns) == (session.pre_ns, session.post_ns)
    assert system.counts["XNYS:SPY/1m"] == Counts(16 * 60, 0, 0)
    hours = [iso(r.known_ns)[11:16] for r in found if r.kind == "derived"]
    assert hours[5:8] == ["13:30", "14:30", "15:30"]
    assert hours[12:14] == ["20:00", "20:30"]


def test_corrupt_rows_are_withheld_and_counted_and_other_labels_are_played() -> None:
    bars = minutes("XNYS:SPY/1m", *(f"2019-06-03T14:0{k}Z" for k in range(5)))
    marked = labelled(labelled(bars, 1, CORRUPT), 3, FILLED)
    system = stored(marked).system(*DAY, derived=("5m",))
    (base, _, _), (_wide, _, present) = (
        rows_of(stored(marked).system(*DAY, derived=("5m",)), kind)[0]
        for kind in (kernels.BAR, kernels.DERIVED)
    )
    assert [iso(t)[14:16] for t in base.start_ns.tolist()] == ["00", "02", "03", "04"]
    assert present.tolist() == [4]
    play(system)
    assert system.counts["XNYS:SPY/1m"] == Counts(4, 0, 1)


def test_bars_of_a_break_are_withheld_and_bars_that_reach_out_of_it_are_not() -> None:
    """Hong Kong rests from 12:00 to 13:00; counted from 9:30, an hour runs over its end."""
    quarter = every_minute("XHKG:700/1m", "2019-06-03T03:55Z", "2019-06-03T05:05Z")
    hours = minutes("XHKG:5/1h", *(f"2019-06-03T{h:02}:30Z" for h in range(1, 8)), width_ns=HOUR_NS)
    system = play(stored(quarter, hours).system(*DAY))
    assert system.counts["XHKG:700/1m"] == Counts(10, 60, 0)
    assert system.counts["XHKG:5/1h"] == Counts(7, 0, 0, over_close=1)
    assert all(m.completeness == 1.0 for m in system.coordinator.measured if "5" in m.instrument)


def test_the_break_of_one_calendar_is_none_of_anothers() -> None:
    around = every_minute("COINBASE:BTCUSD/1m", "2019-06-03T00:00Z", "2019-06-04")
    system = play(stored(minutes("XHKG:700/1m", "2019-06-03T02:00Z"), around).system(*DAY))
    assert system.counts["COINBASE:BTCUSD/1m"] == Counts(1440, 0, 0)


def test_trades_in_a_break_are_withheld_and_the_one_it_begins_with_is_not() -> None:
    times = ["04:00:00", "04:00:01", "04:59:59", "05:00:00"]
    prints = trades("XHKG:700/trades", *(f"2019-06-03T{t}Z" for t in times))
    ((played, _, _),) = rows_of(stored(prints).system(*DAY), kernels.TRADE)
    assert [iso(t)[11:19] for t in played.time_ns.tolist()] == ["04:00:00", "05:00:00"]


@pytest.mark.parametrize("per_chunk", [1, 4])
def test_bars_wider_than_a_day_are_known_at_their_own_end(per_chunk: int) -> None:
    friday = at("2019-06-07T20:00Z")
    weeks = minutes("XNYS:SPY/1w", "2019-06-03T13:30Z", width_ns=friday - at("2019-06-03T13:30Z"))
    system = stored(weeks).system("2019-06-03", "2019-06-08", sessions_per_chunk=per_chunk)
    (bar,) = [r for r in records(system) if r.kind == "bar"]
    assert iso(bar.known_ns) == "2019-06-07T20:00:00Z"
    cut = play(stored(weeks).system("2019-06-03", "2019-06-06", sessions_per_chunk=per_chunk))
    assert cut.counts["XNYS:SPY/1w"] == Counts(0, 1, 0)


def test_daily_bars_are_known_at_the_close() -> None:
    day = minutes("XNYS:SPY/1d", "2019-06-03T13:30Z", width_ns=390 * MINUTE_NS)
    (bar,) = [r for r in records(stored(day).system(*DAY)) if r.kind == "bar"]
    assert iso(bar.known_ns) == "2019-06-03T20:00:00Z"


def test_bars_that_are_known_before_those_they_follow_are_refused() -> None:
    starts = np.array([at("2019-06-03T14:00Z"), at("2019-06-03T14:01Z")], np.int64)
    ends = starts + np.array([10 * MINUTE_NS, MINUTE_NS])
    prices = [np.full(2, 100.0)] * 5
    data = stored(bars_from("XNYS:SPY/1m", starts, ends, prices))
    with pytest.raises(UnorderedError, match="ends of XNYS:SPY/1m must increase, but item 1"):
        play(data.system(*DAY))


def test_labels_bound_what_is_read_and_counted() -> None:
    bars = every_minute("XNYS:SPY/1m", "2019-06-03", "2019-06-07")
    system = play(
        stored(bars).system("2019-06-03", "2019-06-07", labels=("2019-06-04", "2019-06-06"))
    )
    assert [p.session.label for p in system.agenda.sessions] == ["2019-06-04", "2019-06-05"]
    counts = system.counts["XNYS:SPY/1m"]
    assert counts.played == 780
    between = calendar("XNYS").session("2019-06-05").post_ns + 1
    first = calendar("XNYS").session("2019-06-04").pre_ns
    assert counts.off_hours == len(bars.between(first, between)) - 780


def test_a_range_without_a_session_is_refused() -> None:
    with pytest.raises(RunError, match=r"there is no session .*2019-06-08T00:00:00Z"):
        stored(SPY).system("2019-06-08", "2019-06-09")


def test_two_series_of_one_kind_are_refused() -> None:
    asks = every_minute("XNYS:SPY/1m.ask", "2019-06-03T14:00Z", "2019-06-03T15:00Z")
    with pytest.raises(UsageError, match="XNYS:SPY is given twice"):
        stored(SPY, asks).system(*DAY)


offsets = st.integers(-60, 2 * 1440)


@given(
    st.sets(offsets, max_size=40),
    st.sets(st.integers(-60, 2 * 1440), max_size=20),
    st.lists(st.integers(-3600, 2 * 86400), max_size=40),
    st.sampled_from(["XNYS:A", "XHKG:700", "XCME:ES", "COINBASE:BTCUSD"]),
    st.booleans(),
    st.integers(1, 3),
)
def test_every_row_is_released_once_or_counted_as_withheld(
    starts: set[int], corrupt: set[int], ticks: list[int], name: str, extended: bool, per_chunk: int
) -> None:
    first = at("2019-06-03")
    bars = minutes(f"{name}/1m", *(first + k * MINUTE_NS for k in sorted({0} | starts)))
    for row in [k for k, s in enumerate(sorted({0} | starts)) if s in corrupt]:
        bars = labelled(bars, row, CORRUPT)
    times = [iso(first + k * 1_000_000_000) for k in sorted({0, *ticks})]
    data = stored(bars, quotes(f"{name}/quotes", *times))
    system = data.system(
        "2019-06-02", "2019-06-06", extended=extended, sessions_per_chunk=per_chunk
    )
    found = records(system)
    for series, kind, rows in (
        ("1m", "bar", bars),
        ("quotes", "quote", quotes("XNYS:A/quotes", *times)),
    ):
        released = [r.key_ns for r in found if r.kind == kind]
        counts = system.counts[f"{name}/{series}"]
        assert len(set(released)) == len(released) == counts.played
        assert counts.played + counts.off_hours + counts.corrupt == len(rows)
        assert set(released) <= set(rows.key_ns.tolist())
    rolls = [r.known_ns for r in found if r.kind == "open"]
    for r in found:
        assert not rolls or r.known_ns >= rolls[0]
    assert np.all(np.diff([r.known_ns for r in found]) >= 0)
