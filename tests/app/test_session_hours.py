"""Configured session hours, from settings and options to what is played, sealed and measured."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import openbell as ob
from openbell.app.replaying import replay
from openbell.backtest.config import configured_calendars
from openbell.market.errors import RunError, UsageError
from openbell.market.instrument import Instrument
from openbell.market.moments import local
from openbell.replay.system import System
from tests.commands import LEAN, openbell

DAY: dict[str, Any] = {"start": "2011-03-14", "end": "2011-03-15"}
WEEK: dict[str, Any] = {"start": "2011-03-10", "end": "2011-03-16"}


@pytest.fixture(scope="session")
def lean_lake(_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GOOG around the half day of 2015-12-24, and ES of October 2013; only to be read."""
    folder = tmp_path_factory.mktemp("lean") / "lake"
    for symbols in ("goog", "es"):
        said = openbell(
            "data", "import", str(LEAN), "--format", "lean", "--symbols", symbols,
            "--resolutions", "minute", "--kinds", "trade", "--lake", str(folder),
        )  # fmt: skip
        assert said.code == 0, said.err
    return folder


def hours(system: System) -> list[tuple[str, str, str]]:
    """Label, open and close of every session, on the venue's clocks."""
    zone = system.calendars[0].zone
    return [
        (s.label, f"{local(s.open_ns, zone):%m-%d %H:%M}", f"{local(s.close_ns, zone):%m-%d %H:%M}")
        for s in (p.session for p in system.agenda.sessions)
    ]


def played(system: System) -> dict[str, tuple[int, int]]:
    """Bars present and expected by session."""
    for _ in system:
        pass
    return {m.session: (m.present, m.expected) for m in system.coordinator.measured}


def test_configured_hours_are_those_played_and_measured(spy: Path) -> None:
    system = replay("XNYS:SPY", session_start="10:00", session_end="15:00", **WEEK)
    assert hours(system) == [
        (f"2011-03-{day}", f"03-{day} 10:00", f"03-{day} 15:00") for day in (10, 11, 14, 15)
    ]
    found = played(system)
    assert found == {f"2011-03-{day}": (300, 300) for day in (10, 11, 14, 15)}


def test_rows_outside_configured_hours_are_withheld_and_counted(spy: Path) -> None:
    whole, part = replay("XNYS:SPY", **DAY), replay(
        "XNYS:SPY", session_start="10:00", session_end="15:00", **DAY
    )  # fmt: skip
    for system in (whole, part):
        for _ in system:
            pass
    assert whole.counts["XNYS:SPY/1m"].played == 390
    assert part.counts["XNYS:SPY/1m"].played == 300


def test_configured_hours_may_be_wider_than_the_calendars(spy: Path) -> None:
    found = played(replay("XNYS:SPY", session_start="08:00", session_end="18:00", **DAY))
    rows = ob.open_lake(spy).bars("XNYS:SPY/1m", "2011-03-14T12:00Z", "2011-03-14T22:00Z")
    assert len(rows) > 390
    assert found == {"2011-03-14": (len(rows), 600)}


def test_derived_bars_are_counted_from_the_configured_open(spy: Path) -> None:
    system = replay("XNYS:SPY", session_start="10:10", session_end="15:00", derived=["1h"], **DAY)
    last = [system.session_data[0]["XNYS:SPY"].bars("1h") for _ in system][-1]
    starts = [f"{local(ns, 'America/New_York'):%H:%M}" for ns in last.start_ns.tolist()]
    assert starts == ["10:10", "11:10", "12:10", "13:10", "14:10"]
    assert f"{local(int(last.end_ns[-1]), 'America/New_York'):%H:%M}" == "15:00"


def test_an_early_close_stays_early(lean_lake: Path) -> None:
    system = replay(
        "XNYS:GOOG", lake=lean_lake, start="2015-12-23", end="2015-12-29",
        session_start="10:00", session_end="15:30",
    )  # fmt: skip
    assert hours(system) == [
        ("2015-12-23", "12-23 10:00", "12-23 15:30"),
        ("2015-12-24", "12-24 10:00", "12-24 13:00"),
        ("2015-12-28", "12-28 10:00", "12-28 15:30"),
    ]
    assert played(system)["2015-12-24"] == (180, 180)


def test_an_overnight_session_opens_the_evening_before(lean_lake: Path) -> None:
    """ES with the evening left out: from 02:00; then from 20:00 the evening before."""
    span: dict[str, Any] = {"lake": lean_lake, "start": "2013-10-08", "end": "2013-10-10"}
    day = replay("XCME:ES-201312", session_start="02:00", session_end="15:00", **span)
    night = replay("XCME:ES-201312", session_start="20:00", session_end="15:00", **span)
    assert hours(day)[0] == ("2013-10-08", "10-08 02:00", "10-08 15:00")
    assert hours(night)[0] == ("2013-10-08", "10-07 20:00", "10-08 15:00")
    assert played(day)["2013-10-08"][1] == 13 * 60
    present, expected = played(night)["2013-10-08"]
    assert expected == 19 * 60
    assert 13 * 60 < present <= expected


def test_an_evening_that_the_calendar_leaves_out_is_played_from_its_first_bar(spy: Path) -> None:
    """A date names the configured session, which begins before the calendar's own hours."""
    system = replay("XNYS:SPY", session_start="18:00", session_end="16:00", **DAY)
    assert hours(system) == [("2011-03-14", "03-13 18:00", "03-14 16:00")]
    rows = ob.open_lake(spy).bars("XNYS:SPY/1m", "2011-03-13T22:00Z", "2011-03-14T20:00Z")
    assert played(system) == {"2011-03-14": (len(rows), 22 * 60)}


def test_a_run_seals_configured_hours_and_keeps_them(spy: Path) -> None:
    plain = ob.backtest("ema-cross", "XNYS:SPY/1m", **DAY)
    short = ob.backtest(
        "ema-cross", "XNYS:SPY/1m", session_start="10:00", session_end="15:00", **DAY
    )
    assert (plain.result.bars, short.result.bars) == (390, 300)
    assert plain.seal != short.seal
    assert plain.id != short.id
    kept = short.result.config.to_dict()
    assert (kept["session_start"], kept["session_end"]) == ("10:00", "15:00")
    assert list(short.result.calendars) == ["XNYS 10:00-15:00"]
    assert ob.verify(short).is_same


def test_the_calendars_own_hours_leave_id_and_seal_as_they_were(spy: Path) -> None:
    """Hours that are not configured are no setting: older runs can still be verified."""
    config = ob.backtest("ema-cross", "XNYS:SPY/1m", **DAY).result.config
    assert {"session_start", "session_end"} & set(config.deciding()) == set()
    assert {"session_start", "session_end"} <= set(config.to_dict())


def test_a_sweep_runs_in_configured_hours(spy: Path) -> None:
    grid = {"fast": "5:7"}
    found = ob.sweep(
        "ema-cross", "XNYS:SPY/1m", grid, session_start="10:00", session_end="15:00", **DAY
    )
    one = ob.backtest(
        "ema-cross", "XNYS:SPY/1m", parameters={"fast": 6}, session_start="10:00",
        session_end="15:00", **DAY,
    )  # fmt: skip
    rows = {row["fast"]: row for row in found.table.rows()}
    assert rows[6]["total_return"] == one.metrics.total_return
    whole = ob.sweep("ema-cross", "XNYS:SPY/1m", grid, **DAY).table
    assert not np.array_equal(whole["total_return"], found.table["total_return"])


def test_settings_of_the_process_configure_runs_and_replays(
    spy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_START_TIME", "10:00")
    assert hours(replay("XNYS:SPY", **DAY)) == [("2011-03-14", "03-14 10:00", "03-14 16:00")]
    run = ob.backtest("ema-cross", "XNYS:SPY/1m", **DAY)
    assert run.result.bars == 360
    again = replay("XNYS:SPY", session_start="11:00", session_end="12:00", **DAY)
    assert hours(again)[0][1:] == ("03-14 11:00", "03-14 12:00")


def test_without_settings_futures_keep_their_own_hours(lean_lake: Path) -> None:
    system = replay("XCME:ES-201312", lake=lean_lake, start="2013-10-08", end="2013-10-09")
    assert hours(system) == [("2013-10-08", "10-07 17:00", "10-08 16:15")]


def test_instruments_of_one_calendar_share_its_configured_sessions() -> None:
    names = ("XNYS:SPY", "XNAS:AAPL", "XCME:ES")
    found = configured_calendars(map(Instrument.parse, names), "10:00", "15:00")
    assert found["XNYS:SPY"] is found["XNAS:AAPL"]
    assert [c.name for c in found.values()][1:] == ["XNYS 10:00-15:00", "CME_EQUITY 10:00-15:00"]


def test_the_option_configures_replay_backtest_and_sweep(spy: Path) -> None:
    span = ("--from", "2011-03-14", "--to", "2011-03-15", "--session", "10:00-15:00", "--json")
    shown = openbell("replay", "XNYS:SPY", *span)
    assert shown.json["slices_in_all"] == 300
    ran = openbell("backtest", "ema-cross", "--on", "XNYS:SPY/1m", "--no-report", *span)
    assert ran.code == 0, ran.err
    assert ran.json["config"]["session_start"] == "10:00"
    again = openbell(
        "backtest", "--config", f"runs/{ran.json['id']}/files/config.json", "--no-report", "--json"
    )
    assert again.json["seal"] == ran.json["seal"]
    swept = openbell("sweep", "ema-cross", "--on", "XNYS:SPY/1m", "--set", "fast=5:6", *span)
    assert swept.code == 0, swept.err
    assert swept.json["runs"] == 2


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"session_start": "10:00"}, "session_end ``"),
        ({"session_start": "ten", "session_end": "15:00"}, "`ten` is not a time of day"),
        ({"session_start": "10:00", "session_end": "25:00"}, "`25:00` is not a time of day"),
    ],
)
def test_hours_that_are_none_are_refused(spy: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ob.backtest("ema-cross", "XNYS:SPY/1m", **DAY, **given)
    with pytest.raises(UsageError, match=says):
        replay("XNYS:SPY", **DAY, **given)


@pytest.mark.parametrize("text", ["10:00", "10-15", "10:00-", "-15:00", "10:00-15:00-16:00"])
def test_an_option_that_is_no_pair_of_times_is_refused(spy: Path, text: str) -> None:
    said = openbell("replay", "XNYS:SPY", "--session", text)
    assert said.code == 2
    assert "hint: write it as 10:00-15:00" in said.err


def test_a_half_day_that_ends_before_the_configured_hours_is_no_session(lean_lake: Path) -> None:
    with pytest.raises(RunError, match="no session of XNYS 14:00-15:00 from 2015-12-24"):
        replay(
            "XNYS:GOOG", lake=lean_lake, start="2015-12-24", end="2015-12-25",
            session_start="14:00", session_end="15:00",
        )  # fmt: skip


def test_settings_of_upkeep_reach_replays_and_runs_that_fill_their_gaps(
    spy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_UPKEEP_CHECK_INTERVAL_SECONDS", "30")
    monkeypatch.setenv("DATA_UPKEEP_RETRY_MISSING_BARS", "false")
    plan = replay("XNYS:SPY", **DAY).plan
    assert (plan.check_ns, plan.retries) == (30 * 10**9, 0)
    config = ob.backtest("ema-cross", "XNYS:SPY/1m", **DAY).result.config
    assert (config.check_interval_s, config.retries) == (30, 0)
