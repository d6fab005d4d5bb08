"""Fixtures: a lake with SPY of March 2011, made once, and a folder of its own for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from openbell.market import calendars
from tests.commands import IMPORT_SPY, openbell


@pytest.fixture(scope="session")
def spy_lake(_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that holds XNYS:SPY/1m@1; only to be read."""
    folder = tmp_path_factory.mktemp("spy") / "lake"
    said = openbell(*IMPORT_SPY, "--lake", str(folder))
    assert said.code == 0, said.err
    return folder


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The present folder: an empty one, and nothing is set outside but the cache."""
    for name in ("LAKE", "RUNS", "SWEEPS"):
        monkeypatch.delenv(f"OPENBELL_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def spy(spy_lake: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lake with SPY as the one that commands use."""
    monkeypatch.setenv("OPENBELL_LAKE", str(spy_lake))
    return spy_lake


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Session tables in a folder of these tests, not the user's."""
    patch = pytest.MonkeyPatch()
    patch.setenv("OPENBELL_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()
    calendars.set_cache(None)
