"""freqtrade's data folders: bars, mark prices and trades as feather or JSON, packed or not.

The names say what is inside: ``XRP_ETH-5m.feather``, ``XRP_USDT_USDT-1h-mark.feather``,
``XRP_ETH-trades.json.gz``. Stamps are milliseconds of UTC, bars are named by their start.
Funding rates, premium and other indices, and HDF5 files are not taken, which is noted.
(Layout: freqtrade documentation, *Data downloading*.)
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import orjson
import polars as pl

from openbell.market.clean import usual_spacing
from openbell.market.errors import BadDataError
from openbell.market.instrument import Instrument, Series
from openbell.market.timeframe import CODES
from openbell.ports import Parsed
from openbell.sources.files import (
    MAX_BYTES,
    Listed,
    Member,
    aside_note,
    columnar,
    is_columnar,
    list_files,
    members,
    plain_name,
    with_first,
)
from openbell.sources.stamps import read_stamps
from openbell.sources.tables import Reading, Table, parse_table

_SUFFIXES = (".feather", ".parquet", ".json", ".jsongz")
_NAME = re.compile(
    r"(?P<pair>[A-Za-z0-9_.]+)-(?:(?P<width>\d+[smhdwM])(?:-(?P<kind>[a-zA-Z_]+))?|trades)"
)
_BARS = ("stamp", "open", "high", "low", "close", "volume")
_TRADES = ("stamp", "id", "type", "side", "price", "size", "cost")
_PRICES = {None: "trade", "spot": "trade", "futures": "trade", "mark": "mark"}


@dataclass(frozen=True, slots=True)
class _Named:
    """What the name of a file says; `kind` is a key of `_PRICES`, `width` empty for trades."""

    file: Listed
    pair: str
    width: str
    kind: str | None


class FreqtradeFolder:
    """Reads freqtrade's data folders.

    Parameters
    ----------
    path
        A folder, or files of it.
    venue
        Where the pairs trade: ``BINANCE``. The names do not say.
    pairs
        Only these: ``XRP_ETH`` as in the names, or ``XRP/ETH``; empty for all.
    timeframe
        What bars are whose name is wrong; empty to believe the names.
    check_spacing
        Whether bars too close together or too far apart for their timeframe are an error.
    max_bytes
        Limit to the size of one file, unpacked.
    """

    def __init__(
        self,
        path: Path | str | Sequence[Path | str],
        *,
        venue: str,
        pairs: Sequence[str] = (),
        timeframe: str = "",
        check_spacing: bool = True,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._venue = venue
        self._timeframe = timeframe
        self._check_spacing = check_spacing
        self._max_bytes = max_bytes
        listed, self._aside = list_files(path, _SUFFIXES)
        self._named: list[_Named] = []
        self._pairs = {re.sub(r"[/:-]", "_", pair).upper() for pair in pairs}
        for file in listed:
            named = _named(file)
            if named is None:
                self._aside.append(file.name)
            elif not self._pairs or named.pair.upper() in self._pairs:
                self._named.append(named)

    def files(self) -> Sequence[Path]:
        return [named.file.path for named in self._named]

    def series(self) -> Sequence[Series]:
        return sorted({self._series_of(named) for named in self._named})

    def parse(self) -> Iterator[Parsed]:
        if self._pairs and not self._named:
            raise BadDataError(
                f"no file is of {', '.join(sorted(self._pairs))}",
                hint="write pairs as the files are named: XRP_ETH, XRP_USDT_USDT",
            )
        if self._aside and not self._named:
            raise BadDataError(
                f"{self._aside[0]} holds neither bars nor trades",
                hint="its name should be like XRP_ETH-5m.feather or XRP_ETH-trades.json.gz",
            )
        found = (
            self._parse_one(named, member)
            for named in self._named
            for member in members(named.file, max_bytes=self._max_bytes)
        )
        yield from with_first(aside_note(self._aside), found)

    def _parse_one(self, named: _Named, member: Member) -> Parsed:
        frame = _frame(member, _BARS if named.width else _TRADES, self._max_bytes)
        series = self._series_of(named, frame)
        reading = Reading(series=series, checks_spacing=self._check_spacing)
        return parse_table(Table(member.name, frame, np.arange(1, len(frame) + 1)), reading)

    def _series_of(self, named: _Named, frame: pl.DataFrame | None = None) -> Series:
        instrument = Instrument.parse(f"{self._venue}:{named.pair.replace('_', '-')}")
        if not named.width:
            return Series(instrument, "trades")
        code = self._timeframe or named.width
        if code not in CODES:
            raise BadDataError(
                f"{named.file.name} is taken for {code} bars, which is no timeframe"
                + (
                    ""
                    if frame is None or len(frame) < 2
                    else f"; its rows are {_apart(frame)} apart"
                ),
                hint=f"say what they are, --timeframe with one of {', '.join(CODES)}",
            )
        return Series(instrument, code, _PRICES[named.kind])


def _apart(frame: pl.DataFrame) -> str:
    return usual_spacing(np.unique(read_stamps(frame["stamp"]).local_ns))


def _named(file: Listed) -> _Named | None:
    stem = PurePosixPath(plain_name(file.name)).stem
    match = _NAME.fullmatch(stem)
    if not plain_name(file.name).endswith(_SUFFIXES):
        return None
    if match is None or match["kind"] not in _PRICES:
        return None
    return _Named(file, match["pair"], match["width"] or "", match["kind"])


def _frame(member: Member, columns: tuple[str, ...], max_bytes: int) -> pl.DataFrame:
    """The rows of a file under our names."""
    if not member.content:
        raise BadDataError(f"{member.name} is empty")
    try:
        if is_columnar(member.content):
            return _renamed(columnar(member, max_bytes), member.name)
        return _from_json(orjson.loads(member.content), columns, member.name)
    except (pl.exceptions.PolarsError, orjson.JSONDecodeError, TypeError) as error:
        raise BadDataError(f"{member.name} is cut short or damaged: {error}") from error


def _renamed(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    names = {"date": "stamp", "timestamp": "stamp", "amount": "size"}
    frame = frame.rename({old: new for old, new in names.items() if old in frame.columns})
    known = [column for column in (*_BARS, "price", "size", "side") if column in frame.columns]
    if "stamp" not in known or not {"close", "price"} & set(known):
        raise BadDataError(f"{name} has no columns of bars or trades: {', '.join(frame.columns)}")
    return frame.select(known)


def _from_json(rows: object, columns: tuple[str, ...], name: str) -> pl.DataFrame:
    """Rows as lists, or as ccxt's objects of trades."""
    if not isinstance(rows, list):
        raise BadDataError(f"{name} holds no list of rows")
    if not rows:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.Float64))
    if isinstance(rows[0], dict):
        kept = [
            {key: row.get(key) for key in ("timestamp", "price", "amount", "side")} for row in rows
        ]
        return _renamed(pl.DataFrame(kept, infer_schema_length=None), name)
    if len(rows[0]) != len(columns):
        raise BadDataError(f"{name} has rows of {len(rows[0])} cells, not of {len(columns)}")
    frame = pl.DataFrame(rows, schema=list(columns), orient="row", infer_schema_length=None)
    return frame.select(c for c in columns if c not in ("id", "type", "cost"))
