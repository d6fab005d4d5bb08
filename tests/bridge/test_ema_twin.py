"""The EMA strategy in JavaScript and in Python: the same decisions, to the last bit."""

import json
import subprocess
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from openbell.bridge.node import RUNNER, find_node, node_path
from tests.house import ROOT

EXAMPLES = ROOT / "examples" / "node"
SAMPLE = "pyalgotrade/nt-spy-minute-2011-03.csv.gz"
# SPY moves by cents: the spread that makes a trend is a few of them.
SETTINGS = {"minEMASpread": 0.03, "maxRiskPoints": 0.4, "dollarPerPoint": 1.0}


def twin() -> ModuleType:
    spec = spec_from_file_location("ema_twin", EXAMPLES / "ema_twin.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Runner:
    """The runner over standard input and output, asked line by line."""

    def __init__(self, strategy: Path, config: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            [str(find_node()), str(RUNNER), str(strategy), json.dumps(config)],
            env={"NODE_PATH": node_path()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._read()["type"] == "READY"

    def ask(self, kind: str, data: Any) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(orjson.dumps({"type": kind, "data": data}) + b"\n")
        self.process.stdin.flush()
        return self._read()

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        assert self.process.wait(20) == 0
        self.process.stdout.close()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout
        answer: dict[str, Any] = orjson.loads(self.process.stdout.readline())
        assert answer["type"] != "ERROR", answer
        return answer


@pytest.fixture(scope="module")
def closes(samples: Path) -> list[float]:
    """The closes of SPY, March 2011, minute by minute."""
    import polars as pl

    table = pl.read_csv(samples / SAMPLE, separator=";", has_header=False)
    return [float(x) for x in table[table.columns[4]]]


def is_open_after(signal: dict[str, Any] | None, *, before: bool) -> bool:
    """Whether there is a position once a signal is carried out."""
    return before if signal is None else signal["direction"] != "CLOSE_POSITION"


def decisions_in_javascript(
    config: dict[str, Any], closes: list[float], gone: set[int]
) -> Iterator[dict[str, Any] | None]:
    runner = Runner(EXAMPLES / "ema-strategy.js", {"symbol": "SPY", **config})
    try:
        bars = [{"c": close} for close in closes[:50]]
        assert runner.ask("HISTORICAL_DATA", bars)["ready"] is True
        held = False
        for i, close in enumerate(closes[50:]):
            held = held and i not in gone
            runner.ask(
                "POSITION_UPDATE", [{"symbol": "SPY", "side": "LONG", "quantity": int(held)}]
            )
            item = {"price": close, "timestamp": 60_000 * i}
            signal = runner.ask("MARKET_DATA", item).get("data")
            held = is_open_after(signal, before=held)
            yield signal
    finally:
        runner.close()


def decisions_in_python(
    config: dict[str, Any], closes: list[float], gone: set[int]
) -> Iterator[dict[str, Any] | None]:
    module = twin()
    decisions = module.Decisions(module.EmaTwin(**config))
    for close in closes[:50]:
        decisions.learn(close)
    held = False
    for i, close in enumerate(closes[50:]):
        held = held and i not in gone
        signal = decisions.decide(close, 60_000 * i, is_open=held)
        held = is_open_after(signal, before=held)
        yield signal


@pytest.mark.parametrize("mode", ["STANDARD", "CONSERVATIVE"])
@pytest.mark.parametrize("entry", ["retracement", "cross"])
def test_python_and_javascript_decide_the_same(entry: str, mode: str, closes: list[float]) -> None:
    config = {"entry": entry, "mode": mode, **SETTINGS}
    gone = set(range(0, 10_000, 37))  # bars at which somebody else closed the position
    theirs = list(decisions_in_javascript(config, closes, gone))
    ours = list(decisions_in_python(config, closes, gone))
    pairs = [(a, b) for a, b in zip(theirs, ours, strict=True) if a or b]
    assert len(pairs) > 100
    assert {a["direction"] for a, _ in pairs if a} == {"LONG", "SHORT", "CLOSE_POSITION"}
    for theirs_, ours_ in pairs:
        assert theirs_
        assert ours_
        assert {name: theirs_[name] for name in ours_} == ours_
