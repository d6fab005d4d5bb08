"""Filling gaps by command: `--fill-from` on replays and runs, and what is said of it."""

from pathlib import Path

import numpy as np
import pytest

from openbell.app.lake import open_lake
from openbell.market.instrument import Series
from tests.commands import openbell

OTHER = "ARCX:SPY/1m"
DAY = ("--from", "2011-03-14", "--to", "2011-03-15")
WORDS = "XNYS:SPY/1m: 39 bars missing when due; 39 filled from ARCX:SPY/1m@1, 0 left"


@pytest.fixture
def holed(spy_lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lake in which every tenth minute of a Monday is missing, and another venue has it."""
    day = open_lake(spy_lake).bars("XNYS:SPY/1m", "2011-03-14T13:30Z", "2011-03-14T20:00Z")
    lake = open_lake(tmp_path / "lake")
    lake.write(day.take(np.arange(390) % 10 != 4))
    lake.write(day.renamed(Series.parse(OTHER)))
    monkeypatch.setenv("OPENBELL_LAKE", str(tmp_path / "lake"))
    return tmp_path / "lake"


@pytest.mark.usefixtures("holed")
def test_a_replay_says_what_it_filled() -> None:
    plain = openbell("replay", "XNYS:SPY/1m", *DAY, "--limit", "0", "--json").json
    filled = openbell("replay", "XNYS:SPY/1m", *DAY, "--fill-from", OTHER, "--limit", "0", "--json")
    assert (plain["sessions"][0]["bars"], plain["upkeep"]) == (351, {})
    assert filled.json["sessions"][0]["bars"] == 390
    assert filled.json["upkeep"]["XNYS:SPY/1m"] == {
        "found": 39, "filled": {f"{OTHER}@1": 39}, "left": 0, "retries": 0, "quiet": 0,
    }  # fmt: skip
    said = openbell("replay", "XNYS:SPY/1m", *DAY, "--fill-from", OTHER)
    assert WORDS in " ".join(said.out.split())


@pytest.mark.usefixtures("holed")
def test_a_run_fills_warns_of_it_and_can_be_verified() -> None:
    run = openbell("backtest", "ema-cross", "--on", "XNYS:SPY/1m", *DAY, "--fill-from", OTHER,
                   "--json")  # fmt: skip
    assert run.code == 0, run.err
    assert any(line.startswith(WORDS) for line in run.json["warnings"])
    assert run.json["completeness"] == 1.0
    assert openbell("verify", run.json["id"]).code == 0


@pytest.mark.usefixtures("holed")
def test_a_series_that_fills_nothing_is_wrong_usage() -> None:
    said = openbell("replay", "XNYS:SPY/1m", *DAY, "--fill-from", "XNYS:QQQ/1m@1")
    assert said.code != 0
    assert "QQQ" in said.err


def test_the_process_settings_say_how_often_is_checked(
    holed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBELL_DATA_UPKEEP_CHECK_INTERVAL_SECONDS", "1800")
    monkeypatch.setenv("OPENBELL_DATA_UPKEEP_RETRY_MISSING_BARS", "false")
    run = openbell("backtest", "ema-cross", "--on", "XNYS:SPY/1m", *DAY, "--fill-from", OTHER,
                   "--json", "--lake", str(holed))  # fmt: skip
    config = run.json["config"]
    assert (config["check_interval_s"], config["retries"]) == (1800, 0)
