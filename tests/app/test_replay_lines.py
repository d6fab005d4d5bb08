"""What `openbell replay` prints of a slice: bars, wider bars, revisions, trades and quotes."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from openbell.app.lake import open_lake
from openbell.market.instrument import Series
from openbell.market.moments import DAY_NS
from tests.commands import LEAN, openbell

DAY = ("--date", "2011-03-14")


@pytest.fixture
def ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A lake with the quotes of a day of EURUSD; the rows of its file."""
    archive = "forex/oanda/tick/eurusd/20140501_quote.zip"
    monkeypatch.setenv("OPENBELL_LAKE", str(tmp_path / "lake"))
    said = openbell("data", "import", str(LEAN / "forex"), "--symbols", "eurusd",
                    "--resolutions", "tick", "--venue", "OANDA")  # fmt: skip
    assert said.code == 0, said.err
    with zipfile.ZipFile(LEAN / archive) as file:
        text = file.read(file.namelist()[0]).decode()
    return [line.split(",") for line in text.splitlines()]


def test_quotes_are_printed_and_counted(ticks: list[list[str]]) -> None:
    said = openbell("replay", "OANDA:EURUSD/quotes", "--limit", "1")
    assert said.code == 0, said.err
    assert f"OANDA:EURUSD quote {ticks[0][1]} / {ticks[0][2]}" in said.out.splitlines()[0]
    found = openbell("replay", "OANDA:EURUSD/quotes", "--json", "--limit", "1").json
    assert [len(rows) for rows in found["slices"][0]["quotes"].values()] == [1]
    assert sum(row["quotes"] for row in found["sessions"]) == len(ticks)
    assert found["sessions"][0]["completeness"] is None  # no bars are due where ticks are played


def test_trades_of_one_moment_stand_on_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBELL_LAKE", str(tmp_path / "lake"))
    openbell("data", "import", str(LEAN / "future"), "--symbols", "gc", "--resolutions", "tick")
    stored = next(i.pin for i in open_lake().series() if i.pin.series.kind == "trades")
    data = open_lake().trades(str(stored.series))
    said = openbell("replay", str(stored.series), "--limit", "0", "--json").json
    (row,) = (row for row in said["sessions"] if row["trades"])
    assert (row["trades"], row["volume"]) == (len(data), data.size.sum())
    assert (row["open"], row["high"]) == (data.price[0], data.price.max())
    _, counts = np.unique(data.time_ns, return_counts=True)
    first_shared = int(np.flatnonzero(counts > 1)[0])
    shown = openbell("replay", str(stored.series), "--limit", str(first_shared + 1)).out
    assert f" and {counts[first_shared] - 1} more" in shown.splitlines()[first_shared]


def test_wider_bars_and_revisions_are_printed(spy_lake: Path, tmp_path: Path) -> None:
    day = open_lake(spy_lake).bars("XNYS:SPY/1m", "2011-03-14T13:30Z", "2011-03-14T20:00Z")
    lake = open_lake(tmp_path / "lake")
    lake.write(day.take(np.arange(390) != 4))
    lake.write(day.renamed(Series.parse("ARCX:SPY/1m")))
    words = ("XNYS:SPY", *DAY, "--derived", "5m", "--fill-from", "ARCX:SPY/1m")
    said = openbell("replay", *words, "--limit", "6", "--lake", str(tmp_path / "lake"))
    lines = said.out.splitlines()
    assert lines[4].startswith("2011-03-14T13:35:00Z   XNYS:SPY 5m c ")
    missed = f"XNYS:SPY revised 13:34-13:35 c {day.close[4]:g} v {day.volume[4]:,.10g}"
    assert missed in lines[5]
    assert (
        f"XNYS:SPY revised 13:30-13:35 c {day.close[4]:g} v {day.volume[:5].sum():,.10g}"
        in (lines[5])
    )


def test_a_session_of_which_nothing_is_stored_is_said(spy_lake: Path, tmp_path: Path) -> None:
    whole = open_lake(spy_lake).bars("XNYS:SPY/1m")
    days = np.isin(whole.start_ns // DAY_NS, whole.start_ns[[0, -1]] // DAY_NS)
    open_lake(tmp_path).write(whole.take(days))
    said = openbell("replay", "XNYS:SPY", "--lake", str(tmp_path), "--date", "2011-03-14")
    assert said.code == 0
    assert "nothing is stored of these sessions" in said.err
