"""Live data as lines of JSON over TCP: a protocol of openbell, see `docs/formats.md`.

Whoever has a venue of its own at hand writes a few lines in any language and is recorded. The
client says which series it wants; the server sends one message a line, and a heartbeat when it
has nothing to say.
"""

import socket
from collections.abc import Callable, Iterable, Sequence
from math import nan
from typing import Any
from urllib.parse import urlsplit

import orjson

from openbell.market.arrivals import BAR, QUOTE, TRADE
from openbell.market.errors import BadDataError, UnavailableError, UsageError
from openbell.market.instrument import Series
from openbell.ports import Inlet
from openbell.sources.connection import Channel, Connection, Message

_LINE_BYTES_MAX = 65_536
_CONNECT_S = 5.0  # less than what `stop` waits
_WHAT = {"trade": TRADE, "quote": QUOTE, "bar": BAR}
_VALUES = {
    "trade": ("price", "size", "side"),
    "quote": ("bid", "ask", "bid_size", "ask_size"),
    "bar": ("open", "high", "low", "close", "volume"),
}


class LineFeed:
    """What a server at ``tcp://host:port`` sends; passes the contract of `LiveSource`.

    Parameters
    ----------
    series
        What to ask it for.
    silence_s
        After how many seconds without a line, heartbeats included, it is connected to again.
    wait
        Waits before connecting again; see `Connection`.

    Raises
    ------
    UsageError
        If the address has another form.
    """

    def __init__(
        self,
        url: str,
        series: Sequence[Series],
        *,
        silence_s: float = 30.0,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._address = _address(url)
        self._connection = Connection(url, series, self._connect, silence_s=silence_s, wait=wait)

    @property
    def error(self) -> Exception | None:
        """Why the connection was lost last; None if it never was."""
        return self._connection.error

    def series(self) -> Sequence[Series]:
        return self._connection.brings

    def start(self, inlet: Inlet) -> None:
        self._connection.start(inlet)

    def add(self, series: Series) -> None:
        self._connection.add(series)

    def stop(self, *, timeout_s: float = 10.0) -> None:
        self._connection.stop(timeout_s)

    def _connect(self, series: Sequence[Series]) -> Channel:
        host, port = self._address
        try:
            made = socket.create_connection(self._address, _CONNECT_S)
            made.sendall(_asking_for(series))
        except OSError as error:
            raise UnavailableError(
                f"{host}:{port} cannot be reached: {error.strerror or error}",
                hint="start the server, or name another with --from-url",
            ) from error
        return _Lines(made, {str(s): s for s in series})


class _Lines:
    """A connection, cut into lines."""

    def __init__(self, made: socket.socket, known: dict[str, Series]) -> None:
        self._socket = made
        self._known = known
        self._rest = b""

    def receive(self, timeout_s: float) -> Iterable[Message] | None:
        self._socket.settimeout(timeout_s)
        try:
            data = self._socket.recv(_LINE_BYTES_MAX)
        except TimeoutError:
            return None
        except OSError as error:
            raise UnavailableError(f"the connection broke: {error.strerror or error}") from error
        if not data:
            raise UnavailableError("the server closed the connection")
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LINE_BYTES_MAX:
            raise BadDataError(f"a line is longer than {_LINE_BYTES_MAX:,} bytes")
        return [found for line in lines if (found := self._message(line)) is not None]

    def subscribe(self, series: Series) -> None:
        try:
            self._socket.sendall(_asking_for([series]))
        except OSError as error:
            raise UnavailableError(f"the connection broke: {error.strerror or error}") from error
        self._known[str(series)] = series

    def close(self) -> None:
        self._socket.close()

    def _message(self, line: bytes) -> Message | None:
        """What a line says; None for a heartbeat."""
        try:
            said = orjson.loads(line)
            kind = said["type"]
            if kind == "heartbeat":
                return None
            series = self._known[said["series"]]
            if kind == "refused":
                return Message(series, 0, refused=str(said["reason"]))
            return _item(series, kind, said)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise BadDataError(
                f"no message: {line[:120]!r} ({type(error).__name__}: {error})"
            ) from error


def _asking_for(series: Sequence[Series]) -> bytes:
    return orjson.dumps({"type": "subscribe", "series": list(map(str, series))}) + b"\n"


def _item(series: Series, kind: str, said: dict[str, Any]) -> Message:
    venue_ns = int(said["start_ns" if kind == "bar" else "time_ns"])
    # What is not known stays out of a line, or is null: no price on that side, no side taken.
    values = [nan if (v := said.get(name)) is None else float(v) for name in _VALUES[kind]]
    if kind == "trade" and values[2] != values[2]:
        values[2] = 0.0
    return Message(series, _WHAT[kind], venue_ns, values, int(said.get("number", 0)))


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.scheme != "tcp" or not host or not port:
        raise UsageError(f"`{url}` is no address of a line feed", hint="write tcp://host:port")
    return host, port
