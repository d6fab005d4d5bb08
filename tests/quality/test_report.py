"""What a report says of itself: sums, table, JSON."""

import json
from pathlib import Path

import pytest

from openbell.market.instrument import Series
from openbell.quality.check import check
from openbell.quality.report import QualityReport
from tests.quality.reading import equity_minutes, spy_march, utc_minutes


@pytest.fixture(scope="module")
def goog(samples: Path) -> QualityReport:
    return check(equity_minutes(samples, "GOOG", "20151223", "20151224", "20151228"), pin="@2")


def test_the_table_has_a_line_a_session_and_a_summary(goog: QualityReport) -> None:
    lines = str(goog).splitlines()
    assert lines[0].split() == [
        "session", "hours", "expected", "present", "completeness", "findings",
    ]  # fmt: skip
    assert lines[2].split()[:6] == ["2015-12-24", "09:30–13:00", "210", "210", "100.0", "%"]
    assert lines[-1] == " 3 sessions · 99.2 % complete · 8 gaps (missing 8) · 0 findings · as of @2"


def test_a_whole_month_reads_as_one_hundred_percent(samples: Path) -> None:
    last = str(check(spy_march(samples))).splitlines()[-1]
    assert last.startswith(" 23 sessions · 100.0 % complete · 0 gaps · ")


def test_empty_sessions_in_a_row_share_a_line(samples: Path) -> None:
    folder, name = "crypto/coinbase/minute/btcusd", "COINBASE:BTC-USD/1m"
    report = check(utc_minutes(samples, folder, name, "20171217", "20180405"))
    lines = str(report).splitlines()
    assert len(lines) == 5
    assert lines[2].split()[:3] == ["2017-12-18", "…", "2018-04-04"]
    assert lines[2].endswith("108 sessions without any bar")
    assert len(report.sessions) == 110


def test_the_report_goes_to_json_and_its_sums_agree(goog: QualityReport) -> None:
    said = json.loads(json.dumps(goog.to_dict()))
    assert said["present"] == sum(row["present"] for row in said["sessions"]) == 982
    assert said["expected"] - said["present"] == sum(gap["bars"] for gap in said["gaps"])
    assert said["worst_session"] == "2015-12-28"
    assert said["gap_counts"] == {"missing": 8}
    assert said["sessions"][1]["open"] == "2015-12-24T14:30:00Z"


def test_nearly_complete_never_reads_as_complete() -> None:
    report = QualityReport(Series.parse("XNYS:A/1m"), "", "XNYS", "1", "UTC", (), (), ())
    assert report.completeness == 1.0
    assert report.worst is None
    assert "0 sessions" in str(report)


def test_a_notebook_shows_the_table(goog: QualityReport) -> None:
    html = goog._repr_html_()
    assert html.count("<tr>") == 4
    assert "XNYS:GOOG/1m" in html
