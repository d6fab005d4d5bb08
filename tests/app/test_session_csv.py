import csv
import io
import json
from pathlib import Path

import pytest

from tests.commands import openbell

DAY = ("--from", "2011-03-14", "--to", "2011-03-15")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_dump_has_a_row_a_minute_and_one_for_the_end(spy: Path) -> None:
    found = rows(openbell("data", "session", "csv", "XNYS:SPY", *DAY).out)
    assert len(found) == 391 + 1
    assert (found[0]["session_time"], found[-1]["system_state"]) == ("09:30:00", "stopped")
    assert [found[-1][f"SPY_{f}_bars"] for f in ("1m", "5m", "15m")] == ["390", "78", "26"]


def test_a_dump_goes_into_a_file_and_writes_over_none(spy: Path) -> None:
    words = ("data", "session", "csv", "XNYS:SPY", *DAY, "--every", "1h", "--out", "made/dump.csv")
    said = openbell(*words)
    assert (said.code, said.out) == (0, "")
    assert "9 rows written to made/dump.csv" in said.err
    assert len(rows(Path("made/dump.csv").read_text())) == 9
    assert [file.name for file in Path("made").iterdir()] == ["dump.csv"]
    assert openbell(*words).code == 2
    assert openbell(*words, "--force").code == 0


def test_a_dump_is_printed_as_json_for_programs(spy: Path) -> None:
    words = ("data", "session", "csv", "XNYS:SPY", *DAY, "--every", "1h")
    found = rows(openbell(*words).out)
    assert openbell(*words, "--json").json == found
    said = openbell(*words, "--out", "dump.csv", "--json")
    assert (said.json, said.err) == ({"file": "dump.csv", "rows": 9}, "")
    assert rows(Path("dump.csv").read_text()) == found


def test_a_dump_of_configured_hours_begins_with_them(spy: Path) -> None:
    words = ("data", "session", "csv", "XNYS:SPY", *DAY, "--session", "10:00-15:00")
    found = rows(openbell(*words, "--every", "90").out)
    assert [row["session_time"] for row in found[:2]] == ["10:00:00", "10:01:30"]
    assert {row["trading_hours_close"] for row in found} == {"15:00:00"}


@pytest.mark.parametrize("text", ["0s", "soon", "1d", "", "-5s"])
def test_a_time_between_samples_that_is_none_is_refused(spy: Path, text: str) -> None:
    said = openbell("data", "session", "csv", "XNYS:SPY", *DAY, f"--every={text}")
    assert said.code == 2
    assert "hint: write it as 60s, 5m or 1h" in said.err


CONFIG = {
    "session_name": "monday",
    "mode": "backtest",
    "exchange_group": "US_EQUITY",
    "asset_class": "EQUITY",
    "backtest_config": {
        "start_date": "2011-03-14", "end_date": "2011-03-14", "speed_multiplier": 60,
    },
    "session_data_config": {"symbols": ["SPY"], "streams": ["1m", "30m"]},
}  # fmt: skip


def test_a_dump_of_a_session_configuration_is_that_of_its_series(spy: Path) -> None:
    Path("session.json").write_text(json.dumps(CONFIG))
    said = openbell("data", "session", "csv", "--config", "session.json")
    assert said.code == 0, said.err
    assert said.out == openbell("data", "session", "csv", "XNYS:SPY", *DAY).out
    assert "not done: asset_class" in said.err


def test_what_to_play_is_said_once(spy: Path) -> None:
    Path("session.json").write_text(json.dumps(CONFIG | {"mode": "live"}))
    for words in ((), ("XNYS:SPY", "--config", "session.json"), ("--config", "session.json")):
        assert openbell("data", "session", "csv", *words).code == 2
