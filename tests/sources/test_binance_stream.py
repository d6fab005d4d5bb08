"""Binance's streams: the contract, and its messages."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from openbell.market.arrivals import BAR, QUOTE, TRADE
from openbell.market.errors import RefusedError, UnavailableError, UsageError
from openbell.market.instrument import Series
from openbell.ports import LiveSource
from openbell.sources.binance_stream import BinanceStream
from tests.sources.live_contract import SOON_S, LiveContract, Maker
from tests.sources.loopback import Basket


class TestBinanceStream(LiveContract):
    speaks = "binance"

    @pytest.fixture
    def make(self) -> Maker:
        def make(url: str, series: Sequence[Series], **options: Any) -> LiveSource:
            return BinanceStream(url, series, time.time_ns, **options)

        return make


@contextmanager
def serving(talk: Callable[[Any], None], **options: Any) -> Iterator[str]:
    """A WebSocket server on loopback."""
    from websockets.sync.server import serve

    with serve(talk, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join(SOON_S)


def said(series: Sequence[str], most: int, *messages: Any) -> Basket:
    """What is pushed of some messages."""
    over = threading.Event()

    def talk(client: Any) -> None:
        for message in messages:
            client.send(orjson.dumps(message).decode())
        over.wait(SOON_S)

    basket = Basket(most)
    with serving(talk) as url:
        source = BinanceStream(url, [Series.parse(s) for s in series], lambda: 77)
        source.start(basket)
        assert basket.full.wait(SOON_S)
        source.stop()
        over.set()
    return basket


def test_the_streams_are_asked_for_by_their_names() -> None:
    paths: list[str] = []
    basket = Basket(3)
    names = ("BINANCE:BTC-USDT/trades", "BINANCE:ETHUSDT/quotes", "BINANCE:ETHUSDT/1m")
    with serving(lambda client: paths.append(client.request.path)) as url:
        source = BinanceStream(url, [Series.parse(s) for s in names], lambda: 0)
        source.start(basket)
        assert basket.full.wait(SOON_S)
        source.stop()
    assert paths[0] == "/stream?streams=btcusdt@trade/ethusdt@bookTicker/ethusdt@kline_1m"


def test_a_quote_takes_the_venues_time_where_it_has_one() -> None:
    quote = {"u": 5, "s": "ETHUSDT", "b": "1.5", "B": "2", "a": "1.6", "A": "3"}
    stream = "ethusdt@bookTicker"
    basket = said(
        ["BINANCE:ETHUSDT/quotes"], 3,
        {"stream": stream, "data": quote}, {"stream": stream, "data": {**quote, "T": 1700}},
    )  # fmt: skip
    assert [one[1:] for one in basket.pushed[1:]] == [
        (QUOTE, 77, (1.5, 1.6, 2.0, 3.0), 5),
        (QUOTE, 1_700_000_000, (1.5, 1.6, 2.0, 3.0), 5),
    ]


def test_only_closed_klines_are_bars() -> None:
    bar = {"t": 1700, "o": "1", "h": "4", "l": "0.5", "c": "2", "v": "10", "x": False}
    stream = "ethusdt@kline_1m"
    basket = said(
        ["BINANCE:ETHUSDT/1m"], 2,
        {"stream": stream, "data": {"k": bar}},
        {"stream": "ethusdt@depth", "data": {}},
        {"result": None, "id": 1},
        {"stream": stream, "data": {"k": {**bar, "x": True}}},
    )  # fmt: skip
    assert [one[1:] for one in basket.pushed[1:]] == [
        (BAR, 1_700_000_000, (1.0, 4.0, 0.5, 2.0, 10.0), 0)
    ]


def futures(shared_data: Path) -> list[dict[str, Any]]:
    """What Binance's futures sent in half a minute of 2021."""
    path = shared_data / "cryptofeed" / "BINANCE_FUTURES.ws.1.0.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return [orjson.loads(line.partition(": ")[2]) for line in lines if ': {"stream"' in line]


@pytest.mark.shared
def test_a_recorded_stream_of_klines_gives_its_closed_ones(shared_data: Path) -> None:
    messages = futures(shared_data)
    klines = [m["data"]["k"] for m in messages if "@kline_1m" in m["stream"]]
    closed = [k for k in klines if k["x"] and k["s"] == "SUSHIUSDT"]
    assert closed
    basket = said(["BINANCE:SUSHIUSDT/1m"], 1 + len(closed), *messages)
    found = [(one.venue_ns // 1_000_000, one.values[3]) for one in basket.pushed[1:]]
    assert found == [(k["t"], float(k["c"])) for k in closed]


@pytest.mark.shared
def test_a_recorded_stream_of_best_quotes_comes_with_the_venues_times(shared_data: Path) -> None:
    messages = futures(shared_data)
    quoted = [m["data"] for m in messages if m["stream"] == "sushiusdt@bookTicker"]
    assert len(quoted) > 10
    basket = said(["BINANCE:SUSHIUSDT/quotes"], 1 + len(quoted), *messages)
    found = [(one.venue_ns // 1_000_000, one.number, one.values[0]) for one in basket.pushed[1:]]
    assert found == [(q["T"], q["u"], float(q["b"])) for q in quoted]


@pytest.mark.parametrize("message", ["hello", "[]", '{"stream":"ethusdt@trade","data":{"p":1}}'])
def test_what_is_no_message_ends_the_connection(message: str) -> None:
    basket = Basket(3)
    with serving(lambda client: client.send(message)) as url:
        source = BinanceStream(
            url, [Series.parse("BINANCE:ETHUSDT/trades")], lambda: 0, wait=lambda _: None
        )
        source.start(basket)
        assert basket.full.wait(SOON_S)
        source.stop()
    assert "no message" in str(source.error)
    assert TRADE not in {one.what for one in basket.pushed}


@pytest.mark.parametrize(("status", "kind"), [(404, RefusedError), (503, UnavailableError)])
def test_an_answer_that_is_no_is_told_from_one_to_try_again(
    status: int, kind: type[Exception]
) -> None:
    def answer(client: Any, request: Any) -> Any:
        return client.respond(status, "no\n")

    with serving(lambda client: None, process_request=answer) as url:
        source = BinanceStream(url, [Series.parse("BINANCE:ETHUSDT/1m")], lambda: 0)
        with pytest.raises(kind, match=str(status)):
            source.start(Basket())


@pytest.mark.parametrize(
    "answer",
    [{"error": {"code": 2, "msg": "too many"}, "id": 2}, {"code": 2, "msg": "too many", "id": 2}],
)
def test_a_stream_that_is_refused_fails(answer: Any) -> None:
    asked: list[Any] = []

    def refuse(client: Any) -> None:
        asked.append(orjson.loads(client.recv(timeout=SOON_S)))
        client.send(orjson.dumps(answer).decode())

    basket = Basket()
    trades, quotes = (Series.parse(f"BINANCE:ETHUSDT/{kind}") for kind in ("trades", "quotes"))
    with serving(refuse) as url:
        source = BinanceStream(url, [trades], lambda: 0)
        source.start(basket)
        with pytest.raises(UsageError, match="nothing Binance sends"):
            source.add(Series.parse("XNYS:SPY/1m"))
        source.add(quotes)
        assert basket.full.wait(SOON_S)
        source.stop()
    assert asked == [{"method": "SUBSCRIBE", "params": ["ethusdt@bookTicker"], "id": 2}]
    assert list(basket.failed) == [quotes]
    assert "too many" in str(basket.failed[quotes])


@pytest.mark.parametrize("series", ["XNYS:SPY/1m", "BINANCE:BTCUSDT/1m.mark"])
def test_what_binance_does_not_send_is_refused(series: str) -> None:
    with pytest.raises(UsageError, match="nothing Binance sends"):
        BinanceStream("ws://127.0.0.1:1", [Series.parse(series)], lambda: 0)


@pytest.mark.parametrize("url", ["http://host", "ws://", "wss://host/stream?streams=x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        BinanceStream(url, [Series.parse("BINANCE:BTCUSDT/1m")], lambda: 0)
