"""The coordinator: releases slices in order of time and moves the clock; nobody else does.

One pass over a replay, as `steps` does it:

1. Take the next chunk from prefetch (`prefetch.py`), prepared by `chunk.py`.
2. Load it: the windows of session data (`session_data.py`), the tape (`tape.py`), the clock.
3. Go through its programme. A session's opening and closing are slices of their own: session
   data turns, upkeep measures (`upkeep.py`), the consumer is told, the tape cuts its digest.
4. Slices in between are handed to the consumer as a step, whose slices `release` releases one
   by one. Releasing a slice changes one integer.

With a pace (`pacing.py`), every slice and roll waits until it is due, the first of a chunk before
the chunk is loaded. What was known before the replay's start is caught up: it is released at
once, and nobody is called for it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from openbell.market.progress import CancelToken, Progress, silent
from openbell.replay import kernels
from openbell.replay.chunk import Chunk, Step
from openbell.replay.clock import Hand
from openbell.replay.followers import Follower
from openbell.replay.pacing import Mark, Pace
from openbell.replay.session_data import SessionData, Window
from openbell.replay.tape import Tape
from openbell.replay.upkeep import Measurements, measure

T = TypeVar("T")

CATCH_UP = -1  # kind of a step whose slices were released already, unseen


class SessionEnded(NamedTuple):
    """A session that closed.

    Attributes
    ----------
    session, calendar
        Its label, and the name of its calendar.
    time_ns
        When it closed.
    cause
        ``close`` if there was data in its last minute, ``dry`` if all its streams had ended,
        ``stopped`` if it was still open when a live run was stopped.
    """

    session: str
    calendar: str
    time_ns: int
    cause: str


class Coordinator:
    """Releases what is known, slice by slice, and holds the clock's hand.

    Parameters
    ----------
    hand
        The clock's only write handle.
    windows
        By track.
    session_data
        By calendar, as on the agenda.
    tape
        Where everything goes in order.
    pace
        What slices wait for; None to wait for nothing.
    begin_ns
        What is known by then is caught up.

    Attributes
    ----------
    chunk
        The chunk being played.
    measured
        Completeness of every session that has closed, per instrument.
    ended
        The sessions that have closed, in order.
    open_sessions
        Ordinals of the sessions that are open.
    followers
        Who else gets every slice.
    before_chunk
        Called before a chunk is waited for, while everything stands as the one before left it.
    before_load
        Called when it is due, right before it is loaded.
    """

    def __init__(  # it brings all parts of a replay together
        self,
        hand: Hand,
        windows: Sequence[Window],
        session_data: Sequence[SessionData],
        tape: Tape,
        pace: Pace | None,
        begin_ns: int,
    ) -> None:
        self.chunk: Chunk
        self.measured = Measurements()
        self.ended: list[SessionEnded] = []
        self.open_sessions: list[int] = []
        self.followers: list[Follower] = []
        self.before_chunk: Callable[[], None] = lambda: None
        self.before_load: Callable[[], None] = lambda: None
        self._hand = hand
        self._windows = windows
        self._session_data = session_data
        self._tape = tape
        self._pace = pace
        self._begin_ns = begin_ns
        self._joining: list[Step] = []
        self._marks: list[Mark] = []

    def steps(
        self,
        chunks: Iterable[Chunk],
        *,
        sessions: int = 0,
        progress: Progress = silent,
        cancel: CancelToken | None = None,
    ) -> Iterator[Step]:
        """The programme of all chunks, in order; the consumer acts on a step before the next.

        Parameters
        ----------
        sessions
            How many there are, for `progress`.

        Raises
        ------
        CancelledError
            Between two steps, or while waiting, if `cancel` asks to stop.
        """
        if self._pace is not None:
            self._pace.cancel = cancel
        for chunk in chunks:
            self.before_chunk()
            self._approach(chunk)
            self.before_load()
            self._load(chunk)
            for step in chunk.steps:
                if cancel is not None:
                    cancel.check()
                yield from self._play(step)
                if step.kind == kernels.CLOSE:
                    progress(len(self._tape.digests), sessions, "sessions")
        if self._pace is not None:
            self._pace.end()

    def release(self, step: Step) -> Iterator[int]:
        """Release the slices of a step one after the other; gives each slice's position.

        Raises
        ------
        Rewind, CancelledError
            See `Pace.admit`.
        """
        if self._pace is not None or self.followers:
            yield from self._release_watched(step)
            return
        hand = self._hand
        for i in range(step.begin, step.end):
            hand.slice = i
            yield i

    def release_along(self, step: Step, items: Iterable[T]) -> Iterator[T]:
        """As `release`; gives the next of `items` with each slice, not its position."""
        if self._pace is not None or self.followers:
            yield from (item for _, item in zip(self._release_watched(step), items))  # noqa: B905
            return
        hand = self._hand
        for hand.slice, item in zip(range(step.begin, step.end), items):  # noqa: B905
            yield item

    def mark(self) -> tuple[int, int, tuple[int, ...]]:
        """Where it stands between two chunks, for `go_back`."""
        return self.measured.mark(), len(self.ended), tuple(self.open_sessions)

    def go_back(self, mark: tuple[int, int, tuple[int, ...]]) -> None:
        """Be as at a mark."""
        self.measured.cut(mark[0])
        del self.ended[mark[1] :]
        self.open_sessions[:] = mark[2]
        self._joining.clear()

    def _release_watched(self, step: Step) -> Iterator[int]:
        """As `release`, each slice when it is due, and to followers as well."""
        hand, pace, marks = self._hand, self._pace, self._marks
        for i in range(step.begin, step.end):
            if pace is not None and i:
                pace.admit(hand.times_ns.item(i), marks[i])
            hand.slice = i
            for follower in self.followers:
                follower.offer(i)
            yield i
            for follower in self.followers:
                follower.settle()

    def _approach(self, chunk: Chunk) -> None:
        """Wait for a chunk's first slice, while everything stands as the chunk before left it."""
        if self._pace is None:
            return
        self._marks = _marks(chunk)
        if (moment_ns := chunk.known_ns.item(0)) >= self._begin_ns:
            self._await(chunk.steps[0], moment_ns, self._pace)

    def _load(self, chunk: Chunk) -> None:
        for window in self._windows:
            window.load(chunk, self.open_sessions)
        self.chunk = chunk
        self._tape.load(chunk.records, chunk.ends)
        self._hand.slice = 0  # before the times: whoever looks in between sees the past
        self._hand.times_ns = chunk.known_ns

    def _play(self, step: Step) -> Iterator[Step]:
        if step.kind == kernels.BAR:
            yield from self._play_slices(step)
        elif step.kind == kernels.OPEN:
            yield from self._open(step)
        else:
            yield from self._join(step.begin - 1)
            self._admit(step)
            self._hand.slice = step.begin
            yield step
            self._end_session(step)

    def _play_slices(self, step: Step) -> Iterator[Step]:
        begin = step.begin
        if self._joining:
            times_ns = self._hand.times_ns[step.begin : step.end]
            begin += int(times_ns.searchsorted(self._begin_ns, "right"))
            if begin > step.begin:
                self._hand.slice = begin - 1
                yield Step(CATCH_UP, step.begin, begin, None)
            if begin < step.end:
                yield from self._join(begin - 1)
        if begin < step.end:
            yield step if begin == step.begin else step._replace(begin=begin)

    def _open(self, step: Step) -> Iterator[Step]:
        assert step.played is not None
        caught_up = self._hand.times_ns.item(step.begin) < self._begin_ns
        if not caught_up:
            yield from self._join(step.begin - 1)
            self._admit(step)
        self._hand.slice = step.begin
        self.open_sessions.append(step.played.ordinal)
        self._session_data[step.played.calendar].open(step.played)
        if caught_up:
            self._joining.append(step)
        else:
            yield step

    def _join(self, at: int) -> Iterator[Step]:
        """Tell the consumer of the sessions it joins, now that they are caught up."""
        if self._joining and self._pace is not None:
            self._pace.begin(self._begin_ns)
        while self._joining:
            yield self._joining.pop(0)._replace(begin=at, end=at + 1)

    def _admit(self, step: Step) -> None:
        if self._pace is not None and step.begin:  # the first was waited for in `_approach`
            self._await(step, self._hand.times_ns.item(step.begin), self._pace)

    def _await(self, step: Step, moment_ns: int, pace: Pace) -> None:
        """Wait for a step's first slice; the night before an opening is left out."""
        if step.kind == kernels.OPEN and not self.open_sessions:
            pace.cross_to(moment_ns)
        pace.admit(moment_ns, self._marks[step.begin])

    def _end_session(self, step: Step) -> None:
        played = step.played
        assert played is not None
        data = self._session_data[played.calendar]
        now_ns = self._hand.times_ns.item(step.begin)
        self.measured.add(measure(data, played, now_ns))
        label = played.session.label
        self.ended.append(SessionEnded(label, data.calendar, now_ns, step.cause))
        data.close()
        self.open_sessions.remove(played.ordinal)
        self._tape.close_session(step.begin, label)


def _marks(chunk: Chunk) -> list[Mark]:
    """What there is at each slice, for its pace."""
    brought = np.diff(chunk.counts, axis=1, prepend=0) > 0
    kinds = np.array([track.kind for track in chunk.tracks])
    bars = brought[kinds == kernels.BAR].any(axis=0)
    is_made = np.isin(kinds, (kernels.DERIVED, kernels.REVISION))
    based = np.flatnonzero(brought[~is_made].any(axis=0))
    marks = np.full(len(chunk.known_ns), int(Mark.SLICE))
    closes = []
    for step in chunk.steps:
        if step.kind != kernels.BAR:
            marks[step.begin] = Mark.CLOSE if step.kind == kernels.CLOSE else Mark.ROLL
            closes += [step.begin] if step.kind == kernels.CLOSE else []
    marks[bars] |= Mark.BAR
    everywhere = np.arange(len(marks))
    never = len(marks)
    next_based = np.append(based, never)[based.searchsorted(everywhere)]
    at_close = np.array(closes, np.int64)
    next_close = np.append(at_close, never)[at_close.searchsorted(everywhere)]
    marks[next_close < next_based] |= Mark.DRY
    return [Mark(mark) for mark in marks.tolist()]
