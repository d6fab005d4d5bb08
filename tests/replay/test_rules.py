"""What becomes of everything that arrives live: each rule, as counted and as sealed."""

from dataclasses import asdict
from math import inf, nan
from typing import Any

import pytest

from openbell.market.arrivals import Arrival, five
from openbell.market.errors import UsageError
from openbell.market.moments import MINUTE_NS, SECOND_NS
from openbell.replay.live_feeds import LiveCounts
from openbell.replay.rules import (
    CORRUPT,
    FUTURE,
    OFF_HOURS,
    OUT_OF_ORDER,
    REPEATED,
    STALE,
    Rules,
)
from tests.replay.living import (
    CLOSE_NS,
    OPEN_NS,
    PRINTS,
    SPY,
    TICKS,
    Kept,
    header,
    minute,
    quote,
    recorded,
    replayed,
    trade,
)
from tests.replay.playing import Record, blocks, records

SERIES = {"bars": SPY, "trades": PRINTS, "quotes": TICKS}


def kept(kind: str, *arrivals: Arrival, **rules: Any) -> Kept:
    return recorded(header(SERIES[kind], **rules), *arrivals)


def counts_of(recording: Kept) -> dict[str, int]:
    """What was counted, but for what is zero."""
    system = replayed(recording)
    for _ in system:
        pass
    (counts,) = system.counts.values()
    assert isinstance(counts, LiveCounts)
    found: dict[str, int] = asdict(counts)
    return {name: count for name, count in found.items() if count}


def reasons(recording: Kept) -> list[int]:
    """Of everything put aside, the reason on the tape."""
    words = [row for block in blocks(replayed(recording)) for row in block]
    return [int(row[3:4].view(float)[0]) for row in words if row[0] >> 56 == 7]


def rows(recording: Kept, kind: str) -> list[Record]:
    return [each for each in records(replayed(recording)) if each.kind == kind]


# What is accepted


def test_what_arrives_becomes_known_at_its_receipt() -> None:
    found = rows(kept("bars", minute(0), minute(1, after_s=3.25)), "bar")
    assert [r.known_ns - OPEN_NS for r in found] == [60_500_000_000, 123_250_000_000]
    assert [r.key_ns - OPEN_NS for r in found] == [0, MINUTE_NS]


def test_a_burst_is_one_slice() -> None:
    burst = [trade(n / 100, after_s=2 - n / 100) for n in range(50)]
    system = replayed(kept("trades", *burst))
    slices = [s for s in system if s.time_ns == OPEN_NS + 2 * SECOND_NS]
    assert len(slices) == 1
    assert system.counts[str(PRINTS)].played == 50


# What is withheld


def test_a_number_that_came_before_is_a_repeat() -> None:
    twice = kept("trades", trade(1, number=7), trade(1, number=7, after_s=5), trade(2, number=8))
    assert counts_of(twice) == {"played": 2, "repeated": 1}
    assert reasons(twice) == [REPEATED]


def test_equal_trades_without_numbers_are_two_trades() -> None:
    assert counts_of(kept("trades", trade(1), trade(1))) == {"played": 2}


def test_a_quote_that_says_the_same_again_is_a_repeat() -> None:
    same = kept("quotes", quote(1), quote(1, after_s=2), quote(1, bid=101.0, after_s=3))
    assert counts_of(same) == {"played": 2, "repeated": 1}


@pytest.mark.parametrize("kind", ["trades", "quotes"])
def test_what_is_older_than_the_last_is_out_of_order(kind: str) -> None:
    make: Any = trade if kind == "trades" else quote
    older = kept(kind, make(5), make(4, after_s=3), make(6))
    assert counts_of(older) == {"played": 2, "out_of_order": 1}
    assert reasons(older) == [OUT_OF_ORDER]


def test_a_lower_number_at_the_same_time_is_out_of_order() -> None:
    lower = kept("trades", trade(1, number=9), trade(1, number=8, after_s=2))
    assert counts_of(lower) == {"played": 1, "out_of_order": 1}


def test_an_old_quote_is_stale_and_an_old_trade_is_not() -> None:
    old = kept("quotes", quote(1, after_s=11), quote(2, after_s=10), stale_s=10)
    assert counts_of(old) == {"played": 1, "stale": 1}
    assert reasons(old) == [STALE]
    assert counts_of(kept("trades", trade(1, after_s=900))) == {"played": 1}


@pytest.mark.parametrize("kind", ["trades", "quotes", "bars"])
def test_what_is_stamped_in_the_future_is_withheld(kind: str) -> None:
    makers: dict[str, Any] = {"trades": trade, "quotes": quote, "bars": minute}
    make = makers[kind]
    ahead = kept(kind, make(3, after_s=-1.001), make(4, after_s=-1.0), skew_s=1)
    assert counts_of(ahead) == {"played": 1, "future": 1}
    assert reasons(ahead) == [FUTURE]


def test_what_is_a_little_ahead_waits_until_it_has_happened() -> None:
    (bar,) = rows(kept("bars", minute(3, after_s=-0.7)), "bar")
    assert bar.known_ns == OPEN_NS + 4 * MINUTE_NS
    found = rows(kept("trades", trade(3, after_s=-0.7), trade(2.9, after_s=0.2)), "trade")
    assert [r.known_ns - OPEN_NS for r in found] == [3 * SECOND_NS]


def test_what_is_off_hours_is_withheld() -> None:
    late_s = (CLOSE_NS - OPEN_NS) / SECOND_NS
    off = kept("trades", trade(-5, after_s=10), trade(1, after_s=20), trade(late_s + 1))
    assert counts_of(off) == {"played": 1, "off_hours": 2}
    assert reasons(off)[:1] == [OFF_HOURS]


CORRUPT_BARS = {
    "close above high": (100, 101, 99, 102, 5),
    "open below low": (98, 101, 99, 100, 5),
    "negative volume": (100, 101, 99, 100, -1),
    "no price": (nan, 101, 99, 100, 5),
    "endless volume": (100, 101, 99, 100, inf),
}


@pytest.mark.parametrize("what", CORRUPT_BARS)
def test_a_corrupt_bar_is_withheld(what: str) -> None:
    bad = minute(1)._replace(values=five(CORRUPT_BARS[what]))
    assert counts_of(kept("bars", minute(0), bad)) == {"played": 1, "corrupt": 1}
    assert reasons(kept("bars", minute(0), bad)) == [CORRUPT]


def test_a_bar_off_its_grid_is_corrupt() -> None:
    off = minute(1)._replace(venue_ns=OPEN_NS + MINUTE_NS + SECOND_NS)
    assert counts_of(kept("bars", off)) == {"corrupt": 1}


CORRUPT_QUOTES = {
    "crossed by more than a tenth": (112, 100, 1, 1),
    "negative size": (100, 101, -1, 1),
    "no bid, but a size": (nan, 101, 1, 1),
}


@pytest.mark.parametrize("what", CORRUPT_QUOTES)
def test_a_corrupt_quote_is_withheld(what: str) -> None:
    bad = quote(1)._replace(values=five(CORRUPT_QUOTES[what]))
    assert counts_of(kept("quotes", bad)) == {"corrupt": 1}


def test_a_side_that_is_not_quoted_is_no_fault() -> None:
    one_sided = quote(1)._replace(values=five((nan, 101, 0, 1)))
    assert counts_of(kept("quotes", one_sided)) == {"played": 1}
    again = one_sided._replace(receipt_ns=one_sided.receipt_ns + 1)
    assert counts_of(kept("quotes", one_sided, again)) == {"played": 1, "repeated": 1}


def test_a_corrupt_trade_is_withheld() -> None:
    bad = trade(1)._replace(values=five((nan, 1, 1)))
    assert counts_of(kept("trades", bad, trade(2))) == {"played": 1, "corrupt": 1}


# What comes late


def test_a_missing_bar_that_comes_late_is_a_revision() -> None:
    late = kept("bars", minute(0), minute(2), minute(1, after_s=90))
    assert counts_of(late) == {"played": 2, "late": 1}
    (revision,) = rows(late, "revision")
    assert revision.known_ns == OPEN_NS + 2 * MINUTE_NS + 90 * SECOND_NS
    assert revision.key_ns == OPEN_NS + MINUTE_NS


def test_a_bar_with_other_values_is_a_revision_and_one_with_the_same_a_repeat() -> None:
    again = kept(
        "bars", minute(0), minute(0, after_s=9), minute(0, after_s=10, close=105.0),
        minute(0, after_s=11, close=105.0), minute(0, after_s=12),
    )  # fmt: skip
    assert counts_of(again) == {"played": 1, "late": 2, "repeated": 2}


def test_what_was_asked_for_again_says_so() -> None:
    words = [
        row
        for block in blocks(replayed(kept("bars", minute(1), minute(0, after_s=99, asked=True))))
        for row in block
        if row[0] >> 56 == 3
    ]
    assert [int(row[0]) >> 24 & 0xFF for row in words] == [1]


def test_a_bar_that_comes_after_its_session_has_closed_is_off_hours() -> None:
    late = minute(29), minute(28, after_s=70), minute(27, after_s=400)
    found = recorded(header(SPY, end="2019-06-04T20:00Z"), *late)
    assert counts_of(found) == {"played": 1, "off_hours": 2}


@pytest.mark.parametrize("bad", [{"skew_s": -1}, {"stale_s": inf}, {"ask_s": 0}, {"grace_s": nan}])
def test_rules_that_make_no_sense_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(bad))):
        Rules(**bad)
