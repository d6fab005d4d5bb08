"""The arithmetic of money, one fixed order of operations, for the engine and the kernels alike.

Plain functions of floats: `kernels.py` compiles these very functions, so that the event engine
and a sweep agree to the last bit.
"""

import math


def slipped(  # noqa: PLR0913, PLR0917  # scalars only, so that it compiles
    price: float,
    sign: float,
    size: float,
    volume: float,
    steps_away: float,
    rate: float,
    impact: float,
) -> float:
    """The price a market or stop order gets, moved against it.

    ``price + sign × (steps_away + rate × price + impact × price × (size ÷ volume)²)``

    Parameters
    ----------
    sign
        1 for a buy, -1 for a sale.
    size, volume
        Units wanted, and units traded in the bar; without volume there is no impact.
    steps_away
        Price steps of slippage × the price step.
    """
    shift = steps_away + rate * price
    if impact > 0.0 and volume > 0.0:
        share = size / volume
        shift = shift + impact * price * (share * share)
    return price + sign * shift


def fee_of(value: float, size: float, per_unit: float, rate: float, minimum: float) -> float:
    """The fee of a fill: ``max(per_unit × size + rate × value, minimum)``; value is money moved."""
    fee = per_unit * size + rate * value
    return max(fee, minimum)


def is_affordable(
    gross: float, equity: float, leverage: float, before: float, after: float
) -> bool:
    """Whether a fill may change a position from `before` to `after` units.

    A fill that adds exposure needs ``gross ≤ leverage × equity`` after it, where gross is the sum
    of position values, taken as positive. With leverage 1 and only long positions that is: cash
    does not go below zero. A fill that only reduces a position is always allowed.
    """
    if before * after >= 0.0 and abs(after) <= abs(before):
        return True
    return gross <= leverage * equity


def whole_lots(size: float, lot: float) -> float:
    """`size` cut towards zero to whole lots; what rounding takes from a lot is forgiven."""
    if lot <= 0.0 or size % lot == 0.0:
        return size
    lots = size / lot
    return float(math.trunc(lots + math.copysign(1e-9 + 1e-14 * abs(lots), lots))) * lot


def position_after(before: float, size: float, lot: float) -> float:
    """A position changed by a fill: whole lots, so that 0.1 + 0.2 − 0.3 is flat."""
    after = before + size
    if lot > 0.0:
        if after % lot == 0.0:
            return after
        return float(math.floor(after / lot + 0.5)) * lot
    return 0.0 if abs(after) <= 1e-12 * abs(size) else after


# What a target of 1 means, as a number for kernels; names in `config.SIZINGS`.
UNITS, CASH, PERCENT, VOLATILITY = 0.0, 1.0, 2.0, 3.0


def wanted_units(  # noqa: PLR0913, PLR0917  # scalars only, so that it compiles
    target: float,
    price: float,
    equity: float,
    volatility: float,
    sizing: float,
    size: float,
    multiplier: float,
    lot: float,
) -> float:
    """Units a target stands for, in whole lots.

    Parameters
    ----------
    price
        The close decided on.
    volatility
        Yearly, for sizing by it; where it is not known yet (NaN or 0) nothing is wanted.
    """
    unit = price * multiplier
    if sizing == UNITS:
        wanted = target * size
    elif sizing == CASH:
        wanted = target * size / unit
    elif sizing == PERCENT:
        wanted = target * size * equity / unit
    elif volatility > 0.0:
        wanted = target * size * equity / (unit * volatility)
    else:
        wanted = 0.0
    # As `whole_lots`, which a compiled function cannot call.
    if lot <= 0.0 or wanted % lot == 0.0:
        return wanted
    lots = wanted / lot
    return float(math.trunc(lots + math.copysign(1e-9 + 1e-14 * abs(lots), lots))) * lot
