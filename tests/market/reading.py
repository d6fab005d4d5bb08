"""Small readers of the files these tests compare with; the sources have their own tests."""

import csv
import gzip
import zipfile
from datetime import date
from pathlib import Path

import numpy as np

from openbell.market.bars import Bars, bars_from
from openbell.market.moments import DAY_NS, parse_moment
from openbell.market.session_table import day_number

MS_NS = 1_000_000


def lean_rows(path: Path) -> list[list[str]]:
    """The rows of the first file in a LEAN zip."""
    with zipfile.ZipFile(path) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    return list(csv.reader(text.splitlines()))


def lean_day(path: Path, series: str, *, zone: str, width_ns: int, scale: float = 1.0) -> Bars:
    """Bars of one LEAN day file: milliseconds after midnight of the file's date in `zone`."""
    label = path.name[:8]
    midnight = parse_moment(f"{label[:4]}-{label[4:6]}-{label[6:]}", zone)
    columns = np.array(lean_rows(path), float).T
    start = midnight + columns[0].astype(np.int64) * MS_NS
    prices = [column / scale for column in columns[1:5]]
    return bars_from(series, start, start + width_ns, (*prices, columns[5]))


def lean_minutes(path: Path) -> set[int]:
    """Minutes after midnight UTC for which any contract in a LEAN future zip has a bar."""
    with zipfile.ZipFile(path) as archive:
        lines = [line for n in archive.namelist() for line in archive.read(n).split()]
    return {int(line.split(b",")[0]) // 60_000 for line in lines}


def answers(path: Path) -> list[list[str]]:
    """Rows of an answer file of exchange_calendars: label, open, close, break start and end."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [[row[0][:10], *row[1:]] for row in csv.reader(text.decode().splitlines()[1:])]


def midnight_ns(label: str) -> int:
    """Midnight UTC of a date."""
    return day_number(date.fromisoformat(label)) * DAY_NS
