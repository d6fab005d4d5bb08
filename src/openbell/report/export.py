"""A run as files for other programs: JSON in one piece, CSV table by table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from msgspec import Struct

from openbell.backtest.orders import Fill, Order, Outcome
from openbell.backtest.result import LogLine, RunResult, SessionLine
from openbell.backtest.round_trips import RoundTrip
from openbell.market.errors import UsageError

Table = Mapping[str, Any]

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_INDENT_2


def tables(result: RunResult) -> dict[str, Table]:
    """The tables of a run as columns: equity, fills, orders, outcomes, round_trips, sessions.

    Columns ending in ``_ns`` are int64 nanoseconds UTC. `benchmark` is NaN before it has a price.
    """
    curve = result.equity
    return {
        "equity": {
            "time_ns": curve.time_ns,
            "cash": curve.cash,
            "equity": curve.equity,
            "benchmark": result.benchmark,
        },
        "fills": _columns(result.fills, Fill),
        "orders": _columns(result.orders, Order),
        "outcomes": _columns(result.outcomes, Outcome),
        "round_trips": _columns(result.round_trips, RoundTrip),
        "sessions": _columns(result.sessions, SessionLine),
        "log": _columns(result.log, LogLine),
    }


def to_json(result: RunResult) -> bytes:
    """Everything a run came to: its summary and its tables. What cannot be said is null."""
    found = {**result.summary(), "tables": tables(result)}
    return orjson.dumps(found, option=_OPTIONS)


def write(result: RunResult, place: Path, *, force: bool = False) -> list[Path]:
    """Write a run for other programs; give the files written.

    Parameters
    ----------
    place
        A file that ends in ``.json``, for `to_json`; else a folder, for `write_csv`.

    Raises
    ------
    UsageError
        If it is there already, unless `force`.
    """
    if place.exists() and not force:
        raise UsageError(f"{place} is there already", hint="write over it with --force")
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.suffix != ".json":
        return write_csv(result, place)
    place.write_bytes(to_json(result))
    return [place]


def write_csv(result: RunResult, folder: Path) -> list[Path]:
    """Write each table to ``folder/<table>.csv``; return the files, in order of their names.

    Moments are ISO 8601 in UTC with nine decimals, under the column's name without ``_ns``; what
    cannot be said is an empty cell. Lengths of time stay in nanoseconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [_write_table(table, folder / f"{name}.csv") for name, table in tables(result).items()]


def _write_table(table: Table, path: Path) -> Path:
    import polars as pl  # heavy; only where data leaves

    frame = pl.DataFrame(dict(table), nan_to_null=True)
    moments = [n for n in table if n.endswith("_ns") and n != "holding_ns"]
    frame = frame.with_columns(pl.col(n).cast(pl.Datetime("ns", "UTC")) for n in moments)
    frame = frame.rename({n: n.removesuffix("_ns") for n in moments})
    frame.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S.%9fZ")
    return path


def _columns(rows: Sequence[Struct], record: type[Struct]) -> Table:
    """Rows as columns by name; numbers become numpy columns."""
    names = record.__struct_fields__
    return {name: _column([getattr(row, name) for row in rows]) for name in names}


def _column(values: Sequence[Any]) -> Any:
    is_number = bool(values) and isinstance(values[0], int | float)
    return np.array(values) if is_number else list(values)
