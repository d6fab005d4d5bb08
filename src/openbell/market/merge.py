"""Merging, comparing and fingerprinting columns: what every store does with rows.

Bars are keyed by their start; a bar whose start is known and whose values differ is a revision,
and the label counts as a value. Trades and quotes have no key: one stamp may hold several equal
rows, and each stamp keeps the larger number of equal rows of the two sides. Their labels do not
count when merging (the same trade read from two files may be labelled in one of them only; it is
still one trade, and the row that was there first stays).
"""

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from openbell.market.bars import Bars
from openbell.market.columns import Columns, Ints, require_ordered
from openbell.market.errors import UsageError
from openbell.market.instrument import Series
from openbell.market.moments import END_OF_TIME_NS, HOUR_NS, START_OF_TIME_NS
from openbell.market.ticks import Quotes, Trades

C = TypeVar("C", bound=Columns)
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]

_KINDS: dict[str, type[Bars] | type[Trades] | type[Quotes]] = {"trades": Trades, "quotes": Quotes}


@dataclass(frozen=True, slots=True)
class Merged(Generic[C]):
    """What a merge came to.

    Attributes
    ----------
    data
        All rows, in order.
    is_new : bool, shape (n,)
        Which of them came in: those added and those revised.
    revised
        How many of the new ones took the place of a stored one.
    """

    data: C
    is_new: Mask
    revised: int

    @property
    def added(self) -> int:
        """How many rows were not there before."""
        return int(self.is_new.sum()) - self.revised


def columns_of(series: Series) -> type[Bars] | type[Trades] | type[Quotes]:
    """The columns a series is made of: `Bars`, `Trades` or `Quotes`."""
    return _KINDS.get(series.kind, Bars)


def require_sound(data: Columns) -> None:
    """Refuse columns that no store may take.

    Raises
    ------
    UsageError
        If the columns are not of the kind their series says, or the series' name is none.
    UnorderedError
        If keys do not increase: strictly for bars, with repeats for trades and quotes.
    """
    series = data.series
    if Series.parse(str(series)) != series or type(data) is not columns_of(series):
        raise UsageError(f"{type(data).__name__} do not fit the series {series}")
    if series.is_bars:
        require_ordered("bar starts", data.key_ns, strict=True)
    else:
        require_ordered(f"times of {series.kind}", data.key_ns, strict=False)


def merge(stored: C, incoming: C) -> Merged[C]:
    """The stored rows with the incoming ones brought in; both are in order.

    On one stamp the stored trades or quotes come first, the further ones after them in their
    own order.
    """
    if isinstance(stored, Bars):
        return _merge_bars(stored, incoming)
    # Labels come last in every kind; they do not tell one tick from another.
    extra = _beyond(incoming, stored, stored.names()[:-1])
    return _in_order(stored, incoming.take(extra), revised=0)


def difference(before: C, after: C) -> tuple[C, C, C, C]:
    """The rows added, removed, revised (as they were) and revised (as they are).

    Labels count here. Trades and quotes are only ever added or removed.
    """
    if not isinstance(before, Bars):
        added = after.take(_beyond(after, before, after.names()))
        removed = before.take(_beyond(before, after, before.names()))
        return added, removed, before.take(slice(0, 0)), after.take(slice(0, 0))
    old, new = _common(before, after)
    differ = ~_same_rows(before.take(old), after.take(new))
    return (
        after.take(np.delete(np.arange(len(after)), new)),
        before.take(np.delete(np.arange(len(before)), old)),
        before.take(old[differ]),
        after.take(new[differ]),
    )


def without(data: C, start_ns: int, end_ns: int) -> C:
    """The rows outside ``start_ns <= key < end_ns``."""
    key = data.key_ns
    return data.take((key < start_ns) | (key >= end_ns))


def ranks(key_ns: Ints) -> NDArray[np.int32]:
    """The place of each row among the rows of its stamp: 0 for the first. Keys are in order."""
    rows = np.arange(len(key_ns))
    first = np.maximum.accumulate(np.where(_starts_run(key_ns), rows, 0))
    return (rows - first).astype(np.int32)


# The checksum of a series is taken over blocks, so that adding a day costs a month of hashing and
# not ten years of it: months (UTC) where a series is dense, one block where it is not.


def is_dense(series: Series) -> bool:
    """Whether a series is cut into months: trades, quotes, and bars narrower than an hour."""
    return not series.is_bars or 0 < series.timeframe.width_ns < HOUR_NS


def months(key_ns: Ints) -> NDArray[np.datetime64]:
    """The UTC month each key lies in."""
    return key_ns.astype("datetime64[ns]").astype("datetime64[M]")


def block_names(data: Columns) -> list[str]:
    """The names of the blocks the rows lie in, in order: ``2011-03``, or ``all``."""
    if not is_dense(data.series):
        return ["all"] if len(data) else []
    month = months(data.key_ns)
    return [str(name) for name in month[_starts_run(month)]]


def in_blocks(data: C, names: set[str]) -> C:
    """The rows that lie in the blocks `names`."""
    if not is_dense(data.series):
        return data if "all" in names else data.take(slice(0, 0))
    wanted = np.array(sorted(names), dtype="datetime64[M]")
    return data.take(np.isin(months(data.key_ns), wanted))


def block_range(series: Series, first_ns: int, last_ns: int) -> tuple[int, int]:
    """The range of whole blocks that holds both keys; the end is not included."""
    if not is_dense(series):
        return START_OF_TIME_NS, END_OF_TIME_NS
    month = months(np.array([first_ns, last_ns])) + np.array([0, 1])
    start, end = month.astype("datetime64[ns]").astype(np.int64)
    return int(start), int(end)


def blocks(data: Columns) -> dict[str, str]:
    """The SHA-256 of each block by its name: ``2011-03``, or ``all``; empty without rows.

    Taken column after column over little-endian values with one NaN and no negative zero, so
    that equal rows give equal sums wherever and however they were stored.
    """
    if not len(data):
        return {}
    if not is_dense(data.series):
        return {"all": _sum(data)}
    month = months(data.key_ns)
    edges = [*np.flatnonzero(_starts_run(month)).tolist(), len(data)]
    return {str(month[lo]): _sum(data.take(slice(lo, hi))) for lo, hi in pairwise(edges)}


def checksum(named: dict[str, str]) -> str:
    """The checksum of a series from its `blocks`: SHA-256 over their names and sums, in order."""
    text = "".join(f"{name} {digest}\n" for name, digest in sorted(named.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def _merge_bars(stored: C, incoming: C) -> Merged[C]:
    old, new = _common(stored, incoming)
    same = _same_rows(stored.take(old), incoming.take(new))
    stays = np.ones(len(stored), bool)
    stays[old[~same]] = False
    comes = np.ones(len(incoming), bool)
    comes[new[same]] = False
    return _in_order(stored.take(stays), incoming.take(comes), revised=int((~same).sum()))


def _common(a: Columns, b: Columns) -> tuple[Rows, Rows]:
    """The rows of `a` and of `b` whose keys are in both; keys do not repeat."""
    at = np.searchsorted(b.key_ns, a.key_ns)
    shared = _is_among(a.key_ns, b.key_ns)
    return np.flatnonzero(shared), at[shared]


def _is_among(keys: Ints, known: Ints) -> Mask:
    """Which of the keys are in `known`; both are in order, which a set does not make use of."""
    if not len(known):
        return np.zeros(len(keys), bool)
    at = np.searchsorted(known, keys)
    found: Mask = known[np.minimum(at, len(known) - 1)] == keys
    return found


def _same_rows(a: Columns, b: Columns) -> Mask:
    same = np.ones(len(a), bool)
    for x, y in zip(a.columns().values(), b.columns().values(), strict=True):
        same &= _bits(x) == _bits(y)
    return same


def _in_order(stored: C, new: C, *, revised: int) -> Merged[C]:
    both = stored.joined([stored, new])
    is_new = np.arange(len(both)) >= len(stored)
    if len(stored) and len(new) and stored.key_ns[-1] > new.key_ns[0]:
        order = np.argsort(both.key_ns, kind="stable")
        both, is_new = both.take(order), is_new[order]
    return Merged(both, is_new, revised)


def _beyond(rows: C, known: C, names: tuple[str, ...]) -> Mask:
    """Which rows occur more often than in `known`, looking at the columns `names` alone.

    Of equal rows the last ones are those beyond.
    """
    shared = _is_among(rows.key_ns, known.key_ns)
    beyond = ~shared
    if shared.any():
        known = known.take(_is_among(known.key_ns, rows.key_ns))
        beyond[shared] = _repeats_beyond(rows.take(shared), known, names)
    return beyond


def _repeats_beyond(rows: C, known: C, names: tuple[str, ...]) -> Mask:
    if len(rows) == len(known) and _same_rows(rows, known).all():
        return np.zeros(len(rows), bool)  # read again: nothing to sort
    both = rows.joined([known, rows])
    table = [_bits(both.columns()[name]) for name in names]
    # Equal rows come to stand together, those of `known` before the others, both in their order.
    order = np.lexsort(table[::-1])
    is_first = np.zeros(len(order), bool)
    for column in table:
        is_first |= _starts_run(column[order])
    group = np.cumsum(is_first) - 1
    is_known = order < len(known)
    known_of_group = np.bincount(group, weights=is_known)[group]
    place = np.arange(len(order)) - np.flatnonzero(is_first)[group]
    beyond = np.empty(len(order), bool)
    beyond[order] = place >= 2 * known_of_group
    return beyond[len(known) :]


def _starts_run(column: NDArray[Any]) -> Mask:
    """Which values differ from the one before them; the first one does."""
    starts = np.ones(len(column), bool)
    starts[1:] = column[1:] != column[:-1]
    return starts


def _canonical(column: NDArray[Any]) -> NDArray[Any]:
    if column.dtype.kind == "f":
        column = column + 0.0  # makes a positive zero of a negative one
        column[np.isnan(column)] = np.nan
    return column.astype(column.dtype.newbyteorder("<"), copy=False)


def _bits(column: NDArray[Any]) -> NDArray[Any]:
    canonical = _canonical(column)
    return canonical.view(np.int64) if canonical.dtype.kind == "f" else canonical


def _sum(data: Columns) -> str:
    digest = hashlib.sha256()
    for column in data.columns().values():
        digest.update(np.ascontiguousarray(_canonical(column)).data)
    return digest.hexdigest()
