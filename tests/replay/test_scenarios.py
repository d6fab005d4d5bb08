"""Real sessions played: short ones, long ones, torn ones, and several calendars at once."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from openbell.market.bars import Bars, bars_from
from openbell.market.calendars import calendar, user_calendar
from openbell.market.columns import Ints
from openbell.market.instrument import Series
from openbell.market.moments import DAY_NS, MINUTE_NS, iso
from openbell.market.ticks import Quotes
from openbell.replay.feed import Counts
from openbell.replay.filling import UpkeepCounts
from openbell.replay.upkeep import total
from tests.market.reading import lean_day
from tests.quality.reading import equity_minutes, spy_march, utc_minutes
from tests.replay.playing import (
    Stored,
    at,
    every_minute,
    minutes,
    play,
    records,
    rows_of,
    stored,
    ticking,
)

COINBASE = "crypto/coinbase/minute/btcusd"


def coinbase(samples: Path, *days: str) -> Bars:
    return utc_minutes(samples, COINBASE, "COINBASE:BTCUSD/1m", *days)


def es(samples: Path, *days: str) -> Bars:
    """The first contract of each day file, which LEAN stamps in New York time."""
    folder = samples / "lean/Data/future/cme/minute/es"
    paths = [folder / f"{day}_trade.zip" for day in days]
    name, zone = "XCME:ES/1m", "America/New_York"
    return Bars.joined([lean_day(p, name, zone=zone, width_ns=MINUTE_NS) for p in paths])


def completeness(system_data: Stored, start: str, end: str) -> dict[tuple[str, str], float]:
    system = play(system_data.system(start, end))
    return {(m.instrument, m.session): m.completeness for m in system.coordinator.measured}


def test_a_normal_day(samples: Path) -> None:
    system = stored(equity_minutes(samples, "SPY", "20131007")).system("2013-10-07", "2013-10-08")
    found = records(system)
    assert [r.kind for r in found] == ["open", *["bar"] * 390, "close"]
    assert iso(found[0].known_ns) == "2013-10-07T13:30:00Z"
    assert iso(found[1].known_ns) == "2013-10-07T13:31:00Z"
    assert iso(found[-1].known_ns) == "2013-10-07T20:00:00Z"
    assert total(system.coordinator.measured) == (1.0, {"2013-10-07": 1.0})


def test_half_days_close_early(samples: Path) -> None:
    goog = equity_minutes(samples, "GOOG", "20151223", "20151224", "20151228")
    system = play(stored(goog).system("2015-12-23", "2015-12-29"))
    found = {m.session: (m.present, m.expected) for m in system.coordinator.measured}
    assert found == {"2015-12-23": (390, 390), "2015-12-24": (210, 210), "2015-12-28": (382, 390)}
    half = play(stored(goog).system("2015-12-24", "2015-12-25"))
    assert iso(half.clock.now()) == "2015-12-24T18:00:00Z"


def test_an_index_closes_early_too(samples: Path) -> None:
    path = samples / "lean/Data/index/usa/minute/spx/20230703_trade.zip"
    spx = lean_day(path, "XCBO:SPX/1m", zone="America/Chicago", width_ns=MINUTE_NS)
    system = play(stored(spx).system("2023-07-03", "2023-07-05"))
    assert iso(system.clock.now()) == "2023-07-03T17:00:00Z"
    (measured,) = system.coordinator.measured
    assert measured.expected == 210
    assert measured.completeness == min(measured.present / 210, 1.0)


def test_a_holiday_lies_between_two_sessions(samples: Path) -> None:
    goog = equity_minutes(samples, "GOOG", "20151223", "20151224", "20151228")
    system = stored(goog).system("2015-12-23", "2015-12-29")
    assert [p.session.label for p in system.agenda.sessions] == [
        "2015-12-23",
        "2015-12-24",
        "2015-12-28",
    ]


def test_the_clocks_change_in_the_middle_of_a_run(samples: Path) -> None:
    system = play(stored(spy_march(samples)).system("2011-03-01", "2011-04-01"))
    opens = {p.session.label: iso(p.session.open_ns)[11:16] for p in system.agenda.sessions}
    assert (opens["2011-03-11"], opens["2011-03-14"]) == ("14:30", "13:30")
    assert len(system.coordinator.measured) == 23
    assert all((m.present, m.expected) == (390, 390) for m in system.coordinator.measured)


def test_an_overnight_session_opens_the_evening_before(samples: Path) -> None:
    bars = es(samples, "20131007", "20131008", "20131009")
    system = stored(bars).system("2013-10-07T22:00Z", "2013-10-09T21:15Z", derived=("1h",))
    found = records(system)
    opens = [(iso(r.known_ns), r.kind) for r in found if r.kind in ("open", "close")]
    assert opens == [
        ("2013-10-07T22:00:00Z", "open"),
        ("2013-10-08T21:15:00Z", "close"),
        ("2013-10-08T22:00:00Z", "open"),
        ("2013-10-09T21:15:00Z", "close"),
    ]
    counts = system.counts["XCME:ES/1m"]
    inside = bars.between(at("2013-10-07T22:00Z"), at("2013-10-09T21:15Z"))
    assert counts.played + counts.off_hours == len(inside)
    halt = [r for r in found if at("2013-10-08T20:16Z") <= r.known_ns <= at("2013-10-08T20:30Z")]
    assert [r.kind for r in halt] == []
    first = next(r for r in found if r.kind == "derived")
    assert iso(first.known_ns) == "2013-10-07T23:00:00Z"


def test_sessions_around_the_clock_adjoin(samples: Path) -> None:
    bars = coinbase(samples, "20180404", "20180405", "20180406")
    system = stored(bars).system("2018-04-04", "2018-04-07")
    found = records(system)
    assert [r.session for r in found if r.kind == "open"] == [0, 1, 2]
    assert sum(r.kind == "bar" for r in found) == len(bars)
    for label, ordinal in (("2018-04-05", 1), ("2018-04-06", 2)):
        turn = [r.kind for r in found if r.known_ns == at(label)]
        assert turn[-2:] == ["close", "open"], ordinal


def test_streams_that_run_dry_close_the_session_on_time(samples: Path) -> None:
    """Trades of 2018-04-04 end at 16:47; the session goes on without them."""
    bars = coinbase(samples, "20180404", "20180405")
    system = stored(bars).system("2018-04-04", "2018-04-06", derived=("1h",))
    found = records(system)
    day = [r for r in found if r.session == 0]
    assert iso(max(r.known_ns for r in day if r.kind == "bar")) == "2018-04-04T16:48:00Z"
    assert iso(max(r.known_ns for r in day if r.kind == "derived")) == "2018-04-04T17:00:00Z"
    assert (day[-1].kind, iso(day[-1].known_ns)) == ("close", "2018-04-05T00:00:00Z")
    assert [(e.session, e.cause) for e in system.coordinator.ended] == [
        ("2018-04-04", "dry"),
        ("2018-04-05", "close"),
    ]
    assert system.session_ended == ("2018-04-05", "24/7", at("2018-04-06"), "close")
    first, second = system.coordinator.measured
    assert first.expected == second.expected == 1440
    assert first.present == len(bars.between(at("2018-04-04"), at("2018-04-05"))) < 1008
    assert second.present == len(bars.between(at("2018-04-05"), at("2018-04-06")))


def test_one_of_ten_instruments_runs_dry_and_nine_go_on(samples: Path) -> None:
    spy = equity_minutes(samples, "SPY", "20131007")
    nine = [spy.renamed(Series.parse(f"XNYS:I{k}/1m")) for k in range(9)]
    inside = spy.between(at("2013-10-07T13:30Z"), at("2013-10-07T18:30Z"))
    dry = inside.renamed(Series.parse("XNYS:DRY/1m"))
    system = stored(dry, *nine).system("2013-10-07", "2013-10-08")
    slices = [len(s) for s in system]
    assert slices == [10] * 300 + [9] * 90
    found = {m.instrument: m.completeness for m in system.coordinator.measured}
    assert found.pop("XNYS:DRY") == 300 / 390
    assert set(found.values()) == {1.0}
    assert system.session_ended == ("2013-10-07", "XNYS", at("2013-10-07T20:00Z"), "close")


def test_streams_dry_at_half_past_two_end_the_session_dry(samples: Path) -> None:
    spy = equity_minutes(samples, "SPY", "20131007", "20131008")
    kept = spy.take((spy.end_ns <= at("2013-10-07T18:30Z")) | (spy.start_ns >= at("2013-10-08")))
    system = stored(kept).system("2013-10-07", "2013-10-09", derived=("1h",))
    found = records(system)
    assert [(e.time_ns, e.cause) for e in system.coordinator.ended] == [
        (at("2013-10-07T20:00Z"), "dry"),
        (at("2013-10-08T20:00Z"), "close"),
    ]
    last = [iso(r.known_ns)[11:16] for r in found if r.session == 0]
    assert last[-2:] == ["18:30", "20:00"]


def test_a_bar_in_the_last_minute_is_data_up_to_the_close(samples: Path) -> None:
    """The minute before it is known one minute before the close, and counts as well."""
    spy = equity_minutes(samples, "SPY", "20131007")
    for end, cause in (("19:59", "close"), ("19:58", "dry")):
        bars = spy.take(spy.end_ns <= at(f"2013-10-07T{end}Z"))
        system = play(stored(bars).system("2013-10-07", "2013-10-08"))
        assert [e.cause for e in system.coordinator.ended] == [cause]


@pytest.mark.parametrize("per_chunk", [1, 2, 0])
def test_why_sessions_end_does_not_depend_on_chunks(samples: Path, per_chunk: int) -> None:
    """New York's closes cut the bitcoin day, and one at 20:59 the last minute of a stock day."""
    coin = coinbase(samples, "20180404", "20180405")
    early = user_calendar("early", "UTC", "09:00", "19:59")
    spy = every_minute("XNYS:SPY/1m", "2018-04-04T13:30Z", "2018-04-04T19:59Z")
    other = every_minute("BINANCE:ETHUSDT/1m", "2018-04-04T09:00Z", "2018-04-04T12:00Z")
    system = stored(coin, spy, other).system(
        "2018-04-04",
        "2018-04-06",
        sessions_per_chunk=per_chunk,
        calendars={"BINANCE:ETHUSDT": early},
    )
    found = {(e.calendar, e.session): e.cause for e in play(system).coordinator.ended}
    assert found == {
        ("24/7", "2018-04-04"): "dry",
        ("24/7", "2018-04-05"): "close",
        ("XNYS", "2018-04-04"): "close",
        ("XNYS", "2018-04-05"): "dry",
        ("early", "2018-04-04"): "dry",
        ("early", "2018-04-05"): "dry",
    }


def test_an_instrument_with_no_data_at_all_is_played_as_such(samples: Path) -> None:
    spy = equity_minutes(samples, "SPY", "20131007")
    other = equity_minutes(samples, "AAPL", "20140605")
    system = stored(other, spy).system("2013-10-07", "2013-10-08", derived=("5m",))
    for _ in system:
        data = system.session_data[0]["XNYS:AAPL"]
        assert not len(data.bars())
        assert not len(data.history(5, "5m"))
        assert np.isnan(data.figures.high)
    assert [m.completeness for m in system.coordinator.measured] == [0.0, 1.0]


def shy(samples: Path) -> Bars:
    return equity_minutes(samples, "SHY", "20080307", "20080310")


def test_a_sparse_instrument_is_played_as_it_traded(samples: Path) -> None:
    """57 and 77 minutes without a trade, on either side of the change of the clocks."""
    system = play(stored(shy(samples)).system("2008-03-07", "2008-03-11", derived=("5m",)))
    found = [(m.session, m.present, m.expected) for m in system.coordinator.measured]
    assert found == [("2008-03-07", 390 - 57, 390), ("2008-03-10", 390 - 77, 390)]


def test_quotes_tell_that_a_sparse_instrument_did_not_trade(samples: Path) -> None:
    """Without them every silent minute is asked for, and again, and is left missing."""
    bars = shy(samples)
    bids = equity_minutes(samples, "SHY", "20080307", "20080310", kind="quote")
    one = np.ones(len(bids))
    series, label = Series.parse("XNYS:SHY/quotes"), np.zeros(len(bids), np.int64)
    prints = Quotes(series, bids.start_ns, bids.close, bids.close + 0.01, one, one, label)
    data = stored(bars, prints)
    span = ("2008-03-07", "2008-03-11")
    alone = play(data.system(*span, pins=data.pins[:1], fill=data.pins[:1]))
    counts = alone.upkeep["XNYS:SHY/1m"]
    assert (counts.found, counts.left, counts.quiet) == (57 + 77, 57 + 77, 0)
    assert 4 * counts.found < counts.retries <= 5 * counts.found
    system = play(data.system(*span, fill=data.pins[:1]))
    counts = system.upkeep["XNYS:SHY/1m"]
    quoted = set(bids.start_ns.tolist())
    silent = [
        t
        for p in system.agenda.sessions
        for t in range(p.regular.open_ns, p.regular.close_ns, MINUTE_NS)
        if t not in set(bars.start_ns.tolist())
    ]
    assert counts.found + counts.quiet == len(silent) == 57 + 77
    assert counts.quiet >= sum(t in quoted for t in silent) > 100
    assert counts.left == counts.found


def test_a_replay_of_nothing_but_an_empty_series_opens_and_closes_its_sessions() -> None:
    old = minutes("XNYS:OLD/1m", "2018-01-02T14:30Z")
    found = records(stored(old).system("2019-06-03", "2019-06-05", derived=("5m",)))
    assert [r.kind for r in found] == ["open", "close"] * 2


@pytest.mark.parametrize("per_chunk", [1, 2, 9])
def test_several_calendars_play_side_by_side(samples: Path, per_chunk: int) -> None:
    spy = equity_minutes(samples, "SPY", "20131007", "20131008")
    future = es(samples, "20131007", "20131008")
    coin = every_minute("COINBASE:BTCUSD/1m", "2013-10-07", "2013-10-09")
    data = stored(spy, coin, future)
    system = data.system("2013-10-07", "2013-10-09", sessions_per_chunk=per_chunk)
    rolls = []
    with system:
        for step in system.steps():
            now = system.clock.now()
            if step.played:
                rolls.append(now)
            for own in system.session_data:
                if own.session and not (step.played and now == own.session.close_ns):
                    assert own.session.open_ns <= now <= own.session.close_ns
            for _ in system.release(step):
                pass
    assert rolls == sorted(rolls)
    names = [c.name for c in system.calendars]
    assert names == ["XNYS", "24/7", "CME_EQUITY"]
    labels = {(p.calendar, p.session.label) for p in system.agenda.sessions}
    assert {(0, "2013-10-07"), (1, "2013-10-08"), (2, "2013-10-09")} <= labels
    assert system.counts["COINBASE:BTCUSD/1m"] == Counts(2880, 0, 0)
    assert system.counts["XNYS:SPY/1m"].played == 780


def test_a_start_in_the_middle_of_a_session_catches_up_from_its_open() -> None:
    whole = every_minute("XNYS:SPY/1m", "2019-06-03T13:30Z", "2019-06-04T20:00Z")
    plan = ("2019-06-03T15:00Z", "2019-06-04T16:00Z")
    found = records(stored(whole).system(*plan, derived=("1h",)))
    bars = [r.key_ns for r in found if r.kind == "bar"]
    assert (iso(bars[0]), iso(bars[-1])) == ("2019-06-03T13:30:00Z", "2019-06-04T15:59:00Z")
    assert [r.kind for r in found if r.kind in ("open", "close")] == ["open", "close"] * 2
    system = stored(whole).system(*plan, derived=("1h",))
    seen = [(iso(s.time_ns), len(s.session["XNYS:SPY"].bars())) for s in system]
    assert seen[0] == ("2019-06-03T15:01:00Z", 91)
    assert sum("2019-06-03" in moment for moment, _ in seen) == 300
    full, half = system.coordinator.measured
    assert full.present == full.expected == 390
    assert half.present < half.expected == 390


def year_of_minutes(days: Ints) -> Bars:
    starts = (days[:, None] + np.arange(390) * MINUTE_NS).ravel()
    return bars_from("XNYS:SPY/1m", starts, starts + MINUTE_NS, ticking(starts))


@pytest.mark.parametrize("is_filled", [False, True])
def test_memory_does_not_grow_over_252_sessions(*, is_filled: bool) -> None:
    """What a replay holds of its own after 50 sessions is what it holds after 250."""
    table = calendar("XNYS").table
    first = int(np.searchsorted(table.open_ns, at("2018-01-01")))
    half = (
        table.close_ns[first : first + 252] - table.open_ns[first : first + 252] < 390 * MINUTE_NS
    )
    bars = year_of_minutes(table.open_ns[first : first + 252][~half])
    end = iso(int(bars.end_ns[-1]) + DAY_NS)
    kept = np.arange(len(bars)) % (7 if is_filled else len(bars)) != 5
    data = stored(bars.take(kept), bars.renamed(Series.parse("ARCX:SPY/1m")))
    plan = {"derived": ("5m",), "trailing": 3, "sessions_per_chunk": 1, "pins": data.pins[:1]}
    if is_filled:
        plan["fill"] = data.pins[1:]
    play(data.system("2018-01-01", "2018-01-20", **plan))  # compiled, calendars loaded
    system = data.system("2018-01-10", end, **plan)
    held = []
    tracemalloc.start()
    try:
        for step, moment in enumerate(system):
            if step % (390 * 20) == 390:
                held.append(tracemalloc.get_traced_memory()[0])
                assert len(moment.session["XNYS:SPY"].historical) == 3
    finally:
        tracemalloc.stop()
    assert len(held) > 10
    filled = sum(sum(counts.filled.values()) for counts in system.upkeep.values())
    assert filled > 10_000 if is_filled else not filled
    assert max(held[3:]) - held[2] < 400_000  # a session with its records is about 100 kB


def test_a_truncated_day_is_filled_from_another_venue(samples: Path) -> None:
    """Coinbase ends at 16:47; every minute of it is there in the other venue's series."""
    bars = coinbase(samples, "20180404", "20180405")
    other = every_minute("BITSTAMP:BTCUSD/1m", "2018-04-04", "2018-04-06", base=6800.0)
    data = stored(bars, other)
    span = ("2018-04-04", "2018-04-06")
    system = data.system(*span, pins=data.pins[:1], fill=data.pins[1:], derived=("1h",))
    seen = {}
    for current in system:
        if current.time_ns == at("2018-04-04T20:00Z"):
            seen = {k: current.session["COINBASE:BTCUSD"].bars(k) for k in ("1m", "1h")}
    missing = 2 * 1440 - len(bars)
    assert system.upkeep["COINBASE:BTCUSD/1m"] == UpkeepCounts(
        missing, {"BITSTAMP:BTCUSD/1m@1": missing}
    )
    assert [m.completeness for m in system.coordinator.measured] == [1.0, 1.0]
    assert [e.cause for e in system.coordinator.ended] == ["dry", "close"]
    # at 20:00 upkeep knows of 19:58, which it found missing at 19:59, and not of 19:59
    assert iso(int(seen["1m"].start_ns[-1])) == "2018-04-04T19:58:00Z"
    assert len(seen["1m"]) == 20 * 60 - 1
    assert len(seen["1h"]) == 20
    of_coinbase = seen["1m"].label == 0
    assert seen["1m"].take(of_coinbase) == bars.between(at("2018-04-04"), at("2018-04-04T16:48Z"))


def eurusd(samples: Path, venue: str, zone: str) -> Bars:
    """Bids of 2014-05-01, by the dealer's own clocks."""
    path = samples / f"lean/Data/forex/{venue}/minute/eurusd/20140501_quote.zip"
    return lean_day(path, f"{venue.upper()}:EURUSD/1m.bid", zone=zone, width_ns=MINUTE_NS)


@pytest.mark.parametrize("per_chunk", [1, 0])
def test_what_one_dealer_did_not_quote_comes_from_another(samples: Path, per_chunk: int) -> None:
    oanda, fxcm = eurusd(samples, "oanda", "UTC"), eurusd(samples, "fxcm", "Etc/GMT+5")
    data = stored(oanda, fxcm)
    system = data.system(
        "2014-04-30T21:00Z",
        "2014-05-02T21:00Z",
        pins=data.pins[:1],
        fill=data.pins[1:],
        sessions_per_chunk=per_chunk,
    )
    play(system)
    minutes_of = {
        p.session.label: set(range(p.session.open_ns, p.session.close_ns, MINUTE_NS))
        for p in system.agenda.sessions
    }
    own, others = set(oanda.start_ns.tolist()), set(fxcm.start_ns.tolist())
    due = set().union(*minutes_of.values())
    counts = system.upkeep["OANDA:EURUSD/1m.bid"]
    filled = len((due - own) & others)
    assert counts.found == len(due - own)
    assert counts.filled == {"FXCM:EURUSD/1m.bid@1": filled}
    assert counts.left == counts.found - filled
    for m in system.coordinator.measured:
        assert m.present == len(minutes_of[m.session] & (own | others))
    assert len((due - own) & others & minutes_of["2014-05-01"]) > 10  # real holes of the day


@pytest.mark.parametrize("seed", range(3))
def test_holes_in_a_month_are_filled_from_a_second_source(samples: Path, seed: int) -> None:
    """SPY, March 2011, every tenth minute gone: what is seen in the end is the whole month."""
    spy = spy_march(samples)
    kept = np.random.default_rng(seed).random(len(spy)) > 0.1
    other = spy.renamed(Series.parse("ARCX:SPY/1m"))
    data = stored(spy.take(kept), other)
    plan = {"pins": data.pins[:1], "fill": data.pins[1:], "trailing": 23, "derived": ("5m", "1d")}
    system = play(data.system("2011-03-01", "2011-04-01", **plan))
    whole = play(stored(spy).system("2011-03-01", "2011-04-01", trailing=23, derived=("5m", "1d")))
    pairs = zip(
        system.session_data[0]["XNYS:SPY"].historical,
        whole.session_data[0]["XNYS:SPY"].historical,
        strict=True,
    )
    for (label, ours), (same, theirs) in pairs:
        assert label == same
        assert list(map(prices, ours.values())) == list(map(prices, theirs.values()))
    assert all(m.completeness == 1.0 for m in system.coordinator.measured)


def prices(bars: Bars) -> dict[str, list[float]]:
    return {name: column.tolist() for name, column in bars.columns().items() if name != "label"}


def test_series_names_stay_with_their_rows(samples: Path) -> None:
    spy = equity_minutes(samples, "SPY", "20131007")
    ((bars, _, _),) = rows_of(stored(spy).system("2013-10-07", "2013-10-08"))
    assert bars.series == Series.parse("XNYS:SPY/1m")
    assert bars == spy.between(at("2013-10-07T13:30Z"), at("2013-10-07T20:00Z"))
