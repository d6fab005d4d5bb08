"""Systems from session configurations: built from the lake, played, watched and controlled."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openbell.app import wiring
from openbell.app.lake import Lake
from openbell.app.replaying import replay
from openbell.app.session_config import SessionConfig
from openbell.app.session_form import GROUPS
from openbell.app.status import Ask, Board
from openbell.market.counted import counted
from openbell.market.errors import CancelledError, NotRecordedError, UsageError
from openbell.market.instrument import Instrument, Series
from openbell.market.moments import SECOND_NS, iso, local
from openbell.market.progress import CancelToken
from openbell.market.timeframe import timeframe
from openbell.quality.report import percent
from openbell.replay import kernels
from openbell.replay.pacing import Pace
from openbell.replay.system import System


@dataclass(frozen=True, slots=True)
class Asked:
    """What a configuration comes to in a lake.

    Attributes
    ----------
    refs
        Series to play, in order.
    derived
        Timeframes to build from their bars.
    fill
        Series to fill missing bars from.
    """

    refs: tuple[str, ...]
    derived: tuple[str, ...]
    fill: tuple[str, ...]


def resolve(config: SessionConfig, lake: Lake) -> Asked:
    """Find what a configuration asks for in a lake.

    Of each symbol's bars those are played that are stored in the widest timeframe from which all
    that is asked for can be built; the others are derived.

    Raises
    ------
    NotRecordedError
        If something is not stored.
    UsageError
        If a symbol is stored of several venues, or bars of different symbols cannot be played
        together.
    """
    known = list(lake.store.list_series()) if lake.is_there else []
    refs: list[Series] = []
    derived: set[str] = set()
    for symbol in dict.fromkeys(stream.symbol for stream in config.streams):
        instrument = _instrument(symbol, config.group, known)
        kinds = [s.kind for s in config.streams if s.symbol == symbol]
        ticks = [kind for kind in kinds if kind in ("trades", "quotes")]
        if frames := [kind for kind in kinds if kind not in ticks]:
            frames += config.derived
            base = _base(instrument, frames, known)
            refs.append(base)
            derived |= set(frames) - {base.kind}
        refs += [_stored(Series(instrument, kind), known) for kind in ticks]
    _require_wider(refs, derived)
    fill = [s for s in _fills(refs, known) if s not in refs] if config.fills else []
    return Asked(tuple(map(str, refs)), tuple(sorted(derived, key=_width)), tuple(map(str, fill)))


def _require_wider(refs: list[Series], derived: set[str]) -> None:
    for series in refs:
        narrow = [
            code for code in derived if series.is_bars and _width(code) <= _width(series.kind)
        ]
        if narrow:
            raise UsageError(
                f"{narrow[0]} bars are built for all symbols, and {series} is not narrower",
                hint="ask for the same streams of symbols that are stored alike",
            )


def _instrument(symbol: str, group: str, known: list[Series]) -> Instrument:
    """The stored instrument of a symbol, of the group's calendars if there is a group."""
    every = dict.fromkeys(s.instrument for s in known)
    named = [i for i in every if symbol in (str(i), i.symbol)]
    found = [i for i in named if not group or i.place.calendar in GROUPS[group]]
    if len(found) > 1:
        names = ", ".join(map(str, found))
        raise UsageError(
            f"{symbol} is stored of several venues: {names}", hint="write the one that is meant"
        )
    if found:
        return found[0]
    near = named or [i for i in every if i.symbol.partition("-")[0] == symbol]
    raise NotRecordedError(
        f"nothing of {symbol} is stored" + (f" at a venue of {group}" if group else ""),
        hint=f"stored are {', '.join(map(str, near))}" if near else "openbell data import --help",
    )


def _base(instrument: Instrument, frames: list[str], known: list[Series]) -> Series:
    """The widest stored bars of trades from which all the timeframes can be had."""
    least = min(map(_width, frames))
    stored = [s for s in known if s.instrument == instrument and s.is_bars and s.price == "trade"]
    fitting = [s for s in stored if _width(s.kind) <= least]
    if not fitting:
        raise NotRecordedError(
            f"{min(frames, key=_width)} bars of {instrument} are not stored, nor narrower ones",
            hint=f"stored are {', '.join(map(str, stored))}" if stored else "openbell data import",
        )
    return max(fitting, key=lambda s: _width(s.kind))


def _stored(series: Series, known: list[Series]) -> Series:
    if series not in known:
        own = [str(s) for s in known if s.instrument == series.instrument]
        raise NotRecordedError(f"{series} is not stored", hint=f"stored are {', '.join(own)}")
    return series


def _fills(refs: list[Series], known: list[Series]) -> Iterator[Series]:
    """What can fill missing bars: the same bars of other venues, then trades."""
    for base in (s for s in refs if s.is_bars):
        own = base.instrument
        others = [s for s in known if s.instrument.symbol == own.symbol and s.instrument != own]
        same = [s for s in others if s.instrument.place.calendar == own.place.calendar]
        yield from (s for s in same if (s.kind, s.price) == (base.kind, base.price))
        yield from (s for s in known if s == Series(own, "trades"))


def _width(code: str) -> int:
    return timeframe(code).width_ns or 2**63 - 1


def build(config: SessionConfig, asked: Asked, lake: Lake) -> System:
    """The system a configuration describes; it always has a pace, so that it can be paused.

    Raises
    ------
    UsageError
        If the mode is live.
    """
    if config.mode == "live":
        raise UsageError(
            "a live system takes no session configuration yet",
            hint="set the mode to backtest to play what is stored",
        )
    return replay(
        asked.refs, lake=lake, start=config.start, end=config.end, derived=asked.derived,
        trailing=config.trailing, fill_from=asked.fill, check_interval_s=config.check_interval_s,
        retries=config.retries, pace=Pace(config.speed),
    )  # fmt: skip


@dataclass(slots=True)
class Player:
    """Plays a system in the foreground and keeps its status.

    Attributes
    ----------
    system, config
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
    """

    system: System
    config: SessionConfig
    source: str
    tell: Callable[[str], None]
    sessions: list[dict[str, Any]] = field(default_factory=list)
    report_every_s: float = 5.0
    end: str = ""
    _told_ns: int = 0
    _since_ns: int = 0
    _is_asked_to_stop: bool = False

    def play(self, folder: Path, cancel: CancelToken) -> str:
        """Play to the end; give how it ended.

        Raises
        ------
        StoreError
            If a system is running in the folder already.
        """
        self._since_ns = self._told_ns = wiring.now_ns()

        def answer(what: Ask) -> None:
            self._answer(what, cancel)

        with Board(folder, self._live, answer) as board:
            board.publish(self._shown())
            try:
                with self.system:
                    self._play(board, cancel)
            except CancelledError:
                self.end = "stopped" if self._is_asked_to_stop else "interrupted"
            except BaseException:
                self.end = "failed"
                raise
            else:
                self.end = "done"
        return self.end

    def _play(self, board: Board, cancel: CancelToken) -> None:
        for step in self.system.steps(cancel=cancel):
            if step.kind == kernels.BAR:
                for _ in self.system.release(step):
                    if board.is_due:
                        self._publish(board)
            elif step.played is not None:
                if step.kind == kernels.CLOSE:
                    self._close(step.played, step.cause)
                self._publish(board)

    def _publish(self, board: Board) -> None:
        shown = self._shown()
        board.publish(shown)
        now_ns = wiring.now_ns()
        if shown["session_date"] and now_ns - self._told_ns > self.report_every_s * SECOND_NS:
            self._told_ns = now_ns
            self.tell(
                f"{shown['session_date']} {shown['local_time']}"
                f"   {percent(shown['completeness'])} complete   {_speed(self._pace.speed)}"
            )

    def _close(self, played: Any, cause: str) -> None:
        data = self.system.session_data[played.calendar]
        row = {
            "session": played.session.label,
            "calendar": data.calendar,
            "bars": sum(len(d.bars()) for d in data.instruments.values() if d.has_bars),
            "completeness": data.completeness,
            "cause": cause,
        }
        self.sessions.append(row)
        self._told_ns = wiring.now_ns()
        self.tell(
            f"{row['session']} {data.calendar} closed   {counted(row['bars'], 'bar')}"
            f"   {percent(data.completeness)} complete" + "   streams dry" * (cause == "dry")
        )

    @property
    def _pace(self) -> Pace:
        assert self.system.pace is not None
        return self.system.pace

    def _shown(self) -> dict[str, Any]:
        """What is known now; read in the thread that plays."""
        system = self.system
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
                }
                for data in open_now
                for name, one in data.instruments.items()
            },
            "sessions_closed": len(self.sessions),
            "sessions": len(system.agenda.sessions),
        }  # fmt: skip

    def _live(self) -> dict[str, Any]:
        """What can be read in any thread."""
        return {
            "state": "stopped" if self.end else self.system.state,
            "end": self.end or None,
            "mode": self.config.mode,
            "name": self.config.name,
            "config": self.source,
            "plays": [str(pin) for pin in self.system.plan.pins],
            "derived": list(self.system.plan.derived),
            "start_date": self.config.start,
            "end_date": self.config.end,
            "speed": self._pace.speed,
            "started": iso(self._since_ns),
            "updated": iso(wiring.now_ns()),
            "not_done": list(self.config.not_done),
        }

    def _answer(self, what: Ask, cancel: CancelToken) -> None:
        if what == "pause":
            self._pace.pause()
        elif what == "resume":
            self._pace.resume()
        else:
            self._is_asked_to_stop = True
            cancel.cancel()


def _speed(speed: float) -> str:
    return f"{speed:g}×" if speed else "as fast as it goes"
