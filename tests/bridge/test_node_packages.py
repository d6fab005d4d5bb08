"""The Node packages: built as carried, and their own tests, with Node's runner."""

import filecmp
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from openbell.backtest import indicators
from openbell.bridge import channels
from openbell.bridge.node import CARRIED, find_node
from openbell.market.bars import Bars, bars_from
from openbell.market.moments import MINUTE_NS
from tests.bridge.packages import PACKAGES, environment, node_modules

SUITES = sorted(
    path for path in PACKAGES.glob("*/test/*.test.js") if path.parts[-3] != "node_modules"
)
SAMPLE = "pyalgotrade/nt-spy-minute-2011-03.csv.gz"


def node_run(node: Path, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(node), *words],
        cwd=PACKAGES,
        env=environment(node, node_modules()),
        capture_output=True,
        text=True,
        **more,
    )


# What is carried


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_is_carried_is_what_the_sources_build(tmp_path: Path) -> None:
    done = node_run(find_node(), "build.mjs", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert files(tmp_path) == files(CARRIED), "build anew with `make js`"
    differing = filecmp.cmpfiles(tmp_path, CARRIED, sorted(files(CARRIED)), shallow=False)[1:]
    assert differing == ([], []), "build anew with `make js`"


@pytest.mark.parametrize("path", [PACKAGES / "package-lock.json", CARRIED / "package-lock.json"])
def test_no_lock_file_names_a_registry(path: Path) -> None:
    locked = json.loads(path.read_text())["packages"]
    assert len(locked) > 5
    assert [name for name, entry in locked.items() if "resolved" in entry] == []
    assert [name for name, entry in locked.items() if name and "integrity" not in entry] == []
    assert re.findall(r"\w+://", path.read_text()) == []


def test_a_user_needs_redis_and_nothing_else() -> None:
    needed = json.loads((CARRIED / "package.json").read_text())
    assert needed["dependencies"] == {"redis": "4.7.1"}
    assert sorted(needed["devDependencies"]) == ["@types/node", "redis-current", "typescript"]


# Their own tests


@pytest.mark.timeout(180)  # a whole suite of theirs
@pytest.mark.parametrize("which", ["machine", "wheel"])
@pytest.mark.parametrize("suite", SUITES, ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_the_packages_tests_pass(suite: Path, which: str) -> None:
    node = find_node() if which == "machine" else find_node("/nowhere")
    done = node_run(node, "--test", str(suite), timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^(?:#|ℹ) pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed, done.stdout
    assert int(passed[1]) > 0


def test_every_package_has_tests() -> None:
    assert {path.parts[-3] for path in SUITES} == {"bot", "runner", "sdk", "wire"}


TYPED = """
import { defineStrategy } from "@openbell/sdk";
import type { Signal } from "@openbell/sdk";

const Mine = defineStrategy({
  name: "MINE",
  params: { bars: 20, word: "up" },
  setup: ({ params, ema }) => ({ average: ema(params.bars) }),
  onBar(bar, ctx, { average }): Signal | null {
    const n: number = ctx.params.bars + average.value + bar.close;
    return n > 0 ? ctx.long({ stopLoss: n, reason: ctx.params.word }) : null;
  },
});
export = Mine;
"""


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("", ""), None),
        (("ctx.params.bars +", "ctx.params.nothing +"), "nothing"),
        (("stopLoss: n", 'stopLoss: "n"'), "not assignable"),
        (("average.value", "average.valve"), "valve"),
    ],
)
def test_the_sdks_types_hold(tmp_path: Path, change: tuple[str, str], error: str | None) -> None:
    source = tmp_path / "mine.ts"
    source.write_text(TYPED.replace(*change) if change[0] else TYPED)
    (tmp_path / "node_modules").symlink_to(CARRIED)
    words = [
        "--ignoreConfig",
        "--strict",
        "--noEmit",
        "--module",
        "node16",
        "--types",
        "",
        str(source),
    ]
    done = node_run(find_node(), str(node_modules() / "typescript/bin/tsc"), *words)
    assert (done.returncode == 0) == (error is None), done.stdout
    assert (error or "") in done.stdout


# One definition in two languages


def test_both_languages_have_the_same_channels() -> None:
    script = """
    const { channels } = require("@openbell/wire");
    const plain = (value) => (value instanceof Map ? Object.fromEntries(value) : value);
    const each = Object.entries(channels).map(([name, value]) =>
      [name, typeof value === "function" ? value("b1") : plain(value)]);
    console.log(JSON.stringify(Object.fromEntries(each)));
    """
    theirs = json.loads(node_run(find_node(), "-e", script).stdout)
    named = {
        "HISTORY_REQUEST": channels.HISTORY_REQUEST,
        "HISTORY_RESPONSE": channels.HISTORY_RESPONSE,
        "STRATEGY_READY": channels.STRATEGY_READY,
        "BOT_MARKET_DATA": channels.BOT_MARKET_DATA,
        "BOT_STATUS": channels.BOT_STATUS,
        "TO_AGGREGATOR": dict(channels.TO_AGGREGATOR),
        "TO_BOT": dict(channels.TO_BOT),
        "marketDataOf": channels.market_data_of("b1"),
        "simulationOf": channels.simulation_of("b1"),
        "signalOf": channels.signal_of("b1"),
        "statusKeyOf": channels.status_key_of("b1"),
    }
    assert {name: theirs[name] for name in named} == named


INDICATORS = """
const sdk = require("@openbell/sdk");
const bars = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const made = [new sdk.Ema(9), new sdk.Ema(19), new sdk.Sma(20), new sdk.Rsi(14), new sdk.Atr(14),
  new sdk.Highest(10), new sdk.Lowest(10)];
console.log(JSON.stringify(made.map((indicator) => bars.map((bar) => {
  indicator.update(bar);
  return indicator.ready ? indicator.value : null;
}))));
"""


def test_indicators_are_those_of_the_engine_to_the_last_bit(samples: Path) -> None:
    bars = spy(samples)
    rows = zip(bars.open, bars.high, bars.low, bars.close, strict=True)
    told = [
        dict(zip(("open", "high", "low", "close"), map(float, row), strict=True)) for row in rows
    ]
    done = node_run(find_node(), "-e", INDICATORS, input=orjson.dumps(told).decode())
    assert done.returncode == 0, done.stderr
    ours = [
        *(indicators.ema(9), indicators.ema(19), indicators.sma(20), indicators.rsi(14)),
        *(indicators.atr(14), indicators.highest(10), indicators.lowest(10)),
    ]
    for column, theirs in zip(ours, json.loads(done.stdout), strict=True):
        values = np.array([np.nan if x is None else x for x in theirs])
        np.testing.assert_array_equal(column.over(bars), values)


def spy(samples: Path) -> Bars:
    """SPY of March 2011, as far as indicators look: prices and volumes."""
    table = np.loadtxt(samples / SAMPLE, delimiter=";", usecols=range(1, 6))
    starts = np.arange(len(table), dtype=np.int64) * MINUTE_NS
    return bars_from("XNYS:SPY/1m", starts, starts + MINUTE_NS, tuple(table.T))
