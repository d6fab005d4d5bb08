"""PyBroker: our store as a source of its data, and any of our strategies as its execution.

PyBroker calls an execution once a bar and symbol, after what was ordered the bar before is filled.
There a strategy gets the bar and its fills, and its orders are handed on:

- market orders as shares at the next bar's open, limits as limits that stay until they are filled;
- orders that guard a position (the other way, with a stop, a limit or a trail) as PyBroker's stops,
  which it counts in points from the entry: the distance is taken at the fill, from the price paid.

What PyBroker does otherwise than the native engine is listed in ``docs/guides/pybroker.md``.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any, Self

import numpy as np

from openbell.backtest.config import Hours, RunConfig
from openbell.backtest.result import LogLine
from openbell.backtest.strategy import Strategy, overrides
from openbell.market.bars import Bars
from openbell.market.build import require_wider, widen
from openbell.market.calendars import calendar
from openbell.market.columns import CORRUPT
from openbell.market.errors import MissingExtraError, NotRecordedError, UsageError
from openbell.market.instrument import Instrument, Pin
from openbell.market.moments import SECOND_NS, to_ns
from openbell.market.timeframe import CODES, Timeframe, timeframe
from openbell.ports import ReadStore
from openbell.replay.plan import ReplayPlan

try:
    import pandas as pd
    from pybroker.common import to_seconds
    from pybroker.context import ExecContext
    from pybroker.data import DataSource
except ImportError as error:
    raise MissingExtraError("PyBroker", "pybroker") from error

from openbell.backtest.engines.pybroker_player import Player

_OWN_SETTINGS = {"size", "sizing", "history", "seed", "lot"}


class OpenbellDataSource(DataSource):
    """Gives PyBroker what a store holds: bars of the timeframe it asks for, wider ones built.

    Symbols are instruments, ``XNYS:SPY``. Dates are the bars' starts in UTC, without a zone, as
    PyBroker has them; of a range both ends are included. Bars that are corrupt or in no session are
    left out and counted. PyBroker's own cache is not used: it would not notice a new version.

    Parameters
    ----------
    store
        Opened.
    refs
        By symbol the series it stands for, or a version of it: ``{"SPY": "XNYS:SPY/1m@3"}``.
    hours
        Regular or extended.

    Attributes
    ----------
    pins
        By symbol, the version that was read last.
    withheld
        By symbol, how many bars were left out of it because they are corrupt or in no session.
    """

    def __init__(
        self,
        store: ReadStore,
        refs: Mapping[str, str] | None = None,
        *,
        hours: Hours = "regular",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyBroker says no types here
        self.pins: dict[str, Pin] = {}
        self.withheld: dict[str, int] = {}
        self._store = store
        self._refs = dict(refs or {})
        self._hours = hours

    def get_cached(self, symbols: Any, *_: Any, **__: Any) -> tuple[pd.DataFrame, Any]:
        """Nothing: every answer comes from the store."""
        return pd.DataFrame(), symbols

    def set_cached(self, *_: Any, **__: Any) -> None:
        """Keep nothing."""

    def planned(self, symbol: str, kind: str, start_date: Any) -> tuple[ReadStore, ReplayPlan]:
        """What is played of a symbol from a bar on, as far as a strategy may know."""
        pin = self.pins[symbol]
        if pin.series.kind != kind:
            raise UsageError(
                f"{symbol} is stored in {pin.series.kind} bars",
                hint=f"it looks into the past, and plays what is stored: use {pin.series.kind}",
            )
        end_ns = self._store.info(pin).last_ns + 1
        plan = ReplayPlan((pin,), _naive_ns(start_date), end_ns, extended=self._hours == "extended")
        return self._store, plan

    def _fetch_data(
        self, symbols: frozenset[str], start_date: Any, end_date: Any, timeframe: Any, adjust: Any
    ) -> pd.DataFrame:
        if adjust is not None:
            raise UsageError(f"adjust={adjust!r}", hint="what is stored is not adjusted")
        code = code_of(timeframe)
        first_ns, last_ns = _naive_ns(start_date), _naive_ns(end_date)
        frames = [
            _frame(symbol, self._bars(symbol, code).between(first_ns, last_ns + 1))
            for symbol in sorted(symbols)
        ]
        return pd.concat(frames, ignore_index=True)

    def _bars(self, symbol: str, code: str) -> Bars:
        """All sane bars of a symbol, in the hours asked for, of a timeframe."""
        pin = self._pin(symbol, timeframe(code))
        info = self._store.info(pin)
        rows = self._store.read(pin, info.first_ns, info.last_ns + 1)
        assert isinstance(rows, Bars)
        sane = ((rows.label & CORRUPT) == 0) & _in_hours(rows, "extended")
        self.pins[symbol], self.withheld[symbol] = pin, int(np.count_nonzero(~sane))
        kept = rows.take(sane & _in_hours(rows, self._hours))
        return kept if kept.series.kind == code else widen(kept, timeframe(code))

    def _pin(self, symbol: str, wanted: Timeframe) -> Pin:
        """The version to read: as named, else the widest series that the bars can be built of."""
        if symbol in self._refs:
            pin = self._store.resolve(self._refs[symbol])
            if pin.series.timeframe != wanted:
                require_wider(pin.series.timeframe, wanted)
            return pin
        name = Instrument.parse(symbol)
        for code in reversed(CODES):
            with suppress(NotRecordedError):
                if code == wanted.code or _is_wider(timeframe(code), wanted):
                    return self._store.resolve(f"{name}/{code}")
        raise NotRecordedError(
            f"no bars of {name} are stored that make {wanted} bars", hint="import some first"
        )


def _is_wider(narrow: Timeframe, wide: Timeframe) -> bool:
    try:
        require_wider(narrow, wide)
    except UsageError:
        return False
    return True


def code_of(text: str | None) -> str:
    """Our timeframe of PyBroker's text: ``1min`` and ``60s`` are ``1m``, ``1week`` is ``1w``.

    Raises
    ------
    UsageError
        If there is none, or none of that width.
    """
    width_ns = to_seconds(text) * SECOND_NS if text else 0
    for code in CODES:
        if width_ns and timeframe(code).width_ns == width_ns:
            return code
    raise UsageError(f"no timeframe `{text or ''}`", hint=f"use one of {', '.join(CODES[:-1])}")


def _naive_ns(moment: Any) -> int:
    """Nanoseconds of a datetime, UTC where it has no zone."""
    stamp = pd.Timestamp(moment)
    return to_ns((stamp if stamp.tzinfo else stamp.tz_localize("UTC")).to_pydatetime())


def _in_hours(bars: Bars, hours: Hours) -> Any:
    place = calendar(bars.series.instrument.place.calendar)
    return place.row_at(bars.start_ns, extended=hours == "extended") >= 0


def _frame(symbol: str, bars: Bars) -> pd.DataFrame:
    columns = {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")}
    date = bars.start_ns.astype("datetime64[ns]")
    return pd.DataFrame({"symbol": symbol, "date": date, **columns})


# A strategy as PyBroker's execution


def execution(
    strategy: Strategy,
    source: OpenbellDataSource | None = None,
    *,
    timeframe: str = "1m",
    **settings: Any,
) -> "Execution":
    """A strategy of ours, to be given to PyBroker's ``add_execution``.

    Parameters
    ----------
    strategy
        Every symbol of every run gets a fresh one, made from its class and parameters.
    source
        Where PyBroker has its data from; needed by strategies that look into the past themselves,
        as those in Node do.
    timeframe
        Of the bars PyBroker plays.
    settings
        ``size``, ``sizing``, ``lot``, ``history``, ``seed`` as in `RunConfig`; money, fees and
        fills are settings of PyBroker's.

    Raises
    ------
    UsageError
        If a setting is not one of these, the strategy wants slices, trades or quotes, or it needs
        a source.
    """
    if unknown := sorted(set(settings) - _OWN_SETTINGS):
        raise UsageError(
            f"{', '.join(unknown)} cannot be set here",
            hint=f"only {', '.join(sorted(_OWN_SETTINGS))}; the rest is PyBroker's StrategyConfig",
        )
    name = type(strategy).__name__
    for what in ("on_slice", "on_trade", "on_quote"):
        if overrides(strategy, what):
            raise UsageError(f"{name} has {what}", hint="PyBroker plays bars, one at a time")
    if overrides(strategy, "on_plan") and source is None:
        raise UsageError(f"{name} looks into the past", hint="name it: execution(strategy, source)")
    config = RunConfig(name, (f"PYBROKER:ANY/{timeframe}",), **settings)
    return Execution(strategy, config, source)


class Execution:
    """A function of PyBroker's context that plays a strategy; see `execution`.

    As a context manager it ends its strategies on the way out (`on_stop`, `on_end`).

    Attributes
    ----------
    remarks
        Of the strategies that have ended: what a reader of the result must know.
    """

    def __init__(
        self, strategy: Strategy, config: RunConfig, source: OpenbellDataSource | None
    ) -> None:
        self.remarks: list[str] = []
        self._strategy = strategy
        self._config = config
        self._source = source
        self._players: list[Player] = []
        self._ended = 0

    def __call__(self, ctx: ExecContext) -> None:
        """Play one bar of one symbol."""
        player = ctx.session.get(self)
        if player is None:
            fresh = type(self._strategy)(**self._strategy.parameters)
            player = ctx.session[self] = Player(fresh, self._config, ctx)
            self._players.append(player)
            player.begin(ctx, self._planned(ctx))
        player.step(ctx)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, raised: object, *_: object) -> None:
        self.close(is_done=raised is None)

    def close(self, *, is_done: bool = True) -> None:
        """End the strategies of all runs so far; of one that broke off, without `on_stop`."""
        players, self._ended = self._players[self._ended :], len(self._players)
        with ExitStack() as ends:
            for player in players:
                ends.callback(lambda one: self.remarks.extend(one.strategy.remarks), player)
                ends.callback(player.strategy.on_end)
            if is_done:
                for player in players:
                    player.stop()

    @property
    def log(self) -> Sequence[LogLine]:
        """What the strategies said, and what PyBroker did otherwise than ordered."""
        return [line for player in self._players for line in player.context.log_lines]

    def _planned(self, ctx: ExecContext) -> tuple[ReadStore, ReplayPlan] | None:
        """What is played, for a strategy that asks."""
        if self._source is None or not overrides(self._strategy, "on_plan"):
            return None
        return self._source.planned(ctx.symbol, self._config.on[0].rpartition("/")[2], ctx.date[0])
