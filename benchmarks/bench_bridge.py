"""The history service, timed over a real Redis on this machine."""

import gzip
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from redis import Redis

from benchmarks.row import Row
from openbell.bridge import channels
from openbell.bridge.history import HistoricalDataBootstrapService
from openbell.bridge.redis_server import RedisServer
from openbell.market.bars import Bars, bars_from
from openbell.market.moments import MINUTE_NS, parse_moment
from openbell.ports import Manifest
from openbell.stores.lake import Lake

Figure = tuple[str, float, str]

COMMAND = "python -m benchmarks.run bridge"
TARGETS = {"history answer, 50 bars, p99": "≤ 5", "lost or wrong of 10,000 requests": "0"}
SPY = Path(__file__).parents[1] / "tests/samples/pyalgotrade/nt-spy-minute-2011-03.csv.gz"
NOW_NS = parse_moment("2011-03-14T15:07:30Z")
CLIENTS = 50


def spy_bars() -> Bars:
    """SPY of March 2011: 17,577 minutes, UTC, stamped at the close."""
    with gzip.open(SPY, "rt") as file:
        rows = [line.split(";") for line in file]
    stamps = [f"{r[0][:4]}-{r[0][4:6]}-{r[0][6:8]}T{r[0][9:11]}:{r[0][11:13]}" for r in rows]
    ends = np.array(stamps, "M8[ns]").astype(np.int64)
    columns = np.array([[float(v) for v in r[1:6]] for r in rows]).T
    return bars_from("XNYS:SPY/1m", ends - MINUTE_NS, ends, list(columns))


class Client:
    """Asks one request after the other, over connections of its own."""

    def __init__(self, port: int, answers: str = channels.HISTORY_RESPONSE) -> None:
        self._redis = Redis(port=port)
        self._pubsub: Any = self._redis.pubsub()
        self._pubsub.subscribe(answers)
        assert self._pubsub.get_message(timeout=5)

    def send(self, **fields: Any) -> None:
        self._redis.publish(channels.HISTORY_REQUEST, json.dumps({"symbol": "SPY", **fields}))

    def next(self) -> Any:
        message = self._pubsub.get_message(timeout=30)
        return json.loads(message["data"])

    def close(self) -> None:
        self._pubsub.close()
        self._redis.close()


def one_by_one(port: int, times: int) -> Iterator[Figure]:
    """Round trips of one client, from the request's sending to the answer as an object."""
    client = Client(port)
    for name, fields in (
        ("history answer, 50 bars", {"barsBack": 50}),
        ("history answer, 50 bars of 5 minutes", {"barsBack": 50, "timeframe": "5m"}),
        ("history answer, 500 bars", {"barsBack": 500}),
    ):
        took = []
        for number in range(times):
            before = time.perf_counter()
            client.send(requestId=number, **fields)
            assert client.next()["requestId"] == number
            took.append((time.perf_counter() - before) * 1e3)
        yield f"{name}, p50", float(np.percentile(took, 50)), "ms"
        yield f"{name}, p99", float(np.percentile(took, 99)), "ms"
    client.close()


def all_at_once(port: int, requests: int) -> Iterator[Figure]:
    """Many clients that do not wait for one another; one listener checks every answer."""
    good: set[int] = set()
    listener = Client(port)

    def listen() -> None:
        for _ in range(requests):
            answer = listener.next()
            if answer["success"] and answer["data"]["endDatetime"] == "2011-03-14T15:07:00Z":
                good.add(answer["requestId"])

    def ask(client: int) -> None:
        asker = Client(port)
        for number in range(client, requests, CLIENTS):
            asker.send(requestId=number, barsBack=50)
        asker.close()

    thread = threading.Thread(target=listen)
    thread.start()
    before = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask, range(CLIENTS)))
    thread.join()
    took = time.perf_counter() - before
    listener.close()
    yield f"lost or wrong of {requests:,} requests", float(requests - len(good)), "requests"
    yield f"requests of {CLIENTS} clients", requests / took, "1/s"


def history(*, quick: bool) -> Iterator[Figure]:
    """The service over a lake with SPY of March 2011."""
    with tempfile.TemporaryDirectory() as folder, RedisServer() as server:
        lake = Lake(Path(folder) / "lake", time.time_ns)
        lake.write(spy_bars(), Manifest("benchmark"))
        client = Redis(port=server.port)
        config = {"source": lake, "clock": lambda: NOW_NS}
        with HistoricalDataBootstrapService(client, config):
            yield from one_by_one(server.port, 200 if quick else 2_000)
            yield from all_at_once(server.port, 500 if quick else 10_000)
        client.close()


def rows(quick: bool) -> list[Row]:
    """All figures of the bridge's Python side."""
    return [
        Row("Bridge", name, figure, unit, TARGETS.get(name, ""), COMMAND)
        for name, figure, unit in history(quick=quick)
    ]
