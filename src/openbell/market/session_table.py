"""The sessions of a calendar as columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openbell.market.columns import Ints
from openbell.market.errors import BadDataError
from openbell.market.session import Session

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


def day_number(day: date) -> int:
    """Days from 1970-01-01 to `day`."""
    return day.toordinal() - _EPOCH_ORDINAL


def day_label(day: int) -> str:
    """The date of a day number, ``2011-03-14``."""
    return date.fromordinal(day + _EPOCH_ORDINAL).isoformat()


@dataclass(frozen=True, slots=True, eq=False)
class SessionTable:
    """Sessions of one calendar, ordered by open; read-only columns of n rows.

    Attributes
    ----------
    calendar
        Name of the calendar.
    day : int64, shape (n,)
        The session's label as days since 1970-01-01; increases strictly.
    open_ns, close_ns, pre_ns, post_ns : int64, shape (n,)
        As in `Session`.
    is_early : bool, shape (n,)
        Whether the session closes before its usual time.
    break_ns : int64, shape (m, 2)
        Start and end of every break, in order of time.
    break_row : int64, shape (m,)
        The row of the session each break belongs to.
    """

    calendar: str
    day: Ints
    open_ns: Ints
    close_ns: Ints
    pre_ns: Ints
    post_ns: Ints
    is_early: NDArray[np.bool_]
    break_ns: Ints
    break_row: Ints

    def __post_init__(self) -> None:
        rows = len(self.day)
        for name in COLUMNS:
            column = np.ascontiguousarray(getattr(self, name)).view()
            column.flags.writeable = False
            object.__setattr__(self, name, column)
            if not name.startswith("break") and len(column) != rows:
                raise BadDataError(f"sessions of {self.calendar}: `{name}` differs in length")

    def __len__(self) -> int:
        return len(self.day)

    def session(self, row: int) -> Session:
        """One row as a `Session`; negative rows count from the end."""
        row = range(len(self))[row]
        lo, hi = np.searchsorted(self.break_row, (row, row + 1))
        return Session(
            self.calendar,
            day_label(int(self.day[row])),
            int(self.open_ns[row]),
            int(self.close_ns[row]),
            int(self.pre_ns[row]),
            int(self.post_ns[row]),
            tuple((int(start), int(end)) for start, end in self.break_ns[lo:hi]),
            bool(self.is_early[row]),
        )

    def sessions(self) -> Iterator[Session]:
        """All rows, in order."""
        breaks: dict[int, list[tuple[int, int]]] = {}
        for row, (start, end) in zip(self.break_row.tolist(), self.break_ns.tolist(), strict=True):
            breaks.setdefault(row, []).append((start, end))
        columns = (
            self.day, self.open_ns, self.close_ns, self.pre_ns, self.post_ns, self.is_early,
        )  # fmt: skip
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for row, (day, opens, closes, pre, post, is_early) in enumerate(rows):
            found = tuple(breaks.get(row, ()))
            yield Session(self.calendar, day_label(day), opens, closes, pre, post, found, is_early)

    def rows(self, lo: int, hi: int) -> "SessionTable":
        """The sessions of rows ``lo <= row < hi``; views, no copies of the long columns."""
        first, last = np.searchsorted(self.break_row, (lo, hi))
        columns = {
            name: column[first:last] if name.startswith("break") else column[lo:hi]
            for name, column in self.columns().items()
        }
        columns["break_row"] = columns["break_row"] - lo
        return SessionTable(self.calendar, **columns)

    def take(self, keep: NDArray[np.bool_]) -> "SessionTable":
        """The sessions of the rows that a mask keeps."""
        kept = keep[self.break_row]
        columns = {
            name: column[kept if name.startswith("break") else keep]
            for name, column in self.columns().items()
        }
        columns["break_row"] = np.cumsum(keep)[columns["break_row"]] - 1
        return SessionTable(self.calendar, **columns)

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns by name."""
        return {name: getattr(self, name) for name in COLUMNS}


COLUMNS = (
    "day", "open_ns", "close_ns", "pre_ns", "post_ns", "is_early", "break_ns", "break_row",
)  # fmt: skip


def without_empty_breaks(table: SessionTable) -> SessionTable:
    """The same sessions, less the breaks that are none.

    A break that ends at the close or after it is the early close itself (the library keeps the
    lunch break of Hong Kong on half days), and one without length is none.
    """
    start, end = table.break_ns[:, 0], table.break_ns[:, 1]
    row = table.break_row
    keep = (end > start) & (start > table.open_ns[row]) & (end < table.close_ns[row])
    columns = table.columns() | {"break_ns": table.break_ns[keep], "break_row": row[keep]}
    return SessionTable(table.calendar, **columns)
