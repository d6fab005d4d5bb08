from pathlib import Path

import pytest

from openbell.app.wiring import FileOptions, file_source, sniff
from openbell.market.errors import UsageError
from tests.commands import LEAN, SPY


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("XRP_ETH-5m.feather", "freqtrade"),
        ("XRP_ETH-trades.json.gz", "freqtrade"),
        ("spy.parquet", "parquet"),
        ("spy.feather", "parquet"),
        ("20131007_trade.zip", "lean"),
        ("prices.csv", "csv"),
        ("prices.txt.gz", "csv"),
    ],
)
def test_the_format_is_told_from_the_name(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / name).touch()
    assert sniff([tmp_path / name]) == expected
    assert sniff([tmp_path]) == expected


def test_a_lean_folder_is_told_from_its_folders() -> None:
    assert sniff([LEAN]) == "lean"
    assert sniff([LEAN / "equity" / "usa" / "daily" / "spy.zip"]) == "lean"


def test_of_several_formats_in_a_folder_the_first_by_name_is_taken(tmp_path: Path) -> None:
    for name in ("b/XRP_ETH-5m.feather", "a/spy.parquet", "c/20131007_trade.zip"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "a" / "XRP_ETH-5m.feather").mkdir()
    assert sniff([tmp_path]) == "parquet"


def test_text_needs_the_name_of_the_series() -> None:
    with pytest.raises(UsageError, match="do not say what their rows are") as raised:
        file_source([SPY], FileOptions())
    assert "--as XNYS:SPY/1m" in raised.value.hint


def test_what_a_format_cannot_use_is_refused_and_not_ignored() -> None:
    with pytest.raises(UsageError, match="--symbols says nothing about csv files"):
        file_source([SPY], FileOptions(series="XNYS:SPY/1m", symbols=["spy"]))
    with pytest.raises(UsageError, match="--zone says nothing about lean files"):
        file_source([LEAN], FileOptions(zone="UTC"))


def test_an_unknown_format_is_named() -> None:
    with pytest.raises(UsageError, match="unknown format `excel`"):
        file_source([SPY], FileOptions(format="excel"))  # type: ignore[arg-type]  # the mistake


def test_a_venue_over_a_lean_folder_needs_symbols() -> None:
    with pytest.raises(UsageError, match="whose venue"):
        file_source([LEAN], FileOptions(venue="XNAS"))
