"""Gaps filled from pinned series: found at a check, released at the next one, never earlier."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.market.bars import Bars
from openbell.market.build import bars_from_trades, widen_counted
from openbell.market.calendars import calendar, user_calendar
from openbell.market.columns import CORRUPT, FILLED, Columns
from openbell.market.errors import UsageError
from openbell.market.instrument import Series
from openbell.market.moments import HOUR_NS, MINUTE_NS, SECOND_NS, iso
from openbell.market.ticks import Trades
from openbell.market.timeframe import timeframe
from openbell.replay.filling import UpkeepCounts
from openbell.replay.pacing import Pace
from openbell.replay.system import System
from tests.quality.reading import equity_minutes
from tests.replay.jumps import Jumps
from tests.replay.playing import (
    Stored,
    at,
    blocks,
    every_minute,
    labelled,
    minutes,
    play,
    quotes,
    records,
    stored,
)

DAY = ("2019-06-03", "2019-06-04")
OPEN, CLOSE = "2019-06-03T13:30Z", "2019-06-03T20:00Z"
SPY = "XNYS:SPY/1m"
WHOLE = every_minute(SPY, OPEN, CLOSE)
REVISION = 3
END_NS = at("2100-01-01")


def without(bars: Bars, *rows: int) -> Bars:
    kept = np.ones(len(bars), bool)
    kept[list(rows)] = False
    return bars.take(kept)


def holed(bars: Bars, *sources: Any, **plan: Any) -> tuple[Stored, dict[str, Any]]:
    """What is stored, and a plan that plays the first series and fills from the others."""
    data = stored(bars, *sources)
    return data, {"pins": data.pins[:1], "fill": data.pins[1:], **plan}


def filled(bars: Bars, *sources: Any, span: tuple[str, str] = DAY, **plan: Any) -> System:
    data, wanted = holed(bars, *sources, **plan)
    return data.system(*span, **wanted)


def revisions(system: System) -> list[tuple[str, str, int, int]]:
    """When each was released, which bar, of which timeframe, and from which pin."""
    return [
        (iso(words[1])[11:16], iso(words[2])[11:16], words[0] >> 48 & 0xFF, words[0] >> 24 & 0xFF)
        for block in blocks(system)
        for words in block.tolist()
        if words[0] >> 56 == REVISION
    ]


def test_what_is_found_at_a_check_is_released_at_the_next() -> None:
    system = filled(without(WHOLE, 3, 10, 11), WHOLE)
    assert revisions(system) == [
        ("13:35", "13:33", 0, 1),
        ("13:42", "13:40", 0, 1),
        ("13:43", "13:41", 0, 1),
    ]
    assert system.upkeep == {SPY: UpkeepCounts(3, {f"{SPY}@2": 3}, 0, 0, 0)}
    (measured,) = system.coordinator.measured
    assert (measured.present, measured.expected) == (390, 390)


def test_checks_are_counted_from_the_open() -> None:
    """Every seven minutes: 13:37, 13:44, …; the last one is the close."""
    system = filled(without(WHOLE, 3, 6, 7, 388, 389), WHOLE, check_ns=7 * MINUTE_NS)
    assert [row[:2] for row in revisions(system)] == [
        ("13:44", "13:33"),
        ("13:44", "13:36"),
        ("13:51", "13:37"),
        ("20:00", "19:58"),
        ("20:00", "19:59"),
    ]


def test_sources_are_asked_in_order_and_a_bar_says_where_it_came_from() -> None:
    first = without(WHOLE, 5).take(slice(0, 100))
    other = replace(WHOLE, series=Series.parse("ARCX:SPY/1m"), close=WHOLE.close + 0.01)
    prints = Trades(
        Series.parse("XNYS:SPY/trades"),
        WHOLE.start_ns + SECOND_NS,
        WHOLE.open,
        WHOLE.volume,
        np.zeros(390, np.int64),
        np.zeros(390, np.int64),
    )
    system = filled(without(WHOLE, 4, 5, 200), first, without(other, 200), prints)
    found = {bar: origin for _, bar, _, origin in revisions(system)}
    assert found == {"13:34": 1, "13:35": 2, "16:50": 3}
    filled_from = system.upkeep[SPY].filled
    assert filled_from == {f"{SPY}@2": 1, "ARCX:SPY/1m@1": 1, "XNYS:SPY/trades@1": 1}


def test_a_minute_is_rebuilt_from_its_trades() -> None:
    start = at(OPEN)
    time = start + np.array([0, 59, 60, 61, 119, 120]) * SECOND_NS
    price = np.array([10.0, 10.5, 11.0, 12.0, 9.0, 10.0])
    none = np.zeros(6, np.int64)
    prints = Trades(Series.parse("XNYS:SPY/trades"), time, price, price, none, none)
    system = filled(without(WHOLE, 1), prints)
    now = [current.session["XNYS:SPY"].bars() for current in system][-1]
    made = bars_from_trades(prints, timeframe("1m"))
    assert now.bar(1) == made.bar(1)
    assert now.label[1] == FILLED
    assert now.bar(0) == WHOLE.bar(0)


def test_a_bar_is_seen_from_its_release_on_and_in_its_place() -> None:
    system = filled(without(WHOLE, 3, 389), WHOLE, derived=("5m",))
    release = {3: at("2019-06-03T13:35Z"), 389: at(CLOSE)}
    for current in system:
        now = current.time_ns
        data = current.session["XNYS:SPY"]
        due = [k for k in range(390) if release.get(k, int(WHOLE.end_ns[k])) <= now]
        bars = data.bars()
        assert bars.start_ns.tolist() == WHOLE.start_ns[due].tolist()
        assert data.history(1000).key_ns.tolist() == bars.start_ns.tolist()
        assert data.history(7).key_ns.tolist() == bars.start_ns.tolist()[-7:]
        expected = (now - at(OPEN)) // MINUTE_NS
        assert data.completeness == len(due) / expected
        seen = WHOLE.take(due)
        total = 0.0
        for volume in seen.volume.tolist():
            total += volume
        assert tuple(data.figures) == (total, seen.high.max(), seen.low.min())


def test_derived_bars_already_released_are_computed_again() -> None:
    """13:33 comes with the end of its five minutes, 13:39 a minute after it, 13:36 before."""
    system = filled(without(WHOLE, 3, 6, 9), WHOLE, derived=("5m",))
    found = revisions(system)
    assert [row for row in found if row[2] == 1] == [
        ("13:35", "13:30", 1, 0),
        ("13:41", "13:35", 1, 0),
    ]
    whole, _ = widen_counted(WHOLE, timeframe("5m"))
    system = filled(without(WHOLE, 3, 6, 9), WHOLE, derived=("5m",))
    fives = WHOLE
    for current in system:
        fives = current.session["XNYS:SPY"].bars("5m")
        if current.time_ns in (at("2019-06-03T13:35Z"), at("2019-06-03T13:41Z")):
            assert values(fives) == values(whole.take(slice(len(fives))))
        if current.time_ns == at("2019-06-03T13:40Z"):
            assert fives.volume[1] == WHOLE.volume[[5, 6, 7, 8]].sum()
    assert values(fives) == values(whole)


def values(bars: Columns) -> list[list[float]]:
    """The columns without labels."""
    return [column.tolist() for name, column in bars.columns().items() if name != "label"]


def test_a_slice_tells_what_was_revised(samples: Path) -> None:
    """14:02 comes at 14:04, before its five minutes end; 14:09 at 14:11, after they ended."""
    spy = equity_minutes(samples, "SPY", "20131007").between(at("2013-10-07T13:30Z"), END_NS)
    first = int(spy.start_ns.searchsorted(at("2013-10-07T14:00Z")))
    data, plan = holed(without(spy, first + 2, first + 9), spy, derived=("5m",))
    found = {
        iso(current.time_ns)[11:16]: list(current.revisions)
        for current in data.system("2013-10-07", "2013-10-08", **plan)
        if current.revisions
    }
    fives = widen_counted(spy, timeframe("5m"))[0]
    five = int(fives.start_ns.searchsorted(at("2013-10-07T14:05Z")))
    assert found == {"14:04": [spy.bar(first + 2)], "14:11": [spy.bar(first + 9), fives.bar(five)]}


def test_an_interval_of_nothing_but_filled_bars_is_made_when_they_come() -> None:
    system = filled(without(WHOLE, *range(5, 10)), WHOLE, derived=("5m",))
    assert [row for row in revisions(system) if row[2] == 1] == [
        ("13:40", "13:35", 1, 0),
        ("13:41", "13:35", 1, 0),
    ]


def test_what_is_not_found_is_asked_for_again_and_then_left_missing() -> None:
    system = play(filled(without(WHOLE, 3, 386, 389), without(WHOLE, 3, 386, 389)))
    # 19:56 ends at 19:57 and can be asked for three times more, 19:59 not once
    assert system.upkeep[SPY] == UpkeepCounts(3, {f"{SPY}@1": 0}, 3, 5 + 3 + 0, 0)
    (measured,) = system.coordinator.measured
    assert measured.present == 387


def test_a_row_that_becomes_known_later_is_found_by_a_later_ask() -> None:
    """A bar whose end is three minutes late is there for the fourth ask, or not at all."""
    end = WHOLE.end_ns.copy()
    end[3] += 3 * MINUTE_NS
    late = replace(WHOLE, series=Series.parse("ARCX:SPY/1m"), end_ns=end).take([3])
    data, plan = holed(without(WHOLE, 3), late)
    assert [r[:2] for r in revisions(data.system(*DAY, **plan))] == [("13:38", "13:33")]
    counts = play(data.system(*DAY, **plan)).upkeep[SPY]
    assert (counts.retries, counts.left) == (3, 0)
    counts = play(data.system(*DAY, retries=2, **plan)).upkeep[SPY]
    assert (counts.retries, counts.left) == (2, 1)


def test_a_corrupt_bar_is_not_there_and_one_to_fill_from_neither() -> None:
    bad = labelled(WHOLE, 3, CORRUPT)
    assert [r[:2] for r in revisions(filled(bad, WHOLE))] == [("13:35", "13:33")]
    assert not revisions(filled(without(WHOLE, 3), bad))


def test_nothing_is_filled_outside_regular_hours_breaks_and_the_range() -> None:
    name = "XHKG:700/1m"
    session = calendar("XHKG").session("2019-06-03")
    whole = every_minute(name, iso(session.pre_ns - HOUR_NS), iso(session.post_ns + HOUR_NS))
    none = minutes(name, session.open_ns)
    span = ("2019-06-03", iso(session.close_ns - HOUR_NS))
    found = revisions(filled(none, whole, span=span))
    (start_ns, end_ns), *_ = session.breaks
    expected = [
        iso(t)[11:16]
        for t in range(session.open_ns + MINUTE_NS, session.close_ns - HOUR_NS, MINUTE_NS)
        if not start_ns <= t < end_ns
    ]
    assert [bar for _, bar, _, _ in found] == expected


def test_where_pinned_trades_tell_of_silence_nothing_is_asked() -> None:
    """Trades in every minute but 13:33: nothing traded, though another source has a bar."""
    some = without(WHOLE, 3, 7)
    none = np.zeros(388, np.int64)
    trades = without(WHOLE, 3, 8)
    prints = Trades(
        Series.parse("XNYS:SPY/trades"), trades.start_ns, trades.open, trades.volume, none, none
    )
    data = stored(some, prints, WHOLE)
    system = data.system(*DAY, pins=data.pins[:2], fill=data.pins[2:])
    assert [row[:2] for row in revisions(system)] == [("13:39", "13:37")]
    assert system.upkeep[SPY] == UpkeepCounts(1, {f"{SPY}@2": 1}, 0, 0, 1)


def test_quotes_that_go_on_tell_of_silence_and_quotes_that_stopped_do_not() -> None:
    bids = quotes("XNYS:SPY/quotes", *(iso(t) for t in WHOLE.start_ns[:100].tolist()))
    data = stored(without(WHOLE, 50, 300), bids, WHOLE)
    system = data.system(*DAY, pins=data.pins[:2], fill=data.pins[2:])
    assert [row[1] for row in revisions(system)] == [iso(int(WHOLE.start_ns[300]))[11:16]]
    assert system.upkeep[SPY].quiet == 1


@pytest.mark.parametrize("per_chunk", [1, 3, 0])
def test_the_seal_does_not_depend_on_chunks(samples: Path, per_chunk: int) -> None:
    days = ("20131007", "20131008", "20131009", "20131010", "20131011")
    spy = equity_minutes(samples, "SPY", *days)
    coin = every_minute("COINBASE:BTCUSD/1m", "2013-10-07", "2013-10-12")
    chance = np.random.default_rng(7)
    holes = chance.choice(len(spy), 300, replace=False).tolist()
    gaps = chance.choice(len(coin), 900, replace=False).tolist()
    data = stored(without(spy, *holes), without(coin, *gaps), spy, coin)
    plan = {"pins": data.pins[:2], "fill": data.pins[2:], "derived": ("5m", "1h", "1d")}
    whole = data.system("2013-10-07", "2013-10-12", sessions_per_chunk=100, **plan)
    system = data.system("2013-10-07", "2013-10-12", sessions_per_chunk=per_chunk, **plan)
    assert (play(system).tape.seal, system.upkeep) == (play(whole).tape.seal, whole.upkeep)
    assert seen(data.system("2013-10-07", "2013-10-12", sessions_per_chunk=per_chunk, **plan)) == (
        seen(data.system("2013-10-07", "2013-10-12", sessions_per_chunk=100, **plan))
    )


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_filled_from_whatever_chunks_change_nothing(seed: int) -> None:
    """A half day and a holiday beside an office's hours and bitcoin's, several sources."""
    chance = np.random.default_rng(seed)
    spy = every_minute(SPY, "2019-07-02T12:00Z", "2019-07-05T22:00Z")
    coin = every_minute("COINBASE:BTCUSD/1m", "2019-07-02", "2019-07-06")
    time_ns = spy.start_ns[chance.random(len(spy)) < 0.6]
    one, none = np.ones(len(time_ns)), np.zeros(len(time_ns), np.int64)
    prints = Trades(Series.parse("XNYS:SPY/trades"), time_ns + SECOND_NS, one, one, none, none)
    parts = [bars.take(chance.random(len(bars)) < 0.7) for bars in (spy, coin, spy, coin)]
    parts[2] = parts[2].renamed(Series.parse("ARCX:SPY/1m"))
    parts[3] = parts[3].renamed(Series.parse("BITSTAMP:BTCUSD/1m"))
    data = stored(*parts, prints)
    office = user_calendar("office", "UTC", "03:00", f"{chance.integers(14, 23)}:17")
    plan = {
        "pins": data.pins[:2],
        "fill": tuple(data.pins[k] for k in chance.permutation([2, 3, 4])),
        "derived": ("5m", "1h", "1d"),
        "extended": bool(seed % 2),
        "check_ns": int(chance.choice([30, 60, 90, 300])) * SECOND_NS,
        "retries": int(chance.integers(0, 6)),
        "calendars": {"COINBASE:BTCUSD": office} if seed % 3 else {},
    }
    found = []
    for per_chunk in (100, 1, 2):
        system = data.system(
            "2019-07-02T15:10Z", "2019-07-06", sessions_per_chunk=per_chunk, **plan
        )
        found.append((seen(system), system.tape.seal, system.upkeep, system.coordinator.measured))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("per_chunk", [1, 2])
def test_work_cut_after_the_close_of_regular_hours_counts_once(
    samples: Path, per_chunk: int
) -> None:
    """A calendar that closes at nine cuts the extended hours of New York."""
    office = user_calendar("office", "UTC", "09:00", "21:00")
    spy = equity_minutes(samples, "SPY", "20131007", "20131008")
    coin = every_minute("COINBASE:BTCUSD/1m", "2013-10-07", "2013-10-09")
    data = stored(spy.take(np.arange(len(spy)) % 5 != 0), coin, spy)
    plan = {"pins": data.pins[:2], "fill": data.pins[2:], "extended": True, "derived": ("1h",)}
    plan["calendars"] = {"COINBASE:BTCUSD": office}
    system = play(data.system("2013-10-07", "2013-10-09", sessions_per_chunk=per_chunk, **plan))
    assert system.upkeep[SPY].filled == {f"{SPY}@2": 2 * 390 // 5}
    assert system.upkeep[SPY].found == 2 * 390 // 5


@pytest.mark.parametrize("speed", [0, 60, 360])
def test_pace_and_seeks_change_nothing(samples: Path, speed: float) -> None:
    spy = equity_minutes(samples, "SPY", "20131007", "20131008", "20131009")
    chance = np.random.default_rng(11)
    other = spy.take(slice(0, 1500)).renamed(Series.parse("ARCX:SPY/1m"))
    data, plan = holed(spy.take(chance.random(len(spy)) > 0.2), other)
    span = ("2013-10-07", "2013-10-10")
    plan |= {"derived": ("5m",), "trailing": 1}
    plain = play(data.system(*span, **plan))
    pace = Pace(speed, Jumps())
    moved = data.system(*span, sessions_per_chunk=1, pace=pace, **plan)
    for k, _ in enumerate(moved):
        if k == 300:
            pace.seek(at("2013-10-09T16:00Z"))
        if k == 500:
            pace.seek(at("2013-10-07T15:02Z"))
        if k == 900:
            pace.seek(at("2013-10-08T18:00Z"))
    assert moved.tape.seal == plain.tape.seal
    assert moved.coordinator.measured == plain.coordinator.measured
    assert moved.coordinator.ended == plain.coordinator.ended
    assert moved.upkeep == plain.upkeep


def seen(system: System) -> list[Any]:
    """What a reader sees now and then, of every instrument and kind."""
    found: list[Any] = []
    for number, current in enumerate(system):
        if number % 97 == 0:
            for own in current.sessions:
                for name in own:
                    data = own[name]
                    found += [values(data.history(40, kind)) for kind in data.kinds]
                    found += [values(data.bars(kind)) for kind in data.kinds]
                    found += [data.completeness, tuple(data.figures)]
    return [repr(each) for each in found]


@settings(max_examples=25)
@given(
    st.sets(st.integers(0, 389), max_size=120),
    st.sets(st.integers(0, 389), max_size=120),
    st.sampled_from([30, 60, 90, 420]),
)
def test_what_is_seen_is_what_upkeep_would_have_found(
    holes: set[int], gaps: set[int], check_s: int
) -> None:
    """Asked minute by minute, in plain steps, as the rule has it."""
    check_ns = check_s * SECOND_NS
    system = filled(
        without(WHOLE, *holes), without(WHOLE, *gaps), check_ns=check_ns, derived=("15m",)
    )
    opened, closed = at(OPEN), at(CLOSE)
    release = {}
    for k in holes - gaps:
        end = int(WHOLE.end_ns[k])
        asked = opened
        while asked < end:
            asked = min(asked + check_ns, closed)
        release[k] = min(asked + check_ns, closed)
    for current in system:
        data, now = current.session["XNYS:SPY"], current.time_ns
        if now // MINUTE_NS % 5 > 1:
            continue
        there = [
            k
            for k in range(390)
            if (release[k] if k in release else int(WHOLE.end_ns[k])) <= now
            and (k not in holes or k in release)
        ]
        assert data.bars().start_ns.tolist() == WHOLE.start_ns[there].tolist()
        wide = widen_counted(WHOLE.take(there), timeframe("15m"))[0]
        done = wide.take(slice(int(wide.end_ns.searchsorted(now, "right"))))
        assert values(data.bars("15m")) == values(done)


def test_trailing_history_enters_with_what_was_known_at_the_close() -> None:
    span = ("2019-06-04", "2019-06-05")
    two = every_minute(SPY, OPEN, "2019-06-04T20:00Z")
    hours = calendar("XNYS").session("2019-06-03"), calendar("XNYS").session("2019-06-04")
    inside = np.any(
        [(two.start_ns >= s.open_ns) & (two.start_ns < s.close_ns) for s in hours], axis=0
    )
    two = two.take(inside)
    system = filled(without(two, 3, 389, 400), two, span=span, trailing=1, derived=("5m",))
    first = next(iter(system))
    ((label, kept),) = first.session["XNYS:SPY"].historical
    assert (label, len(kept["1m"]), len(kept["5m"])) == ("2019-06-03", 390, 78)
    assert values(kept["1m"]) == values(two.take(slice(390)))


def test_an_instrument_without_any_bars_is_filled_whole() -> None:
    old = minutes(SPY, "2018-01-02T14:30Z")
    system = filled(old, WHOLE, derived=("1h",))
    found = [r.kind for r in records(system)]
    # an hour whose last two minutes come at its end and after it is made twice
    assert (found.count("revision"), found.count("bar")) == (390 + 6 * 2 + 1, 0)
    assert next(iter(system.coordinator.measured)).completeness == 1.0


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (minutes("XNYS:QQQ/1m", OPEN), "no bars of that symbol are played"),
        (minutes("XNYS:SPY/5m", OPEN), "XNYS:SPY/1m cannot be filled from XNYS:SPY/5m@1"),
        (minutes("XNYS:SPY/1m.bid", OPEN), "cannot be filled from"),
        (quotes("XNYS:SPY/quotes", OPEN), "cannot be filled from"),
    ],
)
def test_a_series_that_can_fill_nothing_is_refused(other: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        filled(WHOLE, other)


@pytest.mark.parametrize("wrong", [{"check_ns": 0}, {"retries": -1}])
def test_impossible_checks_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="missing bars cannot be checked"):
        filled(WHOLE, WHOLE, **wrong)


def test_days_are_not_filled() -> None:
    with pytest.raises(UsageError, match="XNYS:SPY/1d cannot be filled"):
        filled(minutes("XNYS:SPY/1d", OPEN), minutes("XNYS:SPY/1d", OPEN))


def test_without_gaps_nothing_changes() -> None:
    plain = play(stored(WHOLE).system(*DAY, derived=("5m",)))
    system = play(filled(WHOLE, WHOLE, derived=("5m",)))
    assert system.tape.seal == plain.tape.seal
    assert system.upkeep == {SPY: UpkeepCounts(filled={f"{SPY}@1": 0})}
