"""Files that cannot be written: which one is said, and nothing is left behind."""

from pathlib import Path

import pytest

import openbell as ob
from openbell.app.writing import writing
from openbell.market.errors import StoreError
from tests.commands import openbell


@pytest.fixture
def no_folder(tmp_path: Path) -> Path:
    """A place where nothing can be written: below a file."""
    (tmp_path / "file").touch()
    return tmp_path / "file" / "below"


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "c.txt"
    with writing(file):
        file.write_text("x")
    assert file.read_text() == "x"


def test_other_errors_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), writing(tmp_path / "x"):
        _ = 1 / 0


def test_a_report_and_an_export_say_which_file_it_was(spy_lake: Path, no_folder: Path) -> None:
    lake = ob.open_lake(spy_lake)
    run = ob.backtest("ema-cross", on="XNYS:SPY/1m", lake=lake, start="2011-03-30")
    for write, name in ((run.report, "r.html"), (run.chart, "c.png"), (run.export, "e.json")):
        with pytest.raises(StoreError, match=f"below/{name} cannot be written") as error:
            write(no_folder / name)
        assert "a place that you may write to" in error.value.hint
    with pytest.raises(StoreError, match=r"below/spy\.csv cannot be written"):
        lake.export("XNYS:SPY/1m", no_folder / "spy.csv")


def test_a_dump_that_cannot_be_written_is_one_line(spy: Path, no_folder: Path) -> None:
    words = ("XNYS:SPY", "--from", "2011-03-14", "--to", "2011-03-15", "--every", "1h")
    said = openbell("data", "session", "csv", *words, "--out", str(no_folder / "d.csv"))
    assert said.code == 1
    assert said.err.startswith(f"error: {no_folder / 'd.csv'} cannot be written: Not a directory")


def test_a_report_names_configured_hours(spy_lake: Path, tmp_path: Path) -> None:
    run = ob.backtest(
        "ema-cross", on="XNYS:SPY/1m", lake=ob.open_lake(spy_lake), start="2011-03-30",
        session_start="10:00", session_end="15:00",
    )  # fmt: skip
    page = run.report(tmp_path / "page.html").read_text()
    assert "hours 10:00-15:00 · cash" in page
    assert "regular hours · cash" not in page
