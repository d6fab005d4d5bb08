"""Rule 4: the one order of everything that becomes known at the same moment."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.market.columns import Ints
from openbell.market.moments import MINUTE_NS, SECOND_NS, iso
from openbell.replay import kernels
from openbell.replay.chunk import merge
from tests.replay.playing import (
    Record,
    at,
    every_minute,
    minutes,
    quotes,
    records,
    rows_of,
    stored,
    trades,
)

DAY = ("2019-06-03", "2019-06-04")


def at_moment(found: list[Record], moment: str) -> list[tuple[str, int, int]]:
    return [(r.kind, r.instrument, r.frame) for r in found if r.known_ns == at(moment)]


def test_bars_come_before_derived_bars_quotes_trades_and_the_close() -> None:
    system = stored(
        trades("XNYS:SPY/trades", "2019-06-03T20:00Z"),
        quotes("XNYS:SPY/quotes", "2019-06-03T20:00Z"),
        minutes("XNYS:SPY/1m", "2019-06-03T19:59Z"),
    ).system(*DAY, derived=("5m", "15m"))
    assert at_moment(records(system), "2019-06-03T20:00Z") == [
        ("bar", 0, 0),
        ("derived", 0, 1),
        ("derived", 0, 2),
        ("quote", 0, 0),
        ("trade", 0, 0),
        ("close", 0, 0),
    ]


def test_instruments_stand_in_the_order_they_were_registered() -> None:
    names = ("XNYS:SPY/1m", "XNYS:AAPL/1m", "XNYS:MSFT/1m")
    data = [minutes(name, "2019-06-03T13:30Z") for name in names]
    system = stored(*data).system(*DAY, derived=("5m",))
    assert system.names == ("XNYS:SPY", "XNYS:AAPL", "XNYS:MSFT")
    assert at_moment(records(system), "2019-06-03T13:31Z") == [(("bar"), i, 0) for i in range(3)]
    again = stored(*data).system(*DAY, derived=("5m",))
    assert at_moment(records(again), "2019-06-03T13:35Z") == [("derived", i, 1) for i in range(3)]


def test_trades_on_one_stamp_keep_the_order_of_their_source() -> None:
    given_trades = trades("XNYS:SPY/trades", *["2019-06-03T14:00Z"] * 5)
    ((played, _, _),) = rows_of(stored(given_trades).system(*DAY), kernels.TRADE)
    assert played.size.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_adjoining_sessions_close_before_they_open_and_trades_at_midnight_open_the_next() -> None:
    system = stored(
        every_minute("COINBASE:BTCUSD/1m", "2018-04-05T23:58Z", "2018-04-06T00:02Z"),
        trades("COINBASE:BTCUSD/trades", "2018-04-05T23:59:59Z", "2018-04-06T00:00Z"),
    ).system("2018-04-05", "2018-04-07", derived=("1h",))
    found = [r for r in records(system) if r.known_ns == at("2018-04-06")]
    assert [(r.kind, r.session) for r in found] == [
        ("bar", 0),
        ("derived", 0),
        ("close", 0),
        ("open", 1),
        ("trade", 1),
    ]


def test_a_trade_stamped_exactly_at_an_equity_close_is_released_before_the_session_closes() -> None:
    system = stored(
        trades("XNYS:SPY/trades", "2019-06-03T20:00Z", "2019-06-03T20:00:00.000001Z")
    ).system(*DAY)
    kinds = [r.kind for r in records(system)]
    assert kinds == ["open", "trade", "close"]
    assert system.counts["XNYS:SPY/trades"].off_hours == 1


def test_a_trade_at_the_very_open_comes_after_it() -> None:
    system = stored(trades("XNYS:SPY/trades", "2019-06-03T13:29:59Z", "2019-06-03T13:30Z")).system(
        *DAY
    )
    assert [r.kind for r in records(system)] == ["open", "trade", "close"]


def test_at_one_moment_sessions_go_on_before_others_close_and_others_open() -> None:
    around = every_minute("COINBASE:BTCUSD/1m", "2019-06-03T19:58Z", "2019-06-03T20:02Z")
    new_york = every_minute("XNYS:SPY/1m", "2019-06-03T19:58Z", "2019-06-03T20:00Z")
    found = records(stored(new_york, around).system(*DAY))
    assert at_moment(found, "2019-06-03T20:00Z") == [
        ("bar", 1, 0),  # its session opened first
        ("bar", 0, 0),
        ("close", 0, 0),
    ]


def test_everything_of_one_moment_is_one_slice_though_a_session_opens_within_it() -> None:
    system = stored(
        minutes("XNYS:SPY/1m", "2019-06-03T13:30Z"),
        minutes("XNYS:AAPL/1m", "2019-06-03T13:30Z", "2019-06-03T13:31Z"),
        quotes("XNYS:SPY/quotes", "2019-06-03T13:31Z"),
    ).system(*DAY)
    found = [(iso(s.time_ns), list(s)) for s in system]
    assert found == [
        ("2019-06-03T13:31:00Z", ["XNYS:SPY", "XNYS:AAPL"]),
        ("2019-06-03T13:32:00Z", ["XNYS:AAPL"]),
    ]


def test_the_clock_stands_exactly_at_the_slice() -> None:
    bars = every_minute("XNYS:SPY/1m", "2019-06-03T13:30Z", "2019-06-03T20:00Z")
    ticks = trades("XNYS:SPY/trades", "2019-06-03T14:00:07.123456Z")
    system = stored(bars, ticks).system(*DAY)
    times = [(s.time_ns, system.clock.now()) for s in system]
    assert all(a == b for a, b in times)
    assert [t for t, _ in times] == sorted([*bars.end_ns.tolist(), *ticks.time_ns.tolist()])


def test_time_never_goes_back_and_stands_at_the_roll_during_a_roll() -> None:
    bars = every_minute("XNYS:SPY/1m", "2019-06-03T13:30Z", "2019-06-03T20:00Z")
    system = stored(bars).system("2019-06-03", "2019-06-06", sessions_per_chunk=1)
    times, rolls = [], []
    with system:
        for step in system.steps():
            if step.played:
                rolls.append(system.clock.now())
            times += [system.clock.now() for _ in system.release(step)]
    assert times == sorted(times)
    opens = [p.session.open_ns for p in system.agenda.sessions]
    closes = [p.session.close_ns for p in system.agenda.sessions]
    assert rolls == sorted(opens + closes)


keys = st.tuples(st.integers(0, 12), st.integers(0, 3), st.integers(0, 4))


@given(st.lists(keys, min_size=1, max_size=80), st.sampled_from([MINUTE_NS, SECOND_NS, 7]))
def test_merging_gives_the_order_of_a_stable_sort_by_time_phase_and_session(
    rows: list[tuple[int, int, int]], step: int
) -> None:
    table: Ints = np.array(rows, np.int64)
    known, phase, session = table[:, 0] * step + at(DAY[0]), table[:, 1], table[:, 2]
    expected = np.lexsort((session, phase, known))
    rank = (phase << kernels.PHASE_SHIFT | session).astype(np.int32)
    starts, moments, place = merge(known, rank)
    assert np.argsort(place).tolist() == expected.tolist()
    assert starts.tolist() == [*begins(known[expected], rank[expected]), len(rows)]
    assert moments.tolist() == known[expected][starts[:-1]].tolist()


def begins(known: Ints, rank: kernels.Ordinals) -> list[int]:
    """Where slices begin: at another moment or phase, and at each closing and opening."""
    keys = [
        (moment, each >> kernels.PHASE_SHIFT, each * (0 < each >> kernels.PHASE_SHIFT < 3))
        for moment, each in zip(known.tolist(), rank.tolist(), strict=True)
    ]
    return [k for k, key in enumerate(keys) if not k or key != keys[k - 1]]


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=200), st.integers(1, 10**12))
def test_counting_on_a_grid_gives_the_order_of_a_stable_sort(rows: list[int], step: int) -> None:
    known = np.array(rows, np.int64) * step - 5
    first = int(known.min())
    cells = (int(known.max()) - first) // step + 1
    ranks = np.zeros(len(rows), np.int32)
    starts, moments, place = kernels.merge_on_grid(known, ranks, first, step, cells)
    assert np.argsort(place).tolist() == np.argsort(known, kind="stable").tolist()
    assert moments.tolist() == sorted(set(known.tolist()))
    assert np.diff(starts).tolist() == np.unique(known, return_counts=True)[1].tolist()


def test_what_lies_off_the_grid_is_not_merged_on_it() -> None:
    known = np.array([0, 60, 121, 180], np.int64)
    assert not len(kernels.merge_on_grid(known, np.zeros(4, np.int32), 0, 60, 4)[-1])


@pytest.mark.parametrize("per_chunk", [0, 1, 3])
def test_weekly_bars_stand_in_their_place_however_sessions_are_cut(per_chunk: int) -> None:
    """A week ends with its last session, and nothing of that session need have traded."""
    system = stored(
        every_minute("COINBASE:BTCUSD/1m", "2018-04-02T00:00Z", "2018-04-06T00:00Z"),
        minutes("BITSTAMP:BTCUSD/1m", "2018-04-08T23:59Z"),
        trades("COINBASE:BTCUSD/trades", "2018-04-08T00:00Z"),
    ).system("2018-04-02", "2018-04-09", derived=("1w",), sessions_per_chunk=per_chunk)
    last = [r for r in records(system) if r.known_ns == at("2018-04-09")]
    assert [(r.kind, r.instrument, r.session) for r in last] == [
        ("bar", 1, 6),
        ("derived", 0, 6),
        ("derived", 1, 6),
        ("close", 0, 6),
    ]
