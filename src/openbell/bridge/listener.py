"""A thread that hears channels of a Redis and outlives the faults of it."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from openbell.market.errors import MissingExtraError, UnavailableError

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import PubSub

_log = logging.getLogger(__name__)

Receive = Callable[[str, bytes], None]

CONFIRM_S = 5.0
LEAVE_S = 1.0
_POLL_S = 0.2
_PAUSES_S = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)
_IDENTITY = (
    "host",
    "port",
    "db",
    "path",
    "username",
    "password",
    "credential_provider",
    "protocol",
)


def own_client(client: "Redis") -> "Redis":
    """A client of its own for the same server and user, that gives bytes and tries once.

    A client that decodes cannot get past a message that is not UTF-8; one that tries again in
    silence hides what was lost meanwhile.

    Raises
    ------
    MissingExtraError
        If `redis` is not installed.
    """
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise MissingExtraError("the bridge", "redis") from None
    pool = client.connection_pool
    said = pool.connection_kwargs
    same = {k: v for k, v in said.items() if k in _IDENTITY or k.startswith("ssl")}
    timeouts = {k: said.get(k) or CONFIRM_S for k in ("socket_timeout", "socket_connect_timeout")}
    given: dict[str, Any] = {**same, **timeouts, "retry": Retry(NoBackoff(), 0)}
    made = redis.ConnectionPool(connection_class=pool.connection_class, **given)
    return redis.Redis(connection_pool=made)


class Listener:
    """Hands every message of some channels to `receive`, one after the other, in its own thread.

    When the connection is lost it says so in the log, counts it, and connects again until it is
    stopped. What was published in between is gone: pub/sub keeps nothing.

    Parameters
    ----------
    client
        Says which server and user; connections are its own.
    receive
        Gets the channel and the message as bytes; must not raise.
    name
        Of the thread.

    Attributes
    ----------
    losses
        How often the connection was lost.
    """

    def __init__(
        self, client: "Redis", channels: Sequence[str], receive: Receive, *, name: str
    ) -> None:
        self.losses = 0
        self._client: Any = own_client(client)
        self._channels = tuple(channels)
        self._receive = receive
        self._stopping = threading.Event()
        self._listening = threading.Event()
        self._confirmed: set[str] = set()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Listen from now on: what is published after this returns is heard.

        Raises
        ------
        UnavailableError
            If Redis does not answer, or has not confirmed it within `CONFIRM_S`.
        """
        from redis import RedisError

        try:
            self._client.ping()
        except (RedisError, OSError) as error:
            self._client.close()
            raise UnavailableError(
                f"Redis does not answer: {error}", hint="start it, or name another"
            ) from error
        self._thread.start()
        if not self._listening.wait(CONFIRM_S):
            self.stop()
            raise UnavailableError("Redis confirms no subscription", hint="look into its log")

    def stop(self, timeout_s: float = 2.0) -> bool:
        """Hear what was published before, then nobody hears; whether it ended within the time."""
        self._stopping.set()
        self._thread.join(timeout_s)
        if self.is_alive:
            _log.warning("%s has not ended after %g s", self._thread.name, timeout_s)
        return not self.is_alive

    def _run(self) -> None:
        from redis import RedisError

        pubsub = self._client.pubsub()
        failed = 0
        while not self._stopping.is_set():
            try:
                self._turn(pubsub)
                failed = 0
            except (RedisError, OSError) as error:
                self._lost(error)
                # At once the first time: the client has already subscribed again if it could.
                self._stopping.wait(_PAUSES_S[min(failed, len(_PAUSES_S) - 1)])
                failed += 1
        self._leave(pubsub)
        pubsub.close()
        self._client.close()

    def _leave(self, pubsub: "PubSub") -> None:
        """Leave the channels: what Redis says until it confirms that was published before."""
        from redis import RedisError

        last_s = time.monotonic() + LEAVE_S
        with suppress(RedisError, OSError):  # nobody is heard over a lost connection
            if pubsub.subscribed:
                pubsub.unsubscribe()  # type: ignore[no-untyped-call]  # so it is
            while pubsub.subscribed and time.monotonic() < last_s:
                self._turn(pubsub)

    def _turn(self, pubsub: "PubSub") -> None:
        if not pubsub.subscribed:
            pubsub.subscribe(*self._channels)
        message = pubsub.get_message(timeout=_POLL_S)
        if message is None:
            return
        channel = message["channel"].decode()
        if message["type"] == "message":
            self._receive(channel, message["data"])
        elif message["type"] == "subscribe":
            self._confirmed.add(channel)
            if self._confirmed.issuperset(self._channels):
                self._listening.set()

    def _lost(self, error: Exception) -> None:
        self._confirmed.clear()
        if self._listening.is_set():
            self._listening.clear()
            self.losses += 1
            _log.warning("%s lost Redis: %s", self._thread.name, error)
