"""What bars cover that a file names by a date or a full hour."""

import numpy as np
import pytest

from openbell.market.columns import OFF_SESSION
from openbell.market.errors import UsageError
from openbell.market.instrument import venue
from openbell.market.moments import DAY_NS, HOUR_NS, iso, parse_moment
from openbell.market.spans import Spans, clipped, dated_spans, day_spans
from openbell.market.timeframe import timeframe


def shown(spans: Spans) -> list[str]:
    return [
        f"{iso(int(a))[:16]} {iso(int(b))[:16]}{' off' if label & OFF_SESSION else ''}"
        for a, b, label in zip(spans.start_ns, spans.end_ns, spans.label, strict=True)
    ]


def dated(code: str, place: str, *dates: str) -> Spans:
    days = np.array([parse_moment(date) // DAY_NS for date in dates])
    return dated_spans(days, timeframe(code), venue(place))


def test_a_day_is_its_session_and_a_holiday_is_none() -> None:
    spans = dated("1d", "XNYS", "2015-12-24", "2015-12-25", "2016-07-05")
    assert shown(spans) == [
        "2015-12-24T14:30 2015-12-24T18:00",
        "2015-12-25T05:00 2015-12-26T05:00 off",
        "2016-07-05T13:30 2016-07-05T20:00",
    ]
    assert spans.unknown == 0


def test_around_the_clock_a_day_is_that_of_utc() -> None:
    assert shown(dated("1d", "BINANCE", "2020-02-29")) == ["2020-02-29T00:00 2020-03-01T00:00"]


@pytest.mark.parametrize("date", ["2015-12-21", "2015-12-24", "2015-12-26"])
def test_a_week_goes_from_its_first_open_to_its_last_close(date: str) -> None:
    assert shown(dated("1w", "XNYS", date)) == ["2015-12-21T14:30 2015-12-24T18:00"]


def test_a_month_goes_from_its_first_open_to_its_last_close() -> None:
    spans = dated("1M", "XNYS", "2016-02-29", "2016-01-01")
    assert shown(spans) == [
        "2016-02-01T14:30 2016-02-29T21:00",
        "2016-01-04T14:30 2016-01-29T21:00",
    ]


def test_dates_no_calendar_knows_are_counted_and_not_called_off() -> None:
    spans = dated("1d", "XNYS", "1870-01-03", "2015-12-24")
    assert shown(spans)[0] == "1870-01-03T04:56 1870-01-04T04:56"
    assert spans.unknown == 1


def test_three_days_cannot_be_counted_in_sessions() -> None:
    assert shown(dated("3d", "BINANCE", "2020-01-01")) == ["2020-01-01T00:00 2020-01-04T00:00"]
    with pytest.raises(UsageError, match="3d cannot be placed"):
        dated("3d", "XNYS", "2020-01-02")


def test_a_day_of_a_zone_may_have_23_hours() -> None:
    days = np.array([parse_moment("2011-03-13") // DAY_NS])
    assert shown(day_spans(days, "America/New_York")) == ["2011-03-13T05:00 2011-03-14T04:00"]


def test_hours_are_cut_where_they_overlap_the_session_only() -> None:
    hours = ["2015-12-24T13:00", "2015-12-24T14:00", "2015-12-24T17:00", "2015-12-24T18:00"]
    start_ns = np.array([parse_moment(hour) for hour in hours])
    assert shown(clipped(start_ns, start_ns + HOUR_NS, venue("XNYS"))) == [
        "2015-12-24T13:00 2015-12-24T14:00",
        "2015-12-24T14:30 2015-12-24T15:00",
        "2015-12-24T17:00 2015-12-24T18:00",
        "2015-12-24T18:00 2015-12-24T19:00",
    ]
