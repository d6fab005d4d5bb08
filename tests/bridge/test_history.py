"""The history service over a real Redis: what it answers, what it counts, how it ends."""

import json
import logging
import resource
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

import openbell as ob
from openbell.app.wiring import now_ns
from openbell.bridge import channels
from openbell.bridge.history import HistoricalDataBootstrapService
from openbell.market.errors import StoreError, UnavailableError, UsageError
from openbell.market.moments import MINUTE_NS, parse_moment
from openbell.ports import Store
from tests.bridge.asking import Asker, threads_named
from tests.bridge.hostile import messages

NOW_NS = parse_moment("2011-03-14T15:07:30Z")
THREAD = "openbell-history"


def url_of(redis: Redis) -> str:
    said = redis.connection_pool.connection_kwargs
    return f"redis://{said['host']}:{said['port']}"


@pytest.fixture
def asker(redis: Redis) -> Iterator[Asker]:
    with Asker(url_of(redis), channels.HISTORY_RESPONSE, channels.PRODUCTION_HISTORY) as asker:
        yield asker


@pytest.fixture
def service(redis: Redis, store: Store) -> Iterator[HistoricalDataBootstrapService]:
    config = {"source": store, "clock": lambda: NOW_NS}
    with HistoricalDataBootstrapService(redis, config) as service:
        yield service


def counted(service: HistoricalDataBootstrapService) -> tuple[int, int, int, int]:
    said = service.get_statistics()
    names = ("requests_received", "requests_processed", "requests_failed", "bars_generated")
    received, processed, failed, bars = (said[name] for name in names)
    return received, processed, failed, bars


# Life


@pytest.mark.parametrize("decodes", [True, False])
def test_it_serves_as_the_original_does(redis: Redis, asker: Asker, *, decodes: bool) -> None:
    client = Redis.from_url(url_of(redis), decode_responses=decodes)
    service = HistoricalDataBootstrapService(client)
    assert service.start()
    assert [thread.daemon for thread in threads_named(THREAD)] == [True]
    answer = asker.ask(
        requestId="ema-bootstrap-1", symbol="NQ", barType="time", interval=1, intervalType="min",
        barsBack=50, sessionTemplate="USEQPost",
    )  # fmt: skip
    assert answer["success"]
    assert [sorted(bar) for bar in answer["data"]["bars"]] == [["c", "h", "l", "o", "t", "v"]] * 50
    assert answer["data"]["dataSource"] == "synthetic"
    last_ns = parse_moment(answer["data"]["bars"][-1]["t"])
    assert MINUTE_NS <= now_ns() - last_ns < 3 * MINUTE_NS
    service.stop()
    said = service.get_statistics()
    assert {name: said[name] for name in list(said)[:6]} == {
        "requests_received": 1, "requests_processed": 1, "requests_failed": 0,
        "bars_generated": 50, "running": False, "thread_alive": False,
    }  # fmt: skip
    assert client.ping()  # the caller's client goes on
    client.close()


def test_its_thread_ends_with_the_context(service: HistoricalDataBootstrapService) -> None:
    assert service.get_statistics()["thread_alive"]
    service.stop()
    service.stop()
    assert not threads_named(THREAD)


def test_it_can_be_started_again(service: HistoricalDataBootstrapService, asker: Asker) -> None:
    service.stop()
    assert asker.send({"requestId": "x"}) == 0
    assert service.start()
    assert service.start()
    assert asker.ask(symbol="SPY")["success"]
    assert counted(service) == (1, 1, 0, 50)


def test_a_start_without_redis_fails_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    client = Redis(port=1)
    service = HistoricalDataBootstrapService(client)
    with caplog.at_level(logging.ERROR):
        assert service.start() is False
    assert "cannot start" in caplog.text
    assert not service.get_statistics()["running"]
    with pytest.raises(UnavailableError, match="cannot start"), service:
        pass
    client.close()


@pytest.mark.parametrize(
    ("config", "error"),
    [({"sauce": 1}, "`sauce` says nothing"), ({"answer": "long"}, "unknown answer `long`")],
)
def test_a_config_that_says_nothing_is_refused(config: dict[str, Any], error: str) -> None:
    with pytest.raises(UsageError, match=error):
        HistoricalDataBootstrapService(Redis(), config)


def test_a_store_that_cannot_be_listed_keeps_it_from_starting(redis: Redis) -> None:
    class Locked:
        def list_instruments(self) -> None:
            raise StoreError("the lake is locked")

    assert HistoricalDataBootstrapService(redis, {"source": Locked()}).start() is False


# Answers


def test_bars_come_from_the_store_up_to_the_clock(
    service: HistoricalDataBootstrapService, asker: Asker
) -> None:
    answer = asker.ask(symbol="SPY", barsBack=50)
    assert answer["data"]["dataSource"] == "XNYS:SPY/1m@1"
    assert answer["data"]["bars"][-1]["t"] == "2011-03-14T15:06:00Z"
    assert answer["timestamp"] == "2011-03-14T15:07:30Z"


def test_the_clock_goes_on_between_requests(redis: Redis, store: Store, asker: Asker) -> None:
    times = iter(range(NOW_NS, NOW_NS + 10 * MINUTE_NS, MINUTE_NS))
    config = {"source": store, "clock": lambda: next(times)}
    with HistoricalDataBootstrapService(redis, config):
        ends = [asker.ask(symbol="SPY", requestId=i)["data"]["endDatetime"] for i in range(5)]
    assert [end[14:16] for end in ends] == ["07", "08", "09", "10", "11"]


def test_in_a_replay_nothing_is_given_that_the_replay_has_not_released(
    redis: Redis, spy_lake: Path, asker: Asker
) -> None:
    lake = ob.open_lake(spy_lake)
    system = ob.replay("XNYS:SPY/1m", lake=lake, start="2011-03-14", end="2011-03-15")
    config = {"source": lake, "clock": system.clock.now}
    with HistoricalDataBootstrapService(redis, config) as service:
        before = service.get_statistics()["requests_processed"]
        for number, now in enumerate(system):
            if number % 40:
                continue
            newest = asker.ask(symbol="SPY", requestId=number, timestamp=now_ns() // 1_000_000)
            end_ns = parse_moment(newest["data"]["endDatetime"])
            assert end_ns == min(system.clock.now(), parse_moment("2011-03-14T20:00Z"))
            assert parse_moment(newest["timestamp"]) == system.clock.now()
            assert now.time_ns == system.clock.now()
        assert service.get_statistics()["requests_processed"] - before == 10


def test_a_lake_of_the_front_door_may_be_the_source(
    redis: Redis, spy_lake: Path, asker: Asker
) -> None:
    config = {"source": ob.open_lake(spy_lake), "resolver": {"NQ": "XNYS:SPY/1m@1"}}
    with HistoricalDataBootstrapService(redis, config):
        assert asker.ask()["data"]["endDatetime"] == "2011-03-31T20:00:00Z"


def test_the_production_bot_is_answered_too(
    service: HistoricalDataBootstrapService, asker: Asker
) -> None:
    answer = asker.ask(
        channels.PRODUCTION_REQUEST, type="REQUEST_HISTORICAL_DATA", instrument="SPY", limit=3
    )
    assert [bar["t"][14:16] for bar in answer["payload"]["bars"]] == ["04", "05", "06"]


def test_the_flat_form_is_given_where_it_is_configured(
    redis: Redis, store: Store, asker: Asker
) -> None:
    with HistoricalDataBootstrapService(redis, {"source": store, "answer": "flat"}):
        assert len(asker.ask(symbol="SPY", barsBack=7)["data"]) == 7


def test_a_simulated_time_bounds_the_answers(redis: Redis, store: Store, asker: Asker) -> None:
    with HistoricalDataBootstrapService(redis, {"source": store}) as service:
        for moment in (
            "2011-03-10T16:00Z", datetime(2011, 3, 10, 16),  # noqa: DTZ001  # taken for UTC
            datetime(2011, 3, 10, 16, tzinfo=UTC),
        ):  # fmt: skip
            service.set_simulation_datetime(moment)
            assert asker.ask(symbol="SPY")["data"]["endDatetime"] == "2011-03-10T16:00:00Z"
        assert service.get_statistics()["current_simulation_datetime"] == "2011-03-10T16:00:00Z"
        service.set_simulation_datetime(None)
        assert asker.ask(symbol="SPY")["data"]["endDatetime"] == "2011-03-31T20:00:00Z"


def test_a_simulated_time_is_not_later_than_the_clock(
    service: HistoricalDataBootstrapService, asker: Asker
) -> None:
    service.set_simulation_datetime("2011-03-20")
    assert asker.ask(symbol="SPY")["data"]["endDatetime"] == "2011-03-14T15:07:00Z"


def test_it_says_which_symbols_it_has(service: HistoricalDataBootstrapService) -> None:
    assert service.test_symbol_availability("SPY") == {
        "symbol": "SPY",
        "available": True,
        "all_available_symbols": ["XNYS:SPY"],
        "date_range": {"min_date": "2011-03-01T09:00:00Z", "max_date": "2011-03-31T23:58:00Z"},
    }
    assert not service.test_symbol_availability("NQ")["available"]


# Faults of others


def test_errors_are_counted_logged_and_answered(
    service: HistoricalDataBootstrapService, asker: Asker, caplog: pytest.LogCaptureFixture
) -> None:
    answer = asker.ask(symbol="NQ")
    assert answer == {
        "requestId": "r", "success": False, "timestamp": "2011-03-14T15:07:30Z",
        "error": "DATA_NOT_AVAILABLE: nothing is stored of `NQ`; see what there is: "
        "openbell data list",
    }  # fmt: skip
    assert counted(service) == (1, 0, 1, 0)
    assert "on aggregator:historical-data:request is refused: DATA_NOT_AVAILABLE" in caplog.text


def test_what_is_not_utf8_is_counted_and_the_next_request_answered(
    service: HistoricalDataBootstrapService, asker: Asker
) -> None:
    asker.send(b"\xff\xfe\x00")
    assert asker.ask(symbol="SPY")["success"]
    assert counted(service) == (2, 1, 1, 50)


class Failing:
    """A store whose disk is gone."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def versions(self, _: object) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreError("the disk is gone"), "DATA_NOT_AVAILABLE: the disk is gone"),
        (OSError("input/output error"), "internal error: OSError"),
    ],
)
def test_a_store_that_fails_costs_a_request_and_not_the_service(
    redis: Redis, asker: Asker, error: Exception, said: str
) -> None:
    with HistoricalDataBootstrapService(redis, {"source": Failing(error)}) as service:
        for _ in range(2):
            assert asker.ask(symbol="XNYS:SPY")["error"] == said
        assert counted(service) == (2, 0, 2, 0)
        assert service.get_statistics()["thread_alive"]


def test_hostile_messages_kill_nothing_and_are_all_counted(
    service: HistoricalDataBootstrapService, asker: Asker
) -> None:
    for number, message in enumerate(messages(1_500, seed=1)):
        assert asker.send(message) == 1
        if number % 20 == 19:  # Redis cuts off who is 32 MB behind; that is another test
            assert asker.ask(symbol="SPY", requestId=number)["success"]
    received, processed, failed, _ = counted(service)
    assert received == processed + failed == 1_500 + 75
    assert failed > 500
    assert service.get_statistics()["thread_alive"]


# Many at once

CLIENTS, EACH = 50, 200


def test_ten_thousand_requests_of_fifty_clients_are_answered_exactly(
    service: HistoricalDataBootstrapService, redis: Redis
) -> None:
    url = url_of(redis)
    gathered = Gathering(url)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with gathered, ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda client: ask_many(url, client), range(CLIENTS)))
        gathered.wait(CLIENTS * EACH)
    assert len(gathered.ends) == CLIENTS * EACH
    assert set(gathered.ends.values()) == {("2011-03-14T15:07:00Z", 10)}
    assert counted(service) == (CLIENTS * EACH, CLIENTS * EACH, 0, CLIENTS * EACH * 10)
    assert service.get_statistics()["responses_lost"] == 0
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    assert grown_kib < 64 << 10


def ask_many(url: str, client: int) -> None:
    with Redis.from_url(url) as redis:
        for number in range(EACH):
            request = {"requestId": f"{client}-{number}", "symbol": "SPY", "barsBack": 10}
            redis.publish(channels.HISTORY_REQUEST, json.dumps(request))


class Gathering:
    """Takes down every answer once; an answer that comes twice is a fault."""

    def __init__(self, url: str) -> None:
        self.ends: dict[str, tuple[str, int]] = {}
        self._asker = Asker(url)
        self._enough = threading.Event()
        self._wanted = CLIENTS * EACH
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._asker.__enter__()
        self._thread.start()

    def wait(self, count: int) -> None:
        assert self._enough.wait(45), f"{len(self.ends)} of {count} answers came"

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._asker.__exit__()

    def _run(self) -> None:
        while len(self.ends) < self._wanted and (answer := self._asker.next(20)):
            assert answer["requestId"] not in self.ends
            data = answer["data"]
            self.ends[answer["requestId"]] = (data["endDatetime"], len(data["bars"]))
        self._enough.set()
