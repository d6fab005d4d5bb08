"""Line feeds: the contract, and what is no message."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from math import isnan
from typing import Any

import pytest

from openbell.market.arrivals import BAR, CONNECTED, DISCONNECTED, QUOTE, TRADE
from openbell.market.errors import RefusedError, UsageError
from openbell.market.instrument import Series
from openbell.sources.line_feed import LineFeed
from tests.conftest import SAMPLES
from tests.sources.live_contract import SOON_S, LiveContract, Maker
from tests.sources.loopback import Basket, venue
from tests.sources.venue import items_of

SPY = [Series.parse(f"XNYS:SPY/{kind}") for kind in ("1m", "trades", "quotes")]


class TestLineFeed(LiveContract):
    speaks = "lines"

    @pytest.fixture
    def make(self) -> Maker:
        return LineFeed


@contextmanager
def saying(*parts: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that says each part to one client after the other; and what they subscribed."""
    heard: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))
    clients: list[socket.socket] = []

    def serve() -> None:
        for part in parts:
            client, _ = server.accept()
            heard.append(client.makefile("rb").readline())
            client.sendall(part)
            if part != parts[-1]:
                client.close()
            clients.append(client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"tcp://127.0.0.1:{server.getsockname()[1]}", heard
    thread.join(SOON_S)
    for client in clients:
        client.close()
    server.close()


def received(most: int, *parts: bytes, **options: Any) -> tuple[Basket, LineFeed, list[bytes]]:
    basket = Basket(most)
    with saying(*parts) as (url, heard):
        feed = LineFeed(url, SPY, wait=lambda _: None, **options)
        feed.start(basket)
        assert basket.full.wait(SOON_S)
        feed.stop()
    return basket, feed, heard


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("lean/Data/future/comex/tick", "XCEC:GC-201312/trades"),
        ("lean/Data/forex/oanda/tick", "OANDA:EURUSD/quotes"),
    ],
)
def test_ticks_without_numbers_come_as_they_are(folder: str, name: str) -> None:
    series = Series.parse(name)
    expected = [item for item in items_of(SAMPLES / folder) if item.series == series][:300]
    basket = Basket(250)
    with venue(SAMPLES / folder, speed=1_000) as url:
        feed = LineFeed(url, [series])
        feed.start(basket)
        assert basket.full.wait(SOON_S)
        feed.stop()
    found = basket.pushed[1:250]
    assert [one.values for one in found] == [item.values for item in expected[: len(found)]]
    steps = [b.venue_ns - a.venue_ns for a, b in pairwise(found)]
    assert min(steps) >= 0


def test_every_kind_of_message_is_understood() -> None:
    lines = (
        b'{"type":"heartbeat"}\n'
        b'{"type":"trade","series":"XNYS:SPY/trades","time_ns":5,"price":1.5,"size":2}\n'
        b'{"type":"quote","series":"XNYS:SPY/quotes","time_ns":6,"number":9,"bid":null,"ask":2,'
        b'"bid_size":0,"ask_size":3}\n'
        b'{"type":"bar","series":"XNYS:SPY/1m","start_ns":7,"open":1,"high":4,"low":0.5,'
        b'"close":2,"volume":10}\n'
    )
    basket, _, heard = received(6, lines)
    assert heard == [
        b'{"type":"subscribe","series":["XNYS:SPY/1m","XNYS:SPY/trades","XNYS:SPY/quotes"]}\n'
    ]
    trade, quote, bar = basket.pushed[3:]
    assert trade == (SPY[1], TRADE, 5, (1.5, 2.0, 0.0), 0)
    assert quote[:3] + quote[4:] == (SPY[2], QUOTE, 6, 9)
    assert isnan(quote.values[0])
    assert quote.values[1:] == (2.0, 0.0, 3.0)
    assert bar == (SPY[0], BAR, 7, (1.0, 4.0, 0.5, 2.0, 10.0), 0)


def test_a_line_may_come_in_pieces() -> None:
    whole = b'{"type":"trade","series":"XNYS:SPY/trades","time_ns":5,"price":1.5,"size":2}\n'
    basket = Basket(4)
    server = socket.create_server(("127.0.0.1", 0))
    feed = LineFeed(f"tcp://127.0.0.1:{server.getsockname()[1]}", SPY)
    feed.start(basket)
    client, _ = server.accept()
    for at in range(0, len(whole), 7):
        client.sendall(whole[at : at + 7])
    assert basket.full.wait(SOON_S)
    feed.stop()
    client.close()
    server.close()
    assert basket.pushed[3].values == (1.5, 2.0, 0.0)


@pytest.mark.parametrize(
    "line",
    [
        b"hello\n",
        b"[]\n",
        b'{"type":"trade"}\n',
        b'{"type":"trade","series":"XNYS:IBM/trades","time_ns":5,"price":1,"size":2}\n',
        b'{"type":"trade","series":"XNYS:SPY/trades","time_ns":"now","price":1,"size":2}\n',
        b'{"type":"weather","series":"XNYS:SPY/trades"}\n',
        b"\xff\xfe\n",
        b'{"type":"' + b"x" * 200_000,
    ],
)
def test_what_is_no_message_ends_the_connection(line: bytes) -> None:
    beat = b'{"type":"heartbeat"}\n'
    basket, feed, _ = received(9, line, beat)
    notes = [one.what for one in basket.pushed if one.series == SPY[0]]
    assert notes == [CONNECTED, DISCONNECTED, CONNECTED]
    assert feed.error is not None
    assert str(feed.error)
    assert basket.failed == {}


def test_a_series_that_is_refused_fails() -> None:
    line = b'{"type":"refused","series":"XNYS:SPY/1m","reason":"no such thing"}\n'
    basket, _, _ = received(10**6, line)
    assert list(basket.failed) == [SPY[0]]
    assert isinstance(basket.failed[SPY[0]], RefusedError)
    assert "no such thing" in str(basket.failed[SPY[0]])


@pytest.mark.parametrize("url", ["tcp://", "tcp://host", "http://host:80", "host:80", "tcp://h:x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        LineFeed(url, SPY)
