"""The configuration of a run: everything that decides its result, as values that can be stored."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, Literal, Self

from openbell.backtest.orders import FILL_MODES, FillMode
from openbell.market.calendar_hours import minutes
from openbell.market.calendars import Calendar, calendar, override_hours
from openbell.market.errors import UsageError
from openbell.market.instrument import Instrument

Sizing = Literal["units", "cash", "percent", "volatility", "risk"]
SIZINGS: dict[Sizing, str] = {
    "units": "`size` units",
    "cash": "`size` money",
    "percent": "`size` × equity (0.95 is 95 %)",
    "volatility": "so much that yearly volatility of the position is `size` × equity",
    "risk": "so much that the way to the stop costs `size` × equity",
}
Hours = Literal["regular", "extended"]


@dataclass(frozen=True, slots=True)
class Costs:
    """What trading costs.

    Attributes
    ----------
    fee_per_unit
        Money per unit (share, contract).
    fee_rate
        Fraction of the money moved: 0.001 is 0.1 %.
    fee_minimum
        Least fee of a fill.
    slip_steps
        Price steps against us, per market or stop fill.
    slip_rate
        Fraction of the price against us: 0.0001 is one basis point.
    slip_volume
        Impact: the price moves against us by this × (size ÷ volume of the bar)².
    """

    fee_per_unit: float = 0.0
    fee_rate: float = 0.0
    fee_minimum: float = 0.0
    slip_steps: float = 0.0
    slip_rate: float = 0.0
    slip_volume: float = 0.0

    def __post_init__(self) -> None:
        _make_floats(self, *(f.name for f in fields(self)))

    @property
    def is_free(self) -> bool:
        """Whether trading costs nothing; a report says so loudly."""
        return not any(asdict(self).values())


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Everything that decides the result of a run. Values only; JSON-ready by `to_dict`.

    Attributes
    ----------
    strategy
        Name of a built-in strategy, or path of a Python file (``my.py`` or ``my.py:Class``).
    parameters
        Its parameters by name.
    on
        Series, as refs: ``XNYS:SPY/1m``, ``XNYS:SPY/1m@3``, or a pin's name.
    start, end
        Range, half-open: session labels (``2011-03-14``) or moments; empty for all there is.
    hours
        Regular or extended.
    session_start, session_end
        Regular hours to use instead of the calendars' own, on the venue's clocks: ``10:00`` and
        ``15:00``. A start that is not before the end is on the evening before; early closes stay
        early. Both empty: the calendars' own.
    cash
        Money to begin with.
    sizing, size
        What a target of 1 means; see `SIZINGS`.
    fill
        Fill mode; see `orders.FILL_MODES`.
    costs
        Fees and slippage.
    leverage
        Highest gross exposure ÷ equity after a fill that adds to a position.
    lot
        Smallest change of size; None takes the venue's (1 for stocks and futures, 1e-8 for coins).
    price_step, multiplier
        Of the instruments; None takes the venue's.
    benchmark
        Instrument whose buy-and-hold is the benchmark; empty for the first.
    min_quality
        Least completeness of the data (0 to 1); below it the run fails.
    derived
        Timeframes built from the base bars for the strategy.
    trailing
        Finished sessions kept at hand before the current one.
    history
        Rows of history a strategy may look back on.
    seed
        For strategies that draw random numbers.
    close_at_end
        Whether open positions are closed at the last close (marked there otherwise).
    as_of
        Moment of knowledge for refs without a version; empty for now.
    fill_from
        Series, as refs, from which missing bars are filled, asked in this order: see
        `ReplayPlan.fill`. Empty to leave gaps as they are.
    check_interval_s
        Seconds of session time between two checks for missing bars.
    retries
        How often a missing bar that is not found is asked for again.
    """

    strategy: str
    on: tuple[str, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    start: str = ""
    end: str = ""
    hours: Hours = "regular"
    cash: float = 100_000.0
    sizing: Sizing = "units"
    size: float = 100.0
    fill: FillMode = "next_open"
    costs: Costs = field(default_factory=Costs)
    leverage: float = 1.0
    lot: float | None = None
    price_step: float | None = None
    multiplier: float | None = None
    benchmark: str = ""
    min_quality: float = 0.0
    derived: tuple[str, ...] = ()
    trailing: int = 0
    history: int = 500
    seed: int = 0
    close_at_end: bool = False
    as_of: str = ""
    session_start: str = ""
    session_end: str = ""
    fill_from: tuple[str, ...] = ()
    check_interval_s: int = 60
    retries: int = 5

    def __post_init__(self) -> None:
        _make_floats(self, "cash", "size", "leverage", "min_quality", "lot", "price_step")
        _make_floats(self, "multiplier")
        _require(bool(self.on), "a run needs data", "name at least one series: on=XNYS:SPY/1m")
        _require(self.cash > 0, f"cash is {self.cash}", "begin with more than nothing")
        _require(self.size > 0, f"size is {self.size}", "a size is greater than zero")
        _require(self.leverage > 0, f"leverage is {self.leverage}", "use 1 for no borrowed money")
        _require(0 <= self.min_quality <= 1, f"min_quality is {self.min_quality}", "use 0 to 1")
        _require(self.history > 0, f"history is {self.history}", "use at least 1")
        _one_of("fill", self.fill, FILL_MODES)
        _one_of("sizing", self.sizing, SIZINGS)
        _one_of("hours", self.hours, ("regular", "extended"))
        for name, value in asdict(self.costs).items():
            _require(value >= 0, f"{name} is {value}", "costs are zero or more")
        if self.lot is not None:
            _require(self.lot > 0, f"lot is {self.lot}", "a lot is greater than zero")
        check_session(self.session_start, self.session_end)
        every = self.check_interval_s
        _require(every > 0, f"check_interval_s is {every}", "check every second or more rarely")
        _require(self.retries >= 0, f"retries is {self.retries}", "use 0 to ask only once")

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON-ready values."""
        found = asdict(self)
        lists = {name: list(found[name]) for name in ("on", "derived", "fill_from")}
        return {**found, **lists}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The configuration of `to_dict`; also accepts the form of requirement 004.

        That form names ``strategy_type``, ``parameters`` (or ``strategy_params``),
        ``position_sizing`` and ``position_size``.

        Raises
        ------
        UsageError
            If a key is unknown or a value out of range.
        """
        given = _from_requirement(values)
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(given) - known)
        _require(
            not unknown,
            f"unknown settings: {', '.join(unknown)}",
            f"known are {', '.join(sorted(known))}",
        )
        missing = sorted({"strategy", "on"} - set(given))
        _require(not missing, f"missing settings: {', '.join(missing)}", "give them")
        costs = given.pop("costs", {})
        on, fill_from = given.pop("on"), given.pop("fill_from", ())
        try:
            return cls(
                on=(on,) if isinstance(on, str) else tuple(on),
                costs=costs if isinstance(costs, Costs) else Costs(**costs),
                derived=tuple(given.pop("derived", ())),
                fill_from=(fill_from,) if isinstance(fill_from, str) else tuple(fill_from),
                **given,
            )
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"the configuration does not fit: {error}",
                hint="every run keeps one that does: runs/ID/files/config.json",
            ) from None

    def deciding(self) -> dict[str, Any]:
        """The values of `to_dict` that name and seal a run; what is not configured is left out.

        So runs made before hours or filling could be configured keep their id and their seal.
        """
        found = self.to_dict()
        if not self.session_start:
            del found["session_start"], found["session_end"]
        if not self.fill_from:
            del found["fill_from"], found["check_interval_s"], found["retries"]
        return found

    def with_parameters(self, parameters: Mapping[str, Any]) -> Self:
        """The same run with these parameters over its own."""
        return replace(self, parameters={**self.parameters, **parameters})


def check_session(start: str, end: str) -> None:
    """Check configured session hours; `UsageError` if one is missing or no time of day."""
    if start or end:
        _require(
            bool(start and end),
            f"session_start is `{start}` and session_end `{end}`",
            "give both, for instance 09:30 and 16:00, or neither",
        )
        minutes(start)
        minutes(end)


def configured_calendars(
    instruments: Iterable[Instrument], start: str, end: str
) -> dict[str, Calendar]:
    """Calendars with configured hours by instrument, as a `ReplayPlan` takes them.

    Empty when nothing is configured: every instrument then has its calendar's own hours.
    Instruments of one calendar share one, so that they share their sessions.
    """
    if not start:
        return {}
    return {str(i): _configured(calendar(i.place.calendar), start, end) for i in instruments}


@lru_cache(maxsize=32)
def _configured(base: Calendar, start: str, end: str) -> Calendar:
    return override_hours(base, start, end)


_REQUIREMENT_SIZINGS = {
    "fixed": "units", "fixed_quantity": "units", "fixed_amount": "cash", "fixed_cash": "cash",
    "percentage": "percent", "percent_of_equity": "percent",
}  # fmt: skip


def _from_requirement(values: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(values)
    for theirs, ours in (
        ("strategy_type", "strategy"),
        ("strategy_params", "parameters"),
        ("position_sizing", "sizing"),
        ("position_size", "size"),
        ("initial_capital", "cash"),
        ("start_date", "start"),
        ("end_date", "end"),
    ):
        if theirs in given:
            _require(ours not in given, f"both {theirs} and {ours} are given", "give one of them")
            given[ours] = given.pop(theirs)
    if "commission" in given:
        given["costs"] = {**given.get("costs", {}), "fee_rate": given.pop("commission")}
    if given.get("sizing") is None:
        given.pop("sizing", None)
    if given.get("sizing") in _REQUIREMENT_SIZINGS:
        given["sizing"] = _REQUIREMENT_SIZINGS[given["sizing"]]
    return given


def _make_floats(owner: object, *names: str) -> None:
    """Numbers as floats, so that 100_000 and 100_000.0 are the same run, with the same seal."""
    for name in names:
        value = getattr(owner, name)
        if value is not None:
            object.__setattr__(owner, name, float(value))


def _require(holds: bool, message: str, hint: str) -> None:  # noqa: FBT001  # a condition
    if not holds:
        raise UsageError(message, hint=hint)


def _one_of(what: str, value: str, known: object) -> None:
    names = list(known)  # type: ignore[call-overload]
    _require(value in names, f"unknown {what} `{value}`", f"use one of {', '.join(names)}")
