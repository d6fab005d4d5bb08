"""Lock-step against a real Redis: whatever breaks, nothing is lost and nothing comes twice."""

import os
import random
import signal
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from redis import Redis

from openbell.bridge.child import Limits
from openbell.bridge.lockstep import KEPT, Lockstep
from openbell.bridge.redis_server import RedisServer, connect
from openbell.market.errors import RunError, UnavailableError
from openbell.market.moments import MINUTE_NS
from tests.bridge.speaking import QUICK, START_NS, expected, speaking


@pytest.fixture
def url(_shared_server: RedisServer) -> str:
    """A running Redis that is not stopped."""
    return _shared_server.url


def test_every_slice_is_answered_once_and_in_order(redis: Redis, url: str) -> None:
    with speaking(url) as run:
        run.feed(600)
        assert run.said == expected(600)
        counts = run.link.statistics
        nothing = dict.fromkeys(("repeated", "restarted", "deaths", "asides"), 0)
        assert counts == {"sent": 601, "answered": 601, **nothing}


def test_the_streams_stay_short_and_go_with_the_run(redis: Redis, url: str) -> None:
    with speaking(url) as run:
        run.feed(KEPT * 3)
        keys = sorted(map(str, redis.keys("openbell:*")))
        assert [key.rpartition(":")[2] for key in keys] == ["answers", "slices"]
        assert max(redis.xlen(key) for key in keys) <= KEPT
    assert redis.keys("openbell:*") == []


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_runner_is_brought_back(url: str, seed: int) -> None:
    dice = random.Random(seed)
    with speaking(url) as run:
        whens = sorted(dice.sample(range(2, 1_500), 4))
        kills = {
            at: run.later(dice.random() * 0.002, partial(run.kill, lives))
            for lives, at in enumerate(whens)
        }
        run.feed(1_600, kills)
        assert run.said == expected(1_600)
        assert run.link.statistics["restarted"] == 4


def test_a_redis_that_lost_everything_is_told_again(server: RedisServer) -> None:
    with speaking(server.url) as run:
        restart = run.later(0.001, server.restart)
        run.feed(700, {150: server.restart, 151: server.restart, 400: restart})
        assert run.said == expected(700)


def test_a_redis_that_comes_back_with_an_old_copy_is_told_again(server: RedisServer) -> None:
    with speaking(server.url) as run:
        run.feed(100)
        with connect(server.url) as client:
            client.save()
        run.feed(100, {150: server.restart})
        assert run.said == expected(200)


def test_cut_connections_are_made_anew(url: str, redis: Redis) -> None:
    def cut() -> None:
        redis.client_kill_filter(_type="normal", skipme=True)

    with speaking(url) as run:
        run.feed(600, {at: run.later(at % 7 * 0.0003, cut) for at in range(50, 600, 50)})
        assert run.said == expected(600)
        assert run.link.statistics["deaths"] == 0


def test_a_paused_redis_is_waited_for(server: RedisServer) -> None:
    def pause() -> None:
        os.kill(server.pid, signal.SIGSTOP)
        run.later(1.0, lambda: os.kill(server.pid, signal.SIGCONT))()

    with speaking(server.url) as run:
        run.feed(200, {100: pause})
        assert run.said == expected(200)


def test_a_paused_runner_is_waited_for(url: str) -> None:
    with speaking(url) as run:
        pid = run.link.pid

        def pause() -> None:
            os.kill(pid, signal.SIGSTOP)
            run.later(1.0, lambda: os.kill(pid, signal.SIGCONT))()

        run.feed(200, {100: pause})
        assert run.said == expected(200)
        assert run.link.pid == pid


def fill(client: Redis) -> None:
    """Let a Redis have no more memory than half of what it uses."""
    used: Any = client.info("memory")
    client.config_set("maxmemory", used["used_memory"] // 2)


def test_a_full_redis_is_waited_for_until_it_has_room(server: RedisServer) -> None:
    with connect(server.url) as client, speaking(server.url) as run:

        def fill_for_a_while() -> None:
            fill(client)
            run.later(0.5, lambda: client.config_set("maxmemory", "0"))()

        run.feed(200, {60: fill_for_a_while, 120: fill_for_a_while})
        assert run.said == expected(200)


def test_a_redis_that_stays_full_ends_the_run_with_a_clear_error(server: RedisServer) -> None:
    with connect(server.url) as client, speaking(server.url, within_s=1.0) as run:
        with pytest.raises(UnavailableError, match="has no memory left") as raised:
            run.feed(200, {60: lambda: fill(client)})
        assert "maxmemory" in raised.value.hint


def test_a_redis_that_stays_away_ends_the_run_with_a_clear_error(server: RedisServer) -> None:
    away = pytest.raises(UnavailableError, match="Redis is away")
    with speaking(server.url, within_s=1.0) as run, away:
        run.feed(20, {10: server.stop})


def test_an_answer_that_comes_twice_is_left_out(url: str, redis: Redis) -> None:
    with speaking(url) as run:
        run.feed(10)
        key = str(redis.keys("*:answers")[0])
        last: Any = redis.xrevrange(key, count=1)
        fields = last[0][1]
        redis.xadd(key, fields)
        redis.xadd(key, {**fields, "runner": "somebody else"})
        run.feed(10)
        assert run.said == expected(20)
        assert run.link.statistics["repeated"] == 2


def test_no_answer_in_time_is_an_error_that_names_the_slice(url: str) -> None:
    with speaking(url, within_s=0.7, hangAt=5) as run:
        began = time.monotonic()
        with pytest.raises(RunError, match=r"slice 6 \(2011-03-01T14:35:00Z\) was not answered"):
            run.feed(10)
        assert time.monotonic() - began < 5.0


def test_a_strategy_that_answers_otherwise_the_second_time_is_an_error(url: str) -> None:
    with speaking(url, diceAt=40) as run:
        with pytest.raises(RunError, match=r"not deterministic.*slice 43") as raised:
            run.feed(60, {55: run.kill})
        assert "no wall clock" in raised.value.hint


def test_wall_clock_and_chance_of_a_strategy_are_the_runs_own(url: str) -> None:
    found = []
    for _ in range(2):
        with speaking(url) as run:
            run.feed(30, {20: run.kill})
            found.append([(s["timestamp"], s["reason"]) for s in run.signals])
    assert found[0] == found[1]
    assert found[0][0][0] == (START_NS + 3 * MINUTE_NS) // 10**6


def test_a_strategy_that_dies_again_and_again_is_given_up_with_its_last_words(url: str) -> None:
    waits: list[float] = []
    with speaking(url, limits=Limits(pauses_s=(0.0, 0.01)), dieAt=7) as run:
        assert run.link._child is not None
        run.link._child._pause = waits.append
        with pytest.raises(RunError, match=r"4 times in a row .* exit code 3") as raised:
            run.feed(10)
    assert "these are my last words" in raised.value.message
    assert waits == [0.0, 0.01, 0.01]


def test_a_strategy_that_eats_memory_ends_and_does_not_take_the_machine(url: str) -> None:
    limits = Limits(memory_mb=64, pauses_s=(0.0,), lives=1)
    with speaking(url, limits=limits, eatAt=3) as run, pytest.raises(RunError, match="SIGABRT"):
        run.feed(5)


def test_a_strategy_that_burns_time_ends(url: str) -> None:
    limits = Limits(cpu_s=1, pauses_s=(0.0,), lives=1)
    with speaking(url, limits=limits, hangAt=3) as run, pytest.raises(RunError, match="SIGXCPU"):
        run.feed(5)


def test_what_a_strategy_raises_ends_the_run_with_its_place(url: str) -> None:
    with speaking(url, throwAt=4) as run:
        with pytest.raises(RunError, match="the strategy raised: no more") as raised:
            run.feed(5)
        assert "counting.js" in raised.value.hint


def test_a_strategy_sees_the_environment_it_is_given_and_nothing_else(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of the parent")
    with speaking(url, words=True) as run:
        run.feed(3)
        seen = set(run.signals[0]["reason"].split(","))
    assert seen == {
        "HOME", "TMPDIR", "LANG", "TZ", "NODE_PATH", "OPENBELL_REDIS_URL", "OPENBELL_RUN"
    }  # fmt: skip


def test_the_runner_ends_with_the_run(url: str) -> None:
    with speaking(url) as run:
        run.feed(3)
        pid = run.link.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not [t for t in threading.enumerate() if t.name.startswith("openbell")]


def test_a_user_of_redis_with_a_password_is_enough(server: RedisServer) -> None:
    with connect(server.url) as client:
        client.execute_command(
            "ACL", "SETUSER", "runner", "on", ">p@ss:word", "+@all", "~openbell:*", "&*"
        )
        client.execute_command("ACL", "SETUSER", "default", "off")
    url = f"redis://runner:p%40ss%3Aword@127.0.0.1:{server.port}/0"
    with speaking(url) as run:
        run.feed(30, {15: run.kill})
        assert run.said == expected(30)


def test_many_runs_share_one_redis(url: str) -> None:
    said = {}

    def one(name: int) -> None:
        with suppress(Exception), speaking(url, limits=QUICK) as run:
            run.feed(60)
            said[name] = run.said

    threads = [threading.Thread(target=one, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert said == dict.fromkeys(range(3), expected(60))


@pytest.mark.parametrize(
    ("seq", "data", "why"),
    [
        (1, b"[", "no JSON"),
        (1, b"17", "it said b'17'"),
        (1, b'["yes"]', "it said"),
        (1, b'[{"signals": ["BUY"]}]', "it said"),
        (1, b'[{"signals": {}}]', "it said"),
        (1, b"[null, null]", "2 answers to messages 1 to 1"),
        (3, b"[null]", "1 answers to messages 1 to 3"),
        (1, b'["%s"]' % (b"x" * (1 << 24)), "16777220 bytes at once"),
    ],
)
def test_a_runner_that_does_not_keep_to_the_protocol_ends_the_run(
    seq: int, data: bytes, why: str, url: str, redis: Redis
) -> None:
    run = Lockstep(url, "hostile", watch=lambda: False)
    redis.xadd(run.answers, {"hello": "me"})
    redis.xadd(run.answers, {"nonsense": 1})
    redis.xadd(run.answers, {"runner": "me", "seq": seq, "data": data})
    run.send(START_NS, "init", b"{}")
    with pytest.raises(RunError, match="does not answer as agreed") as raised:
        run.ask(5.0)
    assert why in raised.value.message
    run.close()
    assert redis.keys("openbell:*") == []


def test_what_a_run_left_by_force_fades(url: str, redis: Redis) -> None:
    with speaking(url) as run:
        run.feed(3)
        for key in redis.keys("openbell:*"):
            assert 0 < redis.ttl(key) <= 7 * 24 * 3600
