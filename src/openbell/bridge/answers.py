"""What goes out on the channels: one table of bars in four forms of answer, and market data.

Times of bars are their starts, in true UTC. Everything here gives JSON as bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from openbell.bridge.requests import HistoryRequest
from openbell.market.bars import Bar, Bars
from openbell.market.columns import Ints
from openbell.market.moments import SECOND_NS, iso
from openbell.market.ticks import Quote, Trade

PRICE_DECIMALS = 6  # as the original gives real bars; its made-up ones have 2

# ProjectX's error codes of retrieveBars.
PROJECTX_OK, NO_CONTRACT, BAD_UNIT, BAD_UNIT_NUMBER, BAD_LIMIT = range(5)


@dataclass(frozen=True, slots=True)
class Answer:
    """Bars found for a request.

    Attributes
    ----------
    bars
        Oldest first.
    source
        Where they come from: a pin, ``XNYS:SPY/1m@3``, or ``synthetic``.
    now_ns
        When it is answered, on the clock of the service.
    decimals
        Of the prices.
    notes
        What was done otherwise than asked.
    """

    bars: Bars
    source: str
    now_ns: int
    decimals: int = PRICE_DECIMALS
    notes: tuple[str, ...] = ()


def bar_objects(bars: Bars, decimals: int = PRICE_DECIMALS) -> list[dict[str, Any]]:
    """Bars as ``{t, o, h, l, c, v}``, in their order; a volume without fraction as an integer."""
    prices = (np.round(c, decimals).tolist() for c in (bars.open, bars.high, bars.low, bars.close))
    volumes = (int(v) if v.is_integer() else v for v in bars.volume.tolist())
    return [
        {"t": t, "o": o, "h": h, "l": low, "c": c, "v": v}
        for t, o, h, low, c, v in zip(_stamps(bars.start_ns), *prices, volumes, strict=True)
    ]


def _stamps(moments_ns: Ints) -> list[str]:
    """Moments as ISO 8601 with Z; columns of whole seconds at once, as most are."""
    if (moments_ns % SECOND_NS).any():
        return [iso(ns) for ns in moments_ns.tolist()]
    texts: list[str] = np.datetime_as_string(moments_ns.view("M8[ns]"), unit="s").tolist()
    return [text + "Z" for text in texts]


def required(asked: HistoryRequest, found: Answer) -> bytes:
    """``{requestId, success, data: {bars, …}, timestamp}``, as requirement 000 wants it."""
    data: dict[str, Any] = {
        "bars": bar_objects(found.bars, found.decimals),
        "symbol": asked.symbol,
        "barsRequested": asked.count,
        "barsReturned": len(found.bars),
        "dataSource": found.source,
        "endDatetime": iso(int(found.bars.end_ns[-1])) if len(found.bars) else None,
    }
    if notes := (*asked.notes, *found.notes):
        data["notes"] = notes
    return orjson.dumps(
        {
            "requestId": asked.request_id,
            "success": True,
            "data": data,
            "timestamp": iso(found.now_ns),
        }
    )


def flat(asked: HistoryRequest, found: Answer) -> bytes:
    """``{requestId, symbol, timeframe, data: […], timestamp}``, as the old bridge wants it."""
    message: dict[str, Any] = {
        "requestId": asked.request_id,
        "symbol": asked.symbol,
        "timeframe": asked.code,
        "data": bar_objects(found.bars, found.decimals),
        "dataSource": found.source,
        "timestamp": iso(found.now_ns),
    }
    if notes := (*asked.notes, *found.notes):
        message["notes"] = notes
    return orjson.dumps(message)


def envelope(asked: HistoryRequest, found: Answer) -> bytes:
    """``HISTORICAL_DATA_RESPONSE`` of the production bot; `bars` and `data` are the same list."""
    bars = bar_objects(found.bars, found.decimals)
    payload: dict[str, Any] = {
        "instanceId": asked.instance,
        "requestId": asked.request_id,
        "timestamp": iso(found.now_ns),
        "success": True,
        "bars": bars,
        "data": bars,
        "source": "cache",
        "dataSource": found.source,
        "error": None,
    }
    if notes := (*asked.notes, *found.notes):
        payload["notes"] = notes
    return event("HISTORICAL_DATA_RESPONSE", payload, found.now_ns)


def projectx(found: Answer) -> bytes:
    """``{bars, success, errorCode, errorMessage}`` of ProjectX, newest first, ``+00:00``."""
    bars = bar_objects(found.bars, found.decimals)
    for bar in bars:
        bar["t"] = bar["t"].removesuffix("Z") + "+00:00"
    return orjson.dumps(
        {"bars": bars[::-1], "success": True, "errorCode": PROJECTX_OK, "errorMessage": None}
    )


# Errors, in each form


def required_error(request_id: str | int, error: str, now_ns: int) -> bytes:
    """``{requestId, success: false, error, timestamp}``; the flat form has no other."""
    return orjson.dumps(
        {"requestId": request_id, "success": False, "error": error, "timestamp": iso(now_ns)}
    )


def envelope_error(request_id: str | int, instance: str, error: str, now_ns: int) -> bytes:
    """A ``HISTORICAL_DATA_RESPONSE`` that failed."""
    payload: dict[str, Any] = {
        "instanceId": instance,
        "requestId": request_id,
        "timestamp": iso(now_ns),
        "success": False,
        "bars": [],
        "data": [],
        "error": error,
    }
    return event("HISTORICAL_DATA_RESPONSE", payload, now_ns)


def unknown_type(request_id: str | int, kind: str, now_ns: int) -> bytes:
    """What the connection manager says to a request of a type that it does not know."""
    message = {
        "requestId": request_id,
        "type": kind,
        "success": False,
        "error": f"Unknown request type: {kind}",
        "timestamp": iso(now_ns),
    }
    return orjson.dumps(message)


def projectx_error(code: int, error: str) -> bytes:
    """A refusal of ProjectX: `code` is one of `NO_CONTRACT`, `BAD_UNIT`, …."""
    return orjson.dumps({"bars": None, "success": False, "errorCode": code, "errorMessage": error})


# Market data


def event(kind: str, payload: Mapping[str, Any], now_ns: int) -> bytes:
    """An event of the production bot: ``{type, payload, timestamp}``, the time in ms."""
    return orjson.dumps({"type": kind, "payload": payload, "timestamp": now_ns // 1_000_000})


def quote_event(quote: Quote, instrument: str) -> bytes:
    """A quote on ``market:data``; `instrument` is what the receiver calls it."""
    data = {
        "bid": quote.bid,
        "ask": quote.ask,
        "bidSize": quote.bid_size,
        "askSize": quote.ask_size,
        "timestamp": iso(quote.time_ns),
    }
    payload = {"instrument": instrument, "type": "QUOTE", "data": data}
    return event("MARKET_DATA", payload, quote.time_ns)


def trade_event(trade: Trade, instrument: str) -> bytes:
    """A trade on ``market:data``."""
    data = {
        "price": trade.price,
        "size": trade.size,
        "side": _side(trade.side),
        "timestamp": iso(trade.time_ns),
    }
    payload = {"instrument": instrument, "type": "TRADE", "data": data}
    return event("MARKET_DATA", payload, trade.time_ns)


def chart_event(trade: Trade, quote: Quote | None, instrument: str, correlation: str) -> bytes:
    """A trade in the form of the trading chart: no type, with the quote that stood then."""
    data = {
        "price": trade.price,
        "bid": quote.bid if quote else None,
        "ask": quote.ask if quote else None,
        "size": trade.size,
        "timestamp": iso(trade.time_ns),
        "side": _side(trade.side),
    }
    return orjson.dumps(
        {
            "payload": {"instrument": instrument, "data": data},
            "timestamp": trade.time_ns // 1_000_000,
            "correlationId": correlation,
        }
    )


def _side(side: int) -> str | None:
    return {1: "BUY", -1: "SELL"}.get(side)


def bar_for_runner(bar: Bar, symbol: str) -> bytes:
    """A bar on ``aggregator:market-data:{botId}``; named by the moment it is known."""
    return orjson.dumps({"symbol": symbol, **_bar_fields(bar)})


def bar_for_bot(bar: Bar, symbol: str, bot: str) -> bytes:
    """A bar on ``bot:market-data``."""
    return orjson.dumps({"botId": bot, "symbol": symbol, **_bar_fields(bar)})


def _bar_fields(bar: Bar) -> dict[str, Any]:
    return {
        "price": bar.close,
        "open": bar.open,
        "high": bar.high,
        "low": bar.low,
        "close": bar.close,
        "volume": bar.volume,
        "timestamp": iso(bar.end_ns),
    }


def simulation_date(now_ns: int, bot: str) -> bytes:
    """The replay's time, on ``aggregator:simulation:{botId}``."""
    return orjson.dumps({"type": "SIMULATION_DATE", "datetime": iso(now_ns), "botId": bot})


def position_update(bot: str, positions: Sequence[Mapping[str, Any]], now_ns: int) -> bytes:
    """All positions of a bot, on ``bot:position:update``; fields as `position` gives them."""
    return orjson.dumps({"botId": bot, "positions": list(positions), "timestamp": iso(now_ns)})


def position(  # noqa: PLR0913  # a position has this many parts on the wire
    symbol: str,
    size: float,
    entry: float,
    price: float,
    *,
    at_ns: int,
    multiplier: float = 1.0,
    stop_loss: float | None = None,
    take_profit: float | None = None,
) -> dict[str, Any]:
    """One position as the strategies know it.

    Parameters
    ----------
    size
        Signed; zero has no place here.
    entry, price
        Average price of the entry, and now.
    multiplier
        Money per point and unit.
    """
    points = (price - entry) * (1 if size > 0 else -1)
    return {
        "symbol": symbol,
        "side": "LONG" if size > 0 else "SHORT",
        "quantity": abs(size),
        "entryPrice": entry,
        "currentPrice": price,
        "stopLoss": stop_loss,
        "takeProfit": take_profit,
        "timestamp": iso(at_ns),
        "pnl": points * abs(size) * multiplier,
        "pnlPercent": 100.0 * points / entry if entry else 0.0,
    }
