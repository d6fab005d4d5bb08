"""Rule 5: what is seen is known. Views are bounded, and the future changes nothing before it."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.market.bars import Bar, Bars
from openbell.market.calendars import calendar
from openbell.market.columns import Columns
from openbell.market.errors import UsageError
from openbell.market.moments import MINUTE_NS
from openbell.replay import kernels
from openbell.replay.session_data import InstrumentData, SessionData
from openbell.replay.slices import Slice
from openbell.replay.system import System
from tests.replay.playing import at, every_minute, minutes, play, quotes, rows_of, stored, trades

RANGE = ("2019-06-03", "2019-06-06")
SPY = every_minute("XNYS:SPY/1m", "2019-06-03T13:00Z", "2019-06-05T20:10Z")
THIN = minutes(
    "XNYS:THIN/1m", *range(at("2019-06-03T13:33Z"), at("2019-06-05T20:00Z"), 777 * MINUTE_NS)
)
TICKS = quotes("XNYS:SPY/quotes", "2019-06-03T14:00:30Z", "2019-06-04T14:00:30Z")
PRINTS = trades("XNYS:SPY/trades", "2019-06-03T14:00:30Z", "2019-06-04T14:00:30Z")
PLAN: dict[str, Any] = {"derived": ("5m", "1h"), "trailing": 1, "history": 50}
KNOWN = {"5m": 5 * MINUTE_NS, "1h": 60 * MINUTE_NS}


def seen(system: System, current: Slice) -> list[Columns]:
    """Every column a consumer of a slice can reach without asking for private parts."""
    found: list[Columns] = []
    for data in current.sessions:
        for name in data:
            one = data[name]
            for kind in one.kinds:
                found += [one.history(k, kind) for k in (1, 7, 10_000)]
            found += [one.bars(k) for k in one.kinds if k not in ("trades", "quotes")]
            found += [bars for _, frames in one.historical for bars in frames.values()]
            if "trades" in one.kinds:
                found += [one.trades, one.quotes]
    return found


def ends(columns: Columns) -> list[int]:
    known: list[int] = (columns.end_ns if isinstance(columns, Bars) else columns.key_ns).tolist()
    return known


@pytest.mark.parametrize("per_chunk", [1, 2, 3])
def test_nothing_that_can_be_reached_is_from_the_future(per_chunk: int) -> None:
    data = stored(SPY, THIN, TICKS, PRINTS)
    system = data.system(*RANGE, sessions_per_chunk=per_chunk, **PLAN)
    for number, current in enumerate(system):
        if number % 37 and current.time_ns % (60 * MINUTE_NS):
            continue
        now = system.clock.now()
        for columns in seen(system, current):
            assert max(ends(columns), default=now) <= now
        for name in current:
            assert current[name].end_ns == now


def test_the_newest_row_is_seen_at_the_very_moment_it_becomes_known() -> None:
    system = stored(SPY).system(*RANGE, **PLAN)
    for current in system:
        data = current.session["XNYS:SPY"]
        assert data.bars().end_ns[-1] == current.time_ns
        for kind, width in KNOWN.items():
            session = data_session(current.session)
            due = session.open_ns + (current.time_ns - session.open_ns) // width * width
            if current.time_ns == session.close_ns:
                due = session.close_ns
            last = data.bars(kind).end_ns.tolist()[-1:]
            assert last == ([due] if due > session.open_ns else [])


def data_session(data: SessionData) -> Any:
    assert data.session is not None
    return data.session


def test_rows_ahead_are_no_public_attribute() -> None:
    system = stored(SPY).system(*RANGE)
    current = next(iter(system))
    window = current.session["XNYS:SPY"].window("1m")
    public = {n for n in dir(window) if not n.startswith("_")}
    assert public == {
        "brought",
        "carried_close",
        "cut",
        "figures",
        "go_back",
        "is_updated",
        "known",
        "last",
        "now_ns",
        "load",
        "mark",
        "of",
        "position",
        "present",
        "revisions",
    }
    public = {n for n in dir(current) if not n.startswith("_")}
    assert public == {"closes", "get", "revisions", "session", "sessions", "time", "time_ns"}


def test_columns_that_are_seen_cannot_be_written() -> None:
    current = next(iter(stored(SPY).system(*RANGE)))
    with pytest.raises(ValueError, match="read-only"):
        current.session["XNYS:SPY"].bars().close[0] = 0.0


def test_what_was_seen_does_not_change_afterwards() -> None:
    system = stored(SPY).system(*RANGE, sessions_per_chunk=1, **PLAN)
    kept: list[tuple[Bars, list[float]]] = []
    for number, current in enumerate(system):
        if number % 100 == 0:
            bars = current.session["XNYS:SPY"].bars()
            kept.append((bars, bars.close.tolist()))
    assert all(bars.close.tolist() == closes for bars, closes in kept)


def figures_by_hand(bars: list[Bar]) -> tuple[float, float, float]:
    volume = 0.0
    for bar in bars:
        volume += bar.volume
    return volume, max(b.high for b in bars), min(b.low for b in bars)


def test_figures_are_those_of_the_session_so_far() -> None:
    system = stored(SPY).system(*RANGE, sessions_per_chunk=2)
    day: list[Bar] = []
    label = ""
    for current in system:
        session = data_session(current.session)
        if session.label != label:
            day, label = [], session.label
        day.append(current["XNYS:SPY"])
        if len(day) % 50 == 1:
            assert tuple(current.session["XNYS:SPY"].figures) == figures_by_hand(day)


@pytest.mark.parametrize("per_chunk", [1, 2, 9])
def test_a_session_is_whole_though_work_is_cut_within_it(per_chunk: int) -> None:
    """New York closes in the middle of Bitcoin's day, and that is where chunks are cut."""
    coin = every_minute("COINBASE:BTCUSD/1m", "2019-06-03", "2019-06-05")
    plan = {"history": 1, "sessions_per_chunk": per_chunk, "derived": ("1h",)}
    system = stored(coin, SPY).system("2019-06-03", "2019-06-05", **plan)
    for current in system:
        own = current.session["COINBASE:BTCUSD"]
        session = data_session(current.session)
        if current.time_ns % (20 * MINUTE_NS) == 0:
            so_far = coin.between(session.open_ns, current.time_ns)
            assert own.bars() == so_far
            assert tuple(own.figures) == figures_by_hand(list(so_far))
            assert len(own.bars("1h")) == (current.time_ns - session.open_ns) // KNOWN["1h"]
            assert own.completeness == 1.0


def test_flags_say_what_the_slice_brought() -> None:
    system = stored(SPY.between(at("2019-06-03"), at("2019-06-04")), TICKS).system(*RANGE)
    flags = {
        s.time_ns: (s.session["XNYS:SPY"].bars_updated, s.session["XNYS:SPY"].quotes_updated)
        for s in system
    }
    assert flags[at("2019-06-03T14:00Z")] == (True, False)
    assert flags[at("2019-06-03T14:00:30Z")] == (False, True)
    assert flags[at("2019-06-04T14:00:30Z")] == (False, True)


@pytest.mark.parametrize("per_chunk", [1, 2, 3])
def test_history_reaches_as_far_back_as_was_asked_for(per_chunk: int) -> None:
    system = stored(SPY).system(*RANGE, sessions_per_chunk=per_chunk, history=400)
    for played, current in enumerate(system, 1):
        found = current.session["XNYS:SPY"].history(400)
        assert len(found) == min(played, 400)
        if played % 100 == 0:
            assert np.all(np.diff(found.key_ns) > 0)


@pytest.mark.parametrize("per_chunk", [1, 3])
def test_trailing_sessions_equal_what_was_played(per_chunk: int) -> None:
    table = stored(SPY, THIN)
    system = table.system(
        "2019-06-05", "2019-06-06", derived=("5m",), trailing=2, sessions_per_chunk=per_chunk
    )
    before = partial(table.system, "2019-06-03", "2019-06-05", derived=("5m",))
    base, derived = (rows_of(before(), kind) for kind in (kernels.BAR, kernels.DERIVED))
    sessions = [calendar("XNYS").session(day) for day in ("2019-06-03", "2019-06-04")]
    for number, name in enumerate(system.names):
        own = system.session_data[0][name].historical
        assert [label for label, _ in own] == ["2019-06-03", "2019-06-04"]
        for (_, frames), session in zip(own, sessions, strict=True):
            assert frames["1m"] == base[number][0].between(session.open_ns, session.close_ns)
            assert frames["5m"] == derived[number][0].between(session.open_ns, session.close_ns)


def test_a_finished_session_enters_trailing_history_and_the_oldest_leaves() -> None:
    system = stored(SPY).system("2019-06-04", "2019-06-06", trailing=1)
    labels = []
    for current in system:
        ((label, frames),) = current.session["XNYS:SPY"].historical
        if label not in labels:
            labels.append(label)
            assert len(frames["1m"]) == 390
    assert labels == ["2019-06-03", "2019-06-04"]
    ((last, _),) = system.session_data[0]["XNYS:SPY"].historical
    assert last == "2019-06-05"


def test_trailing_sessions_are_each_calendars_own() -> None:
    """New York has closed when the replay begins, Bitcoin goes on: each has its day before."""
    coin = every_minute("COINBASE:BTCUSD/1m", "2019-06-02", "2019-06-05")
    data = stored(SPY, coin)
    system = data.system("2019-06-03T22:00Z", "2019-06-05", trailing=1)
    found = {
        name: [(label, len(frames["1m"])) for label, frames in data[name].historical]
        for data in system.session_data
        for name in data
    }
    assert found == {
        "XNYS:SPY": [("2019-06-03", 390)],
        "COINBASE:BTCUSD": [("2019-06-02", 1440)],
    }


def test_without_earlier_data_trailing_sessions_are_empty() -> None:
    system = stored(SPY).system("2019-06-03", "2019-06-04", trailing=2)
    own = system.session_data[0]["XNYS:SPY"].historical
    assert [(label, len(frames["1m"])) for label, frames in own] == [
        ("2019-05-30", 0),
        ("2019-05-31", 0),
    ]


def snapshot(data: InstrumentData, now: int) -> tuple[Any, ...]:
    columns = [data.history(20, kind).columns() for kind in data.kinds]
    return (
        [{name: c.tolist() for name, c in each.items()} for each in columns],
        repr(data.figures),
        data.completeness,
        [(label, [b.close.tolist() for b in f.values()]) for label, f in data.historical],
    )


def watched(bars: Bars, until_ns: int, per_chunk: int) -> list[Any]:
    """Everything seen at some moments up to one of them."""
    system = stored(bars).system(*RANGE, sessions_per_chunk=per_chunk, **PLAN)
    found: list[Any] = []
    for number, current in enumerate(system):
        if current.time_ns > until_ns:
            break
        if number % 61 == 0 or current.time_ns == until_ns:
            found.append(snapshot(current.session["XNYS:SPY"], current.time_ns))
            found.append([current.time_ns, list(current.closes), current.get("XNYS:SPY")])
    return found


LOOSE = SPY.take(np.arange(len(SPY)) % 5 > 0)


@settings(max_examples=25)
@given(
    st.integers(0, len(LOOSE) - 1),
    st.sampled_from(["change", "leave out", "cut"]),
    st.integers(1, 3),
)
def test_changing_the_future_changes_nothing_that_was_seen(
    row: int, what: str, per_chunk: int
) -> None:
    start = int(LOOSE.start_ns[row])
    columns = {n: c.copy() for n, c in LOOSE.columns().items()}
    for name in ("open", "high", "low", "close", "volume"):
        columns[name][row] *= 1.5
    other = Bars(LOOSE.series, **columns)
    if what != "change":
        keep = np.arange(len(LOOSE)) != row if what == "leave out" else np.arange(len(LOOSE)) < row
        other = LOOSE.take(keep if keep.any() else slice(0, 1))
    before = start  # the row is known a minute later
    assert watched(LOOSE, before, 2) == watched(other, before, per_chunk)


def test_a_slice_names_what_is_played_when_asked_for_something_else() -> None:
    current = next(iter(stored(SPY, THIN).system(*RANGE)))
    assert "XNYS:THIN" not in current
    assert "XNYS:NONE" not in current
    with pytest.raises(KeyError):
        _ = current["XNYS:THIN"]
    with pytest.raises(UsageError, match="XNYS:NONE is not played"):
        current.get("XNYS:NONE")


def test_the_last_known_closes_of_all_instruments_are_at_hand() -> None:
    system = stored(SPY, THIN).system(*RANGE, sessions_per_chunk=1)
    last = {name: float("nan") for name in system.names}
    for current in system:
        last |= {name: current[name].close for name in current}
        assert repr(list(current.closes)) == repr(list(last.values()))


def test_a_finished_system_is_not_played_again() -> None:
    system = play(stored(SPY).system(*RANGE))
    assert system.state == "stopped"
