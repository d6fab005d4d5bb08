"""What a check came to, as values: gaps, findings, one row a session, and the report of them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from itertools import groupby
from typing import Any, Literal

from openbell.market.counted import counted
from openbell.market.instrument import Series
from openbell.market.moments import iso, local
from openbell.quality.completeness import completeness

GapKind = Literal[
    "closed", "no-trade", "missing", "outage", "late", "revised", "duplicate", "corrupt"
]
Severity = Literal["note", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch ``[start_ns, end_ns)`` of one session without a usable bar, and why.

    Attributes
    ----------
    session
        Label of the session it lies in.
    bars
        How many expected bars are absent.
    kind
        ``no-trade``: there is evidence that nothing traded. ``outage``: a silence improbable for
        the instrument's own rate. ``corrupt``: a bar is stored, but breaks the rules of a bar and
        is never played. ``missing``: none of these. A check gives these four; ``closed``,
        ``late``, ``revised`` and ``duplicate`` are said of bars as they arrive.
    reason
        The evidence, in words.
    """

    start_ns: int
    end_ns: int
    session: str
    bars: int
    kind: GapKind
    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a check found, at most one of a kind in a session.

    Attributes
    ----------
    kind
        What was found, such as ``jump`` or ``stale_run``.
    start_ns
        Start of the bar it speaks of; of the worst one when there are several.
    session
        Label of the session; empty where the bar is in none.
    severity
        ``error``: the rows contradict themselves; ``warning``: probably wrong; ``note``: worth
        knowing.
    message
        What was found, in one line.
    bars
        How many bars it speaks of.
    values
        The figures behind it, JSON-ready.
    """

    kind: str
    start_ns: int
    session: str
    severity: Severity
    message: str
    bars: int = 1
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionQuality:
    """One session: how many bars the calendar expects and how many are there.

    Attributes
    ----------
    no_trade
        How many of the absent ones are explained: nothing traded.
    note
        What is special about the session, in words; often empty.
    gaps, findings
        How many there are.
    """

    label: str
    open_ns: int
    close_ns: int
    expected: int
    present: int
    no_trade: int
    note: str
    gaps: int
    findings: int

    @property
    def completeness(self) -> float:
        """Bars present ÷ bars expected, 0 to 1."""
        return completeness(self.present, self.expected)


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What is known about the quality of one series over a range of sessions.

    Attributes
    ----------
    series
        What was checked.
    pin
        Which version of it, ``@3``; empty when the bars came from no store.
    calendar, calendar_version
        What the expectation rests on.
    zone
        IANA time zone in which tables show times.
    sessions
        One row a session from the first to the last of the range, the empty ones included.
    gaps, findings
        In order of time.
    """

    series: Series
    pin: str
    calendar: str
    calendar_version: str
    zone: str
    sessions: tuple[SessionQuality, ...]
    gaps: tuple[Gap, ...]
    findings: tuple[Finding, ...]

    @property
    def expected(self) -> int:
        """Bars expected over all sessions."""
        return sum(row.expected for row in self.sessions)

    @property
    def present(self) -> int:
        """Bars present over all sessions."""
        return sum(row.present for row in self.sessions)

    @property
    def completeness(self) -> float:
        """Bars present ÷ bars expected over all sessions, 0 to 1."""
        return completeness(self.present, self.expected)

    @property
    def worst(self) -> SessionQuality | None:
        """The least complete session, the earliest of equals; None when there is no session."""
        return min(self.sessions, key=lambda row: row.completeness, default=None)

    @property
    def counts(self) -> dict[str, int]:
        """Findings by kind, the most frequent first."""
        return dict(Counter(finding.kind for finding in self.findings).most_common())

    @property
    def gap_counts(self) -> dict[str, int]:
        """Gaps by kind, the most frequent first."""
        return dict(Counter(gap.kind for gap in self.gaps).most_common())

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-ready; moments as ISO 8601 with Z."""
        return {
            "series": str(self.series),
            "pin": self.pin,
            "calendar": self.calendar,
            "calendar_version": self.calendar_version,
            "zone": self.zone,
            "expected": self.expected,
            "present": self.present,
            "completeness": self.completeness,
            "worst_session": self.worst.label if self.worst else None,
            "gap_counts": self.gap_counts,
            "finding_counts": self.counts,
            "sessions": [_json(row) | {"completeness": row.completeness} for row in self.sessions],
            "gaps": [_json(gap) for gap in self.gaps],
            "findings": [_json(finding) for finding in self.findings],
        }

    def lines(self) -> Iterator[tuple[str, str, str, str, str, str]]:
        """Rows of the table a person reads; empty sessions in a row share one line."""
        for (empty, _), group in groupby(self.sessions, key=_collapse):
            rows = list(group)
            if empty and len(rows) > 1:
                yield _empty_line(rows)
            else:
                yield from (self._line(row) for row in rows)

    def _line(self, row: SessionQuality) -> tuple[str, str, str, str, str, str]:
        found = counted(row.findings, "finding") if row.findings else ""
        gaps = counted(row.gaps, "gap") if row.gaps else ""
        says = " · ".join(part for part in (row.note, gaps, found) if part)
        return (
            row.label,
            hours(row, self.zone),
            f"{row.expected:,}",
            f"{row.present:,}",
            percent(row.completeness),
            says,
        )

    @property
    def summary(self) -> str:
        """The last line of the table: sessions, completeness, gaps, findings, version."""
        parts = [
            counted(len(self.sessions), "session"),
            f"{percent(self.completeness)} complete",
            _with_kinds("gap", self.gap_counts),
            _with_kinds("finding", self.counts),
        ]
        if self.pin:
            parts.append(f"as of {self.pin}")
        return " · ".join(parts)

    def __str__(self) -> str:
        head = ("session", "hours", "expected", "present", "completeness", "findings")
        rows = [head, *self.lines()]
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        lines = []
        for row in rows:
            left = f" {row[0]:<{widths[0]}}   {row[1]:<{widths[1]}}"
            right = "".join(f"   {row[i]:>{widths[i]}}" for i in (2, 3, 4))
            lines.append(f"{left}{right}   {row[5]}".rstrip())
        return "\n".join([*lines, f" {self.summary}"])

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>"
            for line in self.lines()
        )
        names = ("session", "hours", "expected", "present", "completeness", "findings")
        head = "".join(f"<th>{name}</th>" for name in names)
        return (
            f"<p><b>{escape(str(self.series))}</b> {escape(self.summary)}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )


def percent(fraction: float) -> str:
    """A fraction as a percentage; only a whole one reads 100.0 %, only nothing 0.0 %.

    Examples
    --------
    >>> percent(1.0), percent(0.99999), percent(0.5), percent(0.00001)
    ('100.0 %', '99.9 %', '50.0 %', '0.1 %')
    """
    shown = round(fraction * 100, 1)
    if 0 < fraction < 1:
        shown = min(max(shown, 0.1), 99.9)
    return f"{shown:.1f} %"


def hours(row: SessionQuality, zone: str) -> str:
    """A session's open and close on the clocks of `zone`, ``09:30–16:00``."""
    opens, closes = local(row.open_ns, zone), local(row.close_ns, zone)
    return f"{opens:%H:%M}–{closes:%H:%M}"


def _collapse(row: SessionQuality) -> tuple[bool, str]:
    empty = row.present == 0 and row.findings == 0
    return empty, "" if empty else row.label


def _empty_line(rows: Sequence[SessionQuality]) -> tuple[str, str, str, str, str, str]:
    expected = sum(row.expected for row in rows)
    says = f"{counted(len(rows), 'session')} without any bar"
    return f"{rows[0].label} … {rows[-1].label}", "", f"{expected:,}", "0", percent(0.0), says


def _with_kinds(noun: str, counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    text = counted(total, noun)
    if not total:
        return text
    parts = ", ".join(f"{kind.replace('_', ' ')} {count:,}" for kind, count in counts.items())
    return f"{text} ({parts})"


def _json(value: Gap | Finding | SessionQuality) -> dict[str, Any]:
    """The value's fields, with ``_ns`` moments as ISO text under the name without the ending."""
    return {
        name.removesuffix("_ns"): iso(item) if name.endswith("_ns") else item
        for name, item in asdict(value).items()
    }
