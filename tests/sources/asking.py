"""A server on loopback that answers as Binance's REST interface does."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from openbell.market.bars import Bars
from openbell.sources.lean import LeanFolder
from tests.conftest import SAMPLES

MINUTE_MS = 60_000
Answer = tuple[int, bytes]


@cache
def real_day() -> Bars:
    """The minutes of a day, of a market that never closes."""
    folder = SAMPLES / "lean/Data/crypto/coinbase/minute/btcusd/20161007_trade.zip"
    data = next(iter(LeanFolder([folder]).parse())).data
    assert isinstance(data, Bars)
    return data


def klines(asked: dict[str, str]) -> list[list[Any]]:
    """A bar for every minute asked for, as text: real values, in turn."""
    first, last = (int(asked[name]) for name in ("startTime", "endTime"))
    starts = range(-(-first // MINUTE_MS) * MINUTE_MS, last + 1, MINUTE_MS)
    day = real_day()
    found: list[list[Any]] = []
    for start in starts[: int(asked["limit"])]:
        bar = day.bar(start // MINUTE_MS % len(day))
        values = [repr(v) for v in (bar.open, bar.high, bar.low, bar.close, bar.volume)]
        found.append([start, *values, start + MINUTE_MS - 1, "0", 1, "0", "0", "0"])
    return found


def answer_bars(asked: dict[str, str]) -> Answer:
    return 200, orjson.dumps(klines(asked))


@contextmanager
def answering(
    answer: Callable[[dict[str, str]], Answer] = answer_bars,
) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server; its address, and what was asked of it."""
    heard: list[dict[str, str]] = []

    class Desk(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
            heard.append({"path": urlsplit(self.path).path, **asked})
            status, body = answer(asked)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Desk)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", heard
    server.shutdown()
    thread.join(10)
    server.server_close()
