"""A replay's sessions as a table: one row per sample, in the columns of requirement 002's dump.

Only reads: what it shows is what the system knows at the sample's moment. The columns and what
holds for them stand in docs/formats.md.
"""

from collections.abc import Iterator

import numpy as np

from openbell.market.errors import UsageError
from openbell.market.instrument import Series
from openbell.market.moments import iso, local, parse_date
from openbell.market.progress import CancelToken, Progress, silent
from openbell.quality.completeness import completeness, expected_until
from openbell.replay import kernels
from openbell.replay.agenda import Played
from openbell.replay.chunk import Step
from openbell.replay.session_data import InstrumentData
from openbell.replay.system import System

Row = dict[str, str]

NONE = "N/A"
EXHAUSTED = "EXHAUSTED"
FRAMES = ("1m", "5m", "15m")

_SESSION = (
    "timestamp", "system_state", "system_mode", "session_date", "session_time", "session_active",
    "active_symbols", "overall_quality", "trading_hours_open", "trading_hours_close",
    "is_early_close",
)  # fmt: skip
_SYMBOL = (
    "volume", "high", "low", *(f"{frame}_bars" for frame in FRAMES), "bar_quality",
    "bars_updated", "first_bar_ts", "last_bar_ts", "queue_BAR_size", "queue_BAR_oldest",
    "queue_BAR_newest", "pending_bar_ts",
)  # fmt: skip


def columns(system: System) -> list[str]:
    """The names of the columns, in order: of the session, then of each symbol."""
    return [*_SESSION, *(f"{s}_{name}" for s in _symbols(system).values() for name in _SYMBOL)]


def session_rows(
    system: System,
    every_ns: int,
    *,
    progress: Progress = silent,
    cancel: CancelToken | None = None,
) -> Iterator[Row]:
    """Play a system to its end; give a row for every sample.

    Samples are taken at the open, every so much session time after it, and at the close; each
    shows what is known at its moment, that moment included. A replay that joins a session in its
    middle has its first sample there. The last row repeats the one before it with the state
    ``stopped``.

    Parameters
    ----------
    every_ns
        Session time between samples, above zero.

    Raises
    ------
    UsageError
        If the system plays several calendars, or the time between samples is none.
    """
    if every_ns <= 0:
        raise UsageError("samples every 0 s", hint="use at least 1s")
    if len(system.calendars) > 1:
        names = ", ".join(c.name for c in system.calendars)
        raise UsageError(
            f"a session dump has the sessions of one calendar, not of {names}",
            hint="dump instruments of one venue at a time",
        )
    sampler = _Sampler(system, every_ns)
    with system:
        for step in system.steps(progress=progress, cancel=cancel):
            yield from sampler.act(step)
    if sampler.last:
        yield {**sampler.last, "system_state": system.state, "session_active": "False"}


class _Sampler:
    """Takes the samples that are due while the steps of a replay are carried out."""

    def __init__(self, system: System, every_ns: int) -> None:
        self.last: Row = {}
        self._system = system
        self._every_ns = every_ns
        self._zone = system.calendars[0].zone
        self._symbols = _symbols(system)
        self._tracks = {
            system.names[track.instrument]: position
            for position, track in enumerate(system.tracks)
            if track.kind == kernels.BAR
        }
        self._seen: dict[str, int] = {}
        self._played: Played
        self._next_ns = 0

    def act(self, step: Step) -> Iterator[Row]:
        """Release what a step brings, and sample on the way."""
        if step.kind == kernels.BAR:
            yield from self._play(step)
        elif step.kind == kernels.OPEN and step.played is not None:
            self._enter(step.played)
        elif step.kind == kernels.CLOSE:
            close_ns = self._played.session.close_ns
            yield from self._before(close_ns)
            yield self._sample(close_ns)

    def _enter(self, played: Played) -> None:
        self._played = played
        self._seen = dict.fromkeys(self._symbols, 0)
        open_ns = played.session.open_ns
        late_ns = self._system.clock.now() - open_ns
        self._next_ns = open_ns + -(-late_ns // self._every_ns) * self._every_ns

    def _play(self, step: Step) -> Iterator[Row]:
        moments = self._system.coordinator.chunk.times_ns[step.begin : step.end]
        released = self._system.release(step)
        for moment_ns in moments:
            yield from self._before(moment_ns)
            next(released)
        for _ in released:  # nothing is left; what comes after the last slice is done
            pass

    def _before(self, end_ns: int) -> Iterator[Row]:
        while self._next_ns < end_ns:
            yield self._sample(self._next_ns)
            self._next_ns += self._every_ns

    def _sample(self, now_ns: int) -> Row:
        system, played = self._system, self._played
        found = system.session_data[0].instruments
        quality = {n: _quality(d, played, now_ns) for n, d in found.items() if d.has_bars}
        self.last = {
            "timestamp": iso(now_ns),
            "system_state": system.state,
            "system_mode": "backtest",
            "session_date": played.session.label,
            "session_time": self._clock(now_ns),
            "session_active": "True",
            "active_symbols": ",".join(self._symbols.values()),
            "overall_quality": _number(float(np.mean([*quality.values()]))) if quality else NONE,
            "trading_hours_open": self._clock(played.regular.open_ns),
            "trading_hours_close": self._clock(played.regular.close_ns),
            "is_early_close": str(played.session.is_early_close),
        }
        for name, symbol in self._symbols.items():
            cells = self._cells(name, found[name], quality.get(name, 100.0))
            self.last |= {f"{symbol}_{column}": cells.get(column, NONE) for column in _SYMBOL}
        return self.last

    def _cells(self, name: str, data: InstrumentData, quality: float) -> Row:
        """What is known of one instrument; what is left out is not known."""
        if not data.has_bars:
            return {}
        bars = data.bars()
        counts = {f: len(data.bars(f)) for f in FRAMES if f in data.kinds}
        found = {
            "volume": str(int(data.figures.volume)),
            **{f"{frame}_bars": str(count) for frame, count in counts.items()},
            "bar_quality": _number(quality),
            "bars_updated": str(len(bars) > self._seen[name]),
            **self._queue(name),
        }
        self._seen[name] = len(bars)
        if len(bars):
            found |= {
                "high": _number(data.figures.high),
                "low": _number(data.figures.low),
                "first_bar_ts": self._clock(int(bars.start_ns[0])),
                "last_bar_ts": self._clock(int(bars.start_ns[-1])),
            }
        return found

    def _queue(self, name: str) -> Row:
        """The session's base bars that are prepared and not released."""
        chunk, track = self._system.coordinator.chunk, self._tracks[name]
        rows = chunk.rows[track]
        released = int(chunk.counts[track][self._system.clock.cursor.slice])
        end = int(np.searchsorted(rows.session, self._played.ordinal, side="right"))
        if released < end:
            oldest, newest = (self._clock(int(rows.data.key_ns[k])) for k in (released, end - 1))
            return {
                "queue_BAR_size": str(end - released),
                "queue_BAR_oldest": oldest,
                "queue_BAR_newest": newest,
                "pending_bar_ts": oldest,
            }
        is_whole = self._played.session.close_ns <= chunk.known_ns[-1]
        return {"queue_BAR_size": "0", "pending_bar_ts": EXHAUSTED if is_whole else NONE}

    def _clock(self, ns: int) -> str:
        """A moment on the venue's clocks, ``HH:MM:SS``; midnight after the session is 24:00:00."""
        at = local(ns, self._zone)
        is_after = at.date() > parse_date(self._played.session.label)
        return f"{at.hour + 24 * is_after:02}:{at:%M:%S}"


def _symbols(system: System) -> dict[str, str]:
    """By what each instrument's columns begin: its symbol, or its name where venues differ."""
    symbols = [instrument.symbol for instrument in system.instruments]
    return {
        str(i): i.symbol if symbols.count(i.symbol) == 1 else str(i) for i in system.instruments
    }


def _quality(data: InstrumentData, played: Played, now_ns: int) -> float:
    """Completeness at a moment, 0 to 100."""
    width_ns = Series(data.instrument, data.base).timeframe.width_ns
    present = data.window(data.base).present(played)
    return 100.0 * completeness(present, expected_until(played.regular, now_ns, width_ns))


def _number(value: float) -> str:
    return f"{value:.10g}"
