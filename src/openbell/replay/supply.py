"""Supply: what a system plays, chunk by chunk, one stream per track.

Base rows come from feeds (`feed.py`); what is derived from them is built on the way. Where the
work is cut into chunks changes nothing but speed: the tape is the same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

from openbell.market.calendars import Calendar
from openbell.market.columns import Columns
from openbell.market.errors import UsageError
from openbell.market.instrument import Instrument, Pin, Series
from openbell.market.moments import START_OF_TIME_NS
from openbell.market.timeframe import timeframe
from openbell.ports import ReadStore
from openbell.replay import kernels
from openbell.replay.agenda import Agenda
from openbell.replay.chunk import Chunk, Ends, Rows, Track, prepare
from openbell.replay.feed import Counts, DerivedFeed, Feed, Reader, Times
from openbell.replay.filling import (
    DerivedRevisions,
    FilledDerived,
    FillFeed,
    Filling,
    UpkeepCounts,
    fits,
)
from openbell.replay.plan import ReplayPlan

_ROWS_PER_CHUNK = 64_000  # some 8 MB with their records; what a chunk costs is little beside that
_ROWS_PER_STREAM = 1_560  # below, what a stream costs in each chunk outweighs its rows
_ROWS_MOST = 160_000  # some 35 MB
KINDS = {"trades": kernels.TRADE, "quotes": kernels.QUOTE}


class Stream(Protocol):
    """What one track is played from."""

    @property
    def track(self) -> Track:
        """Its place in the order of rule 4."""
        ...

    @property
    def series(self) -> Series:
        """What its rows are of."""
        ...

    def empty(self) -> Columns:
        """No rows, of its kind."""
        ...


_Stored = Feed | DerivedFeed | FillFeed | DerivedRevisions
S = TypeVar("S", bound=Stream)


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays: the instruments in the order they were registered, and their calendars.

    Attributes
    ----------
    instruments
        As registered.
    calendars
        Those of the instruments, each once.
    calendar_of
        By instrument, the position of its calendar.
    """

    instruments: tuple[Instrument, ...]
    calendars: tuple[Calendar, ...]
    calendar_of: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the instruments."""
        return tuple(map(str, self.instruments))


def cast_of(plan: ReplayPlan) -> Cast:
    """The instruments of a plan's series, in the order in which they first occur."""
    instruments = tuple(dict.fromkeys(pin.series.instrument for pin in plan.pins))
    if not instruments:
        raise UsageError("nothing to play", hint="name at least one series, e.g. XNYS:SPY/1m")
    own = list(map(plan.calendar_of, instruments))
    calendars = tuple(dict.fromkeys(own))
    return Cast(instruments, calendars, tuple(map(calendars.index, own)))


class Prepared(NamedTuple):
    """A chunk, what it is played from, and what had been counted when it was prepared."""

    chunk: Chunk
    plan: ReplayPlan
    streams: tuple[Stream, ...]
    counts: Mapping[str, Counts]
    upkeep: Mapping[str, UpkeepCounts]


class Supply:
    """The streams of a replay, read and prepared chunk by chunk, in order, once.

    Parameters
    ----------
    plan
        What is asked for.
    streams
        One per track, in the order of rule 4; base feeds stand before what is derived of them.
    agenda
        The sessions played.
    cuts
        The moments up to which one chunk after the other reaches, increasing.

    Attributes
    ----------
    is_live
        Whether it comes while it happens, and not at any speed.
    """

    is_live = False

    def __init__(
        self, plan: ReplayPlan, streams: Sequence[_Stored], agenda: Agenda, cuts: Iterable[int]
    ) -> None:
        self.plan = plan
        self.streams: tuple[Stream, ...] = tuple(streams)
        self._stored = tuple(streams)
        self._agenda = agenda
        self._cuts = cuts

    @property
    def counts(self) -> dict[str, Counts]:
        """What became of the rows read, by series."""
        return {str(s.series): s.counts for s in self.streams if isinstance(s, Feed)}

    @property
    def upkeep(self) -> dict[str, UpkeepCounts]:
        """What was found missing and filled, by series; of those alone that can be filled."""
        return {str(s.series): s.counts for s in self.streams if isinstance(s, FillFeed)}

    def prepared(self, after_ns: int) -> Iterator[Prepared]:
        """The chunks after a moment, each with what it is played from."""
        for chunk in self.chunks(after_ns):
            counts, upkeep = self.counts, self.upkeep
            if not self.is_live:  # what arrives is counted at once
                counts, upkeep = deepcopy(counts), deepcopy(upkeep)
            yield Prepared(chunk, self.plan, self.streams, counts, upkeep)

    def chunks(self, after_ns: int = START_OF_TIME_NS) -> Iterator[Chunk]:
        """The chunks after a moment at which no session opens, or up to which one reached."""
        tracks = [stream.track for stream in self.streams]
        ends = Ends(self._agenda)
        begin_ns = START_OF_TIME_NS
        for until_ns in self._cuts:
            if begin_ns < after_ns:  # read again, to be where the reading was
                begin_ns = min(after_ns, until_ns)
                ends.note(tracks, self._take(begin_ns), START_OF_TIME_NS)
                if begin_ns == until_ns:
                    continue
            rows = self._take(until_ns)
            ends.note(tracks, rows, begin_ns)
            yield prepare(tracks, rows, self._agenda, begin_ns, until_ns, ends.rolled)
            begin_ns = until_ns
        for stream in self._stored:
            if isinstance(stream, Feed):
                stream.finish(self._agenda)

    def close(self) -> None:
        """Nothing more is wanted: whoever waits for it inside goes on."""

    def _take(self, until_ns: int) -> list[Rows]:
        taken: dict[_Stored, Rows] = {}
        for stream in self._stored:
            if isinstance(stream, Feed):
                taken[stream] = stream.take(until_ns, self._agenda)
            else:
                taken[stream] = stream.build(taken[stream.base], until_ns, self._agenda)
        return list(taken.values())


# What makes the supply of a system, from its plan and its agenda.
SupplyMaker = Callable[[ReplayPlan, Agenda], Supply]


def stored_supply(store: ReadStore, plan: ReplayPlan, agenda: Agenda) -> Supply:
    """What is stored, as pinned by a plan."""
    casting = cast_of(plan)
    streams: list[_Stored] = []
    times = Times()
    for pin in plan.pins:
        number = casting.instruments.index(pin.series.instrument)
        position = casting.calendar_of[number]
        kind = KINDS.get(pin.series.kind, kernels.BAR)
        track = Track(kind, number, 0)
        span_ns = _span(plan, agenda, position, pin.series)
        base = Feed(track, pin.series, position, _reader(store, pin), span_ns, times)
        fills = _fills_of(base, store, plan) if kind == kernels.BAR else None
        streams += [base, *_derived_of(base, fills, plan.derived, casting)]
    _require_used(plan, casting)
    streams = in_order(streams)
    per_chunk = plan.sessions_per_chunk or _sessions_per_chunk(streams, agenda)
    return Supply(plan, streams, agenda, agenda.chunk_ends(per_chunk))


def _span(plan: ReplayPlan, agenda: Agenda, calendar: int, series: Series) -> tuple[int, int]:
    """The range to read: what was asked for, within the sessions if labels bound them.

    A session that is open at the start is read from its open, a cancelled stream up to what was
    known then.
    """
    own = agenda.of(calendar)
    start_ns, end_ns = plan.start_ns, plan.end_ns
    if own and own[0].session.open_ns < start_ns < own[0].session.close_ns:
        start_ns = own[0].session.open_ns
    if own and plan.labels[0]:
        start_ns = max(start_ns, own[0].session.pre_ns)
    if own and plan.labels[1]:
        end_ns = min(end_ns, own[-1].session.post_ns + 1)
    if series in plan.cancelled:
        width_ns = series.timeframe.width_ns if series.is_bars else 0
        end_ns = min(end_ns, plan.cancelled[series] + 1 - width_ns)
    return start_ns, end_ns


def in_order(streams: Sequence[S]) -> list[S]:
    """Streams in the order of rule 4: by kind, then instrument.

    Raises
    ------
    UsageError
        If an instrument has two of one kind.
    """
    ordered = sorted(streams, key=lambda stream: stream.track)
    for a, b in pairwise(ordered):
        if a.track == b.track:
            raise UsageError(
                f"{a.series.instrument} is given twice in one kind",
                hint="play one series of bars, one of trades and one of quotes per instrument",
            )
    return ordered


def _derived_of(
    base: Feed, fills: FillFeed | None, derived: Sequence[str], casting: Cast
) -> list[_Stored]:
    """What is made of base bars: derived bars, and the revisions of both where they are filled."""
    if base.track.kind != kernels.BAR:
        return []
    number = base.track.instrument
    anchor = casting.instruments[number].place.anchor
    book = casting.calendars[base.calendar]
    found: list[_Stored] = [fills] if fills else []
    for at, code in enumerate(dict.fromkeys(derived), 1):
        track, frame = Track(kernels.DERIVED, number, at), timeframe(code)
        if fills is None:
            found.append(DerivedFeed(track, base, frame, anchor, book))
        else:
            filled = FilledDerived(track, fills, frame, anchor, book)
            found += [filled, DerivedRevisions(filled)]
    return found


def _fills_of(base: Feed, store: ReadStore, plan: ReplayPlan) -> FillFeed | None:
    """What fills the base bars of an instrument; None if the plan names nothing for it."""

    def feed(pin: Pin) -> Feed:
        return Feed(base.track, pin.series, base.calendar, _reader(store, pin), base.span_ns)

    sources = [(k, p, feed(p)) for k, p in enumerate(plan.fill, 1) if fits(p, base.series)]
    if not sources:
        return None
    own = {pin: each for _, pin, each in sources}
    evidence = [
        own.get(pin) or feed(pin)
        for pin in dict.fromkeys((*plan.pins, *plan.fill))
        if pin.series.instrument == base.series.instrument and not pin.series.is_bars
    ]
    return FillFeed(base, Filling(sources, evidence, plan.check_ns, plan.retries))


def _require_used(plan: ReplayPlan, casting: Cast) -> None:
    """Raise `UsageError` for a pin to fill from that fills nothing, and for impossible checks."""
    symbols = {pin.series.instrument.symbol for pin in plan.pins if pin.series.is_bars}
    for pin in plan.fill:
        if pin.series.instrument.symbol not in symbols:
            raise UsageError(
                f"nothing can be filled from {pin}: no bars of that symbol are played",
                hint=f"played are {', '.join(casting.names)}",
            )
    if plan.check_ns <= 0 or plan.retries < 0:
        raise UsageError(
            f"missing bars cannot be checked every {plan.check_ns} ns with {plan.retries} retries",
            hint="check after more than zero nanoseconds, and retry zero times or more",
        )


def _sessions_per_chunk(streams: Sequence[_Stored], agenda: Agenda) -> int:
    """So many that memory stays small; more, if that would be few rows of each of many streams."""
    first = agenda.sessions[0].session
    length_ns = first.close_ns - first.open_ns
    rows = []
    for stream in streams:
        series = stream.series
        width_ns = series.timeframe.width_ns if series.is_bars else 0
        rows.append(length_ns // width_ns + 1 if width_ns else _ROWS_PER_CHUNK)
    for_each = min(-(-_ROWS_PER_STREAM // max(rows)), _ROWS_MOST // sum(rows))
    return max(1, _ROWS_PER_CHUNK // sum(rows), for_each)


def _reader(store: ReadStore, pin: Pin) -> Reader:
    return lambda start_ns, end_ns: store.read(pin, start_ns, end_ns)
