"""Systems from session configurations: what is found in a lake, played, shown and controlled."""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

import openbell as ob
from openbell.app.lake import Lake
from openbell.app.playing import SystemPlayer
from openbell.app.session_config import SessionConfig, session_config
from openbell.app.status import Board, ask, read_status
from openbell.app.systems import Asked, build, resolve
from openbell.market.bars import Bars
from openbell.market.errors import NotRecordedError, ReplayError, RunError, StoreError, UsageError
from openbell.market.instrument import Series
from openbell.market.progress import CancelToken
from openbell.replay.system import System
from tests.app.living import until
from tests.commands import openbell, started
from tests.house import read
from tests.quality.reading import equity_minutes, utc_minutes
from tests.replay.playing import every_minute, trades


def form(*streams: str, **more: Any) -> dict[str, Any]:
    """A configuration of the newer generation, of SPY in March 2011."""
    span = {"start_date": "2011-03-10", "end_date": "2011-03-15", "speed_multiplier": 0}
    data = {"symbols": ["SPY"], "streams": list(streams or ["1m"])}
    span |= more.pop("backtest_config", {})
    data |= more.pop("session_data_config", {})
    own = {"session_name": "march", "mode": "backtest"} | more
    return {**own, "backtest_config": span, "session_data_config": data}


def config(*streams: str, **more: Any) -> SessionConfig:
    return session_config(form(*streams, **more))


def symbols(*names: str) -> dict[str, Any]:
    return {"session_data_config": {"symbols": list(names)}}


@pytest.fixture
def lake(samples: Path) -> Lake:
    """GOOG and Coinbase minutes, hours of EURUSD, a symbol of two venues, a future."""
    at = ob.open_lake(":memory:")
    at.write(equity_minutes(samples, "GOOG", "20151223", "20151224", "20151228"))
    at.write(
        utc_minutes(samples, "crypto/coinbase/minute/btcusd", "COINBASE:BTCUSD/1m", "20180404")
    )
    day = ("2015-12-24T14:30Z", "2015-12-24T18:00Z")
    at.write(every_minute("XNYS:TWO/1m", *day))
    at.write(every_minute("XNAS:TWO/1m", *day))
    at.write(every_minute("XLON:TWO/1m", *day))
    at.write(every_minute("XCME:ES-201403/1m", *day))
    at.write(trades("XNYS:GOOG/trades", "2015-12-28T14:31:05Z", "2015-12-28T14:35:00Z"))
    return at


def test_streams_are_found_and_wider_ones_derived(lake: Lake) -> None:
    found = resolve(config("5m", "15m", "1m", "ticks", **symbols("GOOG")), lake)
    assert found.refs == ("XNYS:GOOG/1m", "XNYS:GOOG/trades")
    assert found.derived == ("5m", "15m")
    assert found.fill == ()


def test_asking_for_wider_bars_brings_their_base_along(lake: Lake) -> None:
    found = resolve(config("15m", **symbols("GOOG")), lake)
    assert (found.refs, found.derived) == (("XNYS:GOOG/1m",), ("15m",))


def test_the_exchange_group_tells_symbols_of_several_venues_apart(lake: Lake) -> None:
    found = resolve(config(exchange_group="UK_EQUITY", **symbols("TWO")), lake)
    assert found.refs == ("XLON:TWO/1m",)
    with pytest.raises(UsageError, match="TWO is stored of several venues: XNAS:TWO, XNYS:TWO"):
        resolve(config(exchange_group="US_EQUITY", **symbols("TWO")), lake)
    assert resolve(config(**symbols("XNAS:TWO")), lake).refs == ("XNAS:TWO/1m",)


@pytest.mark.parametrize(
    ("group", "symbol", "says"),
    [
        ("US_EQUITY", "BTCUSD", "stored are COINBASE:BTCUSD"),
        ("US_FUTURES", "ES", "stored are XCME:ES-201403"),
        ("US_EQUITY", "QQQ", "openbell data import --help"),
    ],
)
def test_what_is_not_stored_is_named_with_what_is(
    lake: Lake, group: str, symbol: str, says: str
) -> None:
    with pytest.raises(NotRecordedError, match=f"nothing of {symbol} is stored at a venue of") as e:
        resolve(config(exchange_group=group, **symbols(symbol)), lake)
    assert e.value.hint == says


def test_narrower_bars_and_ticks_that_are_not_stored_are_named(lake: Lake) -> None:
    with pytest.raises(NotRecordedError, match="1s bars of XNYS:GOOG are not stored"):
        resolve(config("1s", **symbols("GOOG")), lake)
    with pytest.raises(NotRecordedError, match="XNYS:GOOG/quotes is not stored"):
        resolve(config("quotes", **symbols("GOOG")), lake)


def test_symbols_that_are_stored_too_wide_to_build_from_are_named(lake: Lake) -> None:
    lake.write(every_minute("XNYS:WIDE/5m", "2015-12-24T14:30Z", "2015-12-24T14:31Z"))
    streams = [
        {"type": "bars", "symbol": "GOOG", "interval": 1},
        {"type": "bars", "symbol": "GOOG", "interval": 5},
        {"type": "bars", "symbol": "WIDE", "interval": 5},
    ]
    asked = form() | {"data_streams": streams, "session_data_config": {}}
    with pytest.raises(UsageError, match="5m bars are built for all symbols, and XNYS:WIDE/5m is"):
        resolve(session_config(asked), lake)


def test_gaps_are_filled_from_other_venues_and_trades(lake: Lake) -> None:
    asked = {"symbols": ["XNYS:TWO", "GOOG"], "gap_filler": {"retry_interval_seconds": 120}}
    wanted = config(
        session_data_config=asked,
        backtest_config={"start_date": "2015-12-23", "end_date": "2015-12-28"},
    )
    found = resolve(wanted, lake)
    assert found.fill == ("XNAS:TWO/1m", "XNYS:GOOG/trades")
    plan = build(wanted, found, lake).plan
    assert [str(pin.series) for pin in plan.fill] == list(found.fill)
    assert (plan.check_ns, plan.retries) == (120 * 10**9, 5)


def test_a_configuration_plays_whole_sessions_of_its_dates(spy: Path) -> None:
    at = ob.open_lake(spy)
    history = {"data": [{"trailing_days": 2, "intervals": ["1d"]}]}
    wanted = config("1m", "5m", session_data_config={"historical": history})
    system = build(wanted, resolve(wanted, at), at)
    labels = [p.session.label for p in system.agenda.sessions]
    assert labels == ["2011-03-10", "2011-03-11", "2011-03-14", "2011-03-15"]
    assert system.pace is not None
    historical = system.session_data[0]["XNYS:SPY"].historical
    assert [label for label, _ in historical] == ["2011-03-08", "2011-03-09"]
    assert isinstance(historical[0][1]["1d"], Bars)


def test_ticks_and_several_calendars_play_together(lake: Lake, tmp_path: Path) -> None:
    lake.write(every_minute("COINBASE:GOOGC/1m", "2015-12-28", "2015-12-29"))
    streams = [
        {"type": "bars", "symbol": "GOOG", "interval": 1},
        {"type": "ticks", "symbol": "GOOG"},
        {"type": "bars", "symbol": "GOOGC", "interval": "5m"},
        {"type": "bars", "symbol": "GOOG", "interval": "5m"},
    ]
    span = {"start_date": "2015-12-28", "end_date": "2015-12-28"}
    wanted = session_config(
        form(backtest_config=span) | {"data_streams": streams, "session_data_config": {}}
    )
    found = resolve(wanted, lake)
    assert found.refs == ("XNYS:GOOG/1m", "XNYS:GOOG/trades", "COINBASE:GOOGC/1m")
    assert found.derived == ("5m",)
    lines: list[str] = []
    own = SystemPlayer(wanted, "s.json", lines.append)
    system = build(wanted, found, lake)
    assert own.play(system, tmp_path / "state", CancelToken()) == "done"
    assert [(row["calendar"], row["bars"]) for row in own.sessions] == [
        ("XNYS", 382),
        ("24/7", 1440),
    ]
    assert system.counts["XNYS:GOOG/trades"].played == 2


@dataclass
class March:
    """A system of four sessions, and its player."""

    system: System
    player: SystemPlayer

    def play(self, folder: Path, cancel: CancelToken) -> str:
        return self.player.play(self.system, folder, cancel)


def march(lake: Path, lines: list[str], speed: float = 0) -> March:
    wanted = config(backtest_config={"speed_multiplier": speed})
    at = ob.open_lake(lake)
    return March(
        build(wanted, resolve(wanted, at), at), SystemPlayer(wanted, "s.json", lines.append)
    )


def test_playing_tells_of_every_session_and_leaves_a_status(spy: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    found = march(spy, lines)
    assert found.play(tmp_path / "state", CancelToken()) == "done"
    assert [line.partition("   ")[0] for line in lines] == [
        f"2011-03-{day} XNYS closed" for day in (10, 11, 14, 15)
    ]
    assert [row["bars"] for row in found.player.sessions] == [390] * 4
    status = read_status(tmp_path / "state")
    assert status is not None
    assert (status["state"], status["end"], status["is_alive"]) == ("stopped", "done", False)
    assert (status["sessions_closed"], status["sessions"]) == (4, 4)
    assert status["active_symbols"] == ["XNYS:SPY"]
    assert (status["session_date"], status["local_time"]) == ("2011-03-15", "16:00:00 EDT")
    assert (status["completeness"], status["config"]) == (1.0, "s.json")
    assert "answered" not in status


@contextmanager
def playing(lake: Path, folder: Path, speed: float) -> Iterator[tuple[March, threading.Thread]]:
    """A system that plays in another thread, from when its status is there."""
    own, cancel = march(lake, [], speed), CancelToken()
    thread = threading.Thread(target=own.play, args=(folder, cancel))
    thread.start()
    until(lambda: (read_status(folder) or {}).get("state") == "running")
    try:
        yield own, thread
    finally:
        cancel.cancel()
        thread.join(20)
        assert not thread.is_alive()


def moment(folder: Path) -> str:
    status = read_status(folder)
    assert status is not None
    return str(status["time"])


@pytest.mark.parametrize("speed", [0.5, 1800.0])
def test_a_running_system_is_paused_resumed_and_stopped_from_elsewhere(
    spy: Path, tmp_path: Path, speed: float
) -> None:
    folder = tmp_path / "state"
    with playing(spy, folder, speed) as (own, thread):
        assert ask(folder, "pause")["state"] == "paused"
        threading.Event().wait(0.1)  # a slice that was admitted before is released
        held = own.system.clock.now()
        threading.Event().wait(0.4)
        assert own.system.clock.now() == held
        assert ask(folder, "resume")["state"] == "running"
        if speed > 1:
            until(lambda: own.system.clock.now() > held)
        ask(folder, "stop")
        thread.join(20)
        assert own.player.end == "stopped"
    status = read_status(folder)
    assert status is not None
    assert (status["state"], status["end"]) == ("stopped", "stopped")


def test_the_status_of_a_paced_system_goes_on_while_it_plays(spy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with playing(spy, folder, 1800.0):
        first = moment(folder)
        until(lambda: moment(folder) > first, 40.0)
        status = read_status(folder)
        assert status is not None
        assert (status["is_alive"], status["speed"], status["end"]) == (True, 1800.0, None)
        assert status["session_date"] == "2011-03-10"


def test_a_session_that_goes_on_is_told_of(spy: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    own, cancel = march(spy, lines, 3600.0), CancelToken()

    def tell(line: str) -> None:
        lines.append(line)
        cancel.cancel()

    own.player.report_every_s, own.player.tell = 0.0, tell
    assert own.play(tmp_path / "state", cancel) == "interrupted"
    (line,) = lines
    assert re.fullmatch(r"2011-03-10 09:\d\d:00 EST   100.0 % complete   3600×", line)


def test_a_system_that_fails_says_so_in_its_status(spy: Path, tmp_path: Path) -> None:
    def fail(line: str) -> None:
        raise RunError(line)

    own = march(spy, [])
    own.player.tell = fail
    with pytest.raises(RunError, match="2011-03-10 XNYS closed"):
        own.play(tmp_path / "state", CancelToken())
    status = read_status(tmp_path / "state")
    assert status is not None
    assert (status["state"], status["end"]) == ("stopped", "failed")
    assert own.system.state == "stopped"


def test_a_folder_has_one_system_at_a_time(spy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with playing(spy, folder, 60.0), pytest.raises(StoreError, match=r"running in .* already"):
        march(spy, []).play(folder, CancelToken())


def test_files_and_folder_are_for_their_owner_alone(spy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    march(spy, []).play(folder, CancelToken())
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {"lock": 0o600, "status.json": 0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_write_to_is_refused(spy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(StoreError, match="others than you may write to"):
        march(spy, []).play(folder, CancelToken())


def test_a_folder_that_cannot_be_made_is_named(spy: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made: "):
        march(spy, []).play(tmp_path / "file" / "state", CancelToken())


def test_a_lock_that_leads_elsewhere_is_not_followed(spy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    (folder / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="lock cannot be opened"):
        march(spy, []).play(folder, CancelToken())
    assert not (tmp_path / "elsewhere").exists()


def test_nothing_can_be_asked_where_no_system_runs(spy: Path, tmp_path: Path) -> None:
    with pytest.raises(NotRecordedError, match="no system is running"):
        ask(tmp_path, "pause")
    march(spy, []).play(tmp_path / "state", CancelToken())
    with pytest.raises(NotRecordedError, match="no system is running"):
        ask(tmp_path / "state", "pause")


def test_what_goes_wrong_in_the_boards_thread_is_raised_where_somebody_plays(
    tmp_path: Path,
) -> None:
    def fail(what: str) -> None:
        raise ReplayError(f"no {what}")

    with Board(tmp_path, dict, fail) as board:
        with pytest.raises(ReplayError, match="did not answer within 1 s"):
            ask(tmp_path, "pause", wait_s=1)
        with pytest.raises(ReplayError, match="no pause"):
            board.publish({})


def test_what_goes_wrong_in_the_boards_thread_is_raised_at_the_end_at_the_latest(
    tmp_path: Path,
) -> None:
    def fail(what: str) -> None:
        raise ReplayError(f"no {what}")

    with (
        pytest.raises(ReplayError, match="no pause"),
        Board(tmp_path, dict, fail),
        pytest.raises(ReplayError, match="did not answer within 1 s"),
    ):
        ask(tmp_path, "pause", wait_s=1)


def test_questions_that_are_none_are_taken_away(tmp_path: Path) -> None:
    asked: list[str] = []
    with Board(tmp_path, lambda: {"state": "running"}, asked.append):
        for content in (b'{"ask": "explode", "id": "x"}', b"no json", b"[]"):
            (tmp_path / "ask.json").write_bytes(content)
            until(lambda: not (tmp_path / "ask.json").exists())
    assert asked == []


def test_a_status_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text("[1]")
    with pytest.raises(StoreError, match=r"status\.json is no status"):
        read_status(tmp_path)


# The commands


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "session.json"
    path.write_text(json.dumps(form("1m", "5m", asset_class="EQUITY")))
    return path


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBELL_STATE", str(tmp_path / "state"))


def test_start_plays_a_configuration_and_names_what_it_does_not_do(spy: Path, file: Path) -> None:
    said = openbell("system", "start", str(file))
    assert said.code == 0, said.err
    assert "march: backtest from 2011-03-10 to before 2011-03-16, as fast as it goes" in said.out
    assert "plays XNYS:SPY/1m@1\nbuilds 5m\n" in said.out
    assert said.out.count("XNYS closed   390 bars   100.0 % complete") == 4
    assert said.out.endswith("march: done, 4 sessions\n")
    assert "not done: asset_class: an instrument's venue says what it is" in said.err
    shown = openbell("system", "status")
    assert "stopped (done)" in shown.out
    assert "4 of 4" in shown.out
    assert "XNYS:SPY/1m@1" in shown.out
    assert str(file) in shown.out


def test_the_status_counts_the_sessions_of_history(spy: Path, place: Path) -> None:
    history = {"symbols": ["SPY"], "historical_bars": {"trailing_days": 2}}
    Path("history.json").write_text(json.dumps(form("1m", session_data_config=history)))
    assert openbell("system", "start", "history.json").code == 0
    assert "390 bars   2 sessions before" in openbell("system", "status").out


def test_missing_bars_are_filled_and_that_is_said(spy: Path, place: Path) -> None:
    day = ob.open_lake(spy).bars("XNYS:SPY/1m", "2011-03-14T13:30Z", "2011-03-14T20:00Z")
    at = ob.open_lake(place / "holed")
    at.write(day.take(np.arange(390) % 10 != 4))
    at.write(day.renamed(Series.parse("ARCX:SPY/1m")))
    span = {"start_date": "2011-03-14", "end_date": "2011-03-14"}
    asked = {"symbols": ["XNYS:SPY"], "gap_filler": {}}
    Path("fill.json").write_text(
        json.dumps(form("1m", backtest_config=span, session_data_config=asked))
    )
    said = openbell("system", "start", "fill.json", "--lake", str(place / "holed"))
    assert "fills missing bars from ARCX:SPY/1m" in said.out
    assert "XNYS closed   390 bars   100.0 % complete" in said.out
    assert "39 bars missing when due; 39 filled from ARCX:SPY/1m@1" in said.out


def test_start_prints_json_for_programs(spy: Path, file: Path) -> None:
    said = openbell("system", "start", str(file), "--json").json
    assert (said["end"], len(said["sessions"]), said["derived"]) == ("done", 4, ["5m"])
    assert said["not_done"] == ["asset_class: an instrument's venue says what it is"]
    status = openbell("system", "status", "--json").json
    assert (status["state"], status["mode"], status["is_alive"]) == ("stopped", "backtest", False)


def test_a_dry_run_plays_nothing(spy: Path, file: Path, tmp_path: Path) -> None:
    said = openbell("system", "start", str(file), "--dry-run", "--speed", "60")
    assert "60× real time" in said.out
    assert "closed" not in said.out
    assert not (tmp_path / "state").exists()


def test_where_no_system_has_run_status_says_so(spy: Path) -> None:
    said = openbell("system", "status")
    assert (said.code, said.out.splitlines()[0]) == (0, "no system has run")
    assert openbell("system", "status", "--json").json == {"state": "stopped", "is_alive": False}


def test_mistakes_end_with_their_exit_codes(spy: Path, file: Path) -> None:
    assert openbell("system", "start").code == 2
    assert openbell("system", "start", "none.json").code == 1
    file.write_text("{")
    assert openbell("system", "start", str(file)).code == 3
    file.write_text(json.dumps(form("1m") | {"mode": "paper"}))
    said = openbell("system", "start", str(file))
    assert said.code == 3
    assert "mode: must be one of live, backtest, not 'paper'" in said.err
    assert openbell("system", "pause").code == 1


@contextmanager
def running(place: Path, file: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A system in a process of its own, from when its status is there."""
    with started("system", "start", str(file), *words, cwd=place) as process:

        def is_there() -> bool:
            assert process.poll() is None, process.communicate()
            return (read_status(place / "state") or {}).get("state") == "running"

        try:
            until(is_there, 40.0)
            yield process
        finally:
            process.kill()


def test_a_process_is_controlled_from_another(spy: Path, file: Path, place: Path) -> None:
    with running(place, file, "--speed", "600") as process:
        assert openbell("system", "pause").out == "march: paused\n"
        shown = openbell("system", "status").out
        assert "paused" in shown
        assert str(process.pid) in shown
        assert openbell("system", "resume", "--json").json["state"] == "running"
        assert openbell("system", "stop").out == "march: stopping\n"
        out, _ = process.communicate(timeout=20)
        assert process.returncode == 0
        assert out.endswith("march: stopped, 0 sessions\n")


def test_ctrl_c_ends_it_as_interrupted(spy: Path, file: Path, place: Path) -> None:
    with running(place, file, "--speed", "60") as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert process.returncode == 130, err
        assert "march: interrupted, 0 sessions" in out
    assert openbell("system", "status", "--json").json["end"] == "interrupted"


def test_status_says_when_the_process_is_gone(spy: Path, file: Path, place: Path) -> None:
    with running(place, file, "--speed", "60") as process:
        process.kill()
        process.communicate(timeout=20)
    shown = openbell("system", "status").out
    assert f"gone: process {process.pid} ended without a word while it was running" in shown
    assert openbell("system", "status", "--json").json["is_alive"] is False
    assert openbell("system", "start", str(file)).code == 0


def test_readers_see_a_whole_status_whenever_they_look(spy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with playing(spy, folder, 1800.0):
        for _ in range(300):
            found = orjson.loads((folder / "status.json").read_bytes())
            assert found["pid"] == os.getpid()
            assert found["state"] == "running"


# The guide


def test_the_guides_two_configurations_come_to_the_same_and_print_what_it_shows(
    spy: Path,
) -> None:
    guide = read("docs/guides/session-config.md")
    newer, older, _ = re.findall(r"```json\n(.*?)```", guide, re.DOTALL)
    at = ob.open_lake(spy)
    for text in (newer, older):
        wanted = session_config(json.loads(text))
        assert wanted.not_done == ()
        assert resolve(wanted, at) == Asked(("XNYS:SPY/1m",), ("5m", "1d"), ())
        assert (wanted.start, wanted.end, wanted.speed) == ("2011-03-10", "2011-03-16", 360)
        Path("session.json").write_text(text)
        shown = openbell("system", "start", "session.json", "--dry-run")
        assert f"--dry-run\n{shown.out}$ openbell" in guide
    broken = newer.replace('"trailing_days": 2', '"trailing_days": 0')
    Path("session.json").write_text(broken)
    assert openbell("system", "start", "session.json").err.splitlines()[0] in guide
