"""A chunk: some sessions prepared in columns, ready to be released slice by slice.

1. Every feed hands over its rows that become known within the chunk (`feed.py`).
2. Derived bars are built from base rows whose interval ends within the chunk.
3. All rows, and the openings and closings of sessions, are merged into one order (rule 4).
4. Rows of one moment make a slice; canonical records are laid out for the tape.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openbell.market.columns import Columns, Ints
from openbell.market.moments import MINUTE_NS, SECOND_NS
from openbell.replay import kernels
from openbell.replay.agenda import Agenda, Played

_WORDS = 8  # of 8 bytes in a canonical record
_KIND_SHIFT, _FRAME_SHIFT, _INSTRUMENT_SHIFT = 56, 48, 32


class Rows(NamedTuple):
    """The rows of one track within a chunk.

    Attributes
    ----------
    data
        Their columns.
    known_ns : int64, shape (n,)
        When each becomes known; does not decrease.
    session : int64, shape (n,)
        Ordinal of the session each belongs to.
    present : int64, shape (n,)
        Of how many base bars each derived bar is made; None for base data.
    """

    data: Columns
    known_ns: Ints
    session: Ints
    present: Ints | None = None


class Track(NamedTuple):
    """One stream of rows in a replay: base bars, derived bars, quotes or trades of an instrument.

    Attributes
    ----------
    kind
        `kernels.BAR`, `DERIVED`, `QUOTE` or `TRADE`.
    instrument
        Ordinal of the instrument, as registered.
    frame
        0 for base data; derived timeframes count from 1.
    """

    kind: int
    instrument: int
    frame: int


class Step(NamedTuple):
    """A part of a chunk's programme: play slices ``[begin, end)``, or open or close a session.

    Attributes
    ----------
    kind
        `kernels.OPEN`, `kernels.CLOSE`, or `kernels.BAR` for slices to play.
    played
        The session that opens or closes; None for slices.
    """

    kind: int
    begin: int
    end: int
    played: Played | None


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some sessions, prepared.

    Attributes
    ----------
    rows
        By track, the rows of this chunk.
    times_ns
        The moment of each slice.
    starts : int64, shape (slices + 1,)
        Where each slice's records begin in merged order.
    track, row : shape (records,)
        Track of each record (-1 for an opening or closing) and its row within the track.
    counts : int32, shape (tracks, slices)
        How many rows of a track are known at a slice, that slice included.
    records
        The canonical bytes of all records, in order.
    ends
        Where each slice ends in `records`.
    steps
        The programme, in order.
    """

    rows: tuple[Rows, ...]
    times_ns: list[int]
    starts: Ints
    track: Ints
    row: Ints
    counts: NDArray[np.int32]
    records: memoryview
    ends: list[int]
    steps: tuple[Step, ...]


def prepare(
    tracks: Sequence[Track], rows: Sequence[Rows], agenda: Agenda, after_ns: int, until_ns: int
) -> Chunk:
    """Merge the rows of all tracks with the sessions' openings and closings.

    Parameters
    ----------
    rows
        By track: those that become known after `after_ns`, up to and including `until_ns`. Rows
        known at the very opening of a session that opens at `until_ns` belong to the next chunk.
    """
    rolls = _rolls(agenda, after_ns, until_ns)
    known = np.concatenate([*(r.known_ns for r in rows), rolls.known_ns])
    session = np.concatenate([*(r.session for r in rows), rolls.session])
    phase = np.concatenate([*(_phase(r, agenda) for r in rows), rolls.phase])
    order = merge_order(known, phase, session)

    lengths = [len(r.known_ns) for r in rows]
    track = np.repeat(np.arange(-1, len(rows)), [0, *lengths])
    track = np.concatenate([track, np.full(len(rolls.known_ns), -1)])[order]
    row = np.concatenate([*(np.arange(n) for n in lengths), np.arange(len(rolls.known_ns))])[order]
    known_in_order = known[order]
    starts = kernels.cut_slices(known_in_order, phase[order], session[order])

    records = np.empty((len(order), _WORDS), np.int64)
    meta = np.concatenate([*map(_meta, tracks, rows), rolls.meta])
    values = np.concatenate([*(_values(r.data) for r in rows), rolls.values], axis=1)
    kernels.lay_records(order, meta, known, values, records)
    return Chunk(
        rows=tuple(rows),
        times_ns=known_in_order[starts[:-1]].tolist(),
        starts=starts,
        track=track,
        row=row,
        counts=kernels.count_rows(starts, track, len(tracks)),
        records=records.data.cast("B"),
        ends=(starts[1:] * (_WORDS * 8)).tolist(),
        steps=_programme(starts, track, row, rolls),
    )


class _Rolls(NamedTuple):
    """Openings and closings as if they were rows; phase 1 closes, phase 2 opens."""

    known_ns: Ints
    session: Ints
    phase: Ints
    meta: Ints
    values: Ints
    played: tuple[tuple[int, Played], ...]


def _rolls(agenda: Agenda, after_ns: int, until_ns: int) -> _Rolls:
    opens, closes = agenda.open_ns, agenda.close_ns
    opening = np.flatnonzero((opens >= after_ns) & (opens < until_ns))
    closing = np.flatnonzero((closes > after_ns) & (closes <= until_ns))
    ordinal = np.concatenate([closing, opening])
    kinds = [kernels.CLOSE] * len(closing) + [kernels.OPEN] * len(opening)
    played = [agenda.sessions[k] for k in ordinal]
    values = np.zeros((6, len(ordinal)), np.int64)
    values[0], values[1] = opens[ordinal], closes[ordinal]
    words = [_word(kind, 0, p.calendar) for kind, p in zip(kinds, played, strict=True)]
    return _Rolls(
        np.concatenate([closes[closing], opens[opening]]),
        ordinal,
        np.repeat([1, 2], [len(closing), len(opening)]),
        np.array(words, np.int64) | ordinal,
        values,
        tuple(zip(kinds, played, strict=True)),
    )


def _phase(rows: Rows, agenda: Agenda) -> Ints:
    """0, or 3 for what is stamped exactly at its session's opening and so comes after it."""
    phase = np.zeros(len(rows.known_ns), np.int64)
    if rows.data.names()[0] == "time_ns" and len(phase):
        phase[rows.known_ns == agenda.open_ns[rows.session]] = 3
    return phase


def merge_order(known: Ints, phase: Ints, session: Ints) -> Ints:
    """The order of rule 4. Tracks are given by kind, then instrument; ties keep that order.

    Parameters
    ----------
    known, phase, session : int64, shape (records,)
        When each becomes known; 0 for rows, 1 for a closing, 2 for an opening, 3 for what comes
        after it; ordinal of its session.
    """
    order = _by_time(known)
    kernels.settle_ties(order, known, phase, session)
    return order


def _by_time(known: Ints) -> Ints:
    first, last = int(known.min()), int(known.max())
    for step in (MINUTE_NS, SECOND_NS):
        cells = (last - first) // step + 1
        if cells <= 8 * len(known) + 4096 and not ((known - first) % step).any():
            order: Ints = kernels.merge_on_grid(known, first, step, cells)
            return order
    return np.argsort(known, kind="stable")


def _word(kind: int, frame: int, instrument: int) -> int:
    return kind << _KIND_SHIFT | frame << _FRAME_SHIFT | instrument << _INSTRUMENT_SHIFT


def _meta(track: Track, rows: Rows) -> Ints:
    return rows.session | _word(track.kind, track.frame, track.instrument)


def _values(data: Columns) -> Ints:
    """Start or time, then up to five numbers, as the 8-byte words of a record: (6, n)."""
    words = np.zeros((6, len(data)), np.int64)
    names = [n for n in data.names() if n not in ("end_ns", "label")]
    words[0] = getattr(data, names[0])
    for word, name in enumerate(names[1:], 1):
        words[word] = getattr(data, name).astype(np.float64, copy=False).view(np.int64)
    return words


def _programme(starts: Ints, track: Ints, row: Ints, rolls: _Rolls) -> tuple[Step, ...]:
    steps: list[Step] = []
    begin = 0
    firsts = starts[:-1]
    for at in np.flatnonzero(track[firsts] < 0).tolist():
        if at > begin:
            steps.append(Step(kernels.BAR, begin, at, None))
        kind, played = rolls.played[row[firsts[at]]]
        steps.append(Step(kind, at, at + 1, played))
        begin = at + 1
    if begin < len(firsts):
        steps.append(Step(kernels.BAR, begin, len(firsts), None))
    return tuple(steps)
