"""What the repository carries: data with its provenance, lock files, texts."""

import gzip
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import PROJECT, ROOT, package_name, read, table

SAMPLES = ROOT / "tests" / "samples"
LOCKS = ["requirements.lock", "requirements-dev.lock"]


def carried() -> dict[str, list[str]]:
    """The provenance table: by path below tests/samples, where each file comes from."""
    return {
        row[0]: row[1:] for row in table(read("docs/data.md")) if "/" in row[0] or "." in row[0]
    }


def sample_files() -> dict[str, Path]:
    """The data files below tests/samples; licence texts left out."""
    files = (path for path in sorted(SAMPLES.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(SAMPLES)): path
        for path in files
        if path.suffix != ".pyc" and path.parent.name != "LICENSES"
    }


def checksums(path: Path) -> set[str]:
    """Of the stored bytes and, where they are compressed, of the original ones."""
    contents = [path.read_bytes()]
    if path.suffix == ".gz":
        contents.append(gzip.decompress(contents[0]))
    return {hashlib.sha256(content).hexdigest() for content in contents}


def test_every_sample_stands_in_the_provenance_table_and_nothing_else() -> None:
    assert sorted(carried()) == sorted(sample_files())


def test_every_sample_is_what_its_checksum_says() -> None:
    files = sample_files()
    assert [
        name
        for name, row in carried().items()
        if name in files and row[4] not in checksums(files[name])
    ] == []


def test_samples_come_from_permissively_licensed_repositories() -> None:
    allowed = {"Apache-2.0", "MIT", "BSD-3-Clause"}
    assert {row[3] for row in carried().values()} <= allowed
    folders = {name.split("/")[0] for name, row in carried().items() if row[0] != "this project"}
    assert {path.stem for path in (SAMPLES / "LICENSES").iterdir()} == folders


def test_samples_stay_small() -> None:
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) <= 15_000_000


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_files_name_no_host_and_pin_every_package_by_hash(lock: str) -> None:
    text = read(lock)
    assert "://" not in text
    assert "index-url" not in text
    pinned = re.findall(r"^[\w.-]+==\S+.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(pinned) == len(re.findall(r"^\S", text, re.MULTILINE))
    assert all("--hash=sha256:" in entry for entry in pinned)


def test_both_lock_files_pin_the_same_versions() -> None:
    small, large = (set(re.findall(r"^\S+==[^\\\n]+", read(lock), re.MULTILINE)) for lock in LOCKS)
    assert small
    assert small - large == set()


def test_every_dependency_is_locked() -> None:
    project = PROJECT["project"]
    locked = [set(re.findall(r"^([\w.-]+)==", read(lock), re.MULTILINE)) for lock in LOCKS]
    assert {package_name(item) for item in project["dependencies"]} - locked[0] == set()
    assert {package_name(item) for item in project["optional-dependencies"]["dev"]} - locked[
        1
    ] == set()


def own_texts() -> Iterator[Path]:
    """Every text file of the project, caches and carried data left out."""
    kinds = {".py", ".md", ".toml", ".lock", ".sh", ".json", ".html", ".yml", ".txt"}
    folders = [ROOT / name for name in ("src", "tests", "docs", "benchmarks", "examples", "tools")]
    for path in [
        *ROOT.iterdir(),
        *(ROOT / ".ci").iterdir(),
        *(p for f in folders for p in f.rglob("*")),
    ]:
        if path.is_file() and (path.suffix in kinds or path.name in {"Makefile", "run"}):
            yield path


def test_nothing_names_a_place_on_the_machine_it_was_written_on() -> None:
    places = {f"{folder}/" for folder in (ROOT, ROOT.parent, Path.home()) if folder.name}
    pattern = re.compile(r"(?<![\w.])(?:" + "|".join(map(re.escape, sorted(places))) + ")")
    named = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in own_texts()
        if (found := pattern.search(path.read_text(encoding="utf-8", errors="replace")))
    ]
    assert named == []


def test_nothing_is_left_for_later() -> None:
    words = [
        "TO" + "DO",
        "FIX" + "ME",
        "raise NotImplemented" + "Error",
        "mark." + "skip",
        "mark." + "xfail",
    ]
    words += ["pytest." + "skip(", "importor" + "skip"]
    left = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in own_texts()
        if path.suffix == ".py"
        for word in words
        if word in path.read_text(encoding="utf-8")
    ]
    assert left == []
