"""A strategy elsewhere and the way to it: Redis, the runner's process, and a transport."""

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson

from openbell.bridge.bot import mock_bot
from openbell.bridge.child import Child, Limits
from openbell.bridge.node import RUNNER, find_node, install_redis, node_path
from openbell.bridge.transport import Answer, Kind, Transport
from openbell.market.errors import RunError
from openbell.market.moments import iso

TransportName = Literal["lock-step", "compatible"]
TRANSPORTS: tuple[TransportName, ...] = ("lock-step", "compatible")

_PROTOCOLS = {"lock-step": "lockstep", "compatible": "redis"}

_ASKS_FOR_REDIS = re.compile(r"""(?:\bfrom|\brequire)\s*\(?\s*["']redis["']""")

# Runs something beside a strategy, the history service for instance: at the Redis of this URL, and
# with what tells the time the strategy lives in.
Beside = Callable[[str, Callable[[], int]], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Where and how strategies elsewhere are run; nothing of it decides anything.

    Attributes
    ----------
    redis_url
        The Redis to use; empty for a private one that lives as long as the run.
    node
        The Node program; empty to look for one.
    cache
        Where npm's `redis` is installed, if a strategy or its transport needs it and it is nowhere
        else; without one it is not installed.
    modules
        Further folders of Node modules.
    within_s
        Wall time a message may take to be answered.
    limits
        Of the runner's process.
    bot
        Whether the mock bot runs beside it.
    told
        Is given the statistics of each run at its end.
    """

    redis_url: str = ""
    node: str = ""
    cache: Path | None = None
    modules: Sequence[Path] = ()
    within_s: float = 30.0
    limits: Limits = field(default_factory=Limits)
    bot: bool = False
    told: Callable[[Mapping[str, int]], object] | None = None


class Link:
    """One strategy, started, spoken to, and ended.

    Parameters
    ----------
    path
        Its file.
    config
        What it is made with, JSON-ready; `botId` and `symbol` are put beneath it.
    now_ns
        Tells the run's time; virtual time of the strategy begins there.
    wait_s
        Wall time the compatible transport waits for a signal.
    beside
        What runs beside the strategy, as long as it does.
    """

    def __init__(  # noqa: PLR0913  # what makes a strategy, then how it is reached
        self,
        path: Path,
        config: Mapping[str, Any],
        setup: Setup,
        now_ns: Callable[[], int],
        *,
        symbol: str,
        seed: int = 0,
        transport: TransportName = "lock-step",
        wait_s: float = 0.1,
        beside: Sequence[Beside] = (),
    ) -> None:
        self._path = path.resolve()
        self._setup = setup
        self._now_ns = now_ns
        self._seed = seed
        self._name = transport
        self._wait_s = wait_s
        self._beside = beside
        self._run = secrets.token_hex(8)
        bot = "openbell" if transport == "lock-step" else f"openbell-{self._run}"
        self._config = {"botId": bot, "symbol": symbol, **config}
        self._stack = ExitStack()
        self._child: Child | None = None
        self._bot: Mapping[str, int] = {}
        self._transport: Transport | None = None

    @property
    def statistics(self) -> dict[str, int]:
        """Those of the transport, of the process, and at the end those of the bot."""
        found = dict(self._transport.statistics) if self._transport else {}
        bot = {f"bot_{name}": count for name, count in self._bot.items()}
        deaths, asides = (self._child.deaths, self._child.asides) if self._child else (0, 0)
        return {**found, "deaths": deaths, "asides": asides, **bot}

    @property
    def first_aside(self) -> str:
        """What the strategy raised first in a timer or a forgotten promise; empty if nothing."""
        return self._child.first_aside if self._child else ""

    @property
    def pid(self) -> int:
        """Of the runner's present life."""
        return self._child.pid if self._child else 0

    def open(self) -> Answer:
        """Start everything; give the strategy's first answer: its name, and the bars it wants.

        Raises
        ------
        MissingExtraError, UsageError
            If Redis' library, a Redis or Node is missing.
        RunError
            If the strategy does not become ready.
        """
        try:
            url = self._find_redis()
            transport = self._stack.enter_context(closing(self._make_transport(url)))
            self._transport = transport
            self.send("init", {"config": self._config, "seed": self._seed})
            for beside in self._beside:
                self._stack.enter_context(beside(url, lambda: transport.told_ns))
            node = Path(self._setup.node) if self._setup.node else find_node()
            modules = self._modules(node)
            if self._setup.bot:
                limits = self._setup.limits
                bot = mock_bot(url, self._config, node, modules, limits)
                self._bot = self._stack.enter_context(bot)
            self._child = self._make_child(url, node, modules)
            self._stack.callback(self._child.stop)
            self._child.start()
            return self._ask(self._setup.limits.ready_s)[-1] or {}
        except BaseException:
            self.close()
            raise

    def send(self, kind: Kind, data: object) -> None:
        """Put a message of now in line."""
        assert self._transport is not None
        self._transport.send(self._now_ns(), kind, orjson.dumps(data))

    def ask(self) -> Sequence[Answer | None]:
        """Send what is in line, and wait for the answers; None is one that says nothing."""
        return self._ask(self._setup.within_s)

    def close(self) -> None:
        """End the strategy, its runner and what was started for it, in this order."""
        self._stack.close()

    def _ask(self, within_s: float) -> Sequence[Answer | None]:
        assert self._transport is not None
        answers = self._transport.ask(within_s)
        for answer in answers:
            if answer is not None and (error := answer.get("error")):
                raise RunError(_thrown(error), hint=_where(error))
        return answers

    def _find_redis(self) -> str:
        """The URL of the Redis to use; a private one is started if none is named."""
        from openbell.bridge.redis_server import RedisServer, connect

        if not self._setup.redis_url:
            server = self._stack.enter_context(RedisServer())
            return server.url
        connect(self._setup.redis_url).close()
        return self._setup.redis_url

    def _make_transport(self, url: str) -> Transport:
        if self._name == "lock-step":
            from openbell.bridge.lockstep import Lockstep

            return Lockstep(url, self._run, watch=self._watch)
        from openbell.bridge.compatible import Compatible

        return Compatible(url, self._config["botId"], watch=self._watch, wait_s=self._wait_s)

    def _make_child(self, url: str, node: Path, modules: Sequence[Path]) -> Child:
        place = urlsplit(url)
        config = {
            **self._config,
            "redisHost": place.hostname or "127.0.0.1",
            "redisPort": place.port or 6379,
        }
        words = [
            str(node),
            f"--max-old-space-size={self._setup.limits.memory_mb}",
            str(RUNNER),
            str(self._path),
            orjson.dumps(config).decode(),
            *("--protocol", _PROTOCOLS[self._name]),
            *("--virtual-time", iso(self._now_ns())),
            *("--seed", str(self._seed)),
            "--with-parent",
        ]
        environment = {
            "OPENBELL_REDIS_URL": url,
            "OPENBELL_RUN": self._run,
            "NODE_PATH": node_path(*modules),
        }
        limits = self._setup.limits
        return Child(words, environment, limits=limits, got=lambda: self.statistics["answered"])

    def _modules(self, node: Path) -> Sequence[Path]:
        """Folders of modules, npm's `redis` among them where it is needed and not there."""
        speaks = self._name == "compatible" or self._setup.bot
        needs_redis = speaks or _ASKS_FOR_REDIS.search(self._path.read_text(encoding="utf-8"))
        places = (*self._setup.modules, *(p / "node_modules" for p in self._path.parents))
        found = next((place for place in places if (place / "redis").is_dir()), None)
        if needs_redis and found is None and self._setup.cache:
            found = install_redis(node, self._setup.cache)
        return self._setup.modules if found is None else (*self._setup.modules, found)

    def _watch(self) -> bool:
        return self._child is not None and self._child.watch()


def _thrown(error: Any) -> str:
    what = error.get("error") if isinstance(error, Mapping) else error
    return f"the strategy raised: {what}"


def _where(error: Any) -> str:
    """The first line of a stack that names a place; empty if there is none."""
    stack = str(error.get("stack", "")) if isinstance(error, Mapping) else ""
    lines = map(str.strip, stack.splitlines())
    return next((line for line in lines if line.startswith("at ")), "")
