"""What a recording must show, found naively: the sentences of the rules, one arrival at a time.

No state is carried along and nothing is cut into chunks: every question is answered from all that
arrived before. When sessions opened and closed is read off the tape, and then judged as well.
"""

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, nan
from typing import Any, NamedTuple

import numpy as np

from openbell.market.arrivals import (
    ASKED,
    BAR,
    CANCELLED,
    CONNECTED,
    DISCONNECTED,
    FAILED,
    QUOTE,
    REGISTERED,
    SILENT,
    STOPPED,
    TRADE,
    Arrival,
)
from openbell.market.columns import Ints
from openbell.market.moments import END_OF_TIME_NS, MINUTE_NS, SECOND_NS
from openbell.market.timeframe import timeframe
from openbell.replay import kernels
from openbell.replay.live import rules_of
from openbell.replay.rules import REASONS
from openbell.replay.system import System
from tests.replay.living import Kept

_CODES = {name: code for code, name in REASONS.items()}
_KIND = {BAR: kernels.BAR, ASKED: kernels.BAR, TRADE: kernels.TRADE, QUOTE: kernels.QUOTE}
_SIZE = {BAR: 4, ASKED: 4, TRADE: 1, QUOTE: 2}
_WIDTH = {BAR: 5, ASKED: 5, TRADE: 3, QUOTE: 4}
_NOTES = {DISCONNECTED: "disconnected", SILENT: "silent", FAILED: "failed"}
PASSED = ("accepted", "late")
NEVER = END_OF_TIME_NS


class Turn(NamedTuple):
    """A session: its times by the calendar, when it opened and closed, and the cause."""

    ordinal: int
    calendar: int
    open_ns: int
    close_ns: int
    opened_ns: int = NEVER
    closed_ns: int = NEVER
    cause: int = 0

    @property
    def starts(self) -> range:
        """Where its minutes start."""
        return range(self.open_ns, self.close_ns, MINUTE_NS)


class Row(NamedTuple):
    """An item that arrived, its session, what becomes of it, and when it is known."""

    arrival: Arrival
    turn: Turn | None
    verdict: str
    moment_ns: int
    known_ns: int = NEVER


@dataclass
class Expected:
    """What the tape of a recording must hold, given when its sessions opened and closed.

    Parameters
    ----------
    system
        What played it: whose calendars and instruments it has.
    words
        What stands on its tape.
    """

    kept: Kept
    system: System
    words: Ints

    def __post_init__(self) -> None:
        self.rules = rules_of(self.kept.header)
        self.series = self.kept.header.series
        names = [str(series.instrument) for series in self.series]
        data = self.system.session_data
        self.calendars = [
            next(k for k, own in enumerate(data) if name in own.instruments) for name in names
        ]
        self.numbers = [self.system.instruments.index(s.instrument) for s in self.series]
        self.rows: list[list[Row]] = [[] for _ in self.series]
        self.notes: list[Arrival] = []
        registered = dict.fromkeys(range(len(self.series)), True)
        for arrival in self.kept.arrivals:
            if arrival.receipt_ns > self.until_ns or arrival.series >= len(self.series):
                continue
            if arrival.what < CONNECTED:
                self._judge(arrival, is_registered=registered[arrival.series])
                continue
            self.notes.append(arrival)
            if arrival.what in (REGISTERED, CANCELLED):
                registered[arrival.series] = arrival.what == REGISTERED

    # Sessions

    @cached_property
    def turns(self) -> list[Turn]:
        """All sessions planned, as the tape tells of them."""
        found = {
            p.ordinal: Turn(p.ordinal, p.calendar, p.session.open_ns, p.session.close_ns)
            for p in self.system.agenda.sessions
        }
        for meta, known_ns, _, _, cause, *_ in self.words.tolist():
            nth, kind = meta & 0xFFFF_FFFF, meta >> 56
            if kind == kernels.OPEN:
                found[nth] = found[nth]._replace(opened_ns=known_ns)
            if kind == kernels.CLOSE:
                found[nth] = found[nth]._replace(closed_ns=known_ns, cause=cause)
        return list(found.values())

    @cached_property
    def stopped_ns(self) -> int:
        """When the run was stopped; `NEVER` if it was not."""
        return next((a.receipt_ns for a in self.kept.arrivals if a.what == STOPPED), NEVER)

    @cached_property
    def until_ns(self) -> int:
        """When the run was over."""
        return min(self.stopped_ns, max(turn.closed_ns for turn in self.turns))

    def require_turns(self) -> None:
        """Sessions opened and closed when they had to, and for the right cause."""
        for calendar in set(self.calendars):
            free_ns = self.kept.header.start_ns
            own = [turn for turn in self.turns if turn.calendar == calendar]
            for turn, after in zip(own, [*own[1:], None], strict=True):
                opened_ns = max(turn.open_ns, free_ns)
                if opened_ns < self.until_ns:
                    assert turn.opened_ns == opened_ns, turn
                    self._require_close(turn, after)
                free_ns = turn.closed_ns

    def _require_close(self, turn: Turn, after: Turn | None) -> None:
        latest_ns = turn.close_ns + round(self.rules.close_grace_s * SECOND_NS)
        if after is not None and after.open_ns < latest_ns:
            latest_ns = after.open_ns + round(self.rules.grace_s * SECOND_NS)
        latest_ns = max(latest_ns, turn.opened_ns + 1)
        own = {k for k, calendar in enumerate(self.calendars) if calendar == turn.calendar}
        closed_ns = self._closed_ns(turn, own, latest_ns)
        assert turn.closed_ns == min(closed_ns, self.stopped_ns), turn
        is_near = any(
            row.verdict in PASSED and turn.close_ns - MINUTE_NS <= row.known_ns < NEVER
            for k in own
            for row in self.rows[k]
            if row.turn == turn and row.arrival.receipt_ns <= closed_ns
        )
        assert turn.cause == (2 if self.stopped_ns < closed_ns else not is_near), turn

    def _closed_ns(self, turn: Turn, own: set[int], latest_ns: int) -> int:
        """When a session closes if nobody stops it: as soon as all that still come have passed."""
        changed_ns = self.kept.header.start_ns
        changes = [n for n in self.notes if n.series in own and n.what in (REGISTERED, CANCELLED)]
        while True:
            told = {k for k in own if self.series[k].is_bars} or own
            passed_ns = max((self._passed_ns(k, turn) for k in told), default=NEVER)
            closed_ns = max(passed_ns, turn.close_ns, turn.opened_ns + 1, changed_ns)
            closed_ns = min(closed_ns, latest_ns)
            if not changes or closed_ns < changes[0].receipt_ns:
                return closed_ns
            note = changes.pop(0)
            own, changed_ns = own ^ {note.series}, note.receipt_ns

    def _passed_ns(self, series: int, turn: Turn) -> int:
        """When it was seen that a session is over for a series."""
        over_ns = turn.close_ns + (not self.series[series].is_bars)
        return min(
            (
                max(row.arrival.receipt_ns, row.moment_ns)
                for row in self.rows[series]
                if row.moment_ns >= over_ns and row.arrival.receipt_ns > turn.opened_ns
                if row.verdict not in ("unregistered", "corrupt", "future")
            ),
            default=NEVER,
        )

    # Items

    def _judge(self, arrival: Arrival, *, is_registered: bool) -> None:
        rows = self.rows[arrival.series]
        turn, moment_ns = self._turn_of(arrival), arrival.venue_ns
        if arrival.what in (BAR, ASKED):
            moment_ns += MINUTE_NS
            moment_ns = min(moment_ns, turn.close_ns) if turn else moment_ns
        verdict = "unregistered"
        if is_registered:
            passed = [row.arrival for row in rows if row.verdict in PASSED]
            verdict = self._verdict(arrival, turn, moment_ns, passed)
        row = Row(arrival, turn, verdict, moment_ns)
        if verdict in PASSED and turn is not None and turn.opened_ns < NEVER:
            before_ns = max((r.known_ns for r in rows if r.known_ns < NEVER), default=0)
            known_ns = max(arrival.receipt_ns, moment_ns, turn.opened_ns + 1, before_ns)
            row = row._replace(known_ns=known_ns)
        rows.append(row)

    def _turn_of(self, arrival: Arrival) -> Turn | None:
        """Half-open sessions; what is stamped at a close belongs to it, unless another opens."""
        own = [t for t in self.turns if t.calendar == self.calendars[arrival.series]]
        inside = [t for t in own if t.open_ns <= arrival.venue_ns < t.close_ns]
        at_close = [t for t in own if arrival.venue_ns == t.close_ns]
        is_tick = arrival.what in (TRADE, QUOTE)
        return next(iter(inside or (at_close if is_tick else [])), None)

    def _verdict(
        self, arrival: Arrival, turn: Turn | None, moment_ns: int, passed: list[Arrival]
    ) -> str:
        is_bar = arrival.what in (BAR, ASKED)
        is_off = is_bar and turn is not None and (arrival.venue_ns - turn.open_ns) % MINUTE_NS
        if is_off or not _is_sane(arrival):
            return "corrupt"
        if moment_ns > arrival.receipt_ns + round(self.rules.skew_s * SECOND_NS):
            return "future"
        if turn is None or turn.closed_ns < arrival.receipt_ns:
            return "off_hours"
        if is_bar:
            same = [a.values for a in passed if a.venue_ns == arrival.venue_ns]
            if same and same[-1] == arrival.values:
                return "repeated"
            return "late" if any(a.venue_ns >= arrival.venue_ns for a in passed) else "accepted"
        return self._verdict_of_tick(arrival, passed)

    def _verdict_of_tick(self, arrival: Arrival, passed: list[Arrival]) -> str:
        if arrival.sequence and arrival.sequence in {a.sequence for a in passed}:
            return "repeated"
        last = passed[-1:]
        if arrival.what == QUOTE and [_said(a) for a in last] == [_said(arrival)]:
            return "repeated"
        for a in passed:
            if a.venue_ns > arrival.venue_ns or a.sequence > arrival.sequence > 0:
                return "out_of_order"
        age_ns = arrival.receipt_ns - arrival.venue_ns
        is_stale = arrival.what == QUOTE and age_ns > round(self.rules.stale_s * SECOND_NS)
        return "stale" if is_stale else "accepted"

    # What is told

    @property
    def counts(self) -> dict[str, Counter[str]]:
        """What becomes of everything, by series; only what happened."""
        found = {}
        for k, series in enumerate(self.series):
            own = Counter(_NOTES[n.what] for n in self.notes if n.series == k and n.what in _NOTES)
            for row in self.rows[k]:
                is_known = row.known_ns <= self.until_ns
                name = {"accepted": "played"}.get(row.verdict, row.verdict)
                own[name if is_known or row.verdict not in PASSED else "waiting"] += 1
            found[str(series)] = own
        return found

    def seen(self, at_ns: int) -> dict[str, tuple[float, ...]]:
        """Of all with bars: how many there are, volume, high, low and completeness at a moment."""
        found: dict[str, tuple[float, ...]] = {}
        for k, series in enumerate(self.series):
            if series.is_bars:
                found[str(series.instrument)] = self._seen(k, at_ns)
        return found

    def _seen(self, series: int, at_ns: int) -> tuple[float, ...]:
        for turn in self.turns:
            is_own = turn.calendar == self.calendars[series]
            if is_own and turn.opened_ns < at_ns <= turn.closed_ns:
                rows = [r for r in self.rows[series] if r.turn == turn and r.known_ns <= at_ns]
                due = len([s for s in turn.starts if min(s + MINUTE_NS, turn.close_ns) <= at_ns])
                present = len({row.arrival.venue_ns for row in rows})
                complete = min(present / due, 1.0) if due else 1.0
                if not rows:
                    return 0, 0.0, nan, nan, complete
                _, high, low, _, volume = _widened(rows, at_ns)
                return present, volume, high, low, complete
        return 0, 0.0, nan, nan, 1.0

    def brought(self, at_ns: int) -> list[int]:
        """The starts of the bars that become known at a moment, the newest of each series."""
        own = [
            max(
                (r.arrival.venue_ns for r in rows if r.known_ns == at_ns and r.verdict != "late"),
                default=-1,
            )
            for rows, series in zip(self.rows, self.series, strict=True)
            if series.is_bars
        ]
        return [start_ns for start_ns in own if start_ns >= 0]

    def records(self) -> Iterator[bytes]:
        """The records of all but sessions, in any order."""
        for k, rows in enumerate(self.rows):
            shown = [row for row in rows if row.known_ns <= self.until_ns]
            for row in shown:
                yield self._record_of(k, row)
            if self.series[k].is_bars:
                for nth, code in enumerate(self.system.plan.derived, 1):
                    yield from self._derived(k, shown, nth, timeframe(code).width_ns)
            for row in rows:
                if row.verdict not in PASSED:
                    yield from self._aside(row.arrival, _CODES[row.verdict])
        for note in self.notes:
            yield from self._aside(note, 0)

    def _record_of(self, series: int, row: Row) -> bytes:
        arrival, turn = row.arrival, row.turn
        assert turn is not None
        kind, session = _KIND[arrival.what], turn.ordinal
        if row.verdict == "late":
            kind, session = kernels.REVISION, session | (arrival.what == ASKED) << 24
        values = arrival.values[: _WIDTH[arrival.what]]
        place = kind, self.numbers[series], 0, session
        return _record(place, row.known_ns, arrival.venue_ns, values)

    def _aside(self, arrival: Arrival, reason: int) -> Iterator[bytes]:
        """Told while a session is open."""
        at_ns, calendar = arrival.receipt_ns, self.calendars[arrival.series]
        for turn in self.turns:
            if turn.calendar == calendar and turn.opened_ns < at_ns <= turn.closed_ns:
                kinds = {"trades": kernels.TRADE, "quotes": kernels.QUOTE}
                frame = kinds.get(self.series[arrival.series].kind, kernels.BAR)
                place = kernels.ASIDE, self.numbers[arrival.series], frame, turn.ordinal
                values = float(reason), float(arrival.what), arrival.values[0]
                yield _record(place, at_ns, arrival.venue_ns, values)

    def _derived(
        self, series: int, rows: Sequence[Row], nth: int, width_ns: int
    ) -> Iterator[bytes]:
        bins: dict[tuple[Turn, int], list[Row]] = {}
        for row in rows:
            assert row.turn is not None
            begin_ns = row.arrival.venue_ns - (row.arrival.venue_ns - row.turn.open_ns) % width_ns
            bins.setdefault((row.turn, begin_ns), []).append(row)
        for (turn, begin_ns), own in bins.items():
            end_ns = min(begin_ns + width_ns, turn.close_ns)
            told = [r.known_ns for r in rows if r.arrival.venue_ns >= end_ns - MINUTE_NS]
            at_most_ns = end_ns + round(self.rules.grace_s * SECOND_NS)
            made_ns = max(end_ns, min([*told, at_most_ns, turn.closed_ns]))
            moments = {max(row.known_ns, made_ns) for row in own}
            for known_ns in sorted(moments):
                kind = kernels.DERIVED if known_ns == made_ns else kernels.REVISION
                if known_ns <= self.until_ns:
                    place = kind, self.numbers[series], nth, turn.ordinal
                    yield _record(place, known_ns, begin_ns, _widened(own, known_ns))


def _is_sane(arrival: Arrival) -> bool:
    """Of what these venues damage: all finite, no size negative; no bid only if its size is 0."""
    values = arrival.values
    has_no_bid = values[0] != values[0] and values[2] == 0
    finite = values[1:] if arrival.what == QUOTE and has_no_bid else values
    return all(map(isfinite, finite)) and values[_SIZE[arrival.what]] >= 0


def _said(quote: Arrival) -> tuple[int, str]:
    return quote.venue_ns, repr(quote.values)


def _widened(rows: Sequence[Row], known_ns: int) -> tuple[float, ...]:
    """One bar of those known at a moment; of equal starts the last that came."""
    newest = {r.arrival.venue_ns: r.arrival.values for r in rows if r.known_ns <= known_ns}
    bars = [values for _, values in sorted(newest.items())]
    opens, highs, lows, closes, volumes = zip(*bars, strict=True)
    return opens[0], max(highs), min(lows), closes[-1], sum(volumes)


def _record(
    place: tuple[int, int, int, int], known_ns: int, key_ns: int, values: Sequence[float]
) -> bytes:
    kind, instrument, frame, session = place
    meta = kind << 56 | frame << 48 | instrument << 32 | session
    return struct.pack("<qqq5d", meta, known_ns, key_ns, *(*values, *[0.0] * 5)[:5])


def require_as_expected(expected: Expected) -> None:
    """What stands on the tape is what must stand there: nothing missing, early or late."""
    words = expected.words
    assert (np.diff(words[:, 1]) >= 0).all()
    data = words[~np.isin(words[:, 0] >> 56, (kernels.OPEN, kernels.CLOSE))]
    found, wanted = Counter(map(bytes, data)), Counter(expected.records())
    expected.require_turns()
    assert not found - wanted, f"not expected: {_read(found - wanted)}"
    assert not wanted - found, f"missing: {_read(wanted - found)}"


def _read(records: Counter[bytes]) -> list[Any]:
    return sorted(
        (known, meta >> 56, meta >> 48 & 255, meta >> 32 & 0xFFFF, key, *values)
        for meta, known, key, *values in (struct.unpack("<qqq5d", r) for r in records)
    )
