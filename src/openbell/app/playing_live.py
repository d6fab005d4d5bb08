"""Playing a live system in the foreground: what comes is recorded, and its quality shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from openbell.app import recording, wiring
from openbell.app.lake import Lake
from openbell.app.playing import SystemPlayer, history_of
from openbell.app.status import Ask, Board
from openbell.app.watching import Line
from openbell.market.counted import counted
from openbell.market.errors import CancelledError, UsageError
from openbell.market.instrument import Series
from openbell.market.moments import END_OF_TIME_NS, SECOND_NS, iso, local
from openbell.market.progress import CancelToken
from openbell.market.session import Session
from openbell.ports import RecordingHeader
from openbell.quality.completeness import completeness, expected_until
from openbell.replay import kernels
from openbell.replay.agenda import Played
from openbell.replay.scheduler import Scheduler
from openbell.replay.session_data import InstrumentData
from openbell.replay.system import System


class Held(NamedTuple):
    """What there is of an instrument: bars, their width, and sessions of history.

    Without bars the first is None, and the width 0.
    """

    bars: int | None
    width_ns: int
    history: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How a session stood when something of it was released last.

    Attributes
    ----------
    zone
        Of the venue's clocks.
    now_ns
        The moment.
    held
        By instrument.
    closed_ns
        When it closed; `END_OF_TIME_NS` while it is open.
    """

    session: Session
    zone: str
    now_ns: int
    held: Mapping[str, Held]
    closed_ns: int = END_OF_TIME_NS

    @property
    def is_open(self) -> bool:
        """Whether it has not closed."""
        return self.closed_ns == END_OF_TIME_NS

    def completeness(self, now_ns: int) -> dict[str, float]:
        """Of every instrument, by a moment of the wall clock; 1 of what has no bars.

        It falls while nothing comes, unlike that of session data, whose time stands still then.
        """
        by_ns = min(self.closed_ns, max(self.now_ns, now_ns))
        return {
            name: completeness(one.bars, expected_until(self.session, by_ns, one.width_ns))
            if one.bars is not None
            else 1.0
            for name, one in self.held.items()
        }


@dataclass(kw_only=True)
class LiveSystemPlayer(SystemPlayer):
    """Records what comes live, plays it, and keeps its status.

    Attributes
    ----------
    asked, header
        What is recorded, and the recording's header.
    scheduler
        Where threads and elapsed time come from; None for the machine's.
    """

    asked: recording.Asked
    header: RecordingHeader
    scheduler: Scheduler | None = None
    report_every_s: float = 10.0
    _lines: Sequence[Line] = ()
    _standing: Mapping[int, Standing] = field(default_factory=lambda: MappingProxyType({}))

    def record(self, lake: Lake, folder: Path, cancel: CancelToken) -> recording.Recorded:
        """Record until its time is over or somebody asks to stop, its status in a folder.

        Raises
        ------
        StoreError
            If a system is running in the folder already; nothing is recorded then.
        OutsideError
            If the source cannot be connected to; nothing is recorded then.
        """
        with self._board(folder, cancel) as board:
            found = recording.record(
                self.header, self.asked, lake, scheduler=self.scheduler, cancel=cancel,
                tell=self._hear, play=partial(self._play, board),
            )  # fmt: skip
            self._lines = found.lines
            self.end = "failed" if found.error else "stopped" if _is_asked(cancel) else "done"
        return found

    # In the thread that plays

    def _is_due(self, board: Board, system: System) -> bool:
        return board.is_due or _brings_bars(system)

    def _publish(self, board: Board, system: System) -> None:
        standing = dict(self._standing)
        for position, data in enumerate(system.session_data):
            if data.session is not None:
                held = {name: _held(one) for name, one in data.instruments.items()}
                zone = system.calendars[position].zone
                standing[position] = Standing(data.session, zone, system.clock.now(), held)
        self._standing = standing
        board.publish({})  # all is told by `_live`; raises what went wrong in the board's thread

    def _close(self, system: System, played: Played, cause: str) -> None:
        super()._close(system, played, cause)
        closed = replace(self._standing[played.calendar], closed_ns=system.clock.now())
        self._standing = {**self._standing, played.calendar: closed}

    # In any thread

    def _hear(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        shown = self._quality(wiring.now_ns())
        if shown["active_symbols"]:
            received = counted(sum(line.received for line in lines), "item")
            self._report(shown, f"live   {received} received")

    def _live(self) -> dict[str, Any]:
        """As of `SystemPlayer`, and what is recorded."""
        return {
            **super()._live(),
            "plays": list(map(str, self.header.series)),
            "derived": list(self.asked.derived),
            **self._quality(wiring.now_ns()),
            "recording": self.header.id,
            "from_url": self.asked.url,
            "until": iso(self.header.end_ns),
            "series": [line.to_dict() for line in self._lines],
        }

    def _quality(self, now_ns: int) -> dict[str, Any]:
        """What a status shows of the sessions: those that are open, else those that were last."""
        every = self._standing.values()
        shown = [one for one in every if one.is_open] or list(every)
        found = [one.completeness(now_ns - self._grace_ns) for one in shown]
        with_bars = [
            [value for name, value in each.items() if one.held[name].width_ns]
            for one, each in zip(shown, found, strict=True)
        ]
        zone = shown[0].zone if shown else "UTC"
        return {
            "session_date": shown[0].session.label if shown else None,
            "time": iso(now_ns),
            "local_time": f"{local(now_ns, zone):%H:%M:%S %Z}",
            "active_symbols": [name for one in shown if one.is_open for name in one.held],
            "completeness": min((sum(own) / len(own) for own in with_bars if own), default=1.0),
            "symbols": {
                name: {
                    "completeness": value,
                    "bars": one.held[name].bars,
                    "history": one.held[name].history,
                }
                for one, each in zip(shown, found, strict=True)
                for name, value in each.items()
            },
        }

    @property
    def _grace_ns(self) -> int:
        """How long a bar may take to come before it is missed."""
        return round(self.asked.rules.grace_s * SECOND_NS)

    @property
    def _state(self) -> str:
        if self.end or self.system is None:
            return "stopped" if self.end else "starting"
        return "stopping" if self.system.state == "stopped" else self.system.state

    def _answer(self, cancel: CancelToken, what: Ask) -> None:
        if what != "stop":
            raise UsageError(
                f"{self.config.name} is live: the market cannot be held",
                hint="stop it, then replay what it recorded, and pause that: "
                f"openbell replay recording:{self.header.id}",
            )
        cancel.cancel()


def _held(one: InstrumentData) -> Held:
    if not one.has_bars:
        return Held(None, 0)
    width_ns = Series(one.instrument, one.base).timeframe.width_ns
    return Held(len(one.bars()), width_ns, history_of(one))


def _brings_bars(system: System) -> bool:
    """Whether the chunk that is played holds base bars, new or revised."""
    chunk = system.coordinator.chunk
    return any(
        chunk.counts[k, -1]
        for k, track in enumerate(chunk.tracks)
        if track.kind == kernels.BAR or (track.kind == kernels.REVISION and not track.frame)
    )


def _is_asked(cancel: CancelToken) -> bool:
    try:
        cancel.check()
    except CancelledError:
        return True
    return False
