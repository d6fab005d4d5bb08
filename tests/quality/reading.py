"""Readers of the real files these tests check; the sources have their own tests."""

import csv
import gzip
from datetime import date
from pathlib import Path

import numpy as np

from openbell.market.bars import Bars, bars_from
from openbell.market.instrument import Series
from openbell.market.moments import DAY_NS, MINUTE_NS, parse_moment
from openbell.market.session_table import day_number
from openbell.market.spans import dated_spans
from tests.market.reading import lean_day, lean_rows

NEW_YORK = "America/New_York"


def equity_minutes(samples: Path, symbol: str, *days: str, kind: str = "trade") -> Bars:
    """US minute bars of LEAN day files; of quotes the bid side."""
    folder = samples / "lean/Data/equity/usa/minute" / symbol.lower()
    side = "" if kind == "trade" else ".bid"
    return Bars.joined(
        [
            lean_day(
                folder / f"{day}_{kind}.zip", f"XNYS:{symbol}/1m{side}",
                zone=NEW_YORK, width_ns=MINUTE_NS, scale=10_000.0,
            )
            for day in days
        ]
    )  # fmt: skip


def utc_minutes(samples: Path, folder: str, series: str, *days: str) -> Bars:
    """Minute bars of LEAN day files whose stamps are UTC."""
    paths = [samples / "lean/Data" / folder / f"{day}_trade.zip" for day in days]
    return Bars.joined([lean_day(p, series, zone="UTC", width_ns=MINUTE_NS) for p in paths])


def lean_daily(samples: Path, symbol: str) -> Bars:
    """US daily bars of a LEAN file."""
    rows = lean_rows(samples / f"lean/Data/equity/usa/daily/{symbol.lower()}.zip")
    dates = [date.fromisoformat(f"{r[0][:4]}-{r[0][4:6]}-{r[0][6:8]}") for r in rows]
    columns = np.array([row[1:6] for row in rows], float).T
    columns[:4] /= 10_000
    return dated(f"XNYS:{symbol}/1d", dates, columns)


def dated(name: str, dates: list[date], columns: np.ndarray) -> Bars:
    """Daily bars named by dates, from the columns open to volume."""
    series = Series.parse(name)
    days = np.array([day_number(day) for day in dates])
    spans = dated_spans(days, series.timeframe, series.instrument.place)
    return bars_from(series, spans.start_ns, spans.end_ns, list(columns))


def spy_march(samples: Path) -> Bars:
    """SPY of March 2011: 17,577 minutes, UTC, stamped at the close."""
    raw = gzip.decompress((samples / "pyalgotrade/nt-spy-minute-2011-03.csv.gz").read_bytes())
    rows = list(csv.reader(raw.decode().splitlines(), delimiter=";"))
    ends = np.array([_compact(row[0]) for row in rows], np.int64)
    columns = np.array([row[1:6] for row in rows], float).T
    return bars_from("XNYS:SPY/1m", ends - MINUTE_NS, ends, list(columns))


def fxcm_sides(path: Path, kind: str) -> tuple[Bars, Bars]:
    """Bids and asks of an FXCM file, whose clocks stand at UTC-05 all year."""
    rows = lean_rows(path)
    if kind == "1m":
        label = path.name[:8]
        midnight = parse_moment(f"{label[:4]}-{label[4:6]}-{label[6:]}T00:00-05:00")
        start = np.array([midnight + int(row[0]) * 1_000_000 for row in rows], np.int64)
    else:
        start = np.array([_compact(row[0] + "00") for row in rows], np.int64) + DAY_NS * 5 // 24
    width = Series.parse(f"FXCM:EURUSD/{kind}").timeframe.width_ns
    prices = np.array([row[1:] for row in rows], float).T
    none = np.zeros(len(start))
    bid, ask = (
        bars_from(f"FXCM:EURUSD/{kind}.{side}", start, start + width, [*prices[i : i + 4], none])
        for side, i in (("bid", 0), ("ask", 5))
    )
    return bid, ask


def _compact(text: str) -> int:
    """Nanoseconds of ``20110301 090100`` or ``20070330 01:0000`` in UTC."""
    digits = text.replace(":", "")
    day = day_number(date.fromisoformat(f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}"))
    minutes = int(digits[9:11]) * 60 + int(digits[11:13])
    return day * DAY_NS + minutes * MINUTE_NS
