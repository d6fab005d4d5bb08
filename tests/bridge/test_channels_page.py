"""The page of channels says what the code does: names, shapes, words, bounds."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from openbell.bridge import answers, channels, instruments, requests
from openbell.bridge.answers import Answer
from openbell.bridge.history import Config, HistoricalDataBootstrapService
from openbell.bridge.requests import HistoryRequest
from openbell.market.ticks import Quote, Trade
from tests.bridge.test_answers import ASKED, NOW_NS, SPY
from tests.house import read, table

PAGE = read("docs/channels.md")
CHANNEL = re.compile(r"`([a-z-]+(?::[\w{}-]+)+)`")


def names_in_code() -> Iterator[str]:
    for name, value in vars(channels).items():
        if name.isupper() and isinstance(value, str):
            yield value
        elif name.endswith("_of") and name != "payload_of":
            yield value("{botId}")
    for pairs in (channels.TO_AGGREGATOR, channels.TO_BOT):
        yield from pairs
        yield from pairs.values()


def test_every_channel_stands_on_the_page() -> None:
    assert sorted(set(names_in_code()) - set(CHANNEL.findall(PAGE))) == []


def test_every_channel_of_the_page_is_in_the_code() -> None:
    streams = {"openbell:{run}:slices", "openbell:{run}:answers"}  # of lock-step
    assert sorted(set(CHANNEL.findall(PAGE)) - set(names_in_code()) - streams) == []


def test_the_page_has_the_bots_two_tables() -> None:
    rows = {tuple(row) for row in table(PAGE) if len(row) == 2}
    assert set(channels.TO_AGGREGATOR.items()) | set(channels.TO_BOT.items()) <= rows


def shape(value: Any) -> str:
    """The names in a message, as the page writes them."""
    if isinstance(value, list):
        return f"[{shape(value[0])}]" if isinstance(value[0], dict) else ""
    inner = ((key, shape(v) if isinstance(v, dict | list) else "") for key, v in value.items())
    return "{" + ", ".join(f"{key}: {text}" if text else key for key, text in inner) + "}"


NOTED = HistoryRequest(request_id="h", symbol="SPY", count=2, notes=("one",))
FOUND = Answer(SPY, "s", NOW_NS)
TRADE = Trade("XNYS:SPY", NOW_NS, 130.0, 100.0, -1)
QUOTE = Quote("XNYS:SPY", NOW_NS, 129.9, 130.1, 3.0, 4.0)
BAR = SPY.bar(0)
HELD = answers.position("SPY", 1, 1.0, 2.0, at_ns=0)


@pytest.mark.parametrize(
    "made",
    [
        lambda: answers.required(NOTED, FOUND),
        lambda: answers.flat(NOTED, FOUND),
        lambda: answers.envelope(NOTED, FOUND),
        lambda: answers.projectx(FOUND),
        lambda: answers.required_error("h", "no", NOW_NS),
        lambda: answers.unknown_type("h", "X", NOW_NS),
        lambda: answers.chart_event(TRADE, QUOTE, "SPY", "c"),
        lambda: answers.bar_for_runner(BAR, "SPY"),
        lambda: answers.bar_for_bot(BAR, "SPY", "b"),
        lambda: answers.simulation_date(NOW_NS, "b"),
        lambda: answers.position_update("b", [HELD], NOW_NS),
    ],
)
def test_every_shape_stands_on_the_page(made: Callable[[], bytes]) -> None:
    assert f"`{shape(json.loads(made()))}`" in PAGE


@pytest.mark.parametrize(
    "made",
    [
        lambda: answers.quote_event(QUOTE, "SPY"),
        lambda: answers.trade_event(TRADE, "SPY"),
    ],
)
def test_every_event_stands_on_the_page_without_its_wrapping(made: Callable[[], bytes]) -> None:
    event = json.loads(made())
    assert f"`{shape(event['payload'])}`" in PAGE
    assert list(event) == ["type", "payload", "timestamp"]


def test_a_failed_envelope_stands_on_the_page() -> None:
    failed = json.loads(answers.envelope_error(ASKED.request_id, "i", "no", NOW_NS))
    assert f"`{{{', '.join(failed['payload'])}}}`" in PAGE


def test_every_word_of_a_request_stands_on_the_page() -> None:
    for template in requests.SESSION_TEMPLATES:
        assert f"`{template}`" in PAGE
    units = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "M": "month"}
    for number, unit in requests.PROJECTX_UNITS.items():
        assert f"{number} {units[unit]}" in PAGE
    words = ("sec", "second", "min", "minute", "hour", "day", "week", "month")
    for word in words:
        assert word in requests.INTERVAL_TYPES
        assert f"`{word}`" in PAGE


def test_every_field_that_is_read_stands_on_the_page() -> None:
    source = read("src/openbell/bridge/requests.py") + read("src/openbell/bridge/channels.py")
    fields = re.findall(r"(?:text|number|whole|moment|flag)\((?:message|asked), ([^)]*)", source)
    names = {name for call in fields for name in re.findall(r'"(\w+)"', call)}
    assert names >= {"barsBack", "unitNumber", "stopLoss", "includePartialBar"}
    assert sorted(name for name in names - {"Default"} if f"`{name}`" not in PAGE) == []


def test_the_bounds_are_those_of_the_code() -> None:
    for bound in (channels.MAX_BYTES, channels.MAX_TEXT, channels.MAX_COUNT, channels.MAX_LIMIT):
        assert f"{bound:,}" in PAGE


def test_every_count_stands_on_the_page() -> None:
    from redis import Redis

    for name in HistoricalDataBootstrapService(Redis()).get_statistics():
        assert f"`{name}`" in PAGE
    for name in ("default_symbol", "default_bars_back", "max_bars_back"):
        assert f"`{name}`" in PAGE
        assert str(getattr(Config(), name)) in PAGE


def test_the_pages_futures_have_the_codes_money() -> None:
    rows = {row[0]: row[1:] for row in table(PAGE) if row[0] in instruments.VENUES}
    assert len(rows) >= 5
    for root, row in rows.items():
        assert [float(cell) for cell in row] == list(instruments.table()[root].values())
    assert f"version {instruments.VERSION}" in PAGE
