"""Parquet, Arrow and feather files: our own exports, and any with columns that can be told."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
import polars as pl

from openbell.market.errors import BadDataError
from openbell.market.instrument import Series
from openbell.ports import Parsed
from openbell.sources.files import MAX_BYTES, Member, aside_note, list_files, members, plain_name
from openbell.sources.tables import Reading, Table, find_columns, kind_of, parse_table

_SUFFIXES = (".parquet", ".pq", ".feather", ".arrow", ".ipc")
_PARQUET, _ARROW = b"PAR1", b"ARROW1"


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
        stamp: str = "open",
        columns: Mapping[str, str] | None = None,
        check_spacing: bool = True,
        max_bytes: int = MAX_BYTES,
    ) -> None:
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
        notes = aside_note(self._aside)
        for file in self._listed:
            for member in members(file, max_bytes=self._max_bytes):
                reading = replace(self._reading, series=self._series_of(member.name))
                parsed = parse_table(self._table(member, kind_of(reading.series)), reading)
                yield replace(parsed, notes=(*notes, *parsed.notes))
                notes = []

    def _series_of(self, name: str) -> Series:
        stem = PurePosixPath(plain_name(name.rpartition("!")[2])).stem
        return Series.parse(self._named.replace("{symbol}", stem.upper()))

    def _table(self, member: Member, kind: str) -> Table:
        frame = _frame(member, self._max_bytes)
        names = frame.columns
        found = find_columns(names, kind, self._columns, file=member.name)
        # Our own exports say what each bar covers and what is known of each row.
        found |= {name: name for name in ("end", "label") if name in names and kind == "bars"}
        unused = [name for name in names if name not in found.values()]
        notes = (f"columns not taken: {', '.join(unused)}",) if unused else ()
        frame = frame.select(pl.col(name).alias(ours) for ours, name in found.items())
        return Table(member.name, frame, np.arange(1, len(frame) + 1), notes=notes)


def _frame(member: Member, max_bytes: int) -> pl.DataFrame:
    """All columns of a file, once it is known that they are no more than `max_bytes`."""
    content = member.content
    if not content:
        raise BadDataError(f"{member.name} is empty")
    if not content.startswith((_PARQUET, _ARROW)):
        raise BadDataError(f"{member.name} is no Parquet, Arrow or feather file")
    scan = pl.scan_parquet if content.startswith(_PARQUET) else pl.scan_ipc
    try:
        lazy = scan(BytesIO(content))
        cells = lazy.select(pl.len()).collect().item() * len(lazy.collect_schema())
        if cells * 8 > max_bytes:
            raise BadDataError(
                f"{member.name} holds {cells:,} cells, more than {max_bytes:,} bytes"
            )
        return lazy.collect()
    except pl.exceptions.PolarsError as error:
        raise BadDataError(f"{member.name} is cut short or damaged: {error}") from error
