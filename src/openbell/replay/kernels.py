"""Compiled loops that prepare a chunk of sessions: merge, positions, records, session figures."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openbell.market.columns import CORRUPT, Floats, Ints

# The kinds of records, in the order they take at one moment (session-engine rule 4).
# An aside tells what arrived live and was not released as data; it comes after all data.
OPEN, BAR, DERIVED, REVISION, QUOTE, TRADE, CLOSE, ASIDE = range(8)
# A rank orders what becomes known at one moment: the phase, then the ordinal of the session. Phase
# 0 are rows, 1 closings, 2 openings, 3 rows that come after the opening they are stamped with.
PHASE_SHIFT = 24

Places = NDArray[np.int32]
Ordinals = NDArray[np.int32]  # of sessions
# Where slices begin in merged order and where the last ends; the moment of each; the place in
# merged order of each record.
Merged = tuple[Places, Ints, Places]


@njit(cache=True, nogil=True)
def merge_on_grid(known: Ints, rank: Ordinals, first: int, step: int, cells: int) -> Merged:
    """Merge records whose moments lie on ``first + k * step`` by counting; nothing if one is off.

    Stable, by moment and rank.
    """
    place = _cells(known, first, step)  # at first the cell of each
    n = len(place)
    ends = np.zeros(cells + 1, np.int32)
    for i in range(n):
        ends[place[i] + 1] += 1
    for cell in range(cells):
        ends[cell + 1] += ends[cell]
    begins, highest = np.zeros(n, np.bool_), np.full(cells, -1, np.int32)
    is_in_order = True
    for i in range(n):
        cell = place[i]
        place[i] = ends[cell]
        ends[cell] += 1  # from where the cell begins on to where it ends
        if rank[i] != highest[cell]:
            is_in_order &= rank[i] > highest[cell]
            begins[place[i]] = _is_apart(rank[i], highest[cell])
            highest[cell] = rank[i]
    if not is_in_order:
        order = np.empty(n, np.int32)
        for i in range(n):
            order[place[i]] = i
        return merge_in_order(order, known, rank)
    starts = _starts(begins)
    moments = np.empty(len(starts) - 1, np.int64)
    cell = 0
    for k in range(len(moments)):
        while ends[cell] <= starts[k]:
            cell += 1
        moments[k] = first + cell * step
    return starts, moments, place


@njit(cache=True, nogil=True)
def merge_in_order(order: Places, known: Ints, rank: Ordinals) -> Merged:
    """Merge records that `order` puts in order of time; it gets the order by rank as well."""
    settle_ties(order, known, rank)
    n = len(order)
    place, begins = np.empty(n, np.int32), np.empty(n, np.bool_)
    moment, before = known[order[0]], -1
    for k in range(n):
        i = order[k]
        place[i] = k
        begins[k] = known[i] != moment or _is_apart(rank[i], before)
        moment, before = known[i], rank[i]
    starts = _starts(begins)
    return starts, known[order[starts[:-1]]], place


@njit(cache=True, nogil=True)
def _cells(known: Ints, first: int, step: int) -> Places:
    """By how many steps each moment lies after the first; nothing if one lies between two."""
    cell_of = np.empty(len(known), np.int32)
    cell, moment = 0, first
    for i in range(len(known)):
        if known[i] == moment + step:  # mostly so, and quicker than to divide
            cell, moment = cell + 1, moment + step
        elif known[i] != moment:
            cell = (known[i] - first) // step
            moment = first + cell * step
            if known[i] != moment:
                return cell_of[:0]
        cell_of[i] = cell
    return cell_of


@njit(cache=True, nogil=True, inline="always")
def _is_apart(rank: int, before: int) -> bool:
    """Whether a slice begins within a moment: at another phase; each roll stands alone."""
    phase = rank >> PHASE_SHIFT
    return phase != before >> PHASE_SHIFT or (0 < phase < 3 and rank != before)


@njit(cache=True, nogil=True)
def _starts(begins: NDArray[np.bool_]) -> Places:
    """Where slices begin, and where the last ends."""
    starts = np.empty(begins.sum() + 1, np.int32)
    starts[-1] = len(begins)
    found = 0
    for k in range(len(begins)):
        if begins[k]:
            starts[found] = k
            found += 1
    return starts


@njit(cache=True, nogil=True)
def settle_ties(order: Places, known: Ints, rank: Ordinals) -> None:
    """Within one moment, put `order` by rank; stable, and quick where it is so."""
    begin, moment, highest = 0, known[order[0]], rank[order[0]]
    for k in range(1, len(order)):
        i = order[k]
        if known[i] != moment:
            begin, moment, highest = k, known[i], rank[i]
        elif rank[i] >= highest:
            highest = rank[i]
        else:
            at = k
            while at > begin and rank[order[at - 1]] > rank[i]:
                order[at] = order[at - 1]
                at -= 1
            order[at] = i


@njit(cache=True, nogil=True)
def count_rows(starts: Places, place: Places, bounds: Ints) -> Places:
    """How many rows of each track are known at each slice, itself included: (tracks, slices).

    Parameters
    ----------
    starts : shape (slices + 1,)
        Where each slice begins in merged order.
    place, bounds : shape (rows,) and (tracks + 1,)
        Where each row stands in merged order; where each track's rows begin among them.
    """
    counts = np.empty((len(bounds) - 1, len(starts) - 1), np.int32)
    for t in range(len(bounds) - 1):
        row = bounds[t]
        for i in range(len(starts) - 1):
            while row < bounds[t + 1] and place[row] < starts[i + 1]:
                row += 1
            counts[t, i] = row - bounds[t]
    return counts


@njit(cache=True, nogil=True)
def lay_records(
    records: Ints,
    place: Places,
    meta: int,
    session: Ordinals,
    known: Ints,
    key: Ints,
    b: Floats,
    c: Floats,
    d: Floats,
    e: Floats,
    f: Floats,
) -> None:
    """Write the canonical records of one track to their places in merged order.

    A record is 8 words: meta and session, known, key, then the bits of the columns `b` to `f`, of
    which `e` and `f` may be empty.
    """
    bits = records.view(np.float64)
    for i in range(len(place)):
        at = place[i]
        records[at, 0] = meta | session[i]
        records[at, 1] = known[i]
        records[at, 2] = key[i]
        bits[at, 3] = b[i]
        bits[at, 4] = c[i]
        bits[at, 5] = d[i]
        bits[at, 6] = e[i] if len(e) else 0.0
        bits[at, 7] = f[i] if len(f) else 0.0


@njit(cache=True, nogil=True)
def sort_out_bars(
    start: Ints,
    end: Ints,
    label: Ints,
    opens: Ints,
    closes: Ints,
    ordinals: Ordinals,
    break_starts: Ints,
    break_ends: Ints,
    clips: bool,  # noqa: FBT001  # kernels take no keywords
) -> tuple[Ordinals, int, int, int, int]:
    """The session each bar starts in; it is known at its end, or at the close before.

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
        how many bars are corrupt; how many are neither that nor outside; how many of those are
        known before their end; the first bar known before the one before it, or -1.
    """
    n = len(start)
    session = np.full(n, -1, np.int32)
    corrupt, kept, over, unordered = 0, 0, 0, -1
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
            known = end[i]
            if clips and closes[s] < known:
                known = closes[s]
                over += 1
            if known < newest and unordered < 0:
                unordered = i
            newest = known
    return session, corrupt, kept, over, unordered


@njit(cache=True, nogil=True)
def are_like(start: Ints, end: Ints, label: Ints, other_start: Ints, other_end: Ints) -> bool:
    """Whether bars start and end as others do, as many, and none is corrupt."""
    if len(start) != len(other_start):
        return False
    differs = 0
    for i in range(len(start)):
        differs |= (start[i] ^ other_start[i]) | (end[i] ^ other_end[i]) | (label[i] & CORRUPT)
    return differs == 0


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
    session: Ordinals, high: Floats, low: Floats, volume: Floats
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
