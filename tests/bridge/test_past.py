"""The newest bars before a moment: the right ones, all of them, and nothing later."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.bridge.past import Meaning, Past, Wanted
from openbell.bridge.requests import Hours
from openbell.market.bars import Bars
from openbell.market.build import widen
from openbell.market.calendars import calendar
from openbell.market.columns import CORRUPT
from openbell.market.errors import NotRecordedError, UsageError
from openbell.market.instrument import Pin, Series
from openbell.market.moments import DAY_NS, MINUTE_NS, parse_moment
from openbell.market.timeframe import timeframe
from openbell.ports import Manifest, Store
from openbell.stores.memory import MemoryStore
from tests.backtest.made import store_of
from tests.report.spy import spy_bars

SPY = spy_bars()
STORE = store_of(SPY)
FIRST_NS, LAST_NS = int(SPY.start_ns[0]), int(SPY.end_ns[-1])


def known(code: str, wanted: Wanted) -> Bars:
    """The same by the plainest way: everything built of all that has ended, then cut."""
    tf = timeframe(code)
    rows = SPY.take(SPY.end_ns <= wanted.known_ns)
    made = rows if code == "1m" else widen(rows, tf)
    fits = made.start_ns >= wanted.start_ns
    if not wanted.in_progress:
        fits &= made.end_ns <= wanted.known_ns
    if tf.is_intraday:
        fits &= calendar("XNYS").row_at(made.start_ns, extended=wanted.hours == "extended") >= 0
    return made.take(fits).take(slice(-wanted.count, None))


@given(
    st.sampled_from(["1m", "5m", "15m", "1h", "4h", "1d", "1w", "1M"]),
    st.integers(1, 600),
    st.integers(FIRST_NS - DAY_NS, LAST_NS + 40 * DAY_NS),
    st.one_of(st.just(0), st.integers(FIRST_NS, LAST_NS)),
    st.sampled_from(["regular", "extended"]),
    st.booleans(),
)
def test_it_gives_what_building_everything_gives(
    code: str, count: int, known_ns: int, start_ns: int, hours: Hours, in_progress: bool
) -> None:
    wanted = Wanted(
        count=count, known_ns=known_ns, start_ns=start_ns, hours=hours, in_progress=in_progress
    )
    found, pin = PAST.newest("XNYS:SPY", timeframe(code), wanted)
    assert str(pin) == "XNYS:SPY/1m@1"
    assert found == known(code, wanted)


PAST = Past(STORE)


@given(st.integers(FIRST_NS, LAST_NS), st.sampled_from(["1m", "5m", "1h", "1d"]))
def test_nothing_is_given_that_the_rows_after_the_moment_could_change(
    at_ns: int, code: str
) -> None:
    wanted = Wanted(count=50, known_ns=at_ns, hours="extended", in_progress=True)
    other = SPY.close + np.where(SPY.end_ns > at_ns, 7.0, 0.0)
    columns = SPY.columns() | {"close": other, "high": np.maximum(SPY.high, other)}
    changed = Past(store_of(Bars(SPY.series, **columns)))
    here, there = (p.newest("XNYS:SPY", timeframe(code), wanted)[0] for p in (PAST, changed))
    assert here == there


@dataclass
class Counted:
    """A store that counts what is read of it."""

    inner: MemoryStore
    rows: int = 0
    reads: int = 0
    pins: list[Pin] = field(default_factory=list)

    def read(self, pin: Pin, start_ns: int, end_ns: int) -> Any:
        data = self.inner.read(pin, start_ns, end_ns)
        self.rows += len(data)
        self.reads += 1
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_what_was_read_once_is_not_read_again() -> None:
    counted = Counted(STORE)
    past = Past(counted)
    for minute in range(100):
        wanted = Wanted(count=50, known_ns=parse_moment("2011-03-14T15:00Z") + minute * MINUTE_NS)
        past.newest("XNYS:SPY", timeframe("5m"), wanted)
    assert (counted.reads, counted.rows) == (1, len(SPY))


def test_of_a_long_series_only_the_newest_part_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openbell.bridge.past._WHOLE_ROWS", 100)
    counted = Counted(STORE)
    past = Past(counted)
    at_ns = parse_moment("2011-03-25T15:00Z")
    for minute in range(200):
        wanted = Wanted(count=50, known_ns=at_ns + minute * MINUTE_NS, hours="extended")
        found, _ = past.newest("XNYS:SPY", timeframe("1m"), wanted)
        assert found == known("1m", wanted)
    assert counted.reads <= 5
    assert counted.rows < len(SPY) / 4


def test_no_more_rows_are_kept_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openbell.bridge.past.MAX_ROWS_KEPT", 2 * len(SPY))
    store = store_of(*(SPY.renamed(Series.parse(f"XNYS:S{i}/1m")) for i in range(4)))
    past = Past(store)
    for i in range(4):
        past.newest(f"XNYS:S{i}", timeframe("1m"), Wanted(count=5, known_ns=LAST_NS))
    assert sum(len(kept.bars) for kept in past._kept.values()) <= 2 * len(SPY)


def test_corrupt_rows_are_withheld() -> None:
    label = np.where(np.arange(len(SPY)) == 3, CORRUPT, 0)
    store = store_of(Bars(SPY.series, **(SPY.columns() | {"label": label})))
    wanted = Wanted(count=5, known_ns=int(SPY.end_ns[4]), hours="extended")
    found, _ = Past(store).newest("XNYS:SPY", timeframe("1m"), wanted)
    assert found.start_ns.tolist() == SPY.start_ns[[0, 1, 2, 4]].tolist()


# What a symbol means

SHELF = store_of(
    *(
        SPY.take(slice(0, 40)).renamed(Series.parse(name))
        for name in (
            "XNYS:SPY/1m", "XNYS:SPY/5m", "XNAS:AAPL/1d", "BATS:AAPL/1d", "XCEC:MGC-202410/1m",
            "XCEC:MGC-202412/1m",
        )
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("symbol", "code", "pin"),
    [
        ("SPY", "1m", "XNYS:SPY/1m@1"),
        ("XNYS:SPY", "1m", "XNYS:SPY/1m@1"),
        ("XNYS:SPY/1m@1", "15m", "XNYS:SPY/1m@1"),
        ("SPY", "5m", "XNYS:SPY/5m@1"),
        ("SPY", "15m", "XNYS:SPY/5m@1"),
        ("SPY", "3m", "XNYS:SPY/1m@1"),
        ("BATS:AAPL", "1w", "BATS:AAPL/1d@1"),
        ("MGC", "1m", "XCEC:MGC-202412/1m@1"),
        ("MGC-202410", "1m", "XCEC:MGC-202410/1m@1"),
        ("CON.F.US.MGC.V24", "1m", "XCEC:MGC-202410/1m@1"),
        ("F.US.MGC", "1m", "XCEC:MGC-202412/1m@1"),
    ],
)
def test_a_symbol_means_what_an_asker_expects(symbol: str, code: str, pin: str) -> None:
    assert str(Past(SHELF).pin_of(symbol, timeframe(code))) == pin


@pytest.mark.parametrize(
    ("symbol", "code", "error"),
    [
        ("QQQ", "1m", NotRecordedError),
        ("XNYS:QQQ", "1m", NotRecordedError),
        ("AAPL", "1d", UsageError),
        ("BATS:AAPL", "1m", NotRecordedError),
        ("XNYS:SPY/5m", "1m", UsageError),
        ("XNYS:SPY/1m@7", "1m", NotRecordedError),
        ("../../etc/passwd", "1m", UsageError),
        ("a:b:c", "1m", UsageError),
        ("", "1m", NotRecordedError),
    ],
)
def test_a_symbol_that_means_nothing_is_an_error(
    symbol: str, code: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        Past(SHELF).pin_of(symbol, timeframe(code))


def test_a_resolver_says_what_symbols_mean() -> None:
    meanings: dict[str, Meaning] = {"NQ": "XNYS:SPY/1m", "ES": SHELF.resolve("XNYS:SPY/5m")}
    past = Past(SHELF, meanings.get)
    assert str(past.pin_of("NQ", timeframe("5m"))) == "XNYS:SPY/1m@1"
    assert str(past.pin_of("ES", timeframe("5m"))) == "XNYS:SPY/5m@1"
    with pytest.raises(NotRecordedError, match="nothing is known of `SPY`"):
        past.pin_of("SPY", timeframe("1m"))


def test_a_new_version_is_seen() -> None:
    store = store_of(SPY.take(slice(0, 10)))
    past = Past(store)
    wanted = Wanted(count=100, known_ns=LAST_NS, hours="extended")
    assert len(past.newest("SPY", timeframe("1m"), wanted)[0]) == 10
    store.write(SPY.take(slice(0, 20)), Manifest("more"))
    assert len(past.newest("SPY", timeframe("1m"), wanted)[0]) == 20


def test_a_lake_on_disk_gives_the_same_as_memory(store: Store, spy_lake: Path) -> None:
    wanted = Wanted(count=50, known_ns=parse_moment("2011-03-14T15:07:30Z"))
    found, _ = Past(store).newest("SPY", timeframe("5m"), wanted)
    assert found == known("5m", wanted)
