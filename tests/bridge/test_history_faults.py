"""Redis fails under the history service: it comes back, counts what it can, and never dies."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import OutOfMemoryError

from openbell.bridge import channels
from openbell.bridge.history import HistoricalDataBootstrapService
from openbell.bridge.redis_server import RedisServer, connect
from openbell.market.moments import parse_moment
from openbell.ports import Store
from tests.bridge.asking import Asker, threads_named

NOW_NS = parse_moment("2011-03-14T15:07:30Z")


@pytest.fixture
def service(server: RedisServer, store: Store) -> Iterator[HistoricalDataBootstrapService]:
    client = Redis(port=server.port)
    config = {"source": store, "clock": lambda: NOW_NS}
    with HistoricalDataBootstrapService(client, config) as service:
        yield service
    client.close()
    assert not threads_named("openbell-history")


def until(is_so: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
    """Wait for something; a failure that names it if it does not come."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not is_so():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for: {what}"
        pause.wait(0.02)


def is_heard(server: RedisServer) -> bool:
    with connect(server.url) as client:
        (_, count), *_ = client.pubsub_numsub(channels.HISTORY_REQUEST)
        return bool(count == 1)


def answered(server: RedisServer, name: str = "r") -> Any:
    with Asker(server.url) as asker:
        return asker.ask(symbol="SPY", requestId=name)


def require_sound(service: HistoricalDataBootstrapService, *, losses: int) -> None:
    said = service.get_statistics()
    assert said["thread_alive"]
    assert said["connection_losses"] == losses
    assert said["requests_received"] == said["requests_processed"] + said["requests_failed"]


def test_it_comes_back_after_a_restart(
    server: RedisServer, service: HistoricalDataBootstrapService
) -> None:
    for losses in (1, 2, 3):
        assert answered(server)["success"]
        server.restart()
        until(lambda: is_heard(server), "the service to subscribe again")
        require_sound(service, losses=losses)
    assert answered(server)["success"]
    assert service.get_statistics()["requests_processed"] == 4


def test_it_waits_for_a_redis_that_is_gone_for_a_while(
    server: RedisServer, service: HistoricalDataBootstrapService, caplog: pytest.LogCaptureFixture
) -> None:
    server.stop()
    until(lambda: service.get_statistics()["connection_losses"] == 1, "the loss to be counted")
    threading.Event().wait(1.0)
    require_sound(service, losses=1)
    server.start()
    until(lambda: is_heard(server), "the service to subscribe again")
    assert answered(server)["success"]
    assert caplog.text.count("openbell-history lost Redis") == 1


def test_it_comes_back_when_its_connections_are_cut(
    server: RedisServer, service: HistoricalDataBootstrapService
) -> None:
    for losses in range(1, 6):
        with connect(server.url) as client:
            client.client_kill_filter(_type="pubsub")
            client.client_kill_filter(_type="normal", skipme=True)
        until(lambda: is_heard(server), "the service to subscribe again")
        assert answered(server, f"r{losses}")["success"]
        until(lambda n=losses: service.get_statistics()["connection_losses"] == n, "the count")  # type: ignore[misc]  # bound now
    require_sound(service, losses=5)


def test_a_pause_of_redis_loses_nothing(
    server: RedisServer, service: HistoricalDataBootstrapService
) -> None:
    with Asker(server.url) as asker:
        assert asker.ask(symbol="SPY")["success"]
        os.kill(server.pid, signal.SIGSTOP)
        sender = threading.Thread(target=asker.send, args=({"requestId": "late", "symbol": "SPY"},))
        sender.start()
        threading.Event().wait(1.5)
        require_sound(service, losses=0)
        os.kill(server.pid, signal.SIGCONT)
        sender.join()
        assert asker.next()["requestId"] == "late"
    require_sound(service, losses=0)


def test_it_can_be_stopped_while_redis_is_paused(
    server: RedisServer, service: HistoricalDataBootstrapService
) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    begin = time.monotonic()
    service.stop()
    assert time.monotonic() - begin < 5.0
    assert not service.get_statistics()["running"]
    os.kill(server.pid, signal.SIGCONT)


def test_a_redis_without_memory_still_carries_history(
    server: RedisServer, service: HistoricalDataBootstrapService
) -> None:
    with connect(server.url) as client:
        client.config_set("maxmemory", "100kb")
        client.config_set("maxmemory-policy", "noeviction")
        with pytest.raises(OutOfMemoryError):
            client.set("x", "y")
        for number in range(20):
            assert answered(server, f"r{number}")["success"]
    require_sound(service, losses=0)


def test_a_flood_that_redis_cuts_off_is_counted_and_survived(
    server: RedisServer, service: HistoricalDataBootstrapService
) -> None:
    with connect(server.url) as client:
        client.config_set("client-output-buffer-limit", "pubsub 1048576 1048576 1")
        huge = b'{"requestId": "' + b"x" * 900_000 + b'"}'
        flood = client.pipeline(transaction=False)
        for _ in range(40):
            flood.publish(channels.HISTORY_REQUEST, huge)
        assert 0 in flood.execute()  # some of them nobody heard
    until(lambda: service.get_statistics()["connection_losses"] >= 1, "the count")
    until(lambda: is_heard(server), "the service to subscribe again")
    assert answered(server)["success"]
    require_sound(service, losses=service.get_statistics()["connection_losses"])
