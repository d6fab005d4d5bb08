"""A client of the history service, as a strategy has one: it asks and waits for its own answer."""

import json
import threading
from collections.abc import Mapping
from typing import Any, Self

from redis import Redis

from openbell.bridge import channels


class Asker:
    """Asks over a connection of its own, and keeps every answer it hears."""

    def __init__(self, url: str, *answers: str) -> None:
        self._redis = Redis.from_url(url)
        self._channels = answers or (channels.HISTORY_RESPONSE,)
        self._pubsub: Any = self._redis.pubsub()  # type: ignore[no-untyped-call]  # so it is

    def __enter__(self) -> Self:
        self._pubsub.subscribe(*self._channels)
        for _ in self._channels:
            assert self._pubsub.get_message(timeout=5)["type"] == "subscribe"
        return self

    def __exit__(self, *_: object) -> None:
        self._pubsub.close()
        self._redis.close()

    def send(self, body: bytes | Mapping[str, Any], channel: str = channels.HISTORY_REQUEST) -> int:
        """Publish; how many heard it."""
        raw = body if isinstance(body, bytes) else json.dumps(body)
        return int(self._redis.publish(channel, raw))

    def next(self, timeout_s: float = 20.0) -> Any:
        """The next answer; None if none comes in time."""
        message = self._pubsub.get_message(timeout=timeout_s)
        return None if message is None else json.loads(message["data"])

    def ask(self, channel: str = channels.HISTORY_REQUEST, **fields: Any) -> Any:
        """Send a request and wait for the answer of its name; those of others are passed over."""
        assert self.send({"requestId": "r", **fields}, channel) == 1
        while (answer := self.next()) is not None:
            if answer.get("payload", answer)["requestId"] == fields.get("requestId", "r"):
                return answer
        raise AssertionError("no answer came")


def threads_named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]
