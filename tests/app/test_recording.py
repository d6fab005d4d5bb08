"""Recording live from a venue on loopback, with faults; replaying, verifying, comparing."""

import os
import re
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openbell.app.lake import Lake
from openbell.app.parity import parity
from openbell.app.recorded import about, bring_in, recordings
from openbell.app.recording import Asked, Recorded, begin, record
from openbell.app.replaying import replay
from openbell.app.results import Run
from openbell.app.running import prepare, run_config, verify
from openbell.app.watching import Line
from openbell.backtest.parity import watch
from openbell.market.arrivals import NAMES
from openbell.market.bars import Bars
from openbell.market.build import bars_from_trades
from openbell.market.errors import (
    NotRecordedError,
    UnavailableError,
    UsageError,
)
from openbell.market.instrument import Series
from openbell.market.moments import SECOND_NS, iso
from openbell.market.progress import CancelToken
from openbell.market.ticks import Trades
from openbell.market.timeframe import timeframe
from openbell.replay.rules import Rules
from tests.app.living import SERIES, Hasty, lake_in, strategy_in
from tests.commands import Said, openbell, started
from tests.house import ROOT
from tests.sources.asking import answering
from tests.sources.loopback import BITCOIN, venue

DISORDER = ("repeat", "disorder", "burst", "skew")
TRADES, QUOTES, MINUTES = (Series.parse(f"BINANCE:BTCUSDT/{k}") for k in ("trades", "quotes", "1m"))
# The first command, and the first run, may have to compile what they play.
pytestmark = pytest.mark.timeout(180)
TIMES = 60  # how much faster time runs where a whole session's minutes are needed


def asked(url: str, **more: Any) -> Asked:
    return Asked(series=(TRADES, QUOTES), url=url, **more)


def recorded_from(lake: Lake, url: str, *, times: float = 1.0, **more: Any) -> Recorded:
    options = {name: more.pop(name) for name in ("strategy", "cancel", "tell") if name in more}
    what = asked(url, **more)
    return record(begin(what), what, lake, scheduler=Hasty(times), **options)


@dataclass(frozen=True)
class Lived:
    """A live run with a strategy, over disordered data, and where it is kept."""

    lake: Lake
    folder: Path
    found: Recorded
    run: Run
    seen: str
    lines: list[list[Line]]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    folder = tmp_path_factory.mktemp("lived")
    lake = lake_in(folder)
    lines: list[list[Line]] = []
    chosen = prepare({
        "strategy": strategy_in(folder), "on": ["recording:new"], "fill": "trades",
        "derived": ["5m"], "parameters": {"path": str(folder / "seen.txt")},
    })  # fmt: skip
    with venue(BITCOIN, *DISORDER, speed=20, clock=TIMES, seed=1) as url:
        found = recorded_from(
            lake, url, times=TIMES, for_s=300, derived=("5m",), strategy=chosen,
            tell=lambda some: lines.append(list(some)),
        )  # fmt: skip
    assert found.run is not None
    found.run.save(report=False)
    return Lived(lake, folder, found, found.run, (folder / "seen.txt").read_text(), lines)


def again(lived: Lived, **changes: Any) -> Run:
    """The strategy of a live run, run over its recording or over something else."""
    values = {**lived.run.result.config.to_dict(), **changes}
    run = run_config(*prepare(values), lived.lake)
    run.save(report=False)
    return run


# With a strategy


def test_a_live_run_sees_data_and_trades_on_it(lived: Lived) -> None:
    kinds = [line.split()[0] for line in lived.seen.splitlines()]
    assert {"trade", "quote", "bar", "fill"} <= set(kinds)
    assert lived.run.status == "done"
    assert len(lived.run.result.fills) > 10


def test_a_backtest_on_the_recording_has_the_seal_of_the_live_run(lived: Lived) -> None:
    run = again(lived)
    assert run.seal == lived.run.seal
    assert (lived.folder / "seen.txt").read_text() == lived.seen
    assert run.id != lived.run.id
    assert run.result.checksums == lived.run.result.checksums


def test_both_can_be_verified(lived: Lived) -> None:
    runs = lived.lake.settings.runs
    for run in (lived.run, again(lived)):
        assert verify(run.id, lake=lived.lake, runs=runs).is_same


def test_parity_of_both_is_the_same(lived: Lived) -> None:
    found = parity(lived.run.id, again(lived).id, lake=lived.lake, runs=lived.lake.settings.runs)
    assert found.is_same, found.to_dict()


def test_parity_explains_a_run_over_the_lake(lived: Lived) -> None:
    run = again(lived, on=[*SERIES, "BINANCE:BTCUSDT/1m"])
    found = parity(lived.run.id, run.id, lake=lived.lake, runs=lived.lake.settings.runs)
    assert not found.is_same
    causes = {(one.cause, one.where, one.series) for one in found.data}
    assert ("known_at", "both", str(QUOTES)) in causes
    assert {cause for cause, _, series in causes if series == str(MINUTES)} & {
        "known_at", "revised",
    }  # fmt: skip
    assert ("withheld", "replay", str(TRADES)) in causes
    assert found.decisions
    assert all(one.before for one in found.decisions)


def test_parity_names_settings_that_differ(lived: Lived) -> None:
    run = again(lived, cash=5_000.0)
    found = parity(lived.run.id, run.id, lake=lived.lake, runs=lived.lake.settings.runs)
    assert found.others == ("cash is 100000.0 live, 5000.0 in the replay",)
    assert found.data == ()
    assert not found.is_same


def test_the_report_of_a_live_run_draws_its_bars(lived: Lived) -> None:
    page = lived.run.report(lived.folder / "page.html")
    assert "candles" in page.read_text() or page.stat().st_size > 10_000


# What is told and what is kept


def test_what_is_told_adds_up(lived: Lived) -> None:
    last = {line.series: line for line in lived.found.lines}
    assert len(lived.lines) > 5
    for name in SERIES:
        line = last[name]
        assert 0 <= line.received - line.released - sum(line.withheld.values()) <= 5
        assert line.withheld["repeated"] > 0
    assert last[str(MINUTES)].completeness is not None
    assert last[str(MINUTES)].left_out >= 1


def test_minute_bars_are_those_of_the_trades_that_were_released(lived: Lived) -> None:
    seen = watch(replay(f"recording:{lived.found.id}", lake=lived.lake))
    rows = [(key[0], *row.values) for key, row in seen[str(TRADES)].rows.items()]
    time_ns, price, size, side = map(np.array, zip(*rows, strict=True))
    trades = Trades(TRADES, time_ns, price, size, side, np.zeros_like(time_ns))
    expected = {bar.start_ns: bar.ohlcv for bar in bars_from_trades(trades, timeframe("1m"))}
    minutes = seen[str(MINUTES)]
    newest = {key: minutes.revised.get(key, [row])[-1] for key, row in minutes.rows.items()}
    assert {start_ns: row.values for (start_ns,), row in newest.items()} == {
        start_ns: expected[start_ns] for (start_ns,) in newest
    }
    assert len(newest) >= 3


def test_what_was_recorded_is_in_the_lake_once(lived: Lived) -> None:
    versions = {v.pin.series: v for v in lived.found.versions}
    assert set(versions) == {TRADES, QUOTES, MINUTES}
    assert {v.details["recording"] for v in versions.values()} == {lived.found.id}
    bars = lived.lake.read(str(versions[MINUTES].pin))
    assert isinstance(bars, Bars)
    recording = recordings(lived.lake).open(lived.found.id)
    assert bring_in(lived.lake, recording) == list(lived.found.versions)


def test_a_recording_says_what_it_holds(lived: Lived) -> None:
    found = about(recordings(lived.lake).open(lived.found.id))
    assert found["ended"]
    received = {line.series: line.received for line in lived.found.lines}
    data = ("trade", "quote", "bar")
    for name, counts in found["by_series"].items():
        assert received[name] == sum(n for what, n in counts.items() if what in data)
        assert set(counts) <= set(NAMES.values())


def test_hours_and_derived_bars_are_those_it_was_made_with(lived: Lived) -> None:
    system = replay(f"recording:{lived.found.id}", lake=lived.lake)
    assert system.plan.derived == ("5m",)
    assert again(lived, derived=[]).seal == lived.run.seal


# Replays without a strategy


def test_a_recording_without_a_strategy_replays_to_its_digests(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    with venue(BITCOIN, *DISORDER, "disconnect", "silence", speed=10, seed=4) as url:
        found = recorded_from(lake, url, for_s=4)
    system = replay(f"recording:{found.id}", lake=lake)
    for _ in system:
        pass
    assert dict(zip(system.tape.labels, system.tape.digests, strict=True)) == found.digests
    assert found.lines[0].noted["disconnected"] >= 1


def test_bars_that_did_not_come_are_asked_for_again(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    with answering() as (ask_url, heard), venue(BITCOIN, speed=20, clock=TIMES) as url:
        found = recorded_from(lake, url, times=TIMES, for_s=180, ask_url=ask_url)
    assert heard
    counts = about(recordings(lake).open(found.id))["by_series"][str(MINUTES)]
    assert counts["bar asked for"] > 0
    system = replay(f"recording:{found.id}", lake=lake)
    for _ in system:
        pass
    assert dict(zip(system.tape.labels, system.tape.digests, strict=True)) == found.digests
    line = found.lines[-1]
    assert line.received == counts["bar asked for"] + counts.get("bar", 0)
    assert line.completeness is not None
    assert line.completeness > 0.9


def test_a_series_from_the_lake_cannot_be_mixed_with_a_recording(lived: Lived) -> None:
    ref = f"recording:{lived.found.id}"
    with pytest.raises(UsageError, match="cannot be played together"):
        replay([ref, SERIES[0]], lake=lived.lake)
    with pytest.raises(UsageError, match="played as it was"):
        replay(ref, lake=lived.lake, start="2026-01-01")
    with pytest.raises(UsageError, match="played as it was"):
        again(lived, start="2026-01-01")
    with pytest.raises(NotRecordedError, match="no recording"):
        replay("recording:ffff", lake=lived.lake)


def test_the_guide_does_what_it_says(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (ROOT / "docs/guides/record-and-replay.md").read_text(encoding="utf-8")
    *_, code = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    code = code.replace("3f9a", lived.found.id).replace("my_strategy.py", strategy_in(lived.folder))
    for name in ("LAKE", "RUNS", "RECORDINGS"):
        monkeypatch.setenv(f"OPENBELL_{name}", str(lived.folder / name.lower()))
    known: dict[str, Any] = {}
    exec(code, known)
    assert known["run"].status == "done"
    assert known["run"].result.config.derived == ("5m",)


# How it ends


def test_it_ends_when_somebody_asks(tmp_path: Path) -> None:
    cancel = CancelToken()
    seen: list[int] = []

    def tell(lines: Any) -> None:
        seen.append(lines[0].received)
        if seen[-1] > 10:
            cancel.cancel()

    with venue(BITCOIN, speed=5) as url:
        found = recorded_from(lake_in(tmp_path), url, cancel=cancel, tell=tell)
    assert about(recordings(lake_in(tmp_path)).open(found.id))["ended"]
    assert found.error is None
    assert threading.active_count() < 10


def test_a_venue_that_is_not_there_leaves_no_recording(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    with venue(BITCOIN) as url:
        pass
    with pytest.raises(UnavailableError, match="cannot be reached"):
        recorded_from(lake, url)
    assert list(recordings(lake).list_recordings()) == []


def test_a_strategy_that_could_not_be_filled_leaves_no_recording(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    chosen = prepare({"strategy": "ema-cross", "on": ["recording:new"], "fill": "next_open"})
    with venue(BITCOIN) as url:
        what = Asked(series=(QUOTES,), url=url)
        with pytest.raises(UsageError, match="need bars"):
            record(begin(what), what, lake, strategy=chosen)
    assert list(recordings(lake).list_recordings()) == []


def test_a_moment_that_is_over_is_refused() -> None:
    with pytest.raises(UsageError, match="is over"):
        begin(asked("tcp://there:1", until_ns=SECOND_NS))


def test_rules_are_kept_with_the_recording() -> None:
    header = begin(asked("tcp://there:1", rules=Rules(skew_s=0.5)))
    assert header.settings["rules"]["skew_s"] == 0.5
    assert header.series == (TRADES, QUOTES, MINUTES)


# As a command


def command(folder: Path, url: str, *words: str) -> "subprocess.Popen[str]":
    places = {
        f"OPENBELL_{name}": str(folder / name.lower()) for name in ("LAKE", "RUNS", "RECORDINGS")
    }
    return started("record", *SERIES, "--from-url", url, *words, cwd=folder, environment=places)


def wait_for(folder: Path, name: str, size: int) -> None:
    """Until a file below a folder has so many bytes; a command may first have to compile."""
    never = threading.Event()
    for _ in range(1_000):
        if any(path.stat().st_size >= size for path in folder.glob(name)):
            return
        never.wait(0.1)
    raise AssertionError(f"{name} in {folder} stayed small")


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("LAKE", "RUNS", "RECORDINGS"):
        monkeypatch.setenv(f"OPENBELL_{name}", str(tmp_path / name.lower()))
    return tmp_path


def only_recording() -> str:
    found: list[dict[str, Any]] = openbell("record", "list", "--json").json
    assert len(found) == 1
    return str(found[0]["id"])


def test_what_a_kill_leaves_replays_to_what_was_seen(at: Path) -> None:
    seen = at / "seen.txt"
    words = ("--strategy", strategy_in(at), "--set", f"path={seen}", "--fill", "trades")
    with venue(BITCOIN, *DISORDER, speed=10, seed=2) as url:
        child = command(at, url, *words)
        wait_for(at, seen.name, 40_000)
        child.kill()
        child.communicate()
    lines = seen.read_text().splitlines()[:-1]
    name = only_recording()
    assert not openbell("record", "show", name, "--json").json["ended"]
    digests = []
    for _ in range(2):
        done = openbell(
            "backtest", words[1], "--on", f"recording:{name[:4]}", *words[2:],
            "--no-report", "--json",
        )  # fmt: skip
        assert done.code == 0, done.err
        digests.append(done.json["seal"])
        assert seen.read_text().splitlines()[: len(lines)] == lines
    assert digests[0] == digests[1]
    stored: Said = openbell("record", "store", name, "--json")
    assert stored.json[:2] == [f"{series}@1" for series in SERIES]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(number: int, at: Path) -> None:
    with venue(BITCOIN, speed=5, speak="binance") as url:
        child = command(at, url, "--json")
        wait_for(at / "recordings", "*/arrivals.bin", 20_000)
        os.kill(child.pid, number)
        out, err = child.communicate(timeout=100)
    assert child.returncode == 0, err
    name = only_recording()
    assert f'"id": "{name}"' in out
    assert openbell("record", "show", name, "--json").json["ended"]
    done = openbell("replay", f"recording:{name}", "--limit", "50", "--json")
    assert done.json["sessions"][0]["session"]
    rows = [row for one in done.json["slices"] for row in one["trades"].values()]
    assert rows
    assert all(rows)


def test_a_person_is_told_what_came(at: Path) -> None:
    with venue(BITCOIN, speed=5) as url:
        child = command(at, url, "--for", "2s")
        out, err = child.communicate(timeout=100)
    assert child.returncode == 0, err
    assert "BINANCE:BTCUSDT/trades" in out
    assert "in the lake: BINANCE:BTCUSDT/trades@1" in out
    assert "recording " in err
    assert openbell("record", "list").out.count("BINANCE") == 3
    assert "ended in order" in openbell("record", "show", only_recording()).out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--for", "soon"), "90s"),
        (("--for", "1h", "--until", iso(2**62)), "one of them"),
        (("--until", "2011-03-14"), "still to come"),
        (("--from-url", "ftp://there"), "tcp://host:port"),
        (("--strategy", "no-such"), ""),
        (("--strategy", "ema-cross", "--set", "fast=5:9"), "openbell sweep"),
        (("--hours", "late"), "extended"),
        (("--session", "noon"), "10:00-15:00"),
    ],
)
def test_wrong_words_are_refused(words: tuple[str, ...], hint: str, at: Path) -> None:
    done = openbell("record", *SERIES, "--from-url", "tcp://127.0.0.1:1", *words)
    assert done.code == 2
    assert hint in done.err
    assert openbell("record", "list", "--json").json == []


def test_a_venue_that_is_not_there_ends_with_the_code_for_outside(at: Path) -> None:
    assert openbell("record", *SERIES, "--from-url", "tcp://127.0.0.1:1").code == 6


def test_parity_as_a_command(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = lived.lake.settings
    for name, folder in (("LAKE", chosen.lake), ("RECORDINGS", chosen.recordings)):
        monkeypatch.setenv(f"OPENBELL_{name}", str(folder))
    monkeypatch.setenv("OPENBELL_RUNS", str(chosen.runs))
    same = openbell("parity", lived.run.id, again(lived).id)
    assert (same.code, same.out[:5]) == (0, "same:")
    other = again(lived, on=[*SERIES, "BINANCE:BTCUSDT/1m"])
    done = openbell("parity", lived.run.id, other.id)
    assert done.code == 5
    assert "known at another moment" in done.out
    assert "differs: " in done.out
    assert not openbell("parity", lived.run.id, other.id, "--json").json["is_same"]
    assert openbell("verify", lived.run.id).code == 0
