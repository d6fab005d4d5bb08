"""Trades and quotes as columns, and one of each as an object."""

from dataclasses import dataclass

from msgspec import Struct

from openbell.market.columns import Columns, Floats, Ints


class Trade(Struct, frozen=True, gc=False):
    """One print on the market: `size` units at `price`, at `time_ns`; `side` as in `Trades`."""

    instrument: str
    time_ns: int
    price: float
    size: float
    side: int


class Quote(Struct, frozen=True, gc=False):
    """Best bid and ask at one moment; a side that is not quoted has size 0 and price NaN."""

    instrument: str
    time_ns: int
    bid: float
    ask: float
    bid_size: float
    ask_size: float


@dataclass(frozen=True, slots=True, eq=False)
class Trades(Columns):
    """Trades of one instrument as read-only columns, ordered by time; stamps may repeat.

    Attributes
    ----------
    time_ns : int64, shape (n,)
        When the venue says it happened. Trades on one stamp keep the order of their source.
    price, size : float64, shape (n,)
        Price and units.
    side : int32, shape (n,)
        1 if the buyer was the taker, -1 if the seller was, 0 if not known.
    label : int32, shape (n,)
        Bits of `columns.LABEL_NAMES`.
    """

    time_ns: Ints
    price: Floats
    size: Floats
    side: Ints
    label: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Quotes(Columns):
    """Quotes of one instrument as read-only columns, ordered by time; stamps may repeat.

    Attributes
    ----------
    time_ns : int64, shape (n,)
        When the venue says it happened.
    bid, ask : float64, shape (n,)
        Best prices; NaN where a side is not quoted.
    bid_size, ask_size : float64, shape (n,)
        Units at the best price.
    label : int32, shape (n,)
        Bits of `columns.LABEL_NAMES`.
    """

    time_ns: Ints
    bid: Floats
    ask: Floats
    bid_size: Floats
    ask_size: Floats
    label: Ints
