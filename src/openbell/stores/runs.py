"""Runs on disk: one folder per run, readable without this program.

::

    7f3a91c2/run.json              the summary
    7f3a91c2/tables/fills.parquet  one per table
    7f3a91c2/files/report.html     as they are

A run is written beside its place and put there by renaming, under the folder's lock. What a
killed writer left behind is put right by whoever takes the lock next.
"""

import re
import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from openbell.market.errors import NotRecordedError, OpenbellError, StoreError, UsageError
from openbell.market.moments import parse_moment
from openbell.ports import RunRecord
from openbell.stores.files import locked

_ID = re.compile(r"[0-9a-f]{4,64}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_AGAIN = "restore its folder from a copy, or delete it and run it again"


class RunFolder:
    """Keeps runs in the folder `root`; passes the contract of `RunStore`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def save(self, record: RunRecord) -> None:
        """As the port says; NaN in a summary becomes null, for JSON has no other word for it."""
        if not _ID.fullmatch(record.id):
            raise UsageError(f"`{record.id}` is no id of a run: hexadecimal, 4 to 64 digits")
        place, draft, old = (self.root / f"{mark}{record.id}" for mark in ("", ".new-", ".old-"))
        with self._locked():
            _write(draft, record)
            if place.exists():
                place.rename(old)
            draft.rename(place)
            shutil.rmtree(old, ignore_errors=True)

    def load(self, run_id: str) -> RunRecord:
        if not self.root.exists():
            raise self._none(run_id)
        with self._locked():
            return _read(self._one(run_id))

    def list_runs(
        self, *, strategy: str = "", instrument: str = "", limit: int = 50, offset: int = 0
    ) -> Sequence[Mapping[str, Any]]:
        """As the port says; a damaged run has ``status: damaged`` and comes last."""
        if limit < 0 or offset < 0:
            raise UsageError("a page of runs cannot have a negative limit or offset")
        if not self.root.exists():
            return []
        with self._locked():
            found = [_summary(place) for place in self._places()]
        found.sort(key=lambda s: (_created_ns(s), s["id"]), reverse=True)
        fitting = [s for s in found if _fits(s, strategy, instrument)]
        return fitting[offset : offset + limit]

    def delete(self, run_id: str) -> None:
        """As the port says; takes whole ids only."""
        place = self.root / run_id
        if not _ID.fullmatch(run_id) or not place.exists():
            raise self._none(run_id)
        with self._locked():
            gone = self.root / f".new-{run_id}"
            place.rename(gone)
            shutil.rmtree(gone)

    @contextmanager
    def _locked(self) -> Generator[None]:
        with locked(self.root / ".lock", f"the runs in {self.root}"):
            try:
                self._put_right()
                yield
            except OSError as error:
                raise StoreError(
                    f"the runs in {self.root} cannot be used: {error}",
                    hint="look at the folder's rights and the room on the disk",
                ) from error

    def _put_right(self) -> None:
        """Finish or undo what a killed writer began."""
        for draft in self.root.glob(".new-*"):
            shutil.rmtree(draft)
        for old in self.root.glob(".old-*"):
            place = self.root / old.name.removeprefix(".old-")
            if place.exists():
                shutil.rmtree(old)
            else:
                old.rename(place)

    def _places(self) -> list[Path]:
        return sorted(p for p in self.root.iterdir() if p.is_dir() and _ID.fullmatch(p.name))

    def _one(self, run_id: str) -> Path:
        places = [p for p in self._places() if run_id and p.name.startswith(run_id)]
        if self.root / run_id in places:
            return self.root / run_id
        if not places:
            raise self._none(run_id)
        if len(places) > 1:
            names = ", ".join(p.name for p in places[:5])
            raise NotRecordedError(
                f"`{run_id}` begins {len(places)} runs: {names}", hint="write more of the id"
            )
        return places[0]

    def _none(self, run_id: str) -> NotRecordedError:
        return NotRecordedError(f"there is no run `{run_id}`", hint="see: openbell runs list")


def _write(folder: Path, record: RunRecord) -> None:
    (folder / "tables").mkdir(parents=True)
    (folder / "files").mkdir()
    for name, columns in record.tables.items():
        _frame(name, columns).write_parquet(folder / "tables" / f"{_sound(name)}.parquet")
    for name, text in record.files.items():
        (folder / "files" / _sound(name)).write_bytes(text.encode())
    (folder / "run.json").write_bytes(_json(record))


def _read(folder: Path) -> RunRecord:
    summary = _summary(folder)
    if summary.get("status") == "damaged":
        raise StoreError(f"run {folder.name} is damaged: {summary['error']}", hint=_AGAIN)
    try:
        tables = {p.stem: _columns(p) for p in sorted((folder / "tables").iterdir())}
        files = {p.name: p.read_bytes().decode() for p in sorted((folder / "files").iterdir())}
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        reason = str(error).partition("\n")[0]
        raise StoreError(f"run {folder.name} is damaged: {reason}", hint=_AGAIN) from error
    return RunRecord(folder.name, summary, tables, files)


def _json(record: RunRecord) -> bytes:
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY
    summary = {**record.summary, "id": record.id}
    _created_ns(summary)
    try:
        return orjson.dumps(summary, option=options)
    except TypeError as error:
        raise UsageError(f"the summary of run {record.id} is not JSON-ready: {error}") from error


def _summary(folder: Path) -> dict[str, Any]:
    """The summary of a run, or what is wrong with it under the same keys."""
    try:
        summary = orjson.loads((folder / "run.json").read_bytes())
        _created_ns(summary)
    except (OSError, ValueError, AttributeError, OpenbellError) as error:
        reason = str(error).partition("\n")[0]
        return {"id": folder.name, "status": "damaged", "error": reason}
    return {**summary, "id": folder.name}


def _created_ns(summary: Mapping[str, Any]) -> int:
    """When a run was made; 0 when it does not say, so that it is listed last."""
    created = summary.get("created")
    return parse_moment(str(created)) if created else 0


def _fits(summary: Mapping[str, Any], strategy: str, instrument: str) -> bool:
    instruments = [str(ref).partition("/")[0] for ref in summary.get("on", ())]
    return (not strategy or summary.get("strategy") == strategy) and (
        not instrument or instrument in instruments
    )


def _sound(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(f"`{name}` cannot name a table or file of a run")
    return name


def _frame(table: str, columns: Mapping[str, Any]) -> pl.DataFrame:
    try:
        return pl.DataFrame([_series(name, values) for name, values in columns.items()])
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"table `{table}` is no table: {error}") from error


def _series(name: str, values: Any) -> pl.Series:
    try:
        return pl.Series(name, values)
    except TypeError:  # whole numbers and fractions in one list
        return pl.Series(name, values, dtype=pl.Float64)


def _columns(path: Path) -> dict[str, Any]:
    """Numbers without holes as numpy arrays, everything else as lists."""
    frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
    return {s.name: _values(s) for s in frame.get_columns()}


def _values(series: pl.Series) -> np.ndarray[Any, Any] | list[Any]:
    is_plain = series.dtype.is_numeric() or series.dtype == pl.Boolean
    return series.to_numpy() if is_plain and not series.null_count() else series.to_list()
