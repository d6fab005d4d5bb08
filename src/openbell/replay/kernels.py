"""Compiled loops that prepare a chunk of sessions: merge, positions, records, session figures."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openbell.market.columns import Floats, Ints

# The kinds of records, in the order they take at one moment (session-engine rule 4).
OPEN, BAR, DERIVED, REVISION, QUOTE, TRADE, CLOSE = range(7)


@njit(cache=True, nogil=True)
def merge_on_grid(known: Ints, first: int, step: int, cells: int) -> Ints:
    """The stable order of `known`, whose values lie on ``first + k * step``: a counting sort."""
    counts = np.zeros(cells + 1, np.int64)
    for value in known:
        counts[(value - first) // step + 1] += 1
    for cell in range(cells):
        counts[cell + 1] += counts[cell]
    order = np.empty(len(known), np.int64)
    for i in range(len(known)):
        cell = (known[i] - first) // step
        order[counts[cell]] = i
        counts[cell] += 1
    return order


@njit(cache=True, nogil=True)
def settle_ties(order: Ints, known: Ints, phase: Ints, session: Ints) -> None:
    """Within one moment, put `order` by phase, then session; stable, and quick where it is so."""
    begin = 0
    for k in range(1, len(order)):
        i = order[k]
        if known[i] != known[order[begin]]:
            begin = k
        at = k
        while at > begin:
            j = order[at - 1]
            if phase[j] < phase[i] or (phase[j] == phase[i] and session[j] <= session[i]):
                break
            order[at] = j
            at -= 1
        order[at] = i


@njit(cache=True, nogil=True)
def cut_slices(known: Ints, phase: Ints, session: Ints) -> Ints:
    """Where slices begin in merged records: at a new moment or phase; each roll stands alone."""
    n = len(known)
    starts = np.empty(n + 1, np.int64)
    found = 0
    for i in range(n):
        rolls = phase[i] == 1 or phase[i] == 2
        if (
            i == 0
            or known[i] != known[i - 1]
            or phase[i] != phase[i - 1]
            or (rolls and session[i] != session[i - 1])
        ):
            starts[found] = i
            found += 1
    starts[found] = n
    return starts[: found + 1]


@njit(cache=True, nogil=True)
def count_rows(starts: Ints, track: Ints, tracks: int) -> NDArray[np.int32]:
    """How many rows of each track are known at each slice, itself included: (tracks, slices)."""
    slices = len(starts) - 1
    counts = np.empty((tracks, slices), np.int32)
    known = np.zeros(tracks, np.int32)
    for i in range(slices):
        for k in range(starts[i], starts[i + 1]):
            if track[k] >= 0:
                known[track[k]] += 1
        for t in range(tracks):
            counts[t, i] = known[t]
    return counts


@njit(cache=True, nogil=True)
def lay_records(order: Ints, meta: Ints, known: Ints, values: Ints, records: Ints) -> None:
    """Write canonical records in merged order: 8 words each: meta, known, start, five values."""
    for k in range(len(order)):
        i = order[k]
        records[k, 0] = meta[i]
        records[k, 1] = known[i]
        for word in range(6):
            records[k, word + 2] = values[word, i]


@njit(cache=True, nogil=True)
def walk_sessions(
    session: Ints, high: Floats, low: Floats, volume: Floats
) -> tuple[Floats, Floats, Floats]:
    """Volume, high and low of the session so far, after each row; volume in order of time."""
    n = len(session)
    total = np.empty(n, np.float64)
    highest = np.empty(n, np.float64)
    lowest = np.empty(n, np.float64)
    for i in range(n):
        if i == 0 or session[i] != session[i - 1]:
            total[i] = volume[i]
            highest[i] = high[i]
            lowest[i] = low[i]
        else:
            total[i] = total[i - 1] + volume[i]
            highest[i] = max(highest[i - 1], high[i])
            lowest[i] = min(lowest[i - 1], low[i])
    return total, highest, lowest
