"""Real sessions played: short ones, long ones, torn ones, and several calendars at once."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from openbell.market.bars import Bars, bars_from
from openbell.market.calendars import calendar
from openbell.market.columns import Ints
from openbell.market.instrument import Series
from openbell.market.moments import DAY_NS, MINUTE_NS, iso
from openbell.replay.feed import Counts
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
    first, second = system.coordinator.measured
    assert first.expected == second.expected == 1440
    assert first.present == len(bars.between(at("2018-04-04"), at("2018-04-05"))) < 1008
    assert second.present == len(bars.between(at("2018-04-05"), at("2018-04-06")))


def test_one_of_ten_instruments_runs_dry_and_nine_go_on() -> None:
    whole = ("2019-06-03T13:30Z", "2019-06-03T20:00Z")
    data = [every_minute(f"XNYS:I{k}/1m", *whole, base=10.0 * k) for k in range(1, 10)]
    dry = every_minute("XNYS:DRY/1m", whole[0], "2019-06-03T18:30Z")
    system = stored(dry, *data).system("2019-06-03", "2019-06-04")
    slices = [len(s) for s in system]
    assert slices == [10] * 300 + [9] * 90
    found = {m.instrument: m.completeness for m in system.coordinator.measured}
    assert found.pop("XNYS:DRY") == 300 / 390
    assert set(found.values()) == {1.0}


def test_an_instrument_with_no_data_at_all_is_played_as_such() -> None:
    spy = every_minute("XNYS:SPY/1m", "2019-06-03T13:30Z", "2019-06-03T20:00Z")
    old = minutes("XNYS:OLD/1m", "2018-01-02T14:30Z")
    system = stored(old, spy).system("2019-06-03", "2019-06-04", derived=("5m",))
    for _ in system:
        data = system.session_data[0]["XNYS:OLD"]
        assert not len(data.bars())
        assert not len(data.history(5, "5m"))
        assert np.isnan(data.figures.high)
    assert [m.completeness for m in system.coordinator.measured] == [0.0, 1.0]


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


def test_memory_does_not_grow_over_252_sessions() -> None:
    """What a replay holds of its own after 50 sessions is what it holds after 250."""
    table = calendar("XNYS").table
    first = int(np.searchsorted(table.open_ns, at("2018-01-01")))
    half = (
        table.close_ns[first : first + 252] - table.open_ns[first : first + 252] < 390 * MINUTE_NS
    )
    bars = year_of_minutes(table.open_ns[first : first + 252][~half])
    end = iso(int(bars.end_ns[-1]) + DAY_NS)
    plan = {"derived": ("5m",), "trailing": 3, "sessions_per_chunk": 1}
    data = stored(bars)
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
    assert max(held[3:]) - held[2] < 400_000  # a session with its records is about 100 kB


def test_series_names_stay_with_their_rows(samples: Path) -> None:
    spy = equity_minutes(samples, "SPY", "20131007")
    ((bars, _, _),) = rows_of(stored(spy).system("2013-10-07", "2013-10-08"))
    assert bars.series == Series.parse("XNYS:SPY/1m")
    assert bars == spy.between(at("2013-10-07T13:30Z"), at("2013-10-07T20:00Z"))
