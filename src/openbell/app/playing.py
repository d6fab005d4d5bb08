"""Playing a system in the foreground: it can be watched and controlled from elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from openbell.app import wiring
from openbell.app.session_config import SessionConfig
from openbell.app.status import Ask, Board
from openbell.market.counted import counted
from openbell.market.errors import CancelledError
from openbell.market.moments import SECOND_NS, iso, local
from openbell.market.progress import CancelToken
from openbell.quality.report import percent
from openbell.replay import kernels
from openbell.replay.agenda import Played
from openbell.replay.session_data import InstrumentData
from openbell.replay.system import System

_CAUSES = {"dry": "   streams dry", "stopped": "   before its end"}


@dataclass
class SystemPlayer:
    """Plays what is stored, and keeps its status.

    Attributes
    ----------
    config
        What is played.
    source
        Where the configuration stands, for the status.
    tell
        Called with lines about how far it is: at every close, and now and then in between.
    sessions
        Rows of the sessions that have closed.
    report_every_s
        Seconds of real time between two lines about a session that goes on.
    end
        How it ended: ``done``, ``stopped`` when asked for, ``interrupted``, or ``failed``.
    system
        What plays; None before there is one.
    """

    config: SessionConfig
    source: str
    tell: Callable[[str], None]
    sessions: list[dict[str, Any]] = field(default_factory=list)
    report_every_s: float = 5.0
    end: str = ""
    system: System | None = None
    _told_ns: int = 0
    _since_ns: int = 0
    _is_asked_to_stop: bool = False

    def play(self, system: System, folder: Path, cancel: CancelToken) -> str:
        """Play a system to its end, its status in a folder; give how it ended.

        Raises
        ------
        StoreError
            If a system is running in the folder already.
        """
        self.system = system
        with self._board(folder, cancel) as board:
            try:
                self._play(board, system, cancel)
            except CancelledError:
                self.end = "stopped" if self._is_asked_to_stop else "interrupted"
            else:
                self.end = "done"
        return self.end

    @contextmanager
    def _board(self, folder: Path, cancel: CancelToken) -> Iterator[Board]:
        self._since_ns = self._told_ns = wiring.now_ns()
        with Board(folder, self._live, partial(self._answer, cancel)) as board:
            try:
                yield board
            except KeyboardInterrupt:
                self.end = "interrupted"
                raise
            except BaseException:
                self.end = "failed"
                raise

    def _play(self, board: Board, system: System, cancel: CancelToken | None = None) -> None:
        self._publish(board, system)
        with system:
            self.system = system
            for step in system.steps(cancel=cancel):
                if step.kind == kernels.BAR:
                    for _ in system.release(step):
                        if self._is_due(board, system):
                            self._publish(board, system)
                elif step.played is not None:
                    self._publish(board, system)
                    if step.kind == kernels.CLOSE:
                        self._close(system, step.played, step.cause)

    def _is_due(self, board: Board, system: System) -> bool:  # noqa: ARG002  # see `LiveSystemPlayer`
        return board.is_due

    def _publish(self, board: Board, system: System) -> None:
        shown = shown_of(system)
        board.publish(shown)
        if shown["session_date"]:
            self._report(shown, _speed(system))

    def _report(self, shown: dict[str, Any], pace: str) -> None:
        """Tell of a session that goes on, if it is time."""
        now_ns = wiring.now_ns()
        if now_ns - self._told_ns > self.report_every_s * SECOND_NS:
            self._told_ns = now_ns
            self.tell(
                f"{shown['session_date']} {shown['local_time']}"
                f"   {percent(shown['completeness'])} complete   {pace}"
            )

    def _close(self, system: System, played: Played, cause: str) -> None:
        data = system.session_data[played.calendar]
        bars = sum(len(d.bars()) for d in data.instruments.values() if d.has_bars)
        row = {
            "session": played.session.label,
            "calendar": data.calendar,
            "bars": bars,
            "completeness": data.completeness,
            "cause": cause,
        }
        self.sessions.append(row)
        self._told_ns = wiring.now_ns()
        self.tell(
            f"{row['session']} {data.calendar} closed   {counted(bars, 'bar')}"
            f"   {percent(data.completeness)} complete{_CAUSES.get(cause, '')}"
        )

    def _live(self) -> dict[str, Any]:
        """What can be read in any thread."""
        system = self.system
        return {
            "state": self._state,
            "end": self.end or None,
            "mode": self.config.mode,
            "name": self.config.name,
            "config": self.source,
            "plays": [str(pin) for pin in system.plan.pins] if system else [],
            "derived": list(system.plan.derived) if system else [],
            "sessions_closed": len(self.sessions),
            "sessions": len(system.agenda.sessions) if system else 0,
            "start_date": self.config.start,
            "end_date": self.config.end,
            "speed": system.pace.speed if system and system.pace else None,
            "started": iso(self._since_ns),
            "updated": iso(wiring.now_ns()),
            "not_done": list(self.config.not_done),
        }

    @property
    def _state(self) -> str:
        return self.system.state if self.system and not self.end else "stopped"

    def _answer(self, cancel: CancelToken, what: Ask) -> None:
        assert self.system is not None
        assert self.system.pace is not None
        if what == "pause":
            self.system.pace.pause()
        elif what == "resume":
            self.system.pace.resume()
        else:
            self._is_asked_to_stop = True
            cancel.cancel()


def shown_of(system: System) -> dict[str, Any]:
    """What a status shows of a system's sessions; to be read in the thread that plays."""
    now_ns = system.clock.now()
    open_now = [data for data in system.session_data if data.session is not None]
    first = open_now[0] if open_now else system.session_data[0]
    zone = system.calendars[system.session_data.index(first)].zone
    return {
        "session_date": first.session.label if first.session else None,
        "time": iso(now_ns),
        "local_time": f"{local(now_ns, zone):%H:%M:%S %Z}",
        "active_symbols": [name for data in open_now for name in data],
        "completeness": min((data.completeness for data in open_now), default=1.0),
        "symbols": {
            name: {
                "completeness": one.completeness,
                "bars": len(one.bars()) if one.has_bars else None,
                "history": history_of(one),
            }
            for data in open_now
            for name, one in data.instruments.items()
        },
    }  # fmt: skip


def history_of(one: InstrumentData) -> int:
    """How many finished sessions are at hand of which there are bars."""
    return sum(any(map(len, bars.values())) for _, bars in one.historical)


def _speed(system: System) -> str:
    speed = system.pace.speed if system.pace is not None else 0
    return f"{speed:g}×" if speed else "as fast as it goes"
