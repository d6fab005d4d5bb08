"""The lake, timed: one symbol-year of minute bars, and a long series of many versions."""

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import Row
from openbell.market.bars import Bars, bars_from
from openbell.market.columns import Floats
from openbell.market.instrument import Series
from openbell.market.moments import (
    DAY_NS,
    END_OF_TIME_NS,
    MINUTE_NS,
    START_OF_TIME_NS,
    parse_moment,
)
from openbell.ports import Manifest
from openbell.stores.lake import Lake

Figure = tuple[str, float, str]

COMMAND = "python -m benchmarks.run store"
TARGETS = {
    "write a symbol-year of minutes (98,280 rows)": "≤ 100",
    "append a day": "≤ 30",
    "merge 5,000 rows, all revised": "≤ 100",
    "read a month": "≤ 15",
    "open the lake and resolve a series": "≤ 10",
}
DAYS, MINUTES = 252, 390
NOTE = Manifest("benchmark")


def minutes(days: range, *, shift: float = 0.0, series: str = "XNYS:SPY/1m") -> Bars:
    """Regular minutes of every 252th part of a year, days counted from 2024-01-02, seeded."""
    noise = np.random.default_rng(0).normal(0.0, 0.02, max(days.stop, DAYS) * MINUTES)
    price: Floats = np.round(100.0 + np.cumsum(noise), 2)[
        days.start * MINUTES : days.stop * MINUTES
    ]
    open_ns = parse_moment("2024-01-02T14:30Z") + np.array(days) * 365 // DAYS * DAY_NS
    start_ns = (open_ns[:, None] + np.arange(MINUTES) * MINUTE_NS).ravel()
    size = np.random.default_rng(1).integers(1, 1000, len(price)).astype(np.float64)
    ohlcv = [price, price + 0.03, price - 0.02, price + 0.01 + shift, size]
    return bars_from(series, start_ns, start_ns + MINUTE_NS, ohlcv)


def best_ms(action: Callable[[], Any], times: int = 7) -> float:
    """The quickest of some calls, in milliseconds."""
    took = []
    for _ in range(times):
        before = time.perf_counter()
        action()
        took.append(time.perf_counter() - before)
    return min(took) * 1e3


def writing(root: Path) -> Iterator[Figure]:
    """Writes: a symbol-year, a day after it, rows over it; each the best of seven."""
    year = minutes(range(DAYS))
    names = (f"XNYS:W{i}/1m" for i in range(100))
    lake = Lake(root / "writing", time.time_ns)
    lake.create()
    yield (
        "write a symbol-year of minutes (98,280 rows)",
        best_ms(lambda: lake.write(year.renamed(Series.parse(next(names))), NOTE)),
        "ms",
    )
    lake.write(year.take(slice(0, 245 * MINUTES)), NOTE)
    days = iter([minutes(range(day, day + 1)) for day in range(245, DAYS)])
    yield "append a day", best_ms(lambda: lake.write(next(days), NOTE)), "ms"
    parts = iter([_shifted(n / 100).take(slice(50_000, 55_000)) for n in range(1, 8)])
    yield "merge 5,000 rows, all revised", best_ms(lambda: lake.write(next(parts), NOTE)), "ms"
    same = lake.read(lake.resolve("XNYS:SPY/1m"), START_OF_TIME_NS, END_OF_TIME_NS)
    yield "write the year again, nothing new", best_ms(lambda: lake.write(same, NOTE)), "ms"
    before = time.perf_counter()
    lake.compact(same.series)
    yield "compact it", (time.perf_counter() - before) * 1e3, "ms"


def reading(root: Path) -> Iterator[Figure]:
    """Reads of a symbol-year: warm, one month, all of it, an old version, in a new `Lake`."""
    lake = Lake(root / "reading", time.time_ns)
    year = minutes(range(DAYS))
    pin = lake.write(year.take(slice(0, 90_000)), NOTE).pin
    lake.write(year, NOTE)
    start_ns, end_ns = parse_moment("2024-06-01"), parse_moment("2024-07-01")
    newest = lake.resolve("XNYS:SPY/1m")
    yield "read a month", best_ms(lambda: lake.read(newest, start_ns, end_ns)), "ms"
    whole = START_OF_TIME_NS, END_OF_TIME_NS
    yield "read the year", best_ms(lambda: lake.read(newest, *whole)), "ms"
    yield "read a month of an old version", best_ms(lambda: lake.read(pin, start_ns, end_ns)), "ms"
    yield "info", best_ms(lambda: lake.info(newest)), "ms"
    yield (
        "open the lake and resolve a series",
        best_ms(lambda: Lake(lake.root, time.time_ns).resolve("XNYS:SPY/1m")),
        "ms",
    )


def years(root: Path) -> Iterator[Figure]:
    """A long series: ten years of minutes, and 300 versions of it."""
    lake = Lake(root / "years", time.time_ns)
    year = minutes(range(DAYS))
    shift_ns = 365 * DAY_NS
    for number in range(10):
        moved = [year.start_ns + number * shift_ns, year.end_ns + number * shift_ns]
        columns = year.columns() | dict(zip(("start_ns", "end_ns"), moved, strict=True))
        lake.write(Bars(year.series, **columns), NOTE)
    newest = lake.resolve("XNYS:SPY/1m")
    whole = START_OF_TIME_NS, END_OF_TIME_NS
    yield "read ten years (982,800 rows)", best_ms(lambda: lake.read(newest, *whole), 3), "ms"
    for number in range(300):
        lake.write(_shifted(0.01 * number).take(slice(0, 1)), NOTE)
    yield (
        "open and resolve with 310 versions",
        best_ms(lambda: Lake(lake.root, time.time_ns).resolve("XNYS:SPY/1m")),
        "ms",
    )
    month = parse_moment("2024-06-01"), parse_moment("2024-07-01")
    for name in ("@5", "@150", ""):
        pin = lake.resolve(f"XNYS:SPY/1m{name}")
        yield f"read a month of {pin}", best_ms(partial(lake.read, pin, *month)), "ms"
    day = _shifted(0.5).take(slice(0, 390))
    yield "revise a day, 310 versions", best_ms(lambda: lake.write(day, NOTE), 1), "ms"


def _shifted(shift: float) -> Bars:
    """The year with other closes."""
    return minutes(range(DAYS), shift=shift)


def rows(quick: bool) -> list[Row]:
    """All figures; a quick run leaves out the long series."""
    parts = [writing, reading] if quick else [writing, reading, years]
    with tempfile.TemporaryDirectory() as folder:
        found = [figure for part in parts for figure in part(Path(folder))]
    return [
        Row("The lake", name, figure, unit, TARGETS.get(name, ""), COMMAND)
        for name, figure, unit in found
    ]
