"""Contracts as ProjectX names them, and the bars that are asked of one.

What is known of a contract at a moment is made of base bars that had ended by then, so that an
answer never looks past the moment it is bounded by: neither the clock's nor the asker's.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from openbell.bridge.answers import BAD_LIMIT, BAD_UNIT, BAD_UNIT_NUMBER, NO_CONTRACT
from openbell.bridge.channels import MAX_LIMIT
from openbell.bridge.instruments import VENUES
from openbell.bridge.requests import PROJECTX_UNITS, UNIT_NS
from openbell.market.bars import Bars
from openbell.market.build import require_wider, widen
from openbell.market.columns import CORRUPT
from openbell.market.errors import NotRecordedError, UsageError
from openbell.market.instrument import Instrument, Pin, Series, terms_of
from openbell.market.moments import DAY_NS
from openbell.market.timeframe import CODES, Timeframe, timeframe
from openbell.ports import ReadStore, Store

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


@dataclass(frozen=True, slots=True)
class Asked:
    """Which bars are asked for: those that start in ``[start_ns, end_ns)``, the newest `limit`.

    Attributes
    ----------
    unit
        1 second, 2 minute, 3 hour, 4 day, 5 week, 6 month.
    number
        How many units make a bar.
    limit
        1 to 20,000.
    has_partial
        Whether the bar that had not ended belongs to them, as far as it was known.
    """

    start_ns: int
    end_ns: int
    unit: int
    number: int
    limit: int
    has_partial: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The bars asked for, oldest first.

    Attributes
    ----------
    pin
        The version they are of.
    withheld
        How many corrupt base bars were left out of them.
    """

    bars: Bars
    pin: Pin
    withheld: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no answer: ProjectX's code for it, 1 to 4, and words."""

    code: int
    message: str


def width_of(unit: int, number: int) -> Timeframe | Refusal:
    """The timeframe of some units.

    Bars of seconds, minutes and hours are at most a day wide, those of days at most a year;
    weeks and months come one by one.
    """
    if unit not in PROJECTX_UNITS:
        return Refusal(BAD_UNIT, f"unit is {unit}; it must be 1 to {len(PROJECTX_UNITS)}")
    letter = PROJECTX_UNITS[unit]
    most = {"d": 366, "w": 1, "M": 1}.get(letter) or DAY_NS // UNIT_NS[letter]
    if not 1 <= number <= most:
        return Refusal(
            BAD_UNIT_NUMBER, f"unitNumber is {number}; with unit {unit} it must be 1 to {most}"
        )
    code = f"{number}{letter}"
    return timeframe(code) if code in CODES else Timeframe(code, number * UNIT_NS[letter])


def retrieve(
    store: ReadStore, contract: Contract | None, asked: Asked, now_ns: int
) -> Found | Refusal:
    """The bars asked for, as they were known at the earlier of `now_ns` and the range's end."""
    if contract is None:
        return Refusal(NO_CONTRACT, "contract not found")
    wide = width_of(asked.unit, asked.number)
    if isinstance(wide, Refusal):
        return wide
    if not 1 <= asked.limit <= MAX_LIMIT:
        return Refusal(BAD_LIMIT, f"limit is {asked.limit}; it must be 1 to {MAX_LIMIT}")
    try:
        pin = store.resolve(contract.ref)
    except NotRecordedError as error:
        return Refusal(NO_CONTRACT, error.message)
    if problem := _misfit(pin.series.timeframe, wide):
        return Refusal(BAD_UNIT_NUMBER, problem)
    return _newest(store, pin, wide, asked, min(now_ns, asked.end_ns))


def _misfit(base: Timeframe, wide: Timeframe) -> str:
    """Why bars of the one cannot be built from bars of the other; empty if they can."""
    try:
        if base != wide:
            require_wider(base, wide)
    except UsageError as error:
        return error.message
    return ""


def _newest(store: ReadStore, pin: Pin, wide: Timeframe, asked: Asked, known_ns: int) -> Found:
    """Read backwards, four times as far each time, until there are enough."""
    info = store.info(pin)
    end_ns = max(min(known_ns, info.last_ns + 1), info.first_ns)
    begin_ns = min(max(asked.start_ns, info.first_ns), end_ns)
    span_ns = (asked.limit + 1) * (wide.width_ns or 31 * DAY_NS)
    while True:
        from_ns = max(begin_ns, end_ns - span_ns)
        rows = store.read(pin, from_ns, end_ns)
        assert isinstance(rows, Bars)
        sane = (rows.label & CORRUPT) == 0
        base = rows.take(sane & (rows.end_ns <= known_ns))
        found = base if pin.series.timeframe == wide else widen(base, wide)
        # A wide bar that began before what was read is not whole.
        first_ns = from_ns if from_ns > begin_ns else asked.start_ns
        fits = (found.start_ns >= first_ns) & (asked.has_partial | (found.end_ns <= known_ns))
        found = found.take(fits)
        if len(found) >= asked.limit or from_ns == begin_ns:
            withheld = int(np.count_nonzero(~sane))
            return Found(found.take(slice(-asked.limit, None)), pin, withheld)
        span_ns *= 4
