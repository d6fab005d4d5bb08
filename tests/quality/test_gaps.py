"""Where bars are missing: bars and gaps make up the session, whatever is missing."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.market.bars import Bars, bars_from
from openbell.market.calendars import calendar, expected_starts
from openbell.market.errors import NotRecordedError, UsageError
from openbell.market.instrument import Series
from openbell.market.moments import DAY_NS, MINUTE_NS, parse_moment
from openbell.quality.check import check
from openbell.quality.gaps import improbable, runs

SESSIONS = {
    "XNYS:A": ("2013-11-29", "2013-12-02"),  # an early close, then a whole day
    "XHKG:A": ("2013-10-08", "2013-10-09"),  # lunch
    "XCME:A": ("2013-10-08", "2013-10-09"),  # overnight, with a halt
    "BINANCE:A": ("2013-10-08", "2013-10-09"),  # around the clock
}


def flat_bars(series: str, starts: np.ndarray) -> Bars:
    """Bars of price 1 at the given starts."""
    width = Series.parse(series).timeframe.width_ns
    return bars_from(series, starts, starts + width, [np.ones(len(starts))] * 5)


def drawn(drawing: str) -> str:
    """Gaps of two sessions of ten 1h slots: '#' is a bar, '.' none, ' ' parts sessions."""
    cuts = np.array([0, *itertools.accumulate(len(part) for part in drawing.split())])
    flags = np.array([mark == "." for mark in drawing.replace(" ", "")])
    begin, end = runs(flags, cuts)
    return " ".join(f"{b}-{e}" for b, e in zip(begin, end, strict=True))


@pytest.mark.parametrize(
    ("drawing", "expected"),
    [
        ("####", ""),
        ("#..#", "1-3"),
        ("..## ##..", "0-2 6-8"),
        ("##.. ..##", "2-4 4-6"),
        ("#.#.", "1-2 3-4"),
        (".... ....", "0-4 4-8"),
    ],
)
def test_runs_end_with_their_session(drawing: str, expected: str) -> None:
    assert drawn(drawing) == expected


@given(
    name=st.sampled_from(sorted(SESSIONS)),
    kind=st.sampled_from(["1m", "5m", "1h"]),
    data=st.data(),
)
def test_bars_and_gaps_make_up_the_sessions(name: str, kind: str, data: st.DataObject) -> None:
    series = Series.parse(f"{name}/{kind}")
    known = calendar(series.instrument.place.calendar)
    width = series.timeframe.width_ns
    sessions = [known.session(label) for label in SESSIONS[name]]
    starts = np.concatenate([expected_starts(session, width) for session in sessions])
    stretches = data.draw(
        st.lists(st.tuples(st.integers(0, len(starts)), st.integers(1, 90)), max_size=8)
    )
    keep = np.ones(len(starts), bool)
    for first, length in stretches:
        keep[first : first + length] = False
    bounds = (sessions[0].open_ns, sessions[-1].close_ns)
    bars = flat_bars(str(series), starts[keep])
    report = check(bars, anchor="session", start_ns=bounds[0], end_ns=bounds[1])

    missing = [s for gap in report.gaps for s in starts if gap.start_ns <= s < gap.end_ns]
    assert sorted([*missing, *starts[keep]]) == starts.tolist()
    assert sum(gap.bars for gap in report.gaps) == (~keep).sum()
    assert report.present == keep.sum()
    assert report.expected == len(starts)
    for before, after in itertools.pairwise(report.gaps):
        assert before.end_ns <= after.start_ns
        assert before.end_ns < after.start_ns or before.session != after.session
    assert [row.gaps for row in report.sessions] == [
        sum(gap.session == row.label for gap in report.gaps) for row in report.sessions
    ]


@given(
    cells=st.lists(st.sampled_from(["ok", "absent", "corrupt"]), min_size=390, max_size=390),
)
def test_corrupt_bars_are_gaps_of_their_own(cells: list[str]) -> None:
    session = calendar("XNYS").session("2013-10-08")
    starts = expected_starts(session, MINUTE_NS)
    state = np.array(cells)
    bars = flat_bars("XNYS:A/1m", starts[state != "absent"])
    close = np.where(state[state != "absent"] == "corrupt", 2.0, 1.0)
    columns = bars.columns() | {"close": close}
    report = check(Bars(bars.series, **columns), start_ns=session.open_ns, end_ns=session.close_ns)
    by_kind = {"corrupt": 0, "absent": 0}
    for gap in report.gaps:
        by_kind["corrupt" if gap.kind == "corrupt" else "absent"] += gap.bars
    assert by_kind == {"corrupt": cells.count("corrupt"), "absent": cells.count("absent")}
    assert report.present == cells.count("ok")


def test_a_long_silence_is_improbable_and_a_short_one_is_not() -> None:
    assert improbable(np.array([1, 8]), 60, 390).tolist() == [False, True]


def test_an_outage_does_not_excuse_itself() -> None:
    # 384 of 390 empty: the rate of the rest is what counts.
    assert improbable(np.array([384]), 384, 390).tolist() == [True]


def test_one_outage_does_not_excuse_another() -> None:
    assert improbable(np.array([300, 300, 12]), 612, 1_200).tolist() == [True, True, True]


@given(rate=st.floats(0.05, 0.6), seed=st.integers(0, 2**32 - 1))
def test_silences_of_chance_are_hardly_ever_called_improbable(rate: float, seed: int) -> None:
    empty = np.random.default_rng(seed).random(20_000) < rate
    begin, end = runs(empty, np.array([0, len(empty)]))
    found = improbable(end - begin, int(empty.sum()), len(empty))
    # Expected are fewer than 20,000 × 1e-6 false alarms.
    assert found.sum() <= 1


def test_a_range_without_bars_is_wholly_missing() -> None:
    bounds = parse_moment("2013-10-07"), parse_moment("2013-10-12")
    report = check(Bars.empty(Series.parse("XNYS:A/1m")), start_ns=bounds[0], end_ns=bounds[1])
    assert [(row.expected, row.present) for row in report.sessions] == [(390, 0)] * 5
    assert {gap.kind for gap in report.gaps} == {"missing"}  # no bar tells of a usual rate
    assert report.completeness == 0.0


def test_no_bars_and_no_range_is_an_error() -> None:
    with pytest.raises(NotRecordedError, match="XNYS:A/1m has no bars"):
        check(Bars.empty(Series.parse("XNYS:A/1m")))


def test_quote_bars_wider_than_the_bars_are_refused() -> None:
    starts = expected_starts(calendar("XNYS").session("2013-10-08"), MINUTE_NS)
    bars = flat_bars("XNYS:A/1m", starts[:-1])
    with pytest.raises(UsageError, match="too wide"):
        check(bars, quotes=flat_bars("XNYS:A/5m.bid", starts[::5]))


def test_daily_silences_run_over_sessions() -> None:
    table = calendar("XNYS").between(parse_moment("2013-01-01"), parse_moment("2013-12-31"))
    keep = np.ones(len(table), bool)
    keep[100:110] = False
    report = check(flat_bars("XNYS:A/1d", table.open_ns[keep]))
    (gap,) = report.gaps
    assert (gap.bars, gap.kind) == (10, "outage")
    assert sum(row.gaps for row in report.sessions) == 10


@pytest.mark.parametrize(("code", "expected"), [("1w", 53), ("1M", 12)])
def test_weeks_and_months_expect_one_bar_each(code: str, expected: int) -> None:
    table = calendar("XNYS").between(parse_moment("2013-01-01"), parse_moment("2013-12-31T23:00"))
    day = table.day.astype("datetime64[D]")
    unit = "W" if code == "1w" else "M"
    weeks = (table.day + 3) // 7 if unit == "W" else day.astype("datetime64[M]").astype(int)
    first = np.flatnonzero(np.diff(weeks, prepend=-1))
    report = check(flat_bars(f"XNYS:A/{code}", table.open_ns[first]))
    assert (report.expected, report.present) == (expected, expected)


def test_daily_bars_stamped_at_midnight_belong_to_the_session_of_that_day() -> None:
    labels = calendar("XNYS").between(parse_moment("2013-10-07"), parse_moment("2013-10-12")).day
    for shift in (0, 4 * 3600 * 10**9):  # midnight in UTC, midnight in New York
        report = check(flat_bars("XNYS:A/1d", labels * DAY_NS + shift))
        assert report.completeness == 1.0
        assert len(report.sessions) == 5


def test_a_daily_bar_on_a_holiday_is_found() -> None:
    labels = np.arange(15_888, 15_893)  # 2013-07-02 to 07-06
    report = check(flat_bars("XNYS:A/1d", labels * DAY_NS))
    outside = [f for f in report.findings if f.kind == "outside_hours"]
    assert sum(f.bars for f in outside) == 2
    assert report.completeness == 1.0


def test_repeated_and_unordered_stamps_are_found_and_do_not_disturb() -> None:
    starts = expected_starts(calendar("XNYS").session("2013-10-08"), MINUTE_NS)
    mixed = np.concatenate([starts[:10], starts[5:6], starts[11:], starts[10:11]])
    report = check(flat_bars("XNYS:A/1m", mixed))
    assert report.completeness == 1.0
    assert report.counts["repeated"] == 1
    assert {f.bars for f in report.findings if f.kind == "unordered"} == {2}
