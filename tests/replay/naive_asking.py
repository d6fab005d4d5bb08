"""What is to be asked for again, found naively; see `naive.py`."""

from collections.abc import Mapping
from itertools import zip_longest

from openbell.market.arrivals import CANCELLED, REGISTERED
from openbell.market.moments import MINUTE_NS, SECOND_NS
from tests.replay.naive import NEVER, PASSED, Expected


def require_asked(expected: Expected, asked: Mapping[int, list[int]], jitter_ns: int) -> None:
    """What was missing when it was due was asked for, soon and not too often; nothing else.

    Parameters
    ----------
    asked
        When each bar was asked for, by its start.
    jitter_ns
        The most by which that may be later than it was decided.
    """
    most = expected.rules.retries + 1
    assert all(len(moments) <= most for moments in asked.values())
    for series in (k for k, each in enumerate(expected.series) if each.is_bars):
        _require_of(expected, series, asked, jitter_ns)


def _require_of(
    expected: Expected, series: int, asked: Mapping[int, list[int]], jitter_ns: int
) -> None:
    rules, away = expected.rules, _away(expected, series)
    grace_ns, again_ns = round(rules.grace_s * SECOND_NS), round(rules.ask_s * SECOND_NS)
    passed = [row.arrival for row in expected.rows[series] if row.verdict in PASSED]
    there = {arrival.venue_ns: arrival.receipt_ns for arrival in reversed(passed)}
    for turn in (t for t in expected.turns if t.calendar == expected.calendars[series]):
        for start_ns in turn.starts:
            end_ns = min(start_ns + MINUTE_NS, turn.close_ns)
            due_ns = max(end_ns + grace_ns, turn.opened_ns)
            there_ns = there.get(start_ns, NEVER)
            moments = asked.get(start_ns, [])
            for at_ns in moments:
                assert due_ns <= at_ns <= there_ns + jitter_ns, start_ns
                assert not any(a + jitter_ns < at_ns < b for a, b in away), start_ns
            latest_ns = min(due_ns + again_ns, turn.close_ns + grace_ns) + jitter_ns
            if not away and latest_ns < min(there_ns, turn.closed_ns, expected.until_ns):
                assert min(moments, default=NEVER) <= latest_ns, start_ns


def _away(expected: Expected, series: int) -> list[tuple[int, int]]:
    """From when to when a series was cancelled."""
    own = [n for n in expected.notes if n.series == series and n.what in (REGISTERED, CANCELLED)]
    moments = [note.receipt_ns for note in own]
    return list(zip_longest(moments[::2], moments[1::2], fillvalue=NEVER))
