"""What the futures are that the production bot trades: its instrument table, in its own words."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from openbell.market.errors import UsageError
from openbell.market.instrument import Instrument, terms_of

VERSION = 1
SOURCE = "TSX-Trading-Bot-V5, instruments.yaml; steps as on CME Group's contract pages, 2026"

# Where the roots trade. Their steps and money per point are those of `market.instrument`.
VENUES: Mapping[str, str] = MappingProxyType(
    {
        "ES": "XCME", "MES": "XCME", "NQ": "XCME", "MNQ": "XCME", "RTY": "XCME", "M2K": "XCME",
        "YM": "XCBT", "MYM": "XCBT", "GC": "XCEC", "MGC": "XCEC", "SI": "XCEC",
        "CL": "XNYM", "MCL": "XNYM", "NG": "XNYM",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Money:
    """What a step is worth.

    Attributes
    ----------
    dollar_per_point
        Money per point and contract.
    tick_size, tick_value
        Smallest change of price, and what it is worth per contract.
    """

    dollar_per_point: float
    tick_size: float
    tick_value: float

    @property
    def fields(self) -> dict[str, float]:
        """As the bot's configuration names them."""
        return {
            "dollarPerPoint": self.dollar_per_point,
            "tickSize": self.tick_size,
            "tickValue": self.tick_value,
        }


def money_of(root: str) -> Money:
    """The row of a root, ``MES``; raise `UsageError` for one that is not in the table."""
    if root not in VENUES:
        raise UsageError(f"`{root}` is not in the table", hint=f"it has {', '.join(VENUES)}")
    terms = terms_of(Instrument(VENUES[root], root))
    return Money(terms.multiplier, terms.price_step, terms.price_step * terms.multiplier)


def table() -> dict[str, dict[str, float]]:
    """All rows by root, JSON-ready."""
    return {root: money_of(root).fields for root in VENUES}
