"""What the lake promises beyond the contract: kills, queues, strangers, damage, no surprise."""

import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.market import merge
from openbell.market.bars import Bars
from openbell.market.errors import NotRecordedError, StoreError
from openbell.market.instrument import Pin, Series
from openbell.market.moments import DAY_NS, END_OF_TIME_NS, MINUTE_NS, START_OF_TIME_NS
from openbell.market.ticks import Quotes, Trades
from openbell.ports import Data, Manifest, Store
from openbell.stores.files import locked
from openbell.stores.lake import Lake
from openbell.stores.memory import MemoryStore
from tests.stores.contract import StoreContract, everything
from tests.stores.made import FILE, START_NS, FakeClock, bars, quotes, trades

SPY = Series.parse("XNYS:SPY/1m")
HERE = Path(__file__).parents[2]


class TestLake(StoreContract):
    @pytest.fixture
    def store(self, clock: FakeClock, tmp_path: Path) -> Store:
        lake = Lake(tmp_path / "a lake=x é~*", clock)
        lake.create()
        return lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", FakeClock())


def table_of(lake: Lake) -> Path:
    return lake.root / "XNYS" / "SPY" / "1m"


def sums_hold(lake: Lake) -> list[int]:
    """The versions that can be read, after looking that each holds what its checksum says."""
    readable = []
    for version in lake.versions(SPY):
        try:
            data = lake.read(version.pin, START_OF_TIME_NS, END_OF_TIME_NS)
        except StoreError as error:
            if "was vacuumed" in error.message:
                continue
            raise
        assert merge.checksum(merge.blocks(data)) == version.checksum
        assert len(data) == version.rows == lake.info(version.pin).rows
        readable.append(version.pin.version)
    return readable


def writer(lake: Lake, task: str, number: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.stores.writer", str(lake.root), task, str(number)]
    process = subprocess.Popen(
        command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


# Kills and queues


def kill(process: subprocess.Popen[str], after_s: float) -> None:
    with process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(after_s)
        process.kill()


def test_a_kill_at_any_moment_leaves_every_version_readable(lake: Lake) -> None:
    chance = random.Random(1)
    reached = 0
    for number in range(6):
        kill(writer(lake, "mixed", number), chance.uniform(0.0, 0.3))
        fresh = Lake(lake.root, FakeClock())
        newest = len(fresh.versions(SPY))
        kept = {pin.version for pin in fresh.pins().values()} | {newest}
        assert kept <= {*sums_hold(fresh)}
        assert newest >= reached
        reached = newest
    assert reached > 6


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.03])
def test_a_kill_in_the_first_write_leaves_all_of_it_or_nothing(lake: Lake, after_s: float) -> None:
    kill(writer(lake, "first", 1), after_s)
    fresh = Lake(lake.root, FakeClock())
    fresh.write(bars([1]), FILE)
    assert sums_hold(fresh)[-1] == len(fresh.versions(SPY))
    assert fresh.list_series() == [SPY]


def test_writers_of_one_series_queue_and_lose_nothing(lake: Lake) -> None:
    lake.create()
    processes = [writer(lake, "append", number) for number in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    while any(process.poll() is None for process in processes):
        sums_hold(lake)  # a reader beside them sees whole versions only
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    read = everything(lake, "XNYS:SPY/1m")
    assert ((read.key_ns - START_NS) // MINUTE_NS).tolist() == list(range(40))
    assert sums_hold(lake) == list(range(1, 41))


def test_threads_that_share_a_lake_queue_too(lake: Lake) -> None:
    lake.create()

    def work(number: int) -> None:
        for turn in range(5):
            lake.write(bars([4 * turn + number]), FILE)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums_hold(lake) == list(range(1, 21))
    assert lake.versions(SPY)[-1].rows == 20


def test_writers_of_different_series_do_not_wait(lake: Lake) -> None:
    lake.create()
    with locked(lake.root / "XNYS" / "SPY" / ".1m.lock", "XNYS:SPY/1m"):
        lake.write(bars([0], series="XNYS:SPY/5m"), FILE)


def test_waiting_for_a_lock_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with (
        locked(path, "XNYS:SPY/1m"),
        pytest.raises(StoreError, match="XNYS:SPY/1m is still locked by another writer"),
        locked(path, "XNYS:SPY/1m", wait_s=0.02),
    ):
        pass
    with locked(path, "XNYS:SPY/1m", wait_s=0.0):
        pass


# Strangers


def test_any_delta_client_reads_the_table(lake: Lake) -> None:
    lake.write(bars(range(0, 60_000, 100)), FILE)
    lake.write(bars([100, 60_001], 99.0), FILE)
    mine = everything(lake, "XNYS:SPY/1m")
    frame = pl.scan_delta(str(table_of(lake))).sort("start_ns").collect()
    assert frame.drop("month").to_dict(as_series=False) == {
        name: column.tolist() for name, column in mine.columns().items()
    }
    assert frame["month"].unique().sort().to_list() == ["2011-03", "2011-04"]
    query = "select count(*) as n, sum(volume) as v from spy where month = '2011-04'"
    builder = QueryBuilder().register("spy", DeltaTable(table_of(lake)))
    found = pl.DataFrame(builder.execute(query).read_all())
    april = frame.filter(pl.col("month") == "2011-04")
    assert found.rows() == [(len(april), april["volume"].sum())]


def test_rows_of_one_stamp_carry_their_place(lake: Lake) -> None:
    lake.write(trades((0, 1.0, 1.0), (0, 2.0, 1.0)), FILE)
    lake.write(trades((0, 3.0, 1.0), (1, 4.0, 1.0)), FILE)
    frame = pl.read_delta(str(lake.root / "XNYS" / "SPY" / "trades"))
    frame = frame.sort("time_ns", "sequence")
    assert frame.select("price", "sequence").rows() == [(1.0, 0), (2.0, 1), (3.0, 2), (4.0, 0)]


def test_rows_changed_by_a_stranger_stop_the_next_write(lake: Lake) -> None:
    lake.write(bars([0]), FILE)
    before = everything(lake, "XNYS:SPY/1m")
    foreign = pl.read_delta(str(table_of(lake))).with_columns(pl.col("start_ns") + MINUTE_NS)
    write_deltalake(table_of(lake), foreign, mode="append")
    for seen in (lake, Lake(lake.root, FakeClock())):
        with pytest.raises(
            StoreError, match="changed by another program: WRITE as Delta version 2"
        ):
            seen.write(bars([5]), FILE)
        assert everything(seen, "XNYS:SPY/1m") == before


def test_a_stranger_may_compact_and_vacuum(lake: Lake) -> None:
    for minute in range(4):
        lake.write(bars([minute]), FILE)
    lake.write(bars([0], 99.0), FILE)
    table = DeltaTable(table_of(lake))
    table.optimize.compact()
    assert table.vacuum(dry_run=False) == []
    lake.write(bars([9]), FILE)
    assert sums_hold(lake) == [1, 2, 3, 4, 5, 6]


def test_our_vacuum_keeps_what_a_stranger_compacted(lake: Lake) -> None:
    for minute in range(4):
        lake.write(bars([minute]), FILE)
    DeltaTable(table_of(lake)).optimize.compact()
    clock = FakeClock()
    clock.now_ns += DAY_NS
    later = Lake(lake.root, clock)
    assert later.vacuum(SPY, keep_days=0) == [1, 2, 3]
    later.write(bars([9]), FILE)
    assert sums_hold(later) == [4, 5]


def test_the_log_is_kept_whole_beyond_checkpoints(lake: Lake) -> None:
    for minute in range(25):
        lake.write(bars([minute]), FILE)
    log = table_of(lake) / "_delta_log"
    assert len(list(log.glob("*.json"))) == 26
    assert list(log.glob("*.checkpoint.parquet"))
    assert sums_hold(Lake(lake.root, FakeClock())) == list(range(1, 26))


# Files


def files_of(lake: Lake) -> set[Path]:
    return {p for p in table_of(lake).rglob("*.parquet") if p.parent.name != "_delta_log"}


def test_only_the_months_that_changed_are_written_again(lake: Lake) -> None:
    lake.write(bars(range(0, 150_000, 100)), FILE)
    before = files_of(lake)
    lake.write(bars(range(0, 150_000, 100)).take([700]).joined([bars([70_000], 99.0)]), FILE)
    fresh = files_of(lake) - before
    assert [p.parent.name for p in fresh] == ["month=2011-05"]


def test_compaction_joins_small_files(lake: Lake) -> None:
    for minute in range(20):
        lake.write(bars([minute]), FILE)
    versions = lake.versions(SPY)
    lake.compact(SPY)
    assert lake.info(Pin(SPY, 20)).rows == 20
    assert lake.vacuum(SPY, keep_days=0) == []  # all of one moment, so none is old
    clock = FakeClock()
    clock.now_ns += DAY_NS
    later = Lake(lake.root, clock)
    assert later.vacuum(SPY, keep_days=0.5) == list(range(1, 20))
    assert len(files_of(lake)) == 1
    assert sums_hold(later) == [20]
    assert later.versions(SPY) == versions


def test_a_reader_finds_the_newer_layout_when_its_own_is_gone(lake: Lake) -> None:
    for minute in range(3):
        lake.write(bars([minute]), FILE)
    reader = Lake(lake.root, FakeClock())
    assert len(everything(reader, "XNYS:SPY/1m")) == 3
    pin = Pin(SPY, 3)
    clock = FakeClock()
    clock.now_ns += DAY_NS
    other = Lake(lake.root, clock)
    # The reader has looked at the log already, and does not look again before it reads.
    commit = reader._commit_of(pin)
    other.compact(SPY)
    other.vacuum(SPY, keep_days=0)
    table = reader._table(SPY)
    assert len(table.read(commit, START_OF_TIME_NS, END_OF_TIME_NS)) == 3


def test_vacuum_takes_what_a_killed_writer_left(lake: Lake) -> None:
    lake.write(bars([0]), FILE)
    (kept,) = files_of(lake)
    shutil.copy(kept, kept.with_name("left-by-a-kill.parquet"))
    lake.vacuum(SPY, keep_days=7)
    assert files_of(lake) == {kept}


# Damage and wrong folders


def test_a_lake_that_is_not_there_is_not_read(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "none", FakeClock())
    readings: list[Callable[[], object]] = [
        lake.list_series,
        lake.pins,
        lambda: lake.versions(SPY),
        lambda: lake.resolve("XNYS:SPY/1m"),
        lambda: lake.read(Pin(SPY, 1), 0, 1),
        lambda: lake.drop(SPY, 0, 1, FILE),
    ]
    for reading in readings:
        with pytest.raises(StoreError, match="there is no lake at") as caught:
            reading()
        assert "openbell data import" in caught.value.hint
    assert not lake.root.exists()


def test_a_lake_made_by_somebody_else_is_seen(tmp_path: Path) -> None:
    early = Lake(tmp_path / "lake", FakeClock())
    Lake(tmp_path / "lake", FakeClock()).write(bars([0]), FILE)
    assert early.list_series() == [SPY]


def test_a_folder_of_other_things_is_no_lake(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(StoreError, match="is no lake"):
        Lake(tmp_path, FakeClock())
    with pytest.raises(StoreError, match="is no lake"):
        Lake(tmp_path / "letter.txt", FakeClock())


def test_a_lake_whose_maker_was_killed_can_be_made_again(lake: Lake) -> None:
    lake.root.mkdir()
    (lake.root / ".lake.json.1.2").write_text('{"form')
    again = Lake(lake.root, FakeClock())
    again.write(bars([0]), FILE)
    assert again.list_series() == [SPY]


def test_a_question_about_a_series_leaves_nothing_behind(lake: Lake) -> None:
    lake.create()
    for asking in (
        lambda: lake.drop(SPY, 0, 1, FILE),
        lambda: lake.compact(SPY),
        lambda: lake.vacuum(SPY, keep_days=1),
        lambda: lake.resolve("XNYS:SPY/1m"),
        lambda: lake.write(bars([]), FILE),
    ):
        with pytest.raises(NotRecordedError):
            asking()
    assert [p.name for p in lake.root.iterdir()] == ["lake.json"]


def test_a_lake_of_a_newer_format_is_refused(lake: Lake) -> None:
    lake.create()
    (lake.root / "lake.json").write_text('{"format": 2}')
    with pytest.raises(StoreError, match="has format 2, this program reads 1"):
        Lake(lake.root, FakeClock())


@pytest.mark.parametrize("name", ["a%20b", "a#b", "a?b", "a[b]", "a|b"])
def test_a_path_the_library_would_misread_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="its path holds"):
        Lake(tmp_path / name, FakeClock())


def damage_log(table: Path) -> None:
    (table / "_delta_log" / f"{1:020d}.json").write_text('{"add": {"pa')


def damage_file(table: Path) -> None:
    for path in table.rglob("*.parquet"):
        path.write_bytes(b"PAR1 nonsense PAR1")


def lose_log(table: Path) -> None:
    shutil.rmtree(table / "_delta_log")


def lose_commit(table: Path) -> None:
    (table / "_delta_log" / f"{1:020d}.json").unlink()


@pytest.mark.parametrize("damage", [damage_log, damage_file, lose_log, lose_commit])
def test_a_damaged_series_is_named_and_leaves_the_others_alone(
    lake: Lake, damage: Callable[[Path], None]
) -> None:
    lake.write(bars([0]), FILE)
    lake.write(bars([1]), FILE)
    lake.write(bars([0], series="XNYS:SPX/1m"), FILE)
    damage(table_of(lake))
    fresh = Lake(lake.root, FakeClock())
    assert [str(s) for s in fresh.list_series()] == ["XNYS:SPX/1m", "XNYS:SPY/1m"]
    for action in (
        lambda: fresh.read(Pin(SPY, 1), START_OF_TIME_NS, END_OF_TIME_NS),
        lambda: fresh.write(bars([2]), FILE),
    ):
        with pytest.raises(StoreError, match=r"XNYS:SPY/1m(@[12])? is damaged") as caught:
            action()
        assert "\n" not in caught.value.message
    assert len(everything(fresh, "XNYS:SPX/1m")) == 1


def test_a_folder_that_is_no_series_is_named(lake: Lake) -> None:
    lake.create()
    (lake.root / "holiday" / "photos" / "2026").mkdir(parents=True)
    with pytest.raises(StoreError, match="holiday/photos/2026 of the lake is no series"):
        lake.list_series()


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1}', '{"a": "b"}', '{"a": "XNYS:SPY/1m"}'])
def test_a_damaged_list_of_pins_is_named(lake: Lake, text: str) -> None:
    lake.create()
    (lake.root / "pins.json").write_text(text)
    with pytest.raises(StoreError, match=r"pins\.json is damaged"):
        lake.pins()


# Both stores alike

minutes = st.lists(st.integers(0, 12) | st.integers(25_000, 25_012), unique=True, max_size=6)
price = st.sampled_from([1.0, 2.0])
tick = st.tuples(st.integers(0, 2), price, st.just(1.0))
quote = st.tuples(st.integers(0, 2), st.sampled_from([1.0, float("nan"), -0.0, 0.0]), price)
written = (
    st.builds(lambda at, p: bars(sorted(at), p), minutes, price)
    | st.lists(tick, max_size=6).map(lambda rows: trades(*sorted(rows, key=lambda r: r[0])))
    | st.lists(quote, max_size=6).map(lambda rows: quotes(*sorted(rows, key=lambda r: r[0])))
).filter(len)
dropped = st.tuples(st.integers(0, 13), st.integers(0, 13))


def apply(store: Store, step: Data | tuple[int, int] | None) -> None:
    """Write, or drop a range of minutes from all series, or compact all."""
    if isinstance(step, Bars | Trades | Quotes):
        store.write(step, FILE)
        return
    for series in store.list_series():
        if step is None:
            store.compact(series)
        else:
            start_ns, end_ns = (START_NS + minute * MINUTE_NS for minute in step)
            store.drop(series, start_ns, end_ns, Manifest("drop"))


@settings(max_examples=25)
@given(steps=st.lists(written | dropped | st.none(), max_size=8))
def test_memory_and_lake_hold_the_same(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Data | tuple[int, int] | None]
) -> None:
    lake = Lake(tmp_path_factory.mktemp("lakes") / "lake", FakeClock())
    lake.create()
    memory = MemoryStore(FakeClock())
    for step in steps:
        apply(lake, step)
        apply(memory, step)
    assert lake.list_series() == memory.list_series()
    for series in lake.list_series():
        assert lake.versions(series) == memory.versions(series)
        for version in lake.versions(series):
            ref = str(version.pin)
            assert everything(lake, ref) == everything(memory, ref)
            mine, other = lake.info(version.pin), memory.info(version.pin)
            assert (mine.rows, mine.first_ns, mine.last_ns) == (
                (other.rows, other.first_ns, other.last_ns)
            )


def test_a_lake_that_cannot_be_made_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be made: Not a directory") as caught:
        Lake(tmp_path / "file" / "lake", FakeClock()).create()
    assert caught.value.hint.startswith("name a folder that can be written to")
