"""By which rules what arrives live is released or withheld.

The rules are a function of the arrivals alone, their instants of receipt included: a recording
gives what the live run gave. The first that fits an item decides:

=============== =============================================================================
unregistered    its series was cancelled
corrupt         a value is not finite or a size negative; a bar's open or close lies outside its
                low and high, or its start off the grid of its timeframe; a bid stands above its
                ask by more than a tenth
future          stamped later than its receipt by more than `skew_s`; of a bar its end counts
off_hours       it lies in no session played, or in one that has closed here
repeated        trades and quotes: the venue's number came before; of quotes without number, the
                same as the last. Bars: the same values came before for that start
out_of_order    a trade or quote older than the last one accepted, by time or by number
stale           a quote older than `stale_s` at its receipt
*late*          a bar not newer than the last one accepted, missing until now or with other
                values: released as a revision
*accepted*      everything else
=============== =============================================================================

What is accepted or late becomes known at its receipt; not before it happened, not before its
session has opened, and not before what came before it in its series.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from openbell.market.arrivals import QUOTE, TRADE, Arrival
from openbell.market.errors import UsageError
from openbell.market.instrument import Series
from openbell.market.moments import SECOND_NS
from openbell.replay.agenda import Played

ACCEPTED, LATE = 0, -1
UNREGISTERED, CORRUPT, FUTURE, OFF_HOURS, REPEATED, OUT_OF_ORDER, STALE = range(1, 8)
REASONS = {
    UNREGISTERED: "unregistered",
    CORRUPT: "corrupt",
    FUTURE: "future",
    OFF_HOURS: "off_hours",
    REPEATED: "repeated",
    OUT_OF_ORDER: "out_of_order",
    STALE: "stale",
}

_CROSSED = 1.1  # as of stored quotes, see `market.clean`
_NUMBERS = 4096  # how many of the venue's numbers are remembered


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers in the rules of a live run; all in seconds but `retries`.

    Attributes
    ----------
    skew_s
        How far the venue's clock may be ahead of ours.
    stale_s
        How old a quote may be.
    grace_s
        How long a derived bar waits for its last base bar, and a close for the closing bar where
        the next session opens at once.
    close_grace_s
        How long a close waits for the closing bar.
    ask_s
        How often missing bars are asked for again.
    retries
        How often at most each one.
    """

    skew_s: float = 1.0
    stale_s: float = 60.0
    grace_s: float = 5.0
    close_grace_s: float = 60.0
    ask_s: float = 60.0
    retries: int = 5

    def __post_init__(self) -> None:
        for name in ("skew_s", "stale_s", "grace_s", "close_grace_s"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise UsageError(f"{name} is {getattr(self, name)}", hint="use zero or more")
        if not 1.0 <= self.ask_s < float("inf"):
            raise UsageError(f"ask_s is {self.ask_s}", hint="use one second or more")


class Hours:
    """The sessions of one calendar that are played, to place single moments in.

    Parameters
    ----------
    sessions
        In order.
    """

    def __init__(self, sessions: Sequence[Played]) -> None:
        self.sessions = tuple(sessions)
        self._opens = [played.session.open_ns for played in sessions]

    def of_tick(self, time_ns: int) -> Played | None:
        """The session of a trade or quote; see `Agenda.ordinals_of_ticks`."""
        at = bisect_right(self._opens, time_ns) - 1
        if at < 0:
            return None
        played = self.sessions[at]
        session = played.session
        in_break = any(begin < time_ns < end for begin, end in session.breaks)
        return played if time_ns <= session.close_ns and not in_break else None

    def of_bar(self, start_ns: int, width_ns: int) -> Played | None:
        """The session of a bar: it starts in it, and does not lie wholly in a break."""
        at = bisect_right(self._opens, start_ns) - 1
        if at < 0:
            return None
        played = self.sessions[at]
        session = played.session
        inside = any(b <= start_ns and start_ns + width_ns <= e for b, e in session.breaks)
        return played if start_ns < session.close_ns and not inside else None


class Gate:
    """Judges what arrives of one series, in order of arrival.

    Attributes
    ----------
    is_registered
        Whether anything of it is wanted.
    closed_ns
        Sessions up to this moment are closed: nothing of them is released any more.
    """

    def __init__(self, series: Series, hours: Hours, rules: Rules) -> None:
        self.is_registered = True
        self.closed_ns = 0
        self.width_ns = series.timeframe.width_ns if series.is_bars else 0
        self._anchor = series.instrument.place.anchor
        self._hours = hours
        self._skew_ns = round(rules.skew_s * SECOND_NS)
        self._stale_ns = round(rules.stale_s * SECOND_NS)
        self._newest_ns = 0
        self._highest = 0
        self._numbers: dict[int, None] = {}
        self._last: tuple[float, ...] = ()
        self._bars: dict[int, tuple[float, ...]] = {}

    def judge(self, arrival: Arrival) -> tuple[int, Played | None]:
        """What becomes of an item: `ACCEPTED`, `LATE` or a key of `REASONS`; and its session."""
        if self.width_ns:
            played = self._hours.of_bar(arrival.venue_ns, self.width_ns)
        else:
            played = self._hours.of_tick(arrival.venue_ns)
        if not self.is_registered:
            return UNREGISTERED, played
        if _is_corrupt(arrival) or not self._is_on_grid(arrival.venue_ns, played):
            return CORRUPT, played
        if self.moment_ns(arrival, played) > arrival.receipt_ns + self._skew_ns:
            return FUTURE, played
        if played is None or played.session.close_ns <= self.closed_ns:
            return OFF_HOURS, played
        return self._judge_bar(arrival) if self.width_ns else self._judge_tick(arrival), played

    def moment_ns(self, arrival: Arrival, played: Played | None) -> int:
        """When the venue knew it: a bar at its end, or at its session's close before."""
        end_ns = arrival.venue_ns + self.width_ns
        return min(end_ns, played.session.close_ns) if played and self.width_ns else end_ns

    def close(self, close_ns: int) -> None:
        """Sessions that close up to a moment are over."""
        self.closed_ns = close_ns
        self._bars = {start: bar for start, bar in self._bars.items() if start >= close_ns}

    def has(self, start_ns: int) -> bool:
        """Whether a bar of a session that is not closed was accepted."""
        return start_ns in self._bars

    def _is_on_grid(self, start_ns: int, played: Played | None) -> bool:
        if not self.width_ns or played is None:
            return True
        origin_ns = played.regular.open_ns if self._anchor == "session" else 0
        return (start_ns - origin_ns) % self.width_ns == 0

    def _judge_tick(self, arrival: Arrival) -> int:
        _, what, time_ns, receipt_ns, number, values = arrival
        if number in self._numbers or (what == QUOTE and not number and self._is_last(arrival)):
            return REPEATED
        if time_ns < self._newest_ns or 0 < number < self._highest:
            return OUT_OF_ORDER
        if what == QUOTE and receipt_ns - time_ns > self._stale_ns:
            return STALE
        self._newest_ns, self._last = time_ns, values
        if number:
            self._highest = number
            self._numbers[number] = None
            if len(self._numbers) > _NUMBERS:
                del self._numbers[next(iter(self._numbers))]
        return ACCEPTED

    def _is_last(self, arrival: Arrival) -> bool:
        return arrival.venue_ns == self._newest_ns and _same(arrival.values, self._last)

    def _judge_bar(self, arrival: Arrival) -> int:
        start_ns, values = arrival.venue_ns, arrival.values
        if start_ns in self._bars and _same(self._bars[start_ns], values):
            return REPEATED
        self._bars[start_ns] = values
        if start_ns <= self._newest_ns:
            return LATE
        self._newest_ns = start_ns
        return ACCEPTED


def _same(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether all values are the same; NaN is like NaN."""
    return len(one) == len(other) and all(
        x == y or (x != x and y != y) for x, y in zip(one, other, strict=True)
    )


def _is_corrupt(arrival: Arrival) -> bool:
    a, b, c, d, e = arrival.values
    if arrival.what == TRADE:
        return not isfinite(a + b + c) or b < 0
    if arrival.what == QUOTE:
        return not (_is_side(a, c) and _is_side(b, d)) or a > b * _CROSSED
    return not isfinite(a + b + c + d + e) or not (c <= a <= b and c <= d <= b) or e < 0


def _is_side(price: float, size: float) -> bool:
    """Whether a side of a quote is quoted as it may be: without price only if its size is 0."""
    return isfinite(size) and size >= 0 and (isfinite(price) or (price != price and size == 0))
