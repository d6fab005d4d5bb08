"""What looks after a recording while it goes on, and how far it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from openbell.market.errors import CancelledError, ReplayError
from openbell.market.instrument import Series
from openbell.market.moments import END_OF_TIME_NS, iso
from openbell.market.progress import CancelToken
from openbell.ports import RecordingHeader
from openbell.recording.live import Collector
from openbell.replay.intake import Intake
from openbell.replay.live_feeds import LiveCounts
from openbell.replay.rules import REASONS
from openbell.replay.scheduler import Scheduler
from openbell.replay.system import System

_WATCH_S = 0.2  # how often the watch looks
_NOTES = ("disconnected", "silent", "failed")


@dataclass(frozen=True, slots=True)
class Line:
    """How far a series is.

    Attributes
    ----------
    received
        Items that came, bars built here included.
    released
        Items released, revisions included.
    withheld
        Items that were not, by reason.
    noted
        Notes of its source, by name: disconnected, silent, failed.
    left_out
        Bars built here that were not whole.
    last_ns
        The venue's time of the last item; 0 before the first.
    completeness
        Of the present or last session, 0 to 1; None for trades and quotes, and before the first.
    """

    series: str
    received: int
    released: int
    withheld: dict[str, int]
    noted: dict[str, int]
    left_out: int
    last_ns: int
    completeness: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        last = iso(self.last_ns) if self.last_ns else None
        return {
            "series": self.series, "received": self.received, "released": self.released,
            "withheld": self.withheld, "noted": self.noted, "left_out": self.left_out,
            "last": last, "completeness": self.completeness,
        }  # fmt: skip


class Watch:
    """Tells how far a recording is, and ends it; on its own thread.

    Attributes
    ----------
    error
        What went wrong in it, which ends the recording; None if nothing did.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # it looks after all of them
        self,
        header: RecordingHeader,
        system: System,
        intake: Intake,
        collector: Collector,
        tell: Callable[[Sequence[Line]], None],
        cancel: CancelToken | None,
        scheduler: Scheduler,
    ) -> None:
        self.error: Exception | None = None
        self._system = system
        self._intake, self._collector = intake, collector
        self._tell = tell
        self._cancel = cancel or CancelToken()
        last_close_ns = int(system.agenda.close_ns.max())
        # Sessions that close by then close by themselves, when their last data is there.
        self._stop_ns = header.end_ns if last_close_ns > header.end_ns else END_OF_TIME_NS
        self._monitor = scheduler.monitor()
        self._is_over = False
        self._complete: dict[str, float] = {}
        system.coordinator.before_chunk = self._measure
        self._worker = scheduler.start("openbell-watch", self._run)

    def stop(self, *, timeout_s: float = 10.0) -> None:
        """End it; `ReplayError` if it does not end in time."""
        with self._monitor:
            self._is_over = True
            self._monitor.notify_all()
        self._worker.join(timeout_s)
        if self._worker.is_alive():
            raise ReplayError(f"{self._worker.name} is still busy after {timeout_s:g} s")

    def lines(self) -> list[Line]:
        """How far every series is."""
        counts = self._system.counts
        known = [series for series in self._intake.header.series if str(series) in counts]
        return [self._line(series) for series in known]

    def _run(self) -> None:
        try:
            while not self._wait():
                self._look()
        except Exception as error:  # noqa: BLE001  # handed to whoever records
            self.error = error
            self._intake.stop()

    def _wait(self) -> bool:
        with self._monitor:
            if not self._is_over:
                self._monitor.wait(_WATCH_S)
            return self._is_over

    def _look(self) -> None:
        self._tell(self.lines())
        if self._intake.now_ns() >= self._stop_ns or self._is_asked():
            self._intake.stop()

    def _is_asked(self) -> bool:
        try:
            self._cancel.check()
        except CancelledError:
            return True
        return False

    def _line(self, series: Series) -> Line:
        counts = self._system.counts[str(series)]
        assert isinstance(counts, LiveCounts)
        received = self._collector.received(series)
        return Line(
            str(series),
            received.items,
            counts.played + counts.late,
            {name: n for name in (*REASONS.values(), "waiting") if (n := getattr(counts, name))},
            {name: n for name in _NOTES if (n := getattr(counts, name))},
            self._collector.left_out(series),
            received.last_ns,
            self._complete.get(str(series.instrument)) if series.is_bars else None,
        )

    def _measure(self) -> None:
        """Take down how complete everything is; on the thread that plays, between two chunks."""
        self._complete = {
            name: one.completeness
            for data in self._system.session_data
            if data.session is not None
            for name, one in data.instruments.items()
        } or self._complete
