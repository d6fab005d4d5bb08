"""`openbell bridge`: the whole circuit as a person runs it."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from openbell.bridge.redis_server import RedisServer
from tests.commands import openbell
from tests.house import ROOT

SPY = "XNYS:SPY/1m"
DAY = ("--on", SPY, "--from", "2011-03-03", "--to", "2011-03-04", "--set", "minEMASpread=0.02")


@pytest.fixture
def node(place: Path) -> Path:
    """The examples, with npm's `redis` beside them."""
    folder = place / "node"
    shutil.copytree(ROOT / "examples" / "node", folder)
    (folder / "node_modules").unlink(missing_ok=True)
    (folder / "node_modules").symlink_to(ROOT / "packages" / "node_modules")
    return folder


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A running Redis."""
    with RedisServer() as server:
        yield server.url


@pytest.mark.parametrize("file", ["ema-strategy.js", "self-bootstrap-strategy.js"])
def test_a_private_circuit_leaves_a_run_that_can_be_verified(
    file: str, spy: Path, node: Path
) -> None:
    said = openbell("bridge", f"node/{file}", *DAY, "--set", "entry=cross", "--json")
    assert said.code == 0, said.err
    run = said.json
    assert run["status"] == "done"
    assert run["fills"] > 4
    assert run["strategy"] == f"node/{file}:{file.removesuffix('.js')}"
    assert Path(run["report"]).exists()
    assert "answers" in said.err
    # An example that waits longer than a second asks again.
    asked = re.search(r" · [1-9]\d* history requests", said.err)
    assert (asked is not None) == (file != "ema-strategy.js")
    verified = openbell("verify", run["id"])
    assert verified.code == 0, verified.out


def test_a_running_redis_and_the_originals_channels(spy: Path, node: Path, url: str) -> None:
    said = openbell(
        "bridge", "node/ema-strategy.js", *DAY, "--redis", url,
        "--transport", "compatible", "--wait", "0.02", "--no-report",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "compatible transport: what was decided depends on this machine's speed" in said.out
    assert "messages carried by the bot" in said.err


@pytest.mark.parametrize(
    ("url", "code", "error"),
    [
        ("redis://127.0.0.1:1", 6, "Redis at 127.0.0.1:1 does not serve us"),
        ("http://127.0.0.1", 2, "this is no URL of a Redis"),
    ],
)
def test_a_redis_that_is_not_there_is_said_before_anything_runs(
    url: str, code: int, error: str, spy: Path, place: Path, node: Path
) -> None:
    said = openbell("bridge", "node/ema-strategy.js", *DAY, "--redis", url)
    assert said.code == code
    assert error in said.err
    assert not (place / "runs").exists()


def test_a_machine_without_node_is_told_before_anything_runs(
    spy: Path, place: Path, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openbell.bridge.node._wheel_node", lambda: None)
    monkeypatch.setenv("PATH", "")
    said = openbell("bridge", "node/ema-strategy.js", *DAY)
    assert said.code == 2
    assert "openbell[node]" in said.err
    assert not (place / "runs").exists()


def test_what_is_no_node_strategy_is_refused(spy: Path) -> None:
    said = openbell("bridge", "ema-cross", "--on", SPY)
    assert said.code == 2
    assert "`ema-cross` is no Node strategy" in said.err


def test_a_slow_strategy_is_given_up_at_the_time_that_was_set(
    spy: Path, place: Path, node: Path
) -> None:
    (place / "slow.js").write_text(
        "module.exports = class Slow { processMarketData() { for (;;); } }"
    )
    said = openbell("bridge", "slow.js", *DAY, "--within", "0.5", "--no-bot", "--no-report")
    assert said.code == 1
    assert "was not answered in 0.5 s" in said.out


@pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.set_index")
def test_pybroker_carries_out_the_same_signals(spy: Path, node: Path) -> None:
    words = ("bridge", "node/ema-strategy.js", *DAY, "--fill", "intrabar", "--no-bot")
    theirs = openbell(*words, "--engine", "pybroker", "--json")
    assert theirs.code == 0, theirs.err
    ours = openbell(*words, "--json")
    assert theirs.json["pins"] == [f"{SPY}@1"]
    assert theirs.json["metrics"]["total_return_pct"] == pytest.approx(
        100 * ours.json["metrics"]["total_return"], abs=0.05
    )
    said = openbell(*words, "--engine", "pybroker")
    assert "in PyBroker, on XNYS:SPY/1m@1" in said.out
    assert "round trips" in said.out


def test_an_unknown_engine_is_refused(spy: Path, node: Path) -> None:
    said = openbell("bridge", "node/ema-strategy.js", *DAY, "--engine", "steam")
    assert said.code == 2
    assert "use native or pybroker" in said.err
