import pytest

from openbell.app.ranges import bounds
from openbell.market.errors import UsageError
from openbell.market.instrument import Instrument
from openbell.market.moments import END_OF_TIME_NS, START_OF_TIME_NS, iso

SPY = Instrument.parse("XNYS:SPY")
ES = Instrument.parse("XCME:ES-202512")


def said(instrument: Instrument, start: str, end: str) -> tuple[str, str]:
    first, last = bounds(instrument, start, end)
    return iso(first), iso(last)


def test_a_date_is_the_beginning_of_its_session_extended_hours_included() -> None:
    assert said(SPY, "2011-03-11", "2011-03-14") == ("2011-03-11T09:00:00Z", "2011-03-14T08:00:00Z")


def test_a_date_without_a_session_is_the_next_one() -> None:
    assert bounds(SPY, "2011-03-12", "") == bounds(SPY, "2011-03-14", "")


def test_an_overnight_session_begins_on_the_evening_before() -> None:
    assert said(ES, "2025-11-20", "2025-11-21")[0] == "2025-11-19T23:00:00Z"


def test_a_moment_is_taken_as_it_is() -> None:
    assert said(SPY, "2011-03-14T14:30", "2011-03-14T14:30-04:00") == (
        "2011-03-14T14:30:00Z",
        "2011-03-14T18:30:00Z",
    )


def test_nothing_bounds_nothing() -> None:
    assert bounds(SPY, "", "") == (START_OF_TIME_NS, END_OF_TIME_NS)


def test_what_is_no_date_is_refused() -> None:
    with pytest.raises(UsageError, match="14 March"):
        bounds(SPY, "14 March 11", "")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2011-03-16", "2011-03-14"),
        ("2011-03-14", "2011-03-14"),
        ("2011-03-14T14:30Z", "2011-03-14T10:30-04:00"),
    ],
)
def test_a_range_that_ends_before_it_begins_is_refused(start: str, end: str) -> None:
    with pytest.raises(UsageError, match=f"nothing lies from {start} to {end}") as error:
        bounds(SPY, start, end)
    assert "the end is left out" in error.value.hint


def test_a_range_without_a_session_is_empty_and_no_mistake() -> None:
    first, last = bounds(SPY, "2011-03-12", "2011-03-13")
    assert first == last
