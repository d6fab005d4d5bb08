"""A configured run in PyBroker: what `run_backtest` is to the native engine, as far as it goes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

from openbell.backtest.config import RunConfig
from openbell.backtest.engines.pybroker import OpenbellDataSource, execution
from openbell.backtest.result import LogLine
from openbell.backtest.run import plan_run, resolve, terms_for
from openbell.backtest.strategy import Strategy
from openbell.market.calendars import calendar
from openbell.market.errors import UsageError
from openbell.market.instrument import Pin
from openbell.market.moments import is_date, to_datetime
from openbell.ports import ReadStore
from openbell.replay.agenda import plan_agenda
from openbell.replay.plan import ReplayPlan

from pybroker import Strategy as PyBrokerStrategy  # isort: skip  # after ours, which says how to
from pybroker import StrategyConfig  # isort: skip  # install it
from pybroker.common import FeeMode, PriceType  # isort: skip

_TAKEN = {
    "strategy", "parameters", "on", "as_of", "start", "end", "hours", "cash", "sizing", "size",
    "lot", "history", "seed", "costs", "leverage", "close_at_end", "fill",
}  # fmt: skip
_FEES = {"fee_rate": (FeeMode.ORDER_PERCENT, 100.0), "fee_per_unit": (FeeMode.PER_SHARE, 1.0)}


@dataclass(frozen=True, slots=True)
class PyBrokerRun:
    """What came out of a run in PyBroker.

    Attributes
    ----------
    result
        PyBroker's own: ``trades``, ``orders``, ``portfolio``, ``metrics``.
    pins
        The versions it stood on.
    log
        What the strategies said, and what PyBroker did otherwise than ordered.
    remarks
        What a reader of the result must know of how the strategies ran.
    """

    result: Any
    pins: tuple[Pin, ...]
    log: Sequence[LogLine]
    remarks: Sequence[str]


def run_in_pybroker(strategy: Strategy, config: RunConfig, store: ReadStore) -> PyBrokerRun:
    """Run a strategy in PyBroker, over the same versions, range and money as natively.

    Raises
    ------
    UsageError
        If the configuration holds what PyBroker cannot do, or series of different timeframes.
    """
    _require_fit(config)
    pins = resolve(config, store)
    kinds = sorted({pin.series.kind for pin in pins})
    if len(kinds) != 1:
        raise UsageError(f"bars of {' and '.join(kinds)}", hint="PyBroker plays one timeframe")
    refs = {str(pin.series.instrument): str(pin) for pin in pins}
    source = OpenbellDataSource(store, refs, hours=config.hours)
    first, last = _range(plan_run(config, store, pins))
    run = PyBrokerStrategy(source, first, last, _settings(config, pins))
    own = {name: getattr(config, name) for name in ("size", "sizing", "lot", "history", "seed")}
    with execution(strategy, source, timeframe=kinds[0], **own) as play:
        run.add_execution(play, list(refs))
        result = run.backtest(timeframe=kinds[0])
    return PyBrokerRun(result, pins, play.log, tuple(play.remarks))


def _require_fit(config: RunConfig) -> None:
    plain = replace(RunConfig("", ("any",)), costs=config.costs, fill=config.fill)
    odd = [
        field.name
        for field in fields(RunConfig)
        if field.name not in _TAKEN and getattr(config, field.name) != getattr(plain, field.name)
    ]
    odd += [name for name, value in asdict(config.costs).items() if value and name not in _FEES]
    if len([name for name in _FEES if getattr(config.costs, name)]) > 1:
        odd += list(_FEES)
    if config.fill not in ("next_open", "intrabar"):
        odd.append(f"fill={config.fill}")
    # A session that has begun would have to be caught up from its open.
    odd += [moment for moment in (config.start, config.end) if moment and not is_date(moment)]
    if odd:
        raise UsageError(
            f"PyBroker cannot do: {', '.join(odd)}", hint="leave it out, or use the native engine"
        )


def _range(plan: ReplayPlan) -> tuple[datetime, datetime]:
    """The first and the last microsecond that is played, as PyBroker has it: UTC without a zone."""
    places = dict.fromkeys(pin.series.instrument.place.calendar for pin in plan.pins)
    agenda = plan_agenda(
        [calendar(name) for name in places],
        plan.start_ns,
        plan.end_ns,
        labels=plan.labels,
        extended=plan.extended,
    )
    first_ns = max(plan.start_ns, int(agenda.open_ns.min()))
    last_ns = min(plan.end_ns, int(agenda.close_ns.max())) - 1
    return to_datetime(first_ns).replace(tzinfo=None), to_datetime(last_ns).replace(tzinfo=None)


def _settings(config: RunConfig, pins: Sequence[Pin]) -> StrategyConfig:
    """PyBroker's settings of a configuration; fills and figures are not rounded."""
    fees = [(mode, getattr(config.costs, name) * k) for name, (mode, k) in _FEES.items()]
    mode, amount = next((fee for fee in fees if fee[1]), (None, 0.0))
    return StrategyConfig(
        initial_cash=config.cash,
        fee_mode=mode,
        fee_amount=amount,
        leverage=config.leverage,
        enable_fractional_shares=any(t.size_step < 1.0 for t in terms_for(config, pins)),
        round_fill_price=False,
        round_test_result=False,
        exit_on_last_bar=config.close_at_end,
        exit_sell_fill_price=PriceType.CLOSE,
        exit_cover_fill_price=PriceType.CLOSE,
    )
