"""Playing live systems: recorded, watched, asked, and played again to the same seal."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from openbell.app.lake import Lake
from openbell.app.playing_live import Held, LiveSystemPlayer, Standing
from openbell.app.recorded import about, recordings
from openbell.app.recording import Recorded, begin
from openbell.app.replaying import replay
from openbell.app.session_config import SessionConfig
from openbell.app.status import ask, read_status
from openbell.app.systems import live_not_done, resolve_live
from openbell.app.wiring import now_ns
from openbell.market.calendars import calendar
from openbell.market.errors import StoreError, UnavailableError, UsageError
from openbell.market.moments import DAY_NS, END_OF_TIME_NS, MINUTE_NS, iso, parse_moment
from openbell.market.progress import CancelToken
from tests.app.living import Hasty, digests_of_replay, lake_in, until
from tests.app.test_live_systems import NAME, URL, config
from tests.commands import openbell
from tests.replay.playing import every_minute
from tests.sources.asking import answering
from tests.sources.loopback import BITCOIN, venue

DISORDER = ("repeat", "disorder", "burst", "skew")
TIMES = 60


def live_player(wanted: SessionConfig, lake: Lake, url: str, **more: Any) -> LiveSystemPlayer:
    asked = resolve_live(wanted, lake, url, more.pop("ask_url", ""))
    asked = replace(asked, for_s=more.pop("for_s", 300.0))
    kind = more.pop("kind", LiveSystemPlayer)
    tell = more.pop("tell", lambda _: None)
    own: LiveSystemPlayer = kind(
        wanted, "live.json", tell, asked=asked, header=begin(asked), scheduler=Hasty(TIMES), **more
    )
    return own


@dataclass(frozen=True)
class Lived:
    """A live system that went on for five minutes, and what was seen of it."""

    lake: Lake
    player: LiveSystemPlayer
    found: Recorded
    status: dict[str, Any]
    lines: list[str]
    statuses: list[dict[str, Any]]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    folder = tmp_path_factory.mktemp("lived")
    lake, state = lake_in(folder), folder / "state"
    lines: list[str] = []
    statuses: list[dict[str, Any]] = []

    def tell(line: str) -> None:
        lines.append(line)
        statuses.append(read_status(state) or {})

    with venue(BITCOIN, *DISORDER, speed=20, clock=TIMES, seed=1) as url:
        own = live_player(config(), lake, url, tell=tell, report_every_s=0.5)
        found = own.record(lake, state, CancelToken())
    status = read_status(state)
    assert status is not None
    return Lived(lake, own, found, status, lines, statuses)


def test_its_recording_replays_to_the_same_seal(lived: Lived) -> None:
    assert lived.found.digests
    assert digests_of_replay(lived.lake, lived.found.id) == lived.found.digests
    assert replay(f"recording:{lived.found.id}", lake=lived.lake).plan.derived == ("5m",)


def test_what_it_recorded_is_in_the_lake(lived: Lived) -> None:
    stored = {str(version.pin.series) for version in lived.found.versions}
    assert stored == {f"{NAME}/{kind}" for kind in ("trades", "quotes", "1m")}


def test_its_last_status_is_of_the_same_shape_as_a_backtests(lived: Lived) -> None:
    status = lived.status
    assert (status["state"], status["end"], status["is_alive"]) == ("stopped", "done", False)
    assert (status["mode"], status["name"], status["config"]) == ("live", "coin", "live.json")
    assert (status["speed"], status["start_date"], status["end_date"]) == (None, "", "")
    assert status["derived"] == ["5m"]
    assert status["sessions_closed"] == len(lived.player.sessions) >= 1
    assert 0 < status["completeness"] == status["symbols"][NAME]["completeness"] <= 1
    assert status["symbols"][NAME]["bars"] >= 3


def test_its_status_says_what_is_recorded_from_where(lived: Lived) -> None:
    status = lived.status
    assert status["recording"] == lived.found.id
    assert status["from_url"].startswith("tcp://127.0.0.1:")
    assert status["plays"] == [f"{NAME}/{kind}" for kind in ("trades", "quotes", "1m")]
    by_name = {one["series"]: one for one in status["series"]}
    assert by_name[f"{NAME}/trades"]["received"] > 1_000
    assert by_name[f"{NAME}/trades"]["withheld"]["repeated"] > 0


def test_while_it_went_on_it_said_so(lived: Lived) -> None:
    going = [line for line in lived.lines if "   live   " in line]
    assert len(going) > 3
    form_of = r"[\d-]{10} [\d:]{8} UTC   [\d.]+ % complete   live   [\d,]+ items received"
    assert all(re.fullmatch(form_of, line) for line in going)
    running = [one for one in lived.statuses if one.get("state") == "running"]
    assert len(running) > 3
    assert all(one["active_symbols"] == [NAME] for one in running)
    assert running[-1]["series"][0]["received"] > running[0]["series"][0]["received"]
    assert running[-1]["symbols"][NAME]["bars"] >= 1


def test_a_run_over_the_recording_and_one_over_the_lake_can_be_compared(
    lived: Lived, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lake", "runs", "recordings"):
        monkeypatch.setenv(f"OPENBELL_{name.upper()}", str(getattr(lived.lake.settings, name)))
    on = [f"recording:{lived.found.id}"], [f"{NAME}/trades", f"{NAME}/1m"]
    ids = []
    for refs in on:
        words = [word for ref in refs for word in ("--on", ref)]
        done = openbell("backtest", "ema-cross", *words, "--size", "0.01", "--no-report", "--json")
        assert done.code == 0, done.err
        ids.append(done.json["id"])
    assert openbell("parity", ids[0], ids[0]).code == 0
    said = openbell("parity", *ids)
    assert said.code == 5
    assert "not played by the other" in said.out


def test_gaps_are_filled_by_asking_again(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    wanted = config("ticks", session_data_config={"gap_filler": {"retry_interval_seconds": 30}})
    with answering() as (ask_url, heard), venue(BITCOIN, speed=20, clock=TIMES) as url:
        own = live_player(wanted, lake, url, ask_url=ask_url, for_s=180)
        found = own.record(lake, tmp_path / "state", CancelToken())
    assert heard
    recording = recordings(lake).open(found.id)
    assert about(recording)["by_series"][f"{NAME}/1m"]["bar asked for"] > 0
    assert recording.header.settings["rules"]["ask_s"] == 30.0
    status = read_status(tmp_path / "state")
    assert status is not None
    assert status["completeness"] > 0.9


def test_history_is_what_is_stored_and_leaves_no_trace_in_the_seal(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    midnight_ns = now_ns() // DAY_NS * DAY_NS
    days = iso(midnight_ns - 2 * DAY_NS), iso(midnight_ns)
    lake.write(every_minute(f"{NAME}/1m", *days))
    wanted = config("ticks", session_data_config={
        "historical": {"data": [{"trailing_days": 3, "intervals": ["5m", "1d"]}]},
    })  # fmt: skip
    seen: list[Any] = []

    class Looking(LiveSystemPlayer):
        def _play(self, board: Any, system: Any, cancel: Any = None) -> None:
            seen.extend(system.session_data[0][NAME].historical)
            super()._play(board, system, cancel)

    with venue(BITCOIN, speed=20, clock=TIMES) as url:
        own = live_player(wanted, lake, url, kind=Looking, for_s=120)
        assert list(live_not_done(wanted, own.asked, lake)) == []
        found = own.record(lake, tmp_path / "state", CancelToken())
    assert [len(bars["5m"]) for _, bars in seen] == [0, 288, 288]
    assert len(seen[-1][1]["1d"]) == 1
    status = read_status(tmp_path / "state")
    assert status is not None
    assert status["symbols"][NAME]["history"] == 2
    assert digests_of_replay(lake, found.id) == found.digests


def test_completeness_falls_while_nothing_comes() -> None:
    hours = parse_moment("2011-03-14T13:30Z"), parse_moment("2011-03-14T20:00Z")
    session = calendar("XNYS").between(*hours).session(0)
    open_ns = session.open_ns
    held = {"XNYS:SPY": Held(10, MINUTE_NS), "XNYS:GO": Held(None, 0)}
    ten = Standing(session, "America/New_York", open_ns + 10 * MINUTE_NS, held)
    assert ten.completeness(open_ns) == {"XNYS:SPY": 1.0, "XNYS:GO": 1.0}
    assert ten.completeness(open_ns + 20 * MINUTE_NS)["XNYS:SPY"] == 0.5
    assert ten.completeness(END_OF_TIME_NS)["XNYS:SPY"] == 10 / 390
    closed = Standing(session, "America/New_York", ten.now_ns, held, closed_ns=ten.now_ns)
    assert closed.completeness(END_OF_TIME_NS)["XNYS:SPY"] == 1.0


# How it is controlled, and how it ends


@contextmanager
def playing(
    folder: Path, lake: Lake, url: str, **more: Any
) -> Iterator[tuple[LiveSystemPlayer, threading.Thread, CancelToken]]:
    """A live system in another thread, from when its status says that it runs."""
    own, cancel = live_player(config(), lake, url, for_s=86_400.0, **more), CancelToken()
    thread = threading.Thread(target=own.record, args=(lake, folder, cancel))
    thread.start()
    until(lambda: (read_status(folder) or {}).get("state") == "running")
    try:
        yield own, thread, cancel
    finally:
        cancel.cancel()
        thread.join(30)
        assert not thread.is_alive()


def test_the_market_cannot_be_held(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with venue(BITCOIN, speed=2) as url, playing(state, lake_in(tmp_path), url) as (own, thread, _):
        for what in ("pause", "resume"):
            with pytest.raises(UsageError, match="coin is live: the market cannot be held") as e:
                ask(state, what)
            assert f"openbell replay recording:{own.header.id}" in e.value.hint
        assert ask(state, "stop")["mode"] == "live"
        thread.join(30)
        assert own.end == "stopped"
    status = read_status(state)
    assert status is not None
    assert (status["state"], status["end"]) == ("stopped", "stopped")


def test_a_folder_has_one_system_at_a_time_and_the_second_records_nothing(tmp_path: Path) -> None:
    lake, state = lake_in(tmp_path), tmp_path / "state"
    with venue(BITCOIN, speed=2) as url, playing(state, lake, url) as (own, _, _):
        second = live_player(config(), lake, url)
        with pytest.raises(StoreError, match=r"running in .* already"):
            second.record(lake, state, CancelToken())
        assert [h.id for h in recordings(lake).list_recordings()] == [own.header.id]


def test_a_venue_that_is_not_there_leaves_a_status_and_no_recording(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    own = live_player(config(), lake, URL)
    with pytest.raises(UnavailableError, match="cannot be reached"):
        own.record(lake, tmp_path / "state", CancelToken())
    assert list(recordings(lake).list_recordings()) == []
    status = read_status(tmp_path / "state")
    assert status is not None
    assert (status["state"], status["end"]) == ("stopped", "failed")
