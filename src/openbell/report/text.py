"""Numbers and moments as people read them. Not in here: anything that decides a result."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from openbell.backtest.config import Costs
from openbell.backtest.figures import FIGURES, Unit
from openbell.market.moments import local

NOTHING = "–"
_SPANS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


def number(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """A number with thousands and a true minus sign; a dash for what cannot be said.

    Examples
    --------
    >>> number(-1234.5)
    '−1,234.50'
    >>> number(None)
    '–'
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:{'+' if signed else ''},.{digits}f}".replace("-", "−")


def percent(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """A fraction as a percentage.

    Examples
    --------
    >>> percent(-0.0132)
    '−1.32 %'
    """
    shown = number(None if value is None else value * 100, digits, signed=signed)
    return shown if shown == NOTHING else f"{shown} %"


def price(value: float) -> str:
    """A price to its own digits, at least two and at most eight after the point.

    Examples
    --------
    >>> price(131.5), price(0.00001234)
    ('131.50', '0.00001234')
    """
    if not math.isfinite(value):
        return NOTHING
    whole, _, rest = f"{value:,.8f}".partition(".")
    return f"{whole}.{rest.rstrip('0'):0<2}".replace("-", "−")


def size(value: float) -> str:
    """Units, without digits that say nothing."""
    return f"{value:,.8f}".rstrip("0").rstrip(".").replace("-", "−")


def span(seconds: float | None) -> str:
    """A length of time in its largest fitting unit.

    Examples
    --------
    >>> span(90), span(7200)
    ('1.5 min', '2.0 h')
    """
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    width, unit = next((s for s in _SPANS if abs(seconds) >= s[0]), (1.0, "s"))
    return f"{number(seconds / width, 1)} {unit}"


def clock(ns: int, zone: str = "UTC") -> str:
    """A moment on the clocks of `zone`, to the second; those of UTC end in Z.

    Examples
    --------
    >>> clock(1_300_109_400_000_000_000), clock(1_300_109_400_000_000_000, "America/New_York")
    ('2011-03-14 13:30:00Z', '2011-03-14 09:30:00')
    """
    return local(ns, zone).strftime("%Y-%m-%d %H:%M:%S") + ("Z" if zone == "UTC" else "")


def figure(name: str, value: float | None, zone: str = "UTC") -> str:
    """A figure of `Metrics` by its unit."""
    unit = FIGURES[name].unit
    if value is None:
        return NOTHING
    if unit == "moment":
        return clock(int(value), zone)
    return _SHOWN[unit](value)


_SHOWN: dict[Unit, Callable[[float], str]] = {
    "fraction": percent,
    "ratio": number,
    "money": number,
    "times": lambda value: f"{number(value, 1)} ×",
    "count": lambda value: number(value, 0),
    "sessions": lambda value: number(value, 0),
    "seconds": span,
}


def title(strategy: str, parameters: Mapping[str, Any]) -> str:
    """A strategy with its parameters: ``ema-cross(fast=12, slow=26)``."""
    return f"{strategy}({', '.join(f'{k}={v}' for k, v in parameters.items())})"


def completeness(value: float) -> str:
    """Completeness as a percentage, cut and never rounded up: 0.99999 is not 100.0 %."""
    return f"{math.floor(value * 1000 + 1e-9) / 10:.1f} %"


_COSTS = {
    "fee_per_unit": "{} per unit",
    "fee_rate": "{} of the money moved",
    "fee_minimum": "at least {} a fill",
    "slip_steps": "slippage {} price steps",
    "slip_rate": "slippage {} of the price",
    "slip_volume": "impact {} × (size ÷ volume)²",
}


def costs(given: Costs | Mapping[str, float]) -> str:
    """The costs of a run in words; ``no costs!`` when trading was free.

    Examples
    --------
    >>> costs(Costs(fee_per_unit=0.005, fee_minimum=1.0))
    '0.005 per unit, at least 1 a fill'
    """
    one = given if isinstance(given, Costs) else Costs(**given)
    values = {name: getattr(one, name) for name in _COSTS}
    rates = ("fee_rate", "slip_rate")
    said = [
        _COSTS[name].format(f"{value * 100:g} %" if name in rates else f"{value:g}")
        for name, value in values.items()
        if value
    ]
    return ", ".join(said) or "no costs!"
