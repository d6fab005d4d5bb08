"""freqtrade's folders. Its files are under a licence the repository cannot carry."""

import gzip
from pathlib import Path

import orjson
import polars as pl
import pytest

from openbell.market.errors import BadDataError
from openbell.ports import FileSource, Parsed
from openbell.sources.freqtrade import FreqtradeFolder
from tests.sources.contract import FileSourceContract

ROWS = [[1_577_836_800_000 + n * 300_000, 1.0, 2.0, 0.5, 1.5, 10.0 + n] for n in range(12)]


def only(path: Path, **options: object) -> Parsed:
    (parsed,) = FreqtradeFolder(path, venue="BINANCE", **options).parse()  # type: ignore[arg-type]
    return parsed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ETH_BTC-5m.json").write_bytes(orjson.dumps(ROWS))
    (tmp_path / "ETH_BTC-15m.json.gz").write_bytes(gzip.compress(orjson.dumps(ROWS[::3])))
    frame = pl.DataFrame(
        ROWS, schema=["date", "open", "high", "low", "close", "volume"], orient="row"
    )
    dated = frame.with_columns(pl.col("date").cast(pl.Int64).cast(pl.Datetime("ms", "UTC")))
    dated.write_ipc(tmp_path / "ETH_USDT_USDT-5m-futures.feather")
    marks = dated.with_columns(volume=pl.lit(float("nan")))
    marks.write_ipc(tmp_path / "ETH_USDT_USDT-5m-mark.feather")
    dated.write_ipc(tmp_path / "ETH_USDT_USDT-8h-funding_rate.feather")
    trades = [[1_577_836_800_123, "7", None, "sell", 1.5, 2.0, 3.0]] * 2
    (tmp_path / "ETH_BTC-trades.json").write_bytes(orjson.dumps(trades))
    return tmp_path


class TestFolder(FileSourceContract):
    @pytest.fixture
    def source(self, folder: Path) -> FileSource:
        return FreqtradeFolder(folder, venue="BINANCE")


def test_names_say_what_is_inside(folder: Path) -> None:
    source = FreqtradeFolder(folder, venue="BINANCE")
    assert [str(series) for series in source.series()] == [
        "BINANCE:ETH-BTC/15m", "BINANCE:ETH-BTC/5m", "BINANCE:ETH-BTC/trades",
        "BINANCE:ETH-USDT-USDT/5m.mark", "BINANCE:ETH-USDT-USDT/5m",
    ]  # fmt: skip
    notes = next(source.parse()).notes
    assert notes == ("1 file not taken: ETH_USDT_USDT-8h-funding_rate.feather",)


def test_pairs_are_found_as_files_and_as_people_write_them(folder: Path) -> None:
    for pair in ("ETH_BTC", "ETH/BTC", "eth-btc"):
        source = FreqtradeFolder(folder, venue="BINANCE", pairs=[pair])
        assert {str(series.instrument) for series in source.series()} == {"BINANCE:ETH-BTC"}
    source = FreqtradeFolder(folder, venue="BINANCE", pairs=["XRP/BTC"])
    with pytest.raises(BadDataError, match="no file is of XRP_BTC"):
        list(source.parse())


def test_feather_and_json_read_alike(folder: Path) -> None:
    plain = only(folder / "ETH_BTC-5m.json").data
    feather = only(folder / "ETH_USDT_USDT-5m-futures.feather").data
    assert feather.renamed(plain.series) == plain
    assert len(plain) == 12


def test_mark_prices_have_no_volume(folder: Path) -> None:
    parsed = only(folder / "ETH_USDT_USDT-5m-mark.feather")
    assert parsed.notes == ("no volume; taken as 0",)
    assert parsed.data.columns()["volume"].tolist() == [0.0] * 12


def test_equal_trades_on_one_stamp_are_kept(folder: Path) -> None:
    data = only(folder / "ETH_BTC-trades.json").data
    assert len(data) == 2
    assert data.columns()["side"].tolist() == [-1, -1]


def test_a_wrong_timeframe_in_the_name_is_told_and_can_be_put_right(folder: Path) -> None:
    path = (folder / "ETH_BTC-5m.json").rename(folder / "ETH_BTC-15m.json")
    with pytest.raises(BadDataError, match="15m bars, but its rows are 5m apart"):
        only(path)
    assert str(only(path, timeframe="5m").data.series) == "BINANCE:ETH-BTC/5m"


def test_funding_rates_are_not_taken_for_bars(folder: Path) -> None:
    with pytest.raises(BadDataError, match="neither bars nor trades"):
        only(folder / "ETH_USDT_USDT-8h-funding_rate.feather")


def test_a_file_of_more_cells_than_allowed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "XRP_ETH-5m.feather"
    pl.DataFrame({"date": [0] * 100_000, "open": [0.0] * 100_000}).write_ipc(
        path, compression="zstd"
    )
    with pytest.raises(BadDataError, match="200,000 cells"):
        list(FreqtradeFolder(path, venue="BINANCE", max_bytes=500_000).parse())


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"[[1,2", "cut short"), (b"{}", "no list"), (b"[[1,2]]", "rows of 2")],
)
def test_what_cannot_be_read_is_one_clear_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "ETH_BTC-5m.json"
    path.write_bytes(content)
    with pytest.raises(BadDataError, match=message):
        only(path)


@pytest.mark.shared
def test_the_same_trades_are_read_from_every_format(shared_data: Path) -> None:
    names = ["XRP_ETH-trades.feather", "XRP_ETH-trades.json.gz", "XRP_ETH-trades.parquet"]
    first, *others = (only(shared_data / "freqtrade" / name).data for name in names)
    assert len(first) == 12_477
    assert all(other == first for other in others)
    old = only(shared_data / "freqtrade/XRP_OLD-trades.json.gz").data
    assert old.renamed(first.series) == first


@pytest.mark.shared
def test_minutes_named_8m_are_told_for_what_they_are(shared_data: Path) -> None:
    path = shared_data / "freqtrade/UNITTEST_BTC-8m.json.gz"
    with pytest.raises(BadDataError, match=r"8m bars, .* its rows are 1m apart"):
        only(path)
    assert len(only(path, timeframe="1m").data) == 13_681
    with pytest.raises(BadDataError, match="is empty"):
        only(shared_data / "freqtrade/UNITTEST_BTC-8m.feather")
