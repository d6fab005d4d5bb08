"""LEAN data folders: zip archives of rows by type, market, resolution, symbol, date and kind.

``equity/usa/minute/spy/20131007_trade.zip`` holds one day, ``equity/usa/hour/spy.zip`` all of
them; archives of futures hold one text per contract. Rows have no header. Times are what the
clocks of the data's zone showed, given as milliseconds since midnight, or as date and hour.
US and Indian shares are priced in units of 0.0001.
(Layout: QuantConnect LEAN, Data/*/readme.md; zones: its market-hours-database.json.)
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path, PurePosixPath

import numpy as np
import polars as pl

from openbell.market.counted import counted
from openbell.market.errors import BadDataError
from openbell.market.instrument import Instrument, Series
from openbell.market.moments import DAY_NS, HOUR_NS, parse_date
from openbell.market.session_table import day_number
from openbell.market.spans import Spans, clipped, day_spans
from openbell.market.zones import to_utc
from openbell.ports import Parsed
from openbell.sources.files import (
    MAX_BYTES,
    Listed,
    Member,
    list_files,
    member_names,
    members,
    require_one_of,
    utf8,
    with_first,
)
from openbell.sources.tables import Reading, Table, parse_table

# Where the data comes from → the zone of its clocks. Everything else is in UTC.
_ZONES = {
    ("equity", "usa"): "America/New_York",
    ("equity", "india"): "Asia/Kolkata",
    ("index", "usa"): "America/Chicago",
    ("index", "india"): "Asia/Kolkata",
    ("index", "cboe"): "America/New_York",
    ("index", "eurex"): "Europe/Berlin",
    ("index", "hkfe"): "Asia/Hong_Kong",
    ("future", "eurex"): "Europe/Berlin",
    ("future", "hkfe"): "Asia/Hong_Kong",
    ("future", "india"): "Asia/Kolkata",
    ("forex", "fxcm"): "Etc/GMT+5",  # UTC-05 all year
    ("cfd", "fxcm"): "Etc/GMT+5",
}
_VENUES = {
    ("equity", "usa"): "XNYS",
    ("equity", "india"): "XNSE",
    ("index", "usa"): "XCBO",
    ("index", "cboe"): "XCBO",
    ("index", "india"): "XNSE",
    ("future", "cme"): "XCME",
    ("future", "comex"): "XCEC",
    ("future", "cbot"): "XCBT",
    ("future", "nymex"): "XNYM",
}
_TYPES = ("equity", "forex", "crypto", "cryptofuture", "future", "index", "cfd")
_TIMEFRAMES = {"second": "1s", "minute": "1m", "hour": "1h", "daily": "1d", "tick": ""}
_KINDS = ("trade", "quote")
_QUOTED = ("forex", "cfd")  # their archives without a kind in the name hold quotes
_IN_SESSIONS = ("equity", "index")  # their days are sessions, their hours regular ones
_PRICE_UNIT = 10_000.0

_BAR = ("open", "high", "low", "close")
_TRADE_BARS = ("stamp", *_BAR, "size")
_QUOTE_BARS = (
    "stamp",
    *(f"bid_{n}" for n in (*_BAR, "size")),
    *(f"ask_{n}" for n in (*_BAR, "size")),
)
_TICKS = {
    ("equity", "trade"): ("stamp", "price", "size", "exchange", "condition", "suspicious"),
    ("equity", "quote"): (
        "stamp", "bid", "bid_size", "ask", "ask_size", "exchange", "condition", "suspicious",
    ),
    ("forex", "quote"): ("stamp", "bid", "ask"),
    ("crypto", "trade"): ("stamp", "price", "size", "suspicious"),
    ("crypto", "quote"): ("stamp", "bid", "bid_size", "ask", "ask_size", "suspicious"),
}  # fmt: skip
_TICKS_LIKE = {"cfd": "forex", "cryptofuture": "crypto", "future": "equity", "index": "equity"}


@dataclass(frozen=True, slots=True)
class _Archive:
    """One zip archive, as its path tells.

    Attributes
    ----------
    label
        The date in its name, as days since 1970-01-01; None for hours and days.
    """

    file: Listed
    type: str
    market: str
    resolution: str
    symbol: str
    kind: str
    label: int | None

    @property
    def zone(self) -> str:
        return _ZONES.get((self.type, self.market), "UTC")

    @property
    def unit(self) -> float:
        return _PRICE_UNIT if self.type == "equity" else 1.0


class LeanFolder:
    """Reads LEAN data folders.

    Parameters
    ----------
    path
        The folder ``Data``, any folder in it, or archives.
    symbols, resolutions, kinds
        Only these; empty for all. Kinds are ``trade`` and ``quote``: others are never taken.
    start, end
        Dates; only archives and rows with ``start <= date < end`` on the data's own clocks.
    venues
        Symbol → venue where the usual one of its market is not meant: ``{"aapl": "XNAS"}``.
        US shares are XNYS otherwise.
    max_bytes
        Limit to the size of one archive, unpacked.
    """

    def __init__(  # noqa: PLR0913  # a folder can be narrowed down in as many ways
        self,
        path: Path | str | Sequence[Path | str],
        *,
        symbols: Sequence[str] = (),
        resolutions: Sequence[str] = (),
        kinds: Sequence[str] = (),
        start: str = "",
        end: str = "",
        venues: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        for resolution in resolutions:
            require_one_of("resolution", resolution, tuple(_TIMEFRAMES))
        for kind in kinds:
            require_one_of("kind", kind, _KINDS)
        self._venues = {symbol.lower(): venue for symbol, venue in (venues or {}).items()}
        self._days = (_day(start, -(2**31)), _day(end, 2**31))
        self._max_bytes = max_bytes
        wanted = {
            "symbol": {symbol.lower() for symbol in symbols},
            "resolution": set(resolutions),
            "kind": set(kinds),
        }
        self._archives: list[_Archive] = []
        other: dict[str, int] = {}
        for file in list_files(path, (".zip", ""))[0]:
            archive = _archive(file)
            if archive is None:
                what = PurePosixPath(file.name).parent.as_posix()
                other[what] = other.get(what, 0) + 1
            elif archive.kind not in _KINDS:
                other[archive.kind] = other.get(archive.kind, 0) + 1
            elif all(not some or getattr(archive, n) in some for n, some in wanted.items()):
                self._archives += [archive] if self._is_within(archive) else []
        self._notes = [
            f"not taken: {counted(count, 'file')} of {what}" for what, count in other.items()
        ]

    def files(self) -> Sequence[Path]:
        return [archive.file.path for archive in self._archives]

    def series(self) -> Sequence[Series]:
        found = set()
        for archive in self._archives:
            contracts = [""]
            if archive.type == "future":
                contracts = [_contract(name) for name in member_names(archive.file)]
            found |= {s for contract in contracts for s in self._series(archive, contract)}
        return sorted(found)

    def parse(self) -> Iterator[Parsed]:
        found = (
            parsed
            for archive in self._archives
            for member in members(archive.file, max_bytes=self._max_bytes)
            for parsed in self._parse_member(archive, member)
        )
        return with_first(self._notes, found)

    def _is_within(self, archive: _Archive) -> bool:
        return archive.label is None or self._days[0] <= archive.label < self._days[1]

    def _series(self, archive: _Archive, contract: str) -> list[Series]:
        """The series an archive's rows go to: two, bid and ask, for bars of quotes."""
        place = _VENUES.get((archive.type, archive.market), archive.market.upper())
        place = self._venues.get(archive.symbol, place)
        symbol = archive.symbol.upper() + (f"-{contract}" if contract else "")
        instrument = Instrument.parse(f"{place}:{symbol}")
        if archive.resolution == "tick":
            return [Series(instrument, f"{archive.kind}s")]
        prices = ("trade",) if archive.kind == "trade" else ("bid", "ask")
        return [Series(instrument, _TIMEFRAMES[archive.resolution], price) for price in prices]

    def _parse_member(self, archive: _Archive, member: Member) -> Iterator[Parsed]:
        contract = _contract(member.name) if archive.type == "future" else ""
        table = _read(archive, member)
        if archive.label is None:
            table = _between(table, *self._days)
        for series in self._series(archive, contract):
            reading = Reading(
                series=series,
                zone=archive.zone if archive.label is not None else "",
                checks_spacing=False,  # the path says the resolution, and hours are cut short
                price_unit=archive.unit,
            )
            yield parse_table(_of_series(archive, table, series), reading)


def _day(text: str, otherwise: int) -> int:
    return day_number(parse_date(text)) if text else otherwise


def _archive(file: Listed) -> _Archive | None:
    """What a path of the layout says; None for any other."""
    parts = [part.lower() for part in file.path.absolute().parts]
    at = max((n for n, part in enumerate(parts[:-2]) if part in _TYPES), default=-1)
    if at < 0 or parts[at + 2] not in _TIMEFRAMES or not parts[-1].endswith(".zip"):
        return None
    kind_of_market, market, resolution = parts[at : at + 3]
    name, _, kind = parts[-1].removesuffix(".zip").partition("_")
    if resolution in ("hour", "daily"):
        kind = kind or ("quote" if kind_of_market in _QUOTED else "trade")
        return _Archive(file, kind_of_market, market, resolution, name, kind, None)
    dated = re.fullmatch(r"(\d{4})(\d{2})(\d{2})", name)
    if dated is None or not kind:
        return None
    label = day_number(date(*map(int, dated.groups())))
    return _Archive(file, kind_of_market, market, resolution, parts[-2], kind, label)


def _contract(name: str) -> str:
    """The month a contract expires in, from the name of its text: ``201312``."""
    found = re.search(r"_(\d{6,8})\.csv$", name)
    if found is None:
        raise BadDataError(f"{name} does not say which contract it holds")
    return found[1]


def _read(archive: _Archive, member: Member) -> Table:
    """The cells of a text as strings, the stamps as what the clocks of the data's zone showed."""
    text, notes = utf8(member)
    names = _columns(archive)
    try:
        frame = pl.read_csv(
            b",".join([b"x"] * (len(names) + 1)) + b"\n" + text,
            has_header=False, infer_schema=False, quote_char=None, truncate_ragged_lines=True,
            new_columns=[*names, "surplus"],
        )[1:]  # fmt: skip
    except pl.exceptions.PolarsError as error:
        raise BadDataError(f"{member.name} cannot be parted into cells: {error}") from error
    rows = np.arange(1, len(frame) + 1)
    surplus = frame["surplus"].is_not_null().arg_true().to_list()
    refused = {row: f"more than {len(names)} cells" for row in surplus}
    stamped = frame.drop("surplus").with_columns(_stamp(archive))
    return Table(member.name, stamped, rows, refused, (*notes, *_remarks(stamped)))


def _columns(archive: _Archive) -> tuple[str, ...]:
    if archive.resolution != "tick":
        return _TRADE_BARS if archive.kind == "trade" else _QUOTE_BARS
    kind = _TICKS_LIKE.get(archive.type, archive.type)
    columns = _TICKS.get((kind, archive.kind))
    if columns is None:
        raise BadDataError(
            f"{archive.file.name}: ticks of {archive.type} {archive.kind} are not known"
        )
    return columns


def _stamp(archive: _Archive) -> pl.Expr:
    shown = pl.col("stamp").str.strip_chars()
    if archive.label is None:
        local = shown.str.to_datetime("%Y%m%d %H:%M", strict=False, time_unit="us")
        return local.cast(pl.Datetime("ns")).alias("stamp")
    # A few archives give fractions of milliseconds; a float holds those of a day exactly enough.
    since_ns = (shown.cast(pl.Float64, strict=False) * 1_000_000).round().cast(pl.Int64)
    return (since_ns + archive.label * DAY_NS).cast(pl.Datetime("ns")).alias("stamp")


def _remarks(frame: pl.DataFrame) -> list[str]:
    notes = []
    if "condition" in frame.columns:
        notes.append("sale conditions not kept; rows of every condition taken")
    if "suspicious" in frame.columns:
        flagged = int((frame["suspicious"].fill_null("0") != "0").sum())
        said = f"{counted(flagged, 'row')} flagged as suspicious by the source; taken"
        notes += [said] if flagged else []
    return notes


def _between(table: Table, start_day: int, end_day: int) -> Table:
    """The rows of some days; those without a readable stamp stay, to be refused."""
    days = table.frame["stamp"].to_physical() // DAY_NS
    return _kept(table, ((days >= start_day) & (days < end_day)).fill_null(value=True))


def _kept(table: Table, keep: pl.Series) -> Table:
    if keep.all():
        return table
    chosen = keep.to_numpy()
    place = np.cumsum(chosen) - 1
    refused = {int(place[row]): rule for row, rule in table.refused.items() if chosen[row]}
    return replace(table, frame=table.frame.filter(keep), rows=table.rows[chosen], refused=refused)


def _of_series(archive: _Archive, table: Table, series: Series) -> Table:
    """The columns and rows of one series, under our names."""
    if archive.resolution == "tick":
        return _ticks(table) if archive.kind == "trade" else _quotes(table)
    if archive.kind == "quote":
        table = _side(table, series.price)
    frame = table.frame.rename({"size": "volume"})
    if archive.label is not None:
        return replace(table, frame=frame)
    notes = (*table.notes, f"stamps read on the clocks of {archive.zone}")
    return replace(table, frame=_spanned(archive, frame, series), notes=notes)


def _side(table: Table, side: str) -> Table:
    """Bid or ask of quote bars; rows in which that side was not quoted are left out, and noted."""
    columns = {f"{side}_{name}": name for name in (*_BAR, "size")}
    is_absent = table.frame.select(
        pl.all_horizontal(pl.col(f"{side}_{name}").is_null() for name in _BAR)
    ).to_series()
    notes = table.notes
    if absent := int(is_absent.sum()):
        notes = (*notes, f"{counted(absent, 'row')} without {side}, left out of it")
    table = _kept(table, ~is_absent)
    frame = table.frame.select("stamp", *columns).rename(columns)
    return replace(table, frame=frame, notes=(*notes, "volume is the size last quoted"))


def _spanned(archive: _Archive, frame: pl.DataFrame, series: Series) -> pl.DataFrame:
    """Hours and days with what each covers.

    Days of shares and indices are sessions, named by their date, and their hours are cut to
    regular hours. Elsewhere days are those of the data's zone, midnight to midnight.
    """
    if archive.resolution == "daily" and archive.type in _IN_SESSIONS:
        return frame.with_columns(pl.col("stamp").cast(pl.Date))
    local = frame["stamp"].to_physical()
    local_ns = local.fill_null(local.drop_nulls().first() or 0).to_numpy()
    if archive.resolution == "daily":
        spans = day_spans(local_ns // DAY_NS, archive.zone)
    else:
        start_ns = to_utc(local_ns, archive.zone).utc_ns
        spans = Spans(start_ns, start_ns + HOUR_NS, np.zeros(len(start_ns), np.int64))
        if archive.type in _IN_SESSIONS:
            spans = clipped(spans.start_ns, spans.end_ns, series.instrument.place)
    moment = pl.Datetime("ns", "UTC")
    start = pl.Series("stamp", spans.start_ns).set(local.is_null(), None)
    return frame.with_columns(start.cast(moment), pl.Series("end", spans.end_ns).cast(moment))


def _ticks(table: Table) -> Table:
    return replace(table, frame=table.frame.select("stamp", "price", "size"))


def _quotes(table: Table) -> Table:
    """Quotes; a side given as price 0 and size 0 is not quoted."""
    frame = table.frame
    sized = "bid_size" in frame.columns
    for side in ("bid", "ask"):
        price = pl.col(side)
        if sized:
            is_absent = price.is_in(["0", "0.0"]) & pl.col(f"{side}_size").is_in(["0", "0.0"])
            price = pl.when(is_absent).then(None).otherwise(price)
        frame = frame.with_columns(price.alias(side))
    sizes = ["bid_size", "ask_size"] if sized else []
    return replace(table, frame=frame.select("stamp", "bid", "ask", *sizes))
