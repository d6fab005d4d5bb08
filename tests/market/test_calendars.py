import csv
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.market.calendars import (
    Calendar,
    calendar,
    expected_starts,
    override_hours,
    register,
    user_calendar,
)
from openbell.market.errors import NotRecordedError, UsageError
from openbell.market.moments import DAY_NS, HOUR_NS, MINUTE_NS, iso, local, parse_moment
from openbell.market.session_table import day_label
from tests.market.reading import answers, lean_day, lean_minutes, midnight_ns

NAMES = (
    "XNYS", "XTSE", "XHKG", "XLON", "XETR", "XPAR", "XTKS", "XNSE", "XASX", "IEPA",
    "CME_EQUITY", "CME_AGRICULTURE", "CME_METALS", "CME_ENERGY", "FOREX", "24/5", "24/7",
)  # fmt: skip

# The answer file of XNYS has usual hours on these days; the library knows better but for one.
XNYS_DIFFERS = {
    "1990-12-27": "open 09:31, minute of silence",
    "1991-01-17": "open 09:31, minute of silence",
    "1991-02-25": "open 09:31, minute of silence",
    "1994-02-11": "close 14:30, snow",
    "1995-12-18": "open 10:30, computers down",
    "1996-01-08": "open 11:00, close 14:00, snow",
    "1997-10-27": "close 15:30, circuit breaker",
    "1999-12-31": "close 16:00 here, 13:00 there: disputed, says the library",
    "2001-09-17": "open 09:33, silence",
    "2001-10-08": "open 09:31, silence",
    "2002-09-11": "open 12:00, memorial",
    "2003-03-20": "open 09:32, silence",
    "2004-06-07": "open 09:32, silence",
    "2005-06-01": "close 15:56, computers down",
    "2006-12-27": "open 09:32, silence",
}


def stretch(name: str, label: str) -> tuple[str, str]:
    session = calendar(name).session(label)
    zone = calendar(name).zone
    return tuple(f"{local(ns, zone):%a %H:%M}" for ns in (session.open_ns, session.close_ns))  # type: ignore[return-value]


def minutes_expected(name: str, label: str) -> int:
    return len(expected_starts(calendar(name).session(label), MINUTE_NS))


@pytest.mark.parametrize(
    ("name", "file", "differs"),
    [
        ("XNYS", "xnys.csv.gz", set(XNYS_DIFFERS)),
        ("XTSE", "xtse.csv.gz", set()),
        ("XHKG", "xhkg.csv.gz", set()),
        ("IEPA", "iepa.csv.gz", set()),
        ("24/5", "24-5.csv", set()),
        ("24/7", "24-7.csv", set()),
    ],
)
def test_sessions_agree_with_the_exchange_calendar_answers(
    samples: Path, name: str, file: str, differs: set[str]
) -> None:
    rows = answers(samples / "exchange_calendars" / file)
    table = calendar(name).table
    first, last = (midnight_ns(rows[i][0]) // DAY_NS for i in (0, -1))
    lo, hi = np.searchsorted(table.day, (first, last + 1))
    ours = [table.session(row) for row in range(int(lo), int(hi))]

    assert [s.label for s in ours] == [row[0] for row in rows]
    found = {
        s.label
        for s, row in zip(ours, rows, strict=True)
        if [iso(s.open_ns), iso(s.close_ns), *(iso(ns) for b in s.breaks for ns in b)]
        != [text for text in row[1:] if text]
    }
    assert found == differs


def test_weekdays_without_a_session_in_new_york_are_the_holidays_since_1928(samples: Path) -> None:
    file = samples / "pandas_market_calendars" / "nyse_all_full_day_holidays_since_1928.csv"
    with file.open() as rows:
        listed = {datetime.strptime(row[0], "%m/%d/%Y").date() for row in csv.reader(rows) if row}  # noqa: DTZ007
    sessions = set(calendar("XNYS").table.day.tolist())
    days = range(midnight_ns("1928-01-01") // DAY_NS, midnight_ns("2021-07-06") // DAY_NS)

    closed = {day_label(day) for day in days if (day + 3) % 7 < 5 and day not in sessions}

    assert closed == {str(day) for day in listed if day.weekday() < 5}
    assert not sessions & {midnight_ns(str(day)) // DAY_NS for day in listed}


def test_christmas_eve_2015_has_210_minutes_and_goog_traded_in_each(samples: Path) -> None:
    path = samples / "lean/Data/equity/usa/minute/goog/20151224_trade.zip"
    bars = lean_day(path, "XNAS:GOOG/1m", zone="America/New_York", width_ns=MINUTE_NS, scale=1e4)

    expected = expected_starts(calendar("XNYS").session("2015-12-24"), MINUTE_NS)

    assert len(expected) == 210
    assert np.isin(expected, bars.start_ns).all()


def test_the_day_before_independence_day_2023_ends_at_noon_chicago(samples: Path) -> None:
    path = samples / "lean/Data/index/usa/minute/spx/20230703_trade.zip"
    bars = lean_day(path, "XCBO:SPX/1m", zone="America/Chicago", width_ns=MINUTE_NS)

    session = calendar("XNYS").session("2023-07-03")

    assert session.is_early_close
    assert (
        bars.end_ns[-1] == session.close_ns == parse_moment("2023-07-03T12:00", "America/Chicago")
    )
    assert np.array_equal(bars.start_ns, expected_starts(session, MINUTE_NS))


def test_the_day_of_mourning_for_carter_is_no_session_in_new_york_but_is_one_for_futures() -> None:
    with pytest.raises(NotRecordedError, match="2025-01-09 is no session of XNYS") as error:
        calendar("XNYS").session("2025-01-09")

    assert error.value.hint == ("the session before it is 2025-01-08, the one after it 2025-01-10")
    assert calendar("CME_EQUITY").session("2025-01-09").label == "2025-01-09"


def test_extended_hours_of_new_york_run_from_four_to_eight_and_to_five_on_half_days() -> None:
    zone = "America/New_York"
    usual, half = (calendar("XNYS").session(day) for day in ("2011-03-14", "2015-12-24"))

    assert usual.pre_ns == parse_moment("2011-03-14T04:00", zone)
    assert usual.post_ns == parse_moment("2011-03-14T20:00", zone)
    assert half.post_ns == parse_moment("2015-12-24T17:00", zone)
    assert half.is_early_close
    assert not usual.is_early_close


@pytest.mark.parametrize(
    ("name", "label", "open_utc"),
    [
        ("XNYS", "2011-03-11", "14:30"),
        ("XNYS", "2011-03-14", "13:30"),
        ("XNYS", "2013-11-01", "13:30"),
        ("XNYS", "2013-11-04", "14:30"),
        ("CME_EQUITY", "2024-03-08", "23:00"),
        ("CME_EQUITY", "2024-03-11", "22:00"),
        ("FOREX", "2024-03-11", "21:00"),
        ("XLON", "2024-04-01", None),
        ("XLON", "2024-04-02", "07:00"),
    ],
)
def test_opens_follow_daylight_saving_time(name: str, label: str, open_utc: str | None) -> None:
    if open_utc is None:
        with pytest.raises(NotRecordedError):
            calendar(name).session(label)
    else:
        assert iso(calendar(name).session(label).open_ns)[11:16] == open_utc


@pytest.mark.parametrize(
    ("name", "label", "hours"),
    [
        ("CME_EQUITY", "2024-03-11", ("Sun 17:00", "Mon 16:00")),
        ("CME_EQUITY", "2013-10-07", ("Sun 17:00", "Mon 16:15")),
        ("CME_EQUITY", "2015-09-18", ("Thu 17:00", "Fri 16:15")),
        ("CME_EQUITY", "2015-09-21", ("Sun 17:00", "Mon 16:00")),
        ("CME_EQUITY", "2013-11-29", ("Thu 17:00", "Fri 12:15")),
        ("CME_METALS", "2013-10-07", ("Sun 17:00", "Mon 16:15")),
        ("CME_ENERGY", "2020-01-06", ("Sun 17:00", "Mon 16:00")),
        ("CME_AGRICULTURE", "2024-03-11", ("Sun 19:00", "Mon 13:20")),
        ("FOREX", "2024-03-11", ("Sun 17:00", "Mon 17:00")),
        ("FOREX", "2024-03-15", ("Thu 17:00", "Fri 17:00")),
        ("24/7", "2024-03-10", ("Sun 00:00", "Mon 00:00")),
        ("XTKS", "2024-11-06", ("Wed 09:00", "Wed 15:30")),
    ],
)
def test_hours_on_the_venue_clocks(name: str, label: str, hours: tuple[str, str]) -> None:
    assert stretch(name, label) == hours


def test_futures_stand_still_between_sessions_for_maintenance() -> None:
    es = calendar("CME_EQUITY")
    pause = parse_moment("2024-03-12T16:30", es.zone)

    assert es.at(pause) is None
    assert es.row_at(np.array([pause]))[0] == -1
    assert minutes_expected("CME_EQUITY", "2024-03-12") == 23 * 60


@pytest.mark.parametrize("label", ["2013-10-07", "2013-12-20", "2020-01-06"])
def test_es_trades_in_the_hours_the_overrides_give_and_not_outside(
    samples: Path, label: str
) -> None:
    day = label.replace("-", "")
    traded = lean_minutes(samples / f"lean/Data/future/cme/minute/es/{day}_trade.zip")
    es = calendar("CME_EQUITY")
    session, midnight = es.session(label), midnight_ns(label)
    of_day = expected_starts(session, MINUTE_NS)
    of_day = of_day[of_day >= midnight]
    starts = midnight + np.array(sorted(traded)) * MINUTE_NS

    rows = es.row_at(starts)

    assert (rows != -1).all()
    # The last minutes before the halt and before the close traded; that pins both edges.
    last = [session.breaks[0][0] - MINUTE_NS, session.breaks[0][1], session.close_ns - MINUTE_NS]
    assert np.isin(last, starts).all()
    assert np.isin(of_day, starts).mean() > 0.94  # the file begins at midnight UTC


def test_the_halt_of_es_ends_with_june_2021_and_is_not_on_half_days() -> None:
    es = calendar("CME_EQUITY")

    assert len(es.session("2021-06-25").breaks) == 1
    assert es.session("2021-06-28").breaks == ()
    assert es.session("2013-11-29").breaks == ()
    assert es.session("2012-11-16").breaks == ()


def test_moments_in_a_lunch_break_are_outside_regular_hours_but_belong_to_the_session() -> None:
    hk = calendar("XHKG")
    lunch = parse_moment("2024-03-12T12:30", hk.zone)

    assert hk.row_at(np.array([lunch]))[0] == -1
    assert hk.row_at(np.array([lunch]), extended=True)[0] != -1
    session = hk.at(lunch)
    assert session is not None
    assert session.label == "2024-03-12"
    assert minutes_expected("XHKG", "2024-03-12") == 330


def test_neighbours_are_found_from_sessions_and_from_days_between() -> None:
    ny = calendar("XNYS")

    assert [ny.next("2015-12-24", n).label for n in (-2, -1, 1, 2)] == [
        "2015-12-22", "2015-12-23", "2015-12-28", "2015-12-29",
    ]  # fmt: skip
    assert [ny.next("2015-12-26", n).label for n in (-1, 1)] == ["2015-12-24", "2015-12-28"]
    with pytest.raises(NotRecordedError, match="known from 1928"):
        ny.next("2035-12-31", 1)
    with pytest.raises(UsageError):
        ny.next("2015-12-24", 0)


def test_sessions_between_two_moments_are_those_that_overlap() -> None:
    ny = calendar("XNYS")
    start, end = (parse_moment(f"2011-03-{d}T16:00", ny.zone) for d in (11, 15))

    labels = [ny.between(start, end).session(row).label for row in range(2)]

    assert len(ny.between(start, end)) == 2
    assert labels == ["2011-03-14", "2011-03-15"]
    assert len(ny.between(start, end, extended=True)) == 3
    assert len(ny.between(start, start)) == 0


def test_a_part_of_a_table_keeps_its_breaks() -> None:
    hk = calendar("XHKG")
    row = int(hk.row_at(np.array([hk.session("2024-03-12").open_ns]))[0])

    part = hk.table.rows(row - 1, row + 2)

    assert part.session(1) == hk.session("2024-03-12")
    assert part.session(-1) == hk.next("2024-03-12")


def test_moments_outside_the_years_known_are_refused_and_not_called_closed() -> None:
    with pytest.raises(UsageError, match="CME_EQUITY is known from 1990"):
        calendar("CME_EQUITY").row_at(np.array([parse_moment("1982-04-21T12:00")]))


def test_an_unknown_name_is_an_error_that_names_some_that_are_known() -> None:
    with pytest.raises(UsageError, match="there is no calendar `XNUS`") as error:
        calendar("XNUS")
    assert "XNYS" in error.value.hint


def test_any_calendar_of_the_library_can_be_had_by_its_name() -> None:
    assert stretch("XSHG", "2024-03-12") == ("Tue 09:30", "Tue 15:00")


@pytest.mark.parametrize("name", NAMES)
def test_sessions_of_every_calendar_are_in_order_and_do_not_overlap(name: str) -> None:
    table = calendar(name).table

    assert (np.diff(table.day) > 0).all()
    assert (table.pre_ns <= table.open_ns).all()
    assert (table.open_ns < table.close_ns).all()
    assert (table.close_ns <= table.post_ns).all()
    assert (table.post_ns[:-1] <= table.pre_ns[1:]).all()
    starts, ends = table.break_ns.T
    assert (starts < ends).all()
    assert (table.open_ns[table.break_row] < starts).all()
    assert (ends < table.close_ns[table.break_row]).all()
    few = table.rows(max(len(table) - 800, 0), len(table))
    assert list(few.sessions()) == [few.session(row) for row in range(len(few))]


@pytest.mark.parametrize("name", ["XNYS", "XHKG", "CME_EQUITY", "24/7"])
@given(st.data())
def test_finding_many_moments_agrees_with_finding_each(name: str, data: st.DataObject) -> None:
    known = calendar(name)
    low, high = parse_moment("2000-01-01"), parse_moment("2030-01-01")
    row = data.draw(st.integers(7_000, 9_000))
    edges = [getattr(known.table, e)[row] for e in ("pre_ns", "open_ns", "close_ns", "post_ns")]
    near = st.sampled_from([int(e) + d for e in edges for d in (-1, 0, 1)])
    moments = data.draw(st.lists(st.integers(low, high) | near, max_size=8))

    for extended in (False, True):
        rows = known.row_at(np.array(moments, np.int64), extended=extended)
        assert [found(known, r) for r in rows] == [
            at(known, ns, extended=extended) for ns in moments
        ]


def found(known: Calendar, row: int) -> str:
    return known.table.session(row).label if row >= 0 else ""


def at(known: Calendar, ns: int, *, extended: bool) -> str:
    session = known.at(ns, extended=extended)
    if session is None:
        return ""
    in_break = any(start <= ns < end for start, end in session.breaks)
    return "" if in_break and not extended else session.label


@given(
    st.sampled_from(["XNYS", "XHKG", "CME_EQUITY"]),
    st.integers(6_000, 9_000),
    st.sampled_from([1, 3, 5, 45, 60, 240]),
    st.booleans(),
)
def test_expected_bars_are_those_that_hold_an_open_moment(
    name: str, row: int, width: int, extended: bool
) -> None:
    session = calendar(name).table.session(row)
    starts = expected_starts(session, width * MINUTE_NS, extended=extended)

    every = expected_starts(session, MINUTE_NS, extended=extended)
    holder = np.searchsorted(starts, every, side="right") - 1

    assert np.array_equal(np.unique(holder), np.arange(len(starts)))
    assert every[0] == starts[0] == (session.pre_ns if extended else session.open_ns)
    assert len(every) == open_minutes(session_edges(name, row, extended=extended), session.breaks)


def session_edges(name: str, row: int, *, extended: bool) -> tuple[int, int]:
    s = calendar(name).table.session(row)
    return (s.pre_ns, s.post_ns) if extended else (s.open_ns, s.close_ns)


def open_minutes(edges: tuple[int, int], breaks: tuple[tuple[int, int], ...]) -> int:
    return (edges[1] - edges[0] - sum(end - start for start, end in breaks)) // MINUTE_NS


def test_the_last_bar_before_the_close_is_shorter_and_after_hours_begin_at_the_close() -> None:
    session = calendar("XNYS").session("2015-12-24")

    clocks = [
        f"{local(int(ns), 'America/New_York'):%H:%M}"
        for ns in expected_starts(session, HOUR_NS, extended=True)
    ]

    assert clocks == [
        "04:00", "04:30", "05:30", "06:30", "07:30", "08:30", "09:30", "10:30", "11:30", "12:30",
        "13:00", "13:30", "14:30", "15:30", "16:30",
    ]  # fmt: skip


def test_a_calendar_of_your_own_has_its_holidays_early_closes_and_evenings() -> None:
    mine = user_calendar(
        "MY_FUTURES", "America/Chicago", "17:00", "16:00",
        days="mon-thu", holidays=["2024-07-04"], early_closes={"2024-07-03": "12:00"},
        overnight=True,
    )  # fmt: skip
    register(mine)

    early = calendar("MY_FUTURES").session("2024-07-03")

    assert stretch("MY_FUTURES", "2024-07-03") == ("Tue 17:00", "Wed 12:00")
    assert early.is_early_close
    assert mine.next("2024-07-03").label == "2024-07-08"
    assert mine.version.startswith("user-")
    assert user_calendar("X", "UTC", "09:00", "24:00").version != mine.version


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"open": "9 am"}, "`9 am` is not a time of day"),
        ({"close": "24:30"}, "`24:30` is not a time of day"),
        ({"close": "08:00"}, "cannot open at 09:00 and close at 08:00"),
        ({"days": "mon-fry"}, "`mon-fry` names no weekdays"),
        ({"holidays": ["4 July"]}, "`4 July` is not a date"),
        ({"early_closes": {"2024-07-06": "12:00"}}, "no session on 2024-07-06"),
        ({"early_closes": {"2024-07-05": "09:00"}}, "cannot close at 09:00 on 2024-07-05"),
        ({"zone": "Nowhere/Land"}, "unknown time zone `Nowhere/Land`"),
    ],
)
def test_a_calendar_of_your_own_that_cannot_be_is_refused(
    change: dict[str, object], says: str
) -> None:
    parts: dict[str, object] = {"zone": "UTC", "open": "09:00", "close": "17:00"} | change
    with pytest.raises(UsageError, match=says):
        user_calendar("MINE", **parts)  # type: ignore[arg-type]


def test_configured_hours_replace_regular_ones_and_leave_early_closes_early() -> None:
    ny = override_hours(calendar("XNYS"), "10:00", "15:30")
    wide = override_hours(calendar("XNYS"), "04:00", "21:00")

    usual, half = ny.session("2015-12-23"), ny.session("2015-12-24")

    assert [f"{local(ns, ny.zone):%H:%M}" for ns in (usual.open_ns, usual.close_ns)] == [
        "10:00", "15:30",
    ]  # fmt: skip
    assert half.close_ns == calendar("XNYS").session("2015-12-24").close_ns
    assert wide.session("2015-12-23").post_ns == wide.session("2015-12-23").close_ns
    assert ny.name == "XNYS 10:00-15:30"


def test_a_session_that_closes_early_before_the_configured_hours_is_none() -> None:
    late = override_hours(calendar("XNYS"), "14:00", "15:30")

    with pytest.raises(NotRecordedError, match="2015-12-24 is no session"):
        late.session("2015-12-24")
    assert late.next("2015-12-23").label == "2015-12-28"
    assert (late.table.open_ns < late.table.close_ns).all()


def test_sessions_keep_their_breaks_when_others_are_taken_out() -> None:
    table = calendar("XHKG").table
    kept = np.flatnonzero(table.day % 2 == 0)

    taken = table.take(table.day % 2 == 0)

    assert any(taken.session(row).breaks for row in range(50))
    for row in range(0, len(taken), 100):
        assert taken.session(row) == table.session(int(kept[row]))


def test_calendars_around_the_clock_need_no_pandas() -> None:
    code = (
        "import sys; from openbell.market.calendars import calendar;"
        "[calendar(n).session('2024-03-12') for n in ('24/7', '24/5', 'FOREX')];"
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
