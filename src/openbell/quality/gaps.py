"""Where a session's bars are missing, and why.

A silence is *improbable* when its probability is below one in a million. Taking the instrument's
slots for independent, each empty with the rate p that the rest of the data shows, a given run of
L slots is wholly empty with probability p**L (the run-length rule of Bernoulli trials: Feller, *An
Introduction to Probability Theory and Its Applications*, vol. 1, ch. XIII.7). The rate is taken
by the rule of succession, (empty + 1) ÷ (slots + 2), over all expected slots but the run itself
and the runs already found improbable, so that an outage does not excuse itself or another one.
"""

from dataclasses import dataclass

import numpy as np

from openbell.market.bars import Bars
from openbell.market.columns import Ints
from openbell.market.counted import counted
from openbell.market.errors import UsageError
from openbell.market.session_table import day_label
from openbell.market.ticks import Quotes, Trades
from openbell.quality.completeness import Flags
from openbell.quality.placed import Placed
from openbell.quality.report import Gap, GapKind

IMPROBABLE = 1e-6

_IMPROBABLE = "a silence of {:,} bars is improbable for this instrument"
_Reason = tuple[GapKind, str]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What can tell why a bar is absent.

    Attributes
    ----------
    trades, quotes
        Of the same instrument; quotes may be bars of bids or asks. None when there are none.
    no_row_means_no_trade
        Whether the source declares that it writes no row where nothing traded.
    """

    trades: Trades | None = None
    quotes: Quotes | Bars | None = None
    no_row_means_no_trade: bool = False


def find_gaps(placed: Placed, evidence: Evidence) -> list[Gap]:
    """The stretches of sessions without a usable bar, in order of time, each with its reason.

    Gaps never overlap; gaps of absent bars never touch one another inside a session, and neither
    do corrupt ones. Gaps of intraday bars lie in one session each.

    Raises
    ------
    UsageError
        If quotes are given as bars wider than those checked, which say nothing of one slot.
    """
    grid = placed.grid
    stored = grid.marked(placed.cell)
    corrupt = runs(stored & ~grid.marked(placed.cell[placed.usable]), _cuts(placed))
    says: list[_Reason] = [("corrupt", "stored, but it breaks the rules of a bar")]
    absent = runs(grid.expected & ~stored, _cuts(placed))
    found = [
        *_gaps(placed, absent, _reasons(placed, *absent, evidence)),
        *_gaps(placed, corrupt, says * len(corrupt[0])),
    ]
    return sorted(found, key=lambda gap: gap.start_ns)


def _cuts(placed: Placed) -> Ints:
    """Where runs end: at each session, or for daily bars only at the ends of the range."""
    first = placed.grid.session_first
    return first if placed.is_intraday else first[[0, -1]]


def runs(flags: Flags, cuts: Ints) -> tuple[Ints, Ints]:
    """Where each run of True begins and ends (exclusive); runs do not cross the cuts."""
    apart = np.zeros(len(flags) + 1, np.bool_)
    apart[cuts] = True
    before = np.concatenate(([False], flags[:-1])) & ~apart[:-1]
    after = np.concatenate((flags[1:], [False])) & ~apart[1:]
    return np.flatnonzero(flags & ~before), np.flatnonzero(flags & ~after) + 1


def improbable(length: Ints, empty: int, slots: int) -> Flags:
    """Which runs of empty slots are too long for chance; rule and source in the module's text.

    Parameters
    ----------
    length : shape (runs,)
        Of each run, in slots.
    empty, slots
        How many slots are empty, and how many there are, the runs included.
    """
    found = np.zeros(len(length), np.bool_)
    while True:
        known = int(length[found].sum())
        rest = np.where(found, 0, length)
        rate = (empty - known - rest + 1) / (slots - known - rest + 2)
        more = found | (length * np.log(rate) < np.log(IMPROBABLE))
        if (more == found).all():
            return found
        found = more


def _silent(filled: Flags, placed: Placed) -> Flags:
    """The cells that lie in an improbable silence."""
    expected = placed.grid.expected
    absent = expected & ~filled
    begin, end = runs(absent, _cuts(placed))
    outage = improbable(end - begin, int(absent.sum()), int(expected.sum()))
    edges = np.zeros(len(absent) + 1, np.int64)
    np.add.at(edges, begin[outage], 1)
    np.add.at(edges, end[outage], -1)
    return np.cumsum(edges[:-1]) > 0


@dataclass(frozen=True, slots=True)
class _Witness:
    """Running counts over cells: events of a trades or quotes series, and cells it covers."""

    events: Ints
    covered: Ints

    def events_in(self, begin: int, end: int) -> int:
        return int(self.events[end] - self.events[begin])

    def covers(self, begin: int, end: int) -> bool:
        return int(self.covered[end] - self.covered[begin]) == end - begin


def _witness(times_ns: Ints, placed: Placed) -> _Witness:
    """A series covers what lies between its first and last row and in no improbable silence."""
    grid = placed.grid
    cell = grid.cell_of(times_ns)
    cell = cell[cell >= 0]
    events = np.bincount(cell, minlength=len(grid.expected))
    covered = ~_silent(events > 0, placed)
    if len(cell):
        covered[: cell[0]] = False
        covered[cell[-1] + 1 :] = False
    else:
        covered[:] = False
    return _Witness(_running(events), _running(covered))


def _running(counts: Ints | Flags) -> Ints:
    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))


def _reasons(placed: Placed, begin: Ints, end: Ints, evidence: Evidence) -> list[_Reason]:
    """Kind and reason of each run of absent bars."""
    grid = placed.grid
    outage = improbable(end - begin, int((end - begin).sum()), int(grid.expected.sum()))
    trades = None if evidence.trades is None else _witness(evidence.trades.time_ns, placed)
    quotes = _quotes_witness(placed, evidence.quotes)
    ended = _ended(placed, begin, end)
    found: list[_Reason] = []
    for i, (b, e) in enumerate(zip(begin.tolist(), end.tolist(), strict=True)):
        told = _explain(b, e, trades, quotes)
        if told is None and outage[i]:
            told = "outage", ended[i] or _IMPROBABLE.format(e - b)
        if told is None and evidence.no_row_means_no_trade:
            told = "no-trade", "the source writes no row where nothing traded"
        found.append(told or ("missing", "nothing tells why"))
    return found


def _quotes_witness(placed: Placed, quotes: Quotes | Bars | None) -> _Witness | None:
    if quotes is None:
        return None
    if isinstance(quotes, Bars):
        width_ns = placed.bars.series.timeframe.width_ns
        if not 0 < quotes.series.timeframe.width_ns <= width_ns:
            raise UsageError(
                f"quotes of {quotes.series} are too wide to explain gaps in {placed.bars.series}",
                hint=f"give quotes, or bid or ask bars of {placed.bars.series.kind} or narrower",
            )
    return _witness(quotes.key_ns, placed)


def _explain(
    begin: int, end: int, trades: _Witness | None, quotes: _Witness | None
) -> _Reason | None:
    """What trades and quotes say of a run; None when they say nothing."""
    if trades is not None:
        if count := trades.events_in(begin, end):
            return "missing", f"it can be rebuilt from {counted(count, 'trade')} stored in it"
        if trades.covers(begin, end):
            return "no-trade", "the trades series covers it and has no trade in it"
    if quotes is not None and quotes.covers(begin, end):
        return "no-trade", "quotes go on through it"
    return None


def _ended(placed: Placed, begin: Ints, end: Ints) -> list[str]:
    """Words for runs that reach the open or the close of their session, empty for others."""
    if not placed.is_intraday:
        return [""] * len(begin)
    grid = placed.grid
    session = grid.session_of(begin)
    opens, closes = begin == grid.session_first[session], end == grid.session_first[session + 1]
    last = placed.clock_of(grid.cell_start_ns(np.maximum(begin - 1, 0)), closes & ~opens)
    first = placed.clock_of(grid.cell_end_ns(end - 1), opens & ~closes)
    words = []
    for i in range(len(begin)):
        if opens[i] and closes[i]:
            words.append("no bar in the whole session")
        elif closes[i]:
            words.append(f"truncated at {last[i]}, no bar from then to the close")
        elif opens[i]:
            words.append(f"starts late at {first[i]}, no bar from the open until then")
        else:
            words.append("")
    return words


def _gaps(placed: Placed, cells: tuple[Ints, Ints], reasons: list[_Reason]) -> list[Gap]:
    """One gap a run of cells."""
    grid, (begin, end) = placed.grid, cells
    day = placed.table.day[grid.session_of(begin)]
    columns = (grid.cell_start_ns(begin), grid.cell_end_ns(end - 1), day, end - begin)
    rows = zip(*(column.tolist() for column in columns), reasons, strict=True)
    return [
        Gap(start_ns, end_ns, day_label(day), bars, kind, reason)
        for start_ns, end_ns, day, bars, (kind, reason) in rows
    ]
