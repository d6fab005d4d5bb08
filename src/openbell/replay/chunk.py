"""A chunk: some sessions prepared in columns, ready to be released slice by slice.

1. Every feed hands over its rows that become known within the chunk (`feed.py`).
2. Derived bars are built from base rows whose interval ends within the chunk.
3. All rows, and the openings and closings of sessions, are merged into one order (rule 4).
4. Rows of one moment make a slice; when the chunk is loaded, canonical records are laid out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate, pairwise
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from openbell.market.columns import Columns, Floats, Ints
from openbell.market.moments import MINUTE_NS, SECOND_NS
from openbell.replay import kernels
from openbell.replay.agenda import Agenda, Played

_WORDS = 8  # of 8 bytes in a canonical record
_NOTHING: Floats = np.empty(0)
_NOTHING.flags.writeable = False
_KIND_SHIFT, _FRAME_SHIFT, _INSTRUMENT_SHIFT, _ORIGIN_SHIFT = 56, 48, 32, 24
_BASE = (kernels.BAR, kernels.QUOTE, kernels.TRADE)

# Why a session ended: there was data in its last minute; all its streams had ended before; what
# plays it was stopped.
CAUSES = ("close", "dry", "stopped")


class Rows(NamedTuple):
    """The rows of one track within a chunk.

    Attributes
    ----------
    data
        Their columns.
    known_ns : int64, shape (n,)
        When each becomes known; does not decrease.
    session : int32, shape (n,)
        Ordinal of the session each belongs to.
    present : int64, shape (n,)
        Of how many base bars each derived bar is made; None for base data.
    origin : int64, shape (n,)
        Of each revision, the number of the pin it was filled from, counted from 1; 0 for what
        was computed again. None for what is no revision.
    """

    data: Columns
    known_ns: Ints
    session: kernels.Ordinals
    present: Ints | None = None
    origin: Ints | None = None


class Track(NamedTuple):
    """One stream of rows in a replay: bars, revisions, quotes or trades of an instrument.

    Attributes
    ----------
    kind
        `kernels.BAR`, `DERIVED`, `REVISION`, `QUOTE` or `TRADE`.
    instrument
        Ordinal of the instrument, as registered.
    frame
        0 for base data; derived timeframes count from 1.
    """

    kind: int
    instrument: int
    frame: int


class Rolled(NamedTuple):
    """When sessions were opened and closed, and why closed, by ordinal.

    Attributes
    ----------
    open_ns, close_ns : int64, shape (sessions,)
        `END_OF_TIME_NS` for what has not happened yet.
    cause : int64, shape (sessions,)
        Positions in `CAUSES`.
    """

    open_ns: Ints
    close_ns: Ints
    cause: Ints


class Step(NamedTuple):
    """A part of a chunk's programme: play slices ``[begin, end)``, or open or close a session.

    Attributes
    ----------
    kind
        `kernels.OPEN`, `kernels.CLOSE`, or `kernels.BAR` for slices to play.
    played
        The session that opens or closes; None for slices.
    cause
        Why the session closes, one of `CAUSES`; empty for all else.
    """

    kind: int
    begin: int
    end: int
    played: Played | None
    cause: str = ""


class Ends:
    """Which sessions have data in their last minute, noted as the data is read.

    Attributes
    ----------
    is_dry : bool, shape (sessions,)
        By ordinal, whether nothing of a session was noted that became known in its last minute.
    """

    def __init__(self, agenda: Agenda) -> None:
        self.is_dry = np.ones(len(agenda.sessions), np.bool_)
        self._agenda = agenda
        self._near_ns = agenda.close_ns - MINUTE_NS

    @property
    def rolled(self) -> Rolled:
        """Sessions open and close when the calendar says."""
        return Rolled(self._agenda.open_ns, self._agenda.close_ns, self.is_dry.astype(np.int64))

    def note(self, tracks: Sequence[Track], rows: Sequence[Rows], after_ns: int) -> None:
        """Note the rows that become known after a moment, up to where a chunk ends."""
        newest_ns = max((each.known_ns.item(-1) for each in rows if len(each.known_ns)), default=0)
        late = self._near_ns + MINUTE_NS > after_ns
        near = np.flatnonzero(self.is_dry & late & (self._near_ns <= newest_ns))
        for track, each in zip(tracks, rows, strict=True):
            if not len(near):
                return
            if track.kind in _BASE and len(each.known_ns):
                last = np.searchsorted(each.session, near, side="right") - 1
                has = (each.session[last] == near) & (each.known_ns[last] >= self._near_ns[near])
                self.is_dry[near[has]] = False
                near = near[~has]


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some sessions, prepared. What is told by another column is made when the chunk is loaded.

    Attributes
    ----------
    tracks
        The tracks of the replay.
    rows
        By track, the rows of this chunk.
    place : int32, shape (records,)
        Where each row stands in merged order, track by track; then openings and closings.
    bounds : int64, shape (tracks + 1,)
        Where each track's rows begin among those of all tracks.
    starts : int32, shape (slices + 1,)
        Where each slice's records begin in merged order.
    known_ns : int64, shape (slices,)
        The moment of each slice.
    rolls
        The openings and closings within it.
    steps
        The programme, in order.
    """

    tracks: tuple[Track, ...]
    rows: tuple[Rows, ...]
    place: kernels.Places
    bounds: Ints
    starts: kernels.Places
    known_ns: Ints
    rolls: "Rolls"
    steps: tuple[Step, ...]

    @cached_property
    def times_ns(self) -> list[int]:
        """The moment of each slice."""
        found: list[int] = self.known_ns.tolist()
        return found

    @property
    def ends(self) -> Ints:
        """Where each slice ends in `records`, in bytes."""
        return self.starts[1:].astype(np.int64) * (_WORDS * 8)

    @property
    def places(self) -> list[kernels.Places]:
        """By track, where each of its rows stands in merged order."""
        return [self.place[lo:hi] for lo, hi in pairwise(self.bounds.tolist())]

    @cached_property
    def track(self) -> NDArray[np.int16]:
        """Track of each record in merged order, -1 for an opening or closing."""
        track = np.full(len(self.place), -1, np.int16)
        for k, place in enumerate(self.places):
            track[place] = k
        return track

    @cached_property
    def counts(self) -> kernels.Places:
        """How many rows of a track are known at a slice, that slice included: (tracks, slices)."""
        return kernels.count_rows(self.starts, self.place, self.bounds)

    @cached_property
    def row(self) -> kernels.Places:
        """Row of each record within its track, or among the openings and closings."""
        row = np.empty(len(self.place), np.int32)
        for place in (*self.places, self.rolls.places):
            row[place] = np.arange(len(place))
        return row

    @cached_property
    def records(self) -> memoryview:
        """The canonical bytes of all records, in order."""
        records = _lines(len(self.place))
        for track, rows, place in zip(self.tracks, self.rows, self.places, strict=True):
            meta = _word(track.kind, track.frame, track.instrument)
            known, columns = _frozen(rows.known_ns), _told(rows.data)
            kernels.lay_records(records, place, meta, rows.session, known, *columns)
            if rows.origin is not None:
                records[place, 0] |= rows.origin << _ORIGIN_SHIFT
        records[self.rolls.places] = self.rolls.records
        return records.data.cast("B")


def prepare(
    tracks: Sequence[Track],
    rows: Sequence[Rows],
    agenda: Agenda,
    after_ns: int,
    until_ns: int,
    rolled: Rolled | None = None,
) -> Chunk:
    """Merge the rows of all tracks with the sessions' openings and closings.

    Parameters
    ----------
    rows
        By track: those that become known after `after_ns`, up to and including `until_ns`. Rows
        known at the very opening of a session that opens at `until_ns` belong to the next chunk.
    rolled
        When sessions open and close; None if this is all there is, and they do by the calendar.
    """
    if rolled is None:
        ends = Ends(agenda)
        ends.note(tracks, rows, after_ns)
        rolled = ends.rolled
    rolls = _rolls(agenda, after_ns, until_ns, rolled)
    known = np.concatenate([*(r.known_ns for r in rows), rolls.known_ns])
    rank = np.concatenate([*(r.session for r in rows), rolls.rank])
    bounds = np.array([0, *accumulate(len(r.known_ns) for r in rows)])
    for k, track in enumerate(tracks):
        if track.kind in (kernels.QUOTE, kernels.TRADE):
            at_open = agenda.open_ns[rows[k].session] == rows[k].known_ns
            rank[bounds[k] : bounds[k + 1]][at_open] |= 3 << kernels.PHASE_SHIFT
    starts, moments, place = merge(known, rank)
    rolls = rolls._replace(places=place[bounds[-1] :])
    return Chunk(
        tracks=tuple(tracks),
        rows=tuple(rows),
        place=place,
        bounds=bounds,
        starts=starts,
        known_ns=moments,
        rolls=rolls,
        steps=_programme(starts, rolls),
    )


class Rolls(NamedTuple):
    """Openings and closings as if they were rows; phase 1 closes, phase 2 opens.

    Attributes
    ----------
    known_ns : int64, shape (n,)
        When each happens.
    rank : int32, shape (n,)
        Its phase and the ordinal of its session, as `kernels.PHASE_SHIFT` says.
    records : int64, shape (n, 8)
        Their canonical records.
    steps
        Of each, its kind, its session and the cause.
    places : int32, shape (n,)
        Where each stands in merged order.
    """

    known_ns: Ints
    rank: kernels.Ordinals
    records: Ints
    steps: tuple[tuple[int, Played, str], ...]
    places: kernels.Places


def _rolls(agenda: Agenda, after_ns: int, until_ns: int, rolled: Rolled) -> Rolls:
    opens, closes, cause = rolled
    opening = np.flatnonzero((opens >= after_ns) & (opens < until_ns))
    closing = np.flatnonzero((closes > after_ns) & (closes <= until_ns))
    ordinal = np.concatenate([closing, opening])
    known = np.concatenate([closes[closing], opens[opening]])
    kinds = [kernels.CLOSE] * len(closing) + [kernels.OPEN] * len(opening)
    played = [agenda.sessions[k] for k in ordinal]
    records = np.zeros((len(ordinal), _WORDS), np.int64)
    records[:, 0] = [
        _word(k, 0, p.calendar) | p.ordinal for k, p in zip(kinds, played, strict=True)
    ]
    records[:, 1] = known
    records[:, 2], records[:, 3] = agenda.open_ns[ordinal], agenda.close_ns[ordinal]
    records[: len(closing), 4] = cause[closing]
    rank = ordinal.astype(np.int32)
    rank[: len(closing)] |= 1 << kernels.PHASE_SHIFT
    rank[len(closing) :] |= 2 << kernels.PHASE_SHIFT
    causes = [CAUSES[nth] for nth in cause[closing].tolist()] + [""] * len(opening)
    steps = tuple(zip(kinds, played, causes, strict=True))
    return Rolls(known, rank, records, steps, np.empty(0, np.int32))


def merge(known: Ints, rank: kernels.Ordinals) -> kernels.Merged:
    """The order of rule 4. Tracks are given by kind, then instrument; ties keep that order.

    Parameters
    ----------
    known : int64, shape (records,)
        When each becomes known.
    rank : int32, shape (records,)
        Its phase and the ordinal of its session, as `kernels.PHASE_SHIFT` says.

    Returns
    -------
    tuple
        Where slices begin in merged order and, last, where they end; the moment of each slice;
        the place of each record.
    """
    first, last = int(known.min()), int(known.max())
    for step in (MINUTE_NS, SECOND_NS):
        cells = (last - first) // step + 1
        if cells <= 8 * len(known) + 4096:
            merged: kernels.Merged = kernels.merge_on_grid(known, rank, first, step, cells)
            if len(merged[-1]):
                return merged
    order = np.argsort(known, kind="stable").astype(np.int32)
    found: kernels.Merged = kernels.merge_in_order(order, known, rank)
    return found


def _lines(records: int) -> Ints:
    """Room for so many records, each on a line of the processor's cache of its own."""
    room = np.empty((records + 1) * _WORDS, np.int64)
    first = -(room.ctypes.data // 8) % _WORDS
    return room[first : first + records * _WORDS].reshape(-1, _WORDS)


def _word(kind: int, frame: int, instrument: int) -> int:
    return kind << _KIND_SHIFT | frame << _FRAME_SHIFT | instrument << _INSTRUMENT_SHIFT


def _told(data: Columns) -> list[NDArray[Any]]:
    """What a record tells: start or time, then up to five numbers."""
    key, *numbers = _getter(data.names())(data)
    return [key, *map(_as_float, numbers)] + [_NOTHING] * (_WORDS - 3 - len(numbers))


@cache
def _getter(names: tuple[str, ...]) -> Callable[[Columns], tuple[NDArray[Any], ...]]:
    return attrgetter(*(name for name in names if name not in {"end_ns", "label"}))


def _as_float(column: NDArray[Any]) -> Floats:
    return column if column.dtype == np.float64 else _frozen(column.astype(np.float64))


def _frozen(column: NDArray[Any]) -> NDArray[Any]:
    """Read-only, as numba compiles for one kind of array."""
    if column.flags.writeable:
        column = column.view()
        column.flags.writeable = False
    return column


def _programme(starts: kernels.Places, rolls: Rolls) -> tuple[Step, ...]:
    steps: list[Step] = []
    begin, slices = 0, len(starts) - 1
    found = zip(starts.searchsorted(rolls.places).tolist(), rolls.steps, strict=True)
    for at, (kind, played, cause) in sorted(found, key=itemgetter(0)):
        if at > begin:
            steps.append(Step(kernels.BAR, begin, at, None))
        steps.append(Step(kind, at, at + 1, played, cause))
        begin = at + 1
    if begin < slices:
        steps.append(Step(kernels.BAR, begin, slices, None))
    return tuple(steps)
