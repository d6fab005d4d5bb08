"""One series as one Delta table: its log, its manifests, its files.

Our versions count from 1; Delta counts every commit, the creation of the table and compactions
included. Each commit that makes or re-lays a version carries the version's manifest, so the log
itself says which Delta version holds which of ours; of several the newest is used.

Columns are named as in `Bars`, `Trades` and `Quotes`. Dense series are partitioned by the UTC
month of their key (``month``, text such as ``2011-03``), and trades and quotes bear a further
column ``sequence``: the place of a row among those of its stamp.
"""

import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import polars as pl
from deltalake import CommitProperties, DeltaTable, Field, Schema, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError
from deltalake.schema import PrimitiveType

from openbell.market import merge
from openbell.market.errors import StoreError
from openbell.market.instrument import Pin, Series
from openbell.market.merge import Merged
from openbell.market.moments import END_OF_TIME_NS, START_OF_TIME_NS
from openbell.ports import Data, SeriesInfo, Version
from openbell.recording.versions import vacuumed

_MANIFEST = "openbell"  # the key of ours in a commit's metadata
_MONTH = "month"
_SEQUENCE = "sequence"
_TRIES = 50
_RESTORE = "restore its folder from a copy, or move it away and bring the data in again"
# What other programs may do to a table without changing its rows.
_HARMLESS = ("CREATE TABLE", "OPTIMIZE", "VACUUM START", "VACUUM END")
_FOREVER = "interval 36500 days"
_WRITER = WriterProperties(compression="ZSTD", max_row_group_size=131_072)


@dataclass(frozen=True, slots=True)
class Commit:
    """One of our versions, and the Delta version that keeps it."""

    version: Version
    at: int


@contextmanager
def translated(what: object) -> Generator[None]:
    """Turn the errors of the file system, Delta and polars into `StoreError`."""
    try:
        yield
    except (DeltaError, OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise StoreError(
            f"{what} is damaged or out of reach: {reason}",
            hint=_RESTORE,
        ) from error


class SeriesTable:
    """The Delta table of one series at `path`. Whoever writes holds the series' lock."""

    def __init__(self, path: Path, series: Series) -> None:
        self.path = path
        self.series = series
        self._lock = threading.Lock()  # around what is known of the log
        self._commits: tuple[Commit, ...] = ()
        self._seen = -1  # the newest Delta version that `_commits` knows of
        self._blocks: dict[str, str] = {}
        self._foreign = ""  # a commit that changed rows and is not ours

    def exists(self) -> bool:
        """Whether it holds a version, or something that should be a table and is not."""
        created = self._log(0)
        if any(path != created for path in created.parent.glob("*.json")):
            return True
        # A writer killed in its first write leaves a table without versions, and maybe files.
        return not created.exists() and any(
            path.is_file() for path in self.path.rglob("*") if path.parent != created.parent
        )

    def commits(self) -> tuple[Commit, ...]:
        """All our versions, oldest first."""
        with self._lock:
            is_news = self._seen < 0 or self._log(self._seen + 1).exists()
            if is_news and self.exists():
                with translated(self.series):
                    self._take_in(*self._news())
            return self._commits

    def blocks(self) -> Mapping[str, str]:
        """The `merge.blocks` of the newest version: what its checksum is made of."""
        self.commits()
        return self._blocks

    def newest(self) -> Commit | None:
        """Our newest version; None if there is none yet."""
        commits = self.commits()
        return commits[-1] if commits else None

    def read_newest(self, start_ns: int, end_ns: int) -> Data:
        """The rows of the newest version in a range; none if there is no version yet."""
        newest = self.newest()
        if newest is None:
            return merge.columns_of(self.series).empty(self.series)
        return self.read(newest, start_ns, end_ns)

    def read(self, commit: Commit, start_ns: int, end_ns: int) -> Data:
        """The rows of a version with ``start_ns <= key < end_ns``, in order."""
        names = merge.columns_of(self.series).names()
        files = self._present_files(commit, start_ns, end_ns)
        if not files:
            return merge.columns_of(self.series).empty(self.series)
        wanted = pl.col(names[0]).is_between(start_ns, end_ns, closed="left")
        with translated(commit.version.pin):
            frame = (
                pl.scan_parquet(files, glob=False, hive_partitioning=False)
                .filter(wanted)
                .select(*names, *([] if self.series.is_bars else [_SEQUENCE]))
                .collect()
            )
        return self._in_order({name: frame[name].to_numpy() for name in frame.columns})

    def info(self, commit: Commit) -> SeriesInfo:
        """Count, first and last key and size of a version, from the log alone."""
        key = merge.columns_of(self.series).names()[0]
        files = self._actions(commit)
        if not len(files):
            return SeriesInfo(commit.version.pin, 0, 0, 0, 0)
        return SeriesInfo(
            pin=commit.version.pin,
            rows=int(files["num_records"].to_numpy().sum()),
            first_ns=int(files[f"min.{key}"].to_numpy().min()),
            last_ns=int(files[f"max.{key}"].to_numpy().max()),
            size_bytes=int(files["size_bytes"].to_numpy().sum()),
        )

    def append(self, merged: Merged[Data], version: Version, blocks: Mapping[str, str]) -> None:
        """Add what is new in `merged` as the next version."""
        sequence = merge.ranks(merged.data.key_ns)[merged.is_new]
        with translated(self.series):
            write_deltalake(
                self._created(),
                self._frame(merged.data.take(merged.is_new), sequence),
                mode="append",
                writer_properties=_WRITER,
                commit_properties=self._properties(version, blocks),
            )

    def replace(
        self, names: set[str], rows: Data, version: Version, blocks: Mapping[str, str]
    ) -> None:
        """Put `rows` in the place of the blocks `names`, as the next version."""
        quoted = ", ".join(f"'{name}'" for name in sorted(names))
        with translated(self.series):
            write_deltalake(
                self._created(),
                self._frame(rows, merge.ranks(rows.key_ns)),
                mode="overwrite",
                predicate=f"{_MONTH} in ({quoted})" if merge.is_dense(self.series) else None,
                writer_properties=_WRITER,
                commit_properties=self._properties(version, blocks),
            )

    def compact(self) -> None:
        """Join small files of the newest version; its manifest goes with it."""
        newest = self.commits()[-1]
        with translated(self.series):
            DeltaTable(self.path).optimize.compact(
                writer_properties=_WRITER,
                commit_properties=self._properties(newest.version, self._blocks),
            )

    def lacks(self, commit: Commit) -> bool:
        """Whether a file of a version is gone, so that it can no longer be read."""
        return not all(path.exists() for path in self._files(commit))

    def delete_all_but(self, kept: Sequence[Commit]) -> None:
        """Delete the data files that none of the versions `kept` needs."""
        needed = {path for commit in kept for path in self._files(commit)}
        with translated(self.series):
            for path in sorted(self.path.rglob("*.parquet")):
                if path.parent.name != "_delta_log" and path not in needed:
                    path.unlink()

    def require_ours(self) -> None:
        """Raise `StoreError` if another program changed the rows: ours would not fit them."""
        self.commits()
        if self._foreign:
            raise StoreError(
                f"{self.series} was changed by another program: {self._foreign}",
                hint="its versions can be read and exported, but no further one can be written",
            )

    def _log(self, delta_version: int) -> Path:
        return self.path / "_delta_log" / f"{delta_version:020d}.json"

    def _news(self) -> tuple[int, list[dict[str, Any]]]:
        """The newest Delta version, and the log entries up to it that were not seen, newest first.

        The library reads the log anew for a history, but numbers its entries from the version the
        table was opened at: a commit that lands in between would shift all numbers by one. So
        this counts only if, afterwards, there is no later version yet.
        """
        for _ in range(_TRIES):
            table = DeltaTable(self.path)
            entries = table.history(table.version() - self._seen)
            if not self._log(table.version() + 1).exists():
                return table.version(), entries
        raise StoreError(
            f"{self.series} was written to {_TRIES} times while its log was read",
            hint="try again when its writers are done",
        )

    def _take_in(self, newest: int, entries: list[dict[str, Any]]) -> None:
        known = {c.version.pin.version: c for c in self._commits}
        for entry in reversed(entries):
            if _MANIFEST in entry:
                manifest = dict(entry[_MANIFEST])
                blocks = {**self._blocks, **manifest.pop("blocks")}
                self._blocks = {name: digest for name, digest in blocks.items() if digest}
                number = manifest.pop("version")
                version = Version(pin=Pin(self.series, number), **manifest)
                known[number] = Commit(version, entry["version"])
            elif entry["operation"] in _HARMLESS:
                if known:  # the newest version, in another layout
                    number = max(known)
                    known[number] = Commit(known[number].version, entry["version"])
            else:
                self._foreign = f"{entry['operation']} as Delta version {entry['version']}"
        is_whole = len(entries) == newest - self._seen
        if not is_whole or list(known) != list(range(1, len(known) + 1)):
            raise StoreError(
                f"{self.series} is damaged: its log lacks the manifest of a version", hint=_RESTORE
            )
        self._commits = tuple(known.values())
        self._seen = newest

    def _actions(self, commit: Commit) -> pl.DataFrame:
        with translated(commit.version.pin):
            table = DeltaTable(self.path, version=commit.at)
            return pl.DataFrame(table.get_add_actions(flatten=True))

    def _files(
        self, commit: Commit, start_ns: int = START_OF_TIME_NS, end_ns: int = END_OF_TIME_NS
    ) -> list[Path]:
        """The files of a version that may hold rows of the range, by their first key."""
        key = merge.columns_of(self.series).names()[0]
        files = self._actions(commit)
        if not len(files):
            return []
        first, last = f"min.{key}", f"max.{key}"
        fitting = files.filter(pl.col(first) < end_ns, pl.col(last) >= start_ns).sort(first)
        return [self.path / unquote(p) for p in fitting["path"]]

    def _present_files(self, commit: Commit, start_ns: int, end_ns: int) -> list[Path]:
        """As `_files`, of a newer layout of the version where vacuum took away the known one."""
        files = self._files(commit, start_ns, end_ns)
        if all(path.exists() for path in files):
            return files
        pin = commit.version.pin
        with self._lock:
            self._seen, self._commits, self._blocks = -1, (), {}
        files = self._files(self.commits()[pin.version - 1], start_ns, end_ns)
        if not all(path.exists() for path in files):
            raise vacuumed(pin)
        return files

    def _in_order(self, columns: dict[str, Any]) -> Data:
        kind = merge.columns_of(self.series)
        key = columns[kind.names()[0]]
        sequence = columns.pop(_SEQUENCE, np.zeros(len(key), np.int32))
        steps = np.diff(key)
        # Appended files may reach back before those written earlier.
        if (steps < 0).any() or (np.diff(sequence)[steps == 0] < 0).any():
            order = np.lexsort((sequence, key))
            columns = {name: column[order] for name, column in columns.items()}
        return kind(self.series, **columns)

    def _frame(self, rows: Data, sequence: Any) -> pl.DataFrame:
        frame = pl.DataFrame(rows.columns())
        if not self.series.is_bars:
            frame = frame.with_columns(pl.Series(_SEQUENCE, sequence, pl.Int32))
        if merge.is_dense(self.series):
            month = merge.months(rows.key_ns)
            names = pl.Series(_MONTH, merge.block_names(rows), pl.String)
            place = np.cumsum(np.diff(month, prepend=month[:1]) != 0)
            frame = frame.with_columns(names.gather(place))
        return frame

    def _properties(self, version: Version, blocks: Mapping[str, str]) -> CommitProperties:
        """A version's manifest; of the blocks only those that changed, empty where one is gone."""
        names = sorted({*self._blocks, *blocks})
        manifest = {
            "version": version.pin.version,
            "created_ns": version.created_ns,
            "source": version.source,
            "details": dict(version.details),
            "rows": version.rows,
            "added": version.added,
            "revised": version.revised,
            "removed": version.removed,
            "checksum": version.checksum,
            "blocks": {n: blocks.get(n, "") for n in names if blocks.get(n) != self._blocks.get(n)},
        }
        return CommitProperties(custom_metadata={_MANIFEST: manifest})

    def _created(self) -> DeltaTable:
        if self._log(0).exists():
            return DeltaTable(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        names = [*merge.columns_of(self.series).names()]
        key = names[0]
        names += [] if self.series.is_bars else [_SEQUENCE]
        names += [_MONTH] if merge.is_dense(self.series) else []
        return DeltaTable.create(
            self.path,
            Schema([Field(n, PrimitiveType(_type_of(n)), nullable=False) for n in names]),
            partition_by=[_MONTH] if merge.is_dense(self.series) else None,
            configuration={
                # The log and the files of all versions are ours to keep: no other client's
                # default retention may take them.
                "delta.logRetentionDuration": _FOREVER,
                "delta.enableExpiredLogCleanup": "false",
                "delta.deletedFileRetentionDuration": _FOREVER,
                "delta.dataSkippingStatsColumns": key,
                "delta.checkpointInterval": "20",
            },
        )


def _type_of(name: str) -> str:
    if name == _MONTH:
        return "string"
    if name in ("label", "side", _SEQUENCE):
        return "integer"
    return "long" if name.endswith("_ns") else "double"
