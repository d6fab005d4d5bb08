"""Opening files: limits and names are checked before anything is read."""

import gzip
import zipfile
from pathlib import Path

import pytest
from backports import zstd

from openbell.market.errors import BadDataError, UsageError
from openbell.sources import files
from openbell.sources.files import Listed, Member, list_files, member_names, members, utf8

ROWS = b"a,b\n" * 1_000


def listed(path: Path) -> Listed:
    return Listed(path, path.name)


def contents(path: Path, max_bytes: int = 1 << 20) -> dict[str, bytes]:
    return {m.name: m.content for m in members(listed(path), max_bytes=max_bytes)}


def zipped(path: Path, inside: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in inside.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    "packed",
    [
        ROWS,
        gzip.compress(ROWS, mtime=0),
        zstd.compress(ROWS),
        gzip.compress(ROWS[:8], mtime=0) + gzip.compress(ROWS[8:], mtime=0),
    ],
)
def test_what_a_file_is_its_first_bytes_say(tmp_path: Path, packed: bytes) -> None:
    path = tmp_path / "misnamed.dat"
    path.write_bytes(packed)
    assert contents(path) == {"misnamed.dat": ROWS}


def test_members_of_an_archive_come_in_order_of_their_names(tmp_path: Path) -> None:
    inside = {"b/2.csv": b"2", "a.csv.gz": gzip.compress(ROWS, mtime=0), "__MACOSX/._a": b"x"}
    path = zipped(tmp_path / "many.zip", inside)
    found = contents(path)
    assert found == {"many.zip!a.csv.gz": ROWS, "many.zip!b/2.csv": b"2"}
    assert list(found) == member_names(listed(path)) == sorted(found)


@pytest.mark.parametrize("name", ["../up.csv", "/etc/passwd", "a/../../b.csv", "C:evil.csv"])
def test_a_member_that_leads_out_of_its_archive_is_refused(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "sly.zip", {"good.csv": b"1", name: b"2"})
    with pytest.raises(BadDataError, match=r"sly.zip has a member that leads out of it"):
        contents(path)


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".zip"])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, suffix: str) -> None:
    zeros = bytes(3_000_000)
    path = tmp_path / f"bomb{suffix}"
    if suffix == ".zip":
        zipped(path, {"zeros": zeros})
    else:
        path.write_bytes(gzip.compress(zeros, mtime=0) if suffix == ".gz" else zstd.compress(zeros))
    assert path.stat().st_size < 10_000
    with pytest.raises(BadDataError, match=r"bomb.*unpacked"):
        contents(path, max_bytes=1_000_000)


def test_archives_packed_inside_each_other_stay_within_the_limit(tmp_path: Path) -> None:
    path = zipped(tmp_path / "nested.zip", {"a.gz": gzip.compress(bytes(3_000_000))})
    with pytest.raises(BadDataError, match=r"nested.zip!a.gz is larger than 1,000,000 bytes"):
        contents(path, max_bytes=1_000_000)


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_MEMBERS", 2)
    path = zipped(tmp_path / "many.zip", dict.fromkeys("abc", b"1"))
    with pytest.raises(BadDataError, match="3 members; at most 2"):
        contents(path)


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_file_cut_short_is_told(tmp_path: Path, keep: float) -> None:
    for name, packed in (
        ("cut.gz", gzip.compress(ROWS, mtime=0)),
        ("cut.zst", zstd.compress(ROWS)),
        ("cut.zip", zipped(tmp_path / "whole.zip", {"a": ROWS}).read_bytes()),
    ):
        (tmp_path / name).write_bytes(packed[: int(len(packed) * keep)])
        with pytest.raises(BadDataError, match=f"{name} is cut short or damaged"):
            contents(tmp_path / name)


def test_a_path_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file or folder"):
        list_files(tmp_path / "nowhere.csv", (".csv",))


def test_folders_are_listed_in_order_and_what_is_left_aside_is_told(tmp_path: Path) -> None:
    for name in ("b/1.csv", "a.CSV.gz", "c.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    taken, aside = list_files(tmp_path, (".csv",))
    assert [file.name for file in taken] == ["a.CSV.gz", "b/1.csv"]
    assert aside == ["c.md"]
    assert [file.name for file in list_files([tmp_path / "c.md"], (".csv",))[0]] == ["c.md"]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_unicode_is_recognised(encoding: str) -> None:
    text = "Datum;Schluß €\n" * 20
    assert utf8(Member("x", text.encode(encoding)))[0].decode() == text


def test_other_text_is_read_as_latin_1_and_that_is_noted() -> None:
    text, notes = utf8(Member("x", "Schluß;1\n".encode("latin-1")))
    assert text.decode() == "Schluß;1\n"
    assert notes == ["text read as latin-1"]


def test_a_compression_that_is_not_known_is_not_called_damage(tmp_path: Path) -> None:
    path = zipped(tmp_path / "odd.zip", {"a.csv": ROWS})
    with zipfile.ZipFile(path) as archive:
        directory = archive.start_dir
    content = bytearray(path.read_bytes())
    content[8:10] = content[directory + 10 : directory + 12] = (99).to_bytes(2, "little")
    path.write_bytes(content)
    with pytest.raises(BadDataError, match="packed in a way that is not read"):
        contents(path)
