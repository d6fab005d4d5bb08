"""Live data from Binance's public market streams over WebSocket: trades, best quotes, bars.

Binance, *Web Socket Streams*, read 2026-11: ``<symbol>@trade``, ``<symbol>@bookTicker`` and
``<symbol>@kline_<interval>``, combined under ``/stream?streams=…``; times in milliseconds, prices
as text. The spot book ticker carries no time: the moment of receipt is taken for it. Of klines
only closed ones are bars. The library answers the venue's pings.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any

import orjson

from openbell.market.arrivals import BAR, QUOTE, TRADE
from openbell.market.errors import (
    BadDataError,
    MissingExtraError,
    RefusedError,
    UnavailableError,
    UsageError,
)
from openbell.market.instrument import Series
from openbell.ports import Inlet
from openbell.sources.connection import Channel, Connection, Message

_VENUES = ("BINANCE", "BINANCEUS")
_SCHEME = re.compile(r"wss?://[^/?#]+")
_MS_NS = 1_000_000
_BUSY = {418, 429, 500, 502, 503, 504}  # of an answer to the handshake: worth another try
_OPEN_S = 5.0  # less than what `stop` waits


class BinanceStream:
    """The streams of some series; passes the contract of `LiveSource`.

    Parameters
    ----------
    url
        ``wss://stream.binance.com:9443``, or wherever the same protocol is spoken.
    series
        Trades, quotes, or bars of trades of instruments at Binance: ``BINANCE:BTCUSDT/1m``.
    now_ns
        What time it is, for quotes that do not say theirs.
    silence_s
        After how many seconds without a message it is connected to again.
    wait
        Waits before connecting again; see `Connection`.

    Raises
    ------
    UsageError
        If the address is none of a WebSocket, or a series is none of Binance's.
    MissingExtraError
        Without the optional part `live`.
    """

    def __init__(
        self,
        url: str,
        series: Sequence[Series],
        now_ns: Callable[[], int],
        *,
        silence_s: float = 60.0,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        if not _SCHEME.fullmatch(url.rstrip("/")):
            raise UsageError(
                f"`{url}` is no address of Binance's streams",
                hint="write wss://stream.binance.com:9443",
            )
        self._now_ns = now_ns
        for each in series:
            _stream(each)
        self._url = url.rstrip("/")
        _library()
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
        _stream(series)
        self._connection.add(series)

    def stop(self, *, timeout_s: float = 10.0) -> None:
        self._connection.stop(timeout_s)

    def _connect(self, series: Sequence[Series]) -> Channel:
        from websockets.exceptions import InvalidStatus, WebSocketException

        kept = ExitStack()
        url = f"{self._url}/stream?streams={'/'.join(map(_stream, series))}"
        try:
            made = kept.enter_context(
                _library().connect(url, open_timeout=_OPEN_S, close_timeout=1)
            )
        except InvalidStatus as error:
            status = error.response.status_code
            kind = UnavailableError if status in _BUSY else RefusedError
            raise kind(f"{url} answered {status}") from error
        except (OSError, WebSocketException) as error:
            raise UnavailableError(
                f"{url} cannot be reached: {error}",
                hint="look at the network, or name another address with --from-url",
            ) from error
        return _Socket(made, kept, series, self._item)

    def _item(self, series: Series, data: dict[str, Any]) -> Message | None:
        if series.kind == "trades":
            values = float(data["p"]), float(data["q"]), -1.0 if data["m"] else 1.0
            return Message(series, TRADE, data["T"] * _MS_NS, values, data["t"])
        if series.kind == "quotes":
            quoted = [float(data[name]) for name in ("b", "a", "B", "A")]
            time_ns = data["T"] * _MS_NS if "T" in data else self._now_ns()
            return Message(series, QUOTE, time_ns, quoted, data["u"])
        bar = data["k"]
        if not bar["x"]:
            return None
        traded = [float(bar[name]) for name in ("o", "h", "l", "c", "v")]
        return Message(series, BAR, bar["t"] * _MS_NS, traded)


class _Socket:
    """A connection that stands.

    Parameters
    ----------
    kept
        What closes it.
    series
        What it was asked for.
    item
        What a series' data says; None if it is not yet a bar.
    """

    def __init__(
        self,
        made: Any,
        kept: ExitStack,
        series: Sequence[Series],
        item: Callable[[Series, dict[str, Any]], Message | None],
    ) -> None:
        self._made = made
        self._kept = kept
        self._streams = {_stream(each): each for each in series}
        self._item = item

    def receive(self, timeout_s: float) -> Iterable[Message] | None:
        from websockets.exceptions import ConnectionClosed

        try:
            found = self._message(self._made.recv(timeout=timeout_s))
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            raise UnavailableError(f"the connection was closed: {error}") from error
        return [] if found is None else [found]

    def subscribe(self, series: Series) -> None:
        from websockets.exceptions import ConnectionClosed

        stream = _stream(series)
        self._streams[stream] = series
        wanted = {"method": "SUBSCRIBE", "params": [stream], "id": len(self._streams)}
        try:
            self._made.send(orjson.dumps(wanted).decode())
        except ConnectionClosed as error:
            raise UnavailableError(f"the connection was closed: {error}") from error

    def close(self) -> None:
        self._kept.close()

    def _message(self, text: str | bytes) -> Message | None:
        """What a message says; None if it is about nothing that is wanted, or not yet a bar."""
        try:
            said = orjson.loads(text)
            if "error" in said or "msg" in said:  # to what was subscribed
                series = list(self._streams.values())[said.get("id", 0) - 1]
                return Message(series, 0, refused=str(said.get("error", said)["msg"]))
            found = self._streams.get(said.get("stream", ""))
            return None if found is None else self._item(found, said["data"])
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise BadDataError(
                f"no message: {text[:120]!r} ({type(error).__name__}: {error})"
            ) from error


def _stream(series: Series) -> str:
    """What Binance calls a series."""
    if series.instrument.venue not in _VENUES or series.price != "trade":
        raise UsageError(
            f"{series} is nothing Binance sends", hint="for instance BINANCE:BTCUSDT/trades"
        )
    symbol = series.instrument.symbol.replace("-", "").lower()
    kinds = {"trades": "trade", "quotes": "bookTicker"}
    return f"{symbol}@{kinds.get(series.kind, f'kline_{series.kind}')}"


def _library() -> Any:
    try:
        from websockets.sync import client
    except ImportError:
        raise MissingExtraError("recording from Binance", "live") from None
    return client
