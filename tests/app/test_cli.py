"""What commands print, refuse and end with."""

import contextlib
import os
import pty
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer

from openbell.app.cli.exits import exit_code
from openbell.app.cli.main import _ORDER
from openbell.app.cli.runs import differences
from openbell.market import errors
from openbell.market.errors import OpenbellError
from tests.commands import IMPORT_SPY, LEAN, SPY, openbell, started
from tests.test_house import all_commands

BROKEN = """date,open,high,low,close,volume
2011-03-14 09:30,10,11,9,10,100
2011-03-14 09:31,10,9,11,10,100
2011-03-14 09:32,x,11,9,10,100
"""
RAISING = """
import openbell as ob


class Raising(ob.Strategy):
    def on_bar(self, ctx, bar):
        if bar.close < 129.5:
            raise RuntimeError("cannot go on")
"""


# Ends


def test_every_error_ends_with_the_code_its_page_states() -> None:
    page = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
    stated = dict(re.findall(r"^\| `(\w+Error)` .*\| (\d+) \|$", page, re.MULTILINE))
    made = {
        "UnorderedError": errors.UnorderedError("bars", 1),
        "MissingExtraError": errors.MissingExtraError("it", "extra"),
    }
    for name, code in stated.items():
        error: OpenbellError = made.get(name) or getattr(errors, name)("message")
        assert exit_code(error) == int(code), name
    assert len(stated) >= 13


def test_openbell_alone_lists_its_commands() -> None:
    said = openbell()
    assert said.code == 0
    assert re.findall(r"^│ (\w+) ", said.out + said.err, re.MULTILINE) == list(_ORDER)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["bogus"], "error: no such command 'bogus'"),
        (["data", "check"], "error: missing argument 'SERIES'"),
        (["data", "check", "XNYS:SPY/1m", "--bogus"], "error: no such option: --bogus"),
        (["data", "check", "XNYS:SPY/2m"], "error: unknown timeframe `2m`"),
        (["data", "check", "spy:x/1m"], "error: `spy:x` is not an instrument"),
        (["data", "show", "XNYS:SPY/1m", "--from", "soon"], "error: `soon` is not a date or time"),
        (["data", "check", "XNYS:SPY/1m", "--hours", "all"], "error: --hours is `all`"),
        (["data", "import", str(SPY)], "error: text files do not say what their rows are"),
        (["data", "import", str(SPY), "--as", "XNYS:SPY/1m", "--stamp", "mid"], "--stamp is `mid`"),
        (["data", "import", str(SPY), "--as", "XNYS:SPY/1m", "--column", "x"], "error: --column"),
        (["data", "import", "nowhere.csv", "--as", "XNYS:SPY/1m"], "error: there is no file"),
        (["data", "pin", "a/b", "XNYS:SPY/1m"], "error: `a/b` cannot name a version"),
        (["data", "export", "XNYS:SPY/1m", "--to", "spy.xls"], "error: `spy.xls` does not say"),
        (["replay", "XNYS:SPY", "--speed", "-1"], "error: invalid value for '--speed'"),
        (["replay", "XNYS:SPY", "--date", "2011-03-14", "--to", "2011-03-15"], "error: --date is"),
        (["backtest"], "error: no strategy is named"),
        (["backtest", "ema-cross"], "error: nothing to run on is named"),
        (["backtest", "emacross", "--on", "XNYS:SPY/1m"], "error: there is no strategy `emacross`"),
        (["backtest", "no.py", "--on", "XNYS:SPY/1m"], "error: there is no file no.py"),
        (["backtest", "ema-cross", "--on", "XNYS:SPY/1m", "--set", "fats=3"], "parameter `fats`"),
        (["backtest", "ema-cross", "--on", "XNYS:SPY/1m", "--set", "fast=3:5"], "3 values"),
        (["backtest", "ema-cross", "--on", "XNYS:SPY/1m", "--fill", "best"], "unknown fill `best`"),
        (["backtest", "ema-cross", "--on", "XNYS:SPY/1m", "--min-quality", "0.99"], "one percent"),
        (["backtest", "--config", "no.json"], "error: no.json cannot be read"),
        (["sweep", "ema-cross", "--on", "XNYS:SPY/1m"], "error: a sweep needs values to try"),
        (["runs", "compare", "7f3a"], "error: one run cannot be compared"),
        (["strategy", "new", "mine.txt"], "error: `mine.txt` is no name of a Python file"),
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2_in_one_clear_line_and_a_hint(
    words: list[str], says: str, spy: Path
) -> None:
    said = openbell(*words)
    assert (said.code, said.out) == (2, "")
    lines = said.err.splitlines()
    assert says in lines[0]
    assert [line.partition(":")[0] for line in lines] in (["error", "hint"], ["error"])
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "words",
    [
        ["data", "check", "XNYS:QQQ/1m"],
        ["data", "check", "XNYS:SPY/1m@7"],
        ["data", "show", "march"],
        ["backtest", "ema-cross", "--on", "XNYS:SPY/1m", "--from", "2012-01-03"],
        ["replay", "XNYS:SPY", "--date", "2011-03-13"],
        ["verify", "7f3a"],
        ["runs", "show", "7f3a"],
        ["runs", "delete", "7f3a", "--yes"],
    ],
)
def test_what_is_not_there_ends_with_1(words: list[str], spy: Path) -> None:
    said = openbell(*words)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: ")


def test_reading_without_a_lake_says_how_to_get_one() -> None:
    said = openbell("data", "check", "XNYS:SPY/1m")
    assert said.code == 1
    assert "hint: bring data in with: openbell data import" in said.err


def test_a_folder_that_is_no_lake_is_left_alone() -> None:
    Path("lake").mkdir()
    Path("lake/notes.txt").write_text("mine")
    said = openbell(*IMPORT_SPY)
    assert said.code == 1
    assert "is no lake" in said.err
    assert [path.name for path in Path("lake").iterdir()] == ["notes.txt"]


def test_a_bad_file_ends_with_3_names_the_row_and_stores_nothing() -> None:
    Path("broken.csv").write_text(BROKEN)
    words = ["data", "import", "broken.csv", "--as", "XNYS:SPY/1m", "--zone", "America/New_York"]
    said = openbell(*words)
    assert said.code == 3
    assert re.match(r"error: broken\.csv row \d: .+; nothing was stored\nhint: ", said.err)
    assert "--dry-run" in said.err
    assert "--max-rejected" in said.err
    assert openbell("data", "list", "--json").json["series"] == []
    dry = openbell(*words, "--dry-run")
    assert dry.code == 0
    assert "rejected: broken.csv row" in dry.out
    assert "dry run: nothing was stored" in dry.out
    rejected = openbell(*words, "--dry-run", "--json").json["series"][0]["rejected"]
    assert openbell(*words, "--max-rejected", str(rejected)).code == 0
    assert len(openbell("data", "list", "--json").json["series"]) == 1


def test_a_strategy_file_with_a_mistake_is_bad_input(spy: Path) -> None:
    Path("mine.py").write_text("class Mine(:\n")
    said = openbell("backtest", "mine.py", "--on", "XNYS:SPY/1m")
    assert said.code == 3
    assert "line 1" in said.err


def test_completeness_below_a_threshold_ends_with_4(spy: Path) -> None:
    assert openbell("data", "check", "XNYS:SPY/1m", "--min", "100").code == 0
    said = openbell("data", "check", "XNYS:SPY/1m", "--hours", "extended", "--min", "99.5")
    assert said.code == 4
    assert "below the threshold" in said.err
    half = openbell("data", "import", str(LEAN), "--symbols", "shy", "--lake", "half")
    assert half.code == 0, half.err
    words = ["backtest", "ema-cross", "--on", "XNYS:SHY", "--no-report", "--lake", "half"]
    assert openbell(*words, "--min-quality", "5").code == 0
    said = openbell(*words, "--min-quality", "99")
    assert said.code == 4
    assert "the run demands 99.00%" in said.out


def test_a_strategy_that_raises_is_kept_as_failed_with_bar_and_line(spy: Path) -> None:
    Path("raising.py").write_text(RAISING)
    said = openbell("backtest", "raising.py", "--on", "XNYS:SPY/1m", "--no-report")
    assert said.code == 1
    assert "cannot go on" in said.out
    assert "line 8" in said.out
    (kept,) = openbell("runs", "list", "--json").json
    assert kept["status"] == "failed"
    assert kept["sessions"] > 0


@pytest.mark.usefixtures("spy")
@pytest.mark.parametrize("ending", ["csv", "parquet", "feather"])
def test_a_file_that_cannot_be_written_is_no_mistake_of_ours(place: Path, ending: str) -> None:
    (place / f"out.{ending}").mkdir()
    said = openbell("data", "export", "XNYS:SPY/1m", "--to", f"out.{ending}", "--force")
    assert said.code == 1
    assert "mistake in openbell" not in said.err
    assert f"out.{ending}" in said.err


def test_an_unexpected_mistake_is_one_line_and_a_traceback_only_on_demand(
    spy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/proc/nowhere")
    monkeypatch.delenv("OPENBELL_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    Path("runs").write_text("a file, where a folder should be")
    said = openbell("runs", "list")
    assert said.code == 1
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err
    assert "Traceback" in openbell("--debug", "runs", "list").err
    assert "Traceback" in openbell("runs", "list", "--debug").err


# Safety


def test_runs_are_deleted_only_when_somebody_says_yes(spy: Path) -> None:
    openbell("backtest", "ema-cross", "--on", "XNYS:SPY/1m", "--no-report", "--from", "2011-03-31")
    (kept,) = openbell("runs", "list", "--json").json
    assert openbell("runs", "delete", kept["id"]).code == 2
    assert len(openbell("runs", "list", "--json").json) == 1
    assert openbell("runs", "delete", kept["id"][:4], "--yes").out == f"deleted {kept['id']}\n"
    assert openbell("runs", "list", "--json").json == []


def test_files_are_written_over_only_by_force(spy: Path) -> None:
    Path("mine.py").write_text("mine")
    assert openbell("strategy", "new", "mine.py").code == 2
    assert Path("mine.py").read_text() == "mine"
    assert openbell("strategy", "new", "mine.py", "--force").code == 0
    words = ["data", "export", "XNYS:SPY/1m", "--to", "spy.parquet"]
    assert [openbell(*words).code, openbell(*words).code] == [0, 2]
    assert openbell(*words, "--force").code == 0


# JSON


def test_json_is_alone_on_stdout_and_keeps_its_keys(spy: Path) -> None:
    run = openbell(
        "backtest", "ema-cross", "--on", "XNYS:SPY/1m", "--from", "2011-03-30", "--no-report",
        "--json",
    ).json  # fmt: skip
    keys = {
        ("data", "import", str(SPY), "--as", "XNYS:SPY/1m", "--zone", "UTC", "--stamp", "close",
         "--dry-run"): "dry_run has_changes series",
        ("data", "list"): "pins series",
        ("data", "check", "XNYS:SPY/1m"): "calendar calendar_version completeness expected"
        " finding_counts findings gap_counts gaps pin present series sessions worst_session zone",
        ("data", "diff", "XNYS:SPY/1m@1", "XNYS:SPY/1m@1"):
            "added after before removed revised_after revised_before",
        ("data", "export", "XNYS:SPY/1m", "--to", "spy.csv"): "file pin rows",
        ("replay", "XNYS:SPY", "--date", "2011-03-14"):
            "is_stopped pins sessions slices slices_in_all upkeep",
        ("sweep", "ema-cross", "--on", "XNYS:SPY/1m", "--set", "fast=5:6"):
            "best engine files id pins rank rows runs",
        ("verify", run["id"]): "causes expected found is_same seal session text",
        ("runs", "compare", run["id"], run["id"]): "differences runs",
        ("runs", "export", run["id"], "--to", "run.json"): "files id",
        ("strategy", "show", "ema-cross"): "about aliases examples names parameters strategy",
    }  # fmt: skip
    for words, expected in keys.items():
        said = openbell(*words, "--json")
        assert said.code == 0, said.err
        assert sorted(said.json) == expected.split(), words
    rows = {
        ("data", "show", "XNYS:SPY/1m", "--limit", "1"):
            "close end high label low open start volume",
        ("runs", "list"): " ".join(sorted({*run, "created", "start_ns", "end_ns", "exposure",
                                           "multipliers", "sessions_per_year"}
                                          - {"folder", "report", "png"})),
        ("strategy", "list"): "about aliases examples names parameters strategy",
        ("doctor",): "advice found verdict what",
    }  # fmt: skip
    for words, expected in rows.items():
        said = openbell(*words, "--json")
        assert sorted(said.json[0]) == expected.split(), words


def test_a_parameter_called_as_a_setting_hides_no_difference() -> None:
    def summary(size: float) -> dict[str, Any]:
        config = {"size": size, "parameters": {"size": 3}, "costs": {"fee_rate": 0.0}}
        return {"config": config, "on": [], "code_hash": "", "version": ""}

    assert differences([summary(1.0), summary(2.0)]) == {"size": [1.0, 2.0]}


def test_the_summary_of_a_run_keeps_its_keys(spy: Path) -> None:
    words = ["backtest", "ema-cross", "--on", "XNYS:SPY/1m", "--from", "2011-03-31", "--json"]
    found = openbell(*words).json
    assert (
        sorted(found)
        == (
            "bars calendars cash_start checksums code_files code_hash completeness config"
            " elapsed_s engine equity_end error fill fills first_session folder id is_free_of_cost"
            " last_session metrics on orders parameters png report round_trips seal sessions status"
            " strategy version warnings withheld worst_completeness worst_session"
        )
        .replace("elapsed_s ", "")
        .replace("engine ", "elapsed_s engine ")
        .split()
    )
    assert Path(found["report"]).exists()


def test_json_of_every_command_that_shows_something() -> None:
    silent = [
        name
        for name, command in all_commands()
        if "--json" not in str([p.opts for p in command.params])
    ]
    assert silent == ["openbell serve projectx"]  # it answers others, in their own form


# Help


@pytest.mark.parametrize(
    ("name", "command"), all_commands(), ids=lambda x: x if isinstance(x, str) else ""
)
def test_every_help_has_examples_of_that_command(
    name: str, command: typer.core.TyperCommand
) -> None:
    said = openbell(*name.split()[1:], "--help")
    assert said.code == 0
    assert "Examples" in said.out
    examples = re.findall(r"^ +(openbell .+|xdg-open .+)$", said.out, re.MULTILINE)
    assert any(name in line for line in examples)


def test_the_version_is_printed() -> None:
    assert re.fullmatch(r"openbell \d+\.\d+\.\d+\n", openbell("--version").out)


def test_the_shell_completes_commands(place: Path) -> None:
    words = {"_OPENBELL_COMPLETE": "complete_bash", "COMP_WORDS": "openbell ba", "COMP_CWORD": "1"}
    out, err = started(cwd=place, environment=words).communicate(timeout=30)
    assert out.split() == ["backtest"], err


# Terminals and pipes


def test_a_pipe_gets_whole_lines_without_colour(spy: Path) -> None:
    openbell("backtest", "ema-cross", "--on", "XNYS:SPY/1m", "--from", "2011-03-31", "--no-report")
    said = openbell("runs", "list")
    assert "\x1b" not in said.out
    assert "…" not in said.out
    assert "ema_cross(fast=12, slow=26, average=ema, short=False)" in said.out


def test_a_reader_that_has_had_enough_is_no_error(spy: Path, place: Path) -> None:
    process = started("data", "show", "XNYS:SPY/1m", cwd=place)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=30) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def all_of(terminal: int) -> str:
    """What a process wrote into a terminal, until it closed it."""
    printed = b""
    with contextlib.suppress(OSError):  # how the end of a closed terminal is told
        while part := os.read(terminal, 65_536):
            printed += part
    os.close(terminal)
    return printed.decode()


def test_a_terminal_gets_forty_rows_and_is_told_of_the_rest(spy: Path, place: Path) -> None:
    ours, theirs = pty.openpty()
    process = started("data", "show", "XNYS:SPY/1m", cwd=place, stdout=theirs)
    os.close(theirs)
    printed = all_of(ours)
    _, err = process.communicate(timeout=30)
    assert len(printed.splitlines()) == 41
    assert err == "… 17,537 more rows; --limit 0 prints them all\n"


def test_progress_is_shown_on_a_terminal_and_keeps_out_of_the_result(
    spy: Path, place: Path
) -> None:
    words = ["sweep", "ema-cross", "--on", "XNYS:SPY/1m", "--set", "fast=5:25", "--json"]
    ours, theirs = pty.openpty()
    environment = {"TERM": "xterm", "COLUMNS": "100"}
    process = started(*words, cwd=place, stderr=theirs, environment=environment)
    os.close(theirs)
    shown = all_of(ours)
    out, _ = process.communicate(timeout=30)
    assert "sweeping" in shown
    assert orjson.loads(out)["runs"] == 21


def test_a_narrow_terminal_is_told_which_columns_it_does_not_get(spy: Path, place: Path) -> None:
    words = ["sweep", "ema-cross", "--on", "XNYS:SPY/1m", "--set", "fast=5:6"]
    ours, theirs = pty.openpty()
    process = started(*words, cwd=place, stdout=theirs, environment={"COLUMNS": "90"})
    os.close(theirs)
    printed = all_of(ours)
    _, err = process.communicate(timeout=30)
    assert "left out for want of room: rejected, fills" in err
    assert "rejected" not in printed
    assert "rejected" in openbell(*words).out
