"""Live systems from session configurations: recorded, shown, stopped, and played again."""

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import openbell as ob
from openbell.app.lake import Lake
from openbell.app.recorded import about, recordings
from openbell.app.recording import require_sessions
from openbell.app.session_config import SessionConfig, session_config
from openbell.app.status import ask, read_status
from openbell.app.systems import live_not_done, resolve_live
from openbell.market.errors import (
    NotRecordedError,
    UsageError,
)
from openbell.market.instrument import Pin, Series
from openbell.market.moments import parse_moment
from openbell.replay.plan import ReplayPlan
from tests.app.living import digests_of_replay, lake_in, until
from tests.commands import openbell, started
from tests.house import read
from tests.replay.playing import every_minute
from tests.sources.loopback import BITCOIN, venue
from tests.sources.test_line_feed import saying

DISORDER = ("repeat", "disorder", "burst", "skew")
NAME = "BINANCE:BTCUSDT"
URL = "tcp://127.0.0.1:1"
TIMES = 60


def form(*streams: str, **more: Any) -> dict[str, Any]:
    """A live configuration of the newer generation."""
    data = {"symbols": [NAME], "streams": list(streams or ("ticks", "quotes", "5m"))}
    data |= more.pop("session_data_config", {})
    return {"session_name": "coin", "mode": "live", **more, "session_data_config": data}


OLDER: dict[str, Any] = {
    "session_name": "coin",
    "mode": "live",
    "data_streams": [
        {"type": "ticks", "symbol": NAME},
        {"type": "quotes", "symbol": NAME},
        {"type": "bars", "symbol": NAME, "interval": 5},
    ],
}


def config(*streams: str, **more: Any) -> SessionConfig:
    return session_config(form(*streams, **more))


def symbols(*names: str) -> dict[str, Any]:
    return {"session_data_config": {"symbols": list(names)}}


def series(*streams: str, **more: Any) -> tuple[list[str], tuple[str, ...]]:
    """What is asked of the source, and what is derived."""
    found = resolve_live(config(*streams, **more), ob.open_lake(":memory:"), URL, "")
    return [str(each) for each in found.series], found.derived


# What a configuration comes to


@pytest.mark.parametrize(
    ("streams", "asked", "derived"),
    [
        (("1m", "5m"), ["1m"], ("5m",)),
        (("15m", "5m"), ["1m"], ("5m", "15m")),
        (("1s", "1m"), ["1s"], ("1m",)),
        (("ticks",), ["trades"], ()),
        (("ticks", "5m"), ["trades"], ("5m",)),
        (("ticks", "1m", "5m"), ["1m", "trades"], ("5m",)),
        (("ticks", "1s"), ["1s", "trades"], ()),
        (("quotes", "5m", "1d"), ["1m", "quotes"], ("5m", "1d")),
        (("quotes",), ["quotes"], ()),
    ],
)
def test_base_bars_are_asked_for_or_built_from_trades_and_wider_ones_derived(
    streams: tuple[str, ...], asked: list[str], derived: tuple[str, ...]
) -> None:
    assert series(*streams) == ([f"{NAME}/{kind}" for kind in asked], derived)


def test_both_generations_come_to_the_same() -> None:
    at = ob.open_lake(":memory:")
    older, newer = (resolve_live(session_config(each), at, URL, "") for each in (OLDER, form()))
    assert older == newer
    assert [str(each) for each in newer.series] == [f"{NAME}/trades", f"{NAME}/quotes"]


def test_checks_and_retries_of_both_generations_become_rules() -> None:
    filler = {"gap_filler": {"max_retries": 2, "retry_interval_seconds": 30}}
    upkeep = {"data_upkeep": {"max_retries": 2, "check_interval_seconds": 30}}
    at = ob.open_lake(":memory:")
    for data in (filler, upkeep):
        rules = resolve_live(config(session_data_config=data), at, URL, "").rules
        assert (rules.ask_s, rules.retries) == (30.0, 2)


def test_missing_bars_that_nobody_can_be_asked_for_are_named_as_not_done() -> None:
    at = ob.open_lake(":memory:")
    wanted = config(session_data_config={"gap_filler": {}})
    alone = resolve_live(wanted, at, URL, "")
    assert "again only with --ask-url" in " ".join(live_not_done(wanted, alone, at))
    asking = resolve_live(wanted, at, URL, "https://api.binance.com")
    assert list(live_not_done(wanted, asking, at)) == []
    assert list(live_not_done(config(), alone, at)) == []


def test_a_symbol_without_venue_is_the_one_that_is_stored() -> None:
    at = ob.open_lake(":memory:")
    at.write(every_minute("XNYS:SPY/1m", "2015-12-24T14:30Z", "2015-12-24T18:00Z"))
    found = resolve_live(config("1m", **symbols("SPY")), at, URL, "")
    assert [str(each) for each in found.series] == ["XNYS:SPY/1m"]
    with pytest.raises(UsageError, match="the venue of QQQ is not known: nothing of QQQ") as e:
        resolve_live(config("1m", **symbols("QQQ")), at, URL, "")
    assert e.value.hint == "write it with its venue: VENUE:QQQ, as in XNYS:SPY"


def test_a_venue_must_be_one_of_the_group() -> None:
    assert series("1m", exchange_group="US_EQUITY", **symbols("XNAS:QQQ"))[0] == ["XNAS:QQQ/1m"]
    with pytest.raises(UsageError, match="XLON:VOD does not trade at a venue of US_EQUITY"):
        series("1m", exchange_group="US_EQUITY", **symbols("XLON:VOD"))


def test_a_live_configuration_needs_to_know_where_data_comes_from() -> None:
    with pytest.raises(UsageError, match="nothing says where its data comes from") as e:
        resolve_live(config(), ob.open_lake(":memory:"), "", "")
    assert "--from-url" in e.value.hint


def test_bars_that_cannot_be_built_for_all_symbols_are_named() -> None:
    streams = [
        {"type": "bars", "symbol": "XNYS:SPY", "interval": "1s"},
        {"type": "bars", "symbol": "XNYS:SPY", "interval": "1m"},
        {"type": "bars", "symbol": "XNYS:QQQ", "interval": "1m"},
    ]
    wanted = session_config({**OLDER, "data_streams": streams})
    with pytest.raises(UsageError, match="1m bars are built for all symbols, and XNYS:QQQ/1m is"):
        resolve_live(wanted, ob.open_lake(":memory:"), URL, "")


def test_history_that_is_not_stored_is_named_as_not_done() -> None:
    at = ob.open_lake(":memory:")
    wanted = config("5m", session_data_config={"historical_bars": {}, "symbols": ["XNYS:SPY"]})
    asked = resolve_live(wanted, at, URL, "")
    assert (asked.trailing, asked.derived) == (5, ("5m",))
    (said,) = live_not_done(wanted, asked, at)
    assert said.startswith("session_data_config: XNYS:SPY/1m is not stored")


@pytest.mark.parametrize(
    ("until", "is_enough"), [("2011-03-14T13:30Z", False), ("2011-03-14T13:31Z", True)]
)
def test_a_time_without_a_session_is_refused_with_the_next_opening(
    until: str, is_enough: bool
) -> None:
    pins = (Pin(Series.parse("XNYS:SPY/1m"), 1),)
    plan = ReplayPlan(pins, parse_moment("2011-03-12T10:00Z"), parse_moment(until))
    if is_enough:
        require_sessions(plan)
        return
    with pytest.raises(UsageError, match="no session of XNYS opens before 2011-03-14T13:30") as e:
        require_sessions(plan)
    assert e.value.hint.startswith("the next opens at 2011-03-14T13:30:00Z: record until later")


def test_configured_hours_are_those_of_the_recording(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    own = Lake(lake.store, replace(lake.settings, session_start="10:00", session_end="15:00"))
    found = resolve_live(config("1m", **symbols("XNYS:SPY")), own, URL, "")
    assert (found.session_start, found.session_end) == ("10:00", "15:00")


# The commands


@pytest.fixture(autouse=True)
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("LAKE", "RUNS", "RECORDINGS", "STATE"):
        monkeypatch.setenv(f"OPENBELL_{name}", str(tmp_path / name.lower()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["older", "newer"])
def either(request: pytest.FixtureRequest, at: Path) -> Path:
    """A file of either generation."""
    return written(at, OLDER if request.param == "older" else form())


def written(folder: Path, values: dict[str, Any]) -> Path:
    path = folder / "live.json"
    path.write_text(json.dumps(values))
    return path


@contextmanager
def running(file: Path, url: str, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """A live system in a process of its own, from when trades have come."""
    with started(
        "system", "start", str(file), "--from-url", url, *words, cwd=file.parent
    ) as process:

        def has_come() -> bool:
            assert process.poll() is None, process.communicate()
            found = (read_status(file.parent / "state") or {}).get("series", [])
            return bool(found) and found[0]["received"] > 20

        try:
            until(has_come, 50.0)
            yield process
        finally:
            process.kill()


def shown(text: str, word: str) -> str:
    """The value of a row of a table."""
    (found,) = re.findall(rf"^ {re.escape(word)} {{2,}}(.*?) *$", text, re.MULTILINE)
    return str(found)


def test_a_process_is_shown_live_and_stopped_from_another_and_replays(
    either: Path, at: Path
) -> None:
    with venue(BITCOIN, speed=3) as url, running(either, url) as process:
        said = openbell("system", "status").out
        assert (shown(said, "state"), shown(said, "mode")) == ("running", "live")
        assert shown(said, "comes from") == url
        assert re.fullmatch(r"[\d.]+ % complete   \d+ bars?", shown(said, NAME))
        assert "received" in shown(said, f"{NAME}/trades")
        name = shown(said, "recording")
        paused = openbell("system", "pause")
        assert (paused.code, "the market cannot be held" in paused.err) == (2, True)
        assert openbell("system", "stop").out == "coin: stopping\n"
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert out.startswith(f"coin: live from {url} until ")
    assert out.endswith("coin: stopped, 1 session\n")
    digests = openbell("replay", f"recording:{name}", "--json").json["sessions"]
    assert [one["session"] for one in digests]
    own = lake_in(at)
    kept = about(recordings(own).open(name))
    assert kept["ended"]
    short = next(iter(digests_of_replay(own, name).values()))[:4]
    assert f"recorded {name} · " in out
    assert f" {short}…" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(number: int, at: Path) -> None:
    file = written(at, form("ticks"))
    with venue(BITCOIN, speed=3) as url, running(file, url, "--json") as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    said = json.loads(out)
    assert (said["end"], len(said["sessions"])) == ("stopped", 1)
    assert said["sessions"][0]["cause"] == "stopped"
    name = said["recorded"]["id"]
    assert said["recorded"]["digests"] == digests_of_replay(lake_in(at), name)
    assert openbell("system", "status", "--json").json["end"] == "stopped"


def test_a_kill_leaves_the_recording_and_status_says_that_it_has_gone(at: Path) -> None:
    file = written(at, form("ticks"))
    with venue(BITCOIN, speed=3) as url, running(file, url) as process:
        process.kill()
        process.communicate(timeout=30)
    said = openbell("system", "status")
    assert f"gone: process {process.pid} ended without a word while it was running" in said.out
    name = shown(said.out, "recording")
    assert f"what it recorded stays: openbell record store {name}" in said.err
    assert not openbell("record", "show", name, "--json").json["ended"]
    assert openbell("record", "store", name, "--json").json[0] == f"{NAME}/trades@1"
    assert digests_of_replay(lake_in(at), name) == digests_of_replay(lake_in(at), name) != {}
    with pytest.raises(NotRecordedError, match="no system is running"):
        ask(at / "state", "stop")


def test_a_reader_that_has_had_enough_leaves_the_recording_and_is_told_so(at: Path) -> None:
    file = written(at, form("ticks"))
    with venue(BITCOIN, speed=3) as url, running(file, url) as process:
        name = openbell("system", "status", "--json").json["recording"]
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        ask(at / "state", "stop")  # the line about the close finds nobody
        assert process.wait(30) == 0
        assert f"openbell record store {name}" in process.stderr.read()
    assert openbell("record", "show", name, "--json").json["arrivals"] > 20


def test_a_status_that_cannot_be_written_ends_it_and_leaves_the_recording(at: Path) -> None:
    file = written(at, form("ticks"))
    with venue(BITCOIN, speed=3) as url, running(file, url) as process:
        name = openbell("system", "status", "--json").json["recording"]
        shutil.rmtree(at / "state")
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "cannot be opened" in err
    assert f"it broke off; what was recorded stays: openbell record store {name}" in err
    assert openbell("record", "store", name, "--json").json[0] == f"{NAME}/trades@1"


def test_a_live_system_goes_on_as_long_as_it_is_told(at: Path) -> None:
    file = written(at, form("ticks"))
    with venue(BITCOIN, speed=3) as url:
        said = openbell("system", "start", str(file), "--from-url", url, "--for", "2s", "--json")
    assert said.code == 0, said.err
    assert said.json["end"] == "done"


def test_a_source_that_refuses_everything_ends_it_as_failed(at: Path) -> None:
    file = written(at, form("quotes"))
    refused = {"type": "refused", "series": f"{NAME}/quotes", "reason": "no such symbol"}
    with saying(json.dumps(refused).encode() + b"\n") as (url, _):
        said = openbell("system", "start", str(file), "--from-url", url)
    assert said.code == 6
    assert "no such symbol" in said.err
    assert openbell("system", "status", "--json").json["end"] == "failed"


def test_a_dry_run_checks_everything_but_what_the_source_answers(at: Path) -> None:
    file = written(at, form(session_data_config={"gap_filler": {}}))
    said = openbell("system", "start", str(file), "--from-url", URL, "--dry-run")
    assert said.code == 0, said.err
    assert f"plays {NAME}/trades, {NAME}/quotes, {NAME}/1m\nbuilds 5m\n" in said.out
    assert "not done: session_data_config: missing bars are asked for again only" in said.err
    assert {path.name for path in at.iterdir()} == {"live.json"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "nothing says where its data comes from"),
        (("--from-url", "ftp://there"), "use tcp://host:port"),
        (("--from-url", URL, "--ask-url", "ftp://there"), "write https://api.binance.com"),
        (("--from-url", URL, "--speed", "2"), "--speed is given, and coin is of mode live"),
        (("--from-url", URL, "--for", "soon"), "write 90s, 30m, 1h or 1d"),
        (("--from-url", URL, "--for", "1h", "--until", "2300-01-01"), "say the same"),
        (("--from-url", URL, "--until", "2011-03-14"), "is over"),
    ],
)
def test_wrong_words_are_refused(words: tuple[str, ...], says: str, at: Path) -> None:
    said = openbell("system", "start", str(written(at, form())), *words, "--dry-run")
    assert said.code == 2
    assert says in said.err


def test_a_backtest_takes_no_words_of_a_live_system(at: Path) -> None:
    span = {"start_date": "2011-03-10", "end_date": "2011-03-15"}
    file = written(at, form(mode="backtest", backtest_config=span))
    said = openbell("system", "start", str(file), "--from-url", URL)
    assert said.code == 2
    assert "--from-url is given, and coin is of mode backtest" in said.err


def test_the_guides_live_configuration_does_what_it_says(at: Path) -> None:
    guide = read("docs/guides/session-config.md")
    *_, live = re.findall(r"```json\n(.*?)```", guide, re.DOTALL)
    (words,) = re.findall(r"\$ openbell (system start live.json .*?)\n```", guide, re.DOTALL)
    Path("live.json").write_text(live)
    said = openbell(*words.replace("\\\n", " ").split(), "--dry-run")
    assert said.code == 0, said.err
    assert f"plays {NAME}/trades, {NAME}/1m\nbuilds 5m\n" in said.out
    assert "asks for missing bars at https://api.binance.com" in said.out
    assert said.err == ""
