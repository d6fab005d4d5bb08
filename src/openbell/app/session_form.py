"""What a session configuration of requirements 001 and 002 may hold: every field, and its rule.

The fields of both generations, which differ in what they call the streams: ``data_streams`` in the
older one, ``symbols`` and ``streams`` below ``session_data_config`` in the newer.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from openbell.app.json_rules import (
    Rule,
    anything,
    day,
    fields,
    flag,
    listing,
    named,
    number,
    one_of,
    shown,
    text,
)
from openbell.market.errors import UsageError
from openbell.market.instrument import Instrument
from openbell.market.timeframe import CODES

# The calendars of each exchange group.
GROUPS: dict[str, tuple[str, ...]] = {
    "US_EQUITY": ("XNYS",),
    "US_OPTIONS": ("XNYS",),
    "US_FUTURES": ("CME_EQUITY", "CME_AGRICULTURE", "CME_METALS", "CME_ENERGY"),
    "UK_EQUITY": ("XLON",),
    "JP_EQUITY": ("XTKS",),
    "EU_EQUITY": ("XETR", "XPAR"),
}


class Stream(NamedTuple):
    """One stream that is asked for.

    Attributes
    ----------
    symbol
        As written: a venue's symbol, or an instrument, ``XNYS:SPY``.
    kind
        ``trades``, ``quotes``, or a timeframe: ``1m``.
    """

    symbol: str
    kind: str


def code_of(value: Any) -> str:
    """The timeframe of a code, or of whole minutes; empty if it is neither."""
    if isinstance(value, str):
        return value
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        return ""
    if value % 1440 == 0:
        return f"{value // 1440}d"
    return f"{value // 60}h" if value % 60 == 0 else f"{value}m"


def streams_of(values: Mapping[str, Any]) -> Iterator[Stream]:
    """The streams of a form that keeps its rules, in the order they are written."""
    for one in values.get("data_streams", []):
        yield Stream(one["symbol"], _kind(one.get("interval", one["type"])))
    data = values.get("session_data_config", {})
    for symbol in data.get("symbols", []):
        for kind in data["streams"]:
            yield Stream(symbol, _kind(kind))


def _kind(word: Any) -> str:
    return {"ticks": "trades", "quotes": "quotes"}.get(str(word)) or code_of(word)


# What the fields may hold


def _interval(value: Any, path: str) -> Iterator[str]:
    if code_of(value) not in CODES:
        yield f"{path}: must be a timeframe like 1m, or whole minutes, not {shown(value)}"


def _symbol(value: Any, path: str) -> Iterator[str]:
    try:
        Instrument.parse(value if ":" in value else f"ANY:{value}")
    except (UsageError, TypeError):
        yield f"{path}: must be a symbol like SPY, or XNYS:SPY, not {shown(value)}"


def _applies(value: Any, path: str) -> Iterator[str]:
    if value != "all":
        if not isinstance(value, list):
            yield f"{path}: must be `all` or a list of symbols, not {shown(value)}"
            return
        yield from listing(_symbol, is_set=True, least=1)(value, path)


def _period(value: Any, path: str) -> Iterator[str]:
    if not (isinstance(value, str) and re.fullmatch(r"[1-9]\d{0,3}[dw]", value)):
        yield f"{path}: must be a period like 10d or 52w, not {shown(value)}"


_COUNT: Rule = number(whole=True, least=0, most=1_000_000)
_SOME: Rule = number(whole=True, least=1, most=1_000_000)
_MONEY: Rule = number(above=0)
_STREAMS = ("1s", "1m", "5m", "10m", "15m", "30m", "1h", "1d", "ticks", "quotes")

_STREAM = fields(
    {
        "type": one_of("bars", "ticks", "quotes"), "symbol": _symbol, "interval": _interval,
        "output_file": text,
    },
    needed=("type", "symbol"),
)  # fmt: skip
_BACKTEST = fields(
    {
        "start_date": day, "end_date": day, "speed_multiplier": number(least=0, most=1e9),
        "prefetch_days": _SOME,
    },
    needed=("start_date", "end_date"),
)  # fmt: skip
_TRADING = fields(
    {
        "max_buying_power": _MONEY, "max_per_trade": _MONEY, "max_per_symbol": _MONEY,
        "max_open_positions": _SOME, "paper_trading": flag,
    }
)  # fmt: skip
_API = fields(
    {
        "data_api": one_of("alpaca", "schwab"), "trade_api": one_of("alpaca", "schwab"),
        "account_id": anything,
    }
)  # fmt: skip
_HISTORICAL_BARS = fields(
    {"enabled": flag, "trailing_days": _COUNT, "intervals": listing(_interval), "auto_load": flag}
)
_UPKEEP = fields(
    {
        "enabled": flag, "check_interval_seconds": _SOME, "retry_missing_bars": flag,
        "max_retries": _COUNT, "derived_intervals": listing(_interval),
        "auto_compute_derived": flag,
    }
)  # fmt: skip
_PREFETCH = fields(
    {
        "enabled": flag, "window_minutes": _SOME, "check_interval_minutes": _SOME,
        "auto_activate": flag,
    }
)  # fmt: skip
_HISTORICAL = fields(
    {
        "enable_quality": flag,
        "data": listing(
            fields(
                {"trailing_days": _SOME, "intervals": listing(_interval, least=1),
                 "apply_to": _applies},
                needed=("trailing_days", "intervals"),
            )
        ),
        "indicators": named(
            fields(
                {"type": one_of("trailing_average", "trailing_max", "trailing_min"),
                 "period": _period, "granularity": anything, "field": text},
                needed=("type", "period"),
            )
        ),
    }
)  # fmt: skip
_SESSION_DATA = fields(
    {
        "historical_bars": _HISTORICAL_BARS,
        "data_upkeep": _UPKEEP,
        "prefetch": _PREFETCH,
        "session_boundary": fields({"auto_roll": flag, "preserve_historical_days": _COUNT}),
        "symbols": listing(_symbol, is_set=True, least=1),
        "streams": listing(one_of(*_STREAMS), is_set=True, least=1),
        "streaming": fields(
            {"catchup_threshold_seconds": _COUNT, "catchup_check_interval": _SOME}
        ),
        "historical": _HISTORICAL,
        "gap_filler": fields(
            {"max_retries": number(whole=True, least=1, most=20), "retry_interval_seconds": _SOME,
             "enable_session_quality": flag}
        ),
        "indicators": fields({"session": listing(anything), "historical": listing(anything)}),
        "scanners": listing(anything),
        "strategies": listing(anything),
    }
)  # fmt: skip
FORM = fields(
    {
        "session_name": text, "mode": one_of("live", "backtest"),
        "exchange_group": one_of(*GROUPS), "asset_class": text,
        "data_streams": listing(_STREAM, least=1), "backtest_config": _BACKTEST,
        "trading_config": _TRADING, "api_config": _API, "session_data_config": _SESSION_DATA,
        "metadata": named(anything),
    },
    needed=("session_name", "mode"),
)  # fmt: skip


def contradictions(values: Mapping[str, Any]) -> Iterator[str]:
    """What single fields cannot tell."""
    data = values.get("session_data_config", {})
    span = values.get("backtest_config")
    if values["mode"] == "backtest" and span is None:
        yield "backtest_config: is missing, and the mode is backtest"
    if span is not None and span["start_date"] > span["end_date"]:
        yield f"backtest_config.end_date: {span['end_date']} lies before start_date"
    for one, other in (("historical_bars", "historical"), ("data_upkeep", "gap_filler")):
        if one in data and other in data:
            yield f"session_data_config.{other}: is given besides {one}; give one of them"
    yield from _stream_contradictions(values, data)
    yield from _power(values.get("trading_config", {}))


def _stream_contradictions(values: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[str]:
    for one, other in (("symbols", "streams"), ("streams", "symbols")):
        if one in data and other not in data:
            yield f"session_data_config.{other}: is missing, and {one} are given"
    given = values.get("data_streams", [])
    if not given and "symbols" not in data:
        yield "session_data_config.symbols: no streams are given, here or as data_streams"
    for k, stream in enumerate(given):
        if stream["type"] == "bars" and "interval" not in stream:
            yield f"data_streams[{k}].interval: is missing, and the type is bars"
        if stream["type"] != "bars" and "interval" in stream:
            yield f"data_streams[{k}].interval: {stream['type']} have none"
    count = Counter(streams_of(values))
    for stream in (s for s in count if count[s] > 1):
        yield f"data_streams: {stream.kind} of {stream.symbol} is asked for twice"
    symbols = {stream.symbol for stream in count}
    for k, one in enumerate(data.get("historical", {}).get("data", [])):
        wanted = one.get("apply_to", "all")
        for symbol in sorted(set() if wanted == "all" else set(wanted) - symbols):
            yield f"session_data_config.historical.data[{k}].apply_to: {symbol} has no stream"


def _power(trading: Mapping[str, Any]) -> Iterator[str]:
    most = trading.get("max_buying_power")
    for name in ("max_per_trade", "max_per_symbol"):
        if most is not None and trading.get(name, 0) > most:
            yield f"trading_config.{name}: {trading[name]:g} is above max_buying_power {most:g}"
