"""A table of a result, as any data-frame library takes it."""

from collections.abc import Iterator, Mapping
from typing import Any


class Table:
    """Columns of equal length, by name; shows itself in a notebook.

    Columns ending in ``_ns`` are int64 nanoseconds UTC here, and moments in data frames, under
    the name without the ending.
    """

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self.columns = dict(columns)

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def rows(self) -> Iterator[dict[str, Any]]:
        """Row by row, as mappings."""
        for values in zip(*self.columns.values(), strict=True):
            yield dict(zip(self.columns, values, strict=True))

    def to_polars(self) -> Any:
        """A polars DataFrame."""
        import polars as pl  # heavy; only where data leaves

        frame = pl.DataFrame(self.columns)
        moments = [n for n in self.columns if _is_moment(n)]
        frame = frame.with_columns(pl.col(n).cast(pl.Datetime("ns", "UTC")) for n in moments)
        return frame.rename({n: n.removesuffix("_ns") for n in moments})

    def to_pandas(self) -> Any:
        """A pandas DataFrame."""
        import pandas as pd  # heavy; only where data leaves

        return pd.DataFrame(
            {
                n.removesuffix("_ns") if _is_moment(n) else n: pd.to_datetime(c, utc=True)
                if _is_moment(n)
                else c
                for n, c in self.columns.items()
            }
        )

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The Arrow PyCapsule stream, so that any Arrow library takes the table as it is."""
        return self.to_polars().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return str(self.to_polars())

    def _repr_html_(self) -> str:
        html: str = self.to_polars()._repr_html_()
        return html


def _is_moment(name: str) -> bool:
    return name.endswith("_ns") and name != "holding_ns"
