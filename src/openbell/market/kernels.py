"""Compiled loops over the columns of bars and trades.

Sums run in order of time, one term after the other, so that a bar built here and one built step
by step agree to the last bit; numpy's pairwise sums would not.
"""

from typing import Any

import numpy as np
from numba import njit

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
    row: Ints,
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
    for i in range(len(at_ns)):
        r = row[i]
        if r >= 0:
            starts[i], ends[i] = _bin(
                at_ns[i], open_ns[r], close_ns[r], pre_ns[r], post_ns[r], width_ns
            )
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
    n = len(bin_start)
    start, end, count = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    o, h, lo, c, v = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    bits: Any = np.empty(n, np.int32)
    k = -1
    for i in range(n):
        if bin_start[i] == -1:
            continue
        if k < 0 or bin_start[i] != start[k]:
            k += 1
            start[k], end[k] = bin_start[i], bin_end[i]
            o[k], h[k], lo[k], c[k], v[k] = open[i], high[i], low[i], close[i], volume[i]
            bits[k], count[k] = label[i], 1
            continue
        if high[i] > h[k]:
            h[k] = high[i]
        if low[i] < lo[k]:
            lo[k] = low[i]
        c[k] = close[i]
        v[k] += volume[i]
        bits[k] |= label[i]
        count[k] += 1
    m = k + 1
    return start[:m], end[:m], o[:m], h[:m], lo[:m], c[:m], v[:m], bits[:m], count[:m]
