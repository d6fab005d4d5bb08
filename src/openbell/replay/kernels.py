"""Compiled loops that prepare a chunk of sessions: merge, positions, records, session figures."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openbell.market.columns import CORRUPT, Floats, Ints

# The kinds of records, in the order they take at one moment (session-engine rule 4).
# An aside tells what arrived live and was not released as data; it comes after all data.
OPEN, BAR, DERIVED, REVISION, QUOTE, TRADE, CLOSE, ASIDE = range(8)


@njit(cache=True, nogil=True)
def merge_on_grid(known: Ints, first: int, step: int, cells: int) -> Ints:
    """The stable order of `known`, whose values lie on ``first + k * step``: a counting sort.

    Empty if a value lies off that grid.
    """
    n = len(known)
    cell_of = np.empty(n, np.int32)
    counts = np.zeros(cells + 1, np.int64)
    for i in range(n):
        cell = (known[i] - first) // step
        if first + cell * step != known[i]:
            return np.empty(0, np.int64)
        cell_of[i] = cell
        counts[cell + 1] += 1
    for cell in range(cells):
        counts[cell + 1] += counts[cell]
    order = np.empty(n, np.int64)
    for i in range(n):
        order[counts[cell_of[i]]] = i
        counts[cell_of[i]] += 1
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
def cut_slices(order: Ints, known: Ints, phase: Ints, session: Ints) -> Ints:
    """Where slices begin in merged records: at a new moment or phase; each roll stands alone."""
    n = len(order)
    starts = np.empty(n + 1, np.int64)
    found = 0
    before = -1
    for k in range(n):
        i = order[k]
        rolls = phase[i] == 1 or phase[i] == 2
        if (
            before < 0
            or known[i] != known[before]
            or phase[i] != phase[before]
            or (rolls and session[i] != session[before])
        ):
            starts[found] = k
            found += 1
        before = i
    starts[found] = n
    return starts[: found + 1].copy()


@njit(cache=True, nogil=True)
def place_rows(order: Ints, bounds: Ints) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """Where each row stands in merged order, and of which track each merged record is.

    Parameters
    ----------
    bounds : shape (tracks + 1,)
        Where each track's rows begin among the rows that `order` sorts; what comes after the
        last belongs to no track: -1.
    """
    place = np.empty(len(order), np.int32)
    for k in range(len(order)):
        place[order[k]] = k
    track = np.full(len(order), -1, np.int16)
    for t in range(len(bounds) - 1):
        for i in range(bounds[t], bounds[t + 1]):
            track[place[i]] = t
    return place, track


@njit(cache=True, nogil=True)
def count_rows(starts: Ints, track: NDArray[np.int16], tracks: int) -> NDArray[np.int32]:
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
def lay_records(
    records: Ints,
    place: NDArray[np.int32],
    meta: int,
    session: Ints,
    known: Ints,
    a: Ints,
    b: Ints,
    c: Ints,
    d: Ints,
    e: Ints,
    f: Ints,
) -> None:
    """Write the canonical records of one track to their places in merged order.

    A record is 8 words: meta and session, known, then the columns `a` to `f`, of which `e` and
    `f` may be empty.
    """
    for i in range(len(place)):
        at = place[i]
        records[at, 0] = meta | session[i]
        records[at, 1] = known[i]
        records[at, 2] = a[i]
        records[at, 3] = b[i]
        records[at, 4] = c[i]
        records[at, 5] = d[i]
        records[at, 6] = e[i] if len(e) else 0
        records[at, 7] = f[i] if len(f) else 0


@njit(cache=True, nogil=True)
def sort_out_bars(
    start: Ints,
    end: Ints,
    label: Ints,
    opens: Ints,
    closes: Ints,
    ordinals: Ints,
    break_starts: Ints,
    break_ends: Ints,
    clips: bool,  # noqa: FBT001  # kernels take no keywords
) -> tuple[Ints, Ints, int, int, int]:
    """The session each bar starts in, and when it is known: at its end, or at the close before.

    Parameters
    ----------
    start, end, label : shape (n,)
        Of bars, in order.
    opens, closes, ordinals, break_starts, break_ends
        Of one calendar's sessions, in order.
    clips
        Whether a bar is known at the close at the latest.

    Returns
    -------
    tuple
        Ordinals, -1 for a corrupt bar and for one outside of all sessions or wholly in a break;
        moments; how many bars are corrupt; how many are neither that nor outside; the first bar
        known before the one before it, or -1.
    """
    n = len(start)
    session = np.full(n, -1, np.int64)
    known = end.copy()
    corrupt, kept, unordered = 0, 0, -1
    newest = opens[0] if len(opens) else 0
    s, b = -1, -1
    for i in range(n):
        while s + 1 < len(opens) and opens[s + 1] <= start[i]:
            s += 1
        while b + 1 < len(break_starts) and break_starts[b + 1] <= start[i]:
            b += 1
        if label[i] & CORRUPT:
            corrupt += 1
        elif s >= 0 and start[i] < closes[s] and not (b >= 0 and end[i] <= break_ends[b]):
            session[i] = ordinals[s]
            kept += 1
            if clips and closes[s] < known[i]:
                known[i] = closes[s]
            if known[i] < newest and unordered < 0:
                unordered = i
            newest = known[i]
    return session, known, corrupt, kept, unordered


@njit(cache=True, nogil=True)
def heard(events: Ints, expected: NDArray[np.bool_], least: float) -> NDArray[np.bool_]:
    """In which slots of a session a stream was alive, as could be told at each slot's end.

    It is alive from its first event on, but not in a silence that is improbable by the rate of
    empty slots before it; improbable silences do not count towards that rate.

    Parameters
    ----------
    events : shape (slots,)
        How many there are in each slot.
    expected
        Slots in which something may happen; the others are passed over.
    least
        The probability below which a silence is improbable.
    """
    alive = np.zeros(len(events), np.bool_)
    slots, empty, silence = 0, 0, 0
    chance = 1.0
    for k in range(len(events)):
        if not expected[k]:
            continue
        if events[k]:
            if chance >= least:
                empty += silence
                slots += silence
            slots += 1
            silence, chance = 0, 1.0
        else:
            silence += 1
            chance *= (empty + 1) / (slots + 2)
        alive[k] = slots > 0 and chance >= least
    return alive


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
