"""Session tables as files, so that only the first process on a machine has to make them."""

import logging
import os
import tempfile
import zipfile
import zoneinfo
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger(__name__)


class FileTableCache:
    """A `market.calendars.TableCache` in a folder: one npz file per calendar and version.

    The version of the time zone data is part of a file's name, for the library's moments come
    out of it. A file that cannot be read is made again.

    Parameters
    ----------
    folder
        Made when the first table is saved. Deleting it costs time, nothing else.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._zones = tzdata_version()

    def load(self, key: str) -> dict[str, NDArray[Any]] | None:
        """The arrays saved under `key`; None if there are none, or the file is damaged."""
        path = self._path(key)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            _log.warning("calendar table %s is damaged and made again: %s", path, error)
            return None

    def save(self, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep the arrays under `key`; a reader sees the old file or the new one, never a part.

        A folder that cannot be written to costs time in every process, and is told in the log.
        """
        try:
            self._write(key, arrays)
        except OSError as error:
            _log.warning("calendar tables cannot be kept in %s: %s", self._folder, error.strerror)

    def _write(self, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **dict(arrays))  # type: ignore[arg-type]  # one option takes a bool
            part.replace(self._path(key))
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def _path(self, key: str) -> Path:
        safe = "".join(c if c.isalnum() or c in "._+-" else "_" for c in f"{key} {self._zones}")
        return self._folder / f"{safe}.npz"


def tzdata_version() -> str:
    """Version of the time zone data that `zoneinfo` reads, ``2026b``.

    The system's own comes first, as it does in `zoneinfo`; else the tzdata package's.
    """
    for root in zoneinfo.TZPATH:
        source = Path(root, "tzdata.zi")
        if source.is_file():
            with source.open(encoding="ascii") as file:
                return file.readline().removeprefix("# version ").strip()
        if Path(root, "UTC").is_file():
            return f"files of {Path(root, 'UTC').stat().st_mtime_ns}"
    return metadata.version("tzdata")
