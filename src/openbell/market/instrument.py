"""Venues, instruments, and the names of series."""

import re
from dataclasses import dataclass
from functools import cache

from openbell.market.errors import UsageError
from openbell.market.timeframe import Anchor, Timeframe, timeframe

PRICES = ("trade", "bid", "ask", "mid", "mark")

_NAME = re.compile(r"(?P<venue>[A-Z0-9_]{2,20}):(?P<symbol>[A-Za-z0-9][A-Za-z0-9._\-+=^]{0,40})")


@dataclass(frozen=True, slots=True)
class Venue:
    """Where something trades.

    Attributes
    ----------
    code
        ISO MIC for stock exchanges (``XNYS``), upper-case name otherwise (``BINANCE``).
    calendar
        Name of its calendar (`market.calendars`).
    zone
        IANA time zone of its clocks.
    """

    code: str
    calendar: str
    zone: str

    @property
    def anchor(self) -> Anchor:
        """Where bars wider than the base are counted from, unless a series says otherwise."""
        return "epoch" if self.calendar == "24/7" else "session"


_STOCKS = {
    "XNYS": "America/New_York", "XNAS": "America/New_York", "ARCX": "America/New_York",
    "BATS": "America/New_York", "XCBO": "America/Chicago", "XTSE": "America/Toronto",
    "XHKG": "Asia/Hong_Kong", "XLON": "Europe/London", "XETR": "Europe/Berlin",
    "XPAR": "Europe/Paris", "XTKS": "Asia/Tokyo", "XNSE": "Asia/Kolkata",
    "XASX": "Australia/Sydney", "IEPA": "America/New_York",
}  # fmt: skip
_CALENDARS = {"ARCX": "XNYS", "BATS": "XNYS", "XNAS": "XNYS", "XCBO": "XNYS"}
_FUTURES = {
    "XCME": "CME_EQUITY",
    "XCBT": "CME_AGRICULTURE",
    "XCEC": "CME_METALS",
    "XNYM": "CME_ENERGY",
}
_FOREX = ("OANDA", "FXCM", "FOREX", "DUKASCOPY")
_AROUND_THE_CLOCK = frozenset({
    "BINANCE", "BINANCEUS", "BITFINEX", "BITMEX", "BITSTAMP", "BYBIT", "COINBASE", "CRYPTO",
    "DERIBIT", "GATEIO", "GEMINI", "HUOBI", "HYPERLIQUID", "KRAKEN", "KUCOIN", "MTGOX", "OKX",
    "POLONIEX", "UPBIT",
})  # fmt: skip


@cache
def venue(code: str) -> Venue:
    """The venue of a code; one that is not known trades around the clock, in UTC.

    Stock exchanges follow their own calendar, CME group futures theirs, forex dealers the
    forex week; every other venue is taken for a 24/7 one, as crypto exchanges are.
    """
    if code in _STOCKS:
        return Venue(code, _CALENDARS.get(code, code), _STOCKS[code])
    if code in _FUTURES:
        return Venue(code, _FUTURES[code], "America/Chicago")
    if code in _FOREX:
        return Venue(code, "FOREX", "America/New_York")
    return Venue(code, "24/7", "UTC")


def is_known_venue(code: str) -> bool:
    """Whether a venue's hours are known, and not only assumed to be around the clock."""
    return code in _STOCKS or code in _FUTURES or code in _FOREX or code in _AROUND_THE_CLOCK


@dataclass(frozen=True, slots=True, order=True)
class Instrument:
    """One tradable thing at one venue, written ``XNYS:SPY``.

    Attributes
    ----------
    venue, symbol
        The two halves of its name.
    """

    venue: str
    symbol: str

    @classmethod
    def parse(cls, text: str) -> "Instrument":
        """The instrument of a name like ``XNYS:SPY``; raise `UsageError` on anything else."""
        match = _NAME.fullmatch(text)
        if match is None:
            raise UsageError(
                f"`{text}` is not an instrument", hint="write VENUE:SYMBOL, for instance XNYS:SPY"
            )
        return cls(match["venue"], match["symbol"])

    @property
    def place(self) -> Venue:
        """The venue it trades at."""
        return venue(self.venue)

    def __str__(self) -> str:
        return f"{self.venue}:{self.symbol}"


@dataclass(frozen=True, slots=True)
class Terms:
    """What one unit of an instrument is, for money.

    Attributes
    ----------
    price_step, size_step
        Smallest change of price and of size; 0 where there is none.
    multiplier
        Money per point and unit: 1 for shares and coins, 50 for an ES future.
    """

    price_step: float = 0.0
    size_step: float = 1.0
    multiplier: float = 1.0


# Price step and money per point of well-known futures, by root (CME Group contract pages, 2026).
_FUTURE_TERMS = {
    "ES": (0.25, 50.0), "MES": (0.25, 5.0), "NQ": (0.25, 20.0), "MNQ": (0.25, 2.0),
    "RTY": (0.1, 50.0), "M2K": (0.1, 5.0), "YM": (1.0, 5.0), "MYM": (1.0, 0.5),
    "CL": (0.01, 1000.0), "MCL": (0.01, 100.0), "NG": (0.001, 10000.0),
    "GC": (0.1, 100.0), "MGC": (0.1, 10.0), "SI": (0.005, 5000.0),
    "ZC": (0.25, 50.0), "ZS": (0.25, 50.0), "ZW": (0.25, 50.0),
}  # fmt: skip
_COIN_STEP = 1e-8


def terms_of(instrument: Instrument) -> Terms:
    """What one unit of an instrument is, as far as its venue and symbol tell.

    Shares: whole units, cents. Futures known by root: whole contracts, their own steps. Coins
    and currencies: steps of 1e-8. Whoever knows better says so in the run's settings.
    """
    if instrument.venue in _FUTURES:
        root = instrument.symbol.split("-")[0]
        step, multiplier = _FUTURE_TERMS.get(root, (0.0, 1.0))
        return Terms(step, 1.0, multiplier)
    if instrument.venue in _STOCKS:
        return Terms(0.01, 1.0, 1.0)
    if instrument.venue in _FOREX:
        return Terms(0.00001, 1.0, 1.0)
    return Terms(0.0, _COIN_STEP, 1.0)


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """What is stored of one instrument in one kind, written ``XNYS:SPY/1m``.

    The part after the slash is ``trades``, ``quotes``, or a timeframe; bars made from other
    prices than trades say so: ``FXCM:EURUSD/1m.bid``, ``/1m.ask``, ``/1h.mark``.

    Attributes
    ----------
    instrument
        Whose data it is.
    kind
        ``trades``, ``quotes``, or a timeframe's code.
    price
        What the bars are made of: one of `PRICES`; ``trade`` is not written.
    """

    instrument: Instrument
    kind: str
    price: str = "trade"

    @classmethod
    def parse(cls, text: str) -> "Series":
        """The series of a name like ``XNYS:SPY/1m``; raise `UsageError` on anything else."""
        name, slash, kind = text.partition("/")
        if not slash:
            raise UsageError(
                f"`{text}` names no series",
                hint=f"add what of it: {text}/1m, /1d, /trades or /quotes",
            )
        kind, dot, price = kind.partition(".")
        if kind not in ("trades", "quotes"):
            timeframe(kind)
        elif dot:
            raise UsageError(f"`{text}`: {kind} come in one kind only", hint=f"write {name}/{kind}")
        if dot and price not in PRICES:
            raise UsageError(
                f"`{text}`: unknown price `{price}`", hint=f"use one of {', '.join(PRICES)}"
            )
        return cls(Instrument.parse(name), kind, price or "trade")

    @property
    def is_bars(self) -> bool:
        """Whether it holds bars, and not trades or quotes."""
        return self.kind not in ("trades", "quotes")

    @property
    def timeframe(self) -> Timeframe:
        """The timeframe of its bars; raise `UsageError` for trades and quotes."""
        if not self.is_bars:
            raise UsageError(
                f"{self} holds {self.kind}, which have no timeframe", hint="name a series of bars"
            )
        return timeframe(self.kind)

    def __str__(self) -> str:
        suffix = "" if self.price == "trade" else f".{self.price}"
        return f"{self.instrument}/{self.kind}{suffix}"


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """One version of one series, written ``XNYS:SPY/1m@3``."""

    series: Series
    version: int

    def __str__(self) -> str:
        return f"{self.series}@{self.version}"
