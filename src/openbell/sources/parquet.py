"""Parquet, Arrow and feather files: our own exports, and any with columns that can be told."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

import polars as pl

from openbell.market.errors import BadDataError
from openbell.market.instrument import Series
from openbell.ports import Parsed
from openbell.sources.files import (
    MAX_BYTES,
    Member,
    aside_note,
    columnar,
    is_columnar,
    list_files,
    members,
    plain_name,
    require_one_of,
    with_first,
)
from openbell.sources.tables import Reading, parse_frame

_SUFFIXES = (".parquet", ".pq", ".feather", ".arrow", ".ipc")


class ParquetFiles:
    """Reads Parquet, Arrow IPC and feather (version 2) files.

    Parameters
    ----------
    path
        A file, a folder, or several of them.
    series
        What the rows are; ``{symbol}`` stands for the file's name without its suffix.
    zone
        IANA zone of stamps without one; not needed for moments, counts, and bars of a day.
    stamp
        ``open`` if bars are named by their start, ``close`` if by their end; not needed where
        the file has a column ``end``.
    columns
        Our name of a column → the file's name, where the usual spellings do not fit.
    check_spacing
        Whether bars too close together or too far apart for their timeframe are an error.
    max_bytes
        Limit to the size of one file, unpacked.
    """

    def __init__(  # noqa: PLR0913  # what has to be said of a table is as much as this
        self,
        path: Path | str | Sequence[Path | str],
        *,
        series: str,
        zone: str = "",
        stamp: Literal["open", "close"] = "open",
        columns: Mapping[str, str] | None = None,
        check_spacing: bool = True,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        require_one_of("stamp", stamp, ("open", "close"))
        self._listed, self._aside = list_files(path, _SUFFIXES)
        self._named = series
        self._columns = dict(columns or {})
        self._max_bytes = max_bytes
        self._reading = Reading(
            series=self._series_of("SYMBOL"),
            zone=zone,
            is_close_stamped=stamp == "close",
            checks_spacing=check_spacing,
        )

    def files(self) -> Sequence[Path]:
        return [file.path for file in self._listed]

    def series(self) -> Sequence[Series]:
        return sorted({self._series_of(file.name) for file in self._listed})

    def parse(self) -> Iterator[Parsed]:
        found = (m for file in self._listed for m in members(file, max_bytes=self._max_bytes))
        return with_first(aside_note(self._aside), map(self._parse_one, found))

    def _parse_one(self, member: Member) -> Parsed:
        reading = replace(self._reading, series=self._series_of(member.name))
        frame = _frame(member, self._max_bytes)
        return parse_frame(member.name, frame, self._columns, reading)

    def _series_of(self, name: str) -> Series:
        stem = PurePosixPath(plain_name(name.rpartition("!")[2])).stem
        return Series.parse(self._named.replace("{symbol}", stem.upper()))


def _frame(member: Member, max_bytes: int) -> pl.DataFrame:
    if not member.content:
        raise BadDataError(f"{member.name} is empty")
    if not is_columnar(member.content):
        raise BadDataError(f"{member.name} is no Parquet, Arrow or feather file")
    return columnar(member, max_bytes)
