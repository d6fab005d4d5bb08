"""The original's pub/sub channels: a bar out, then a short wait for a signal.

Nothing says here whether a strategy has heard a bar, or has nothing to say about it: what comes
late or goes nowhere is counted, and shown as a remark of the run. For decisions that do not depend
on the machine's speed there is lock-step.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson
import redis
from redis.exceptions import RedisError

from openbell.bridge import channels
from openbell.bridge.answers import position_update, simulation_date
from openbell.bridge.transport import Answer, Kind, Watch
from openbell.market.errors import BadDataError, RunError, UnavailableError
from openbell.market.moments import iso

_TICK_S = 0.05


class Compatible:
    """The run's side of the original's channels, for one bot.

    Parameters
    ----------
    wait_s
        How long a signal is waited for after each bar; the original waits 0.1.
    """

    def __init__(self, url: str, bot: str, *, watch: Watch, wait_s: float = 0.1) -> None:
        self._bot = bot
        self._watch = watch
        self._wait_s = wait_s
        self._told_ns = 0
        self._line: list[tuple[int, Kind, dict[str, Any]]] = []
        self._counts = dict.fromkeys(("sent", "answered", "late", "lost", "malformed", "cut"), 0)
        limits = {"socket_timeout": 5.0, "socket_connect_timeout": 5.0}
        client: Any = redis.Redis.from_url(url, **limits)  # untyped in places
        self._client = client
        self._heard = client.pubsub(ignore_subscribe_messages=True)
        try:
            self._heard.subscribe(
                channels.signal_of(bot), channels.error_of(bot), channels.STRATEGY_READY
            )
        except RedisError as error:
            raise UnavailableError(f"Redis is away: {error}", hint="is it running?") from error

    @property
    def statistics(self) -> Mapping[str, int]:
        """Messages that were sent, went unheard, or came; of these late; and broken connections."""
        return dict(self._counts)

    @property
    def told_ns(self) -> int:
        """The run's time."""
        return self._told_ns

    def send(self, time_ns: int, kind: Kind, data: bytes) -> None:
        """Put a message in line."""
        self._told_ns = time_ns
        self._line.append((time_ns, kind, orjson.loads(data)))

    def ask(self, within_s: float) -> Sequence[Answer | None]:
        """Publish what is in line; give what was heard by the end of the wait, late signals first.

        Raises
        ------
        RunError
            If the strategy is not ready within `within_s`.
        """
        line, self._line = self._line, []
        answers: list[Answer | None] = []
        for time_ns, kind, data in line:
            if kind == "init":
                answers.append(self._wait_until_ready(within_s))
            else:
                answers += self._exchange(time_ns, kind, data)
        return answers

    def close(self) -> None:
        """Leave the channels; nothing happens the second time."""
        with suppress(RedisError, OSError):  # nobody listens any more
            self._heard.close()
            self._client.close()

    def _wait_until_ready(self, within_s: float) -> Answer:
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            self._watch()
            for channel, message in self._listen(_TICK_S):
                if channel == channels.STRATEGY_READY and message.get("ready") is True:
                    return {"ready": True, "strategy": message.get("strategy")}
                if channel == channels.error_of(self._bot):
                    return {"error": message}
        raise RunError(
            f"the strategy of {self._bot} was not ready in {within_s:g} s",
            hint=f"it asks for history first; does anything answer on {channels.HISTORY_REQUEST}?",
        )

    def _exchange(self, time_ns: int, kind: Kind, data: dict[str, Any]) -> list[Answer]:
        """Publish one message; after a bar, wait for its signal."""
        self._watch()
        late = list(self._answers(time_ns, 0.0)) if kind == "slice" else []
        for channel, message in self._published(time_ns, kind, data):
            self._publish(channel, message)
        if kind != "slice":
            return []
        until = time.monotonic() + self._wait_s
        while (left := until - time.monotonic()) > 0:
            if now := list(self._answers(time_ns, left)):
                return [*late, *now]
        return late

    def _published(
        self, time_ns: int, kind: Kind, data: dict[str, Any]
    ) -> Iterator[tuple[str, bytes]]:
        """A message as the original has it: a channel, and what is said on it."""
        if kind == "slice":
            yield channels.simulation_of(self._bot), simulation_date(time_ns, self._bot)
            own = {"botId": self._bot, "timestamp": iso(time_ns)}
            yield channels.market_data_of(self._bot), orjson.dumps({**data, **own})
        elif kind == "position":
            update = position_update(self._bot, data["positions"], time_ns)
            yield channels.POSITION_UPDATE, update

    def _publish(self, channel: str, message: bytes) -> None:
        self._counts["sent"] += 1
        try:
            heard = self._client.publish(channel, message)
        except (RedisError, OSError):
            self._counts["cut"] += 1
            heard = 0
        if not heard:
            self._counts["lost"] += 1

    def _answers(self, time_ns: int, wait_s: float) -> Iterator[Answer]:
        """What the strategy said: signals, in the strategy's own form, and what it raised."""
        for channel, message in self._listen(wait_s):
            if channel == channels.error_of(self._bot):
                yield {"error": message}
            elif channel == channels.signal_of(self._bot):
                self._counts["answered"] += 1
                if (channels.moment(message, "timestamp") or time_ns) < time_ns or not wait_s:
                    self._counts["late"] += 1
                own = message.get("tsx_signal")
                yield {"signals": [own if isinstance(own, dict) else message]}

    def _listen(self, wait_s: float) -> Iterator[tuple[str, channels.Message]]:
        """What is heard of our bot: waits for the first message, then takes all that are there."""
        while True:
            try:
                found = self._heard.get_message(timeout=wait_s)
            except (RedisError, OSError):
                self._counts["cut"] += 1
                return
            if found is None:
                return
            wait_s = 0.0
            try:
                message = channels.parse(found["data"])
            except BadDataError:
                self._counts["malformed"] += 1
                continue
            if message.get("botId") == self._bot:
                yield found["channel"].decode(), message
