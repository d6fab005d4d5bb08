"""Checks of rows: their order, prices, stamps, sessions, the other side, and the daily bars."""

from typing import Any

import numpy as np

from openbell.market.bars import Bars
from openbell.market.columns import CONFLICTING, FILLED, UNORDERED, Ints, label_names
from openbell.market.counted import counted
from openbell.market.errors import UsageError
from openbell.market.moments import iso
from openbell.market.ticks import Quotes
from openbell.quality.completeness import Flags
from openbell.quality.found import Kind, per_row, per_session
from openbell.quality.placed import Placed, place
from openbell.quality.report import Finding, Gap

PRICES = ("open", "high", "low", "close")

_CROSSED = Kind("crossed_quotes", "warning")
_REPEATED = Kind("repeated", "warning")


def row_checks(placed: Placed) -> list[Finding]:
    """The checks that need the bars alone."""
    return [
        *ohlc_order(placed),
        *non_positive(placed),
        *labelled(placed),
        *volumes(placed),
        *outside_hours(placed),
        *off_grid(placed),
    ]


def ohlc_order(placed: Placed) -> list[Finding]:
    """Bars whose open or close is outside ``low <= price <= high``, or whose prices are blank."""
    bars = placed.bars

    def say(i: int) -> tuple[str, dict[str, Any]]:
        values = {name: _number(getattr(bars, name)[i]) for name in PRICES}
        shown = " ".join(f"{name} {getattr(bars, name)[i]:.10g}" for name in PRICES)
        what = "a price is blank" if None in values.values() else "prices out of order"
        return f"{what} at {placed.when(i)}: {shown}", values

    return per_session(placed, Kind("ohlc_order", "error"), np.flatnonzero(~placed.usable), say)


def non_positive(placed: Placed) -> list[Finding]:
    """Prices of zero or below."""
    bars = placed.bars
    picked = np.flatnonzero((bars.low <= 0) | (bars.open <= 0) | (bars.close <= 0))

    def say(i: int) -> tuple[str, dict[str, Any]]:
        low = min(float(getattr(bars, name)[i]) for name in PRICES)
        return f"price {low:.10g} at {placed.when(i)}", {"price": low}

    return per_session(placed, Kind("non_positive", "error"), picked, say)


def labelled(placed: Placed) -> list[Finding]:
    """What was said of rows when they entered: conflicting, out of order, filled."""
    said = (
        (CONFLICTING, Kind("conflicting", "warning"), "came twice with other values; last kept"),
        (UNORDERED, Kind("unordered", "note"), "stood before its place in the source"),
        (FILLED, Kind("filled", "note"), "was put in by repair"),
    )
    return [finding for bit, kind, text in said for finding in _labelled(placed, bit, kind, text)]


def _labelled(placed: Placed, bit: int, kind: Kind, text: str) -> list[Finding]:
    def say(i: int) -> tuple[str, dict[str, Any]]:
        return f"bar {placed.when(i)} {text}", {"labels": label_names(int(placed.bars.label[i]))}

    return per_session(placed, kind, np.flatnonzero(placed.bars.label & bit), say)


def repeats(placed: Placed, repeated: Ints) -> list[Finding]:
    """Starts that came more than once; `repeated` are those starts, increasing."""

    def say(i: int) -> tuple[str, dict[str, Any]]:
        return f"bar {placed.when(i)} came more than once; the last was taken", {}

    picked = np.searchsorted(placed.bars.start_ns, repeated)
    return per_session(placed, _REPEATED, picked, say)


def volumes(placed: Placed) -> list[Finding]:
    """Negative or blank volume, and prices that moved without any.

    A series in which no bar at all has volume (an index, forex) gets one note for all of them.
    """
    bars = placed.bars
    if len(bars) and not bars.volume.any():
        text = "no bar has any volume, as for an index or forex"
        first = int(bars.start_ns[0])
        return [
            Finding("no_volume", first, placed.label(int(placed.row[0])), "note", text, len(bars))
        ]
    moved = (bars.volume == 0) & (bars.high > bars.low)
    picked = np.flatnonzero(moved | ~(bars.volume >= 0))

    def say(i: int) -> tuple[str, dict[str, Any]]:
        volume = float(bars.volume[i])
        text = "price moved without volume" if volume == 0 else f"volume is {volume:.10g}"
        return f"{text} at {placed.when(i)}", {"volume": _number(volume)}

    return per_session(placed, Kind("volume", "warning"), picked, say)


def outside_hours(placed: Placed) -> list[Finding]:
    """Bars in no session, extended hours included: on holidays, between sessions, in breaks.

    Bars in extended hours are no finding; the session's row counts them.
    """
    picked = np.flatnonzero((placed.cell < 0) & ~extended_bars(placed))
    name = placed.calendar.name

    def say(i: int) -> tuple[str, dict[str, Any]]:
        what = "in a break" if placed.row[i] >= 0 else f"outside all sessions of {name}"
        return f"bar {iso(int(placed.bars.start_ns[i]))} is {what}", {}

    return per_session(placed, Kind("outside_hours", "warning"), picked, say)


def extended_bars(placed: Placed) -> Flags:
    """Which bars lie in extended hours, and are not expected."""
    table, row, start_ns = placed.calendar.table, placed.row, placed.bars.start_ns
    around = (start_ns < table.open_ns[row]) | (start_ns >= table.close_ns[row])
    extended: Flags = (placed.cell < 0) & (row >= 0) & around & placed.is_intraday
    return extended


def off_grid(placed: Placed) -> list[Finding]:
    """Bars that do not start where a slot starts: another anchor, a wrong zone, jitter."""
    if not placed.is_intraday:
        return []
    inside = np.flatnonzero(placed.cell >= 0)
    off = placed.bars.start_ns[inside] != placed.grid.cell_start_ns(placed.cell[inside])

    def say(i: int) -> tuple[str, dict[str, Any]]:
        return f"bar {placed.when(i)} starts inside a slot, not where one starts", {}

    return per_session(placed, Kind("off_grid", "note"), inside[off], say)


def truncated(placed: Placed, gaps: list[Gap]) -> list[Finding]:
    """Sessions that end in an outage though they had bars, and those that begin with one."""
    if not placed.is_intraday:
        return []
    opens, closes = set(placed.table.open_ns.tolist()), set(placed.table.close_ns.tolist())
    found = []
    for gap in gaps:
        ends, begins = gap.end_ns in closes, gap.start_ns in opens
        if gap.kind != "outage" or ends == begins:
            continue
        text = f"{gap.reason} ({counted(gap.bars, 'bar')})"
        kind = "truncated" if ends else "late_start"
        found.append(Finding(kind, gap.start_ns, gap.session, "warning", text, gap.bars))
    return found


def crossed_bars(placed: Placed, other: Bars) -> list[Finding]:
    """Bars whose bid closes above their ask; `other` is the other side.

    Raises
    ------
    UsageError
        Unless one side is bids and the other asks, in the same timeframe.
    """
    bars = placed.bars
    if {bars.series.price, other.series.price} != {
        "bid",
        "ask",
    } or bars.series.kind != other.series.kind:
        raise UsageError(
            f"{other.series} is not the other side of {bars.series}",
            hint="give bids and asks of one timeframe, like FXCM:EURUSD/1h.bid and /1h.ask",
        )
    _, here, there = np.intersect1d(bars.start_ns, other.start_ns, return_indices=True)
    spread = np.full(len(bars), np.nan)
    sign = 1.0 if bars.series.price == "bid" else -1.0
    spread[here] = sign * (other.close[there] - bars.close[here])
    picked = np.flatnonzero(spread < 0)
    other_close = np.full(len(bars), np.nan)
    other_close[here] = other.close[there]

    def say(i: int) -> tuple[str, dict[str, Any]]:
        mine, theirs = float(bars.close[i]), float(other_close[i])
        bid, ask = (mine, theirs) if sign > 0 else (theirs, mine)
        return f"bid {bid:.10g} above ask {ask:.10g} at {placed.when(i)}", {"bid": bid, "ask": ask}

    return per_session(placed, _CROSSED, picked, say, -spread[picked])


def crossed_quotes(placed: Placed, quotes: Quotes) -> list[Finding]:
    """Quotes whose bid is above their ask, counted a session; one-sided quotes are passed over."""
    picked = np.flatnonzero(quotes.bid > quotes.ask)

    def say(i: int) -> tuple[str, dict[str, Any]]:
        bid, ask, at = float(quotes.bid[i]), float(quotes.ask[i]), int(quotes.time_ns[i])
        return f"bid {bid:.10g} above ask {ask:.10g} at {placed.clock(at)}", {
            "bid": bid,
            "ask": ask,
        }

    row = placed.calendar.row_at(quotes.time_ns, extended=True)
    badness = (quotes.bid - quotes.ask)[picked]
    return per_row(placed, quotes.time_ns, row, _CROSSED, picked, say, badness)


def against_daily(placed: Placed, daily: Bars) -> list[Finding]:
    """Sessions whose regular bars do not add up to their daily bar.

    A daily bar is made of the regular bars, and by many sources also of the closing print, which
    lies in the bar that starts at the close. A field agrees if it equals that of the daily bar
    to one part in a billion, with the closing print or without.

    Raises
    ------
    UsageError
        If the bars are not intraday ones, or `daily` are not daily ones.
    """
    if not placed.is_intraday or daily.series.kind != "1d":
        raise UsageError(
            f"{placed.bars.series} cannot be compared with {daily.series} as daily bars"
        )
    days = place(daily, placed.calendar, "session", (None, None), extended=False)
    day_of = {int(row): i for i, row in enumerate(days.row) if row >= 0}
    found = []
    for row, lo, hi in _regular_sessions(placed):
        if row in day_of:
            differing = _differing(placed, lo, hi, daily, day_of[row])
            if differing:
                found.append(_daily_finding(placed, lo, row, differing))
    return found


def _regular_sessions(placed: Placed) -> list[tuple[int, int, int]]:
    """Row of the calendar, first and last+1 position of the regular bars of each session."""
    table = placed.calendar.table
    start_ns = placed.bars.start_ns
    rows = np.unique(placed.row[(placed.cell >= 0) & placed.usable])
    lo = np.searchsorted(start_ns, table.open_ns[rows])
    hi = np.searchsorted(start_ns, table.close_ns[rows])
    return list(zip(rows.tolist(), lo.tolist(), hi.tolist(), strict=True))


def _differing(placed: Placed, lo: int, hi: int, daily: Bars, day: int) -> dict[str, list[float]]:
    """Fields of the daily bar that the regular bars give neither alone nor with the print."""
    bars = placed.bars
    close_ns = int(placed.calendar.table.close_ns[placed.row[lo]])
    has_print = hi < len(bars) and int(bars.start_ns[hi]) == close_ns
    alone = _summed(bars, lo, hi)
    both = _summed(bars, lo, hi + has_print)
    wanted = {name: float(getattr(daily, name)[day]) for name in alone}
    return {
        name: [alone[name], wanted[name]]
        for name in alone
        if not _agree(alone[name], wanted[name]) and not _agree(both[name], wanted[name])
    }


def _summed(bars: Bars, lo: int, hi: int) -> dict[str, float]:
    """The bar that rows ``lo <= i < hi`` make together."""
    return {
        "open": float(bars.open[lo]),
        "high": float(bars.high[lo:hi].max()),
        "low": float(bars.low[lo:hi].min()),
        "close": float(bars.close[hi - 1]),
        "volume": float(bars.volume[lo:hi].sum()),
    }


def _agree(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b))


def _daily_finding(placed: Placed, lo: int, row: int, differing: dict[str, list[float]]) -> Finding:
    parts = [
        f"{name} {mine:.10g} by the bars, {day:.10g} daily"
        for name, (mine, day) in differing.items()
    ]
    text, start = "; ".join(parts), int(placed.bars.start_ns[lo])
    return Finding("differs_from_daily", start, placed.label(row), "warning", text, 1, differing)


def _number(value: float) -> float | None:
    """The number, or None for NaN, which JSON does not know."""
    return float(value) if np.isfinite(value) else None
