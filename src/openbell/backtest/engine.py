"""The engine: plays a strategy over a system, slice by slice.

The life of a run, with the modules where each part lives:

1. The plan becomes a system (`replay/system.py`); the strategy makes its indicators
   (`context.py`, `indicators.py`).
2. With each chunk, indicators and prices are computed in columns, up to which slice of them may
   be read is the clock's affair (`market_view.py`).
3. With each slice: working orders are tried (`broker.py`, `fill_rules.py`), callbacks run, new
   orders are numbered. Nothing else happens per bar; it is one flat loop.
4. After each chunk, equity becomes a column.
5. At the end, or where it broke off, the parts become a `RunResult`.
"""

import gc
import linecache
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from openbell.backtest import checkpoints
from openbell.backtest.broker import Broker, OnFill
from openbell.backtest.config import RunConfig
from openbell.backtest.context import Context
from openbell.backtest.market_view import MarketView
from openbell.backtest.result import EquityCurve, Status
from openbell.backtest.strategy import Strategy, overrides
from openbell.market.columns import Floats, Ints
from openbell.market.errors import CancelledError, ColumnError, OpenbellError, UsageError
from openbell.market.instrument import Terms
from openbell.market.moments import iso
from openbell.market.progress import CancelToken, Progress, silent
from openbell.market.ticks import Quote
from openbell.replay import kernels
from openbell.replay.chunk import Step
from openbell.replay.coordinator import CATCH_UP
from openbell.replay.pacing import Rewind
from openbell.replay.slices import Slice
from openbell.replay.system import System

# Moments, cash, equity, positions of the closes, and prices of the benchmark.
_Part = tuple[Ints, Floats, Floats, Ints, Floats]
_PARTS = 1000  # so many are kept apart; a live run has one for every batch that arrives


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What came out of playing: status, why it broke off, equity and the share of time exposed."""

    status: Status
    error: str
    equity: EquityCurve
    benchmark: Floats
    exposure: float


class Engine:
    """One run of one strategy over one system.

    Attributes
    ----------
    broker, context
        What the run did; see `result.RunResult` for what becomes of it.
    bars
        Base bars released in chunks that are over.
    """

    def __init__(
        self, system: System, strategy: Strategy, config: RunConfig, terms: Sequence[Terms]
    ) -> None:
        self.system = system
        self.config = config
        self.terms = terms
        self._mark = _position(config.benchmark, system.names) if config.benchmark else 0
        self.reset(strategy)
        system.keep = lambda: checkpoints.keep(self)
        system.has_fixed_streams = True

    def reset(self, strategy: Strategy) -> None:
        """Be at the very beginning, with a fresh strategy."""
        self.strategy = strategy
        self.view = MarketView(self.system, self.config.fill)
        self.broker = Broker(
            self.config,
            self.system.names,
            self.terms,
            self.system.tape,
            now=self.system.clock.now,
            offers=self.view.offers,
            prices=self.view.prices,
            session=self.view.session_label,
        )
        self.context = Context(self.config, self.system, self.broker, self.view.prices_now)
        self._loop = self._choose_loop()
        self._numbers: list[int] = []
        self._cash = self.config.cash
        self._positions = [0.0] * len(self.system.names)
        self._parts: list[_Part] = []
        self._rows = 0
        self._exposed = 0
        self.bars = 0

    def mark(self) -> tuple[Any, ...]:
        """Its own figures between two chunks, for `go_back`."""
        return self._cash, self._positions, self._rows, self._exposed, self.bars, len(self._parts)

    def go_back(self, mark: tuple[Any, ...]) -> None:
        """Be as at a mark."""
        self._cash, self._positions, self._rows, self._exposed, self.bars, parts = mark
        del self._parts[parts:]

    def play(
        self,
        bars_per_year: float,
        *,
        progress: Progress = silent,
        cancel: CancelToken | None = None,
    ) -> Played:
        """Play to the end, or until the strategy raises or somebody asks to stop.

        A strategy's exception does not leave here: it ends the run as failed, named by bar and
        line. Only errors of the data and of openbell itself are raised.
        """
        status: Status = "done"
        error = ""
        with self.system, _rare_collections():
            try:
                self._play(bars_per_year, progress, cancel)
            except (KeyboardInterrupt, CancelledError):
                status, error = "interrupted", f"stopped at {iso(self.system.clock.now())}"
            except (Exception, SystemExit) as raised:
                error = self._blame(raised)
                if not error:
                    raise
                status = "failed"
            if status != "done":
                self._break_off()
        return Played(status, error, *self._curves())

    def _play(self, bars_per_year: float, progress: Progress, cancel: CancelToken | None) -> None:
        self.begin(bars_per_year)
        while True:
            try:
                self._go_on(progress, cancel)
            except Rewind as asked:
                checkpoints.restore(self, self.system.rewind(asked.to_ns), bars_per_year)
            else:
                break
        self.strategy.on_stop(self.context)
        self.end_chunk()

    def begin(self, bars_per_year: float) -> None:
        """Let the strategy make its indicators, before the first chunk."""
        self.strategy.on_start(self.context)
        self.context.begin(bars_per_year)

    def _go_on(self, progress: Progress, cancel: CancelToken | None) -> None:
        for step in self.system.steps(progress=progress, cancel=cancel):
            if self.view.chunk is not self.system.coordinator.chunk:
                self._turn_chunk()
            self._act(step)

    def end_chunk(self) -> None:
        """Keep the equity of the present chunk, if that was not done before."""
        if self.view.chunk is not None:
            self._keep_equity(len(self.view.times_ns))
            self.view.chunk = None

    def _act(self, step: Step) -> None:
        if step.kind == kernels.BAR:
            self._loop(step)
            return
        if step.kind == CATCH_UP:
            self.view.skip(step.begin, step.end)
            return
        assert step.played is not None
        opens = step.kind == kernels.OPEN
        callback = self.strategy.on_session_open if opens else self.strategy.on_session_close
        callback(self.context, step.played.session)
        if self.broker.placed:
            self.broker.accept(step.begin, self._on_fill())
        if self.config.close_at_end and self._is_last(step):
            self.broker.close_out(step.begin, self._on_fill())

    def _is_last(self, step: Step) -> bool:
        """Whether this is the last close of the run."""
        if step.kind != kernels.CLOSE:
            return False
        coordinator, sessions = self.system.coordinator, self.system.agenda.sessions
        is_stopped = step.cause == "stopped" and len(coordinator.open_sessions) == 1
        return is_stopped or len(coordinator.ended) + 1 == len(sessions)

    def _turn_chunk(self) -> None:
        self.end_chunk()
        self.view.load()
        if self._loop != self._loop_single:
            self._numbers = self.view.bars_per_slice()
        for indicator, track in self.context.columns:
            indicator.load(self.view.bars_of(track), self.view.counts_of(track))

    # The loops: the same rules for each, with no more work per slice than the strategy needs

    def _choose_loop(self) -> Callable[[Step], None]:
        has = [overrides(self.strategy, f"on_{what}") for what in ("slice", "trade", "quote")]
        if any(has) or self._tells_revisions:
            return self._loop_slices
        return self._loop_single if len(self.system.tracks) == 1 else self._loop_bars

    @property
    def _tells_revisions(self) -> bool:
        """Whether the strategy wants to hear of revisions, and there can be any."""
        can_be = any(track.kind == kernels.REVISION for track in self.system.tracks)
        return can_be and overrides(self.strategy, "on_revision")

    def _loop_single(self, step: Step) -> None:
        """One instrument with nothing but base bars: every slice is one bar."""
        broker, ctx, on_bar = self.broker, self.context, self.strategy.on_bar
        working, placed, on_fill = broker.working, broker.placed, self._on_fill()
        cursor = self.system.clock.cursor
        for bar in self.system.coordinator.release_along(step, self.view.bars):
            if working:
                broker.match(cursor.slice, on_fill)
            on_bar(ctx, bar)
            if placed:
                broker.accept(cursor.slice, on_fill)

    def _loop_bars(self, step: Step) -> None:
        """Any number of bars in a slice."""
        broker, ctx, on_bar = self.broker, self.context, self.strategy.on_bar
        working, placed, on_fill = broker.working, broker.placed, self._on_fill()
        bars, numbers = self.view.bars, self._numbers
        for i in self.system.release(step):
            if working:
                broker.match(i, on_fill)
            for bar in islice(bars, numbers[i]):
                on_bar(ctx, bar)
            if placed:
                broker.accept(i, on_fill)

    def _loop_slices(self, step: Step) -> None:
        """Bars, quotes, trades, and the slice as a whole."""
        broker, ctx, strategy = self.broker, self.context, self.strategy
        working, placed, on_fill = broker.working, broker.placed, self._on_fill()
        maker = self.system.slice_maker()
        on_bar = strategy.on_bar if overrides(strategy, "on_bar") else None
        revises = self._tells_revisions
        ticks = overrides(strategy, "on_trade") or overrides(strategy, "on_quote")
        bars, numbers = self.view.bars, self._numbers
        for i in self.system.release(step):
            if working:
                broker.match(i, on_fill)
            if revises:
                for bar in maker.revisions(i):
                    strategy.on_revision(ctx, bar)
            if on_bar is not None:
                for bar in islice(bars, numbers[i]):
                    on_bar(ctx, bar)
            if ticks:
                self._hand_out_ticks(i)
            strategy.on_slice(ctx, Slice(maker, i))
            if placed:
                broker.accept(i, on_fill)

    def _hand_out_ticks(self, at: int) -> None:
        for tick in self.view.ticks_at(at):
            if isinstance(tick, Quote):
                self.strategy.on_quote(self.context, tick)
            else:
                self.strategy.on_trade(self.context, tick)

    def _on_fill(self) -> OnFill:
        """What is told of every fill; None if the strategy has no callback for it."""
        if not overrides(self.strategy, "on_fill"):
            return None
        return partial(self.strategy.on_fill, self.context)

    # Where it ends

    def _break_off(self) -> None:
        """Keep what there is up to the slice at which the run stopped."""
        if self.view.chunk is None:
            return
        if self.view.chunk is not self.system.coordinator.chunk:  # between two chunks
            self.end_chunk()
            return
        at = self.system.clock.cursor.slice
        label = next((d.session.label for d in self.system.session_data if d.session), "")
        if label:
            self.system.tape.close_session(at, label)
        self._keep_equity(at + 1)

    def _blame(self, raised: BaseException) -> str:
        """What the strategy raised, at which moment and line; empty if it was not the strategy."""
        if isinstance(raised, ColumnError):
            return raised.message
        own = [
            frame
            for frame, _ in traceback.walk_tb(raised.__traceback__)
            if frame.f_locals.get("self") is self.strategy
        ]
        if not own:
            return ""
        found = [
            (frame.f_code.co_filename, line)
            for frame, line in traceback.walk_tb(raised.__traceback__)
            if frame in own
        ]
        path, line = found[-1]
        source = linecache.getline(path, line).strip()
        when = iso(self.system.clock.now())
        hint = f" ({raised.hint})" if isinstance(raised, OpenbellError) and raised.hint else ""
        return (
            f"{type(raised).__name__}: {raised}{hint} — at {when}, {self._bar_in_hand()}"
            f"{Path(path).name} line {line}: {source}"
        )

    def _bar_in_hand(self) -> str:
        if self.view.chunk is None:
            return ""
        maker, at = self.system.slice_maker(), self.system.clock.cursor.slice
        found = [bar for name in self.system.names if (bar := maker.bar(name, at))]
        return f"bar {found[0]}, " if found else ""

    # Equity in columns

    def _keep_equity(self, slices: int) -> None:
        """Equity after each slice of the present chunk, from the broker's steps."""
        chunk, view = self.view.chunk, self.view
        if chunk is None:
            return
        at, which, after, money = np.array(self.broker.steps).reshape(-1, 4).T
        cash = _stairs(self._cash, at, money, slices)
        positions = [
            _stairs(held, at[which == ordinal], after[which == ordinal], slices)
            for ordinal, held in enumerate(self._positions)
        ]
        equity = cash.copy()
        exposed = np.zeros(slices, bool)
        for ordinal, held in enumerate(positions):
            if held.any():
                worth = held * view.closes[ordinal][:slices] * self.broker.terms[ordinal].multiplier
                equity = np.where(held != 0.0, equity + worth, equity)
                exposed |= held != 0.0
        self._cash = self.broker.ledger.cash
        self._positions = list(self.broker.ledger.positions)
        del self.broker.steps[:]
        closes = [s.begin for s in chunk.steps if s.kind == kernels.CLOSE and s.begin < slices]
        self._parts.append(
            (
                chunk.known_ns[:slices],
                cash,
                equity,
                np.array(closes, np.int64) + self._rows,
                view.closes[self._mark][:slices],
            )
        )
        if len(self._parts) >= _PARTS and self.system.pace is None:
            self._parts = [_joined(self._parts)]
        self._rows += slices
        self.bars += int(view.base_known[slices - 1]) if slices else 0
        self._exposed += int(exposed.sum())

    def _curves(self) -> tuple[EquityCurve, Floats, float]:
        times, cash, equity, closes, mark = _joined(self._parts)
        curve = EquityCurve(times, cash, equity, closes)
        known = np.isfinite(mark)
        first = mark[known.argmax()] if known.any() else np.nan
        benchmark = self.config.cash * (mark / first)
        return curve, benchmark, self._exposed / self._rows if self._rows else 0.0


def _position(name: str, names: Sequence[str]) -> int:
    if name not in names:
        raise UsageError(f"the benchmark {name} is not played", hint=f"use {' or '.join(names)}")
    return names.index(name)


def _joined(parts: Sequence[_Part]) -> _Part:
    """All parts of the equity as one."""
    if not parts:
        none = np.empty(0)
        return none.astype(np.int64), none, none, none.astype(np.int64), none
    times, cash, equity, closes, mark = map(np.concatenate, zip(*parts, strict=True))
    return times, cash, equity, closes, mark


def _stairs(first: float, at: Any, values: Floats, slices: int) -> Floats:
    """A column that is `first`, and from each slice on the value that comes with it."""
    lengths = np.diff(np.concatenate(([0], at.astype(np.int64), [slices])))
    return np.repeat(np.concatenate(([first], values)), lengths)


@contextmanager
def _rare_collections() -> Generator[None]:
    """Let Python look for circular garbage less often while a run plays.

    A run keeps orders, fills and bars by the ten thousand, none of them circular; looking through
    all of them every 700 allocations took two fifths of a trading run's time.
    """
    usual = gc.get_threshold()
    gc.set_threshold(20_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
