"""Streams that join or leave a recording while it goes on."""

import threading

from openbell.app import wiring
from openbell.market.instrument import Pin, Series
from openbell.ports import LiveSource
from openbell.recording.live import Collector, with_bars
from openbell.replay.intake import Intake
from openbell.replay.system import System


class Streams:
    """What a recording takes in, to be changed from any thread while it goes on.

    Parameters
    ----------
    url
        Where it comes from.
    """

    def __init__(
        self, url: str, source: LiveSource, system: System, intake: Intake, collector: Collector
    ) -> None:
        self._url, self._source = url, source
        self._system, self._intake, self._collector = system, intake, collector
        self._lock = threading.Lock()

    @property
    def series(self) -> tuple[Series, ...]:
        """Everything that is or was recorded, in the order it was registered."""
        return self._intake.header.series

    def register(self, series: Series) -> None:
        """Record one more series from now on, or one that was cancelled again.

        As at the start, bars are built of an instrument whose trades come and whose bars do not.

        Raises
        ------
        UsageError
            If it does not come from there, cannot be played beside the others, is recorded
            already, or a strategy runs over them. Nothing has changed then.
        ReplayError
            If the recording is over. Nothing has changed then.
        UnavailableError
            If its source has ended: nothing will come of it.
        """
        with self._lock:
            if series in self.series:
                self._system.register(Pin(series, 1))
            else:
                self._add(series)

    def cancel(self, series: Series) -> None:
        """Play nothing of a series from now on; what comes of it is recorded all the same.

        Raises
        ------
        UsageError
            If it is not played.
        """
        self._system.cancel(series)

    def _add(self, series: Series) -> None:
        wiring.live_source(self._url, (series,), self._intake.now_ns)  # raises if it has none such
        for one in with_bars((*self.series, series))[len(self.series) + 1 :]:
            pin = Pin(one, 1)
            self._system.register(pin)
            calendar = self._system.plan.with_pin(pin).calendar_of(one.instrument)
            self._collector.build(one, calendar)
        self._system.register(Pin(series, 1))
        self._source.add(series)
