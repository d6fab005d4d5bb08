"""What goes out has the shape that each of the four clients reads."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from openbell.bridge import answers
from openbell.bridge.answers import Answer
from openbell.bridge.requests import HistoryRequest
from openbell.market.bars import bars_from
from openbell.market.moments import MINUTE_NS, parse_moment
from openbell.market.ticks import Quote, Trade
from tests.report.spy import spy_bars

SPY = spy_bars().between(parse_moment("2011-03-14T13:30Z"), parse_moment("2011-03-14T13:32Z"))
NOW_NS = parse_moment("2011-03-14T13:32:01Z")
ASKED = HistoryRequest(request_id="h-1", symbol="SPY", count=2, instance="i1")
FOUND = Answer(SPY, "XNYS:SPY/1m@1", NOW_NS)
BARS = [
    {"t": "2011-03-14T13:30:00Z", "o": 129.99, "h": 130.1, "l": 129.95, "c": 130.03, "v": 1197395},
    {"t": "2011-03-14T13:31:00Z", "o": 130.03, "h": 130.05, "l": 129.97, "c": 130.02, "v": 1124621},
]


def read(body: bytes) -> Any:
    return json.loads(body)


def test_bars_are_those_of_the_file() -> None:
    assert answers.bar_objects(SPY) == BARS


def test_a_bar_that_starts_between_seconds_says_so() -> None:
    start = SPY.start_ns + 1_500_000
    bars = bars_from(
        SPY.series, start, SPY.end_ns, [SPY.open, SPY.high, SPY.low, SPY.close, SPY.volume]
    )
    assert [bar["t"][-10:] for bar in answers.bar_objects(bars)] == ["00.001500Z"] * 2


def test_the_required_form() -> None:
    assert read(answers.required(ASKED, FOUND)) == {
        "requestId": "h-1",
        "success": True,
        "data": {
            "bars": BARS,
            "symbol": "SPY",
            "barsRequested": 2,
            "barsReturned": 2,
            "dataSource": "XNYS:SPY/1m@1",
            "endDatetime": "2011-03-14T13:32:00Z",
        },
        "timestamp": "2011-03-14T13:32:01Z",
    }


def test_the_flat_form() -> None:
    assert read(answers.flat(ASKED, FOUND)) == {
        "requestId": "h-1",
        "symbol": "SPY",
        "timeframe": "1m",
        "data": BARS,
        "dataSource": "XNYS:SPY/1m@1",
        "timestamp": "2011-03-14T13:32:01Z",
    }


def test_the_envelope() -> None:
    assert read(answers.envelope(ASKED, FOUND)) == {
        "type": "HISTORICAL_DATA_RESPONSE",
        "payload": {
            "instanceId": "i1",
            "requestId": "h-1",
            "timestamp": "2011-03-14T13:32:01Z",
            "success": True,
            "bars": BARS,
            "data": BARS,
            "source": "cache",
            "dataSource": "XNYS:SPY/1m@1",
            "error": None,
        },
        "timestamp": 1_300_109_521_000,
    }


def test_projectx_has_the_newest_first_with_an_offset() -> None:
    first, second = ({**bar, "t": str(bar["t"]).replace("Z", "+00:00")} for bar in BARS)
    assert read(answers.projectx(FOUND)) == {
        "bars": [second, first], "success": True, "errorCode": 0, "errorMessage": None,
    }  # fmt: skip


@pytest.mark.parametrize("encode", [answers.required, answers.flat, answers.envelope])
def test_what_was_done_otherwise_is_said(encode: Any) -> None:
    asked = HistoryRequest(request_id="h", symbol="SPY", count=2, notes=("one",))
    said = encode(asked, Answer(SPY, "s", NOW_NS, notes=("two",)))
    assert b'"notes":["one","two"]' in said
    assert b"notes" not in encode(ASKED, FOUND)


def test_prices_are_rounded_and_fractions_of_volume_are_kept() -> None:
    start = SPY.start_ns[:1]
    bars = bars_from("XNYS:SPY/1m", start, start + MINUTE_NS, [*([[1 / 3]] * 4), [0.5]])  # type: ignore[list-item]  # columns
    assert answers.bar_objects(bars)[0]["c"] == 0.333333
    assert answers.bar_objects(bars, 2)[0]["c"] == 0.33
    assert answers.bar_objects(bars)[0]["v"] == 0.5


def test_failures_in_each_form() -> None:
    assert read(answers.required_error("h", "DATA_NOT_AVAILABLE: no", NOW_NS)) == {
        "requestId": "h", "success": False, "error": "DATA_NOT_AVAILABLE: no",
        "timestamp": "2011-03-14T13:32:01Z",
    }  # fmt: skip
    failed = read(answers.envelope_error("h", "i1", "no", NOW_NS))
    assert failed["type"] == "HISTORICAL_DATA_RESPONSE"
    assert (failed["payload"]["success"], failed["payload"]["error"]) == (False, "no")
    assert failed["payload"]["bars"] == failed["payload"]["data"] == []
    assert read(answers.unknown_type("h", "X", NOW_NS)) == {
        "requestId": "h", "type": "X", "success": False, "error": "Unknown request type: X",
        "timestamp": "2011-03-14T13:32:01Z",
    }  # fmt: skip
    assert read(answers.projectx_error(answers.NO_CONTRACT, "no")) == {
        "bars": None, "success": False, "errorCode": 1, "errorMessage": "no",
    }  # fmt: skip


# Market data

TRADE = Trade("XNYS:SPY", NOW_NS, 130.0, 100.0, -1)
QUOTE = Quote("XNYS:SPY", NOW_NS, 129.9, 130.1, 3.0, 4.0)


def test_a_quote_on_market_data() -> None:
    assert read(answers.quote_event(QUOTE, "SPY")) == {
        "type": "MARKET_DATA",
        "payload": {
            "instrument": "SPY",
            "type": "QUOTE",
            "data": {
                "bid": 129.9, "ask": 130.1, "bidSize": 3.0, "askSize": 4.0,
                "timestamp": "2011-03-14T13:32:01Z",
            },
        },
        "timestamp": 1_300_109_521_000,
    }  # fmt: skip


def test_a_trade_on_market_data() -> None:
    event = read(answers.trade_event(TRADE, "SPY"))
    assert event["payload"] == {
        "instrument": "SPY",
        "type": "TRADE",
        "data": {
            "price": 130.0, "size": 100.0, "side": "SELL", "timestamp": "2011-03-14T13:32:01Z",
        },
    }  # fmt: skip
    assert (
        read(answers.trade_event(replace(TRADE, side=0), "SPY"))["payload"]["data"]["side"] is None
    )


def test_a_side_that_is_not_quoted_is_null() -> None:
    event = read(answers.quote_event(replace(QUOTE, bid=float("nan"), bid_size=0.0), "SPY"))
    assert event["payload"]["data"]["bid"] is None


def test_the_trading_chart_gets_no_type() -> None:
    assert read(answers.chart_event(TRADE, QUOTE, "SPY", "c-1")) == {
        "payload": {
            "instrument": "SPY",
            "data": {
                "price": 130.0, "bid": 129.9, "ask": 130.1, "size": 100.0,
                "timestamp": "2011-03-14T13:32:01Z", "side": "SELL",
            },
        },
        "timestamp": 1_300_109_521_000,
        "correlationId": "c-1",
    }  # fmt: skip


def test_a_bar_is_told_when_it_is_known() -> None:
    bar = SPY.bar(0)
    fields = {
        "symbol": "SPY", "price": 130.03, "open": 129.99, "high": 130.1, "low": 129.95,
        "close": 130.03, "volume": 1_197_395.0, "timestamp": "2011-03-14T13:31:00Z",
    }  # fmt: skip
    assert read(answers.bar_for_runner(bar, "SPY")) == fields
    assert read(answers.bar_for_bot(bar, "SPY", "b1")) == {"botId": "b1", **fields}


def test_the_replays_time() -> None:
    assert read(answers.simulation_date(NOW_NS, "b1")) == {
        "type": "SIMULATION_DATE", "datetime": "2011-03-14T13:32:01Z", "botId": "b1",
    }  # fmt: skip


def test_a_short_position() -> None:
    held = answers.position("MES", -2, 5000.0, 4990.0, at_ns=NOW_NS, multiplier=5, stop_loss=5010.0)
    assert read(answers.position_update("b1", [held], NOW_NS)) == {
        "botId": "b1",
        "positions": [
            {
                "symbol": "MES", "side": "SHORT", "quantity": 2, "entryPrice": 5000.0,
                "currentPrice": 4990.0, "stopLoss": 5010.0, "takeProfit": None,
                "timestamp": "2011-03-14T13:32:01Z", "pnl": 100.0, "pnlPercent": 0.2,
            }
        ],
        "timestamp": "2011-03-14T13:32:01Z",
    }  # fmt: skip
