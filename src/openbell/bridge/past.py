"""What a store knows of an instrument up to a moment: the newest bars before it.

An answer is made of rows that had ended by that moment, so it never looks past it. Versions do
not change, so what was read of one is kept and read again from there.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from openbell.bridge.contracts import contracts_of
from openbell.bridge.requests import Hours
from openbell.market.bars import Bars
from openbell.market.build import require_wider, widen
from openbell.market.calendars import calendar
from openbell.market.columns import CORRUPT
from openbell.market.errors import NotRecordedError, UsageError
from openbell.market.instrument import Instrument, Pin, Series
from openbell.market.moments import DAY_NS
from openbell.market.timeframe import CODES, Timeframe
from openbell.ports import ReadStore, SeriesInfo, Store

Meaning = str | Series | Pin
Resolver = Callable[[str], Meaning | None]
Read = Callable[[int, int], Bars]

MAX_ROWS_KEPT = 1_000_000  # some 64 MB
_WHOLE_ROWS = 200_000  # a series up to this long is read once, as a whole
_READ_AT_ONCE = 1_000  # rows, at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which bars: the newest `count` that start at `start_ns` or later and end by `known_ns`.

    Attributes
    ----------
    hours
        Whether bars before the open and after the close count; None: all that are stored. Days
        and wider are of regular hours.
    in_progress
        Whether the bar that had not ended by `known_ns` counts, as far as it was known.
    """

    count: int
    known_ns: int
    start_ns: int = 0
    hours: Hours | None = "regular"
    in_progress: bool = False


class _Stretch(NamedTuple):
    start_ns: int
    end_ns: int
    bars: Bars


class Past:
    """Bars of a store, by what an asker calls an instrument. Threads take turns.

    Parameters
    ----------
    store
        Read from, never written.
    resolver
        Says what a symbol means: a version, a series, a ref; None if it means nothing. Without
        one, a symbol is an instrument (``XNYS:SPY``), a series, or a pin; a contract of ProjectX;
        or a venue's name for an instrument (``SPY``) that the store has once. Of a future's root
        it is the newest contract.
    """

    def __init__(self, store: ReadStore, resolver: Resolver | None = None) -> None:
        self._store = store
        self._resolver = resolver
        self._lock = threading.RLock()
        self._meant: dict[str, Instrument] = {}
        self._info: dict[Pin, SeriesInfo] = {}
        self._kept: OrderedDict[Pin, _Stretch] = OrderedDict()

    def newest(self, symbol: str, wide: Timeframe, wanted: Wanted) -> tuple[Bars, Pin]:
        """The bars wanted, oldest first, and the version they come from; there may be none.

        Raises
        ------
        NotRecordedError
            If nothing of the symbol is stored.
        UsageError
            If the symbol means several instruments, or nothing stored can be made that wide.
        """
        with self._lock:
            pin = self.pin_of(symbol, wide)
            return newest_bars(partial(self._read, pin), self.info(pin), wide, wanted), pin

    # What a symbol means

    def pin_of(self, symbol: str, wide: Timeframe) -> Pin:
        """The version from which bars of a symbol are made that wide; raises as `newest`."""
        with self._lock:
            named = self._named(symbol)
        if isinstance(named, Instrument):
            return self._widest(named, wide)
        pin = named if isinstance(named, Pin) else self._store.resolve(str(named))
        if pin.series.timeframe != wide:
            require_wider(pin.series.timeframe, wide)
        return pin

    def _named(self, symbol: str) -> Meaning | Instrument:
        if self._resolver is not None:
            named = self._resolver(symbol)
            if named is None:
                raise NotRecordedError(
                    f"nothing is known of `{symbol}`", hint="ask for a symbol the resolver names"
                )
            return named
        if "/" in symbol:
            return symbol
        if ":" in symbol:
            return Instrument.parse(symbol)
        if symbol not in self._meant:
            self._meant[symbol] = self._instrument(symbol)
        return self._meant[symbol]

    def _instrument(self, symbol: str) -> Instrument:
        """The one instrument that a venue, or ProjectX, calls so."""
        if not hasattr(self._store, "list_instruments"):
            raise UsageError(f"`{symbol}` names no venue", hint="write XNYS:SPY")
        store = cast("Store", self._store)
        if contract := contracts_of(store).find(symbol):
            return Series.parse(contract.ref).instrument
        known = store.list_instruments()
        found = [one for one in known if one.symbol == symbol]
        found = found or [one for one in known if one.symbol.split("-")[0] == symbol][-1:]
        if len(found) > 1:
            raise UsageError(
                f"`{symbol}` trades at several venues", hint=" or ".join(str(one) for one in found)
            )
        if not found:
            raise NotRecordedError(
                f"nothing is stored of `{symbol}`", hint="see what there is: openbell data list"
            )
        return found[0]

    def _widest(self, instrument: Instrument, wide: Timeframe) -> Pin:
        """The newest version of the widest bars from which the wanted ones can be made."""
        for code in reversed(CODES):
            series = Series(instrument, code)
            if not can_make(series.timeframe, wide):
                continue
            if versions := self._store.versions(series):
                return versions[-1].pin
        raise NotRecordedError(
            f"no bars are stored that {wide} bars of {instrument} are made of",
            hint="see what there is: openbell data list",
        )

    # Reading

    def info(self, pin: Pin) -> SeriesInfo:
        """What the store says of a version, asked for once."""
        with self._lock:
            found = self._info.get(pin)
            if found is None:
                found = self._info[pin] = self._store.info(pin)
            return found

    def instruments(self) -> Sequence[Instrument]:
        """What the store has, as far as it can list them."""
        if not hasattr(self._store, "list_instruments"):
            return ()
        return cast("Store", self._store).list_instruments()

    def warm_up(self) -> None:
        """Load the calendars, so that not the first who asks has to wait for them."""
        for name in sorted({one.place.calendar for one in self.instruments()}):
            calendar(name)

    def _read(self, pin: Pin, start_ns: int, end_ns: int) -> Bars:
        kept = self._kept.get(pin)
        if kept is None or not kept.start_ns <= start_ns <= end_ns <= kept.end_ns:
            kept = self._fetch(pin, start_ns, end_ns)
        self._kept.move_to_end(pin)
        return kept.bars.between(start_ns, end_ns)

    def _fetch(self, pin: Pin, start_ns: int, end_ns: int) -> _Stretch:
        info = self.info(pin)
        if info.rows <= _WHOLE_ROWS:
            start_ns, end_ns = info.first_ns, info.last_ns + 1
        else:  # as far again: time goes on, and the next request asks a little later
            end_ns = min(end_ns + (end_ns - start_ns), info.last_ns + 1)
        bars = self._store.read(pin, start_ns, end_ns)
        assert isinstance(bars, Bars)
        kept = self._kept[pin] = _Stretch(start_ns, end_ns, bars)
        while len(self._kept) > 1 and sum(len(k.bars) for k in self._kept.values()) > MAX_ROWS_KEPT:
            self._kept.popitem(last=False)
        return kept


def newest_bars(read: Read, info: SeriesInfo, wide: Timeframe, wanted: Wanted) -> Bars:
    """The bars wanted of one version, oldest first, without what corrupt rows would give.

    Reads backwards, four times as far each time, until there are enough.

    Parameters
    ----------
    read
        Gives the version's rows that start in ``[start_ns, end_ns)``.
    info
        What the store says of the version.
    wide
        The version's own timeframe, or one that can be made of it.
    """
    base = info.pin.series
    begin_ns = max(wanted.start_ns, info.first_ns)
    end_ns = min(wanted.known_ns, info.last_ns + 1)
    if not info.rows or begin_ns >= end_ns:
        return Bars.empty(Series(base.instrument, wide.code, base.price))
    width_ns = wide.width_ns or 31 * DAY_NS
    span_ns = max((wanted.count + 2) * width_ns, _READ_AT_ONCE * base.timeframe.width_ns)
    while True:
        from_ns = max(begin_ns, end_ns - span_ns)
        found = _made(read(from_ns, end_ns), wide, wanted)
        # A wide bar that began before what was read is not whole.
        whole_ns = from_ns if from_ns > begin_ns else wanted.start_ns
        found = found.take(slice(int(np.searchsorted(found.start_ns, whole_ns)), None))
        if len(found) >= wanted.count or from_ns == begin_ns:
            return found.take(slice(max(len(found) - wanted.count, 0), None))
        span_ns *= 4


def _made(rows: Bars, wide: Timeframe, wanted: Wanted) -> Bars:
    rows = rows.take((rows.end_ns <= wanted.known_ns) & ((rows.label & CORRUPT) == 0))
    made = rows if rows.series.timeframe == wide else widen(rows, wide)
    fits = _in_hours(made, wide, wanted.hours)
    if not wanted.in_progress:
        fits &= made.end_ns <= wanted.known_ns
    return made.take(fits)


@lru_cache(4_096)  # whatever askers ask for, memory stays flat
def can_make(narrow: Timeframe, wide: Timeframe) -> bool:
    """Whether bars of the one are, or can be built from, bars of the other."""
    if narrow == wide:
        return True
    try:
        require_wider(narrow, wide)
    except UsageError:
        return False
    return True


def _in_hours(bars: Bars, wide: Timeframe, hours: Hours | None) -> NDArray[np.bool_]:
    if hours is None or not wide.is_intraday:
        return np.ones(len(bars), np.bool_)
    place = calendar(bars.series.instrument.place.calendar)
    return np.asarray(place.row_at(bars.start_ns, extended=hours == "extended") >= 0)
