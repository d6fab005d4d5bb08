"""Messages that somebody might send: malformed, huge, hostile, almost right. Seeded."""

import json
import random
from collections.abc import Iterator
from typing import Any

GOOD: dict[str, Any] = {
    "type": "REQUEST_HISTORICAL_DATA", "requestId": "h", "symbol": "SPY", "instrument": "SPY",
    "barType": "time", "interval": 1, "intervalType": "min", "barsBack": 50, "timeframe": "1m",
    "sessionTemplate": "USEQPost", "startTime": "2011-03-01T00:00:00Z", "unit": 2, "unitNumber": 1,
    "endTime": "2011-03-20T00:00:00Z", "timestamp": 1_300_400_000_000, "limit": 50,
    "includePartialBar": False, "instanceId": "i", "strategyId": "s", "botId": "b",
}  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 0.5, 1e300, -1e300, 2**63, 2**64, 10**30, "", " ", "NaN", "1m",
    "x" * 300, "x" * 5_000, "\0", "\n", "\ud800", "‮", "💥", "$(reboot)", "'; DROP TABLE", "../..",
    "__proto__", "constructor", "%s%n", "CON.F.US..Z24", "XNYS:SPY/1m@99", "a:b/c", [], [[]], {},
    {"$gt": ""}, ["SPY"], {"a": {"b": {"c": {}}}}, "9999-12-31T23:59:59Z", "0001-01-01", "-1",
]  # fmt: skip


def messages(count: int, seed: int = 5) -> Iterator[bytes]:
    """So many messages, always the same ones."""
    dice = random.Random(seed)
    for _ in range(count):
        yield dice.choice(_MAKERS)(dice)


def _swapped(dice: random.Random) -> bytes:
    """A good request with some fields swapped for something else, or left out."""
    message = dict(GOOD)
    for name in dice.sample(sorted(GOOD), dice.randint(1, 6)):
        if dice.random() < 0.2:
            del message[name]
        else:
            message[name] = dice.choice(VALUES)
    if dice.random() < 0.3:
        message = {"type": message.get("type"), "payload": message}
    return json.dumps(message).encode()


def _cut(dice: random.Random) -> bytes:
    body = json.dumps(GOOD).encode()
    return body[: dice.randrange(len(body))]


def _flipped(dice: random.Random) -> bytes:
    body = bytearray(json.dumps(GOOD).encode())
    for _ in range(dice.randint(1, 8)):
        body[dice.randrange(len(body))] = dice.randrange(256)
    return bytes(body)


def _noise(dice: random.Random) -> bytes:
    return dice.randbytes(dice.randint(0, 400))


def _nested(dice: random.Random) -> bytes:
    depth = dice.choice([10, 500, 5_000, 100_000])
    return dice.choice([b"[" * depth, b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1"])


def _huge(dice: random.Random) -> bytes:
    size = dice.choice([1 << 16, (1 << 20) - 100, 1 << 20, 1 << 21])
    filler = "x" * size
    return json.dumps(dice.choice([{**GOOD, "pad": filler}, {"pad": filler, **GOOD}])).encode()


def _other(dice: random.Random) -> bytes:
    return json.dumps(dice.choice(VALUES)).encode()


_MAKERS = [_swapped] * 12 + [_cut, _flipped, _flipped, _noise, _nested, _other] + [_huge]
