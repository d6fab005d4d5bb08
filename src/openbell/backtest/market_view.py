"""The market as broker and engine see it: prices, offers and bars of the chunk being played.

Columns are turned into lists once per chunk; hot reads never touch a numpy scalar.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openbell.backtest.fill_rules import Offer
from openbell.backtest.orders import NAN, FillMode
from openbell.market.bars import Bar, Bars
from openbell.market.columns import Columns, Floats, Ints
from openbell.market.errors import UsageError
from openbell.market.ticks import Quote, Quotes, Trade, Trades
from openbell.replay import kernels
from openbell.replay.chunk import Chunk
from openbell.replay.system import System

_BATCH = 1024  # bars turned into objects at a time: small enough for the cache


class MarketView:
    """What the present chunk offers.

    Attributes
    ----------
    chunk
        The chunk being played; None before the first.
    times_ns : int64, shape (slices,)
        The moment of each slice.
    closes
        By instrument: the last known price at each slice, NaN before the first.
    bars
        The base bars of this chunk in the order they become known, to be taken one by one.
    base_known
        How many of them are known at each slice.
    """

    def __init__(self, system: System, fill: FillMode) -> None:
        self.chunk: Chunk | None = None
        self.times_ns: Ints = np.zeros(0, np.int64)
        self.closes: list[Floats] = []
        self.bars: Iterator[Bar] = iter(())
        self.base_known: NDArray[np.int32] = np.zeros(0, np.int32)
        self._system = system
        self._cursor = system.clock.cursor
        self._fill = fill
        count = len(system.names)
        self._base = [self._first_track(k, kernels.BAR) for k in range(count)]
        self._quotes = [self._first_track(k, kernels.QUOTE) for k in range(count)]
        self._trades = [self._first_track(k, kernels.TRADE) for k in range(count)]
        self._counts: list[NDArray[np.int32]] = []
        self._offer: list[Callable[[int, int], Offer]] = []
        self._last = [float("nan")] * count
        self._carried = self._last
        self._data = [
            next(data for data in system.session_data if name in data.instruments)
            for name in system.names
        ]
        tick = {"quotes": self._quote_offers, "trades": self._trade_offers}
        self.offers = tick.get(fill, self._bar_offers)
        self._require_offers({"quotes": self._quotes, "trades": self._trades}.get(fill, self._base))

    def load(self) -> None:
        """Go on to the coordinator's present chunk."""
        self.chunk = self._system.coordinator.chunk
        self.times_ns = self.chunk.known_ns
        self._counts = list(self.chunk.counts)
        base = [track for track in self._base if track >= 0]
        self.base_known = self.chunk.counts[base].sum(axis=0)
        makes = _offers_at_close if self._fill == "same_close" else _offers_at_open
        self._offer = [makes(self.bars_of(t), self.times_ns) for t in base]
        self.closes = [self._known_closes(k) for k in range(len(self._base))]
        self._carried = self._last
        self._last = [float(column[-1]) for column in self.closes]
        self.bars = self._make_bars()

    def skip(self, begin: int, end: int) -> None:
        """Pass over the bars of slices ``[begin, end)``, which nobody is called for."""
        before = self.base_known.item(begin - 1) if begin else 0
        deque(islice(self.bars, self.base_known.item(end - 1) - before), maxlen=0)

    def mark(self) -> tuple[list[float], list[float]]:
        """The prices carried from one chunk to the next, for `go_back`."""
        return self._last, self._carried

    def go_back(self, mark: tuple[list[float], list[float]]) -> None:
        """Be between two chunks again."""
        self.chunk = None
        self._last, self._carried = mark

    def bars_of(self, track: int) -> Bars:
        """The bars of a track in this chunk."""
        rows = self._rows(track)
        assert isinstance(rows, Bars)
        return rows

    def counts_of(self, track: int) -> NDArray[np.int32]:
        """How many rows of a track are known at each slice."""
        return self._counts[track]

    def prices(self, at: int) -> list[float]:
        """The last known price of every instrument at a slice; at -1, before the chunk."""
        if at < 0 or self.chunk is None:
            return self._carried
        return [column.item(at) for column in self.closes]

    def prices_now(self) -> list[float]:
        """The last known price of every instrument."""
        return self.prices(self._cursor.slice)

    def session_label(self, ordinal: int, at: int) -> str:  # noqa: ARG002  # the broker's form
        """Label of the session an instrument is in."""
        session = self._data[ordinal].session
        return session.label if session else ""

    # Objects for callbacks, in order

    def bars_per_slice(self) -> list[int]:
        """How many base bars become known at each slice."""
        found: list[int] = np.diff(self.base_known, prepend=0).tolist()
        return found

    def ticks_at(self, at: int) -> Iterator[Trade | Quote]:
        """Quotes, then trades, that become known at a slice, by instrument."""
        for tracks in (self._quotes, self._trades):
            for ordinal, track in enumerate(tracks):
                if track >= 0:
                    for row in self._new_rows(track, at):
                        yield self._tick(ordinal, track, row)

    # Inside

    def _require_offers(self, tracks: Sequence[int]) -> None:
        kind = self._fill if self._fill in ("quotes", "trades") else "bars"
        for name, track in zip(self._system.names, tracks, strict=True):
            if track < 0:
                raise UsageError(
                    f"fills {self._fill} need {kind} of {name}",
                    hint=f"play its {kind}, too, or choose another fill mode",
                )

    def _first_track(self, instrument: int, kind: int) -> int:
        found = [
            i
            for i, track in enumerate(self._system.tracks)
            if track.instrument == instrument and track.kind == kind
        ]
        return found[0] if found else -1

    def _rows(self, track: int) -> Columns:
        assert self.chunk is not None
        return self.chunk.rows[track].data

    def _new_rows(self, track: int, at: int) -> range:
        counts = self._counts[track]
        return range(counts.item(at - 1) if at else 0, counts.item(at))

    def _known_closes(self, ordinal: int) -> Floats:
        """The last known price at each slice: close, else trade, else middle of the quote."""
        track, column = self._price_column(ordinal)
        known = np.concatenate(([self._last[ordinal]], column))
        prices: Floats = known[self.counts_of(track)]
        return prices

    def _price_column(self, ordinal: int) -> tuple[int, Floats]:
        if self._base[ordinal] >= 0:
            return self._base[ordinal], self.bars_of(self._base[ordinal]).close
        if self._trades[ordinal] >= 0:
            trades = self._rows(self._trades[ordinal])
            assert isinstance(trades, Trades)
            return self._trades[ordinal], trades.price
        quotes = self._rows(self._quotes[ordinal])
        assert isinstance(quotes, Quotes)
        return self._quotes[ordinal], (quotes.bid + quotes.ask) / 2.0

    def _bar_offers(self, ordinal: int, at: int) -> Sequence[Offer]:
        count = self._counts[self._base[ordinal]].item
        before, known = count(at - 1) if at else 0, count(at)
        offer = self._offer[ordinal]
        if known == before + 1:
            return (offer(before, at),)
        return [offer(row, at) for row in range(before, known)]

    def _quote_offers(self, ordinal: int, at: int) -> Sequence[Offer]:
        track = self._quotes[ordinal]
        found = [self._tick(ordinal, track, row) for row in self._new_rows(track, at)]
        return [
            Offer(q.ask, q.bid, q.time_ns, 0.0, q.bid, q.ask, NAN)
            for q in found
            if isinstance(q, Quote)
        ]

    def _trade_offers(self, ordinal: int, at: int) -> Sequence[Offer]:
        track = self._trades[ordinal]
        found = [self._tick(ordinal, track, row) for row in self._new_rows(track, at)]
        return [
            Offer(t.price, t.price, t.time_ns, t.size, t.price, t.price, t.price)
            for t in found
            if isinstance(t, Trade)
        ]

    def _tick(self, ordinal: int, track: int, row: int) -> Trade | Quote:
        data, name = self._rows(track), self._system.names[ordinal]
        if isinstance(data, Trades):
            t = int(data.time_ns[row])
            return Trade(
                name, t, float(data.price[row]), float(data.size[row]), int(data.side[row])
            )
        assert isinstance(data, Quotes)
        numbers = (data.bid, data.ask, data.bid_size, data.ask_size)
        return Quote(name, int(data.time_ns[row]), *(float(column[row]) for column in numbers))

    def _make_bars(self) -> Iterator[Bar]:
        """Base bars in merged order, made in batches as they are taken."""
        return chain.from_iterable(self._batches())

    def _batches(self) -> Iterator[Iterator[Bar]]:
        assert self.chunk is not None
        base = [track for track in self._base if track >= 0]
        if len(base) == 1 and len(self._system.tracks) == 1:
            yield from _bars_in_batches(self._system.names[0], self.bars_of(base[0]))
            return
        is_base = np.isin(self.chunk.track, base)
        track, row = self.chunk.track[is_base], self.chunk.row[is_base]
        for begin in range(0, len(track), _BATCH):
            yield self._batch(track[begin : begin + _BATCH], row[begin : begin + _BATCH])

    def _batch(self, track: Any, row: Any) -> Iterator[Bar]:
        names = ("start_ns", "end_ns", "open", "high", "low", "close", "volume")
        out = [np.empty(len(row), np.int64 if n.endswith("_ns") else np.float64) for n in names]
        labels = [""] * len(row)
        for each in np.unique(track).tolist():
            mine = np.flatnonzero(track == each)
            bars, name = (
                self.bars_of(each),
                self._system.names[self._system.tracks[each].instrument],
            )
            for column, field in zip(out, names, strict=True):
                column[mine] = getattr(bars, field)[row[mine]]
            for k in mine.tolist():
                labels[k] = name
        return map(Bar, labels, *(c.tolist() for c in out))


def _offers_at_open(bars: Bars, _: Ints) -> Callable[[int, int], Offer]:
    """What makes an offer of a bar: its open, and where it went from there."""
    start_ns, opened, volume = bars.start_ns.item, bars.open.item, bars.volume.item
    high, low, close = bars.high.item, bars.low.item, bars.close.item

    def offer(row: int, _: int) -> Offer:
        price = opened(row)
        return Offer(price, price, start_ns(row), volume(row), high(row), low(row), close(row))

    return offer


def _offers_at_close(bars: Bars, times_ns: Ints) -> Callable[[int, int], Offer]:
    """What makes an offer of a bar's close, at the moment of its slice."""
    close, volume = bars.close.item, bars.volume.item

    def offer(row: int, at: int) -> Offer:
        price = close(row)
        return Offer(price, price, times_ns.item(at), volume(row), price, price, price)

    return offer


def _bars_in_batches(name: str, bars: Bars) -> Iterator[Iterator[Bar]]:
    numbers = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    for begin in range(0, len(bars), _BATCH):
        rows = slice(begin, begin + _BATCH)
        batch = [column[rows].tolist() for column in numbers]
        yield map(Bar, repeat(name), *_times(bars.start_ns[rows], bars.end_ns[rows]), *batch)


def _times(start_ns: Ints, end_ns: Ints) -> tuple[list[int], list[int]]:
    """Both as lists; most bars end where the next one starts, and share that number with it."""
    starts: list[int] = start_ns.tolist()
    ends = [*starts[1:], 0]
    for row in (*np.flatnonzero(end_ns[:-1] != start_ns[1:]).tolist(), -1):
        ends[row] = end_ns.item(row)
    return starts, ends
