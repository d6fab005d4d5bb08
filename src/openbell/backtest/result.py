"""What a run came to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from msgspec import Struct

from openbell.backtest.config import RunConfig
from openbell.backtest.metrics import Metrics, measure_run, session_returns
from openbell.backtest.orders import Fill, Order, Outcome
from openbell.backtest.round_trips import RoundTrip, match_round_trips
from openbell.market.columns import Floats, Ints
from openbell.market.counted import counted
from openbell.replay.tape import Entry

Status = Literal["done", "failed", "interrupted"]


@dataclass(frozen=True, slots=True, eq=False)
class EquityCurve:
    """Money over time: one row per slice at which anything was released.

    Attributes
    ----------
    time_ns : int64, shape (n,)
        The moment of each slice.
    cash, equity : float64, shape (n,)
        Money; money plus positions at the last close.
    closes : int64, shape (sessions,)
        Row of the last slice of each session: the sessions' closing equity.
    """

    time_ns: Ints
    cash: Floats
    equity: Floats
    closes: Ints

    def __len__(self) -> int:
        return len(self.time_ns)


class SessionLine(Struct, frozen=True, gc=False):
    """One session of a run: label, digest on the tape, completeness of its data (0 to 1)."""

    label: str
    digest: str
    completeness: float


class LogLine(Struct, frozen=True, gc=False):
    """Something the strategy said with `ctx.log`."""

    time_ns: int
    text: str


@dataclass(frozen=True, eq=False, repr=False)
class RunResult:
    """One run: what was asked for, what it stood on, what it came to.

    Attributes
    ----------
    id
        Short hexadecimal name: of the configuration, the pins and the code.
    config
        What was asked for; run again with it.
    status, error
        ``done``; ``failed`` with what the strategy raised and where; ``interrupted``: results up
        to where it was stopped.
    pins, checksums
        The versions of its data, and their content.
    start_ns, end_ns
        The range that was played, half-open.
    sessions
        In order, with digests; the last digest is the seal.
    bars
        Base bars released.
    withheld
        Rows that were not played, by reason: ``off_hours``, ``corrupt``.
    completeness
        Of the data of the whole run, 0 to 1.
    equity, benchmark
        The equity curve; the equity of buying the benchmark with the same cash at the first
        close, at the same rows (NaN before it has a price).
    orders, fills, outcomes
        In order.
    entries
        The decisions on the tape.
    log
        What the strategy said.
    code_hash, code_files
        Of the strategy's code: SHA-256 over its files, and each file's.
    calendars
        Versions, by name.
    engine, version
        Which engine, and of which openbell; the engine of a live run is ``live``.
    elapsed_s
        Wall time it took; in no seal.
    sessions_per_year
        What yearly figures are scaled by.
    multipliers
        Money per point and unit, by instrument.
    exposure
        Share of slices with an open position, 0 to 1.
    """

    id: str
    config: RunConfig
    status: Status
    error: str
    pins: tuple[str, ...]
    checksums: tuple[str, ...]
    start_ns: int
    end_ns: int
    sessions: Sequence[SessionLine]
    bars: int
    withheld: Mapping[str, int]
    completeness: float
    equity: EquityCurve
    benchmark: Floats
    orders: Sequence[Order]
    fills: Sequence[Fill]
    outcomes: Sequence[Outcome]
    entries: Sequence[Entry]
    log: Sequence[LogLine]
    code_hash: str
    code_files: Mapping[str, str]
    calendars: Mapping[str, str]
    sessions_per_year: float
    multipliers: Mapping[str, float]
    exposure: float
    engine: str = "native"
    version: str = ""
    elapsed_s: float = 0.0
    warnings: Sequence[str] = field(default_factory=tuple)

    def __repr__(self) -> str:
        return (
            f"RunResult({self.id}, {self.status}, {self.config.strategy} on "
            f"{', '.join(self.pins)}, {counted(len(self.sessions), 'session')}, "
            f"{counted(len(self.fills), 'fill')}, seal {self.seal[:8]})"
        )

    @property
    def seal(self) -> str:
        """The last digest of the tape; empty if no session closed."""
        return self.sessions[-1].digest if self.sessions else ""

    @property
    def cash_start(self) -> float:
        """Money at the start."""
        return self.config.cash

    @property
    def equity_end(self) -> float:
        """Money plus positions at the end."""
        return float(self.equity.equity[-1]) if len(self.equity) else self.config.cash

    @cached_property
    def round_trips(self) -> Sequence[RoundTrip]:
        """From flat back to flat, entries matched with exits first in, first out."""
        return match_round_trips(self.fills, self.multipliers)

    @cached_property
    def metrics(self) -> Metrics:
        """The run in figures."""
        return measure_run(self)

    @property
    def worst_session(self) -> SessionLine | None:
        """The session with the least complete data."""
        return min(self.sessions, key=lambda s: s.completeness, default=None)

    @property
    def session_returns(self) -> Floats:
        """Return of each session, a fraction; see `metrics.session_returns`."""
        return session_returns(self.config.cash, self.equity.equity[self.equity.closes])

    def summary(self) -> dict[str, Any]:
        """What a list of runs or a header shows, JSON-ready."""
        worst = self.worst_session
        return {
            "id": self.id,
            "status": self.status,
            "error": self.error,
            "strategy": self.config.strategy,
            "parameters": dict(self.config.parameters),
            "on": list(self.pins),
            "bars": self.bars,
            "sessions": len(self.sessions),
            "first_session": self.sessions[0].label if self.sessions else "",
            "last_session": self.sessions[-1].label if self.sessions else "",
            "completeness": self.completeness,
            "worst_session": worst.label if worst else "",
            "worst_completeness": worst.completeness if worst else 1.0,
            "withheld": dict(self.withheld),
            "fill": self.config.fill,
            "is_free_of_cost": self.config.costs.is_free,
            "cash_start": self.config.cash,
            "equity_end": self.equity_end,
            "orders": len(self.orders),
            "fills": len(self.fills),
            "round_trips": len(self.round_trips),
            "metrics": self.metrics.to_dict(),
            "seal": self.seal,
            "checksums": list(self.checksums),
            "code_hash": self.code_hash,
            "code_files": dict(self.code_files),
            "calendars": dict(self.calendars),
            "engine": self.engine,
            "version": self.version,
            "elapsed_s": self.elapsed_s,
            "warnings": list(self.warnings),
            "config": self.config.to_dict(),
        }
