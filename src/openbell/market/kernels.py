"""Compiled loops over the columns of bars and trades.

Sums run in order of time, one term after the other, so that a bar built here and one built step
by step agree to the last bit; numpy's pairwise sums would not.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openbell.market.columns import Floats, Ints

Widened = tuple[Ints, Ints, Floats, Floats, Floats, Floats, Floats, Ints, Ints]


@njit(cache=True, nogil=True, inline="always")
def _bin(
    at_ns: int, open_ns: int, close_ns: int, pre_ns: int, post_ns: int, width_ns: int
) -> tuple[int, int]:
    if at_ns < open_ns:
        lo, hi = pre_ns, open_ns
    elif at_ns < close_ns:
        lo, hi = open_ns, close_ns
    else:
        lo, hi = close_ns, post_ns
    start = open_ns + (at_ns - open_ns) // width_ns * width_ns
    return max(start, lo), min(start + width_ns, hi)


@njit(cache=True, nogil=True)
def table_bins(
    at_ns: Ints,
    row: NDArray[np.integer[Any]],
    open_ns: Ints,
    close_ns: Ints,
    pre_ns: Ints,
    post_ns: Ints,
    width_ns: int,
) -> tuple[Ints, Ints]:
    """Start and end of the bin of each moment; -1 where `row`, its session, is -1.

    Widths are counted from the session's open, before it and after its close too; no bin reaches
    over the session's open, close, pre or post. The columns after `row` are those of sessions.
    """
    starts = np.full(len(at_ns), -1, np.int64)
    ends = np.full(len(at_ns), -1, np.int64)
    start, end, found_for = 0, 0, -1
    for i in range(len(at_ns)):
        at, r = at_ns[i], row[i]
        if r < 0:
            continue
        if r != found_for or not start <= at < end:  # most lie in the bin of the one before
            start, end = _bin(at, open_ns[r], close_ns[r], pre_ns[r], post_ns[r], width_ns)
            found_for = r
        starts[i], ends[i] = start, end
    return starts, ends


@njit(cache=True, nogil=True)
def widen_columns(
    bin_start: Ints,
    bin_end: Ints,
    open: Floats,  # noqa: A002  # a column's name
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    label: Ints,
) -> Widened:
    """One wide bar for each bin that holds a row, in order of time.

    Parameters
    ----------
    bin_start, bin_end : shape (n,)
        The bin of each row; rows of one bin stand together, rows at -1 are left out.
    open, high, low, close, volume, label : shape (n,)
        The columns of the narrow bars; for trades the price four times, and the size.

    Returns
    -------
    tuple
        start, end, open, high, low, close, volume, label (the bits of all rows) and the number
        of rows of each wide bar.
    """
    m = _count_bins(bin_start)
    start, end, count = np.empty(m, np.int64), np.empty(m, np.int64), np.empty(m, np.int64)
    o, h, lo, c, v = np.empty(m), np.empty(m), np.empty(m), np.empty(m), np.empty(m)
    bits: Any = np.empty(m, np.int32)
    k, newest = -1, -1
    highest, lowest, total, joined, rows = 0.0, 0.0, 0.0, np.int32(0), 0
    for i in range(len(bin_start)):
        if bin_start[i] == -1:
            continue
        if bin_start[i] != newest:
            k += 1
            newest = start[k] = bin_start[i]
            end[k], o[k] = bin_end[i], open[i]
            highest, lowest, total, joined, rows = high[i], low[i], volume[i], label[i], 1
        else:
            if high[i] > highest:
                highest = high[i]
            if low[i] < lowest:
                lowest = low[i]
            total += volume[i]
            joined |= label[i]
            rows += 1
        h[k], lo[k], c[k], v[k], bits[k], count[k] = highest, lowest, close[i], total, joined, rows
    return start, end, o, h, lo, c, v, bits, count


@njit(cache=True, nogil=True)
def _count_bins(bin_start: Ints) -> int:
    """How many bins hold a row; rows at -1 are left out."""
    found, newest = 0, -1
    for start in bin_start:
        if start != -1 and start != newest:
            newest = start
            found += 1
    return found
