"""What the guide to Node strategies shows does what it says."""

import re
import shutil
from pathlib import Path

import pytest

from tests.commands import SPY, openbell
from tests.house import ROOT, read, table

GUIDE = "docs/guides/node-strategy.md"


def blocks(language: str) -> list[str]:
    """The pieces of a language in the guide, in order."""
    return re.findall(rf"```{language}\n(.*?)```", read(GUIDE), re.DOTALL)


def commands() -> list[list[str]]:
    """The words of each command in the guide, without `openbell`."""
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return [line.split()[1:] for line in lines if line.startswith("openbell")]


def test_the_commands_of_the_guide_lead_to_a_verified_backtest(place: Path) -> None:
    shutil.copy(ROOT / "examples" / "node" / "ema-strategy.js", place)
    shutil.copy(SPY, place)
    said = [openbell(*words) for words in commands()]
    assert [(s.code, s.err) for s in said] == [(0, "")] * 2
    assert "rejected" not in said[-1].out
    found = re.search(r"openbell (verify) (\w+)", said[-1].out)
    assert found, said[-1].out
    verified = openbell(*found.groups())
    assert verified.code == 0, verified.out + verified.err


@pytest.mark.parametrize(("block", "trades"), [(0, 0), (1, 10)])
def test_the_strategies_of_the_guide_run(block: int, trades: int, spy: Path, place: Path) -> None:
    (place / "mine.js").write_text(blocks("js")[block])
    words = ("mine.js", "--on", "XNYS:SPY/1m", "--size", "10", "--to", "2011-03-03", "--json")
    said = openbell("backtest", *words)
    assert said.code == 0, said.err
    assert said.json["metrics"]["round_trips"] >= trades


def test_every_node_example_is_in_the_list() -> None:
    folder = ROOT / "examples" / "node"
    rows = {row[0] for row in table(read("examples/node/README.md"))}
    assert rows - {"file"} == {
        path.name for path in folder.iterdir() if path.suffix in {".js", ".py"}
    }
