"""Streams that are registered and cancelled while a replay runs."""

import pytest

from openbell.market.errors import UsageError
from openbell.market.instrument import Series
from openbell.market.moments import MINUTE_NS
from openbell.replay.pacing import Pace
from openbell.replay.system import System
from tests.replay.jumps import Jumps
from tests.replay.playing import Stored, at, every_minute, quotes, stored, trades

SPY, QQQ = Series.parse("XNYS:SPY/1m"), Series.parse("XNAS:QQQ/1m")
DATA = stored(
    every_minute("XNYS:SPY/1m", "2019-06-03T13:30Z", "2019-06-04T20:00Z"),
    every_minute("XNAS:QQQ/1m", "2019-06-03T13:30Z", "2019-06-04T20:00Z", base=50.0),
    quotes("XNYS:SPY/quotes", *(f"2019-06-03T1{h}:{m:02}:30Z" for h in (4, 5) for m in range(60))),
    trades("XNYS:SPY/trades", "2019-06-03T13:31Z", "2019-06-03T14:00Z", "2019-06-03T14:00:01Z"),
)


def system(*which: int, data: Stored = DATA, pace: Pace | None = None) -> System:
    pins = tuple(data.pins[k] for k in which)
    return data.system("2019-06-03", "2019-06-05", pins=pins, pace=pace or Pace(), derived=("5m",))


def test_a_registered_stream_plays_what_becomes_known_from_then_on() -> None:
    played = system(0)
    seen: dict[str, list[int]] = {"XNYS:SPY": [], "XNAS:QQQ": []}
    for one in played:
        for name in one:
            seen[name].append(one[name].end_ns)
        if one.time_ns == at("2019-06-03T14:00Z"):
            played.register(DATA.pins[1])
        if one.time_ns == at("2019-06-03T14:02Z"):
            known = one.session["XNAS:QQQ"]
            assert len(known.bars()) == 2
            assert len(one.session["XNYS:SPY"].bars()) == 32
    assert seen["XNYS:SPY"] == [s.end_ns for s in (x["XNYS:SPY"] for x in system(0))]
    assert seen["XNAS:QQQ"][0] == at("2019-06-03T14:01Z")
    assert len(seen["XNAS:QQQ"]) == 780 - 30
    assert [m.present for m in played.coordinator.measured] == [390, 360, 390, 390]


def test_derived_bars_in_progress_are_not_lost_when_streams_change() -> None:
    played = system(0)
    for one in played:
        if one.time_ns == at("2019-06-03T14:02Z"):
            played.register(DATA.pins[2])
        if one.time_ns == at("2019-06-03T14:05Z"):
            (newest,) = (one.session["XNYS:SPY"].history(1, "5m"),)
            bars = one.session["XNYS:SPY"].history(5)
            assert newest.key_ns[0] == at("2019-06-03T14:00Z") == bars.key_ns[0]
    assert played.counts["XNYS:SPY/quotes"].played > 100


def test_a_tick_at_the_moment_of_the_change_is_played_once() -> None:
    played = system(0, 3)
    seen = []
    for one in played:
        data = one.session["XNYS:SPY"]
        if data.window("trades").is_updated:
            seen.append(one.time_ns)
        if one.time_ns == at("2019-06-03T14:00Z"):
            played.register(DATA.pins[2])
    assert seen == [at("2019-06-03T13:31Z"), at("2019-06-03T14:00Z"), at("2019-06-03T14:00:01Z")]


def test_a_cancelled_stream_stays_visible_and_brings_nothing_more() -> None:
    played = system(0, 1)
    last: dict[str, int] = {}
    for one in played:
        last.update(dict.fromkeys(one, one.time_ns))
        if one.time_ns == at("2019-06-03T14:00Z"):
            played.cancel(QQQ)
        if one.time_ns == at("2019-06-03T14:10Z"):
            assert len(one.session["XNAS:QQQ"].bars()) == 30
    assert last == {"XNYS:SPY": at("2019-06-04T20:00Z"), "XNAS:QQQ": at("2019-06-03T14:00Z")}


def test_a_held_replay_changes_its_streams_at_once() -> None:
    real = Jumps()
    pace = Pace(0, real)
    played = system(0, pace=pace)
    done = []
    real.at_wait = [
        lambda: played.register(DATA.pins[1]),
        lambda: done.append(sorted(played.names)),
        pace.resume,
    ]
    for one in played:
        if one.time_ns == at("2019-06-03T14:00Z"):
            pace.pause()
    assert done == [["XNAS:QQQ", "XNYS:SPY"]]


def test_the_same_changes_at_the_same_moments_give_the_same_seal() -> None:
    def seal(pace: Pace) -> str:
        played = system(0, pace=pace)
        for one in played:
            if one.time_ns == at("2019-06-03T14:00Z"):
                played.register(DATA.pins[1])
            if one.time_ns == at("2019-06-03T15:00Z"):
                played.cancel(SPY)
        return played.tape.seal

    assert seal(Pace()) == seal(Pace(360, Jumps())) != seal_of(0)


def seal_of(*which: int) -> str:
    played = system(*which)
    list(played)
    return played.tape.seal


def test_seeking_back_stops_at_a_change_of_streams() -> None:
    pace = Pace()
    played = system(0, pace=pace)
    seen = []
    for one in played:
        seen.append(one.time_ns)
        if len(seen) == 30:
            played.register(DATA.pins[1])
        if len(seen) == 60:
            pace.seek(at("2019-06-03T13:35Z"))
    assert seen[60] == seen[29] + MINUTE_NS


def test_what_cannot_be_changed_is_refused() -> None:
    played = system(0)
    with pytest.raises(UsageError, match="XNYS:SPY/1m is played already"):
        played.register(DATA.pins[0])
    with pytest.raises(UsageError, match="XNAS:QQQ/1m is not played"):
        played.cancel(QQQ)
    coin = stored(every_minute("COINBASE:BTCUSD/1m", "2019-06-03", "2019-06-03T01:00Z"))
    with pytest.raises(UsageError, match="has other sessions"):
        played.register(coin.pins[0])
    unpaced = DATA.system("2019-06-03", "2019-06-05", pins=DATA.pins[:1])
    with pytest.raises(UsageError, match="streams of this replay are fixed"):
        unpaced.register(DATA.pins[1])
