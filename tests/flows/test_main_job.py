"""The whole way by commands: import, check, replay, backtest, report, verify."""

import re
import signal
import sys
from pathlib import Path
from threading import Event

import orjson
import pytest

from tests.commands import IMPORT_SPY, openbell, started
from tests.house import run

SLOW = """
from pathlib import Path
from threading import Event

import openbell as ob


class Slow(ob.Strategy):
    def on_session_open(self, ctx, session):
        if session.label == "2011-03-04":
            Path("going").touch()

    def on_bar(self, ctx, bar):
        ctx.target(bar.instrument, 1 if bar.close > bar.open else 0)
        if Path("going").exists() and not Path("done").exists():
            Event().wait(0.005)
"""


def wait_for(file: Path) -> None:
    """Wait until another process has made a file, at most half a minute."""
    for _ in range(600):
        if file.exists():
            return
        Event().wait(0.05)
    raise AssertionError(f"{file} did not come")


def test_from_a_file_to_a_verified_result(place: Path) -> None:
    said = openbell(*IMPORT_SPY)
    assert "XNYS:SPY/1m@1   17,577 rows kept · 0 repeated · 0 conflicting" in said.out
    assert "stamps moved from close to start" in said.out
    assert openbell(*IMPORT_SPY).out == "XNYS:SPY/1m@1   nothing new\n"

    said = openbell("data", "check", "XNYS:SPY/1m", "--html", "quality.html")
    assert said.out.count("  390       390        100.0 %") == 23
    assert "first session in daylight time" in said.out
    assert "23 sessions · 100.0 % complete · 0 gaps" in said.out
    assert "<html" in Path("quality.html").read_text(encoding="utf-8")

    said = openbell("data", "list")
    assert re.search(r"XNYS:SPY +1m +2011-03-01 +2011-03-31 +17,577 +@1 +100\.0 %", said.out)
    assert openbell("data", "pin", "march", "XNYS:SPY/1m@1").code == 0

    said = openbell("replay", "XNYS:SPY", "--date", "2011-03-14", "--limit", "2")
    assert said.out.startswith("2011-03-14T13:31:00Z   XNYS:SPY o 129.99")
    assert "388 more slices" in said.out
    assert re.search(r"2011-03-14 +XNYS:SPY +390 .* 100\.0 %", said.out)

    words = ["backtest", "ema-cross", "--on", "march", "--set", "fast=12", "--set", "slow=26"]
    said = openbell(*words, "--fill", "next_open", "--png", "run.png")
    assert said.code == 0
    assert "8,970 bars · 23 sessions · completeness 100.0 %" in said.out
    assert "no costs!" in said.out
    page, png = Path(re.findall(r"report (\S+)", said.out)[0]), Path("run.png")
    assert "<html" in page.read_text(encoding="utf-8")
    assert png.read_bytes().startswith(b"\x89PNG")

    run_id = page.parts[1]
    assert openbell("verify", run_id[:4]).out.startswith("verified: same seal ")
    assert run_id in openbell("runs", "list").out
    assert "Sharpe" in openbell("runs", "show", run_id).out
    assert openbell("runs", "show", run_id, "--report").out == f"{page}\n"


def test_a_configuration_runs_again_and_gives_the_same_seal(spy: Path) -> None:
    words = ["--from", "2011-03-14", "--to", "2011-03-19", "--size", "50", "--no-report", "--json"]
    first = openbell("backtest", "ema-cross", "--on", "XNYS:SPY/1m", *words).json
    config = Path(first["folder"]) / "files" / "config.json"
    again = openbell("backtest", "--config", str(config), "--no-report", "--json").json
    assert (again["id"], again["seal"]) == (first["id"], first["seal"])
    other = openbell("backtest", "--config", str(config), "--fee-rate", "0.001", "--json").json
    assert other["id"] != first["id"]
    assert other["config"]["costs"]["fee_rate"] == 0.001
    assert other["config"]["size"] == 50


def test_the_requirements_form_of_a_configuration_is_taken(spy: Path) -> None:
    form = {
        "strategy_type": "moving_average_crossover",
        "parameters": {"short_window": 10, "long_window": 30},
        "position_sizing": "fixed_quantity",
        "position_size": 100,
        "on": ["XNYS:SPY/1m"],
    }
    Path("run.json").write_bytes(orjson.dumps(form))
    theirs = openbell("backtest", "--config", "run.json", "--no-report", "--json").json
    words = ["--set", "fast=10", "--set", "slow=30", "--size", "100", "--sizing", "units"]
    ours = openbell("backtest", "sma-cross", "--on", "XNYS:SPY/1m", *words, "--no-report", "--json")
    assert (theirs["id"], theirs["seal"]) == (ours.json["id"], ours.json["seal"])
    assert "short_window" not in theirs["parameters"]


def test_a_new_strategy_runs_and_is_swept(spy: Path) -> None:
    assert openbell("strategy", "new", "first.py").code == 0
    said = openbell("backtest", "first.py", "--on", "XNYS:SPY/1m", "--no-report", "--json")
    assert said.json["round_trips"] > 100
    built_in = openbell("backtest", "ema-cross", "--on", "XNYS:SPY/1m", "--no-report", "--json")
    assert said.json["equity_end"] == built_in.json["equity_end"]
    assert "fast" in openbell("strategy", "show", "first.py").out


def test_the_example_is_what_a_new_strategy_is(place: Path) -> None:
    openbell("strategy", "new", "my_strategy.py")
    example = Path(__file__).parents[2] / "examples" / "my_strategy.py"
    assert Path("my_strategy.py").read_text(encoding="utf-8") == example.read_text(encoding="utf-8")


def test_running_again_without_a_report_keeps_the_one_there_is(spy: Path) -> None:
    words = ["backtest", "ema-cross", "--on", "XNYS:SPY/1m", "--from", "2011-03-31", "--json"]
    first, second = openbell(*words).json, openbell(*words, "--no-report").json
    assert first["report"] == second["report"]
    assert Path(first["report"]).exists()


def test_a_changed_strategy_is_not_verified(spy: Path) -> None:
    openbell("strategy", "new", "first.py")
    words = ["--on", "XNYS:SPY/1m", "--from", "2011-03-30", "--no-report", "--json"]
    found = openbell("backtest", "first.py", *words).json
    assert openbell("verify", found["id"]).code == 0
    file = Path("first.py")
    file.write_text(file.read_text(encoding="utf-8").replace("1 if fast", "0 if fast"))
    said = openbell("verify", found["id"])
    assert said.code == 5
    assert re.match(r"differs: session 2011-03-30, .* was buy 100, now none", said.out)
    assert "strategy code changed: 1 file" in said.out


def test_runs_are_compared_side_by_side(spy: Path) -> None:
    base = ["backtest", "ema-cross", "--on", "XNYS:SPY/1m", "--no-report", "--json"]
    free, paid = openbell(*base).json, openbell(*base, "--fee-per-unit", "0.01").json
    said = openbell("runs", "compare", free["id"], paid["id"])
    assert said.out.index("no costs!") < said.out.index("Total return")
    found = openbell("runs", "compare", free["id"], paid["id"], "--json").json
    assert found["differences"] == {"fee_per_unit": [0.0, 0.01]}


def test_a_sweep_prints_the_best_and_keeps_table_and_picture(spy: Path) -> None:
    words = ["--set", "fast=5:8", "--set", "slow=20:40:10", "--rank", "total_return", "--top", "2"]
    said = openbell("sweep", "ema-cross", "--on", "XNYS:SPY/1m", *words)
    assert said.code == 0
    assert "12 runs · best fast=" in said.out
    assert "warning: the best of 12 is partly luck" in said.out
    assert {path.suffix for path in Path("sweeps").iterdir()} == {".parquet", ".png"}


def test_a_sweep_without_a_choice_claims_no_best_and_warns_of_no_luck(spy: Path) -> None:
    one = openbell("sweep", "ema-cross", "--on", "XNYS:SPY/1m", "--set", "fast=5")
    assert "1 run · best fast=5" in one.out
    assert "luck" not in one.out
    words = ("--set", "fast=5,6", "--lot", "1e9")  # too much for a single order
    none = openbell("sweep", "ema-cross", "--on", "XNYS:SPY/1m", *words)
    assert "2 runs · none has a sharpe" in none.out
    assert "luck" not in none.out


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_keeps_what_there_is_and_marks_it(presses: int, spy: Path, place: Path) -> None:
    Path("slow.py").write_text(SLOW)
    words = ["backtest", "slow.py", "--on", "XNYS:SPY/1m", "--no-report"]
    process = started(*words, cwd=place, environment={"PYTHONUNBUFFERED": "1"})
    assert process.stderr is not None
    wait_for(Path("going"))
    process.send_signal(signal.SIGINT)
    if presses == 2:
        assert process.stderr.readline().startswith("stopping")
        process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130, out
    assert "interrupted" in out
    (kept,) = openbell("runs", "list", "--json").json
    assert kept["status"] == "interrupted"
    assert 3 <= kept["sessions"] < 23
    assert 3 * 390 <= kept["bars"] < 8_970
    assert kept["fills"] > 0
    Path("done").touch()
    checked = openbell("verify", kept["id"])
    assert checked.code == 0
    assert "verified as far as it got" in checked.out


def test_an_interrupted_run_does_not_replace_the_finished_one(spy: Path, place: Path) -> None:
    Path("slow.py").write_text(SLOW.replace("2011-03-04", "2011-03-31"))
    words = ["backtest", "slow.py", "--on", "XNYS:SPY/1m", "--from", "2011-03-31", "--no-report"]
    finished = openbell(*words, "--json").json
    Path("going").unlink()
    process = started(*words, cwd=place)
    wait_for(Path("going"))
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("stopping")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "is kept as finished" in err
    (kept,) = openbell("runs", "list", "--json").json
    assert (kept["status"], kept["seal"]) == ("done", finished["seal"])


def test_the_demo_runs_from_any_folder_and_again(place: Path) -> None:
    first, second = (run("-W", "error", "-m", "openbell.app.demo", cwd=place) for _ in range(2))
    for done in (first, second):
        assert done.returncode == 0, done.stderr
        assert "verified: same seal" in done.stdout
    assert "nothing new" in second.stdout
    assert {path.name for path in (place / "demo").iterdir()} >= {"lake", "runs", "sweeps"}
    assert len(list((place / "demo" / "runs").glob("*/files/report.html"))) == 1


def test_the_demo_says_true_things(spy: Path) -> None:
    costs = ["--fee-per-unit", "0.005", "--slip-steps", "0.5", "--json"]
    lost = openbell("backtest", "ema-cross", "--on", "XNYS:SPY/1m", "--no-report", *costs).json
    assert lost["metrics"]["total_return"] < 0
    grid = ["--set", "fast=5:20", "--set", "slow=20:60:5", "--rank", "total_return"]
    best = openbell("sweep", "ema-cross", "--on", "XNYS:SPY/1m", *grid, *costs).json
    assert best["runs"] == 143
    assert best["best"]["total_return"] < 0


def test_the_tutorial_page_holds_the_tutorial_script() -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    told = [line for block in blocks for line in block.splitlines() if line]
    script = (root / "examples" / "tutorial.py").read_text(encoding="utf-8")
    assert told == [line for line in script.splitlines()[1:] if line]


def test_the_doctor_looks_at_this_machine(place: Path) -> None:
    said = openbell("doctor", "--json")
    found = {answer["what"]: answer for answer in said.json}
    assert sys.executable in found["Python"]["found"]
    assert found["lake"]["verdict"] == "note"
    assert found["packages"]["verdict"] == "ok"
    assert said.code == 0


def test_the_doctor_finds_a_lake_that_is_none(place: Path) -> None:
    Path("lake").mkdir()
    Path("lake/notes.txt").touch()
    said = openbell("doctor")
    assert said.code == 1
    assert "lake is no lake" in said.out
    assert "1 thing to mend" in said.out


def test_the_round_trips_of_a_run_are_a_table_like_its_fills(spy: Path) -> None:
    words = ("--set", "fast=5", "--set", "slow=20", "--no-report")
    run = openbell("backtest", "ema-cross", "--on", "XNYS:SPY/1m", *words, "--json").json
    found = openbell("runs", "show", run["id"], "--table", "round_trips", "--json").json
    assert len(found["profit"]) == run["round_trips"] > 0
