"""The mock bot beside a strategy: the original's go-between, as a process of its own."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
from redis.exceptions import RedisError

from openbell.bridge.channels import status_key_of
from openbell.bridge.child import Child, Limits
from openbell.bridge.node import BOT, node_path
from openbell.bridge.redis_server import connect
from openbell.market.errors import RunError

_PAUSE_S = 0.02


@contextmanager
def mock_bot(
    url: str, config: Mapping[str, Any], node: Path, modules: Sequence[Path], limits: Limits
) -> Iterator[dict[str, int]]:
    """A bot that carries `bot:*` to `aggregator:*` and back, until the end.

    Parameters
    ----------
    config
        `botId` and `symbol`.
    modules
        Folders of Node modules, npm's `redis` in one of them.

    Yields
    ------
    dict
        Filled at its end: messages `forwarded`, `foreign` (of other bots) and `malformed`,
        `troubles` with the connection.

    Raises
    ------
    RunError
        If it does not become ready in time, or cannot start.
    """
    words = [str(node), str(BOT), orjson.dumps(config).decode(), "--with-parent"]
    environment = {"OPENBELL_REDIS_URL": url, "NODE_PATH": node_path(*modules)}
    counts: dict[str, int] = {}
    key = status_key_of(str(config["botId"]))
    with connect(url) as client:
        bot = Child(words, environment, limits=limits, got=lambda: 0)
        try:
            client.delete(key)  # what a run that was killed left says nothing of this bot
            bot.start()
            _wait(bot, lambda: client.exists(key), limits.ready_s)
            yield counts
        finally:
            bot.stop()
            with suppress(RedisError):  # a run that ends for want of its Redis says so itself
                if status := client.get(key):
                    counts |= orjson.loads(status).get("statistics", {})
                client.delete(key)


def _wait(bot: Child, is_ready: Any, ready_s: float) -> None:
    until = time.monotonic() + ready_s
    while not is_ready():
        bot.watch()
        if time.monotonic() > until:
            raise RunError(f"the mock bot was not ready in {ready_s:g} s", hint=bot.last_words)
        threading.Event().wait(_PAUSE_S)
