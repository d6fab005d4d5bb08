"""Slots, and how many bars are expected: against the calendars' own answer, and in all shapes."""

from timeit import timeit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.market.calendars import calendar, expected_starts
from openbell.market.moments import HOUR_NS, MINUTE_NS, SECOND_NS, parse_moment
from openbell.market.session import Session
from openbell.quality.completeness import completeness, expected_until, grid_of

CALENDARS = ("XNYS", "XHKG", "CME_EQUITY", "FOREX", "24/7")
WIDTHS = [SECOND_NS * 10, *(n * MINUTE_NS for n in (1, 5, 7, 30, 60, 120))]


def one_session(minutes: int, *breaks: tuple[int, int]) -> Session:
    """A session that opens at 0, with breaks; all in minutes."""
    end = minutes * MINUTE_NS
    rests = tuple((a * MINUTE_NS, b * MINUTE_NS) for a, b in breaks)
    return Session("TEST", "1970-01-01", 0, end, 0, end, rests)


def test_nothing_expected_is_complete() -> None:
    assert completeness(0, 0) == 1.0


def test_completeness_is_never_above_one() -> None:
    assert completeness(5, 4) == 1.0
    assert completeness(3, 4) == 0.75


@pytest.mark.parametrize(
    ("minute", "expected"),
    [(-1, 0), (0, 0), (1, 1), (4, 4), (5, 4), (6, 4), (7, 5), (9, 7), (99, 8)],
)
def test_a_bar_is_expected_from_its_end_on_and_none_in_a_break(minute: int, expected: int) -> None:
    session = one_session(10, (4, 6))
    assert expected_until(session, minute * MINUTE_NS, MINUTE_NS) == expected


def test_half_a_minute_is_no_bar_yet() -> None:
    assert expected_until(one_session(10), MINUTE_NS - 1, MINUTE_NS) == 0


@pytest.mark.parametrize("width_ns", [0, 24 * HOUR_NS, 7 * 24 * HOUR_NS])
def test_one_daily_bar_is_expected_at_the_close(width_ns: int) -> None:
    session = one_session(390)
    assert expected_until(session, session.close_ns - 1, width_ns) == 0
    assert expected_until(session, session.close_ns, width_ns) == 1


def test_the_last_bar_of_a_session_may_be_shorter() -> None:
    session = one_session(390)
    assert expected_until(session, 389 * MINUTE_NS, 60 * MINUTE_NS) == 6
    assert expected_until(session, 390 * MINUTE_NS, 60 * MINUTE_NS) == 7


def test_bars_counted_from_midnight_end_at_the_full_hour() -> None:
    session = calendar("XNYS").session("2013-10-07")
    ten = parse_moment("2013-10-07T10:00-04:00")
    assert expected_until(session, ten, HOUR_NS, "epoch") == 1
    assert expected_until(session, ten, HOUR_NS, "session") == 0


@pytest.mark.parametrize("name", CALENDARS)
@pytest.mark.parametrize("width_ns", WIDTHS)
def test_the_grid_is_what_the_calendar_expects(name: str, width_ns: int) -> None:
    table = calendar(name).between(parse_moment("2013-12-20"), parse_moment("2014-01-03"))
    grid = grid_of(table, width_ns)
    cells = np.flatnonzero(grid.expected)
    starts = [expected_starts(table.session(i), width_ns) for i in range(len(table))]
    assert np.array_equal(grid.cell_start_ns(cells), np.concatenate(starts))
    assert np.array_equal(grid.cell_of(grid.cell_start_ns(cells)), cells)
    assert np.array_equal(grid.cell_of(grid.cell_end_ns(cells) - 1), cells)


@pytest.mark.parametrize("width_ns", WIDTHS)
def test_the_grid_of_extended_hours_is_what_the_calendar_expects(width_ns: int) -> None:
    table = calendar("XNYS").between(parse_moment("2013-12-20"), parse_moment("2014-01-03"))
    grid = grid_of(table, width_ns, extended=True)
    cells = np.flatnonzero(grid.expected)
    sessions = [table.session(i) for i in range(len(table))]
    starts = [expected_starts(session, width_ns, extended=True) for session in sessions]
    assert np.array_equal(grid.cell_start_ns(cells), np.concatenate(starts))


@given(
    name=st.sampled_from(CALENDARS),
    day=st.integers(0, 25),
    width_ns=st.sampled_from([*WIDTHS, 24 * HOUR_NS]),
    anchor=st.sampled_from(["session", "epoch"]),
    seconds=st.integers(0, 90_000),
)
def test_bars_expected_are_the_slots_that_have_ended(
    name: str, day: int, width_ns: int, anchor: str, seconds: int
) -> None:
    table = calendar(name).between(parse_moment("2013-10-01"), parse_moment("2013-11-10"))
    session = table.session(day)
    now_ns = session.open_ns + seconds * SECOND_NS
    grid = grid_of(table.rows(day, day + 1), width_ns, anchor)  # type: ignore[arg-type]
    ended = grid.cell_end_ns(np.flatnonzero(grid.expected)) <= now_ns
    # A slot that a break cuts short at its end counts at its end, like any other.
    assert expected_until(session, now_ns, width_ns, anchor) == ended.sum()  # type: ignore[arg-type]


def test_measuring_one_session_takes_less_than_ten_microseconds() -> None:
    session = calendar("CME_EQUITY").session("2013-10-08")
    now_ns = session.close_ns - HOUR_NS

    def measure() -> float:
        return completeness(1_000, expected_until(session, now_ns, MINUTE_NS))

    assert min(timeit(measure, number=1_000) for _ in range(5)) < 10e-6 * 1_000
