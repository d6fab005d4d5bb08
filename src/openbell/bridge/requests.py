"""What a history request asks for, in each of the forms in which it is asked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from openbell.bridge.channels import (
    MAX_COUNT,
    MAX_LIMIT,
    MAX_TEXT,
    Message,
    flag,
    moment,
    number,
    payload_of,
    request_id,
    text,
    whole,
)
from openbell.market.errors import BadDataError
from openbell.market.moments import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

Hours = Literal["regular", "extended"]

# TradeStation's session templates, by which the original asks; none means regular hours.
SESSION_TEMPLATES: Mapping[str, Hours] = MappingProxyType(
    {
        "Default": "regular",
        "USEQPre": "extended",
        "USEQPost": "extended",
        "USEQPreAndPost": "extended",
        "USEQ24Hour": "extended",
    }
)
# What the original takes for a unit of time, and what its clients and ProjectX write.
INTERVAL_TYPES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("sec", "secs", "second", "seconds", "s"), "s"),
        **dict.fromkeys(("min", "mins", "minute", "minutes", "m"), "m"),
        **dict.fromkeys(("hour", "hours", "h"), "h"),
        **dict.fromkeys(("day", "days", "d"), "d"),
        **dict.fromkeys(("week", "weeks", "w"), "w"),
        **dict.fromkeys(("month", "months", "mon"), "M"),
    }
)
PROJECTX_UNITS: Mapping[int, str] = MappingProxyType(
    {1: "s", 2: "m", 3: "h", 4: "d", 5: "w", 6: "M"}
)
UNIT_NS: Mapping[str, int] = MappingProxyType(
    {"s": SECOND_NS, "m": MINUTE_NS, "h": HOUR_NS, "d": DAY_NS, "w": 7 * DAY_NS, "M": 0}
)
_TIMEFRAME = re.compile(r"(\d{1,6})\s*([A-Za-z]{1,8})")
_MAX_INTERVAL = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRequest:
    """What is asked for.

    Attributes
    ----------
    request_id
        The asker's name for it; goes back with the answer.
    symbol
        As sent: ``NQ``, ``XNYS:SPY``, a contract of ProjectX.
    count
        The newest so many bars, at least 1.
    code, width_ns
        Width of the bars: ``5m``; 0 ns for months. Not every code is a timeframe of ours.
    start_ns, end_ns
        No bar starts before the one or ends after the other; None where nothing is said.
    hours
        Whether bars before the open and after the close count.
    in_progress
        Whether a bar that has begun and not ended counts.
    instance
        Who asks, in the production form; empty otherwise.
    notes
        What of the request was taken otherwise than it was said.
    """

    request_id: str | int
    symbol: str
    count: int
    code: str = "1m"
    width_ns: int = MINUTE_NS
    start_ns: int | None = None
    end_ns: int | None = None
    hours: Hours = "regular"
    in_progress: bool = False
    instance: str = ""
    notes: tuple[str, ...] = ()


def history_request(message: Message, *, symbol: str = "NQ", count: int = 50) -> HistoryRequest:
    """The request of a message on `channels.HISTORY_REQUEST`.

    `symbol` and `count` are what is asked for if the message does not say.

    Raises
    ------
    BadDataError
        If a field has a wrong type or is out of range, or the request has no name.
    """
    notes: list[str] = []
    bars = whole(message, "barsBack", "limit", default=count, most=MAX_COUNT)
    return _request(message, text(message, "symbol", default=symbol), bars, notes)


def production_request(message: Message) -> HistoryRequest:
    """The request of a ``REQUEST_HISTORICAL_DATA``, flat or in its `payload`.

    Raises
    ------
    BadDataError
        As `history_request`; also if no instrument is named.
    """
    asked = payload_of(message)
    symbol = text(asked, "instrument", "contractId")
    if not symbol:
        raise BadDataError("Missing instrument parameter")
    notes: list[str] = []
    return _request(asked, symbol, whole(asked, "limit", default=500, most=MAX_LIMIT), notes)


def code_of(count: int, unit: str) -> str:
    """A timeframe's code, in the widest unit that it is a multiple of; weeks stay days but for one.

    Examples
    --------
    >>> code_of(60, "m"), code_of(1440, "m"), code_of(7, "d"), code_of(90, "s")
    ('1h', '1d', '1w', '90s')
    """
    for narrow, times, wide in (("s", 60, "m"), ("m", 60, "h"), ("h", 24, "d")):
        if unit == narrow and count % times == 0:
            count, unit = count // times, wide
    return "1w" if (count, unit) == (7, "d") else f"{count}{unit}"


def _request(message: Message, symbol: str, count: int, notes: list[str]) -> HistoryRequest:
    named = request_id(message)
    if named is None:
        raise BadDataError(
            f"`requestId` must be a number, or a text of at most {MAX_TEXT} characters"
        )
    many, unit = _interval(message, notes)
    return HistoryRequest(
        request_id=named,
        symbol=symbol,
        count=count,
        code=code_of(many, unit),
        width_ns=many * UNIT_NS[unit],
        start_ns=moment(message, "startTime"),
        end_ns=_earlier(moment(message, "endTime"), moment(message, "timestamp")),
        hours=_hours(message, notes),
        in_progress=flag(message, "includePartialBar"),
        instance=text(message, "instanceId"),
        notes=tuple(notes),
    )


def _earlier(one: int | None, other: int | None) -> int | None:
    return min((ns for ns in (one, other) if ns is not None), default=None)


def _hours(message: Message, notes: list[str]) -> Hours:
    template = text(message, "sessionTemplate", default="Default")
    if template not in SESSION_TEMPLATES:
        notes.append(f"sessionTemplate {template} is not known: regular hours")
    return SESSION_TEMPLATES.get(template, "regular")


def _interval(message: Message, notes: list[str]) -> tuple[int, str]:
    """How many of which unit a bar is wide; ProjectX's fields first, then the text, then others."""
    if message.get("unit") is not None:
        unit = PROJECTX_UNITS[whole(message, "unit", default=2, most=6)]
        return whole(message, "unitNumber", default=1, most=_MAX_INTERVAL), unit
    if message.get("timeframe") is not None:
        return _from_text(text(message, "timeframe"))
    if isinstance(message.get("interval"), str):
        return _older(message)
    count = whole(message, "interval", default=1, most=_MAX_INTERVAL)
    word = text(message, "intervalType", default="min")
    if word not in INTERVAL_TYPES:  # so does the original, but without a word
        notes.append(f"intervalType {word} is not known: minutes")
    return count, INTERVAL_TYPES.get(word, "m")


def _from_text(code: str) -> tuple[int, str]:
    match = _TIMEFRAME.fullmatch(code)
    word = match[2] if match else ""
    unit = "M" if word == "M" else INTERVAL_TYPES.get(word.lower())
    if match is None or unit is None or not 1 <= int(match[1]) <= _MAX_INTERVAL:
        raise BadDataError(f"`timeframe` {code} is none", hint="write 1m, 5m, 1h, 1d")
    return int(match[1]), unit


def _older(message: Message) -> tuple[int, str]:
    """The production bot's older form: ``interval: 'minute', periodMinutes: 5``."""
    word = text(message, "interval")
    if word not in INTERVAL_TYPES:
        raise BadDataError(f"`interval` {word} is none", hint="write minute, hour or day")
    if number(message, "periodMinutes") is None:
        return 1, INTERVAL_TYPES[word]
    return whole(message, "periodMinutes", default=1, most=_MAX_INTERVAL), "m"
