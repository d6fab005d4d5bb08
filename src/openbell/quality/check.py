"""Checking one series: completeness, gaps with reasons, findings."""

from collections import Counter

import numpy as np

from openbell.market.bars import Bars
from openbell.market.calendars import Calendar
from openbell.market.calendars import calendar as calendar_of
from openbell.market.columns import UNORDERED, Ints
from openbell.market.errors import NotRecordedError
from openbell.market.moments import END_OF_TIME_NS, START_OF_TIME_NS, local
from openbell.market.session_table import day_label
from openbell.market.ticks import Quotes, Trades
from openbell.market.timeframe import Anchor
from openbell.quality import checks
from openbell.quality.gaps import Evidence, find_gaps
from openbell.quality.placed import Placed, place
from openbell.quality.prices import price_checks
from openbell.quality.report import Finding, Gap, QualityReport, SessionQuality


def check(  # noqa: PLR0913  # evidence and bounds, all of which can be left out
    bars: Bars,
    *,
    calendar: Calendar | None = None,
    trades: Trades | None = None,
    quotes: Quotes | Bars | None = None,
    daily: Bars | None = None,
    other_side: Bars | None = None,
    no_row_means_no_trade: bool = False,
    extended: bool = False,
    anchor: Anchor | None = None,
    start_ns: int | None = None,
    end_ns: int | None = None,
    pin: str = "",
) -> QualityReport:
    """How good the bars of one series are.

    Parameters
    ----------
    bars
        The bars, as stored or as they came: stamps out of order or repeated become findings.
    calendar
        Which sessions there should be; that of the venue when left out.
    trades, quotes
        Of the same instrument, as evidence of why a bar is absent (`gaps`). Quotes may be bid or
        ask bars; real ones are checked for crossing as well.
    daily
        Daily bars of the same instrument, to compare with.
    other_side
        Asks, when `bars` are bids, or the other way round: checked for crossing.
    no_row_means_no_trade
        Whether the source declares that it writes no row where nothing traded.
    extended
        Whether bars are expected in extended hours too.
    anchor
        Where bars narrower than a day are counted from; as the venue has it when left out.
    start_ns, end_ns
        The range; from the session of the first bar to that of the last when left out. A
        session belongs to it if its regular hours overlap it.
    pin
        Which version of the series this is, for the report.

    Raises
    ------
    NotRecordedError
        If there are no bars and no range is given.
    UsageError
        If evidence cannot say anything of these bars, or a bar lies outside the years the
        calendar knows.
    """
    bounds = (start_ns, end_ns)
    ordered, repeated = _tidy(_within(bars, bounds))
    if not len(ordered) and None in bounds:
        raise NotRecordedError(
            f"{bars.series} has no bars to check", hint="bring some in with: openbell data import"
        )
    at = bars.series.instrument.place
    known = calendar or calendar_of(at.calendar)
    placed = place(ordered, known, anchor or at.anchor, bounds, extended=extended)
    gaps = find_gaps(placed, Evidence(trades, quotes, no_row_means_no_trade))
    found = [
        *checks.repeats(placed, repeated),
        *checks.row_checks(placed),
        *checks.truncated(placed, gaps),
        *price_checks(placed),
        *(checks.crossed_bars(placed, other_side) if other_side is not None else ()),
        *(checks.crossed_quotes(placed, quotes) if isinstance(quotes, Quotes) else ()),
        *(checks.against_daily(placed, daily) if daily is not None else ()),
    ]
    found.sort(key=lambda finding: (finding.start_ns, finding.kind))
    rows = _rows(placed, gaps, found)
    return QualityReport(
        bars.series, pin, known.name, known.version, known.zone, rows, tuple(gaps), tuple(found)
    )


def _within(bars: Bars, bounds: tuple[int | None, int | None]) -> Bars:
    start_ns = START_OF_TIME_NS if bounds[0] is None else bounds[0]
    end_ns = END_OF_TIME_NS if bounds[1] is None else bounds[1]
    # Not `between`: the rows may be out of order.
    return bars.take((bars.start_ns >= start_ns) & (bars.start_ns < end_ns))


def _tidy(bars: Bars) -> tuple[Bars, Ints]:
    """Bars in order, the last of each start kept; and the starts that came more than once.

    Rows that stood before their place are labelled, as an import does.
    """
    steps = np.diff(bars.start_ns)
    if (steps > 0).all():
        return bars, np.empty(0, np.int64)
    early = np.concatenate(([False], bars.start_ns[1:] < np.maximum.accumulate(bars.start_ns)[:-1]))
    columns = bars.columns() | {"label": bars.label | np.where(early, UNORDERED, 0)}
    order = np.argsort(bars.start_ns, kind="stable")
    ordered = Bars(bars.series, **columns).take(order)
    is_last = np.append(np.diff(ordered.start_ns) != 0, True)
    return ordered.take(is_last), np.unique(ordered.start_ns[~is_last])


def _rows(placed: Placed, gaps: list[Gap], found: list[Finding]) -> tuple[SessionQuality, ...]:
    """One row a session of the range."""
    grid, table = placed.grid, placed.table
    expected = grid.count(grid.expected)
    present = grid.count(grid.marked(placed.cell[placed.usable]))
    gap_count, no_trade = _gaps_by_session(placed, gaps)
    finding_count = Counter(finding.session for finding in found)
    notes = _notes(placed, gaps)
    columns = (table.day, table.open_ns, table.close_ns, expected, present, no_trade, gap_count)
    rows = zip(*(column.tolist() for column in columns), notes, strict=True)
    return tuple(
        SessionQuality(
            day_label(day), open_ns, close_ns, expected_, present_, quiet, note, gaps_,
            finding_count[day_label(day)],
        )
        for day, open_ns, close_ns, expected_, present_, quiet, gaps_, note in rows
    )  # fmt: skip


def _gaps_by_session(placed: Placed, gaps: list[Gap]) -> tuple[Ints, Ints]:
    """How many gaps each session has, and how many bars are absent because nothing traded."""
    count, quiet = np.zeros((2, len(placed.table)), np.int64)
    if gaps:
        bounds = np.array([(gap.start_ns, gap.end_ns - 1) for gap in gaps], np.int64)
        first, last = np.searchsorted(placed.table.open_ns, bounds.T, side="right") - 1
        for gap, lo, hi in zip(gaps, first.tolist(), last.tolist(), strict=True):
            count[lo : hi + 1] += 1
            if gap.kind == "no-trade":
                quiet[lo : hi + 1] += gap.bars if lo == hi else 1
    return count, quiet


def _notes(placed: Placed, gaps: list[Gap]) -> list[str]:
    """What is special about each session, in words."""
    table = placed.table
    extended = checks.extended_bars(placed) & (placed.session >= 0)
    extra = np.bincount(placed.session[extended], minlength=len(table))
    cut = {found.session: found.message for found in checks.truncated(placed, gaps)}
    notes = []
    for i, clocks in enumerate(_clock_changes(placed)):
        says = [
            clocks,
            "early close" * bool(table.is_early[i]),
            cut.get(day_label(int(table.day[i])), "").partition(",")[0],
            f"extended bars {extra[i]:,}" * bool(extra[i]),
        ]
        notes.append(" · ".join(part for part in says if part))
    return notes


def _clock_changes(placed: Placed) -> list[str]:
    """Which sessions are the first after the clocks were put forward or back."""
    opens = [local(ns, placed.calendar.zone) for ns in placed.table.open_ns.tolist()]
    offsets = [opened.utcoffset() for opened in opens]
    says = []
    for opened, now, before in zip(opens, offsets, [*offsets[:1], *offsets], strict=False):
        summer = "daylight" if opened.dst() else "standard"
        says.append(f"first session in {summer} time" if now != before else "")
    return says
