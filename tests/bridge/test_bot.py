"""The mock bot as a process: when it is ready, and what it leaves."""

import json

from redis import Redis

from openbell.bridge.bot import mock_bot
from openbell.bridge.channels import POSITION_UPDATE, status_key_of
from openbell.bridge.child import Limits
from openbell.bridge.node import find_node
from tests.bridge.packages import node_modules

KEY = status_key_of("b1")


def test_it_is_ready_when_it_listens_whatever_a_killed_run_left(redis: Redis) -> None:
    place = redis.connection_pool.connection_kwargs
    url = f"redis://{place['host']}:{place['port']}"
    redis.set(KEY, json.dumps({"status": "running"}))
    config = {"botId": "b1", "symbol": "SPY"}
    with mock_bot(url, config, find_node(), [node_modules()], Limits()) as counts:
        assert redis.publish(POSITION_UPDATE, json.dumps({"positions": []})) == 1
    assert counts == {"forwarded": 1, "positionUpdates": 1} | dict.fromkeys(
        ("foreign", "malformed", "troubles"), 0
    )
    assert redis.get(KEY) is None
