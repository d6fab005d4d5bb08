"""What bars, trades and quotes have in common: frozen columns of equal length, in order of time."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from openbell.market.counted import counted
from openbell.market.errors import BadDataError, UnorderedError
from openbell.market.instrument import Series

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# What a row is known to suffer from, as bits of its `label`. A corrupt row is stored, never played.
CORRUPT = 1  # open or close outside [low, high], or bid above ask by more than a tenth
NON_POSITIVE = 2  # a price of zero or below
CONFLICTING = 4  # the source gave this stamp more than once with other values; the last was kept
UNORDERED = 8  # the row stood before its place in the source
OFF_SESSION = 16  # a daily bar on a day that is no session
FILLED = 32  # put in by repair: rebuilt from trades or taken from a second source
LABEL_NAMES = {
    CORRUPT: "corrupt",
    NON_POSITIVE: "non_positive",
    CONFLICTING: "conflicting",
    UNORDERED: "unordered",
    OFF_SESSION: "off_session",
    FILLED: "filled",
}


def label_names(label: int) -> list[str]:
    """The names of the bits set in a label, in order of their value."""
    return [name for bit, name in LABEL_NAMES.items() if label & bit]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Base of `Bars`, `Trades` and `Quotes`: columns of one series, read-only, ordered by time.

    Attributes
    ----------
    series
        What the rows belong to.
    """

    series: Series

    def __post_init__(self) -> None:
        lengths = set()
        for name, wanted in zip(self.names(), self._dtypes(), strict=True):
            column: NDArray[Any] = np.ascontiguousarray(getattr(self, name), dtype=wanted).view()
            column.setflags(write=False)
            object.__setattr__(self, name, column)
            lengths.add(len(column))
        if len(lengths) != 1:
            raise BadDataError(f"columns of {self.series} differ in length: {sorted(lengths)}")

    @classmethod
    @cache
    def names(cls) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(field.name for field in fields(cls) if field.name != "series")

    @classmethod
    @cache
    def _dtypes(cls) -> tuple[type, ...]:
        small = {"label": np.int32, "side": np.int32}
        return tuple(
            np.int64 if name.endswith("_ns") else small.get(name, np.float64)
            for name in cls.names()
        )

    @classmethod
    def made(cls, series: Series, *columns: NDArray[Any]) -> Self:
        """Columns as a compiled loop made them, contiguous and of the right kinds: unchecked."""
        found = object.__new__(cls)
        object.__setattr__(found, "series", series)
        for name, column in zip(cls.names(), columns, strict=True):
            column.flags.writeable = False
            object.__setattr__(found, name, column)
        return found

    @property
    def key_ns(self) -> Ints:
        """The column the rows are ordered by."""
        key: Ints = getattr(self, self.names()[0])
        return key

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns by name."""
        return {name: getattr(self, name) for name in self.names()}

    def __len__(self) -> int:
        return len(self.key_ns)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Columns)
            and type(self) is type(other)
            and self.series == other.series
            and all(
                np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
                for a, b in zip(self.columns().values(), other.columns().values(), strict=True)
            )
        )

    __hash__ = None  # type: ignore[assignment]  # columns are values, but no keys

    def take(self, rows: Any) -> Self:
        """The rows that a slice, mask or index array picks, in that order."""
        if isinstance(rows, slice) and rows.step is None:
            return self._stretch(rows)
        return replace(self, **{name: column[rows] for name, column in self.columns().items()})

    def _stretch(self, rows: slice) -> Self:
        """Views of consecutive rows; what is read-only and contiguous stays so, unchecked."""
        found = object.__new__(type(self))
        object.__setattr__(found, "series", self.series)
        for name in self.names():
            object.__setattr__(found, name, getattr(self, name)[rows])
        return found

    def between(self, start_ns: int, end_ns: int) -> Self:
        """The rows with ``start_ns <= key < end_ns``; views, no copies."""
        find = self.key_ns.searchsorted
        return self._stretch(slice(int(find(start_ns)), int(find(end_ns))))

    def renamed(self, series: Series) -> Self:
        """The same rows under another series."""
        return replace(self, series=series)

    @classmethod
    def empty(cls, series: Series) -> Self:
        """No rows of `series`."""
        return cls(series, *([np.empty(0)] * len(cls.names())))

    @classmethod
    def joined(cls, parts: "list[Self]") -> Self:
        """The rows of all parts, one after the other; all parts are of one series."""
        columns = {n: np.concatenate([getattr(p, n) for p in parts]) for n in cls.names()}
        return cls(parts[0].series, **columns)

    def to_polars(self) -> Any:
        """A polars DataFrame of the columns; ``_ns`` columns become UTC datetimes in ns."""
        import polars as pl  # heavy; only where data leaves

        return (
            pl.DataFrame(self.columns())
            .with_columns(
                pl.col(n).cast(pl.Datetime("ns", "UTC")).alias(n.removesuffix("_ns"))
                for n in self.names()
                if n.endswith("_ns")
            )
            .select(n.removesuffix("_ns") for n in self.names())
        )

    def to_pandas(self) -> Any:
        """A pandas DataFrame indexed by the first time column, in UTC."""
        import pandas as pd  # heavy; only where data leaves

        columns: dict[str, Any] = {
            n.removesuffix("_ns"): pd.to_datetime(c, utc=True) if n.endswith("_ns") else c
            for n, c in self.columns().items()
        }
        return pd.DataFrame(columns).set_index(self.names()[0].removesuffix("_ns"))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The Arrow PyCapsule stream, so that any Arrow library takes these columns as they are."""
        return self.to_polars().__arrow_c_stream__(requested_schema)

    def _repr_html_(self) -> str:
        head = self.take(slice(0, 10)).to_polars()
        return f"<p><b>{self.series}</b>, {counted(len(self), 'row')}</p>{head._repr_html_()}"


def require_ordered(what: str, key_ns: Ints, *, strict: bool) -> None:
    """Raise `UnorderedError` unless the keys increase (strictly, or with repeats)."""
    steps = np.diff(key_ns)
    bad = np.flatnonzero(steps <= 0 if strict else steps < 0)
    if len(bad):
        raise UnorderedError(what, int(bad[0]) + 1)


def chunks(total: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover ``range(total)``."""
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))
