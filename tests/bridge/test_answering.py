"""From a message to its answer, step by step, without Redis."""

import json
from typing import Any

import pytest

from openbell.bridge import channels
from openbell.bridge.answering import HEARD, Answering, History, MadeUp, Recorded, Reply
from openbell.bridge.past import Past
from openbell.market.moments import parse_moment
from openbell.market.synthetic import Making
from tests.backtest.made import store_of
from tests.bridge.hostile import messages
from tests.report.spy import spy_bars

NOW = "2011-03-14T15:07:30Z"
PAST = Past(store_of(spy_bars()))


def service(**changes: Any) -> Answering:
    given = {"history": Recorded(PAST), "now_ns": lambda: parse_moment(NOW), **changes}
    return Answering(**given)


def reply(
    channel: str = channels.HISTORY_REQUEST, given: Answering | None = None, **f: Any
) -> Reply:
    return (given or service()).reply(channel, json.dumps({"requestId": "h", **f}).encode())


def body(one: Reply) -> Any:
    return json.loads(one.body)


def starts(one: Reply) -> list[str]:
    return [bar["t"] for bar in body(one)["data"]["bars"]]


def test_the_required_request_is_answered_from_the_store() -> None:
    found = reply(symbol="SPY", barsBack=50, sessionTemplate="USEQPost")
    assert found.channel == "aggregator:historical-data:response"
    assert (found.bars, found.asked, found.symbol, found.error) == (50, 50, "SPY", "")
    assert starts(found)[0] == "2011-03-14T14:17:00Z"
    assert starts(found)[-1] == "2011-03-14T15:06:00Z"  # 15:07 has not ended


def test_regular_hours_unless_the_template_says_otherwise() -> None:
    early = service(now_ns=lambda: parse_moment("2011-03-14T13:32Z"))
    assert starts(reply(given=early, symbol="SPY", barsBack=3)) == [
        "2011-03-11T20:59:00Z", "2011-03-14T13:30:00Z", "2011-03-14T13:31:00Z",
    ]  # fmt: skip
    assert starts(reply(given=early, symbol="SPY", barsBack=3, sessionTemplate="USEQPost")) == [
        "2011-03-14T13:29:00Z", "2011-03-14T13:30:00Z", "2011-03-14T13:31:00Z",
    ]  # fmt: skip


def test_wider_bars_are_built_and_the_one_in_progress_is_left_out_unless_asked_for() -> None:
    assert starts(reply(symbol="SPY", timeframe="5m", barsBack=1)) == ["2011-03-14T15:00:00Z"]
    partial = reply(symbol="SPY", timeframe="5m", barsBack=1, includePartialBar=True)
    assert starts(partial) == ["2011-03-14T15:05:00Z"]
    one, two = (
        body(reply(symbol="SPY", barsBack=1, timestamp=f"2011-03-14T15:0{m}:00Z"))["data"]["bars"][
            0
        ]
        for m in (6, 7)
    )
    made = body(partial)["data"]["bars"][0]
    assert (made["o"], made["c"], made["v"]) == (one["o"], two["c"], one["v"] + two["v"])


def test_a_timestamp_ends_the_slice_but_never_after_the_clock() -> None:
    assert starts(reply(symbol="SPY", barsBack=1, timestamp="2011-03-14T14:00:00Z")) == [
        "2011-03-14T13:59:00Z"
    ]
    for later in ("2011-03-20T00:00:00Z", 1_795_000_000_000):
        assert starts(reply(symbol="SPY", barsBack=1, timestamp=later)) == ["2011-03-14T15:06:00Z"]


def test_more_bars_than_allowed_are_not_given_and_that_is_said() -> None:
    found = body(reply(symbol="SPY", barsBack=900))["data"]
    assert (found["barsRequested"], found["barsReturned"]) == (900, 500)
    assert found["notes"] == ["no more than 500 bars are given"]


def test_fewer_bars_than_asked_for_are_all_there_are() -> None:
    first = service(now_ns=lambda: parse_moment("2011-03-01T14:40Z"))
    found = body(reply(given=first, symbol="SPY", barsBack=50))["data"]
    assert (found["barsRequested"], found["barsReturned"]) == (50, 10)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"symbol": "NQ"}, "nothing is stored of `NQ`"),
        ({"symbol": "XNYS:QQQ"}, "no bars are stored"),
        ({"symbol": "no such!:thing"}, "is not an instrument"),
        ({"symbol": "SPY", "interval": 10, "intervalType": "sec"}, "no bars are stored"),
        ({"symbol": "SPY", "unit": 6, "unitNumber": 2}, "bars of 2M cannot be made"),
        ({"symbol": "SPY", "timestamp": "2011-02-01"}, "no 1m bars of SPY are known"),
        ({"symbol": "SPY", "startTime": "2011-03-15"}, "no 1m bars of SPY are known"),
    ],
)
def test_what_is_not_there_is_never_made_up(fields: dict[str, Any], error: str) -> None:
    found = reply(**fields)
    assert body(found)["success"] is False
    assert body(found)["error"].startswith("DATA_NOT_AVAILABLE: ")
    assert error in body(found)["error"] == found.error
    assert found.bars == 0


def test_a_request_without_a_source_is_answered_with_made_up_bars_and_labelled() -> None:
    found = body(reply(given=service(history=MadeUp(Making()))))
    assert found["data"]["dataSource"] == "synthetic"
    assert len(found["data"]["bars"]) == 50
    assert found["data"]["bars"][0] == {
        "t": "2011-03-14T14:17:00Z", "o": 14982.75, "h": 14982.75, "l": 14982.0, "c": 14982.0,
        "v": 800,
    }  # fmt: skip
    assert found["data"]["bars"][-1]["t"] == "2011-03-14T15:06:00Z"


def test_the_flat_form_is_given_where_it_is_wanted() -> None:
    found = body(reply(given=service(is_flat=True), symbol="SPY", barsBack=2))
    assert [bar["t"] for bar in found["data"]] == ["2011-03-14T15:05:00Z", "2011-03-14T15:06:00Z"]


PRODUCTION: dict[str, Any] = {
    "type": "REQUEST_HISTORICAL_DATA",
    "instrument": "SPY",
    "instanceId": "i1",
    "limit": 2,
}


@pytest.mark.parametrize("channel", ["connection-manager:requests", "instance:control"])
def test_the_production_bot_gets_its_envelope(channel: str) -> None:
    fields = {**PRODUCTION, "requestId": "p"}
    for message in (fields, {"type": "REQUEST_HISTORICAL_DATA", "payload": fields}):
        found = service().reply(channel, json.dumps(message).encode())
        assert found.channel == "historical:data:response"
        payload = body(found)["payload"]
        assert (payload["instanceId"], payload["requestId"]) == ("i1", "p")
        assert [bar["t"][11:16] for bar in payload["bars"]] == ["15:05", "15:06"]


def test_the_production_bot_may_ask_for_a_thousand_bars() -> None:
    found = reply("connection-manager:requests", **{**PRODUCTION, "limit": 1000})
    assert found.bars == 1000


def test_the_production_bot_gets_its_errors_in_the_envelope() -> None:
    found = reply("connection-manager:requests", type="REQUEST_HISTORICAL_DATA", instanceId="i1")
    assert body(found)["payload"]["error"] == "Missing instrument parameter"
    assert found.error


def test_what_the_connection_manager_does_not_know_it_says() -> None:
    found = reply("connection-manager:requests", type="GET_MOON")
    assert (found.channel, found.is_request) == ("connection-manager:response", False)
    assert body(found)["error"] == "Unknown request type: GET_MOON"


def test_control_of_instances_is_not_for_us() -> None:
    assert reply("instance:control", type="START") == Reply(is_request=False)


# What cannot be answered


@pytest.mark.parametrize("channel", HEARD)
def test_a_message_that_is_no_json_gets_no_answer(channel: str) -> None:
    found = service().reply(channel, b'{"requestId": "h", ')
    assert (found.channel, found.is_request) == ("", True)
    assert "no JSON" in found.error


def test_a_request_without_a_name_gets_no_answer() -> None:
    found = service().reply(channels.HISTORY_REQUEST, b'{"symbol": "SPY"}')
    assert (found.channel, found.error[:11]) == ("", "`requestId`")


def test_a_request_that_is_too_long_gets_an_error() -> None:
    found = reply(symbol="SPY", pad="x" * 2_000_000)
    assert body(found)["requestId"] == "h"
    assert "more than 1048576" in body(found)["error"]


@pytest.mark.parametrize("history", [Recorded(PAST), MadeUp(Making())])
@pytest.mark.parametrize("channel", HEARD)
def test_no_message_gets_past_the_rules(channel: str, history: History) -> None:
    answering = service(history=history)
    for message in messages(1_500):
        found = answering.reply(channel, message)
        assert bool(found.bars) == (found.is_request and not found.error)
        if found.channel:
            answer = body(found)
            payload = answer.get("payload", answer)
            assert payload["requestId"] is not None
            assert payload["success"] == bool(found.bars)
