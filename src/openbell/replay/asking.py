"""Asking again: bars of open sessions that did not come live are fetched from their source.

What is missing is found where the replay is prepared; it is fetched on a worker of its own and
comes back through the intake, as an arrival like others.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import numpy as np

from openbell.market.arrivals import ASKED
from openbell.market.errors import OutsideError, ReplayError
from openbell.market.instrument import Series
from openbell.market.moments import END_OF_TIME_NS, SECOND_NS, START_OF_TIME_NS
from openbell.ports import Inlet, Refill
from openbell.quality.completeness import slot_layout
from openbell.replay.agenda import Played
from openbell.replay.live_feeds import LiveFeed
from openbell.replay.rules import Rules
from openbell.replay.scheduler import Scheduler, Threads
from openbell.replay.turns import Turns

# Asks for the bars of a series that start in ``[start_ns, end_ns)``; does not wait for them.
Ask = Callable[[Series, int, int], None]

_JOIN_S = 10.0


class Missing:
    """Finds the bars of open sessions that should be known and are not, every `ask_s`.

    Parameters
    ----------
    turns
        By calendar: which session is open.
    ask
        Where they are asked for; None if nobody can be asked.
    """

    def __init__(self, turns: Sequence[Turns], rules: Rules, ask: Ask | None) -> None:
        self.due_ns = START_OF_TIME_NS if ask else END_OF_TIME_NS
        self._feeds: list[LiveFeed] = []
        self._turns = turns
        self._ask = ask
        self._ask_ns = round(rules.ask_s * SECOND_NS)
        self._grace_ns = round(rules.grace_s * SECOND_NS)
        self._retries = rules.retries
        self._asked: dict[tuple[Series, int], int] = {}

    def join(self, feed: LiveFeed) -> None:
        """Look after this feed, too, if its series is one of bars."""
        if feed.series.is_bars:
            self._feeds.append(feed)

    def ask_for(self, now_ns: int) -> None:
        """Ask for what is missing, if it is time."""
        if self._ask is None or now_ns < self.due_ns:
            return
        for feed in self._feeds:
            played = self._turns[feed.calendar].played
            if played is not None and feed.gate.is_registered:
                for start_ns, end_ns in self._stretches(feed, played, now_ns):
                    self._ask(feed.series, start_ns, end_ns)
        open_ = [turns.played.session for turns in self._turns if turns.played]
        first_ns = min((session.open_ns for session in open_), default=END_OF_TIME_NS)
        self._asked = {bar: times for bar, times in self._asked.items() if bar[1] >= first_ns}
        closes = [session.close_ns + self._grace_ns for session in open_]
        self.due_ns = min(
            now_ns + self._ask_ns, *(at for at in closes if at > now_ns), END_OF_TIME_NS
        )

    def _stretches(self, feed: LiveFeed, played: Played, now_ns: int) -> Iterator[tuple[int, int]]:
        """Runs of missing bars, as ranges of their starts; each bar a number of times."""
        width_ns = feed.gate.width_ns
        wanted = []
        for start_ns in _due_starts(played, width_ns, now_ns - self._grace_ns):
            times = self._asked.get((feed.series, start_ns), 0)
            if not feed.gate.has(start_ns) and times <= self._retries:
                self._asked[feed.series, start_ns] = times + 1
                wanted.append(start_ns)
        for _, run in groupby(enumerate(wanted), lambda each: each[1] - each[0] * width_ns):
            starts = [start_ns for _, start_ns in run]
            yield starts[0], starts[-1] + width_ns


def _due_starts(played: Played, width_ns: int, by_ns: int) -> list[int]:
    """Where the bars start that a session's regular hours had by a moment, breaks left out."""
    session = played.regular
    origin_ns, width_ns = slot_layout(session, width_ns, "session")
    start = np.arange(origin_ns, session.close_ns, width_ns)
    end = np.minimum(start + width_ns, session.close_ns)
    is_due = end <= by_ns
    for begin_ns, end_ns in session.breaks:
        is_due &= (start < begin_ns) | (end > end_ns)
    found: list[int] = start[is_due].tolist()
    return found


class Asker:
    """Fetches what is asked for, on a worker of its own, and pushes it into an inlet.

    Attributes
    ----------
    asked, answered
        How often something was asked for, and how many bars came.
    failed
        How often it could not be fetched.
    error
        Why, the last time; None if it never was so.
    """

    def __init__(self, inlet: Inlet, refill: Refill, scheduler: Scheduler | None = None) -> None:
        self.asked = 0
        self.answered = 0
        self.failed = 0
        self.error: OutsideError | None = None
        self._inlet = inlet
        self._refill = refill
        self._scheduler = scheduler or Threads()
        self._monitor = self._scheduler.monitor()
        self._wanted: deque[tuple[Series, int, int]] = deque()
        self._is_over = False
        self._worker = self._scheduler.start("openbell-asker", self._run)

    def __call__(self, series: Series, start_ns: int, end_ns: int) -> None:
        """Ask for bars; the same twice is asked for once while it waits."""
        with self._monitor:
            if (series, start_ns, end_ns) not in self._wanted:
                self._wanted.append((series, start_ns, end_ns))
                self._monitor.notify_all()

    def stop(self, *, timeout_s: float = _JOIN_S) -> None:
        """End the worker; `ReplayError` if it does not end in time. May be called again."""
        with self._monitor:
            self._is_over = True
            self._monitor.notify_all()
        self._worker.join(timeout_s)
        if self._worker.is_alive():
            raise ReplayError(f"{self._worker.name} is still busy after {timeout_s} s")

    def _run(self) -> None:
        while (wanted := self._next()) is not None:
            self.asked += 1
            try:
                bars = self._refill.bars(*wanted)
            except OutsideError as error:
                self.failed += 1
                self.error = error
                continue
            for bar in bars:
                values = bar.open, bar.high, bar.low, bar.close, bar.volume
                if not self._inlet.push(wanted[0], ASKED, bar.start_ns, values):
                    return
                self.answered += 1

    def _next(self) -> tuple[Series, int, int] | None:
        with self._monitor:
            while not self._wanted and not self._is_over:
                self._monitor.wait()
            return None if self._is_over else self._wanted.popleft()
