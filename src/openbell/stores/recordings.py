"""Recordings on disk: one folder per live run, a header and the arrivals after it.

::

    3f9a02c1/header.json    what it is a recording of
    3f9a02c1/arrivals.bin   records of 80 bytes, see `market/arrivals.py`

A record is written to the end of the file before anything is released of it. A kill can tear the
last ones: they are left out when the recording is read, and their bytes are told. The header is
replaced at one stroke when a series is announced, and records that name it come after. One writer
holds a recording; readers read what stands there.
"""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from openbell.market.arrivals import RECORD_BYTES, Arrival, pack, unpack
from openbell.market.errors import BadDataError, NotRecordedError, StoreError, UsageError
from openbell.market.instrument import Series
from openbell.ports import RecordingHeader
from openbell.stores.files import replace_text

_ID = re.compile(r"[0-9a-f]{4,64}")
_BLOCK = 4096  # records read at once
_HEADER_BYTES_MAX = 1 << 20


class RecordingFolder:
    """Keeps recordings in the folder `root`; passes the contract of `RecordingStore`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self, header: RecordingHeader) -> "RecordingFile":
        if not _ID.fullmatch(header.id):
            raise UsageError(
                f"`{header.id}` is no id of a recording", hint="use 4 to 64 hexadecimal digits"
            )
        place = self.root / header.id
        with _translated(place, "written"):
            try:
                place.mkdir(parents=True)
            except FileExistsError:
                raise UsageError(
                    f"there is a recording {header.id} already", hint="give the new one another id"
                ) from None
            _write_header(place, header)
        return RecordingFile(place, header, writes=True)

    def open(self, recording_id: str) -> "RecordingFile":
        place = self._one(recording_id)
        return RecordingFile(place, _read_header(place), writes=False)

    def list_recordings(self) -> Sequence[RecordingHeader]:
        headers = [_read_header(place) for place in self._places()]
        return sorted(headers, key=lambda h: (h.start_ns, h.id), reverse=True)

    def delete(self, recording_id: str) -> None:
        """As the port says; takes whole ids only."""
        place = self.root / recording_id
        if not _ID.fullmatch(recording_id) or not place.is_dir():
            raise self._none(recording_id)
        with _translated(place, "deleted"):
            shutil.rmtree(place)

    def _places(self) -> list[Path]:
        """The folders of recordings whose header is there: it is put in place last."""
        if not self.root.is_dir():
            return []
        found = (p for p in self.root.iterdir() if _ID.fullmatch(p.name))
        return sorted(place for place in found if (place / "header.json").is_file())

    def _one(self, beginning: str) -> Path:
        found = [p for p in self._places() if beginning and p.name.startswith(beginning)]
        exact = [p for p in found if p.name == beginning]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if found:
            raise UsageError(
                f"{beginning} is the beginning of {len(found)} recordings",
                hint=f"say more of it: {', '.join(p.name for p in found[:5])}",
            )
        raise self._none(beginning)

    def _none(self, recording_id: str) -> NotRecordedError:
        return NotRecordedError(
            f"there is no recording `{recording_id}` in {self.root}",
            hint="list them with `openbell record list`",
        )


class RecordingFile:
    """One recording in its folder; passes the contract of `Recording`.

    Attributes
    ----------
    torn_bytes
        How much at the end the last reading left out.
    """

    def __init__(self, place: Path, header: RecordingHeader, *, writes: bool) -> None:
        self.header = header
        self.torn_bytes = 0
        self._path = place / "arrivals.bin"
        self._place = 0
        self._file: int | None = _open_alone(self._path) if writes else None

    @property
    def checksum(self) -> str:
        digest = hashlib.sha256(orjson.dumps(_to_dict(self.header), option=orjson.OPT_SORT_KEYS))
        place = 0
        for block in self.read():
            digest.update(pack(block, place))
            place += len(block)
        return digest.hexdigest()

    def announce(self, series: Series) -> None:
        self._descriptor()
        header = self.header
        if series in header.series:
            raise UsageError(f"{series} is announced already", hint="a series is announced once")
        grown = replace(header, series=(*header.series, series), added=header.added + 1)
        with _translated(self._path.parent, "written"):
            _write_header(self._path.parent, grown)
        self.header = grown

    def append(self, arrivals: Sequence[Arrival]) -> None:
        file = self._descriptor()
        data = memoryview(pack(arrivals, self._place))
        with _translated(self._path, "written"):
            try:
                while data:
                    data = data[os.write(file, data) :]
            except OSError:
                os.ftruncate(file, self._place * RECORD_BYTES)
                raise
        self._place += len(arrivals)

    def read(self) -> Iterator[Sequence[Arrival]]:
        if not self._path.exists():
            return
        with _translated(self._path, "read"), self._path.open("rb") as file:
            for place in count(0, _BLOCK):
                data = file.read(_BLOCK * RECORD_BYTES)
                if self._file is None:  # another may be writing it
                    self.header = _read_header(self._path.parent)
                block = unpack(data, place)
                if block:
                    yield block
                if len(block) < _BLOCK:
                    size = self._path.stat().st_size
                    self.torn_bytes = size - (place + len(block)) * RECORD_BYTES
                    return

    def close(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        with _translated(self._path, "written"):
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def _descriptor(self) -> int:
        if self._file is None:
            raise UsageError(
                f"the recording {self.header.id} is not being written",
                hint="what is recorded stays as it is; begin another recording",
            )
        return self._file


def _open_alone(path: Path) -> int:
    with _translated(path, "written"):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


@contextmanager
def _translated(path: Path, done: str) -> Generator[None]:
    """Turn the errors of the file system into `StoreError`."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path} cannot be {done}: {error.strerror}",
            hint="look at the folder's rights and the room on the disk",
        ) from error


def _write_header(place: Path, header: RecordingHeader) -> None:
    replace_text(place / "header.json", orjson.dumps(_to_dict(header)).decode())


def _to_dict(header: RecordingHeader) -> dict[str, Any]:
    added = {"added": header.added} if header.added else {}
    return {
        "id": header.id,
        "series": [str(series) for series in header.series],
        "start_ns": header.start_ns,
        "end_ns": header.end_ns,
        "settings": dict(header.settings),
        **added,
    }


def _read_header(place: Path) -> RecordingHeader:
    path = place / "header.json"
    try:
        with path.open("rb") as file:
            found = orjson.loads(file.read(_HEADER_BYTES_MAX))
        return RecordingHeader(
            str(found["id"]),
            tuple(Series.parse(text) for text in found["series"]),
            int(found["start_ns"]),
            int(found["end_ns"]),
            dict(found["settings"]),
            int(found.get("added", 0)),
        )
    except (OSError, ValueError, KeyError, TypeError, UsageError) as error:
        raise BadDataError(
            f"{path} is no header of a recording: {error}",
            hint="delete the folder, or bring its header back from a copy",
        ) from error
