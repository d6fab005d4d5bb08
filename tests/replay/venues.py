"""Venues of a simulation: they push real items at their time, and things go wrong by chance."""

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from openbell.market.arrivals import (
    BAR,
    CONNECTED,
    DISCONNECTED,
    QUOTE,
    SILENT,
    TRADE,
    Arrival,
    five,
)
from openbell.market.bars import Bars
from openbell.market.errors import UnavailableError
from openbell.market.instrument import Series
from openbell.market.moments import MINUTE_NS, SECOND_NS
from openbell.ports import Data
from openbell.replay.intake import Intake
from openbell.sources.lean import LeanFolder
from tests.conftest import SAMPLES
from tests.replay.living import OPEN_NS
from tests.replay.playing import at
from tests.replay.simulation import Simulation

SPY = Series.parse("XNYS:SPY/1m")
GOLD = Series.parse("XCEC:GC-201312/trades")
EURO = Series.parse("OANDA:EURUSD/quotes")
_ROOTS = {SPY: "equity/usa/minute/spy", GOLD: "future/comex", EURO: "forex/oanda/tick"}
_DAYS = {SPY: "2013-10-07", GOLD: "2013-10-07", EURO: "2014-05-01"}
_WHAT = {SPY: BAR, GOLD: TRADE, EURO: QUOTE}
_SIZE = {SPY: 4, GOLD: 1, EURO: 2}  # which value is a size


class Item(NamedTuple):
    """What a venue says: when, its time for it, the values and its number."""

    at_ns: int
    venue_ns: int
    values: tuple[float, ...]
    number: int


class Odds(NamedTuple):
    """How often something goes wrong, by item."""

    swapped: float = 0.1  # with the next one
    twice: float = 0.05
    held: float = 0.05  # a burst will come
    skewed: float = 0.02
    silent: float = 0.01
    cut_off: float = 0.01
    failed: float = 0.0
    damaged: float = 0.01


ROUGH = Odds(0.15, 0.1, 0.15, 0.08, 0.04, 0.04, 0.01, 0.05)


@cache
def real(series: Series) -> Data:
    """Half an hour of real data, moved to the day of these tests; thinned to some dozen rows."""
    folder = LeanFolder(Path(SAMPLES) / "lean/Data" / _ROOTS[series])
    parts: list[Any] = [p.data for p in folder.parse() if p.data.series == series]
    data: Data = type(parts[0]).joined(parts)
    open_ns = at(f"{_DAYS[series]}T14:00Z")
    data = data.between(open_ns, open_ns + 30 * MINUTE_NS)
    data = data.take(slice(None, None, 1 + len(data) // 40))
    moved = {n: c + (OPEN_NS - open_ns) * n.endswith("_ns") for n, c in data.columns().items()}
    return type(data)(series, **moved)


@cache
def items(series: Series) -> tuple[Item, ...]:
    """The same, as they are pushed."""
    data = real(series)
    names = [n for n in data.names() if n not in ("start_ns", "end_ns", "time_ns", "label")]
    values = zip(*(data.columns()[n].tolist() for n in names), strict=True)
    known = data.end_ns if isinstance(data, Bars) else data.key_ns
    numbers = range(1, len(data) + 1) if series == GOLD else [0] * len(data)
    rows = zip(known.tolist(), data.key_ns.tolist(), values, numbers, strict=True)
    return tuple(Item(*row) for row in rows)


class Venue:
    """Pushes the items of a series at their time, with faults; on a thread of a simulation.

    Attributes
    ----------
    pushed
        What it got rid of, items and notes, and when it began to.
    ahead
        How many items it pushed before their time.
    """

    def __init__(
        self, series: Series, intake: Intake, simulation: Simulation, odds: Odds, share: float
    ) -> None:
        self.pushed: list[tuple[int, Arrival]] = []
        self.ahead = 0
        self._series, self._intake, self._simulation = series, intake, simulation
        self._chance, self._odds = simulation.chance, odds
        self._share = share
        self._held: list[Item] = []
        self._items = items(series)
        self._skew_ns = 0
        if odds == ROUGH:
            self._skew_ns = self._another_skew_ns()
            self._items = self._shifted()

    def run(self) -> None:
        for item in self._disordered():
            ahead_ns = max(self._skew_ns, 0) if self._series == SPY else 0
            late_ns = self._chance.choice([0, self._chance.randrange(SECOND_NS // 2)])
            self._sleep_until(item.at_ns - ahead_ns + late_ns)
            self._held.append(item)
            if not self._stumble():
                return

    def _disordered(self) -> Iterator[Item]:
        """Now and then two change places, and one comes twice."""
        waiting: Item | None = None
        for item in self._items:
            if self._chance.random() > self._share:
                continue
            if waiting is None and self._chance.random() < self._odds.swapped:
                waiting = item
                continue
            yield item
            if waiting is not None:
                yield waiting
                waiting = None
            if self._chance.random() < self._odds.twice:
                yield item

    def _stumble(self) -> bool:
        """Push what is held, or let something go wrong first."""
        _, _, held, skewed, silent, cut_off, failed, _ = self._odds
        fault = self._chance.random()
        if (fault := fault - held) < 0:
            return True
        if (fault := fault - skewed) < 0:
            self._skew_ns = self._another_skew_ns()
        elif (fault := fault - silent) < 0:
            return self._be_silent()
        elif (fault := fault - cut_off) < 0:
            return self._disconnect()
        elif fault < failed:
            self._intake.fail(self._series, UnavailableError(f"{self._series} is gone"))
            return False
        return self._push()

    def _shifted(self) -> tuple[Item, ...]:
        """Ticks somewhat later, one maybe at an opening or closing; stamped finely or coarsely."""
        if self._series == SPY:
            return self._items
        chosen = self._chance.choice(self._items[: len(self._items) // 2]).venue_ns
        by_ns = self._chance.choice([0, -chosen % MINUTE_NS, -chosen % MINUTE_NS + SECOND_NS])
        step_ns = self._chance.choice([1, 1, 5 * SECOND_NS])
        return tuple(
            item._replace(
                at_ns=item.at_ns + by_ns,
                venue_ns=(item.venue_ns + by_ns) // step_ns * step_ns,
            )
            for item in self._items
        )

    def _another_skew_ns(self) -> int:
        return self._chance.choice([0, 0, -900, 700, 900, 1500, 2500]) * SECOND_NS // 1000

    def _be_silent(self) -> bool:
        self._held.clear()
        self._simulation.sleep(self._chance.randrange(30, 200))
        return self._put(SILENT)

    def _disconnect(self) -> bool:
        again = self._held * 2
        if not self._put(DISCONNECTED):
            return False
        self._simulation.sleep(self._chance.randrange(90))
        self._held = again
        return self._put(CONNECTED) and self._push()

    def _push(self) -> bool:
        for item in self._held:
            values = self._damaged(item.values)
            venue_ns = item.venue_ns + (self._skew_ns if self._series != SPY else 0)
            if not self._put(_WHAT[self._series], venue_ns, values, item.number):
                return False
        self._held.clear()
        return True

    def _put(
        self, what: int, venue_ns: int = 0, values: tuple[float, ...] = (), number: int = 0
    ) -> bool:
        began_ns = self._intake.now_ns()
        if not self._intake.push(self._series, what, venue_ns, values, number):
            return False
        self.ahead += venue_ns + (self._series == SPY) * MINUTE_NS > began_ns
        self.pushed.append((began_ns, Arrival(0, what, venue_ns, 0, number, five(values))))
        return True

    def _damaged(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Seldom: not a number, infinite, or of negative size; or another size, which is sound."""
        if self._chance.random() >= self._odds.damaged:
            return values
        changed = list(values)
        at_, value = self._chance.choice(
            [(0, math.nan), (1, math.inf), (_SIZE[self._series], -1.0), (_SIZE[self._series], 7.0)]
        )
        changed[at_] = value
        return tuple(changed)

    def _sleep_until(self, at_ns: int) -> None:
        if (left_ns := at_ns - self._intake.now_ns()) > 0:
            self._simulation.sleep(left_ns / SECOND_NS)


class Books:
    """Real bars, to be asked for again; not always there.

    Attributes
    ----------
    fetched
        When each bar was fetched, or should have been, by its start.
    """

    def __init__(self, intake: Intake, simulation: Simulation) -> None:
        self.fetched: dict[int, list[int]] = {}
        self._intake, self._simulation = intake, simulation

    def bars(self, series: Series, start_ns: int, end_ns: int) -> Bars:
        for each_ns in range(start_ns, end_ns, MINUTE_NS):
            self.fetched.setdefault(each_ns, []).append(self._intake.now_ns())
        self._simulation.sleep(self._simulation.chance.random() * 3)
        if self._simulation.chance.random() < 0.5:
            raise UnavailableError("the venue does not answer")
        found = real(series).between(start_ns, end_ns)
        assert isinstance(found, Bars)
        return found
