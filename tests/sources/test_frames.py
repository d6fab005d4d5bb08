"""A table in memory reads as the same table in a file."""

from pathlib import Path

import polars as pl
import pytest

from openbell.market.errors import UsageError
from openbell.market.instrument import Series
from openbell.ports import FileSource
from openbell.sources.frames import FrameSource
from openbell.sources.parquet import ParquetFiles
from tests.sources.contract import FileSourceContract

SPY = Series.parse("XNYS:SPY/1m")


@pytest.fixture
def frame() -> pl.DataFrame:
    stamps = ["2011-03-14 09:30", "2011-03-14 09:31", "2011-03-14 09:31", "2011-03-14 09:32"]
    prices = [1.0, 2.0, 3.0, None]
    return pl.DataFrame({"Date": stamps, **dict.fromkeys(("O", "H", "L", "C", "V"), prices)})


class TestFrame(FileSourceContract):
    @pytest.fixture
    def source(self, frame: pl.DataFrame) -> FileSource:
        return FrameSource(frame, series=SPY, zone="America/New_York")

    def test_it_names_the_files_it_reads(self, source: FileSource) -> None:
        assert not source.files()  # it comes from none


def test_a_table_in_memory_reads_as_in_a_file(frame: pl.DataFrame, tmp_path: Path) -> None:
    frame.write_parquet(tmp_path / "spy.parquet")
    said = {"zone": "America/New_York", "stamp": "close"}
    (kept,) = ParquetFiles(tmp_path, series=str(SPY), **said).parse()  # type: ignore[arg-type]  # so
    (read,) = FrameSource(frame, series=SPY, **said).parse()  # type: ignore[arg-type]  # literals
    assert read.data == kept.data
    assert (read.file, read.read, read.notes) == ("the table", 4, kept.notes)
    assert [one.row for one in read.rejected] == [one.row for one in kept.rejected] == [4]


def test_an_unknown_stamp_is_refused(frame: pl.DataFrame) -> None:
    with pytest.raises(UsageError, match="unknown stamp `shut`"):
        FrameSource(frame, series=SPY, stamp="shut")  # type: ignore[arg-type]  # the mistake
