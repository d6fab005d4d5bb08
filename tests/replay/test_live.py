"""Live sessions: when they open and close, when derived bars are known, what a stop leaves."""

from dataclasses import replace
from pathlib import Path

import pytest

from openbell.market.arrivals import (
    BAR,
    CANCELLED,
    DISCONNECTED,
    NO_SERIES,
    PASSED,
    Arrival,
    five,
)
from openbell.market.bars import Bars
from openbell.market.errors import BadDataError, UsageError
from openbell.market.instrument import Series
from openbell.market.moments import MINUTE_NS, SECOND_NS, iso
from openbell.replay import intake, kernels
from openbell.replay.pacing import Pace
from openbell.replay.system import System
from openbell.sources.lean import LeanFolder
from tests.replay.living import (
    CLOSE_NS,
    COIN,
    COIN_PRINTS,
    OPEN_NS,
    PRINTS,
    SPY,
    Kept,
    header,
    minute,
    recorded,
    replayed,
    trade,
)
from tests.replay.playing import Record, at, play, records, rows_of, stored

EVERY = [minute(n) for n in range(30)]
DONE_S = (CLOSE_NS - OPEN_NS) / SECOND_NS


def passing(to_ns: int) -> Arrival:
    return Arrival(NO_SERIES, PASSED, 0, to_ns)


def of_kind(kept: Kept, kind: str, **plan: object) -> list[Record]:
    return [each for each in records(replayed(kept, **plan)) if each.kind == kind]


def ended(kept: Kept, **plan: object) -> list[tuple[float, str]]:
    """When sessions closed, in seconds after half past, and why."""
    system = play(replayed(kept, **plan))
    found = system.coordinator.ended
    return [((each.time_ns - CLOSE_NS) / SECOND_NS, each.cause) for each in found]


# Sessions


def test_a_session_closes_as_soon_as_its_closing_bar_is_there() -> None:
    assert ended(recorded(header(SPY), *EVERY, passing(CLOSE_NS + 99 * SECOND_NS))) == [
        (0.5, "close")
    ]


def test_it_waits_for_the_closing_bars_of_all() -> None:
    other = Series.parse("XNYS:GE/1m")
    later = [minute(n, series=1, after_s=7) for n in range(30)]
    assert ended(recorded(header(SPY, other), *EVERY, *later)) == [(7.0, "close")]


def test_without_a_closing_bar_it_closes_after_the_grace() -> None:
    kept = recorded(header(SPY), *EVERY[:-1], passing(CLOSE_NS + 70 * SECOND_NS))
    assert ended(kept) == [(60.0, "close")]
    kept = recorded(header(SPY, close_grace_s=10), *EVERY[:9], passing(CLOSE_NS + 11 * SECOND_NS))
    assert ended(kept) == [(10.0, "dry")]


def test_a_stream_that_was_cancelled_is_not_waited_for() -> None:
    other = Series.parse("XNYS:GE/1m")
    gone = Arrival(1, CANCELLED, 0, CLOSE_NS + 20 * SECOND_NS)
    assert ended(recorded(header(SPY, other), *EVERY, gone)) == [(20.0, "close")]


def test_trades_alone_close_a_session_when_one_of_later_comes() -> None:
    kept = recorded(header(PRINTS), trade(1), trade(DONE_S), trade(DONE_S + 3, after_s=1))
    assert ended(kept) == [(4.0, "close")]
    assert [r.key_ns for r in of_kind(kept, "trade")] == [OPEN_NS + SECOND_NS, CLOSE_NS]


def test_a_run_that_begins_in_the_middle_opens_its_session_there() -> None:
    begin_ns = OPEN_NS + 10 * MINUTE_NS
    kept = recorded(header(SPY, start=begin_ns), *EVERY[10:])
    (opening,) = of_kind(kept, "open")
    assert opening.known_ns == begin_ns
    assert len(of_kind(kept, "bar")) == 20


def test_what_was_before_can_be_caught_up_by_asking() -> None:
    begin_ns = OPEN_NS + 10 * MINUTE_NS
    early = [minute(n, asked=True)._replace(receipt_ns=begin_ns + 3 * SECOND_NS) for n in range(10)]
    system = replayed(recorded(header(SPY, start=begin_ns), *early, *EVERY[10:]))
    seen = [s for s in system if s.time_ns == begin_ns + 3 * SECOND_NS]
    assert len(seen) == 1
    (measured,) = system.coordinator.measured
    assert measured.completeness == 1.0


def coin_bar(start: str, after_s: float) -> Arrival:
    start_ns = at(start)
    return minute(0)._replace(
        venue_ns=start_ns, receipt_ns=start_ns + MINUTE_NS + round(after_s * SECOND_NS)
    )


def test_around_the_clock_the_next_session_opens_when_the_last_has_closed() -> None:
    head = header(COIN, COIN_PRINTS, start="2019-06-03T23:58Z", end="2019-06-04T00:05Z")
    midnight_ns = at("2019-06-04")
    early = trade(0, series=1)._replace(
        venue_ns=midnight_ns + SECOND_NS // 10, receipt_ns=midnight_ns + SECOND_NS // 5
    )
    kept = recorded(
        head, coin_bar("2019-06-03T23:58Z", 1), early, coin_bar("2019-06-03T23:59Z", 2.5),
        coin_bar("2019-06-04", 1),
    )  # fmt: skip
    found = [(r.kind, r.known_ns - midnight_ns) for r in records(replayed(kept))][2:]
    closed_ns = 5 * SECOND_NS // 2
    assert found == [
        ("bar", closed_ns), ("close", closed_ns), ("open", closed_ns), ("trade", closed_ns + 1),
        ("bar", 61 * SECOND_NS), ("close", 62 * SECOND_NS),
    ]  # fmt: skip


def test_around_the_clock_a_missing_closing_bar_is_not_waited_for_long() -> None:
    head = header(COIN, start="2019-06-03T23:58Z", end="2019-06-04T00:05Z", grace_s=4)
    kept = recorded(head, coin_bar("2019-06-03T23:58Z", 1), coin_bar("2019-06-04", 1))
    (first, _) = of_kind(kept, "close")
    assert first.known_ns == at("2019-06-04T00:00:04Z")


def test_after_the_last_session_the_run_is_over() -> None:
    late = trade(DONE_S + 100, series=1)
    system = play(replayed(recorded(header(SPY, PRINTS), *EVERY, late)))
    assert system.counts[str(PRINTS)].off_hours == 0
    assert len(system.tape.digests) == 1


# Derived bars


def test_a_derived_bar_is_known_with_its_last_minute() -> None:
    kept = recorded(header(SPY), *EVERY)
    found = of_kind(kept, "derived", derived=("5m",))
    assert [r.known_ns - OPEN_NS for r in found] == [
        n * 5 * MINUTE_NS + SECOND_NS // 2 for n in range(1, 7)
    ]


def test_it_does_not_wait_for_a_minute_once_a_later_one_is_there() -> None:
    bars = [each for n, each in enumerate(EVERY) if n != 4]
    first, *_ = of_kind(recorded(header(SPY, grace_s=600), *bars), "derived", derived=("5m",))
    assert first.known_ns == OPEN_NS + 6 * MINUTE_NS + SECOND_NS // 2


def test_it_waits_for_the_grace_at_most() -> None:
    bars = [each for n, each in enumerate(EVERY) if n != 4]
    first, *_ = of_kind(recorded(header(SPY, grace_s=5), *bars), "derived", derived=("5m",))
    assert first.known_ns == OPEN_NS + 5 * MINUTE_NS + 5 * SECOND_NS


def test_a_late_minute_revises_it_and_the_views_show_it() -> None:
    bars = [each for n, each in enumerate(EVERY) if n != 2]
    kept = recorded(header(SPY), *bars, minute(2, after_s=400, close=500.0))
    found = of_kind(kept, "revision", derived=("5m",))
    at_ns = OPEN_NS + 3 * MINUTE_NS + 400 * SECOND_NS
    assert [(r.frame, r.known_ns) for r in found] == [(0, at_ns), (1, at_ns)]
    system = replayed(kept, derived=("5m",))
    highs = {}
    for each in system:
        highs[each.time_ns] = float(each.sessions[0]["XNYS:SPY"].bars("5m").high.max(initial=0))
    assert highs[at_ns] == 501.0
    assert max(high for time_ns, high in highs.items() if time_ns < at_ns) == 101.0


def test_a_minute_out_of_order_before_its_end_goes_into_it() -> None:
    swapped = [*EVERY[:2], EVERY[3], minute(2, after_s=75), *EVERY[4:]]
    kept = recorded(header(SPY), *swapped)
    straight = recorded(header(SPY), *EVERY)
    assert len(of_kind(kept, "revision", derived=("5m",))) == 1
    five = [
        play_all(each).session_data[0]["XNYS:SPY"].history(6, "5m") for each in (kept, straight)
    ]
    assert five[0] == five[1]


def play_all(kept: Kept) -> System:
    return play(replayed(kept, derived=("5m",)))


def test_a_day_is_derived_at_the_close() -> None:
    (day,) = of_kind(recorded(header(SPY), *EVERY), "derived", derived=("1d",))
    assert day.known_ns == CLOSE_NS + SECOND_NS // 2


def test_the_bar_in_progress_is_not_released_by_a_stop() -> None:
    assert not of_kind(recorded(header(SPY), *EVERY[:4]), "derived", derived=("5m",))


# Notes, and what is put aside


def test_notes_are_counted_and_on_the_tape() -> None:
    lost = Arrival(0, DISCONNECTED, 0, OPEN_NS + SECOND_NS)
    before = Arrival(0, DISCONNECTED, 0, OPEN_NS - SECOND_NS)
    head = header(PRINTS, start=OPEN_NS - 9 * SECOND_NS)
    kept = recorded(head, before, lost, trade(5))
    system = play(replayed(kept))
    assert system.counts[str(PRINTS)].disconnected == 2  # type: ignore[attr-defined]
    assert [r.known_ns for r in of_kind(kept, "aside")] == [OPEN_NS + SECOND_NS]


def test_what_is_withheld_is_sealed_too() -> None:
    one = play(replayed(recorded(header(PRINTS), trade(5), trade(4, after_s=3), trade(9))))
    two = play(replayed(recorded(header(PRINTS), trade(5), trade(9))))
    assert one.tape.seal != two.tape.seal


# Its end


def test_a_stop_closes_what_is_open() -> None:
    kept = recorded(header(SPY), *EVERY[:5])
    ((after_s, cause),) = ended(kept)
    assert cause == "stopped"
    assert after_s * SECOND_NS + CLOSE_NS == kept.arrivals[-1].receipt_ns


def test_a_recording_broken_off_gives_a_digest_of_what_there_is() -> None:
    kept = recorded(header(SPY), *EVERY[:5])
    broken = play(replayed(kept.torn(len(kept.data) - 1)))
    assert [each.cause for each in broken.coordinator.ended] == ["stopped"]
    assert broken.counts[str(SPY)].played == 5


def test_a_recording_of_nothing_gives_nothing() -> None:
    system = play(replayed(Kept(header(SPY))))
    assert (system.tape.digests, system.counts[str(SPY)].played) == ([], 0)


# A recording is a replay like others


def test_a_recording_can_be_paused_stepped_and_sought() -> None:
    kept = recorded(header(SPY, PRINTS), *EVERY, *(trade(n * 7.3, series=1) for n in range(200)))
    straight = play(replayed(kept, derived=("5m",)))
    pace = Pace(is_paused=True)
    pace.seek(OPEN_NS + 20 * MINUTE_NS)
    system = replayed(kept, derived=("5m",), pace=pace)
    back = [OPEN_NS + 3 * MINUTE_NS]
    seen: dict[int, list[str]] = {}
    for each in system:
        seen.setdefault(each.time_ns, []).append(repr(each.closes))
        if each.time_ns > OPEN_NS + 19 * MINUTE_NS and back:
            pace.seek(back.pop())
            pace.resume()
    assert not back
    assert system.tape.digests == straight.tape.digests
    assert all(len(set(said)) == 1 for said in seen.values())
    assert max(map(len, seen.values())) == 2


@pytest.mark.parametrize("at_once", [1, 5, 4096])
def test_going_back_to_any_moment_changes_nothing(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a midnight at which one session closes and the next opens."""
    monkeypatch.setattr(intake, "_BLOCK", at_once)
    head = header(COIN, COIN_PRINTS, start="2019-06-03T23:50Z", end="2019-06-04T00:08Z")
    begin_ns = head.start_ns
    prints = [
        trade(n, series=1, number=n + 1)._replace(
            venue_ns=begin_ns + n * 9 * SECOND_NS, receipt_ns=begin_ns + n * 9 * SECOND_NS + 1
        )
        for n in range(1, 110)
    ]
    bars = [coin_bar(iso(begin_ns + n * MINUTE_NS), 2) for n in range(16)]
    kept = recorded(head, *prints, *bars, *(passing(b.receipt_ns + 1) for b in bars))
    straight = replayed(kept, derived=("5m",))
    moments = [s.time_ns for s in straight]
    for target in moments[::17] + [bars[9].receipt_ns + n for n in range(-1, 3)]:
        pace = Pace()
        system = replayed(kept, derived=("5m",), pace=pace)
        back = [target]
        for each in system:
            if each.time_ns == moments[-4] and back:
                pace.seek(back.pop())
        assert system.tape.digests == straight.tape.digests


# What cannot come live


def test_a_recording_by_unknown_rules_is_refused() -> None:
    head = replace(header(SPY), settings={"rules": {"skew_s": 1.0, "moon_phase": 2}})
    with pytest.raises(BadDataError, match="not known: moon_phase"):
        replayed(Kept(head))


def test_bars_of_a_day_and_pins_to_fill_from_are_refused() -> None:
    with pytest.raises(UsageError, match="cannot come live"):
        replayed(Kept(header(Series.parse("XNYS:SPY/1d"))))
    kept = recorded(header(SPY), *EVERY)
    with pytest.raises(UsageError, match="cannot fill a live run"):
        replayed(kept, fill=replayed(kept).plan.pins)


# The same as from a store


@pytest.mark.parametrize("extended", [False, True])
def test_a_day_that_comes_in_time_gives_the_bars_it_has_in_a_store(
    samples: Path, extended: bool
) -> None:
    folder = LeanFolder(samples / "lean/Data/equity/usa/minute/spy")
    day = next(p.data for p in folder.parse() if iso(int(p.data.key_ns[0]))[:10] == "2013-10-07")
    assert isinstance(day, Bars)
    plan = {"derived": ("5m", "15m", "1h", "1d"), "extended": extended, "calendars": {}}
    values = zip(day.open, day.high, day.low, day.close, day.volume, strict=True)
    head = header(SPY, start="2013-10-07", end="2013-10-08", grace_s=3600)
    kept = recorded(
        head,
        *(
            Arrival(0, BAR, int(start), int(end), 0, five(each))
            for start, end, each in zip(day.start_ns, day.end_ns, values, strict=True)
        ),
    )
    of_store = stored(day).system("2013-10-07", "2013-10-08", **plan)
    for kind in (kernels.BAR, kernels.DERIVED):
        live = rows_of(replayed(kept, **plan), kind)
        assert [rows[0] for rows in live] == [rows[0] for rows in rows_of(of_store, kind)]
        of_store = stored(day).system("2013-10-07", "2013-10-08", **plan)
