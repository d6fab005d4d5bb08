"""Every channel of the bridge, and what may come in on it.

The names are those of the original bot and its production twin; nothing else in openbell writes
them. What goes out is made in `answers`. Messages are JSON objects of at most `MAX_BYTES`; whatever
does not fit raises `BadDataError`, and kills nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import orjson

from openbell.market.errors import BadDataError, UsageError
from openbell.market.moments import END_OF_TIME_NS, parse_moment

# History
HISTORY_REQUEST = "aggregator:historical-data:request"
HISTORY_RESPONSE = "aggregator:historical-data:response"
PRODUCTION_REQUEST = "connection-manager:requests"
PRODUCTION_CONTROL = "instance:control"
PRODUCTION_RESPONSE = "connection-manager:response"
PRODUCTION_HISTORY = "historical:data:response"

# Market data
MARKET_DATA = "market:data"
BOT_MARKET_DATA = "bot:market-data"

# Strategies and bots
STRATEGY_READY = "aggregator:strategy-ready"
BOT_STATUS = "bot:status"
POSITION_UPDATE = "bot:position:update"
RISK_RESPONSE = "bot:risk:response"  # ours alone: the original leaves a risk check unanswered

# What the mock bot passes on, from a strategy to the aggregator; it adds its `botId`.
TO_AGGREGATOR: Mapping[str, str] = MappingProxyType(
    {
        f"bot:{name}": f"aggregator:{name}"
        for name in (
            "signal",
            "trade:request",
            "position:update",
            "historical-data:request",
            "strategy:status",
            "risk:check",
        )
    }
)
# And what it passes back, unchanged.
TO_BOT: Mapping[str, str] = MappingProxyType(
    {
        f"aggregator:{name}": f"bot:{name}"
        for name in (
            "signal:response",
            "trade:response",
            "position:response",
            "historical-data:response",
        )
    }
)


def market_data_of(bot: str) -> str:
    """The channel on which the runner of a bot gets its bars."""
    return f"aggregator:market-data:{bot}"


def simulation_of(bot: str) -> str:
    """The channel on which the runner of a bot is told the replay's time."""
    return f"aggregator:simulation:{bot}"


def signal_of(bot: str) -> str:
    """The channel on which the runner of a bot gives its signals."""
    return f"aggregator:signal:{bot}"


def error_of(bot: str) -> str:
    """The channel on which the runner of a bot says what its strategy raised; ours alone."""
    return f"aggregator:strategy-error:{bot}"


def status_key_of(bot: str) -> str:
    """The key under which a bot keeps its status."""
    return f"bot:{bot}:status"


# Messages

MAX_BYTES = 1 << 20
MAX_TEXT = 256
MAX_COUNT = 1_000_000
MAX_LIMIT = 20_000  # ProjectX gives no more bars at once

Message = Mapping[str, Any]

_ID_NEAR_THE_START = re.compile(r'"requestId"\s*:\s*"([^"\\\x00-\x1f]{1,256})"')


def parse(body: bytes | str) -> Message:
    """The JSON object of a message.

    Raises
    ------
    BadDataError
        If it is too long, no JSON, or no object.
    """
    raw = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else body
    if len(raw) > MAX_BYTES:
        raise BadDataError(f"the message has {len(raw)} bytes, more than {MAX_BYTES}")
    try:
        message = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadDataError(f"the message is no JSON: {error}") from None
    if not isinstance(message, dict):
        raise BadDataError("the message is no JSON object")
    return message


def request_id(message: Message) -> str | int | None:
    """What the asker calls its request; None if it does not say, or not as text or number."""
    found = message.get("requestId", payload_of(message).get("requestId"))
    is_id = isinstance(found, int) and not isinstance(found, bool)
    return found if is_id or (isinstance(found, str) and 0 < len(found) <= MAX_TEXT) else None


def request_id_near(body: bytes) -> str | None:
    """The request's name in the first 4 KiB of a message that is too long to be read."""
    found = _ID_NEAR_THE_START.search(body[:4096].decode("utf-8", "replace"))
    return found[1] if found else None


def payload_of(message: Message) -> Message:
    """What is wrapped in an event's `payload`; the message itself if nothing is."""
    payload = message.get("payload")
    return payload if isinstance(payload, dict) else message


# Fields


def text(message: Message, *names: str, default: str = "") -> str:
    """The first of some fields that is there, as text of at most `MAX_TEXT` characters."""
    name, value = _first(message, names)
    if value is None:
        return default
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
        raise BadDataError(f"`{name}` must be a text of at most {MAX_TEXT} characters")
    return value


def number(message: Message, *names: str, most: float = 1e15) -> float | None:
    """The first of some fields that is there, as a number between -`most` and `most`."""
    name, value = _first(message, names)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadDataError(f"`{name}` must be a number")
    if not -most <= value <= most:
        raise BadDataError(f"`{name}` is out of range: {value}")
    return float(value)


def whole(message: Message, *names: str, default: int, most: int) -> int:
    """The first of some fields that is there, as a whole number from 1 to `most`."""
    value = number(message, *names)
    if value is None:
        return default
    if not value.is_integer() or not 1 <= value <= most:
        name, _ = _first(message, names)
        raise BadDataError(f"`{name}` must be a whole number from 1 to {most}, not {value:g}")
    return int(value)


def moment(message: Message, *names: str) -> int | None:
    """The first of some fields that is there, as ns UTC: ISO text (UTC without an offset), or ms.

    Only moments from 1970 to 2262 count.
    """
    name, value = _first(message, names)
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        try:
            ns = parse_moment(value)
        except (UsageError, OverflowError):
            raise BadDataError(f"`{name}` is no moment: {value!r}") from None
    else:
        ns = round((number(message, name) or 0.0) * 1_000) * 1_000
    if not 0 <= ns < END_OF_TIME_NS:
        raise BadDataError(f"`{name}` is out of range: {value!r}")
    return ns


def flag(message: Message, name: str) -> bool:
    """A field that is true or false; false if it is absent."""
    value = message.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadDataError(f"`{name}` must be true or false")
    return bool(value)


def _first(message: Message, names: tuple[str, ...]) -> tuple[str, Any]:
    for name in names:
        if message.get(name) is not None:
            return name, message[name]
    return names[0], None


# Signals

Action = Literal["buy", "sell", "close", "hold"]
# In this order: a `CLOSE_LONG` closes.
_ACTIONS: tuple[tuple[Action, tuple[str, ...]], ...] = (
    ("close", ("CLOSE", "EXIT")),
    ("buy", ("BUY", "LONG")),
    ("sell", ("SELL", "SHORT")),
    ("hold", ("HOLD", "NONE")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A strategy's opinion, as it came in on a channel.

    Attributes
    ----------
    action
        What it wants: ``buy`` goes long, ``sell`` goes short, ``close`` flattens.
    symbol, bot, strategy, reason
        As sent; empty if not. A reason is one line of at most `MAX_TEXT` characters.
    price, quantity, stop_loss, take_profit
        Prices are absolute; None if not given. A quantity is not negative.
    at_ns
        Its `timestamp`, None without one.
    confidence
        From 0 to 1, or a word such as ``HIGH``.
    """

    action: Action
    symbol: str = ""
    bot: str = ""
    strategy: str = ""
    reason: str = ""
    price: float | None = None
    quantity: float | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    at_ns: int | None = None
    confidence: float | str | None = None


def signal(message: Message) -> Signal:
    """The signal of a message, by any of the names its fields have in the original.

    Raises
    ------
    BadDataError
        If it says nothing to do, or a field has a wrong type or is out of range.
    """
    quantity = number(message, "quantity", "shares", "size", "positionSize")
    if quantity is not None and quantity < 0:
        raise BadDataError(f"`quantity` must not be negative, and is {quantity:g}")
    return Signal(
        action=_action(text(message, "action", "direction", "side")),
        symbol=text(message, "symbol", "instrument"),
        bot=text(message, "botId"),
        strategy=text(message, "strategy", "strategyName"),
        reason=_reason(message),
        price=number(message, "price", "entryPrice", "entry_price", "currentPrice"),
        quantity=quantity,
        stop_loss=number(message, "stop_loss", "stopLoss"),
        take_profit=number(message, "take_profit", "takeProfit"),
        at_ns=moment(message, "timestamp"),
        confidence=_confidence(message),
    )


def _action(word: str) -> Action:
    for action, parts in _ACTIONS:
        if any(part in word.upper() for part in parts):
            return action
    raise BadDataError(
        f"`{word}` is no action", hint="send BUY, SELL, LONG, SHORT, CLOSE, EXIT or HOLD"
    )


def _reason(message: Message) -> str:
    """Words for people decide nothing: line breaks and length are no reason to refuse a signal."""
    reason = message.get("reason")
    if reason is not None and not isinstance(reason, str):
        raise BadDataError("`reason` must be a text")
    return " ".join((reason or "").split())[:MAX_TEXT]


def _confidence(message: Message) -> float | str | None:
    if isinstance(message.get("confidence"), str):
        return text(message, "confidence")
    return number(message, "confidence")
