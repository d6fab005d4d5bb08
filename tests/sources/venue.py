"""A venue on loopback, in a process of its own: plays real trades and quotes, with seeded faults.

``python -m tests.sources.venue --speak lines --data FILE`` prints the port it listens at. What it
plays begins when the first client has connected and goes on whether anybody listens or not.
"""

import argparse
import gzip
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from openbell.market.instrument import Series
from openbell.market.ticks import Trades
from openbell.sources.lean import LeanFolder

TRADES, QUOTES = Series.parse("BINANCE:BTCUSDT/trades"), Series.parse("BINANCE:BTCUSDT/quotes")
FAULTS = ("silence", "disconnect", "burst", "repeat", "disorder", "skew")
_RATE = {"silence": 0.005, "disconnect": 0.004, "burst": 0.05, "skew": 0.02}
_OF_ORDER = 0.05  # how often something is repeated, or two change places
_SILENCE_S = 1.2
_HEARTBEAT_S = 0.5


_never = threading.Event()


def rest(seconds: float) -> None:
    _never.wait(seconds)


class Item(NamedTuple):
    """One thing that happened: when, and what is said of it in either protocol."""

    at_ns: int
    series: Series
    values: tuple[float, ...]
    number: int
    raw: Mapping[str, Any] = MappingProxyType({})


def binance(path: Path) -> list[Item]:
    """Trades and best quotes of a recorded stream: a time of receipt and a message a line."""
    found = []
    for line in gzip.decompress(path.read_bytes()).splitlines():
        stamp, _, text = line.partition(b" ")
        message = orjson.loads(text)
        data, stream = message.get("data", {}), message.get("stream", "")
        if stream.endswith("@trade"):
            values = float(data["p"]), float(data["q"]), -1.0 if data["m"] else 1.0
            found.append(Item(int(stamp), TRADES, values, data["t"], message))
        elif stream.endswith("@bookTicker"):
            quoted = tuple(float(data[name]) for name in ("b", "a", "B", "A"))
            found.append(Item(int(stamp), QUOTES, quoted, data["u"], message))
    return found


def lean(path: Path) -> list[Item]:
    """Ticks of a LEAN folder."""
    found = []
    for part in LeanFolder([path]).parse():
        data: Any = part.data
        names = ("price", "size", "side") if isinstance(data, Trades) else (
            "bid", "ask", "bid_size", "ask_size"
        )  # fmt: skip
        columns = [getattr(data, name).tolist() for name in names]
        rows = zip(data.time_ns.tolist(), zip(*columns, strict=True), strict=True)
        found += [Item(at, data.series, tuple(map(float, v)), 0) for at, v in rows]
    return sorted(found, key=lambda item: item.at_ns)


def items_of(path: Path) -> list[Item]:
    return binance(path) if path.suffix == ".gz" else lean(path)


def line(item: Item, time_ns: int) -> bytes:
    """An item in the protocol of line feeds."""
    kind = {"trades": "trade", "quotes": "quote"}[item.series.kind]
    names = {"trade": ("price", "size", "side"), "quote": ("bid", "ask", "bid_size", "ask_size")}
    said: dict[str, Any] = {"type": kind, "series": str(item.series), "time_ns": time_ns}
    values = dict(zip(names[kind], item.values, strict=True))
    return orjson.dumps({**said, "number": item.number, **values}) + b"\n"


def message(item: Item, time_ns: int) -> bytes:
    """An item as Binance says it."""
    data = dict(item.raw["data"])
    if "T" in data:
        data["T"] = data["E"] = time_ns // 1_000_000
    return orjson.dumps({**item.raw, "data": data})


class Tape:
    """Plays items from the first connection on, with faults."""

    def __init__(self, items: Sequence[Item], options: argparse.Namespace) -> None:
        self._chance = random.Random(options.seed)
        self._items = list(self._disordered(items, set(options.faults)))
        self._options = options
        self._began = threading.Event()
        self._zero_s = 0.0
        self._anchor_ns = 0
        self._at = 0
        self._skew_ns = 0

    def play(self, send: Callable[[Item, int], None], beat: Callable[[], None]) -> bool:
        """Send what happens until the connection shall be lost; False when all was sent."""
        self._begin()
        self._skip()
        held: list[Item] = []
        while self._at < len(self._items):
            item = self._items[self._at]
            self._wait(item, beat)
            self._at += 1
            held.append(item)
            fault = self._fault()
            if fault == "disconnect":
                return True
            if fault == "silence":
                rest(_SILENCE_S)
            if fault == "burst" or (len(held) > 1 and len(held) < 20):
                continue
            for each in held:
                send(each, self._stamp(each))
            held.clear()
        for each in held:
            send(each, self._stamp(each))
        return False

    def _begin(self) -> None:
        if not self._began.is_set():
            self._zero_s, self._anchor_ns = time.monotonic(), time.time_ns()
            self._began.set()

    def _skip(self) -> None:
        """What happened while nobody was connected is lost."""
        if self._at:
            while self._at < len(self._items) and self._left_s(self._items[self._at]) < 0:
                self._at += 1

    def _since_ns(self, item: Item) -> float:
        speed: float = self._options.speed
        return (item.at_ns - self._items[0].at_ns) / speed

    def _left_s(self, item: Item) -> float:
        return self._zero_s + self._since_ns(item) / 1e9 - time.monotonic()

    def _stamp(self, item: Item) -> int:
        clock: float = self._options.clock
        return self._anchor_ns + round(self._since_ns(item) * clock) + self._skew_ns

    def _wait(self, item: Item, beat: Callable[[], None]) -> None:
        while (left_s := self._left_s(item)) > 0:
            rest(min(left_s, _HEARTBEAT_S))
            if left_s > _HEARTBEAT_S:
                beat()

    def _fault(self) -> str:
        """What goes wrong now; nothing mostly."""
        for name in [name for name in self._options.faults if name in _RATE]:
            if self._chance.random() < _RATE[name]:
                if name != "skew":
                    return str(name)
                self._skew_ns = self._chance.choice([0, -900, 700, 30_000]) * 1_000_000
        return ""

    def _disordered(self, items: Sequence[Item], faults: set[str]) -> Iterator[Item]:
        late: Item | None = None
        for item in items:
            if "disorder" in faults and late is None and self._chance.random() < _OF_ORDER:
                late = item
                continue
            yield item
            if late is not None:
                yield late
                late = None
            if "repeat" in faults and self._chance.random() < _OF_ORDER:
                yield item


def serve_lines(tape: Tape) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        _say_port(server.getsockname()[1])
        while True:
            client, _ = server.accept()
            with client:
                try:
                    wanted = _wanted(client)
                    if not _talk(tape, client, wanted):
                        _idle(client)
                    client.shutdown(socket.SHUT_RDWR)  # whoever listens to it ends
                except (BrokenPipeError, ConnectionResetError):
                    continue


def _wanted(client: socket.socket) -> set[str]:
    """What a client asks for; grows when it asks for more."""
    lines = client.makefile("rb")
    wanted = set(orjson.loads(lines.readline())["series"])

    def listen() -> None:
        try:
            for text in lines:
                wanted.update(orjson.loads(text)["series"])
        except OSError:
            return

    threading.Thread(target=listen, daemon=True).start()
    return wanted


def _talk(tape: Tape, client: socket.socket, wanted: set[str]) -> bool:
    def send(item: Item, time_ns: int) -> None:
        if str(item.series) in wanted:
            client.sendall(line(item, time_ns))

    return tape.play(send, lambda: client.sendall(b'{"type":"heartbeat"}\n'))


def _idle(client: socket.socket) -> None:
    while True:
        rest(_HEARTBEAT_S)
        client.sendall(b'{"type":"heartbeat"}\n')


def serve_binance(tape: Tape) -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import ServerConnection, serve

    turn = threading.Lock()

    def talk(client: ServerConnection) -> None:
        assert client.request is not None
        wanted = set(client.request.path.partition("streams=")[2].split("/"))

        def listen() -> None:
            try:
                for text in client:
                    asked = orjson.loads(text)
                    wanted.update(asked["params"])
                    client.send(orjson.dumps({"result": None, "id": asked["id"]}).decode())
            except ConnectionClosed:
                return

        threading.Thread(target=listen, daemon=True).start()

        def send(item: Item, time_ns: int) -> None:
            if item.raw["stream"] in wanted:
                client.send(message(item, time_ns).decode())

        try:
            with turn:
                if not tape.play(send, lambda: None):
                    while True:
                        rest(_HEARTBEAT_S)
                        client.ping()
        except ConnectionClosed:
            return

    with serve(talk, "127.0.0.1", 0) as server:
        _say_port(server.socket.getsockname()[1])
        server.serve_forever()


def _say_port(port: int) -> None:
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("--speak", choices=("lines", "binance"), default="lines")
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--limit", type=int, default=None)
    words.add_argument("--speed", type=float, default=1.0)
    words.add_argument("--clock", type=float, default=1.0)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--faults", nargs="*", choices=FAULTS, default=[])
    options = words.parse_args()
    tape = Tape(items_of(options.data)[: options.limit], options)
    {"lines": serve_lines, "binance": serve_binance}[options.speak](tape)


if __name__ == "__main__":
    main()
