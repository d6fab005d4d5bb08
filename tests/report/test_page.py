import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import orjson
import pytest
from msgspec import structs

from openbell.backtest.config import Costs, RunConfig
from openbell.backtest.figures import FIGURES
from openbell.backtest.orders import NAN, Outcome
from openbell.backtest.result import LogLine, SessionLine
from openbell.market.bars import Bars, bars_from
from openbell.market.instrument import Series
from openbell.market.moments import DAY_NS, MINUTE_NS
from openbell.report import contents
from openbell.report.page import write_page
from tests.backtest.runs import FIRST_NS, fill, run, with_openings
from tests.report.spy import SPY, spy_bars, spy_run

EVIL = "</script><script>alert('x')</script><img src=x onerror=alert(1)>$$x$$"


class Page(HTMLParser):
    """What a browser would load or run, and what it would show as text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.handlers: list[str] = []
        self.loads: list[str] = []
        self.policy = ""
        self.words = ""
        self._open: dict[str, str | None] | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.handlers += [name for name in given if name.startswith("on")]
        self.loads += [str(v) for k, v in attrs if k in ("src", "href", "data", "action", "poster")]
        if tag == "script":
            self._open = given
            self.scripts.append((given, ""))
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(given["content"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            given, before = self.scripts[-1]
            self.scripts[-1] = (given, before + data)
        else:
            self.words += data

    @property
    def running(self) -> list[tuple[dict[str, str | None], str]]:
        """Scripts that run; data blocks do not."""
        return [s for s in self.scripts if s[0].get("type") != "application/json"]

    def data(self, name: str) -> Any:
        """What a data block holds."""
        (found,) = [text for given, text in self.scripts if given.get("id") == name]
        return orjson.loads(found)


def written(tmp_path: Path, result: Any, bars: Any, **options: Any) -> Page:
    path, *_ = write_page(result, bars, tmp_path / "report.html", **options)
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return written(tmp_path_factory.mktemp("page"), spy_run(), {SPY: spy_bars()})


def test_the_page_loads_nothing_from_anywhere(page: Page) -> None:
    assert page.loads == []
    own = re.sub(r"<script>.*?</script>", "", page.html, flags=re.DOTALL)
    assert "http://" not in own
    assert "https://" not in own
    assert "default-src 'none'" in page.policy
    assert "http" not in page.policy


def test_the_page_runs_only_the_two_scripts_its_policy_names(page: Page) -> None:
    hashes = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for _, script in page.running
    ]
    assert len(hashes) == 2
    assert all(f"'sha256-{one}'" in page.policy for one in hashes)
    assert page.policy.count("sha256-") == 2
    assert page.handlers == []


def test_pictures_need_no_eval(page: Page) -> None:
    """CustomJS and its like are compiled in the browser, which a strict policy forbids."""
    kinds = set(re.findall(r'"name":"(\w+)"', orjson.dumps(page.data("pictures-data")).decode()))
    assert "Figure" in kinds
    assert not [kind for kind in kinds if "JS" in kind]


def test_assets_beside_leave_no_inline_script_or_style(tmp_path: Path) -> None:
    found = written(tmp_path, spy_run(), {SPY: spy_bars()}, assets="beside")
    files = sorted(path.name for path in tmp_path.iterdir())
    assert len(files) == 4
    assert sorted(found.loads) == [name for name in files if name != "report.html"]
    assert all(given.get("src") and not script for given, script in found.running)
    assert "script-src 'self';" in found.policy
    assert found.handlers == []
    assert "<style" not in found.html
    assert " style=" not in found.html


def test_everything_said_by_others_is_escaped(tmp_path: Path) -> None:
    config = RunConfig(EVIL, (EVIL,), parameters={EVIL: EVIL}, cash=100.0)
    result = run(
        [100.0, 101.0], config=config, status="failed", error=EVIL, warnings=[EVIL], id="7f3a",
        pins=(EVIL,), checksums=(EVIL,), code_hash=EVIL, code_files={EVIL: EVIL},
        calendars={EVIL: EVIL}, withheld={EVIL: 3}, log=[LogLine(5, EVIL)], engine=EVIL,
        version=EVIL, outcomes=[Outcome(1, 5, "rejected", EVIL)],
        sessions=[SessionLine(EVIL, EVIL, 0.5), SessionLine("2011-03-02", "0", 1.0)],
        fills=[fill(1, 1, 10.0), fill(2, -1, 11.0)],
    )  # fmt: skip
    tagged = [structs.replace(o, tag=EVIL) for o in result.orders]
    result = with_openings(replace(result, orders=tagged))
    found = written(tmp_path, result, {SPY: daily([10.0, 11.0])})
    assert len(found.running) == 2
    assert found.handlers == []
    assert "<img" not in re.sub(r"<script>.*?</script>", "", found.html, flags=re.DOTALL)
    assert found.words.count("alert('x')") > 10


def daily(closes: list[float]) -> Bars:
    """Daily bars that end when the rows of a run made by hand end."""
    c = np.array(closes)
    ends = FIRST_NS + DAY_NS * np.arange(len(c))
    return bars_from(f"{SPY}/1d", ends - DAY_NS, ends, [c, c + 1, c - 1, c, c * 0 + 5])


def test_the_page_of_nine_thousand_bars_is_small_and_quick(page: Page, tmp_path: Path) -> None:
    """`page` has warmed everything up; the bound leaves room for busy machines."""
    assert len(page.html.encode()) <= 3_000_000
    start = process_time()
    written(tmp_path, spy_run(), {SPY: spy_bars()})
    assert process_time() - start <= 1.5


def test_the_page_holds_every_figure_with_its_definition(page: Page) -> None:
    for figure in FIGURES.values():
        assert figure.label in page.words
        assert f'title="{figure.says}' in page.html.replace("&#39;", "'")


def test_the_provenance_card_names_what_the_run_stood_on(page: Page) -> None:
    result = spy_run()
    for word in (*result.pins, *result.checksums, result.code_hash, result.seal, "XNYS 5.5.0+1",
                 "next_open", "no costs!", "openbell verify 7f3a", "openbell 0.1.0"):  # fmt: skip
        assert word in page.words


def test_every_session_has_a_place_on_the_axis(page: Page) -> None:
    axis = page.data("axis-data")
    assert axis["begins"] == [390 * i for i in range(23)]
    assert (axis["labels"][0], axis["labels"][-1]) == ("2011-03-01", "2011-03-31")


def test_free_trading_is_said_loudly_and_costs_are_not(tmp_path: Path, page: Page) -> None:
    assert "No costs!" in page.words
    config = RunConfig("x", (f"{SPY}/1m",), cash=100.0, costs=Costs(fee_per_unit=0.01))
    found = written(tmp_path, run([100.0], config=config), {})
    assert "No costs!" not in found.words
    assert "0.01 per unit" in found.words


def test_no_banner_says_what_another_one_says(tmp_path: Path) -> None:
    warnings = ["no costs: fees and slippage are zero", "fills same_close are optimistic: x", "odd"]
    config = RunConfig("x", (f"{SPY}/1m",), cash=100.0, fill="same_close")
    found = written(tmp_path, run([100.0], config=config, warnings=warnings), {})
    assert found.html.count('<p class="banner loud">') == 4
    assert [words in found.words for words in ("No costs!", "Fill mode", "0 orders", "odd")] == [
        True, True, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "words"),
    [("failed", "This run failed"), ("interrupted", "This run was interrupted")],
)
def test_a_broken_run_says_so_first(tmp_path: Path, status: Any, words: str) -> None:
    found = written(tmp_path, run([100.0], status=status, error="bar 7, line 12"), {})
    assert f'<p class="banner wrong">{words}: bar 7, line 12.' in found.html
    assert found.words.index(words) < found.words.index("Total return")


def test_a_run_that_broke_off_inside_a_session_is_drawn_to_where_it_came(tmp_path: Path) -> None:
    result = spy_run(status="failed", error="boom")
    curve, short = result.equity, 392 + 100
    cut = replace(curve, time_ns=curve.time_ns[:short], cash=curve.cash[:short],
                  equity=curve.equity[:short], closes=curve.closes[:1])  # fmt: skip
    result = replace(result, equity=cut, benchmark=result.benchmark[:short],
                     sessions=result.sessions[:2])  # fmt: skip
    axis = written(tmp_path, result, {SPY: spy_bars()}).data("axis-data")
    assert axis == {"begins": [0, 390], "labels": ["2011-03-01", "2011-03-02"]}
    (year,) = contents.months(result)["years"]
    assert year["cells"][-1].value == pytest.approx(result.metrics.total_return)


def test_a_run_that_played_nothing_has_a_page_without_pictures(tmp_path: Path) -> None:
    found = written(tmp_path, run([]), {SPY: spy_bars()})
    assert "nothing was played, so there is nothing to draw" in found.words
    assert "No session was played." in found.words


def test_pictures_say_what_they_leave_out(tmp_path: Path) -> None:
    rows = 25_000
    ends = FIRST_NS + MINUTE_NS * np.arange(rows)
    price = 100 + np.sin(np.arange(rows) / 50)
    bars = {
        f"XNYS:A{i}": bars_from(f"XNYS:A{i}/1m", ends - MINUTE_NS, ends, [price] * 5)
        for i in range(5)
    }
    result = run(price, closes=[rows - 1])  # type: ignore[arg-type]
    result = replace(result, equity=replace(result.equity, time_ns=ends))
    found = written(tmp_path, with_openings(result), bars)
    assert "prices of 4 of 5 instruments are drawn" in found.words
    assert "XNYS:A0: each bar drawn stands for up to 10 bars of XNYS:A0/1m" in found.words
    assert re.search(r"equity: [\d,]+ of 25,000 moments are drawn", found.words)
    assert len(found.html) < 5_000_000


def test_of_very_many_fills_the_first_are_drawn_and_the_page_says_so(tmp_path: Path) -> None:
    fills = [fill(n, 1 if n % 2 else -1, 10.0, time_ns=FIRST_NS + n) for n in range(1, 3_103)]
    result = with_openings(run([100.0, 101.0], fills=fills))
    found = written(tmp_path, result, {SPY: daily([10.0, 11.0])})
    assert "the first 3,000 of 3,102 fills are drawn, and their round trips" in found.words


def test_long_lists_are_cut_and_say_so() -> None:
    fills = [fill(n, 1 if n % 2 else -1, 10.0) for n in range(1, 1_205)]
    (trips, *_) = contents.lists(run([100.0], fills=fills), {}, "UTC")
    assert len(trips.rows) == contents.ROWS_MAX
    assert trips.note.startswith("The first 500 of 602 round trips")


def test_what_is_still_open_leads_the_round_trips() -> None:
    result = run([100.0, 101.0], fills=[fill(1, 2, 10.0)])
    (trip,) = contents.still_open(result, {SPY: daily([10.0, 11.0, 99.0])})
    assert (trip.is_open, trip.exit_price, trip.profit) == (True, 11.0, 2.0)
    (part, *_) = contents.lists(result, {SPY: daily([10.0, 11.0])}, "UTC")
    assert part.rows[0][1].words == "still open"


def test_months_chain_closes_across_the_turn_of_the_year() -> None:
    labels = ["2010-11-30", "2010-12-31", "2011-01-03", "2011-01-31"]
    sessions = [SessionLine(label, "0", 1.0) for label in labels]
    found = contents.months(run([110.0, 99.0, 120.0, 108.9], sessions=sessions))
    by_year = {row["name"]: row["cells"] for row in found["years"]}
    assert [cell.words for cell in by_year["2010"]][-3:] == ["10.00 %", "−10.00 %", "−1.00 %"]
    assert by_year["2011"][0].words == "10.00 %"
    assert by_year["2011"][1].words == ""
    assert by_year["2011"][12].words == "10.00 %"


def test_the_ribbon_shows_the_worst_when_it_must_join_sessions() -> None:
    sessions = [SessionLine(str(i), "0", 0.5 if i == 1_601 else 1.0) for i in range(3_000)]
    cells = contents.ribbon(run([100.0], sessions=sessions))
    assert len(cells) == 1_500
    assert cells[800]["says"] == "1601: 50.0 % (worst of 2)"
    assert cells[800]["color"] != cells[0]["color"]


def test_rejected_orders_are_counted_by_reason() -> None:
    outcomes = [Outcome(n, 0, "rejected", "not enough cash") for n in range(3)]
    outcomes.append(Outcome(9, 0, "cancelled", "end of run"))
    told = [words for _, words in contents.banners(run([100.0], outcomes=outcomes))]
    assert "Orders rejected: 3 × not enough cash." in told


def test_a_benchmark_without_a_price_does_not_stop_the_page(tmp_path: Path) -> None:
    found = written(tmp_path, with_openings(run([100.0, 90.0], benchmark=[NAN, NAN])),
                    {SPY: daily([1.0, 2.0])})  # fmt: skip
    assert "benchmark –" in found.words


def test_a_series_of_any_timeframe_is_drawn(tmp_path: Path) -> None:
    bars = daily([10.0, 11.0]).renamed(Series.parse(f"{SPY}/1w"))
    found = written(tmp_path, with_openings(run([100.0, 90.0])), {SPY: bars})
    assert found.data("axis-data")["begins"] == [0, 1]
