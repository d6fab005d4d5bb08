"""LEAN folders: every layout of the carried archives, and known answers."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from openbell.market.bars import Bars
from openbell.market.calendars import calendar
from openbell.market.errors import BadDataError, UsageError
from openbell.market.instrument import Series
from openbell.market.moments import iso
from openbell.ports import FileSource, Parsed
from openbell.sources.lean import LeanFolder
from tests.sources.contract import FileSourceContract


def by_series(source: LeanFolder) -> dict[str, Parsed]:
    """What a source that has one file a series reads."""
    found = {str(parsed.data.series): parsed for parsed in source.parse()}
    assert len(found) == len(list(source.parse()))
    return found


def bars(parsed: Parsed) -> Bars:
    assert isinstance(parsed.data, Bars)
    return parsed.data


def spans(parsed: Parsed) -> list[str]:
    data = bars(parsed)
    return [
        f"{iso(int(a))[:16]} {iso(int(b))[11:16]}"
        for a, b in zip(data.start_ns, data.end_ns, strict=True)
    ]


def made(folder: Path, name: str, content: str, member: str = "inside.csv") -> Path:
    """The folder ``Data`` with one archive in it."""
    path = folder / "Data" / name
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
    return folder / "Data"


class TestShares(FileSourceContract):
    @pytest.fixture
    def source(self, samples: Path) -> FileSource:
        return LeanFolder(samples / "lean/Data/equity", symbols=["shy", "foxa", "gdvd"])


class TestContracts(FileSourceContract):
    @pytest.fixture
    def source(self, samples: Path) -> FileSource:
        return LeanFolder(samples / "lean/Data/future", end="2013-10-08")


class TestTicks(FileSourceContract):
    @pytest.fixture
    def source(self, samples: Path) -> FileSource:
        return LeanFolder(samples / "lean/Data/forex", resolutions=["tick"])


def test_a_half_day_of_minutes_lies_in_its_session(samples: Path) -> None:
    source = LeanFolder(
        samples / "lean/Data", symbols=["goog"], resolutions=["minute"],
        start="2015-12-24", end="2015-12-25",
    )  # fmt: skip
    parsed = by_series(source)["XNYS:GOOG/1m"]
    session = calendar("XNYS").session("2015-12-24")
    regular = bars(parsed).between(session.open_ns, session.close_ns)
    assert len(regular) == 210
    assert float(regular.volume.sum()) == 515_572


def test_prices_of_us_and_indian_shares_are_in_units_of_a_ten_thousandth(samples: Path) -> None:
    days = by_series(
        LeanFolder(samples / "lean/Data/equity/usa", symbols=["spy"], resolutions=["daily"])
    )
    assert bars(days["XNYS:SPY/1d"]).open[0] == 97.31
    india = by_series(LeanFolder(samples / "lean/Data/equity/india"))
    first = bars(india["XNSE:JUNIORBEES/1m"]).bar(0)
    assert (first.open, first.high) == (290, 292)
    assert iso(first.start_ns) == "2019-01-01T03:45:00Z"  # 09:15 in Kolkata


def test_a_day_is_its_session(samples: Path) -> None:
    parsed = by_series(
        LeanFolder(
            samples / "lean/Data", symbols=["goog"], resolutions=["daily"],
            start="2015-12-23", end="2015-12-29",
        )
    )["XNYS:GOOG/1d"]  # fmt: skip
    assert spans(parsed) == [
        "2015-12-23T14:30 21:00",
        "2015-12-24T14:30 18:00",
        "2015-12-28T14:30 21:00",
    ]


def test_hours_are_cut_to_regular_hours(samples: Path) -> None:
    parsed = by_series(LeanFolder(samples / "lean/Data/equity", symbols=["gdvd"]))["XNYS:GDVD/1h"]
    assert spans(parsed)[:2] == ["2020-12-08T14:30 15:00", "2020-12-08T20:00 21:00"]
    assert len(bars(parsed)) == 121
    spx = by_series(LeanFolder(samples / "lean/Data/index/usa/hour"))["XCBO:SPX/1h"]
    assert spans(spx)[0] == "2021-01-04T14:30 15:00"


def test_bars_of_quotes_become_bid_and_ask(samples: Path) -> None:
    source = LeanFolder(
        samples / "lean/Data/equity", symbols=["foxa"], kinds=["quote"], end="2013-07-02"
    )
    found = by_series(source)
    assert list(found) == ["XNYS:FOXA/1m.bid", "XNYS:FOXA/1m.ask"]
    assert found["XNYS:FOXA/1m.bid"].read == found["XNYS:FOXA/1m.ask"].read + 1
    assert "1 row without ask, left out of it" in found["XNYS:FOXA/1m.ask"].notes
    assert "volume is the size last quoted" in found["XNYS:FOXA/1m.ask"].notes


def test_each_contract_is_an_instrument(samples: Path) -> None:
    source = LeanFolder(samples / "lean/Data/future/cme", end="2013-10-08")
    assert [str(s) for s in source.series()][:2] == ["XCME:ES-201312/1m", "XCME:ES-201403/1m"]
    found = by_series(source)
    assert bars(found["XCME:ES-201312/1m"]).open[0] == 1676.5
    notes = next(iter(found.values())).notes
    assert "not taken: 1 file of openinterest" in notes


def test_ticks_keep_every_row_on_a_stamp(samples: Path) -> None:
    found = by_series(LeanFolder(samples / "lean/Data/future/comex"))
    assert sum(len(parsed.data) for parsed in found.values()) == 40_192
    quotes = by_series(LeanFolder(samples / "lean/Data/forex", resolutions=["tick"]))
    data = quotes["OANDA:EURUSD/quotes"].data
    assert data.columns()["ask"][0] == 1.38686
    assert len(data) == quotes["OANDA:EURUSD/quotes"].read


def test_dealers_with_fixed_clocks_know_no_daylight_saving(samples: Path) -> None:
    day = samples / "lean/Data/forex/fxcm/minute/eurusd/20111031_quote.zip"
    parsed = by_series(LeanFolder(day))["FXCM:EURUSD/1m.bid"]
    assert iso(int(parsed.data.key_ns[0])) == "2011-10-31T05:00:00Z"


def test_a_side_that_is_not_quoted_has_no_price(tmp_path: Path) -> None:
    path = made(
        tmp_path, "equity/usa/tick/bac/20131007_quote.zip",
        "14400151,0,0,140200,500,Q,1,0\n14400554,138400,700,0,0,P,1,1\n",
    )  # fmt: skip
    parsed = by_series(LeanFolder(path))["XNYS:BAC/quotes"]
    columns = parsed.data.columns()
    np.testing.assert_array_equal(columns["bid"], [np.nan, 13.84])
    np.testing.assert_array_equal(columns["ask"], [14.02, np.nan])
    assert columns["ask_size"].tolist() == [500, 0]
    assert "1 row flagged as suspicious by the source; taken" in parsed.notes


def test_days_of_a_dealer_go_from_midnight_to_midnight_of_its_data(tmp_path: Path) -> None:
    row = "1.3,1.4,1.2,1.3,0,1.3,1.4,1.2,1.3,0"
    path = made(tmp_path, "forex/fxcm/daily/eurusd.zip", f"20110313 00:00,{row}\n")
    parsed = by_series(LeanFolder(path))["FXCM:EURUSD/1d.bid"]
    assert spans(parsed) == ["2011-03-13T05:00 05:00"]


def test_rows_that_break_a_rule_are_rejected_with_their_line(tmp_path: Path) -> None:
    content = "34200000,10,12,9,11,5\n34260000,10,8,9,11,5\n34320000,x,12,9,11,5\nx,1,1,1,1,1\n"
    path = made(tmp_path, "crypto/binance/minute/btcusd/20200101_trade.zip", content)
    parsed = by_series(LeanFolder(path))["BINANCE:BTCUSD/1m"]
    assert [(r.row, r.rule) for r in parsed.rejected] == [
        (2, "high 8 is below low 9"),
        (3, "open `x` is no number"),
        (4, "the stamp is missing"),
    ]


def test_the_venue_of_a_share_can_be_said(samples: Path) -> None:
    source = LeanFolder(samples / "lean/Data/equity/usa/daily", venues={"aapl": "XNAS"})
    assert Series.parse("XNAS:AAPL/1d") in source.series()
    assert Series.parse("XNYS:SPY/1d") in source.series()


def test_unknown_resolutions_and_other_archives_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown resolution `minutes`"):
        LeanFolder(tmp_path, resolutions=["minutes"])
    path = made(tmp_path, "future/cme/minute/es/20200101_trade.zip", "0,1,1,1,1,1\n", "es.csv")
    with pytest.raises(BadDataError, match="does not say which contract"):
        list(LeanFolder(path).parse())


def test_a_folder_of_its_own_name_is_found_from_any_depth(samples: Path, tmp_path: Path) -> None:
    inside = samples / "lean/Data/equity/usa/minute/shy"
    assert len(LeanFolder(inside).files()) == 4
    assert len(LeanFolder(inside / "20080307_trade.zip").files()) == 1
    shutil.copy(inside / "20080307_trade.zip", tmp_path)
    assert LeanFolder(tmp_path).files() == []


@pytest.mark.shared
def test_every_row_of_the_whole_folder_is_taken(shared_data: Path) -> None:
    rows: dict[str, int] = {}
    for parsed in LeanFolder(shared_data / "lean/Data").parse():
        assert parsed.rejected == ()
        assert parsed.unordered == parsed.conflicting == 0
        name = str(parsed.data.series)
        rows[name] = rows.get(name, 0) + len(parsed.data)
    assert rows["XNYS:SPY/trades"] == 702_146
    assert rows["XNYS:BAC/quotes"] == 1_052_951
    assert rows["FXCM:EURUSD/1h.bid"] == 69_928
    assert rows["XNYS:SPY/1h"] == 40_832
    assert rows["COINBASE:BTCUSD/1s"] == 11_520
    assert len(rows) == 186
