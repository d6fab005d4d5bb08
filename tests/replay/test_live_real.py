"""Real feeds of Binance, as they were received in August 2024, over midnight; read only here.

Each line has our clock and the venue's: on the first day ours was 1.25 s behind.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openbell.market.arrivals import NO_SERIES, QUOTE, STOPPED, TRADE, Arrival, five
from openbell.market.instrument import Series
from openbell.market.moments import SECOND_NS
from openbell.market.ticks import Trades
from openbell.replay import intake
from openbell.replay.live_feeds import LiveCounts
from openbell.replay.system import System
from tests.replay.living import Kept, header, replayed
from tests.replay.playing import blocks, play

pytestmark = pytest.mark.shared

PRINTS = Series.parse("BINANCE:BTCUSDT/trades")
TICKS = Series.parse("BINANCE:BTCUSDT/quotes")
FILES = ("spot/btcusdt_20240808.gz", "spot/btcusdt_20240809.gz")
START, END = "2024-08-08T23:54Z", "2024-08-09T00:10Z"


def lines(shared_data: Path) -> Iterator[tuple[int, Any]]:
    for name in FILES:
        with gzip.open(shared_data / "hftbacktest/examples" / name, "rt") as file:
            for line in file:
                receipt, _, said = line.partition(" ")
                yield int(receipt), json.loads(said)


def received(shared_data: Path) -> Iterator[Arrival]:
    """Trades with the venue's time and number; quotes, which have no time, at their receipt."""
    last_ns = 0
    for at_ns, said in lines(shared_data):
        kind, data = said.get("stream", "").partition("@")[2], said.get("data")
        last_ns = max(last_ns, at_ns)
        if kind == "trade":
            taker = -1.0 if data["m"] else 1.0
            values = five((data["p"], data["q"], taker))
            yield Arrival(0, TRADE, data["T"] * 1_000_000, last_ns, data["t"], values)
        elif kind == "bookTicker":
            values = five([data[name] for name in ("b", "a", "B", "A")])
            yield Arrival(1, QUOTE, last_ns, last_ns, data["u"], values)


@pytest.fixture(scope="module")
def arrivals(shared_data: Path) -> list[Arrival]:
    found = list(received(shared_data))
    return [*found, Arrival(NO_SERIES, STOPPED, 0, found[-1].receipt_ns + 5 * SECOND_NS)]


def recording(arrivals: list[Arrival], **rules: Any) -> Kept:
    kept = Kept(header(PRINTS, TICKS, start=START, end=END, **rules))
    kept.append(arrivals)
    return kept


def counts_of(system: System) -> LiveCounts:
    found = system.counts[str(PRINTS)]
    assert isinstance(found, LiveCounts)
    return found


def test_a_clock_that_is_behind_makes_the_venue_speak_of_the_future(
    arrivals: list[Arrival],
) -> None:
    strict = counts_of(play(replayed(recording(arrivals, skew_s=1))))
    assert strict.future > 9_000
    patient = counts_of(play(replayed(recording(arrivals, skew_s=2))))
    assert patient.future == 0
    assert strict.played < patient.played
    came = sum(a.what == TRADE for a in arrivals)
    assert patient.played == came == strict.played + strict.future


def test_what_a_stop_leaves_waiting_is_counted(arrivals: list[Arrival]) -> None:
    stopped = arrivals[-1]._replace(receipt_ns=arrivals[-2].receipt_ns + 1)
    counts = counts_of(play(replayed(recording([*arrivals[:-1], stopped], skew_s=2))))
    assert counts.waiting > 20
    assert counts.played + counts.waiting == sum(a.what == TRADE for a in arrivals)


def test_nothing_is_seen_before_it_happened_and_sessions_turn_at_midnight(
    arrivals: list[Arrival],
) -> None:
    system = replayed(recording(arrivals, skew_s=2))
    words = np.concatenate(list(blocks(system)))
    rows = words[np.isin(words[:, 0] >> 56, (4, 5))]
    assert (rows[:, 1] >= rows[:, 2]).all()
    assert (np.diff(words[:, 1]) >= 0).all()
    assert system.tape.labels == ["2024-08-08", "2024-08-09"]
    assert [each.cause for each in system.coordinator.ended] == ["close", "stopped"]


def test_however_many_are_played_at_once_the_seal_is_the_same(
    arrivals: list[Arrival], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = [*arrivals[:4_000], arrivals[-1]]
    kept = recording(some, skew_s=2)
    seals = []
    for at_once in (1, 37, 4_096, 100_000):
        monkeypatch.setattr(intake, "_BLOCK", at_once)
        seals.append(play(replayed(kept)).tape.digests)
    assert seals[0]
    assert all(each == seals[0] for each in seals)


def test_the_day_seen_live_is_the_day_that_was(arrivals: list[Arrival]) -> None:
    """Every trade of the venue, in its order, with its own prices."""
    system = play(replayed(recording(arrivals, skew_s=2), history=100_000))
    seen = system.session_data[0]["BINANCE:BTCUSDT"].history(100_000, "trades")
    assert isinstance(seen, Trades)
    said = {a.sequence: a for a in arrivals if a.what == TRADE}
    assert len(seen) == len(said)
    np.testing.assert_array_equal(seen.time_ns, [said[n].venue_ns for n in sorted(said)])
    np.testing.assert_array_equal(seen.price, [said[n].values[0] for n in sorted(said)])
    assert seen.time_ns[-1] - seen.time_ns[0] > 500 * SECOND_NS
