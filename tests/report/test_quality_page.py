"""The quality page: whole in one file, and everything of the report is on it."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from openbell.quality.check import check
from openbell.quality.report import QualityReport
from openbell.report.quality_page import MEANINGS, level, quality_page
from tests.quality.reading import equity_minutes, lean_daily, spy_march, utc_minutes


@pytest.fixture(scope="module")
def shy(samples: Path) -> QualityReport:
    quotes = equity_minutes(samples, "SHY", "20080307", "20080310", kind="quote")
    return check(equity_minutes(samples, "SHY", "20080307", "20080310"), quotes=quotes, pin="@1")


class Page(HTMLParser):
    """Collects what a page links to and names, and whether its elements are closed in order."""

    VOID = ("meta", "rect", "circle", "link", "img", "br")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_asks_for_nothing_outside_itself(shy: QualityReport) -> None:
    html = quality_page(shy)
    page = Page(html)
    assert "script" not in page.tags
    assert all(link.startswith("#") for link in page.links)
    assert "://" not in html
    assert "@import" not in html
    assert "url(" not in html


def test_elements_are_closed_and_links_lead_somewhere(samples: Path) -> None:
    bars = utc_minutes(
        samples, "crypto/coinbase/minute/btcusd", "COINBASE:BTC-USD/1m", "20171217", "20180405"
    )
    for report in (check(bars), check(spy_march(samples)), check(lean_daily(samples, "AAPL"))):
        page = Page(quality_page(report))
        assert page.open == []
        assert {link[1:] for link in page.links} <= set(page.ids)
        assert len(page.ids) == len(set(page.ids))


def test_every_session_has_its_cell(samples: Path) -> None:
    for report in (check(spy_march(samples)), check(lean_daily(samples, "AAPL"))):
        cells = re.findall(r"<title>(\d{4}-\d\d-\d\d)  ", quality_page(report))
        assert cells == [row.label for row in report.sessions]


def test_every_gap_and_its_reason_is_told(shy: QualityReport) -> None:
    html = quality_page(shy)
    assert html.count('class="g-no-trade"') == len(shy.gaps)
    assert "quotes go on through it — 57 bars in 40 gaps" in html
    assert "quotes go on through it — 77 bars in 56 gaps" in html


def test_every_finding_is_told(samples: Path) -> None:
    report = check(equity_minutes(samples, "AAPL", "20140605", "20140606", "20140609"))
    html = quality_page(report).replace("&gt;", ">")
    assert all(finding.message in html for finding in report.findings)
    assert "high 645.57 at 04:00" in html


def test_unlisted_sessions_are_counted(samples: Path) -> None:
    report = check(lean_daily(samples, "AAPL"))
    noted = sum(row.findings > 0 for row in report.sessions)
    assert f"{len(report.sessions) - noted:,} more sessions are complete" in quality_page(report)


def test_a_session_is_green_only_when_it_is_whole(samples: Path) -> None:
    report = check(equity_minutes(samples, "GOOG", "20151223", "20151224", "20151228"))
    assert [level(row) for row in report.sessions] == [0, 0, 3]


def test_names_are_escaped(shy: QualityReport) -> None:
    gap = shy.gaps[0]
    named = QualityReport(
        shy.series, "<b>", shy.calendar, shy.calendar_version, shy.zone,
        shy.sessions, (gap,), shy.findings,
    )  # fmt: skip
    assert "<b>" not in quality_page(named).split("<section")[0]


def test_every_kind_of_finding_is_explained() -> None:
    source = Path(__file__).parents[2] / "src/openbell/quality"
    text = "".join(path.read_text() for path in sorted(source.glob("*.py")))
    named = set(re.findall(r'Kind\(\s*"(\w+)"|Finding\(\s*"(\w+)"|kind = "(\w+)" if', text))
    kinds = {name for names in named for name in names if name} | {"late_start"}
    assert kinds == set(MEANINGS)
