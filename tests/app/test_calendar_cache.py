import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from openbell.app.calendar_cache import FileTableCache, tzdata_version

LOAD = """
import sys
from pathlib import Path
from openbell.app.calendar_cache import FileTableCache
from openbell.market import calendars
calendars.set_cache(FileTableCache(Path(sys.argv[1])))
session = calendars.calendar("XHKG").session("2024-03-12")
print(session, calendars.calendar("XHKG").zone)
assert ("pandas" in sys.modules) == (sys.argv[2] == "first"), "pandas"
"""


def load(folder: Path, which: str) -> str:
    command = [sys.executable, "-c", LOAD, str(folder), which]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a first process's table, and what that process printed."""
    folder = tmp_path_factory.mktemp("calendars")
    return folder, load(folder, "first")


def test_only_the_first_process_imports_pandas(made: tuple[Path, str]) -> None:
    folder, first = made
    assert load(folder, "second") == first


def test_arrays_come_back_as_they_were_saved(tmp_path: Path) -> None:
    cache = FileTableCache(tmp_path / "calendars")
    assert cache.load("24/7 5.5.0+1") is None
    cache.save("24/7 5.5.0+1", {"day": np.arange(3), "zone": np.array("Asia/Tokyo")})

    found = cache.load("24/7 5.5.0+1")

    assert found is not None
    assert found["day"].tolist() == [0, 1, 2]
    assert str(found["zone"]) == "Asia/Tokyo"
    assert cache.load("24/7 5.5.0+2") is None


def test_a_folder_that_cannot_be_written_to_is_told_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    FileTableCache(tmp_path / "file").save("24/7 1", {"day": np.arange(3)})
    assert "cannot be kept in" in caplog.text


@pytest.mark.parametrize("keep", [0, 10, 200_000])
def test_a_damaged_file_counts_as_none_and_is_reported(
    made: tuple[Path, str], tmp_path: Path, keep: int, caplog: pytest.LogCaptureFixture
) -> None:
    (whole,) = made[0].iterdir()
    path = tmp_path / whole.name
    path.write_bytes(whole.read_bytes()[:keep])
    assert whole.stat().st_size > keep

    assert (
        FileTableCache(tmp_path).load(whole.name.removesuffix(f"_{tzdata_version()}.npz")) is None
    )
    assert "is damaged and made again" in caplog.text


def test_a_damaged_file_is_made_again(made: tuple[Path, str], tmp_path: Path) -> None:
    (whole,) = made[0].iterdir()
    path = tmp_path / whole.name
    path.write_bytes(whole.read_bytes()[:-1_000])

    assert load(tmp_path, "first") == made[1]
    assert load(tmp_path, "second") == made[1]


def test_nothing_but_the_table_is_left_in_the_folder(made: tuple[Path, str]) -> None:
    assert [path.suffix for path in made[0].iterdir()] == [".npz"]
