import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import polars as pl
import pytest

from openbell.market.errors import StoreError
from openbell.ports import RunRecord, RunStore
from openbell.stores.runs import RunFolder
from tests.stores.runs_contract import RunStoreContract, record

HERE = Path(__file__).parents[2]
SAVING = """
import itertools, sys
from pathlib import Path
from openbell.ports import RunRecord
from openbell.stores.runs import RunFolder
runs = RunFolder(Path(sys.argv[1]))
print("ready", flush=True)
for n in itertools.count():
    runs.save(RunRecord("7f3a", {"n": n}, {"fills": {"n": [n] * 100}}, {"n.txt": str(n)}))
    runs.save(RunRecord("aaaa", {}))
    runs.delete("aaaa")
"""


class TestRunFolder(RunStoreContract):
    @pytest.fixture
    def runs(self, tmp_path: Path) -> RunStore:
        return RunFolder(tmp_path / "runs [1]")


@pytest.fixture
def runs(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs")


def test_a_run_can_be_read_without_this_program(runs: RunFolder) -> None:
    runs.save(RunRecord("7f3a", {"n": 1}, {"fills": {"size": [1, 2]}}, {"report.html": "<p>"}))
    folder = runs.root / "7f3a"
    assert pl.read_parquet(folder / "tables" / "fills.parquet").rows() == [(1,), (2,)]
    assert (folder / "files" / "report.html").read_text() == "<p>"
    assert sorted(p.name for p in runs.root.iterdir()) == [".lock", "7f3a"]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"created": "yesterday"}', None])
def test_a_damaged_run_is_listed_as_damaged_and_last(runs: RunFolder, text: str | None) -> None:
    runs.save(record("aaaa"))
    runs.save(record("ffff", 5))
    place = runs.root / "ffff" / "run.json"
    place.unlink() if text is None else place.write_text(text)
    listed = runs.list_runs()
    assert [(s["id"], s["status"]) for s in listed] == [("aaaa", "done"), ("ffff", "damaged")]
    assert listed[1]["error"]
    with pytest.raises(StoreError, match="run ffff is damaged"):
        runs.load("ffff")
    runs.delete("ffff")
    assert len(runs.list_runs()) == 1


def test_a_run_with_a_damaged_table_is_named(runs: RunFolder) -> None:
    runs.save(RunRecord("7f3a", {}, {"fills": {"size": [1]}}))
    (runs.root / "7f3a" / "tables" / "fills.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="run 7f3a is damaged") as caught:
        runs.load("7f3a")
    assert "\n" not in caught.value.message


def test_what_is_no_run_is_not_listed(runs: RunFolder) -> None:
    runs.save(record())
    (runs.root / "notes").mkdir()
    (runs.root / "beef").write_text("a file")
    assert len(runs.list_runs()) == 1


def test_a_run_between_two_places_is_put_back(runs: RunFolder) -> None:
    """What a kill between the two renames of a replacement leaves."""
    runs.save(record())
    (runs.root / "7f3a91c2").rename(runs.root / ".old-7f3a91c2")
    shutil.copytree(runs.root / ".old-7f3a91c2", runs.root / ".new-7f3a91c2")
    assert runs.load("7f3a91c2") == record()
    assert sorted(p.name for p in runs.root.iterdir()) == [".lock", "7f3a91c2"]


def test_a_kill_at_any_moment_leaves_the_old_run_or_the_new(runs: RunFolder) -> None:
    chance, number = random.Random(2), -1
    runs.save(RunRecord("7f3a", {"n": -1}, {"fills": {"n": [-1] * 100}}, {"n.txt": "-1"}))
    for _ in range(6):
        command = [sys.executable, "-c", SAVING, str(runs.root)]
        with subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.0, 0.1))
            process.kill()
        loaded = runs.load("7f3a")
        number = loaded.summary["n"]
        assert loaded.tables["fills"]["n"].tolist() == [number] * 100
        assert loaded.files == {"n.txt": str(number)}
    assert number > 0


def test_threads_may_save_and_list_at_once(runs: RunFolder) -> None:
    def save(number: int) -> None:
        for turn in range(5):
            runs.save(record(f"aaa{number}", turn))
            runs.save(record("ffff", turn))
            assert "damaged" not in [s["status"] for s in runs.list_runs()]

    threads = [threading.Thread(target=save, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs.list_runs()) == 5


def test_a_place_that_cannot_be_used_is_told_and_not_raised_raw(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be locked"):
        RunFolder(tmp_path / "file").save(record())
    runs = RunFolder(tmp_path / "runs")
    runs.save(record())
    (runs.root / ".new-7f3a").touch()  # a file where a killed writer would leave a folder
    with pytest.raises(StoreError, match=r"the runs in .* cannot be used"):
        runs.list_runs()
