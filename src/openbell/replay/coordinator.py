"""The coordinator: releases slices in order of time and moves the clock; nobody else does.

One pass over a replay, as `steps` does it:

1. Take the next chunk from prefetch (`prefetch.py`), prepared by `chunk.py`.
2. Load it: the windows of session data (`session_data.py`), the tape (`tape.py`), the clock.
3. Go through its programme. A session's opening and closing are slices of their own: session
   data turns, upkeep measures (`upkeep.py`), the consumer is told, the tape cuts its digest.
4. Slices in between are handed to the consumer as a step, whose slices `release` releases one
   by one. Releasing a slice changes one integer.
"""

from collections.abc import Iterable, Iterator, Sequence

from openbell.market.progress import CancelToken, Progress, silent
from openbell.replay import kernels
from openbell.replay.chunk import Chunk, Step
from openbell.replay.clock import Hand
from openbell.replay.session_data import SessionData, Window
from openbell.replay.tape import Tape
from openbell.replay.upkeep import Measured, measure


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

    Attributes
    ----------
    chunk
        The chunk being played.
    measured
        Completeness of every session that has closed, per instrument.
    """

    def __init__(
        self, hand: Hand, windows: Sequence[Window], session_data: Sequence[SessionData], tape: Tape
    ) -> None:
        self.chunk: Chunk
        self.measured: list[Measured] = []
        self._hand = hand
        self._windows = windows
        self._session_data = session_data
        self._tape = tape
        self._open: list[int] = []

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
            Between two steps, if `cancel` asks to stop.
        """
        done = 0
        for chunk in chunks:
            self._load(chunk)
            for step in chunk.steps:
                if cancel is not None:
                    cancel.check()
                if step.kind == kernels.BAR:
                    yield step
                    continue
                self._hand.slice = step.begin
                if step.kind == kernels.OPEN:
                    self._begin_session(step)
                    yield step
                    continue
                yield step
                self._end_session(step)
                done += 1
                progress(done, sessions, "sessions")

    def release(self, step: Step) -> Iterator[int]:
        """Release the slices of a step one after the other; gives each slice's position."""
        hand = self._hand
        for i in range(step.begin, step.end):
            hand.slice = i
            yield i

    def _load(self, chunk: Chunk) -> None:
        for window in self._windows:
            window.load(chunk, self._open)
        self.chunk = chunk
        self._tape.load(chunk.records, chunk.ends)
        self._hand.times_ns = chunk.known_ns
        self._hand.slice = 0

    def _begin_session(self, step: Step) -> None:
        assert step.played is not None
        self._open.append(step.played.ordinal)
        self._session_data[step.played.calendar].open(step.played)

    def _end_session(self, step: Step) -> None:
        played = step.played
        assert played is not None
        data = self._session_data[played.calendar]
        self.measured += measure(data, played, self._hand.times_ns.item(step.begin))
        data.close()
        self._open.remove(played.ordinal)
        self._tape.close_session(step.begin, played.session.label)
