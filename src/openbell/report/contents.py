"""What stands on the page of a run, in words and rows; `page.py` puts it into HTML."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from openbell.backtest import metrics
from openbell.backtest.config import SIZINGS, RunConfig
from openbell.backtest.figures import FIGURES
from openbell.backtest.orders import FILL_MODES, OPTIMISTIC
from openbell.backtest.result import RunResult, SessionLine
from openbell.backtest.round_trips import RoundTrip, open_round_trips
from openbell.market.bars import Bars
from openbell.market.counted import counted
from openbell.market.moments import SECOND_NS
from openbell.replay.tape import short_seal
from openbell.report import text

ROWS_MAX = 500  # of each list on the page
CELLS_MAX = 1_500  # of the ribbon
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

_SAID_ABOVE = ("no costs: ", "fills ")  # warnings a banner puts into words of its own

# Of the ribbon: least completeness, colour; middle tones that are read on light and dark pages.
_SHADES = ((1.0, "#26a69a"), (0.99, "#9cc96b"), (0.95, "#e0b13c"), (0.0, "#d9483b"))


class Tile(NamedTuple):
    """One of the large figures on top."""

    label: str
    value: str
    more: str
    mood: str
    says: str


class Cell(NamedTuple):
    """One cell of a table: what is read, what it is sorted by (None: as read), how it looks."""

    words: str
    value: float | None = None
    mood: str = ""


class Part(NamedTuple):
    """A list that folds: at most `ROWS_MAX` rows, and a note that says how many there are."""

    title: str
    note: str
    names: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    is_open: bool = False


class Word(NamedTuple):
    """One line of the provenance card."""

    text: str
    is_code: bool = False


def mood(value: float | None) -> str:
    """The class of a figure that is good above zero and bad below."""
    if value is None or not value:
        return ""
    return "good" if value > 0 else "bad"


# On top


def subtitle(result: RunResult) -> str:
    """What was run over what, in one line."""
    labels = [s.label for s in result.sessions]
    stretch = f"{labels[0]} → {labels[-1]}" if labels else "no session"
    return (
        f"run {result.id} · {', '.join(result.pins)} · {stretch} · {counted(result.bars, 'bar')} in"
        f" {counted(len(labels), 'session')} · {_hours(result)} · cash"
        f" {text.number(result.cash_start)}"
    )


def _hours(result: RunResult) -> str:
    """Which hours were played: the calendar's, or configured ones."""
    config = result.config
    if config.session_start:
        around = " and extended" if config.hours == "extended" else ""
        return f"hours {config.session_start}-{config.session_end}{around}"
    return f"{config.hours} hours"


def banners(result: RunResult) -> list[tuple[str, str]]:
    """What must not be overlooked, as (kind, words): ``wrong`` before ``loud``."""
    found = []
    if result.status != "done":
        what = {"failed": "This run failed", "interrupted": "This run was interrupted"}
        reason = f": {result.error}" if result.error else ""
        found.append(("wrong", f"{what[result.status]}{reason}. All figures are up to there."))
    if result.config.costs.is_free:
        found.append(
            ("loud", "No costs! Fees and slippage are zero here; they never are in a market.")
        )
    if result.config.fill in OPTIMISTIC:
        found.append(("loud", f"Fill mode {result.config.fill}: {FILL_MODES[result.config.fill]}."))
    if not result.fills:
        found.append(
            ("loud", f"Nothing was filled: {counted(len(result.orders), 'order')} placed.")
        )
    found += [("loud", f"Orders {words}.") for words in _rejections(result)]
    return found + [("loud", w) for w in result.warnings if not w.startswith(_SAID_ABOVE)]


def _rejections(result: RunResult) -> Iterable[str]:
    counts = Counter((o.state, o.reason) for o in result.outcomes if o.state == "rejected")
    for (state, reason), count in counts.most_common(5):
        yield f"{state}: {count:,} × {reason}"


def tiles(result: RunResult) -> list[Tile]:
    """The figures a reader looks for first."""
    m = result.metrics
    n = text.number
    spent = m.fees + m.slippage
    chosen = (
        ("total_return", text.percent(m.total_return, signed=True),
         f"benchmark {text.percent(m.benchmark_return, signed=True)}", mood(m.total_return)),
        ("cagr", text.percent(m.cagr, signed=True), f"volatility {text.percent(m.volatility)}", ""),
        ("sharpe", n(m.sharpe), f"± {n(m.sharpe_error)} std. error", ""),
        ("max_drawdown", text.percent(m.max_drawdown),
         counted(m.max_drawdown_sessions, "session"), ""),
        ("round_trips", f"{m.round_trips:,}", f"win rate {text.percent(m.win_rate, 1)}", ""),
        ("profit_factor", n(m.profit_factor), f"average {n(m.average_profit, signed=True)}", ""),
        ("exposure", text.percent(m.exposure, 1), f"turnover {n(m.turnover, 1)} ×", ""),
        ("fees", n(spent), "fees and slippage" if spent else "no costs!", "" if spent else "bad"),
    )  # fmt: skip
    return [
        Tile("Costs" if name == "fees" else FIGURES[name].label, value, more, how,
             FIGURES[name].says)
        for name, value, more, how in chosen
    ]  # fmt: skip


def figures(result: RunResult, zone: str) -> list[Mapping[str, str]]:
    """All figures with their definitions."""
    return [
        {
            "label": FIGURES[name].label,
            "value": text.figure(name, value, zone),
            "says": FIGURES[name].says,
        }
        for name, value in result.metrics.to_dict().items()
    ]


# Quality


def ribbon(result: RunResult) -> list[Mapping[str, str]]:
    """One cell a session; of very many sessions, one for the worst of several in a row."""
    each = max(1, -(-len(result.sessions) // CELLS_MAX))
    groups = [result.sessions[i : i + each] for i in range(0, len(result.sessions), each)]
    worst = [min(group, key=lambda s: s.completeness) for group in groups]
    more = f" (worst of {each})" if each > 1 else ""
    return [
        {
            "color": next(color for least, color in _SHADES if s.completeness >= least),
            "says": f"{s.label}: {text.completeness(s.completeness)}{more}",
        }
        for s in worst
    ]


def quality(result: RunResult) -> str:
    """The ribbon in a sentence."""
    worst = result.worst_session
    if worst is None:
        return "No session was played."
    whole = sum(s.completeness >= 1 for s in result.sessions)
    withheld = ", ".join(f"{count:,} {why.replace('_', ' ')}" for why, count in
                         sorted(result.withheld.items()) if count)  # fmt: skip
    lowest = (
        "" if worst.completeness >= 1
        else f"; the worst session is {worst.label} with {text.completeness(worst.completeness)}"
    )  # fmt: skip
    return (
        f"{whole:,} of {len(result.sessions):,} sessions are complete,"
        f" {text.completeness(result.completeness)} of the expected bars are there{lowest}."
        f" Rows not played: {withheld or 'none'}."
    )


# Returns by month


def months(result: RunResult) -> dict[str, Any]:
    """Return of each month and year, from the last close before it to its last close.

    A session in which the run broke off counts to where it came, as in the total return.
    """
    ends = list(session_ends(result))
    by_month = {line.label[:7]: equity for line, equity in ends}
    by_year = {line.label[:4]: equity for line, equity in ends}
    monthly = _changes(result.cash_start, by_month)
    yearly = _changes(result.cash_start, by_year)
    rows = [
        {
            "name": year,
            "cells": [
                _shade(monthly.get(f"{year}-{month:02}")) for month in range(1, len(MONTHS) + 1)
            ]
            + [_shade(total)],
        }
        for year, total in yearly.items()
    ]
    return {"names": MONTHS, "years": rows}


def session_ends(result: RunResult) -> Iterable[tuple[SessionLine, float]]:
    """Each session with the equity at its close, or where the run broke off in it."""
    curve = result.equity
    rows = curve.closes.tolist()
    if len(curve) and len(rows) < metrics.sessions_touched(curve):
        rows.append(len(curve) - 1)
    return zip(result.sessions, curve.equity[rows].tolist(), strict=False)


def _changes(cash: float, ends: Mapping[str, float]) -> dict[str, float]:
    returns = metrics.session_returns(cash, np.array(list(ends.values())))
    return dict(zip(ends, returns.tolist(), strict=True))


def _shade(value: float | None) -> Cell:
    if value is None:
        return Cell("")
    step = int(np.searchsorted((0.0, 0.01, 0.04), abs(value)))
    return Cell(text.percent(value), value, f"{'g' if value > 0 else 'r'}{step}" if step else "")


# Lists


def lists(result: RunResult, bars: Mapping[str, Bars], zone: str) -> list[Part]:
    """The lists under the figures; those that would be empty are left out."""
    parts = [
        _trips(result, bars, zone),
        _sessions(result),
        _outcomes(result, zone),
        _log(result, zone),
    ]
    return [part for part in parts if part.rows]


def still_open(result: RunResult, bars: Mapping[str, Bars]) -> list[RoundTrip]:
    """Round trips open at the end, marked to the last close the run saw; needs their bars."""
    if not len(result.equity):
        return []
    end_ns = int(result.equity.time_ns[-1])
    last = {name: b.close[b.end_ns <= end_ns][-1:] for name, b in bars.items()}
    marks = {name: float(close[0]) for name, close in last.items() if len(close)}
    own = [f for f in result.fills if f.instrument in marks]
    return open_round_trips(own, result.multipliers, marks, end_ns)


def _shown(rows: Iterable[Any], count: int, what: str) -> tuple[list[Any], str]:
    note = f"The first {ROWS_MAX:,} of {count:,} {what}; `openbell runs export` gives all."
    return list(islice(rows, ROWS_MAX)), note if count > ROWS_MAX else ""


def _trips(result: RunResult, bars: Mapping[str, Bars], zone: str) -> Part:
    trips = [*still_open(result, bars), *result.round_trips]
    shown, note = _shown(trips, len(trips), "round trips")
    names = ("entry", "exit", "instrument", "side", "size", "entry price", "exit price", "profit",
             "return", "fees", "held", "orders")  # fmt: skip
    rows = [_trip_row(trip, zone) for trip in shown]
    title = f"Round trips ({len(result.round_trips):,} finished)"
    return Part(title, f"{note} Times are {zone}.".strip(), names, rows, is_open=True)


def _trip_row(trip: RoundTrip, zone: str) -> list[Cell]:
    return [
        Cell(text.clock(trip.entry_ns, zone)),
        Cell("still open" if trip.is_open else text.clock(trip.exit_ns, zone)),
        Cell(trip.instrument),
        Cell(trip.side),
        Cell(text.size(trip.size), trip.size),
        Cell(text.price(trip.entry_price), trip.entry_price),
        Cell(text.price(trip.exit_price), trip.exit_price),
        Cell(text.number(trip.profit, signed=True), trip.profit, mood(trip.profit)),
        Cell(text.percent(trip.return_, 3, signed=True), trip.return_, mood(trip.return_)),
        Cell(text.number(trip.fees), trip.fees),
        Cell(text.span(trip.holding_ns / SECOND_NS), float(trip.holding_ns)),
        Cell(f"{trip.entry_order} → {trip.exit_order}", trip.entry_order),
    ]


def _sessions(result: RunResult) -> Part:
    ends = list(session_ends(result))
    returns = metrics.session_returns(result.cash_start, np.array([end for _, end in ends]))
    shown, note = _shown(zip(ends, returns.tolist(), strict=True), len(ends), "sessions")
    names = ("session", "equity at its end", "return", "completeness", "digest")
    return Part(
        f"Sessions ({len(ends):,})",
        note,
        names,
        [
            [
                Cell(line.label),
                Cell(text.number(close), close),
                Cell(text.percent(change, 3, signed=True), change, mood(change)),
                Cell(text.completeness(line.completeness), line.completeness),
                Cell(short_seal(line.digest)),
            ]
            for (line, close), change in shown
        ],
    )


def _outcomes(result: RunResult, zone: str) -> Part:
    shown, note = _shown(result.outcomes, len(result.outcomes), "orders")
    rows = [
        [Cell(str(o.order), o.order), Cell(text.clock(o.time_ns, zone)), Cell(o.state),
         Cell(o.reason, None, "left")]
        for o in shown
    ]  # fmt: skip
    title = f"Orders that were not filled ({len(result.outcomes):,})"
    return Part(title, note, ("order", "at", "state", "reason"), rows)


def _log(result: RunResult, zone: str) -> Part:
    shown, note = _shown(result.log, len(result.log), "lines")
    rows = [[Cell(text.clock(line.time_ns, zone)), Cell(line.text, None, "wrap")] for line in shown]
    return Part(f"Log of the strategy ({len(result.log):,})", note, ("at", "line"), rows)


# Provenance


def provenance(result: RunResult) -> list[tuple[str, list[Word]]]:
    """What the run stood on, and how somebody else can see that it is so."""
    config = result.config
    fill = f"{config.fill}: {FILL_MODES[config.fill]}"
    sums = [f"{pin} · {checksum}" for pin, checksum in
            zip(result.pins, result.checksums, strict=True)]  # fmt: skip
    code = [f"{name} · {digest}" for name, digest in sorted(result.code_files.items())]
    calendars = [f"{name} {version}" for name, version in sorted(result.calendars.items())]
    return [
        ("Data, and its checksum", [Word(line, is_code=True) for line in sums]),
        ("Strategy code", [Word(line, is_code=True) for line in (result.code_hash, *code)]),
        ("Seal", [Word(result.seal or "none: no session was closed", is_code=True)]),
        ("Verify it", [
            Word(f"openbell verify {result.id}", is_code=True),
            Word("plays it again: same data, code and configuration give the same seal."),
        ]),
        ("Fills", [Word(fill)]),
        ("Costs", [Word(text.costs(config.costs))]),
        ("A target of 1 is", [Word(f"{_size(config)}; leverage up to {config.leverage:g}")]),
        ("Open positions at the end", [
            Word("closed at the last close" if config.close_at_end else "marked to the last close")
        ]),
        ("Calendars", [Word(line) for line in calendars]),
        ("Sessions per year", [Word(f"{result.sessions_per_year:g}")]),
        ("Seed", [Word(str(config.seed))]),
        ("Made by", [Word(f"openbell {result.version}, engine {result.engine}, in"
                          f" {text.span(result.elapsed_s)}")]),
    ]  # fmt: skip


def _size(config: RunConfig) -> str:
    return SIZINGS[config.sizing].replace("`size`", f"{config.size:g}")
