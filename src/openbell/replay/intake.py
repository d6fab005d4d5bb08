"""Intake: the bounded line in which what live sources push waits to be taken into a replay.

Sources push from threads of their own and wait while the line is full. Whoever prepares the
replay takes everything that waits at once: it gets one instant of receipt, is written to the
recording, and only then handed on. So a burst is one slice, and nothing is seen that a replay of
the recording would not see.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Protocol

from openbell.market.arrivals import (
    ASKED,
    BAR,
    CANCELLED,
    FAILED,
    NAMES,
    NO_SERIES,
    PASSED,
    QUOTE,
    REGISTERED,
    STOPPED,
    TRADE,
    Arrival,
    five,
)
from openbell.market.errors import ReplayError, UsageError
from openbell.market.instrument import Series
from openbell.market.moments import SECOND_NS
from openbell.ports import Recording, RecordingHeader
from openbell.recording.live import Collector
from openbell.replay.scheduler import Scheduler, Threads

_HOUR_S = 3600.0
_BLOCK = 4096  # how many arrivals of a recording are played at once, at least
_DATA = {"trades": (TRADE,), "quotes": (QUOTE,)}
_Item = tuple[int, int, int, int, Sequence[float]]


class Arriving(Protocol):
    """Where arrivals come from: an `Intake`, or a recording that is `Played`.

    Attributes
    ----------
    is_live
        Whether they come while they happen.
    """

    is_live: bool

    @property
    def header(self) -> RecordingHeader:
        """Of the recording that they are written to, or come from: by ordinal, the series."""
        ...

    def take(self, due_ns: int) -> Sequence[Arrival]:
        """The next arrivals; all there are of an instant of receipt, and none if it is over.

        Parameters
        ----------
        due_ns
            Live: if nothing arrives until then, that is what has happened.
        """
        ...

    def register(self, series: Series) -> None:
        """Let a series come in: a new one, or one that was cancelled."""
        ...

    def cancel(self, series: Series) -> None:
        """Let a series come in no more."""
        ...

    def close(self) -> None:
        """Nothing more is wanted."""
        ...


class Intake:
    """The line of one live run; what sources see of it is an `Inlet`.

    Parameters
    ----------
    recording
        Where arrivals are written before they are released; its header names the series.
    utc_ns
        What time it is now: nanoseconds since 1970-01-01 UTC. From here on the scheduler's
        elapsed time is added.
    collector
        Looks through what is received, and builds bars.
    capacity
        How many items may wait.

    Attributes
    ----------
    failures
        By series, why it brings nothing more.
    deepest, waits
        The most that waited at once, and how often a source had to wait for room.
    """

    def __init__(
        self,
        recording: Recording,
        utc_ns: int,
        scheduler: Scheduler | None = None,
        *,
        collector: Collector | None = None,
        capacity: int = 10_000,
    ) -> None:
        self.is_live = True
        self.failures: dict[Series, Exception] = {}
        self.deepest = 0
        self.waits = 0
        self._recording = recording
        self._collector = collector or Collector()
        self._ordinals = {series: k for k, series in enumerate(recording.header.series)}
        self._registered = set(self._ordinals)
        self._scheduler = scheduler or Threads()
        self._monitor = self._scheduler.monitor()
        self._anchor_ns = utc_ns - self._scheduler.now_ns()
        self._last_ns = utc_ns
        self._capacity = capacity
        self._line: list[_Item] = []
        self._is_over = False  # nothing more is let in
        self._is_closed = False  # nothing more is handed out

    @property
    def header(self) -> RecordingHeader:
        """As `Arriving.header`."""
        return self._recording.header

    def now_ns(self) -> int:
        """The time in UTC, as receipts are stamped."""
        return self._anchor_ns + self._scheduler.now_ns()

    # What sources do

    def push(
        self,
        series: Series,
        what: int,
        venue_ns: int = 0,
        values: Sequence[float] = (),
        sequence: int = 0,
    ) -> bool:
        """As `ports.Inlet.push`."""
        self._require(series, what)
        item = (self._ordinals[series], what, venue_ns, sequence, values)
        with self._monitor:
            if len(self._line) >= self._capacity and not self._is_over:
                self.waits += 1
                while len(self._line) >= self._capacity and not self._is_over:
                    self._monitor.wait()
            return self._put(item)

    def fail(self, series: Series, error: Exception) -> None:
        """As `ports.Inlet.fail`; bars built from the series fail with it.

        When every series has failed, the run is stopped.
        """
        self._require(series, FAILED)
        with self._monitor:
            for each in (series, *self._collector.built_of(series)):
                self.failures[each] = error
                self._put((self._ordinals[each], FAILED, 0, 0, ()))
        if len(self.failures) == len(self._ordinals):
            self.stop()

    # What the run's owner does

    def register(self, series: Series) -> None:
        """Let a series come in: a new one, or one that was cancelled.

        A new one is announced to the recording first. `System.register` looks whether it can be
        played, and comes here.

        Raises
        ------
        UsageError
            If it comes in already, or one of its kind of the same instrument does.
        ReplayError
            If it is new, and the run is over.
        """
        with self._monitor:
            if series in self._registered:
                raise UsageError(f"{series} is registered already", hint="a stream comes in once")
            if series not in self._ordinals:
                self._announce(series)
            self._registered.add(series)
            self._put((self._ordinals[series], REGISTERED, 0, 0, ()))

    def cancel(self, series: Series) -> None:
        """Let a series come in no more; `UsageError` if it does not come in."""
        self._require(series, CANCELLED)
        with self._monitor:
            if series not in self._registered:
                raise UsageError(f"{series} is not registered", hint="it was cancelled before")
            self._registered.remove(series)
            self._put((self._ordinals[series], CANCELLED, 0, 0, ()))

    def stop(self) -> None:
        """End the run in order: what waits is still taken, then open sessions are closed."""
        with self._monitor:
            if self._put((NO_SERIES, STOPPED, 0, 0, ())):
                self._is_over = True

    def close(self) -> None:
        """Let nothing more in or out; who waits goes on."""
        with self._monitor:
            self._is_over = self._is_closed = True
            self._monitor.notify_all()

    # What the supply does

    def take(self, due_ns: int) -> Sequence[Arrival]:
        """As `Arriving.take`; what is handed out is in the recording."""
        due_ns = min(due_ns, self._collector.due_ns)
        with self._monitor:
            while not self._line and not self._is_closed and (left := due_ns - self.now_ns()) > 0:
                self._monitor.wait(min(left / SECOND_NS, _HOUR_S))
            if self._is_closed:
                return []
            items, self._line = self._line, []
            self._monitor.notify_all()
        self._last_ns = receipt_ns = max(self.now_ns(), self._last_ns + 1)
        arrivals = [Arrival(s, w, at, receipt_ns, n, five(v)) for s, w, at, n, v in items]
        arrivals = arrivals or [Arrival(NO_SERIES, PASSED, 0, receipt_ns)]
        built = self._collector.collect(arrivals, self.header.series)
        end = len(arrivals) - (arrivals[-1].what == STOPPED)
        arrivals[end:end] = built  # nothing comes after the end
        self._recording.append(arrivals)
        return arrivals

    def _announce(self, series: Series) -> None:
        require_live(series)
        for known in self._ordinals:
            if known.instrument == series.instrument and _data(known) == _data(series):
                raise UsageError(
                    f"{series} cannot come in beside {known}",
                    hint="play one series of bars, one of trades and one of quotes per instrument",
                )
        if self._is_over:
            raise ReplayError("the run is over", hint="begin another, with this series")
        self._recording.announce(series)
        self._ordinals[series] = len(self._ordinals)

    def _put(self, item: _Item) -> bool:
        if not self._is_over:
            self._line.append(item)
            self.deepest = max(self.deepest, len(self._line))
        self._monitor.notify_all()
        return not self._is_over

    def _require(self, series: Series, what: int) -> None:
        if series not in self._ordinals:
            raise UsageError(
                f"{series} was not announced",
                hint=f"announced are {', '.join(map(str, self._ordinals))}",
            )
        if what not in NAMES or (what <= ASKED and what not in _data(series)):
            raise UsageError(
                f"{series} cannot hold a {NAMES.get(what, what)}", hint="push what its kind says"
            )


class Played:
    """A recording, played as it was received; no time is consulted."""

    def __init__(self, recording: Recording) -> None:
        self.is_live = False
        self._recording = recording
        self._arrivals: Iterator[Arrival] = chain.from_iterable(recording.read())
        self._next: Arrival | None = next(self._arrivals, None)

    @property
    def header(self) -> RecordingHeader:
        """As `Arriving.header`."""
        return self._recording.header

    def take(self, due_ns: int) -> Sequence[Arrival]:  # noqa: ARG002  # it is in the recording
        """As `Arriving.take`: some thousand at a time."""
        found: list[Arrival] = []
        while self._next is not None:
            if len(found) >= _BLOCK and self._next.receipt_ns > found[-1].receipt_ns:
                break
            found.append(self._next)
            self._next = next(self._arrivals, None)
        return found

    def register(self, series: Series) -> None:
        """Refused: `ReplayError`."""
        raise _recorded(series)

    def cancel(self, series: Series) -> None:
        """Refused: `ReplayError`."""
        raise _recorded(series)

    def close(self) -> None:
        """Read no more."""
        self._next = None


def require_live(series: Series) -> None:
    """Raise `UsageError` for bars that are a day or wider: they cannot come live."""
    if series.is_bars and not series.timeframe.is_intraday:
        raise UsageError(
            f"{series} cannot come live", hint="play narrower bars, and derive the wider"
        )


def _data(series: Series) -> tuple[int, ...]:
    """What a series can hold."""
    return _DATA.get(series.kind, (BAR, ASKED))


def _recorded(series: Series) -> ReplayError:
    return ReplayError(
        f"{series} cannot be registered or cancelled here: a recording is played as it was",
        hint="play other series, or leave this one alone in the strategy",
    )
