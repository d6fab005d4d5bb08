"""Names of channels, and what may come in on them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.bridge import channels
from openbell.bridge.channels import Signal
from openbell.market.errors import BadDataError
from openbell.market.moments import parse_moment

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def test_the_bot_passes_on_what_the_interface_page_says() -> None:
    assert dict(channels.TO_AGGREGATOR) == {
        "bot:signal": "aggregator:signal",
        "bot:trade:request": "aggregator:trade:request",
        "bot:position:update": "aggregator:position:update",
        "bot:historical-data:request": "aggregator:historical-data:request",
        "bot:strategy:status": "aggregator:strategy:status",
        "bot:risk:check": "aggregator:risk:check",
    }
    assert dict(channels.TO_BOT) == {
        "aggregator:signal:response": "bot:signal:response",
        "aggregator:trade:response": "bot:trade:response",
        "aggregator:position:response": "bot:position:response",
        "aggregator:historical-data:response": "bot:historical-data:response",
    }


def test_what_the_bot_passes_on_reaches_the_history_service_and_comes_back() -> None:
    assert channels.TO_AGGREGATOR["bot:historical-data:request"] == channels.HISTORY_REQUEST
    assert channels.TO_BOT[channels.HISTORY_RESPONSE] == "bot:historical-data:response"


def test_each_bot_has_channels_of_its_own() -> None:
    assert channels.market_data_of("b1") == "aggregator:market-data:b1"
    assert channels.simulation_of("b1") == "aggregator:simulation:b1"
    assert channels.signal_of("b1") == "aggregator:signal:b1"
    assert channels.status_key_of("b1") == "bot:b1:status"


# Messages


@given(st.dictionaries(st.text(max_size=8), JSON))
def test_every_json_object_is_a_message(message: dict[str, Any]) -> None:
    body = json.dumps(message)
    try:
        assert isinstance(channels.parse(body), dict)
    except BadDataError as error:  # a lone surrogate, or a number beyond a double
        assert "the message is no JSON" in str(error)  # noqa: PT017  # both ends are right


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b'"text"', b"17", b"\xff\xfe", b"{'a': 1}", b'{"a": NaN}',
        b'{"a": 1e999}', b'{"a": Infinity}', b"[" * 100_000, b'{"a":' * 2_000,
        b'{"a": "\\ud800"}', b'{"a": 1} {"b": 2}', "{\udce4}", b"\0" * 10,
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(body: bytes | str) -> None:
    with pytest.raises(BadDataError, match="the message is no JSON"):
        channels.parse(body)


def test_a_message_of_a_mebibyte_is_read_and_a_longer_one_is_not() -> None:
    frame = len(json.dumps({"a": ""}))
    fits = json.dumps({"a": "x" * (channels.MAX_BYTES - frame)})
    assert channels.parse(fits)["a"]
    with pytest.raises(BadDataError, match="1048577 bytes, more than 1048576"):
        channels.parse(fits[:-2] + 'x"}')


def test_a_request_that_is_too_long_still_says_its_name() -> None:
    assert channels.request_id_near(b'{"requestId": "h-1", "x": "' + b"y" * 2_000_000) == "h-1"
    assert channels.request_id_near(b'{"x": "' + b"y" * 2_000_000 + b'", "requestId": "h"}') is None


@pytest.mark.parametrize("name", ["h-1", 7, -1, "x" * 256])
def test_a_request_is_named_by_text_or_number(name: str | int) -> None:
    assert channels.request_id({"requestId": name}) == name
    assert channels.request_id({"type": "X", "payload": {"requestId": name}}) == name


@pytest.mark.parametrize("name", [None, "", True, 1.5, [], {}, "x" * 257])
def test_anything_else_names_no_request(name: Any) -> None:
    assert channels.request_id({"requestId": name}) is None


@pytest.mark.parametrize("value", ["5", True, [], {}])
def test_a_number_of_a_wrong_type_is_refused(value: Any) -> None:
    with pytest.raises(BadDataError, match="`price` must be a number"):
        channels.number({"price": value}, "price")


@pytest.mark.parametrize("value", [1e16, -1e16, 10**40])
def test_a_number_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(BadDataError, match="`price` is out of range"):
        channels.number({"price": value}, "price")


@pytest.mark.parametrize("value", [0, -1, 1.5, 11, 10**14])
def test_a_count_is_a_whole_number_within_its_bounds(value: float) -> None:
    with pytest.raises(BadDataError, match="`limit` must be a whole number from 1 to 10"):
        channels.whole({"limit": value}, "limit", default=1, most=10)


def test_javascript_writes_whole_numbers_with_a_fraction_too() -> None:
    assert channels.whole({"limit": 5.0}, "limit", default=1, most=10) == 5


@pytest.mark.parametrize("value", ["x" * 257, "line\nbreak", "\0", 5, []])
def test_a_text_is_short_and_printable(value: Any) -> None:
    with pytest.raises(BadDataError, match="`symbol` must be a text"):
        channels.text({"symbol": value}, "symbol")


@pytest.mark.parametrize(
    ("value", "iso"),
    [
        ("2011-03-14T13:30:00Z", "2011-03-14T13:30Z"),
        ("2011-03-14T13:30:00", "2011-03-14T13:30Z"),
        ("2011-03-14T07:30:00.000000-06:00", "2011-03-14T13:30Z"),
        (1_300_109_400_000, "2011-03-14T13:30Z"),
        (1_300_109_400_000.5, "2011-03-14T13:30:00.000500Z"),
    ],
)
def test_a_moment_is_text_or_milliseconds(value: Any, iso: str) -> None:
    assert channels.moment({"timestamp": value}, "timestamp") == parse_moment(iso)


@pytest.mark.parametrize(
    "value", ["yesterday", "", "1969-12-31", "9999-12-31", -1, 1e14, True, [], "2011-03-14T99:00"]
)
def test_a_moment_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(BadDataError, match="`timestamp`"):
        channels.moment({"timestamp": value}, "timestamp")


def test_a_field_that_is_null_is_absent() -> None:
    nothing = {"a": None}
    assert channels.text(nothing, "a", default="x") == "x"
    assert channels.number(nothing, "a") is None
    assert channels.moment(nothing, "a") is None
    assert channels.flag(nothing, "a") is False


# Signals


@pytest.mark.parametrize(
    ("word", "action"),
    [
        ("BUY", "buy"), ("LONG", "buy"), ("ENTER_LONG", "buy"), ("buy", "buy"),
        ("SELL", "sell"), ("SHORT", "sell"), ("SELL_SHORT", "sell"),
        ("CLOSE", "close"), ("EXIT", "close"), ("CLOSE_POSITION", "close"), ("EXIT_LONG", "close"),
        ("CLOSE_SHORT", "close"), ("HOLD", "hold"),
    ],
)  # fmt: skip
def test_a_signal_says_what_to_do_in_many_words(word: str, action: str) -> None:
    assert channels.signal({"action": word}).action == action
    assert channels.signal({"direction": word}).action == action


def test_a_signal_of_the_bot_is_read() -> None:
    assert channels.signal(
        {
            "botId": "b1", "symbol": "NQ", "action": "BUY", "price": 15000.5, "quantity": 2,
            "timestamp": "2011-03-14T13:30:00Z", "strategy": "ema", "reason": "cross",
            "confidence": 0.8, "metadata": {"any": []},
        }
    ) == Signal(
        action="buy", symbol="NQ", bot="b1", strategy="ema", reason="cross", price=15000.5,
        quantity=2.0, at_ns=parse_moment("2011-03-14T13:30Z"), confidence=0.8,
    )  # fmt: skip


def test_a_signal_of_the_runner_is_read() -> None:
    message = {
        "action": "SELL", "price": 10.0, "shares": 100, "stop_loss": 11.0, "take_profit": 7.0,
        "tsx_signal": {}, "botId": "b1", "timestamp": "2023-06-01T09:30:00Z", "strategy": "x",
    }  # fmt: skip
    read = channels.signal(message)
    assert (read.action, read.quantity, read.stop_loss, read.take_profit) == ("sell", 100, 11, 7)


def test_a_signal_of_the_original_strategy_is_read() -> None:
    message = {
        "direction": "SHORT", "confidence": "HIGH", "entryPrice": 10.0, "stopLoss": 11.0,
        "takeProfit": 7.0, "positionSize": 3, "timestamp": 1_300_109_400_000,
        "strategyName": "EMA_9_RETRACEMENT_SCALPING", "indicators": {},
    }  # fmt: skip
    read = channels.signal(message)
    assert (read.action, read.price, read.quantity, read.confidence) == ("sell", 10, 3, "HIGH")
    assert read.strategy == "EMA_9_RETRACEMENT_SCALPING"
    assert read.at_ns == parse_moment("2011-03-14T13:30Z")


@pytest.mark.parametrize(
    "message",
    [
        {}, {"action": "JUMP"}, {"action": 5}, {"action": "BUY", "quantity": -1},
        {"action": "BUY", "price": "10"}, {"action": "BUY", "stopLoss": 1e300},
        {"action": "BUY", "timestamp": "soon"}, {"action": "BUY", "symbol": ["NQ"]},
    ],
)  # fmt: skip
def test_a_signal_that_makes_no_sense_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(BadDataError):
        channels.signal(message)


def test_a_long_reason_is_no_reason_to_refuse_a_signal() -> None:
    assert channels.signal({"action": "BUY", "reason": "up\nand  up"}).reason == "up and up"
    assert len(channels.signal({"action": "BUY", "reason": "x" * 5_000}).reason) == 256
    with pytest.raises(BadDataError, match="`reason` must be a text"):
        channels.signal({"action": "BUY", "reason": 5})


@given(st.dictionaries(st.sampled_from(["action", "price", "shares", "timestamp", "botId"]), JSON))
def test_no_signal_breaks_the_reader(message: dict[str, Any]) -> None:
    try:
        read = channels.signal(message)
    except BadDataError:
        return
    assert read.action in ("buy", "sell", "close", "hold")
    assert read.quantity is None or read.quantity >= 0
