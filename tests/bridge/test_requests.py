"""What a history request asks for, in every form in which the field asks."""

from typing import Any

import pytest

from openbell.bridge.requests import (
    SESSION_TEMPLATES,
    HistoryRequest,
    code_of,
    history_request,
    production_request,
)
from openbell.market.errors import BadDataError
from openbell.market.moments import DAY_NS, HOUR_NS, MINUTE_NS, parse_moment

FIRST = {
    "requestId": "ema-bootstrap-1756031670438", "symbol": "NQ", "barType": "time", "interval": 1,
    "intervalType": "min", "barsBack": 50, "sessionTemplate": "USEQPost", "strategyId": "ema",
}  # fmt: skip


def asked(**fields: Any) -> HistoryRequest:
    return history_request({"requestId": "r", **fields})


def test_the_requirements_own_request_is_read() -> None:
    assert history_request(FIRST) == HistoryRequest(
        request_id="ema-bootstrap-1756031670438", symbol="NQ", count=50, hours="extended"
    )


def test_what_is_not_said_is_as_in_the_original() -> None:
    assert asked() == HistoryRequest(request_id="r", symbol="NQ", count=50)
    assert (asked().code, asked().width_ns, asked().hours) == ("1m", MINUTE_NS, "regular")


def test_the_bots_request_is_read() -> None:
    read = asked(
        symbol="MES", barsBack=100, timeframe="5m", sessionTemplate="USEQPost",
        timestamp=1_300_109_400_000, botId="b1",
    )  # fmt: skip
    assert (read.count, read.code, read.width_ns) == (100, "5m", 5 * MINUTE_NS)
    assert read.end_ns == parse_moment("2011-03-14T13:30Z")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"interval": 30, "intervalType": "sec"}, "30s"),
        ({"interval": 1, "intervalType": "second"}, "1s"),
        ({"interval": 5, "intervalType": "minute"}, "5m"),
        ({"interval": 4, "intervalType": "hour"}, "4h"),
        ({"interval": 1, "intervalType": "day"}, "1d"),
        ({"interval": 60}, "1h"),
        ({"interval": 7}, "7m"),
        ({"timeframe": "15min"}, "15m"),
        ({"timeframe": "1M"}, "1M"),
        ({"timeframe": "2 hours"}, "2h"),
        ({"timeframe": "1week"}, "1w"),
        ({"unit": 1, "unitNumber": 10}, "10s"),
        ({"unit": 2}, "1m"),
        ({"unit": 3, "unitNumber": 2}, "2h"),
        ({"unit": 4}, "1d"),
        ({"unit": 5}, "1w"),
        ({"unit": 6}, "1M"),
        ({"interval": "minute", "periodMinutes": 5}, "5m"),
        ({"interval": "minute", "periodMinutes": 90}, "90m"),
        ({"interval": "hour"}, "1h"),
        ({"interval": "day"}, "1d"),
        ({"unit": 2, "unitNumber": 5, "timeframe": "1h", "interval": 3}, "5m"),
    ],
)
def test_a_width_is_said_in_many_ways(fields: dict[str, Any], code: str) -> None:
    assert asked(**fields).code == code


def test_codes_have_one_spelling_each() -> None:
    assert [code_of(*c) for c in ((86400, "s"), (48, "h"), (7, "d"), (14, "d"))] == [
        "1d", "2d", "1w", "14d",
    ]  # fmt: skip
    assert asked(interval=1440).width_ns == DAY_NS
    assert asked(interval=3600, intervalType="sec").width_ns == HOUR_NS


def test_an_unknown_interval_type_is_minutes_and_said_so() -> None:
    read = asked(interval=2, intervalType="fortnight")
    assert (read.code, read.notes) == ("2m", ("intervalType fortnight is not known: minutes",))


def test_every_session_template_has_hours() -> None:
    for template, hours in SESSION_TEMPLATES.items():
        assert asked(sessionTemplate=template).hours == hours
    read = asked(sessionTemplate="Moon")
    assert (read.hours, read.notes) == (
        "regular",
        ("sessionTemplate Moon is not known: regular hours",),
    )


def test_the_end_is_the_earlier_of_end_time_and_timestamp() -> None:
    for one, other in (("2011-03-14", "2011-03-15"), ("2011-03-15", "2011-03-14")):
        assert asked(endTime=one, timestamp=other).end_ns == parse_moment("2011-03-14")


def test_a_production_request_is_read_flat_and_wrapped() -> None:
    fields = {
        "instanceId": "i1", "requestId": "p", "instrument": "MGC", "unit": 2, "unitNumber": 5,
        "startTime": "2011-03-14T13:30:00Z", "endTime": "2011-03-14T20:00:00Z", "limit": 1000,
        "includePartialBar": True,
    }  # fmt: skip
    flat = production_request({"type": "REQUEST_HISTORICAL_DATA", **fields})
    assert flat == production_request({"type": "REQUEST_HISTORICAL_DATA", "payload": fields})
    assert flat == HistoryRequest(
        request_id="p", symbol="MGC", count=1000, code="5m", width_ns=5 * MINUTE_NS,
        start_ns=parse_moment("2011-03-14T13:30Z"), end_ns=parse_moment("2011-03-14T20:00Z"),
        in_progress=True, instance="i1",
    )  # fmt: skip


def test_a_production_request_asks_for_500_bars_if_it_does_not_say() -> None:
    read = production_request({"requestId": "p", "contractId": "CON.F.US.MGC.Z24"})
    assert (read.symbol, read.count) == ("CON.F.US.MGC.Z24", 500)


def test_a_production_request_names_an_instrument() -> None:
    with pytest.raises(BadDataError, match="Missing instrument parameter"):
        production_request({"requestId": "p"})


@pytest.mark.parametrize(
    "fields",
    [
        {"barsBack": 0}, {"barsBack": -5}, {"barsBack": "50"}, {"barsBack": 1.5},
        {"barsBack": 1_000_001}, {"barsBack": True}, {"symbol": 5}, {"symbol": "x" * 300},
        {"interval": 0}, {"interval": [1]}, {"interval": "aeon"}, {"intervalType": 5},
        {"timeframe": "m"}, {"timeframe": "0m"}, {"timeframe": "5 parsecs"}, {"timeframe": 5},
        {"unit": 7}, {"unit": 0}, {"unit": "minute"}, {"unit": 2, "unitNumber": 0},
        {"startTime": "soon"}, {"endTime": -1}, {"timestamp": []}, {"includePartialBar": "yes"},
        {"sessionTemplate": ["USEQPost"]}, {"requestId": None}, {"requestId": ""},
        {"interval": "minute", "periodMinutes": -1}, {"timeframe": "9999999m"},
    ],
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadDataError):
        asked(**fields)
