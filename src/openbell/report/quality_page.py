"""One self-contained HTML page of a quality report: no scripts, no requests, light and dark."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any, Literal, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from openbell.market.counted import counted
from openbell.market.moments import DAY_NS, local
from openbell.quality.report import Finding, Gap, QualityReport, SessionQuality, hours, percent

MEANINGS = {
    "bad_tick": "a price the bars around it do not know; more than 15 usual moves away",
    "conflicting": "a stamp the source gave twice with different values; the last was kept",
    "crossed_quotes": "a bid above its ask",
    "differs_from_daily": "regular bars that do not add up to the daily bar",
    "filled": "bars put in by repair",
    "jump": "a move more than 15 times the usual one at that time",
    "late_start": "no bar from the open on, for longer than chance allows",
    "night_jump": "a move between sessions more than 15 times the usual night",
    "no_volume": "no bar of the series has volume",
    "non_positive": "a price of zero or below",
    "off_grid": "bars that start inside a slot: another anchor, a wrong zone, jitter",
    "ohlc_order": "open or close outside low and high, or a blank price; never played",
    "outside_hours": "bars where the calendar has no session",
    "repeated": "a stamp that came more than once",
    "split_like": "a night whose ratio of prices is that of a split, and that lasts",
    "stale_run": "one flat price repeated for longer than chance allows",
    "truncated": "no bar to the close, for longer than chance allows",
    "unordered": "bars that stood before their place in the source",
    "volume": "prices that moved without volume, or a volume that is none",
}
GAP_MEANINGS = {
    "no-trade": "nothing traded: quotes go on, a trades series shows it, or the source declares it",
    "missing": "nothing tells why the bar is absent",
    "outage": "a silence with a probability below one in a million at the instrument's own rate",
    "corrupt": "a bar is stored, but breaks the rules of a bar and is never played",
}
# Lower ends of the classes that colour a session, best first; below the last is no bar at all.
LEVELS = (1.0, 0.995, 0.98, 0.9, 0.5, 1e-12)
LEGEND = ("100 %", "≥ 99.5 %", "≥ 98 %", "≥ 90 %", "≥ 50 %", "< 50 %", "no bar")

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_ALL_LISTED = 300
_SEVERITIES = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, slots=True)
class Cell:
    """One session in the heat map; position in pixels."""

    x: int
    y: int
    level: int
    day: int
    percent: str
    title: str
    href: str
    has_findings: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """How a heat map is laid out: a cell's size and the gap between cells, in pixels.

    Attributes
    ----------
    unit
        What one block shows: a ``month`` as a sheet, or a ``year`` as a strip of weeks.
    """

    unit: Literal["month", "year"]
    cell_width: int
    cell_height: int
    gap: int

    @property
    def is_month(self) -> bool:
        """Whether blocks are months."""
        return self.unit == "month"

    @property
    def step(self) -> tuple[int, int]:
        """From one cell to the next, across and down."""
        return self.cell_width + self.gap, self.cell_height + self.gap


@dataclass(frozen=True, slots=True)
class Block:
    """A month or a year of the heat map; size in pixels, and what stands over its columns."""

    title: str
    width: int
    height: int
    cells: list[Cell]
    marks: list[tuple[int, str]]


class Line(NamedTuple):
    """A session, or a row of empty ones, in the list."""

    anchor: str
    label: str
    hours: str
    expected: int
    present: int
    share: float
    percent: str
    note: str
    level: int
    strip: list[dict[str, Any]]
    gaps: list[dict[str, Any]]
    findings: list[Finding]


def quality_page(report: QualityReport) -> str:
    """The page, as HTML text.

    Sessions are listed one by one up to 300; of more, only those with gaps or findings are, and
    the page says how many are not.
    """
    environment = Environment(
        loader=PackageLoader("openbell.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    lines = _lines(report)
    href = _hrefs(report, lines)
    shape = _shape(report)
    return environment.get_template("quality_page.html.j2").render(
        report=report,
        percent=percent,
        legend=list(enumerate(LEGEND)),
        shape=shape,
        blocks=_heat_map(report, shape, href),
        lines=lines,
        unlisted=len(report.sessions) - len(href),
        stray=_stray(report),
        kinds=_kinds(report, href),
        gap_kinds=_gap_kinds(report),
        span=_span(report),
    )


def level(row: SessionQuality) -> int:
    """The class that colours a session: 0 is complete, 6 is without a bar."""
    share = row.completeness
    return next((i for i, lowest in enumerate(LEVELS) if share >= lowest), len(LEVELS))


def _span(report: QualityReport) -> str:
    if not report.sessions:
        return "no sessions"
    return f"{report.sessions[0].label} → {report.sessions[-1].label}"


# The heat map


def _shape(report: QualityReport) -> Shape:
    """Sheets of months for a short range, strips of weeks for years; the more the smaller."""
    months = len({row.label[:7] for row in report.sessions})
    years = len({row.label[:4] for row in report.sessions})
    if months <= 2:
        return Shape("month", 68, 44, 4)
    if months <= 15:
        return Shape("month", 30, 30, 3)
    return Shape("year", 16, 16, 3) if years <= 6 else Shape("year", 7, 7, 2)


def _heat_map(report: QualityReport, shape: Shape, href: dict[str, str]) -> list[Block]:
    blocks = []
    part = 7 if shape.is_month else 4
    for title, group in groupby(report.sessions, key=lambda row: row.label[:part]):
        cells = [_cell(row, shape, href.get(row.label, "")) for row in group]
        blocks.append(_block(title, cells, shape))
    return blocks


def _cell(row: SessionQuality, shape: Shape, href: str) -> Cell:
    day = date.fromisoformat(row.label)
    across, down = _spot(day, shape)
    share = percent(row.completeness)
    parts = [f"{row.label}  {row.present:,} of {row.expected:,} bars, {share}", row.note]
    parts.append(counted(row.findings, "finding") if row.findings else "")
    title = " · ".join(part for part in parts if part)
    x, y = across * shape.step[0], down * shape.step[1]
    return Cell(x, y, level(row), day.day, share, title, href, row.findings > 0)


def _spot(day: date, shape: Shape) -> tuple[int, int]:
    """Column and row of a day: by weekday and week in a month, by week and weekday in a year."""
    if shape.is_month:
        return day.weekday(), (day.day - 1 + day.replace(day=1).weekday()) // 7
    week = (day.timetuple().tm_yday - 1 + date(day.year, 1, 1).weekday()) // 7
    return week, day.weekday()


def _block(title: str, cells: list[Cell], shape: Shape) -> Block:
    step_x, step_y = shape.step
    height = max(cell.y for cell in cells) + shape.cell_height
    if shape.is_month:
        first = date.fromisoformat(f"{title}-01")
        days = 7 if any(cell.x > 4 * step_x for cell in cells) else 5
        names = [(day * step_x + 2, name) for day, name in enumerate(_WEEKDAYS[:days])]
        return Block(f"{first:%B %Y}", days * step_x - shape.gap, height, cells, names)
    # A month's name stands over the first week that begins in it.
    sevenths = [date(int(title), month, 7) for month in range(1, 13)]
    marks = [(_spot(day, shape)[0] * step_x, f"{day:%b}") for day in sevenths]
    rows = 7 if any(cell.y > 4 * step_y for cell in cells) else 5
    return Block(title, 54 * step_x, rows * step_y - shape.gap, cells, marks)


# The list of sessions


def _lines(report: QualityReport) -> list[Line]:
    """What is listed: sessions, neighbouring ones without any bar as one line."""
    gaps = _by_session(report.gaps)
    found = _by_session(report.findings)
    few = len(report.sessions) <= _ALL_LISTED
    lines = []
    for (empty, _), group in groupby(report.sessions, key=_together):
        rows = list(group)
        if empty and len(rows) > 1:
            lines.append(_empty_line(rows))
            continue
        lines += [
            _line(report, row, gaps.get(row.label, []), found.get(row.label, []))
            for row in rows
            if few or row.gaps or row.findings
        ]
    return lines


def _together(row: SessionQuality) -> tuple[bool, str]:
    empty = row.present == 0 and row.findings == 0
    return empty, "" if empty else row.label


def _empty_line(rows: list[SessionQuality]) -> Line:
    expected = sum(row.expected for row in rows)
    label = f"{rows[0].label} … {rows[-1].label}"
    note = f"{counted(len(rows), 'session')} without any bar"
    return Line(
        f"s-{rows[0].label}", label, "", expected, 0, 0.0, percent(0.0), note, 6, [], [], []
    )


def _line(
    report: QualityReport, row: SessionQuality, gaps: list[Gap], found: list[Finding]
) -> Line:
    return Line(
        f"s-{row.label}", row.label, hours(row, report.zone), row.expected, row.present,
        row.completeness, percent(row.completeness), row.note, level(row),
        _strip(row, gaps), _reasons(report, gaps), found,
    )  # fmt: skip


def _hrefs(report: QualityReport, lines: Sequence[Line]) -> dict[str, str]:
    """Where each listed session stands on the page."""
    listed = {line.label.partition(" … ")[0] for line in lines}
    href, last = {}, ""
    for row in report.sessions:
        empty, _ = _together(row)
        last = row.label if row.label in listed else last if empty else ""
        if last:
            href[row.label] = f"#s-{last}"
    return href


def _by_session(items: Sequence[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for item in items:
        found.setdefault(item.session, []).append(item)
    return found


def _strip(row: SessionQuality, gaps: list[Gap]) -> list[dict[str, Any]]:
    """Where the gaps lie in the session, in thousandths of it."""
    length = row.close_ns - row.open_ns
    return [
        {
            "kind": gap.kind,
            "x": round((gap.start_ns - row.open_ns) * 1000 / length, 2),
            "width": round(max((gap.end_ns - gap.start_ns) * 1000 / length, 1.2), 2),
        }
        for gap in gaps
        if gap.end_ns <= row.close_ns
    ]


def _reasons(report: QualityReport, gaps: list[Gap]) -> list[dict[str, Any]]:
    """Gaps by kind and reason, each with when they were."""
    by_reason: dict[tuple[str, str], list[Gap]] = {}
    for gap in gaps:
        by_reason.setdefault((gap.kind, gap.reason), []).append(gap)
    return [
        {
            "kind": kind,
            "reason": reason,
            "gaps": len(same),
            "bars": sum(gap.bars for gap in same),
            "when": [_when(gap, report.zone) for gap in same],
        }
        for (kind, reason), same in by_reason.items()
    ]


def _when(gap: Gap, zone: str) -> str:
    """A gap's bars on the venue's clocks: ``09:33``, or the first and the end ``10:02–10:05``."""
    start, end = local(gap.start_ns, zone), local(gap.end_ns, zone)
    if gap.end_ns - gap.start_ns >= DAY_NS and start.date() != end.date():
        return f"{start:%Y-%m-%d} – {end:%Y-%m-%d}"
    form = "%H:%M:%S" if start.second or end.second else "%H:%M"
    return f"{start:{form}}" if gap.bars == 1 else f"{start:{form}}–{end:{form}}"


# Findings


def _stray(report: QualityReport) -> list[Finding]:
    """Findings of bars in no session of the range."""
    labels = {row.label for row in report.sessions}
    return [finding for finding in report.findings if finding.session not in labels]


def _kinds(report: QualityReport, href: dict[str, str]) -> list[dict[str, Any]]:
    """Findings by kind, the gravest first, each with where it is told on the page."""
    kinds = []
    for kind in report.counts:
        same = [finding for finding in report.findings if finding.kind == kind]
        kinds.append(
            {
                "name": kind.replace("_", " "),
                "severity": same[0].severity,
                "meaning": MEANINGS[kind],
                "bars": sum(finding.bars for finding in same),
                "findings": [(f, _day(f, report.zone), href.get(f.session, "")) for f in same],
            }
        )
    return sorted(kinds, key=lambda kind: (_SEVERITIES[kind["severity"]], -len(kind["findings"])))


def _day(finding: Finding, zone: str) -> str:
    return finding.session or f"{local(finding.start_ns, zone):%Y-%m-%d}"


def _gap_kinds(report: QualityReport) -> list[dict[str, Any]]:
    return [
        {
            "name": kind,
            "meaning": GAP_MEANINGS[kind],
            "count": count,
            "bars": sum(gap.bars for gap in report.gaps if gap.kind == kind),
        }
        for kind, count in report.gap_counts.items()
    ]
