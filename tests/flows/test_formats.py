"""What docs/formats.md and the guides say, done by hand."""

import hashlib
import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import openbell as ob
from openbell.market.bars import Bar
from openbell.market.build import widen
from openbell.market.calendars import calendar
from openbell.market.instrument import Series
from openbell.market.moments import MINUTE_NS
from openbell.market.timeframe import timeframe
from tests.house import read
from tests.quality.reading import spy_march
from tests.replay.playing import play, stored

PLACED, FILLED = 16, 17


@pytest.fixture
def lake(samples: Path) -> ob.Lake:
    lake = ob.open_lake(":memory:")
    path = samples / "pyalgotrade" / "nt-spy-minute-2011-03.csv.gz"
    lake.import_file(path, series="XNYS:SPY/1m", zone="UTC", stamp="close")
    return lake


class Now(ob.Strategy):
    """Buys and sells now and then."""

    every: int = 97

    def on_start(self, ctx: Any) -> None:
        self.seen = 0

    def on_bar(self, ctx: Any, bar: ob.Bar) -> None:
        self.seen += 1
        if self.seen % self.every == 0:
            ctx.target(bar.instrument, float(self.seen % 2))


def sealed(settings: dict[str, Any], sessions: list[list[tuple[int, bytes]]]) -> list[str]:
    """The digests of sessions, each of (moment, bytes) in order, as the page has it."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    begin = hashlib.sha256(text.encode()).digest()
    digests = []
    for pieces in sessions:
        begin = hashlib.sha256(begin + b"".join(piece for _, piece in pieces)).digest()
        digests.append(begin.hex())
    return digests


def pieces(run: ob.Run, lake: ob.Lake, number: int, label: str) -> list[tuple[int, bytes]]:
    """What goes into a session's digest, with the moment each piece was made at."""
    session = calendar("XNYS").session(label)
    roll = (session.open_ns, session.close_ns, 0, 0, 0, 0)
    found = []
    for bar in lake.bars("XNYS:SPY/1m").between(session.open_ns, session.close_ns):
        words = (1 << 56 | number, bar.end_ns, bar.start_ns)
        prices = (bar.open, bar.high, bar.low, bar.close, bar.volume)
        found.append((bar.end_ns, struct.pack("<3q5d", *words, *prices)))
    for e in run.result.entries:
        if e.session == number:
            # A fill at the open of a bar is made when that bar is known.
            made_ns = e.time_ns + (MINUTE_NS if e.what == FILLED else 0)
            four = (e.size, e.price, e.extra, e.more)
            decision = struct.pack("<4q4d", e.what, e.order, e.instrument, e.time_ns, *four)
            found.append((made_ns, decision))
    return [
        (session.open_ns, struct.pack("<8q", number, session.open_ns, *roll)),
        *sorted(found, key=lambda piece: piece[0]),
        (session.close_ns, struct.pack("<8q", 6 << 56 | number, session.close_ns, *roll)),
    ]


def test_a_seal_can_be_made_by_hand_from_what_the_page_says(lake: ob.Lake) -> None:
    run = ob.backtest(Now(), "XNYS:SPY/1m", lake=lake, start="2011-03-01", end="2011-03-04")
    settings = run.result.config.to_dict() | {"strategy": "Now", "parameters": {"every": 97}}
    for name in ("on", "as_of", "min_quality", "benchmark", "history"):
        del settings[name]
    for name in ("session_start", "session_end", "fill_from", "check_interval_s", "retries"):
        del settings[name]  # no hours configured, nothing filled
    labels = ("2011-03-01", "2011-03-02", "2011-03-03")
    sessions = [pieces(run, lake, number, label) for number, label in enumerate(labels)]

    assert {e.what for e in run.result.entries} == {PLACED, FILLED}
    assert [s.digest for s in run.result.sessions] == sealed(settings, sessions)
    assert run.seal == run.result.sessions[-1].digest


def test_revisions_and_a_dry_end_are_sealed_as_the_page_says(samples: Path) -> None:
    """A morning: one bar comes a minute late from the second pin, and makes its 5m bar again."""
    session = calendar("XNYS").session("2011-03-01")
    opens, closes = session.open_ns, session.close_ns
    whole = spy_march(samples).between(opens, opens + 60 * MINUTE_NS)
    kept = np.arange(60) != 9
    other = whole.renamed(Series.parse("ARCX:SPY/1m"))
    data = stored(whole.take(kept), other.take([3]), other)
    span = ("2011-03-01", "2011-03-02")
    fill = data.pins[1:]
    system = play(data.system(*span, pins=data.pins[:1], fill=fill, derived=("5m",)))

    def row(kind: int, bar: Bar, known_ns: int, frame: int = 0, origin: int = 0) -> bytes:
        words = (kind << 56 | frame << 48 | origin << 24, known_ns, bar.start_ns)
        return struct.pack("<3q5d", *words, bar.open, bar.high, bar.low, bar.close, bar.volume)

    pieces = [(opens, struct.pack("<8q", 0, opens, opens, closes, 0, 0, 0, 0))]
    pieces += [(bar.end_ns, row(1, bar, bar.end_ns)) for bar in whole.take(kept)]
    pieces += [(b.end_ns, row(2, b, b.end_ns, 1)) for b in widen(whole.take(kept), timeframe("5m"))]
    late_ns = opens + 11 * MINUTE_NS
    pieces.append((late_ns, row(3, whole.bar(9), late_ns, 0, 2)))
    pieces.append((late_ns, row(3, widen(whole, timeframe("5m")).bar(1), late_ns, 1)))
    pieces.append((closes, struct.pack("<8q", 6 << 56, closes, opens, closes, 1, 0, 0, 0)))
    pieces.sort(key=lambda piece: piece[0])

    assert system.tape.digests == sealed({}, [pieces])


def test_the_strategies_of_the_guide_play(lake: ob.Lake, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", read("docs/guides/write-a-strategy.md"), re.DOTALL)
    for number, block in enumerate(blocks):
        file = tmp_path / f"guide_{number}.py"
        file.write_text(block, encoding="utf-8")
        run = ob.backtest(str(file), "XNYS:SPY/1m", lake=lake)
        assert (run.status, run.result.error) == ("done", "")
        assert run.result.fills
    assert len(blocks) == 2
