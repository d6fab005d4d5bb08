"""Row hygiene: what is refused, dropped, sorted or labelled when rows enter. One place for all.

Every source hands its raw rows, in the order of the file, to `clean`; what belongs together and
comes from several files is put together with `join`.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from openbell.market.bars import Bars
from openbell.market.columns import (
    CONFLICTING,
    CORRUPT,
    NON_POSITIVE,
    UNORDERED,
    Columns,
    Floats,
    Ints,
)
from openbell.market.errors import BadDataError
from openbell.market.merge import merge
from openbell.market.moments import DAY_NS, MINUTE_NS, SECOND_NS
from openbell.market.ticks import Quotes, Trades
from openbell.market.timeframe import CODES, Timeframe, timeframe

Mask = NDArray[np.bool_]
D = TypeVar("D", bound=Columns)

_PRICES = frozenset({"open", "high", "low", "close", "price", "bid", "ask"})
_CROSSED = 1.1  # a bid above the ask by more than a tenth is an error of the source, no market
_MONTH_NS = 28 * DAY_NS


@dataclass(frozen=True, slots=True)
class Cleaned(Generic[D]):
    """Rows fit to be stored, and what was done to get there.

    Attributes
    ----------
    data
        In order, labelled, for bars without repeats.
    repeated, conflicting
        Bars dropped because a later one of the same start said the same, or something else.
    unordered
        Rows that stood before their place and were sorted in.
    rejected
        Rule broken, by the row's position in what was given; in order.
    """

    data: D
    repeated: int
    conflicting: int
    unordered: int
    rejected: dict[int, str]


def clean(data: D, refused: Mapping[int, str] | None = None) -> Cleaned[D]:
    """Refuse, sort and label raw rows.

    Refused are rows that break a rule of their kind (`_bar_faults`, `_trade_faults`,
    `_quote_faults`). Labelled are corrupt, non-positive, conflicting and unordered ones, see
    `columns`. Of bars with one start the last is kept. Trades and quotes may repeat: none is
    dropped, for two equal prints cannot be told from one printed twice.

    Parameters
    ----------
    data
        Rows as they stood in the source; labels already set are kept.
    refused
        Rules broken, by position, of rows the source could not even read.
    """
    rejected = dict(refused or {})
    for mask, rule in _faults(data):
        for row in np.flatnonzero(mask).tolist():
            rejected.setdefault(row, rule(row))
    if rejected:
        good = np.ones(len(data), np.bool_)
        good[list(rejected)] = False
        data = data.take(good)
    unordered = _is_unordered(data.key_ns)
    label = data.columns()["label"] | _labels(data) | np.where(unordered, UNORDERED, 0)
    kept, repeated, conflicting = _last_of_each(_in_order(_labelled(data, label)))
    return Cleaned(
        kept, repeated, conflicting, int(unordered.sum()), dict(sorted(rejected.items()))
    )


def join(parts: Sequence[D]) -> Cleaned[D]:
    """The rows of several files of one series as one; each part is clean and in order.

    Of bars with one start the one of the later part is kept. A trade or quote that stands in
    several parts is kept as often as in the part that has it most, so that files that overlap
    do not double it.
    """
    whole = type(parts[0]).joined(list(parts))
    if isinstance(whole, Bars):
        kept, repeated, conflicting = _last_of_each(_in_order(whole))
        return Cleaned(kept, repeated, conflicting, 0, {})
    runs: list[D] = []
    for part in sorted((p for p in parts if len(p)), key=lambda part: int(part.key_ns[0])):
        if runs and part.key_ns[0] <= runs[-1].key_ns[-1]:
            runs[-1] = merge(runs[-1], part).data
        else:
            runs.append(part)
    joined = type(whole).joined(runs or [whole])
    return Cleaned(joined, len(whole) - len(joined), 0, 0, {})


def is_newest_first(key_ns: Ints) -> bool:
    """Whether rows run mostly backwards in time."""
    steps = np.diff(key_ns)
    return int((steps < 0).sum()) > int((steps > 0).sum())


def check_spacing(what: str, start_ns: Ints, expected: Timeframe) -> None:
    """Raise `BadDataError` if bars named `what` cannot be of the timeframe they are taken for.

    More than one start in ten that follows sooner than the width says so, or, among ten bars
    and more, no two starts closer than twice the width. The starts are in order.
    """
    steps = np.diff(start_ns)
    if not len(steps):
        return
    width_ns = expected.width_ns or _MONTH_NS
    # A day may have 23 hours; a week or month of sessions may start late.
    shortest_ns = width_ns if expected.is_intraday else width_ns * 7 // 10
    too_close = int((steps < shortest_ns).sum()) * 10 > len(steps)
    too_far = len(steps) >= 9 and int(steps.min()) >= 2 * width_ns
    if too_close or too_far:
        usual = usual_spacing(start_ns)
        raise BadDataError(
            f"{what} is taken for {expected} bars, but its rows are {usual} apart",
            hint=f"name the series /{usual}" if usual in CODES else "leave the spacing unchecked",
        )


def usual_spacing(start_ns: Ints) -> str:
    """How far starts are apart most often, as a timeframe's code if it is one: ``1m``."""
    values, counts = np.unique(np.diff(start_ns), return_counts=True)
    return _named(int(values[counts.argmax()]))


def _named(width_ns: int) -> str:
    for code in CODES:
        if timeframe(code).width_ns == width_ns:
            return code
    if width_ns % MINUTE_NS == 0:
        return f"{width_ns // MINUTE_NS}m"
    return f"{width_ns / SECOND_NS:g}s"


def _labelled(data: D, label: Ints) -> D:
    return type(data)(data.series, **(data.columns() | {"label": label}))


def _in_order(data: D) -> D:
    if not np.any(np.diff(data.key_ns) < 0):
        return data
    return data.take(np.argsort(data.key_ns, kind="stable"))


def _is_unordered(key_ns: Ints) -> Mask:
    """Which rows to take out so that the rest is in order; as few as can be."""
    unordered = np.zeros(len(key_ns), np.bool_)
    if not np.any(np.diff(key_ns) < 0):
        return unordered
    highest = np.maximum.accumulate(key_ns)
    lowest_after = np.minimum.accumulate(key_ns[::-1])[::-1]
    # Between two cuts everything stays on its side: only stretches out of order are looked at.
    cuts = np.flatnonzero(highest[:-1] <= lowest_after[1:]) + 1
    edges = np.r_[0, cuts, len(key_ns)]
    for n in np.flatnonzero(np.diff(edges) > 1).tolist():
        lo, hi = int(edges[n]), int(edges[n + 1])
        unordered[lo:hi] = _outside_longest_run(key_ns[lo:hi].tolist())
    return unordered


def _outside_longest_run(keys: list[int]) -> Mask:
    """Which keys do not belong to a longest subsequence that never decreases."""
    tails: list[int] = []
    length = np.empty(len(keys), np.int64)
    for n, key in enumerate(keys):
        at = bisect_right(tails, key)
        tails[at : at + 1] = [key]
        length[n] = at
    outside = np.ones(len(keys), np.bool_)
    wanted, bound = len(tails) - 1, tails[-1]
    for n in range(len(keys) - 1, -1, -1):
        if length[n] == wanted and keys[n] <= bound:
            outside[n] = False
            wanted, bound = wanted - 1, keys[n]
    return outside


def _last_of_each(data: D) -> tuple[D, int, int]:
    """Of sorted bars the last of each start, and how many dropped ones agreed and disagreed."""
    if not isinstance(data, Bars) or len(data) < 2:
        return data, 0, 0
    is_last = np.r_[data.start_ns[1:] != data.start_ns[:-1], True]
    if is_last.all():
        return data, 0, 0
    dropped = np.flatnonzero(~is_last)
    winner = np.flatnonzero(is_last)[np.searchsorted(np.flatnonzero(is_last), dropped)]
    differs = np.zeros(len(dropped), np.bool_)
    for name, column in data.columns().items():
        if name != "label":
            differs |= column[dropped] != column[winner]
    label = data.label.copy()
    label[winner[differs]] |= CONFLICTING
    kept = _labelled(data, label).take(is_last)
    return kept, int((~differs).sum()), int(differs.sum())


def _labels(data: Columns) -> Ints:
    """What can be told of a row by itself: corrupt, non-positive."""
    corrupt: Mask = np.zeros(len(data), np.bool_)
    if isinstance(data, Bars):
        corrupt = _outside(data.open, data) | _outside(data.close, data)
    elif isinstance(data, Quotes):
        corrupt = data.bid > data.ask * _CROSSED
    non_positive = np.zeros(len(data), np.bool_)
    for name in _PRICES.intersection(data.names()):
        non_positive |= data.columns()[name] <= 0
    label: Ints = CORRUPT * corrupt.astype(np.int64) + NON_POSITIVE * non_positive
    return label


def _outside(price: Floats, bars: Bars) -> Mask:
    return (price < bars.low) | (price > bars.high)


Fault = tuple[Mask, Callable[[int], str]]


def _faults(data: Columns) -> Iterator[Fault]:
    """Masks of rows that break a rule, each with what to say of a row; the first one counts."""
    if isinstance(data, Bars):
        yield from _bar_faults(data)
    elif isinstance(data, Trades):
        yield from _trade_faults(data)
    elif isinstance(data, Quotes):
        yield from _quote_faults(data)


def _bar_faults(bars: Bars) -> Iterator[Fault]:
    for name in ("open", "high", "low", "close", "volume"):
        yield _not_finite(bars, name)
    yield (
        bars.high < bars.low,
        lambda row: f"high {bars.high[row]:.10g} is below low {bars.low[row]:.10g}",
    )
    yield _negative(bars, "volume")
    yield bars.end_ns <= bars.start_ns, lambda _: "the bar covers no time"


def _trade_faults(trades: Trades) -> Iterator[Fault]:
    yield _not_finite(trades, "price")
    yield _not_finite(trades, "size")
    yield _negative(trades, "size")


def _quote_faults(quotes: Quotes) -> Iterator[Fault]:
    """A price may be missing, as NaN, where its size is 0: that side is not quoted."""
    for side in ("bid", "ask"):
        size = f"{side}_size"
        price = getattr(quotes, side)
        yield _not_finite(quotes, size)
        yield _negative(quotes, size)
        is_absent = np.isnan(price) & (getattr(quotes, size) == 0)
        yield ~np.isfinite(price) & ~is_absent, _says(price, side, "is no finite number")


def _not_finite(data: Columns, name: str) -> Fault:
    column = getattr(data, name)
    return ~np.isfinite(column), _says(column, name, "is no finite number")


def _negative(data: Columns, name: str) -> Fault:
    column = getattr(data, name)
    return column < 0, _says(column, name, "is negative")


def _says(column: Floats, name: str, what: str) -> Callable[[int], str]:
    return lambda row: f"{name.replace('_', ' ')} {column[row]:.10g} {what}"
