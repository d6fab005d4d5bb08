"""A run as it is stored, and back again."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from openbell.backtest.config import RunConfig
from openbell.backtest.orders import Fill, Order, Outcome
from openbell.backtest.result import EquityCurve, LogLine, RunResult, SessionLine
from openbell.ports import RunRecord
from openbell.replay.tape import Entry

_RECORDS: dict[str, type[Any]] = {
    "sessions": SessionLine,
    "orders": Order,
    "fills": Fill,
    "outcomes": Outcome,
    "entries": Entry,
    "log": LogLine,
}
# Fields of a result that the summary keeps as they are.
_KEPT = (
    "id", "status", "error", "start_ns", "end_ns", "bars", "withheld", "completeness",
    "code_hash", "code_files", "calendars", "sessions_per_year", "multipliers",
    "exposure", "engine", "version", "elapsed_s",
)  # fmt: skip


def to_record(result: RunResult, *, created: str, files: Mapping[str, str]) -> RunRecord:
    """A run to be stored.

    Parameters
    ----------
    created
        The moment it is stored at, ISO 8601; the caller's clock.
    files
        Texts kept with it: the strategy's source.
    """
    curve = result.equity
    is_close = np.zeros(len(curve), bool)
    is_close[curve.closes] = True
    tables: dict[str, Mapping[str, Any]] = {
        name: _table(cls, getattr(result, name)) for name, cls in _RECORDS.items()
    }
    tables["equity"] = {
        "time_ns": curve.time_ns,
        "cash": curve.cash,
        "equity": curve.equity,
        "benchmark": result.benchmark,
        "is_close": is_close,
    }
    summary = {
        **result.summary(),
        "created": created,
        "start_ns": result.start_ns,
        "end_ns": result.end_ns,
        "sessions_per_year": result.sessions_per_year,
        "multipliers": dict(result.multipliers),
        "exposure": result.exposure,
    }
    return RunRecord(result.id, summary, tables, files)


def from_record(record: RunRecord) -> RunResult:
    """The run of a record; equal to the one that was stored, as far as a run is compared."""
    summary, tables = record.summary, record.tables
    equity = tables["equity"]
    curve = EquityCurve(
        np.asarray(equity["time_ns"], np.int64),
        np.asarray(equity["cash"], np.float64),
        np.asarray(equity["equity"], np.float64),
        np.flatnonzero(np.asarray(equity["is_close"], bool)),
    )
    rows: dict[str, Any] = {name: _rows(cls, tables[name]) for name, cls in _RECORDS.items()}
    same: dict[str, Any] = {name: summary[name] for name in _KEPT}
    return RunResult(
        config=RunConfig.from_dict(summary["config"]),
        pins=tuple(summary["on"]),
        checksums=tuple(summary["checksums"]),
        warnings=tuple(summary["warnings"]),
        equity=curve,
        benchmark=np.asarray(equity["benchmark"], np.float64),
        **rows,
        **same,
    )


def _table(cls: type[Any], rows: Any) -> dict[str, list[Any]]:
    """Records as columns."""
    return {name: [getattr(row, name) for row in rows] for name in cls.__struct_fields__}


def _rows(cls: type[Any], table: Mapping[str, Any]) -> list[Any]:
    columns = [np.asarray(table[name]).tolist() for name in cls.__struct_fields__]
    return [cls(*row) for row in zip(*columns, strict=True)]
