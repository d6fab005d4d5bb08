"""LEAN's expected fill-forward intervals, derived from our calendars and bins.

`FillForwardBars.zip` of LEAN's tests holds three kinds of files:

``enum_…`` (90)
    Two bars of width W lie n days apart; listed is every bar that LEAN puts between, for a fill
    step F. LEAN's rule, found from the files: a filled bar has width W, and one ends wherever a
    bar of width W *or* F ends that holds a piece of a session. All 90 are derived below; in two
    of them one bar differs, see `WALL_CLOCK_DAY`.
``alg_…`` (54)
    The same in an algorithm that also reads market data the zip does not hold. The six of
    one-minute New York stocks are derived; 22 others are empty, which says nothing; the rest
    depend on that data.
``ff_…`` (6)
    Moments at which an algorithm saw bars of two instruments; they depend on data alone.
"""

import itertools
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from openbell.market.build import bins
from openbell.market.calendars import Calendar, calendar, user_calendar
from openbell.market.columns import Ints
from openbell.market.moments import DAY_NS, MINUTE_NS, local, parse_moment
from openbell.market.timeframe import timeframe

NEW_YORK = "America/New_York"
FIRST = {"DST": "2011-03-07", "ST": "2011-10-31"}
CODES = {"Minute": "1m", "Hour": "1h", "Daily": "1d"}
# Time zone of the data → the exchange that LEAN tests it with: stocks; the forex week; the forex
# week of Oanda, which pauses from 16:58 to 17:03.
ZONES = {"America_New_York": NEW_YORK, "UTC-05": "Etc/GMT+5", "UTC": "UTC"}
# LEAN adds 24 hours to the wall clock, so that this day ends an hour late.
WALL_CLOCK_DAY = ("2011.11.06 1:0:0 - 2011.11.07 0:0:0", "2011.11.06 1:0:0 - 2011.11.07 1:0:0")

ENUM = [
    (dst, days, zone, "Daily", width)
    for dst, days, zone, width in itertools.product(FIRST, (6, 7, 14), ZONES, CODES)
] + [
    (dst, 7, zone, step, width)
    for dst, zone, step, width in itertools.product(FIRST, ZONES, ("Minute", "Hour"), CODES)
]


def exchange(zone: str) -> Calendar:
    if zone == "UTC":
        return user_calendar("OANDA", NEW_YORK, "17:03", "16:58", overnight=True)
    return calendar("XNYS" if zone == "America_New_York" else "FOREX")


def ends(code: str, zone: str, open_at: Calendar, start_ns: int, end_ns: int) -> Ints:
    """Ends of the bars of the stretch that hold a piece of a session; days are of `zone`."""
    days = user_calendar("days", zone, "00:00", "24:00", days="all")
    minutes = np.arange(start_ns, end_ns, MINUTE_NS)
    open_minutes = minutes[open_at.row_at(minutes) != -1]
    anchor = "session" if code == "Daily" else "epoch"
    return np.unique(bins(open_minutes, timeframe(CODES[code]), anchor=anchor, calendar=days)[1])  # type: ignore[arg-type]


def clock(ns: int) -> str:
    t = local(ns, NEW_YORK)
    return f"{t:%Y.%m.%d} {t.hour}:{t.minute}:{t.second}"


def lines(ends_ns: Ints, width_ns: int) -> list[str]:
    return [f"{clock(int(ns) - width_ns)} - {clock(int(ns))}" for ns in ends_ns]


@pytest.fixture(scope="module")
def files(samples: Path) -> dict[str, list[str]]:
    with zipfile.ZipFile(samples / "lean/TestData/FillForwardBars.zip") as archive:
        return {name[:-4]: archive.read(name).decode().splitlines() for name in archive.namelist()}


@pytest.mark.parametrize(("dst", "days", "zone", "step", "width"), ENUM)
def test_bars_between_two_bars_are_those_lean_fills(
    files: dict[str, list[str]], dst: str, days: int, zone: str, step: str, width: str
) -> None:
    last_day = datetime.fromisoformat(FIRST[dst]) + timedelta(days=days)
    first, last = (parse_moment(t, ZONES[zone]) for t in (FIRST[dst], last_day.isoformat()))
    width_ns = timeframe(CODES[width]).width_ns
    stretch = (exchange(zone), first, last + 2 * DAY_NS)

    found = np.union1d(ends(step, ZONES[zone], *stretch), ends(width, ZONES[zone], *stretch))
    between = found[(found > first + width_ns) & (found < last + width_ns)]

    expected = files[f"enum_{dst}_{days}_America_New_York_{zone}_{width}_{step}"]
    ours = lines(between, width_ns)
    if (dst, zone, step, width) == ("ST", "UTC-05", "Daily", "Daily") and days > 6:
        ours[ours.index(WALL_CLOCK_DAY[0])] = WALL_CLOCK_DAY[1]
    assert ours == expected


@pytest.mark.parametrize(("dst", "days"), list(itertools.product(FIRST, (6, 7, 14))))
def test_minutes_of_stocks_in_an_algorithm_are_those_of_the_sessions(
    files: dict[str, list[str]], dst: str, days: int
) -> None:
    origin = datetime.fromisoformat(FIRST[dst])
    first, last = (
        parse_moment((origin + timedelta(days=n)).isoformat(), NEW_YORK) for n in (1, days + 1)
    )

    ours = lines(ends("Minute", NEW_YORK, calendar("XNYS"), first, last), MINUTE_NS)

    expected = files[f"alg_{dst}_{days}_America_New_York_America_New_York_Minute"]
    # In March, the market data LEAN reads lacks one minute of the day before.
    assert ours == (expected[1:] if dst == "DST" else expected)


def test_every_enumerator_file_is_derived(files: dict[str, list[str]]) -> None:
    derived = {f"enum_{d}_{n}_America_New_York_{z}_{w}_{s}" for d, n, z, s, w in ENUM}
    assert derived == {name for name in files if name.startswith("enum")}
    assert len(derived) == 90
