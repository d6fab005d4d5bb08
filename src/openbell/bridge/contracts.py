"""Contracts as ProjectX names them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from openbell.bridge.instruments import VENUES
from openbell.market.errors import UsageError
from openbell.market.instrument import Instrument, Series, terms_of
from openbell.market.timeframe import CODES
from openbell.ports import Store

MAX_FOUND = 20  # contracts a search gives

# ProjectX calls some futures by the names of their data feed.
ROOTS: Mapping[str, str] = MappingProxyType({"ES": "EP", "NQ": "ENQ"})

_MONTH = re.compile(r"(?P<root>[A-Z0-9]+)-(?P<year>\d{4})(?P<month>0[1-9]|1[0-2])")
_MONTH_ID = re.compile(r"CON\.(?P<root>.+)\.[FGHJKMNQUVXZ]\d\d?")
_LETTERS = "FGHJKMNQUVXZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One instrument as ProjectX names it.

    Attributes
    ----------
    id
        ``CON.F.US.MES.Z24``, or any text.
    ref
        The series its bars come from, or a version of it: ``XCME:MES-202412/1m@3``.
    name, description
        For people; a search looks at both.
    tick_size, tick_value
        Smallest change of price, and the money it is per unit; 0 where there is none.
    is_active
        Whether it is the month that is traded now.
    """

    id: str
    ref: str
    name: str
    description: str
    tick_size: float = 0.0
    tick_value: float = 0.0
    is_active: bool = True


class Contracts:
    """The contracts that are served.

    Parameters
    ----------
    contracts
        In the order a search gives them; of the months of a future the newest first.
    """

    def __init__(self, contracts: Iterable[Contract]) -> None:
        self._all = tuple(contracts)
        self._by_id = {c.id: c for c in self._all}
        if len(self._by_id) != len(self._all):
            raise UsageError("two contracts have the same id", hint="give each its own")
        self._by_name: dict[str, Contract] = {}
        for contract in self._all:
            self._by_name.setdefault(contract.ref.partition("/")[0], contract)
            if month := _MONTH_ID.fullmatch(contract.id):
                for name in (month["root"], f"CON.{month['root']}"):
                    self._by_name.setdefault(name, contract)

    def __len__(self) -> int:
        return len(self._all)

    def find(self, contract_id: str) -> Contract | None:
        """The contract of an id; also of ``F.US.MGC``, its newest, and of ``XNYS:SPY``."""
        return self._by_id.get(contract_id) or self._by_name.get(contract_id)

    def search(self, text: str) -> Sequence[Contract]:
        """The first 20 whose id, name or description hold a text; those named by it come first."""
        wanted = text.casefold()
        found = [c for c in self._all if wanted in f"{c.id} {c.name} {c.description}".casefold()]
        return sorted(found, key=lambda c: c.name.casefold() != wanted)[:MAX_FOUND]


def contracts_of(store: Store) -> Contracts:
    """One contract for each instrument a store has bars of: its finest ones, made of trades.

    Futures are named as ProjectX does: ``XCME:MES-202412`` is ``CON.F.US.MES.Z24``, and
    ``XCEC:MGC``, which is no month, ``F.US.MGC``. Everything else goes by its own name. The newest
    month of a future is taken for the active one.
    """
    finest: dict[Instrument, Series] = {}
    for series in store.list_series():
        if series.is_bars and series.price == "trade":
            known = finest.setdefault(series.instrument, series)
            if CODES.index(series.kind) < CODES.index(known.kind):
                finest[series.instrument] = series
    newest: dict[str, Instrument] = {}
    found = []
    for instrument in sorted(finest, key=_newest_month_first):
        is_active = newest.setdefault(_root(instrument), instrument) == instrument
        found.append(_contract(finest[instrument], is_active=is_active))
    return Contracts(found)


def _root(instrument: Instrument) -> str:
    month = _MONTH.fullmatch(instrument.symbol)
    return f"{instrument.venue}:{month['root']}" if month else str(instrument)


def _newest_month_first(instrument: Instrument) -> tuple[str, int]:
    month = _MONTH.fullmatch(instrument.symbol)
    return _root(instrument), -int(month["year"] + month["month"]) if month else 0


def _contract(series: Series, *, is_active: bool) -> Contract:
    instrument = series.instrument
    terms = terms_of(instrument)
    contract_id, name = _named(instrument)
    return Contract(
        id=contract_id,
        ref=str(series),
        name=name,
        description=str(instrument),
        tick_size=terms.price_step,
        tick_value=terms.price_step * terms.multiplier,
        is_active=is_active,
    )


def _named(instrument: Instrument) -> tuple[str, str]:
    """Id and name of an instrument."""
    symbol = instrument.symbol
    if month := _MONTH.fullmatch(symbol):
        root, letter = month["root"], _LETTERS[int(month["month"]) - 1]
        contract_id = f"CON.F.US.{ROOTS.get(root, root)}.{letter}{month['year'][2:]}"
        return contract_id, f"{root}{letter}{month['year'][3:]}"
    if VENUES.get(symbol) == instrument.venue:
        return f"F.US.{ROOTS.get(symbol, symbol)}", symbol
    return str(instrument), symbol
