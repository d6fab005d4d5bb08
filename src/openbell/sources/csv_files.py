"""Delimited text of any common dialect: one file, an archive, or folders of files.

What the dialect is, is told from the text and noted; every part of it can be said instead. A
folder may hold one file a month (``SPY/2011/03-March/SPY_2011_03_March.csv``): the months are
not read from the names, so that ``02-Febuary`` is as good as ``02-February``.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import polars as pl

from openbell.market.errors import BadDataError, UsageError
from openbell.market.instrument import Series
from openbell.ports import Parsed
from openbell.sources.column_names import find_columns, kind_of
from openbell.sources.files import (
    MAX_BYTES,
    Member,
    aside_note,
    list_files,
    members,
    plain_name,
    require_one_of,
    utf8,
    with_first,
)
from openbell.sources.stamps import DATE_ORDERS
from openbell.sources.tables import Reading, Table, parse_table

_SUFFIXES = (".csv", ".txt", ".tsv", ".utf16")
_DELIMITERS = ",;\t|"
_SAMPLE_LINES = 60
_MONTHLY = re.compile(r"(?P<symbol>.+)_\d{4}_\d{2}_[A-Za-z]+")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?")
_DIGITAL = re.compile(r"[-+$€£]?\d[\d.,:/ eE+-]*")
_GROUPED = r"^[-+]?\d{1,3}(?:[,' ]\d{3})+(?:\.\d+)?$"
_HEADERLESS = {
    "bars": ("stamp", "open", "high", "low", "close", "volume"),
    "trades": ("stamp", "price", "size", "side"),
    "quotes": ("stamp", "bid", "ask", "bid_size", "ask_size"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How text is laid out; what is empty or None is told from the text.

    Attributes
    ----------
    delimiter
        One ASCII character; usually one of comma, semicolon, tab, bar.
    header
        Whether the first line names the columns.
    quote
        The character around cells that hold the delimiter; empty for none.
    decimal
        ``.`` or ``,``.
    columns
        Our name of a column → the file's name for it, or its number from 1.
    """

    delimiter: str = ""
    header: bool | None = None
    quote: str = '"'
    decimal: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


class CsvFiles:
    """Reads delimited text.

    Parameters
    ----------
    path
        A file, a folder, or several of them.
    series
        What the rows are: ``XNYS:SPY/1m``, ``/trades``, ``/quotes``. ``{symbol}`` stands for
        the symbol in the files' names: ``XNYS:{symbol}/1m``.
    zone
        IANA zone of the clocks the stamps were read from. Needed unless the stamps say it or
        the bars are of a day and more.
    stamp
        ``open`` if bars are named by their start, ``close`` if by their end.
    date_order
        ``ymd``, ``dmy`` or ``mdy``; empty to tell from the data.
    dialect
        How the text is laid out, where it cannot be told.
    check_spacing
        Whether bars too close together or too far apart for their timeframe are an error.
    max_bytes
        Limit to the size of one file, unpacked.
    """

    def __init__(  # noqa: PLR0913  # what has to be said of text is as much as this
        self,
        path: Path | str | Sequence[Path | str],
        *,
        series: str,
        zone: str = "",
        stamp: Literal["open", "close"] = "open",
        date_order: str = "",
        dialect: Dialect | None = None,
        check_spacing: bool = True,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._dialect = dialect or Dialect()
        require_one_of("stamp", stamp, ("open", "close"))
        require_one_of("date order", date_order, ("", *DATE_ORDERS))
        require_one_of("decimal sign", self._dialect.decimal, ("", ".", ","))
        _require_sign("delimiter", self._dialect.delimiter)
        _require_sign("quote", self._dialect.quote)
        self._listed, self._aside = list_files(path, _SUFFIXES)
        self._named = series
        self._max_bytes = max_bytes
        self._reading = Reading(
            series=self._series_of("SYMBOL.csv"),
            zone=zone,
            is_close_stamped=stamp == "close",
            date_order=date_order,
            checks_spacing=check_spacing,
        )

    def files(self) -> Sequence[Path]:
        return [file.path for file in self._listed]

    def series(self) -> Sequence[Series]:
        return sorted({self._series_of(file.name) for file in self._listed})

    def parse(self) -> Iterator[Parsed]:
        found = (m for file in self._listed for m in members(file, max_bytes=self._max_bytes))
        return with_first(aside_note(self._aside), map(self._parse_one, found))

    def _parse_one(self, member: Member) -> Parsed:
        reading = replace(self._reading, series=self._series_of(member.name))
        table = _table(member, self._dialect, kind_of(reading.series))
        if _is_open_guessed(table, reading):
            table = replace(table, notes=(*table.notes, _OPEN_GUESSED))
        return parse_table(table, reading)

    def _series_of(self, name: str) -> Series:
        return Series.parse(self._named.replace("{symbol}", _symbol(name)))


_OPEN_GUESSED = "stamps taken for the start of bars; --stamp close if they name the end"


def _is_open_guessed(table: Table, reading: Reading) -> bool:
    """Whether stamps could as well be ends: of intraday bars whose end stands nowhere."""
    if not reading.series.is_bars or reading.is_close_stamped:
        return False
    return reading.series.timeframe.is_intraday and "end" not in table.frame.columns


def _require_sign(what: str, sign: str) -> None:
    if sign and not (len(sign) == 1 and sign.isascii()):
        raise UsageError(f"the {what} `{sign}` is not one ASCII character", hint="give one: , or ;")


def _symbol(name: str) -> str:
    stem = PurePosixPath(plain_name(name.rpartition("!")[2])).stem
    monthly = _MONTHLY.fullmatch(stem)
    return (monthly["symbol"] if monthly else stem).upper()


def _table(member: Member, dialect: Dialect, kind: str) -> Table:
    """The cells of a text, its columns found, numbers made readable."""
    text, notes = utf8(member)
    sample = _first_lines(text)
    delimiter = dialect.delimiter or _delimiter(sample, member.name)
    lines = list(
        csv.reader(
            sample,
            delimiter=delimiter,
            quotechar=dialect.quote or None,
            quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        )
    )
    has_header = _is_header(lines[0]) if dialect.header is None else dialect.header
    names, named = _names(lines, kind, has_header=has_header)
    notes += named
    frame, rows = _cells(replace(member, content=text), names, delimiter, dialect.quote)
    frame, rows = frame[int(has_header) :], rows[int(has_header) :]
    if not len(frame):
        raise BadDataError(f"{member.name} has a header and no rows")
    given = _given(dialect.columns, names)
    if not has_header:
        given = {name: name for name in names if name in _HEADERLESS[kind]} | given
    found = find_columns(names, kind, given, file=member.name)
    if unused := [name for name in names if name not in found.values()]:
        notes.append(f"columns not taken: {', '.join(unused)}")
    refused = {
        row: f"more than {len(names)} cells" for row in frame[_SURPLUS].is_not_null().arg_true()
    }
    frame = frame.select(pl.col(name).alias(ours) for ours, name in found.items())
    frame, decimal_notes = _numbers(frame, dialect.decimal, member.name)
    return Table(member.name, frame, rows, refused, (*notes, *decimal_notes))


_SURPLUS = "\0surplus"  # no name in a text that was accepted holds a zero


def _first_lines(text: bytes) -> list[str]:
    """The first lines that are not blank."""
    head = text[: 64 * 1024].decode(errors="replace").splitlines()
    if len(text) > 64 * 1024 and len(head) > 1:
        head.pop()
    return [line for line in head if line.strip()][:_SAMPLE_LINES]


def _delimiter(sample: list[str], name: str) -> str:
    """The sign that parts most lines into the same number of cells, at least two.

    Where a comma would do as well as another sign it is taken for the decimal sign.
    """
    best, best_score = "", (0, False, 0)
    for sign in _DELIMITERS:
        counts = Counter(line.count(sign) for line in sample)
        count, lines = max(counts.items(), key=lambda item: (item[0] > 0, item[1]))
        score = (lines, sign != ",", count)
        if count and score > best_score:
            best, best_score = sign, score
    if not best:
        raise BadDataError(
            f"{name} has one column only, or a delimiter that is not known",
            hint="say it with --delimiter",
        )
    return best


def _is_header(cells: list[str]) -> bool:
    """Whether a line names columns: none of its cells is a number or a stamp."""
    return not any(_DIGITAL.fullmatch(cell.strip()) for cell in cells)


def _names(lines: list[list[str]], kind: str, *, has_header: bool) -> tuple[list[str], list[str]]:
    """A name for each column, and notes; data lines tell how many there are."""
    width = len(lines[1]) if len(lines) > 1 else len(lines[0])
    has_time = width > 1 and all(_CLOCK.fullmatch(c[1].strip()) for c in lines[1:20] if len(c) > 1)
    if not has_header:
        names = list(_HEADERLESS[kind])
        if has_time:
            names[:1] = ["date", "time"]
        names = names[:width] + [f"column {n + 1}" for n in range(len(names), width)]
        return names, [f"no header; columns taken for {', '.join(names)}"]
    names = [cell.strip() for cell in lines[0]]
    notes = []
    if len(names) == width - 1 and has_time:
        names.insert(1, "Time")
        notes = ["the header has no name for the second column, which holds the time"]
    return _distinct(names), notes


def _distinct(names: list[str]) -> list[str]:
    """The names with blank and repeated ones made distinct."""
    distinct: list[str] = []
    for number, name in enumerate(names, 1):
        distinct.append(f"column {number}" if not name or name in distinct else name)
    return distinct


def _given(columns: Mapping[str, str], names: list[str]) -> dict[str, str]:
    """The caller's choice of columns, numbers turned into names."""
    given = {}
    for role, name in columns.items():
        is_number = name not in names and name.isdecimal() and 0 < int(name) <= len(names)
        given[role] = names[int(name) - 1] if is_number else name
    return given


def _cells(
    member: Member, names: list[str], delimiter: str, quote: str
) -> tuple[pl.DataFrame, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """All cells as text, blank lines left out, and the line each row stands on.

    The line numbers are exact unless quoted cells hold line breaks.
    """
    columns = [*names, _SURPLUS]
    # A first line of ours makes the parser expect one cell more than there should be, so that
    # rows with too many are seen and not cut.
    width_line = delimiter.join("x" * len(columns)).encode() + b"\n"
    try:
        frame = pl.read_csv(
            width_line + member.content,
            has_header=False,
            separator=delimiter,
            quote_char=quote or None,
            infer_schema=False,
            truncate_ragged_lines=True,
            new_columns=columns,
        )
    except pl.exceptions.PolarsError as error:
        raise BadDataError(f"{member.name} cannot be parted into cells: {error}") from error
    blank = frame.select(pl.all_horizontal(pl.all().is_null()))
    is_row = ~blank.to_series()
    is_row[0] = False
    lines = is_row.arg_true().to_numpy().astype(np.int64)
    return frame.filter(is_row), lines


def _numbers(frame: pl.DataFrame, decimal: str, name: str) -> tuple[pl.DataFrame, list[str]]:
    """The cells with numbers written as a computer reads them, and notes."""
    columns = [c for c in frame.columns if c not in ("stamp", "time", "end", "side", "label")]
    sample = [cell for c in columns for cell in _odd(frame[c])]
    if not sample:
        return frame, []
    decimal = decimal or _decimal(sample, name)
    if decimal == ",":
        plain = pl.col(columns).str.replace_all(r"[.\s']", "").str.replace(",", ".", literal=True)
        return frame.with_columns(plain), ["decimal comma"]
    cells = pl.col(columns).str.strip_chars(" $€£")
    grouped = cells.str.contains(_GROUPED)
    plain = pl.when(grouped).then(cells.str.replace_all(r"[,' ]", "")).otherwise(cells)
    return frame.with_columns(plain), []


def _odd(column: pl.Series) -> list[str]:
    """Some of the cells that are no plain numbers."""
    failed = column.is_not_null() & column.cast(pl.Float64, strict=False).is_null()
    return column.filter(failed).str.strip_chars(" $€£").head(1_000).to_list()


def _decimal(sample: list[str], name: str) -> str:
    """Whether a comma is the decimal sign or parts thousands."""
    with_comma = [cell for cell in sample if re.fullmatch(r"[-+]?[\d.,' ]*,[\d.,' ]*", cell)]
    if not with_comma:
        return "."
    grouped = [cell for cell in with_comma if re.fullmatch(_GROUPED, cell)]
    if not grouped:
        return ","
    if any("." in cell or cell.count(",") > 1 for cell in grouped):
        return "."
    if len(grouped) < len(with_comma):
        return ","
    raise BadDataError(
        f"{name}: numbers like `{grouped[0]}` do not tell whether the comma is a decimal sign",
        hint="say it with --decimal , or --decimal .",
    )
