"""Recordings on disk."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from openbell.market.arrivals import RECORD_BYTES, REGISTERED, Arrival
from openbell.market.errors import BadDataError, StoreError, UsageError
from openbell.ports import Recording, RecordingStore
from openbell.stores.recordings import RecordingFile, RecordingFolder
from tests.stores.recordings_contract import NEW, RecordingStoreContract, arrivals, header


class TestRecordingFolder(RecordingStoreContract):
    @pytest.fixture
    def recordings(self, tmp_path: Path) -> RecordingStore:
        return RecordingFolder(tmp_path / "recordings")


def made(folder: Path, count: int = 10) -> Path:
    recording = RecordingFolder(folder).create(header())
    recording.append(arrivals(count))
    recording.close()
    return folder / "3f9a02c1" / "arrivals.bin"


@pytest.mark.parametrize("torn", [1, 79, RECORD_BYTES])
def test_a_torn_end_is_left_out_and_told(torn: int, tmp_path: Path) -> None:
    path = made(tmp_path)
    path.write_bytes(path.read_bytes()[:-torn])
    found = RecordingFolder(tmp_path).open("3f9a02c1")
    assert [a for block in found.read() for a in block] == arrivals(9)
    assert isinstance(found, RecordingFile)
    assert found.torn_bytes == (RECORD_BYTES - torn) % RECORD_BYTES


def test_a_damaged_record_ends_what_is_read(tmp_path: Path) -> None:
    path = made(tmp_path)
    data = bytearray(path.read_bytes())
    data[4 * RECORD_BYTES + 40] ^= 1
    path.write_bytes(data)
    found = RecordingFolder(tmp_path).open("3f9a02c1")
    assert [a for block in found.read() for a in block] == arrivals(4)
    assert found.torn_bytes == 6 * RECORD_BYTES


def test_a_kill_leaves_what_was_appended(tmp_path: Path) -> None:
    found = left_by_a_kill(tmp_path, "made.append(arrivals(7))")
    assert [a for block in found.read() for a in block] == arrivals(7)


def test_a_kill_leaves_what_was_announced_whether_anything_came_of_it_or_not(
    tmp_path: Path,
) -> None:
    found = left_by_a_kill(tmp_path, "made.append(arrivals(7)); made.announce(NEW)")
    assert found.header.series == (*header().series, NEW)
    assert found.header.at_start == header().series
    assert [a for block in found.read() for a in block] == arrivals(7)


def left_by_a_kill(folder: Path, done_before: str) -> Recording:
    """The recording of a process that was killed right after doing something to it."""
    code = (
        "import os, signal, sys; from pathlib import Path;"
        "from openbell.stores.recordings import RecordingFolder;"
        "from tests.stores.recordings_contract import NEW, arrivals, header;"
        "made = RecordingFolder(Path(sys.argv[1])).create(header());"
        f"{done_before}; os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert killed.returncode == -9
    return RecordingFolder(folder).open("3f9a02c1")


def test_a_series_that_cannot_be_announced_changes_nothing(tmp_path: Path) -> None:
    made = RecordingFolder(tmp_path).create(header())
    shutil.rmtree(tmp_path / "3f9a02c1")
    with pytest.raises(StoreError, match="cannot be written"):
        made.announce(NEW)
    assert made.header == header()
    made.close()


def test_whoever_reads_while_it_is_written_knows_every_series_that_came(tmp_path: Path) -> None:
    made = RecordingFolder(tmp_path).create(header())
    reader = RecordingFolder(tmp_path).open("3f9a02c1")
    made.announce(NEW)
    made.append([Arrival(3, REGISTERED, 0, 10**18)])
    for block in reader.read():
        assert [reader.header.series[a.series] for a in block] == [NEW]
    made.close()


def test_a_recording_that_did_not_grow_is_stored_as_ever(tmp_path: Path) -> None:
    made(tmp_path)
    assert "added" not in (tmp_path / "3f9a02c1" / "header.json").read_text()


def test_two_writers_of_one_recording_cannot_be(tmp_path: Path) -> None:
    recording = RecordingFolder(tmp_path).create(header())
    with pytest.raises(StoreError, match="cannot be written"):
        RecordingFile(tmp_path / "3f9a02c1", header(), writes=True)
    recording.close()


def test_a_header_that_is_none_is_named(tmp_path: Path) -> None:
    path = made(tmp_path).with_name("header.json")
    path.write_text('{"id": "3f9a02c1"}')
    with pytest.raises(BadDataError, match="is no header of a recording"):
        RecordingFolder(tmp_path).open("3f9a02c1")


@pytest.mark.parametrize("name", ["", "../../etc", "XYZ", "a", "aaaa/.."])
def test_an_id_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no id"):
        RecordingFolder(tmp_path).create(header(name))


def test_arrivals_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    path = made(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError, match=r"arrivals\.bin cannot be read: Is a directory"):
        list(RecordingFolder(tmp_path).open("3f9a02c1").read())
