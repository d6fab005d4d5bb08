"""Series that join a recording while it goes on, from a venue on loopback."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from openbell.app.cli.player import Player
from openbell.app.parity import parity
from openbell.app.recorded import about, recordings
from openbell.app.recording import Asked, Recorded, begin, record
from openbell.app.replaying import replay
from openbell.app.running import prepare, run_config, verify
from openbell.app.streams import Streams
from openbell.market.errors import OpenbellError, UsageError
from openbell.market.instrument import Series
from openbell.market.progress import CancelToken
from openbell.replay.pacing import Pace
from tests.app.living import Hasty, lake_in, strategy_in
from tests.commands import openbell
from tests.house import ROOT
from tests.replay.living import replayed
from tests.replay.test_live_registering import aapl_joins
from tests.sources.loopback import BITCOIN, venue

TRADES, QUOTES, MINUTES = (Series.parse(f"BINANCE:BTCUSDT/{k}") for k in ("trades", "quotes", "1m"))
TIMES = 60  # how much faster time runs: whole minutes are needed
SOON_S = 20


class Desk:
    """Acts on a recording from another thread, once some items of quotes have come."""

    def __init__(self, folder: Path, url: str, *, until: int = 1_500, **more: Any) -> None:
        self.lake = lake_in(folder)
        self.said: list[OpenbellError] = []
        self._cancel, self._came = CancelToken(), threading.Event()
        self._until = until
        self._asked = Asked(series=(QUOTES,), url=url, for_s=1_000, **more)
        self._threads: list[threading.Thread] = []

    def record(self, *wanted: str, **more: Any) -> Recorded:
        def act(streams: Streams) -> None:
            assert self._came.wait(SOON_S)
            for name in wanted:
                try:
                    streams.register(Series.parse(name))
                except OpenbellError as error:
                    self.said.append(error)

        def begun(streams: Streams) -> None:
            self._threads.append(threading.Thread(target=act, args=(streams,)))
            self._threads[0].start()

        found = record(
            begin(self._asked), self._asked, self.lake, scheduler=Hasty(TIMES),
            cancel=self._cancel, tell=self._hear, begun=begun, **more,
        )  # fmt: skip
        self._threads[0].join(SOON_S)
        return found

    def _hear(self, lines: Any) -> None:
        if lines[0].received > 100:
            self._came.set()
        if sum(line.received for line in lines) > self._until:
            self._cancel.cancel()


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, Recorded, Path]:
    """Quotes, and some time later trades; disordered."""
    folder = tmp_path_factory.mktemp("joined")
    with venue(BITCOIN, "repeat", "disorder", "burst", speed=20, clock=TIMES, seed=5) as url:
        desk = Desk(folder, url, until=6_000, derived=("5m",))
        found = desk.record(str(TRADES))
    assert desk.said == []
    return desk, found, folder


def test_a_series_that_joins_is_recorded_and_its_bars_are_built(
    joined: tuple[Desk, Recorded, Path],
) -> None:
    desk, found, _ = joined
    lines = {line.series: line for line in found.lines}
    assert list(lines) == [str(QUOTES), str(MINUTES), str(TRADES)]
    assert all(line.released for line in found.lines)
    assert lines[str(MINUTES)].left_out >= 1  # the minute in which its trades began to come
    assert {v.pin.series for v in found.versions} == {QUOTES, MINUTES, TRADES}
    told = about(recordings(desk.lake).open(found.id))
    assert told["series"] == list(lines)
    assert told["by_series"][str(TRADES)]["registered"] == 1
    assert told["by_series"][str(TRADES)]["connected"] == 1
    received = {name: line.received for name, line in lines.items()}
    data = ("trade", "quote", "bar")
    assert received == {
        name: sum(n for what, n in counts.items() if what in data)
        for name, counts in told["by_series"].items()
    }


def test_its_replay_has_the_same_digests_and_counts(joined: tuple[Desk, Recorded, Path]) -> None:
    desk, found, _ = joined
    system = replay(f"recording:{found.id}", lake=desk.lake)
    kinds = [one.session["BINANCE:BTCUSDT"].kinds for one in system]
    assert kinds[0] == ("quotes",)
    assert kinds[-1] == ("1m", "5m", "quotes", "trades")
    assert dict(zip(system.tape.labels, system.tape.digests, strict=True)) == found.digests
    for line in found.lines:
        counts: Any = system.counts[line.series]
        assert counts.played + counts.late == line.released


def test_a_strategy_can_be_run_over_it_verified_and_compared(
    joined: tuple[Desk, Recorded, Path],
) -> None:
    desk, found, folder = joined
    runs = desk.lake.settings.runs
    ids = []
    for on in ([f"recording:{found.id}"], [str(QUOTES), str(TRADES), str(MINUTES)]):
        values = {"strategy": strategy_in(folder), "on": on, "fill": "trades"}
        run = run_config(*prepare(values), desk.lake)
        run.save(report=False)
        ids.append(run.id)
        assert len(run.result.fills) > 3
        assert verify(run.id, lake=desk.lake, runs=runs).is_same
    assert parity(ids[0], ids[0], lake=desk.lake, runs=runs).is_same
    causes = {one.cause for one in parity(*ids, lake=desk.lake, runs=runs).data}
    assert causes
    assert "not_played" not in causes


def test_the_player_shows_what_joins_and_goes_back_to_before() -> None:
    pace = Pace()
    player = Player(replayed(aapl_joins(), pace=pace), pace)
    console = Console(width=100, height=30, file=io.StringIO())

    def screen_with(words: str) -> str:
        shown = ""
        for _ in range(100 * SOON_S):
            with console.capture() as said:
                console.print(player.screen(console))
            if words in (shown := said.get()):
                return shown
            threading.Event().wait(0.01)
        raise AssertionError(shown)

    player.start()
    shown = screen_with("■ over")
    assert "1 of 2" in shown
    player.press("down")
    assert "XNAS:AAPL/1m@1" in screen_with("2 of 2")
    for _ in range(25):
        player.press("left")
    screen_with("10:05:00 EDT")
    pace.resume()
    screen_with("■ over")
    player.stop()
    player.raise_error()
    assert [line.split()[1] for line in player.last_words()] == ["XNYS:SPY", "XNAS:AAPL"]


def test_what_cannot_join_is_said_and_changes_nothing(tmp_path: Path) -> None:
    with venue(BITCOIN, speak="binance", speed=10) as url:
        desk = Desk(tmp_path, url)
        found = desk.record("XNYS:SPY/1m", "BINANCE:BTCUSDT/1d", str(QUOTES))
    words = ["nothing Binance sends", "cannot come live", "is registered already"]
    assert [word in str(error) for word, error in zip(words, desk.said, strict=True)] == [True] * 3
    assert {type(error) for error in desk.said} == {UsageError}
    header = recordings(desk.lake).open(found.id).header
    assert (header.series, header.added) == ((QUOTES,), 0)


def test_under_a_strategy_nothing_joins(tmp_path: Path) -> None:
    chosen = prepare({
        "strategy": strategy_in(tmp_path), "on": ["recording:new"], "fill": "quotes",
    })  # fmt: skip
    with venue(BITCOIN, speed=10) as url:
        desk = Desk(tmp_path, url)
        found = desk.record(str(TRADES), strategy=chosen)
    assert "streams of this replay are fixed" in str(desk.said[0])
    assert recordings(desk.lake).open(found.id).header.added == 0


@pytest.mark.usefixtures("at")
def test_the_guide_records_as_it_says() -> None:
    guide = (ROOT / "docs/guides/record-and-replay.md").read_text(encoding="utf-8")
    code, _ = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    with venue(BITCOIN, speed=5, speak="binance") as url:
        code = code.replace("wss://stream.binance.com:9443", url).replace("for_s=3600", "for_s=3")
        known: dict[str, Any] = {}
        exec(code, known)
    assert [line.series for line in known["found"].lines] == [*map(str, (QUOTES, MINUTES, TRADES))]
    assert all(line.received for line in known["found"].lines[::2])


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("LAKE", "RUNS", "RECORDINGS"):
        monkeypatch.setenv(f"OPENBELL_{name}", str(tmp_path / name.lower()))
    return tmp_path


def recording(at: Path, url: str, *lines: str) -> "subprocess.Popen[str]":
    """A command that records quotes, and is told some lines; some thousand items later."""
    child = subprocess.Popen(
        [sys.executable, "-m", "openbell.app.cli.main", "record", str(QUOTES), "--more",
         "--from-url", url],
        cwd=at, env=os.environ, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    grown = _arrivals(at, 20_000)
    assert child.stdin is not None
    child.stdin.write("".join(f"{line}\n" for line in lines))
    child.stdin.flush()
    _arrivals(at, grown + 60_000)
    return child


def test_a_command_takes_more_series_from_its_standard_input(at: Path) -> None:
    with venue(BITCOIN, speed=5, speak="binance") as url:
        child = recording(at, url, str(TRADES), "XNYS:SPY/1m", f"-{MINUTES}")
        os.kill(child.pid, signal.SIGTERM)
        out, err = child.communicate(timeout=30)
    assert child.returncode == 0, err
    assert f"{TRADES} is recorded from now on" in err
    assert "XNYS:SPY/1m is nothing Binance sends" in err
    assert f"{MINUTES} is left out from now on" in err
    assert f"in the lake: {QUOTES}@1" in out
    (one,) = openbell("record", "list", "--json").json
    assert one["series"] == [str(QUOTES), str(MINUTES), str(TRADES)]
    shown = openbell("record", "show", one["id"], "--json").json
    assert shown["ended"]
    assert shown["by_series"][str(TRADES)]["trade"] > 0
    assert shown["by_series"][str(MINUTES)]["cancelled"] == 1
    done = openbell("replay", f"recording:{one['id']}", "--json")
    assert done.code == 0, done.err
    assert done.json["pins"] == [f"{name}@1" for name in one["series"]]


def test_what_a_kill_leaves_has_what_joined(at: Path) -> None:
    with venue(BITCOIN, speed=5) as url:
        child = recording(at, url, str(TRADES))
        child.kill()
        child.communicate()
    (one,) = openbell("record", "list", "--json").json
    shown = openbell("record", "show", one["id"], "--json").json
    assert not shown["ended"]
    assert shown["by_series"][str(TRADES)]["trade"] > 0
    done = openbell("replay", f"recording:{one['id']}", "--json")
    assert done.code == 0, done.err
    assert f"{TRADES}@1" in done.json["pins"]
    stored = openbell("record", "store", one["id"], "--json").json
    assert {f"{QUOTES}@1", f"{TRADES}@1"} <= set(stored)


def _arrivals(folder: Path, size: int) -> int:
    """Wait until a recording has so many bytes; gives how many it has."""
    never = threading.Event()
    for _ in range(300):
        for path in (folder / "recordings").glob("*/arrivals.bin"):
            if path.stat().st_size >= size:
                return path.stat().st_size
        never.wait(0.1)
    raise AssertionError(f"the recording in {folder} stayed small")
