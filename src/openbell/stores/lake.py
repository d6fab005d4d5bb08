"""The lake: every version of every series, one Delta table each, readable by any Delta client.

A folder per venue, instrument and kind::

    lake.json                 says that this is a lake, and of which format
    pins.json                 the names given to versions
    XNYS/SPY/1m/              a Delta table; `stores.delta` says what is in it
    XNYS/SPY/.1m.lock         held by whoever writes that series

Every write is one commit of one table, so a reader sees the old version or the new one and never
half of it, whenever the writer is killed. Writers of one series queue at its lock.
"""

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from openbell.market import merge
from openbell.market.errors import StoreError, UsageError
from openbell.market.instrument import Instrument, Pin, Series
from openbell.market.moments import END_OF_TIME_NS, START_OF_TIME_NS
from openbell.ports import Data, Diff, Manifest, SeriesInfo, Version
from openbell.recording.versions import (
    Change,
    nothing_of,
    oldest_kept,
    parse_pin,
    require_free,
    require_same_series,
    resolve,
    successor,
    vacuumed,
    version_of,
)
from openbell.stores.delta import Commit, SeriesTable, translated
from openbell.stores.files import locked, replace_text

FORMAT = 1

# What the Delta library takes for escapes or part of an address in the path of a table.
_UNFIT = re.compile(r"[%#?\[\]^|\\\x00-\x1f\x7f]")
_SAFE = re.compile(r"[A-Za-z0-9.-]")


class Lake:
    """The store on disk; passes the contract of `Store`.

    Parameters
    ----------
    root
        Its folder. It is made by the first write, or by `create`.
    now_ns
        Tells the time in nanoseconds UTC; what versions are dated by.

    Raises
    ------
    StoreError
        If `root` is there and is no lake, or one of a newer format; if its path
        holds one of ``%#?[]^|`` or a backslash.
    """

    def __init__(self, root: Path, now_ns: Callable[[], int]) -> None:
        self.root = root
        self._now_ns = now_ns
        self._tables: dict[Series, SeriesTable] = {}
        self._is_there = self._find()

    def create(self) -> None:
        """Make the folder and say in it that it is a lake; nothing happens if it is one."""
        self._is_there = self._is_there or self._find()
        if not self._is_there:
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                replace_text(self._marker, _json({"format": FORMAT, "kind": "openbell lake"}))
            except OSError as error:
                raise StoreError(
                    f"the lake {self.root} cannot be made: {error.strerror}",
                    hint="name a folder that can be written to, with --lake or OPENBELL_LAKE",
                ) from error
            self._is_there = True

    def write(self, data: Data, manifest: Manifest) -> Version:
        merge.require_sound(data)
        if not len(data):
            return self._known_table(data.series).commits()[-1].version
        self.create()
        ends = int(data.key_ns[0]), int(data.key_ns[-1])
        with self._writing(self._table(data.series)) as table:
            before = table.read_newest(*merge.block_range(data.series, *ends))
            return self._commit(table, before, merge.merge(before, data), manifest)

    def drop(self, series: Series, start_ns: int, end_ns: int, manifest: Manifest) -> Version:
        with self._writing(self._known_table(series)) as table:
            newest = table.commits()[-1]
            info = table.info(newest)
            first, last = max(start_ns, info.first_ns), min(end_ns - 1, info.last_ns)
            if not info.rows or first > last:
                return newest.version
            before = table.read_newest(*merge.block_range(series, first, last))
            after = merge.without(before, start_ns, end_ns)
            merged = merge.Merged(after, np.zeros(len(after), bool), 0)
            return self._commit(table, before, merged, manifest)

    def read(self, pin: Pin, start_ns: int, end_ns: int) -> Data:
        return self._table(pin.series).read(self._commit_of(pin), start_ns, end_ns)

    def resolve(self, ref: str, *, as_of_ns: int | None = None) -> Pin:
        return resolve(self, ref, as_of_ns)

    def list_series(self) -> Sequence[Series]:
        self._require()
        folders = [p for p in self.root.glob("*/*/*") if p.is_dir()]
        series = [_series_of(p.relative_to(self.root)) for p in folders]
        return sorted(s for s in series if self._table(s).exists())

    def list_instruments(self) -> Sequence[Instrument]:
        return sorted({series.instrument for series in self.list_series()})

    def info(self, pin: Pin) -> SeriesInfo:
        return self._table(pin.series).info(self._commit_of(pin))

    def versions(self, series: Series) -> Sequence[Version]:
        return [commit.version for commit in self._table(series).commits()]

    def diff(self, before: Pin, after: Pin) -> Diff:
        require_same_series(before, after)
        whole = START_OF_TIME_NS, END_OF_TIME_NS
        return Diff(*merge.difference(self.read(before, *whole), self.read(after, *whole)))

    def pin(self, name: str, pin: Pin) -> None:
        self._commit_of(pin)
        with self._locked(self._pins_file, "the list of pins"):
            pins = self.pins()
            require_free(pins, name, pin)
            if self._table(pin.series).lacks(self._commit_of(pin)):
                raise vacuumed(pin)
            texts = {known: str(version) for known, version in pins.items()} | {name: str(pin)}
            with translated(self._pins_file):
                replace_text(self._pins_file, _json(texts))

    def pins(self) -> dict[str, Pin]:
        self._require()
        texts = _read_json(self._pins_file) if self._pins_file.exists() else {}
        try:
            return {name: parse_pin(text) for name, text in sorted(texts.items())}
        except (UsageError, AttributeError) as error:
            raise StoreError(
                f"{self._pins_file} is damaged: {error}",
                hint="correct it, or bring it back from a copy",
            ) from error

    def compact(self, series: Series) -> None:
        with self._writing(self._known_table(series)) as table:
            table.compact()

    def vacuum(self, series: Series, *, keep_days: float) -> Sequence[int]:
        oldest_ns = oldest_kept(self._now_ns(), keep_days)
        with (
            self._writing(self._known_table(series)) as table,
            self._locked(self._pins_file, "the list of pins"),
        ):
            *older, newest = table.commits()
            pinned = set(self.pins().values())
            kept = [
                commit
                for commit in older
                if commit.version.pin in pinned or commit.version.created_ns >= oldest_ns
            ]
            table.delete_all_but([*kept, newest])
            return [c.version.pin.version for c in table.commits() if table.lacks(c)]

    @property
    def _marker(self) -> Path:
        return self.root / "lake.json"

    @property
    def _pins_file(self) -> Path:
        return self.root / "pins.json"

    def _find(self) -> bool:
        """Whether the lake is there; raise if something else is."""
        if found := _UNFIT.search(str(self.root.absolute())):
            raise StoreError(
                f"a lake cannot lie in {self.root}: its path holds `{found[0]}`",
                hint="choose another folder",
            )
        if self._marker.exists():
            found = _read_json(self._marker).get("format")
            if found != FORMAT:
                raise StoreError(
                    f"the lake {self.root} has format {found}, this program reads {FORMAT}",
                    hint="use a newer openbell",
                )
            return True
        if self.root.exists() and not self._is_empty():
            raise StoreError(
                f"{self.root} is no lake: it holds other things", hint="name another folder"
            )
        return False

    def _is_empty(self) -> bool:
        """Whether nothing is in the folder, but a marker whose writer may have been killed."""
        draft = f".{self._marker.name}."
        return self.root.is_dir() and all(p.name.startswith(draft) for p in self.root.iterdir())

    def _require(self) -> None:
        if not self._is_there:
            self._is_there = self._find()
        if not self._is_there:
            raise StoreError(
                f"there is no lake at {self.root}",
                hint="bring data in with: openbell data import",
            )

    def _table(self, series: Series) -> SeriesTable:
        self._require()
        if series not in self._tables:
            self._tables[series] = SeriesTable(self.root / _folder_of(series), series)
        return self._tables[series]

    def _known_table(self, series: Series) -> SeriesTable:
        """The table of a series that has a version; `NotRecordedError` if it has none."""
        table = self._table(series)
        if not table.commits():
            raise nothing_of(self, series)
        return table

    def _commit_of(self, pin: Pin) -> Commit:
        commits = self._table(pin.series).commits()
        version_of([commit.version for commit in commits], pin)
        return commits[pin.version - 1]

    @contextmanager
    def _locked(self, path: Path, what: str) -> Generator[None]:
        with locked(path.with_name(f".{path.name}.lock"), what):
            yield

    @contextmanager
    def _writing(self, table: SeriesTable) -> Generator[SeriesTable]:
        with self._locked(table.path, str(table.series)):
            table.require_ours()
            yield table

    def _commit(
        self, table: SeriesTable, before: Data, merged: merge.Merged[Any], manifest: Manifest
    ) -> Version:
        """Make `merged` of the rows `before`, which are those of whole blocks."""
        newest = table.newest()
        known = table.blocks()
        old, new = merge.block_names(before), merge.blocks(merged.data)
        blocks = {name: known[name] for name in known.keys() - set(old)} | new
        if newest and blocks == known:
            return newest.version
        removed = len(before) + merged.added - len(merged.data)
        change = Change(table.series, merged.added, merged.revised, removed, merge.checksum(blocks))
        version = successor(newest.version if newest else None, self._now_ns(), manifest, change)
        if merged.revised or removed:
            differ = {name for name in {*old, *new} if known.get(name) != new.get(name)}
            table.replace(differ, merge.in_blocks(merged.data, differ), version, blocks)
        else:
            table.append(merged, version, blocks)
        return version


def _folder_of(series: Series) -> Path:
    """Where a series is kept, relative to the root: its name, made safe for any file system."""
    if Series.parse(str(series)) != series:
        raise UsageError(f"`{series}` names no series")
    parts = series.instrument.venue, series.instrument.symbol, str(series).rpartition("/")[2]
    return Path(*(_escaped(part) for part in parts))


def _escaped(name: str) -> str:
    """The name with everything but letters, digits, dots and dashes written as ``_2E``."""
    return "".join(c if _SAFE.fullmatch(c) else f"_{ord(c):02X}" for c in name)


def _series_of(folder: Path) -> Series:
    venue, symbol, kind = (
        re.sub(r"_([0-9A-F]{2})", lambda m: chr(int(m[1], 16)), part) for part in folder.parts
    )
    try:
        return Series.parse(f"{venue}:{symbol}/{kind}")
    except UsageError as error:
        raise StoreError(
            f"the folder {folder} of the lake is no series", hint="move it out of the lake"
        ) from error


def _json(values: Mapping[str, Any]) -> str:
    return orjson.dumps(values, option=orjson.OPT_INDENT_2).decode()


def _read_json(path: Path) -> dict[str, Any]:
    with translated(path):
        text = path.read_bytes()
    try:
        return dict(orjson.loads(text))
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"{path} is damaged: {error}", hint="correct it, or bring it back from a copy"
        ) from error
