from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import openbell as ob
from openbell.market.errors import NotRecordedError, StoreError, UsageError
from tests.commands import LEAN, SPY


@pytest.fixture
def lake(spy_lake: Path) -> ob.Lake:
    return ob.open_lake(spy_lake)


@pytest.fixture
def empty() -> ob.Lake:
    return ob.open_lake(":memory:")


def test_an_import_into_no_lake_makes_one(place: Path) -> None:
    lake = ob.open_lake("new/lake")
    lake.import_file(SPY, series="XNYS:SPY/1m", zone="UTC", stamp="close")
    assert len(ob.open_lake("new/lake").bars("XNYS:SPY/1m")) == 17_577


def test_a_dry_run_makes_no_lake(place: Path) -> None:
    report = ob.open_lake("new/lake").import_file(
        SPY, series="XNYS:SPY/1m", zone="UTC", stamp="close", dry_run=True
    )
    assert report.series[0].kept == 17_577
    assert not Path("new").exists()


def test_reading_where_there_is_no_lake_says_so() -> None:
    with pytest.raises(StoreError, match="there is no lake"):
        ob.open_lake("nowhere").bars("XNYS:SPY/1m")


def test_a_range_is_half_open_and_named_by_sessions(lake: ob.Lake) -> None:
    week = lake.bars("XNYS:SPY/1m", start="2011-03-14", end="2011-03-19")
    days = [lake.bars("XNYS:SPY/1m", f"2011-03-{d}", f"2011-03-{d + 1}") for d in range(14, 19)]
    assert sum(map(len, days)) == len(week) == 4_181


def test_asking_for_trades_where_there_are_bars_is_an_error(lake: ob.Lake) -> None:
    with pytest.raises(UsageError, match="XNYS:SPY/1m holds bars"):
        lake.trades("XNYS:SPY/1m")


def plain(bars: ob.Bars) -> Any:
    return bars.to_pandas().drop(columns=["label", "end"]).reset_index()


FRAMES: dict[str, Callable[[ob.Bars], Any]] = {
    "ours": lambda bars: bars,
    "pandas, moments as index": lambda bars: plain(bars).set_index("start"),
    "pandas, moments as column": plain,
    "pandas, in New York": lambda bars: plain(bars).assign(
        start=lambda f: f["start"].dt.tz_convert("America/New_York")
    ),
    "polars": lambda bars: bars.to_polars().drop("label", "end"),
    "polars, other names": lambda bars: bars.to_polars().select(
        Date="start", O="open", H="high", L="low", Last="close", Vol="volume"
    ),
    "arrow": lambda bars: pa.table(bars.to_polars().drop("label", "end")),
    "ours as arrow": pa.table,
}


@pytest.mark.parametrize("kind", FRAMES)
def test_tables_of_any_kind_give_the_same_bars(kind: str, lake: ob.Lake, empty: ob.Lake) -> None:
    bars = lake.bars("XNYS:SPY/1m", start="2011-03-14", end="2011-03-15")
    version = empty.write(FRAMES[kind](bars), "XNYS:SPY/1m")
    assert version.rows == len(bars)
    assert empty.bars("XNYS:SPY/1m") == bars


def test_stamps_without_a_zone_need_one(lake: ob.Lake, empty: ob.Lake) -> None:
    frame = plain(lake.bars("XNYS:SPY/1m", start="2011-03-14", end="2011-03-15"))
    frame["start"] = frame["start"].dt.tz_convert("America/New_York").dt.tz_localize(None)
    with pytest.raises(ob.OpenbellError, match="zone"):
        empty.write(frame, "XNYS:SPY/1m")
    empty.write(frame, "XNYS:SPY/1m", zone="America/New_York")
    assert str(empty.bars("XNYS:SPY/1m").to_polars()["start"][0]) == "2011-03-14 08:00:00+00:00"


def test_a_table_with_an_impossible_row_is_refused_whole(lake: ob.Lake, empty: ob.Lake) -> None:
    frame = lake.bars("XNYS:SPY/1m", start="2011-03-14", end="2011-03-15").to_polars()
    frame = frame.with_columns(
        high=pl.when(pl.int_range(pl.len()) == 5).then(None).otherwise(pl.col("high"))
    )
    with pytest.raises(ob.OpenbellError, match="row 6"):
        empty.write(frame, "XNYS:SPY/1m")
    assert empty.series() == []


@pytest.mark.parametrize("thing", [3, "text", object()])
def test_what_is_no_table_is_refused(thing: object, empty: ob.Lake) -> None:
    with pytest.raises(UsageError, match="is no table"):
        empty.write(thing, "XNYS:SPY/1m")


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".feather"])
def test_what_was_exported_is_imported_as_it_was(
    suffix: str, lake: ob.Lake, empty: ob.Lake
) -> None:
    file = Path(f"spy{suffix}")
    count = lake.export("XNYS:SPY/1m", file, "2011-03-14", "2011-03-16")
    empty.import_file(file, series="XNYS:SPY/1m")
    assert len(empty.bars("XNYS:SPY/1m")) == count
    assert empty.bars("XNYS:SPY/1m") == lake.bars("XNYS:SPY/1m", "2011-03-14", "2011-03-16")


def test_an_export_writes_over_nothing_unless_asked(lake: ob.Lake) -> None:
    Path("spy.csv").write_text("mine")
    with pytest.raises(UsageError, match=r"spy\.csv is there already"):
        lake.export("XNYS:SPY/1m", "spy.csv")
    assert Path("spy.csv").read_text() == "mine"
    lake.export("XNYS:SPY/1m", "spy.csv", force=True)
    assert Path("spy.csv").read_text() != "mine"


def test_daily_bars_and_trades_that_are_stored_testify(empty: ob.Lake) -> None:
    minutes = {"symbols": ["spy"], "resolutions": ["minute"], "kinds": ["trade"]}
    empty.import_folder(LEAN, **minutes)
    alone = empty.check("XNYS:SPY/1m")
    empty.import_folder(LEAN, symbols=["spy"], resolutions=["daily"])
    assert "differs_from_daily" not in alone.counts
    assert empty.check("XNYS:SPY/1m").counts["differs_from_daily"] == 1


def test_completeness_without_a_check_is_that_of_the_check(lake: ob.Lake, empty: ob.Lake) -> None:
    bars = lake.bars("XNYS:SPY/1m")
    empty.write(bars.take(np.arange(len(bars)) % 7 != 0))
    report = empty.check("XNYS:SPY/1m")
    assert 0.8 < report.completeness < 0.9
    assert empty.completeness("XNYS:SPY/1m") == report.completeness


def test_a_bare_instrument_is_its_finest_bars(empty: ob.Lake) -> None:
    empty.import_folder(LEAN, symbols=["spy"], resolutions=["minute", "daily"], kinds=["trade"])
    assert empty.playable("XNYS:SPY") == "XNYS:SPY/1m"
    with pytest.raises(NotRecordedError, match="no bars of XNYS:QQQ"):
        empty.playable("XNYS:QQQ")


def test_a_symbol_is_the_instrument_that_alone_has_it(lake: ob.Lake, empty: ob.Lake) -> None:
    day = lake.bars("XNYS:SPY/1m", start="2011-03-31")
    empty.write(day)
    assert empty.playable("SPY") == "XNYS:SPY/1m"
    with pytest.raises(NotRecordedError, match="no bars of XNAS:SPY") as error:
        empty.playable("XNAS:SPY")
    assert error.value.hint == "is XNYS:SPY meant?"
    empty.write(day, "ARCX:SPY/1m")
    with pytest.raises(UsageError, match="SPY is stored of several venues: ARCX:SPY, XNYS:SPY"):
        empty.playable("SPY")
    empty.pin("SPY", "ARCX:SPY/1m@1")
    assert empty.playable("SPY") == "SPY"  # a name somebody gave comes first


def test_an_instrument_without_bars_of_trades_is_told_what_it_has(
    lake: ob.Lake, empty: ob.Lake
) -> None:
    bars = lake.bars("XNYS:SPY/1m", start="2011-03-31")
    for side in ("ask", "bid"):
        empty.write(bars, f"XNYS:SPY/1m.{side}")
    with pytest.raises(NotRecordedError, match="XNYS:SPY has no bars of trades") as error:
        empty.playable("XNYS:SPY")
    assert error.value.hint == "name one of XNYS:SPY/1m.ask, XNYS:SPY/1m.bid"


def test_only_bars_can_be_checked_and_ticks_are_told_so(empty: ob.Lake) -> None:
    frame = pl.DataFrame({"time": ["2011-03-14T14:00:00Z"], "price": [1.5], "size": [7]})
    empty.write(frame, "XNYS:SPY/trades")
    with pytest.raises(ob.OpenbellError, match="holds trades, and only bars can be checked"):
        empty.check("XNYS:SPY/trades")


def test_what_a_table_cannot_use_is_refused_and_not_ignored(empty: ob.Lake, lake: ob.Lake) -> None:
    frame = lake.bars("XNYS:SPY/1m").to_polars()
    with pytest.raises(ob.OpenbellError, match="--delimiter says nothing about a table"):
        empty.write(frame, "XNYS:SPY/1m", delimiter=";")
    with pytest.raises(ob.OpenbellError, match="unknown stamp `shut`"):
        empty.write(frame, "XNYS:SPY/1m", stamp="shut")


def test_unknown_options_are_named(empty: ob.Lake) -> None:
    with pytest.raises(UsageError, match="unknown options: tz"):
        empty.import_file(SPY, series="XNYS:SPY/1m", tz="UTC")


def test_a_pin_names_a_version_for_good(lake: ob.Lake, empty: ob.Lake) -> None:
    bars = lake.bars("XNYS:SPY/1m", "2011-03-14", "2011-03-15")
    empty.write(bars)
    empty.pin("monday", "XNYS:SPY/1m")
    empty.write(lake.bars("XNYS:SPY/1m", "2011-03-15", "2011-03-16"))
    assert empty.bars("monday") == bars
    assert len(empty.diff("monday", "XNYS:SPY/1m").added) == 918
