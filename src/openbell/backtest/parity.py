"""What a live run saw and did, against a replay: every difference, by cause.

Two runs are compared by the base data they were released, row by row: bars by their start, trades
and quotes by their time and values. Derived bars and indicators follow from these. Then orders
and fills are compared, one by one.

=========================== ===================================================================
outside                     a row lies outside the time that the other run covers
not_played                  the other run plays nothing of the series
withheld                    the row came to the other run as well, which withheld it for a reason
late                        it was released as a revision there, after its place
missing                     it is not there at all
other_values                the bar has other values there
revised                     it has, and they were corrected to these later (or from these)
known_at                    it is the same, known at another moment
=========================== ===================================================================
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import zip_longest
from statistics import median
from typing import Any, Literal, NamedTuple

from openbell.backtest.result import RunResult
from openbell.market.arrivals import Asides
from openbell.market.instrument import Series
from openbell.market.moments import SECOND_NS, iso
from openbell.replay import kernels
from openbell.replay.chunk import Rows
from openbell.replay.rules import REASONS
from openbell.replay.system import System
from openbell.replay.tape import DECISIONS, Entry

Cause = Literal[
    "outside", "not_played", "withheld", "late", "missing", "other_values", "revised", "known_at"
]  # fmt: skip
_BASE = (kernels.BAR, kernels.QUOTE, kernels.TRADE)
_Key = tuple[Any, ...]


class _Row(NamedTuple):
    """A row that was released: when it became known, and its values."""

    known_ns: int
    values: tuple[float, ...]


@dataclass(slots=True)
class Seen:
    """What a run was released of one series.

    Attributes
    ----------
    rows
        By start for bars; by time, values and how many of the same came before for the rest.
    revised
        By start, the revisions in order.
    withheld
        By venue's time, why items were withheld.
    """

    rows: dict[_Key, _Row] = field(default_factory=dict)
    revised: dict[_Key, list[_Row]] = field(default_factory=dict)
    withheld: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Side:
    """One run: what it came to, and what it saw by series."""

    result: RunResult
    seen: Mapping[str, Seen]


class DataDifference(NamedTuple):
    """One cause of differences in one series.

    Attributes
    ----------
    cause
        See the module.
    where
        ``live`` or ``replay``: who saw the row; ``both`` where both did.
    series
        Whose data.
    rows
        How many.
    first_ns
        When the first of them was known to the one, or the earlier one, of the two.
    words
        More of it: the reason, how large a delay is, the first that differs.
    """

    cause: Cause
    where: str
    series: str
    rows: int
    first_ns: int
    words: str


class Decision(NamedTuple):
    """An order or a fill that differs.

    Attributes
    ----------
    time_ns, what, order
        Of the one that was there; the live one of two.
    live, replay
        What it was on either side, in words; ``none``.
    before
        The first difference in the data before it; empty if there is none.
    """

    time_ns: int
    what: str
    order: int
    live: str
    replay: str
    before: str


@dataclass(frozen=True, slots=True)
class Parity:
    """The answer.

    Attributes
    ----------
    is_same
        Whether both saw the same, did the same, and were set alike.
    live, replay
        Ids of the runs.
    seals
        Of both.
    data, decisions
        What differs; decisions in order of time.
    others
        What else is known to differ, in words: settings, code, calendars, version.
    """

    is_same: bool
    live: str
    replay: str
    seals: tuple[str, str]
    data: tuple[DataDifference, ...]
    decisions: tuple[Decision, ...]
    others: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The answer, JSON-ready."""
        return {
            "is_same": self.is_same,
            "live": self.live,
            "replay": self.replay,
            "seals": list(self.seals),
            "data": [_timed(one._asdict()) for one in self.data],
            "decisions": [_timed(one._asdict()) for one in self.decisions],
            "others": list(self.others),
        }


def _timed(values: dict[str, Any]) -> dict[str, Any]:
    """The same values, moments as text."""
    return {n.removesuffix("_ns"): iso(v) if n.endswith("_ns") else v for n, v in values.items()}


def watch(system: System) -> dict[str, Seen]:
    """What a system releases, by series; plays it to its end."""
    found: dict[str, Seen] = {}
    chunk = None
    with system:
        for _ in system.steps():
            if system.coordinator.chunk is chunk:
                continue
            chunk = system.coordinator.chunk
            for track, rows in zip(chunk.tracks, chunk.rows, strict=True):
                seen = found.setdefault(str(rows.data.series), Seen())
                if track.kind == kernels.ASIDE:
                    _note_withheld(seen, rows)
                elif track.frame == 0 and track.kind in (*_BASE, kernels.REVISION):
                    _note_rows(seen, rows, is_revision=track.kind == kernels.REVISION)
    base = {str(pin.series) for pin in system.plan.pins}
    return {name: seen for name, seen in found.items() if name in base}


def _note_rows(seen: Seen, rows: Rows, *, is_revision: bool) -> None:
    data = rows.data
    names = [n for n in data.names()[1:] if n not in ("end_ns", "label")]
    columns = [getattr(data, name).tolist() for name in names]
    for known, key, *values in zip(
        rows.known_ns.tolist(), data.key_ns.tolist(), *columns, strict=True
    ):
        row = _Row(known, tuple(values))
        if is_revision:
            seen.revised.setdefault((key,), []).append(row)
        elif data.series.is_bars:
            seen.rows[key,] = row
        else:
            nth = 0
            while (name := (key, repr(values), nth)) in seen.rows:
                nth += 1
            seen.rows[name] = row


def _note_withheld(seen: Seen, rows: Rows) -> None:
    data = rows.data
    assert isinstance(data, Asides)
    for time_ns, reason in zip(data.time_ns.tolist(), data.reason.tolist(), strict=True):
        if reason:
            seen.withheld.setdefault(time_ns, REASONS[int(reason)])


def compare(live: Side, replay: Side) -> Parity:
    """Compare what two runs saw and did."""
    data = tuple(_data_differences(live, replay))
    decisions = tuple(_decisions(live.result, replay.result, data))
    others = tuple(_others(live.result, replay.result))
    return Parity(
        is_same=not data and not decisions and not others,
        live=live.result.id,
        replay=replay.result.id,
        seals=(live.result.seal, replay.result.seal),
        data=data,
        decisions=decisions,
        others=others,
    )


# The data


class _One(NamedTuple):
    """One row that differs."""

    cause: Cause
    where: str
    moment_ns: int
    words: str = ""
    delay_ns: int = 0


def _data_differences(live: Side, replay: Side) -> Iterator[DataDifference]:
    names = dict.fromkeys([*live.seen, *replay.seen])
    found = [(name, one) for name in names for one in _differences(name, live, replay)]
    groups: dict[tuple[str, Cause, str], list[_One]] = {}
    for name, one in found:
        groups.setdefault((name, one.cause, one.where), []).append(one)
    for (name, cause, where), ones in groups.items():
        first = min(ones, key=lambda one: one.moment_ns)
        words = _delays(ones) if cause == "known_at" else _reasons(ones)
        yield DataDifference(cause, where, name, len(ones), first.moment_ns, words)


def _differences(name: str, live: Side, replay: Side) -> Iterator[_One]:
    a, b = live.seen.get(name), replay.seen.get(name)
    if a is None or b is None:
        only, where = (b, "replay") if a is None else (a, "live")
        assert only is not None
        yield from (_One("not_played", where, row.known_ns) for row in only.rows.values())
        return
    is_bars = Series.parse(name).is_bars
    for key, row in a.rows.items():
        if key in b.rows:
            yield from _both(row, b.rows[key], a.revised.get(key, ()), b.revised.get(key, ()))
        else:
            yield _alone(key, row, "live", b, replay.result, is_bars=is_bars)
    for key, row in b.rows.items():
        if key not in a.rows:
            yield _alone(key, row, "replay", a, live.result, is_bars=is_bars)


def _both(
    row: _Row, other: _Row, revised: Sequence[_Row], others: Sequence[_Row]
) -> Iterator[_One]:
    moment_ns = min(row.known_ns, other.known_ns)
    if repr(row.values) != repr(other.values):
        values = {repr(each.values) for each in revised}, {repr(each.values) for each in others}
        is_revised = repr(other.values) in values[0] or repr(row.values) in values[1]
        words = f"{_numbers(row.values)} live, {_numbers(other.values)} in the replay"
        yield _One("revised" if is_revised else "other_values", "both", moment_ns, words)
    elif row.known_ns != other.known_ns:
        yield _One("known_at", "both", moment_ns, "", row.known_ns - other.known_ns)


def _alone(
    key: _Key, row: _Row, where: str, other: Seen, result: RunResult, *, is_bars: bool
) -> _One:
    """Why only one of both has a row."""
    if not result.start_ns <= key[0] < result.end_ns:
        return _One("outside", where, row.known_ns)
    if is_bars and key in other.revised:
        after_s = (other.revised[key][0].known_ns - row.known_ns) / SECOND_NS
        return _One("late", where, row.known_ns, f"{after_s:+.3f} s")
    if key[0] in other.withheld:
        return _One("withheld", where, row.known_ns, other.withheld[key[0]])
    return _One("missing", where, row.known_ns)


def _delays(ones: Sequence[_One]) -> str:
    """How much later live was, over all rows."""
    delays = [one.delay_ns / SECOND_NS for one in ones]
    return (
        f"live {median(delays):+.3f} s in the middle, from {min(delays):+.3f} to {max(delays):+.3f}"
    )


def _reasons(ones: Sequence[_One]) -> str:
    """Reasons with their numbers; of values and delays the first."""
    if ones[0].cause in ("other_values", "revised", "late"):
        return f"first {min(ones, key=lambda one: one.moment_ns).words}"
    counted = Counter(one.words for one in ones if one.words)
    return ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in counted.items())


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.10g}" for value in values)


# What was done


def _decisions(
    live: RunResult, replay: RunResult, data: Sequence[DataDifference]
) -> Iterator[Decision]:
    """Orders and fills that are not the same, in order of what was done."""
    first = min(data, key=lambda one: one.first_ns, default=None)
    for a, b in _unlike(live.entries, replay.entries):
        entry = a or b
        assert entry is not None
        before = ""
        if first is not None and first.first_ns <= entry.time_ns:
            before = f"{first.series}: {first.cause} at {iso(first.first_ns)}"
        what = DECISIONS[entry.what]
        yield Decision(entry.time_ns, what, entry.order, _said(a), _said(b), before)


def _unlike(
    live: Sequence[Entry], replay: Sequence[Entry]
) -> Iterator[tuple[Entry | None, Entry | None]]:
    """Decisions that are not the same, side by side; one more or less moves no other.

    Neither the session nor the order's number counts, and NaN is like NaN.
    """
    one, other = (
        [repr((e.time_ns, e.what, e.instrument, *e.numbers)) for e in each]
        for each in (live, replay)
    )
    found = SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    for what, a, a_end, b, b_end in found:
        if what != "equal":
            yield from zip_longest(live[a:a_end], replay[b:b_end])


def _said(entry: Entry | None) -> str:
    if entry is None:
        return "none"
    numbers = " ".join(f"{value:.10g}" for value in entry.numbers if value == value and value)
    return f"{DECISIONS[entry.what]} {numbers}".strip() + f" at {iso(entry.time_ns)}"


# What else differs


def _others(live: RunResult, replay: RunResult) -> Iterator[str]:
    a, b = live.config.deciding(), replay.config.deciding()
    for name in sorted({*a, *b} - {"on", "as_of"}):
        if a.get(name) != b.get(name):
            yield f"{name} is {a.get(name)} live, {b.get(name)} in the replay"
    if live.code_hash != replay.code_hash:
        yield "the strategy's code differs"
    if dict(live.calendars) != dict(replay.calendars):
        yield "calendars differ"
    if live.version != replay.version:
        yield f"openbell {live.version} live, {replay.version} in the replay"
    if live.status != replay.status:
        yield f"the live run is {live.status}, the replay {replay.status}"
