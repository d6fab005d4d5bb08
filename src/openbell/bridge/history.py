"""The history service: answers the requests by which strategies get their first bars.

>>> from redis import Redis
>>> from openbell.bridge.history import HistoricalDataBootstrapService
>>> def serve(lake):  # lake = openbell.open_lake()
...     with HistoricalDataBootstrapService(Redis(), {"source": lake}) as service:
...         return service.get_statistics()
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, cast

from openbell.bridge import channels
from openbell.bridge.answering import HEARD, SYNTHETIC, Answering, History, MadeUp, Recorded, Reply
from openbell.bridge.listener import Listener, own_client
from openbell.bridge.past import Meaning, Past, Resolver
from openbell.market.errors import OpenbellError, UnavailableError, UsageError
from openbell.market.moments import iso, parse_moment, to_ns
from openbell.market.synthetic import Making
from openbell.market.timeframe import timeframe
from openbell.ports import ReadStore

if TYPE_CHECKING:
    from redis import Redis

_log = logging.getLogger(__name__)

SYMBOLS_COUNTED = 1_000  # further symbols are counted together, as ""


@dataclass(frozen=True, slots=True)
class Config:
    """What can be said about the service; keys of the `config` it is given.

    Attributes
    ----------
    source
        A lake or a store: answers come from what it has recorded. None: bars are made up.
    resolver
        What a symbol means in the source: a function or a mapping; see `Past`.
    clock
        Tells the time in ns UTC: in a replay its clock. Nothing later is given.
    answer
        ``required`` or ``flat``: the form of answers on the aggregator's channel.
    default_symbol, default_bars_back
        What is asked for if a request does not say.
    max_bars_back
        The most bars given on the aggregator's channel.
    base_price_nq, price_volatility, volume_base, volume_range
        Of bars that are made up; see `Making`.
    """

    source: Any = None
    resolver: Resolver | Mapping[str, Meaning] | None = None
    clock: Callable[[], int] = time.time_ns
    answer: str = "required"
    default_symbol: str = "NQ"
    default_bars_back: int = 50
    max_bars_back: int = 500
    base_price_nq: float = 15_000.0
    price_volatility: float = 5.0
    volume_base: float = 800.0
    volume_range: int = 200

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Config":
        """The config of a mapping; raise `UsageError` for a key that says nothing here."""
        if unknown := sorted(set(given) - set(cls.__slots__)):
            raise UsageError(
                f"`{unknown[0]}` says nothing to the history service",
                hint=f"it knows {', '.join(cls.__slots__)}",
            )
        config = cls(**given)
        if config.answer not in ("required", "flat"):
            raise UsageError(f"unknown answer `{config.answer}`", hint="use required or flat")
        return config

    @property
    def store(self) -> ReadStore | None:
        """The store behind the source: a lake of the front door has it inside."""
        return cast("ReadStore | None", getattr(self.source, "store", self.source))


@dataclass(slots=True)
class _Counts:
    """What happened so far. `received` is `processed` plus `failed`; `lost` are some of both."""

    received: int = 0
    processed: int = 0
    failed: int = 0
    bars: int = 0
    answered: int = 0
    lost: int = 0
    unheard: int = 0
    ignored: int = 0
    asked_bars: int = 0
    symbols: Counter[str] = field(default_factory=Counter)


class HistoricalDataBootstrapService:
    """Answers history requests over Redis, from a store or with made-up bars.

    It hears `channels.HISTORY_REQUEST`, and the production bot's `channels.PRODUCTION_REQUEST`
    and `channels.PRODUCTION_CONTROL`. Whatever comes in, it goes on; what cannot be answered is
    counted, logged with its channel, and answered with an error if the request has a name.

    Parameters
    ----------
    redis_client
        Says which server and user; decoding or not. The service opens connections of its own.
    config
        See `Config`.
    """

    def __init__(self, redis_client: "Redis", config: Mapping[str, Any] | None = None) -> None:
        self._config = Config.of(config or {})
        self._redis = redis_client
        self._past = self._make_past()
        self._answering = Answering(
            history=self._history(),
            now_ns=self._now_ns,
            symbol=self._config.default_symbol,
            count=self._config.default_bars_back,
            max_count=self._config.max_bars_back,
            is_flat=self._config.answer == "flat",
        )
        self._simulated_ns: int | None = None
        self._is_running = False
        self._listener: Listener | None = None
        self._publisher: Redis | None = None
        self._losses = 0
        self._counts = _Counts()
        self._lock = threading.Lock()

    # Life

    def start(self) -> bool:
        """Listen; whether it does. What is published after this returned true is answered."""
        if self._is_running:
            return True
        try:
            if self._past is not None:
                self._past.warm_up()
            self._publisher = own_client(self._redis)
            listener = Listener(self._redis, HEARD, self._receive, name="openbell-history")
            listener.start()
        except OpenbellError as error:
            _log.error("the history service cannot start: %s", error)
            return False
        self._losses += self._listener.losses if self._listener else 0
        self._listener, self._is_running = listener, True
        return True

    def stop(self) -> None:
        """Answer what was asked before, for two seconds at most, and hear nothing more."""
        if not self._is_running:
            return
        self._is_running = False
        assert self._listener is not None  # since it runs
        assert self._publisher is not None
        if self._listener.stop():
            self._publisher.close()

    def __enter__(self) -> Self:
        if not self.start():
            raise UnavailableError(
                "the history service cannot start: Redis does not answer",
                hint="start it, or name another",
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # What is known

    def get_statistics(self) -> dict[str, Any]:
        """What happened so far; counts are exact at any moment."""
        listener = self._listener
        with self._lock:
            n = self._counts
            return {
                "requests_received": n.received,
                "requests_processed": n.processed,
                "requests_failed": n.failed,
                "bars_generated": n.bars,
                "running": self._is_running,
                "thread_alive": listener is not None and listener.is_alive,
                "responses_sent": n.answered - n.lost,
                "responses_lost": n.lost,
                "responses_unheard": n.unheard,
                "messages_ignored": n.ignored,
                "connection_losses": self._losses + (listener.losses if listener else 0),
                "symbols_requested": dict(sorted(n.symbols.items())),
                "avg_bars_requested": n.asked_bars / n.processed if n.processed else 0.0,
                "data_source": SYNTHETIC if self._past is None else "store",
                "current_simulation_datetime": self._simulation_datetime(),
            }

    def set_simulation_datetime(self, moment: datetime | str | None) -> None:
        """Answer as if it were `moment` (UTC without a zone); None: as the clock has it.

        With a `clock` in the config nothing later than that is given either way.
        """
        if moment is None:
            self._simulated_ns = None
        elif isinstance(moment, str):
            self._simulated_ns = parse_moment(moment)
        else:
            self._simulated_ns = to_ns(moment if moment.tzinfo else moment.replace(tzinfo=UTC))

    def test_symbol_availability(self, symbol: str) -> dict[str, Any]:
        """Whether minute bars of a symbol can be given, and from when to when they are stored."""
        found: dict[str, Any] = {"symbol": symbol, "available": True, "date_range": None}
        if self._past is None:
            return {**found, "all_available_symbols": []}
        try:
            info = self._past.info(self._past.pin_of(symbol, timeframe("1m")))
        except OpenbellError:
            found["available"] = False
        else:
            found["date_range"] = {"min_date": iso(info.first_ns), "max_date": iso(info.last_ns)}
        return {**found, "all_available_symbols": [str(one) for one in self._past.instruments()]}

    # Inside

    def _make_past(self) -> Past | None:
        store, resolver = self._config.store, self._config.resolver
        if store is None:
            return None
        return Past(store, resolver.get if isinstance(resolver, Mapping) else resolver)

    def _history(self) -> History:
        if self._past is not None:
            return Recorded(self._past)
        c = self._config
        return MadeUp(Making(c.base_price_nq, c.price_volatility, c.volume_base, c.volume_range))

    def _now_ns(self) -> int:
        now_ns = self._config.clock()
        return now_ns if self._simulated_ns is None else min(now_ns, self._simulated_ns)

    def _simulation_datetime(self) -> str | None:
        return None if self._simulated_ns is None else iso(self._simulated_ns)

    def _receive(self, channel: str, body: bytes) -> None:
        try:
            reply = self._answering.reply(channel, body)
        except Exception as error:  # noqa: BLE001  # a fault of the store costs one request, no more
            _log.exception("a request on %s failed", channel)
            reply = self._refused(channel, body, f"internal error: {type(error).__name__}")
        if reply.error:
            _log.warning("a message on %s is refused: %s", channel, reply.error)
        # Counted before it is sent: who has an answer finds it in the statistics.
        self._count(reply)
        if reply.channel:
            self._count_heard(self._send(reply))

    def _refused(self, channel: str, body: bytes, error: str) -> Reply:
        return self._answering.refused(channel, channels.parse(body), error)

    def _send(self, reply: Reply) -> int | None:
        """How many heard the answer; None if it is lost.

        Tried twice: the first of the connections that stood idle over a restart is found broken.
        """
        from redis import ConnectionError as NoConnectionError
        from redis import RedisError

        assert self._publisher is not None  # made by `start`
        for last in (False, True):
            try:
                return int(self._publisher.publish(reply.channel, reply.body))
            except (RedisError, OSError) as error:
                if last or not isinstance(error, NoConnectionError):
                    _log.warning("an answer on %s is lost: %s", reply.channel, error)
                    return None
        raise AssertionError("unreachable: the second try returns")

    def _count(self, reply: Reply) -> None:
        with self._lock:
            n = self._counts
            n.answered += bool(reply.channel)
            if not reply.is_request:
                n.ignored += 1
                return
            n.received += 1
            if reply.error:
                n.failed += 1
                return
            n.processed += 1
            n.bars += reply.bars
            n.asked_bars += reply.asked
            is_counted = reply.symbol in n.symbols or len(n.symbols) < SYMBOLS_COUNTED
            n.symbols[reply.symbol if is_counted else ""] += 1

    def _count_heard(self, heard: int | None) -> None:
        with self._lock:
            self._counts.lost += heard is None
            self._counts.unheard += heard == 0
