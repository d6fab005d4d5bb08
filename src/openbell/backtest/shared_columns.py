"""Columns shared between processes without copying: memory-mapped files, and a store of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openbell.market.bars import Bars
from openbell.market.columns import Columns
from openbell.market.errors import NotRecordedError
from openbell.market.instrument import Pin, Series
from openbell.market.moments import END_OF_TIME_NS, START_OF_TIME_NS
from openbell.market.ticks import Quotes, Trades
from openbell.ports import Data, ReadStore, SeriesInfo, Version

_KINDS: dict[str, type[Bars | Trades | Quotes]] = {"trades": Trades, "quotes": Quotes}


@dataclass(frozen=True, slots=True)
class ColumnFiles:
    """Where the columns of some versions lie.

    Attributes
    ----------
    folder
        One file per column, ``<number>-<name>.npy``.
    versions, infos
        What belongs to each number.
    """

    folder: Path
    versions: tuple[Version, ...]
    infos: tuple[SeriesInfo, ...]


def write_columns(store: ReadStore, pins: Sequence[Pin], folder: Path) -> ColumnFiles:
    """Put the rows of some versions into a folder, one file per column."""
    for number, pin in enumerate(pins):
        data: Columns = store.read(pin, START_OF_TIME_NS, END_OF_TIME_NS)
        for name, column in data.columns().items():
            np.save(folder / f"{number}-{name}.npy", column)
    versions = tuple(next(v for v in store.versions(pin.series) if v.pin == pin) for pin in pins)
    return ColumnFiles(folder, versions, tuple(store.info(pin) for pin in pins))


class ColumnStore:
    """Reads what `write_columns` wrote: a `ports.ReadStore` of a few versions."""

    def __init__(self, files: ColumnFiles) -> None:
        self._files = files
        self._pins = [version.pin for version in files.versions]

    def read(self, pin: Pin, start_ns: int, end_ns: int) -> Data:
        """The rows with ``start_ns <= key < end_ns``; views of mapped files."""
        number = self._number(pin)
        kind = _KINDS.get(pin.series.kind, Bars)
        columns = {
            name: np.load(self._files.folder / f"{number}-{name}.npy", mmap_mode="r")
            for name in kind.names()
        }
        return kind(pin.series, **columns).between(start_ns, end_ns)

    def resolve(self, ref: str, *, as_of_ns: int | None = None) -> Pin:  # noqa: ARG002
        """The pin of a ref such as ``XNYS:SPY/1m@3``; only versions that were written."""
        found = [pin for pin in self._pins if str(pin) == ref]
        if not found:
            raise NotRecordedError(f"{ref} is not among {', '.join(map(str, self._pins))}")
        return found[0]

    def info(self, pin: Pin) -> SeriesInfo:
        """As it was in the store."""
        return self._files.infos[self._number(pin)]

    def versions(self, series: Series) -> Sequence[Version]:
        """The versions that were written."""
        return [v for v in self._files.versions if v.pin.series == series]

    def _number(self, pin: Pin) -> int:
        if pin not in self._pins:
            raise NotRecordedError(f"{pin} is not among {', '.join(map(str, self._pins))}")
        return self._pins.index(pin)
