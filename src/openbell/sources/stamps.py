"""Reading stamps: text in any usual layout, dates, moments, or numbers counted from 1970.

Layouts are recognised from the stamps themselves. What cannot be decided from them (day or month
first) is an error that asks, never a guess.
"""

import re
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from openbell.market.columns import Ints
from openbell.market.errors import BadDataError

DATE_ORDERS = ("ymd", "dmy", "mdy")

_UNIT_NS = {10: 1_000_000_000, 13: 1_000_000, 16: 1_000, 19: 1}  # digits of a count today
_HELD = (datetime(1700, 1, 1), datetime(2250, 1, 1))  # noqa: DTZ001  # int64 ns reach 1678 to 2262
_DATES = {
    "compact": r"(?:19|20)\d{6}",
    "year first": r"\d{4}(?P<a>[-/.])\d{1,2}(?P=a)\d{1,2}",
    "numbers": r"\d{1,2}(?P<b>[-/.])\d{1,2}(?P=b)(?:\d{4}|\d{2})",
    "day, month name": r"\d{1,2}(?P<c>[- ])[A-Za-z]{3,9}(?P=c)(?:\d{4}|\d{2})",
    "month name, day": r"[A-Za-z]{3,9} \d{1,2},? \d{4}",
}
_TIME = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?: ?[AaPp][Mm])?|\d{6}|\d{4}"
_OFFSET = r"Z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2}"
_STAMP = {
    name: re.compile(rf"(?P<date>{date})(?:[T ]+(?P<time>{_TIME})(?P<offset> ?(?:{_OFFSET}))?)?")
    for name, date in _DATES.items()
}
_COUNT = re.compile(r"-?\d{9,10}(\.\d*)?|-?\d{13}|-?\d{16}|-?\d{19}")
_TIGHT = re.compile(r"(?:19|20)\d{10}(?:\d{2})?")


@dataclass(frozen=True, slots=True, eq=False)
class Stamps:
    """Stamps of a file, in its order.

    Attributes
    ----------
    local_ns : int64, shape (n,)
        What the stamp shows, as nanoseconds since 1970-01-01T00:00 on its own clocks; where it
        cannot be read, that of the first that can.
    offset_ns : int64, shape (n,)
        How far those clocks are ahead of UTC; 0 where the stamp does not say.
    is_placed : bool, shape (n,)
        Whether the stamp says how far they are.
    is_readable : bool, shape (n,)
    is_count
        Whether they are moments of UTC by nature: counts from 1970, typed moments.
    """

    local_ns: Ints
    offset_ns: Ints
    is_placed: NDArray[np.bool_]
    is_readable: NDArray[np.bool_]
    is_count: bool

    def reversed(self) -> "Stamps":
        """The same stamps, last first."""
        return Stamps(
            self.local_ns[::-1], self.offset_ns[::-1], self.is_placed[::-1],
            self.is_readable[::-1], self.is_count,
        )  # fmt: skip


def read_stamps(column: pl.Series, *, date_order: str = "", name: str = "the file") -> Stamps:
    """Read a column of stamps: text, dates, moments or counts.

    Parameters
    ----------
    date_order
        One of `DATE_ORDERS` for dates such as 03/04/2020; empty to tell from the data.
    name
        What messages call the file.

    Raises
    ------
    BadDataError
        If nothing tells whether the day or the month comes first, or the stamps are of no
        layout that is known.
    """
    kind = column.dtype
    if kind == pl.String:
        return _from_text(column.str.strip_chars(), date_order, name)
    if kind == pl.Date:
        return _stamps(column.cast(pl.Datetime("ns")))
    if isinstance(kind, pl.Datetime):
        if not kind.time_zone:
            return _stamps(column.cast(pl.Datetime("ns")))
        moments = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return _stamps(moments.cast(pl.Datetime("ns")), _zeros(column), is_count=True)
    if kind.is_numeric():
        return _from_counts(column, name)
    raise BadDataError(f"{name}: a column of {kind} holds no stamps")


def _stamps(local: pl.Series, offset: pl.Series | None = None, *, is_count: bool = False) -> Stamps:
    length = len(local)
    is_placed = np.zeros(length, np.bool_)
    offset_ns = np.zeros(length, np.int64)
    if offset is not None:
        is_placed = offset.is_not_null().to_numpy()
        offset_ns = offset.fill_null(0).to_numpy()
    readable = local.is_not_null().to_numpy()
    counts = local.to_physical()
    local_ns = counts.fill_null(counts.drop_nulls().first() or 0).to_numpy()
    return Stamps(local_ns, offset_ns, is_placed, readable, is_count)


def _from_counts(column: pl.Series, name: str) -> Stamps:
    """Counts of seconds to nanoseconds since 1970 UTC; the number of digits tells the unit."""
    known = column.drop_nulls()
    if not len(known):
        raise BadDataError(f"{name}: no row has a stamp")
    digits = len(str(abs(int(known[len(known) // 2]))))
    unit_ns = next((u for d, u in _UNIT_NS.items() if digits in (d - 1, d)), 0)
    if not unit_ns:
        raise BadDataError(f"{name}: stamps like {known[len(known) // 2]} are of no known unit")
    if column.dtype.is_float():
        whole = column.floor()
        rest = ((column - whole) * unit_ns).round()
        ns = whole.cast(pl.Int64, strict=False) * unit_ns + rest.cast(pl.Int64, strict=False)
    else:
        ns = column.cast(pl.Int64, strict=False) * unit_ns
    return _stamps(ns, _zeros(column), is_count=True)


def _zeros(column: pl.Series) -> pl.Series:
    return pl.repeat(0, len(column), dtype=pl.Int64, eager=True)


def _from_text(text: pl.Series, date_order: str, name: str) -> Stamps:
    sample = text.drop_nulls().head(50).to_list()
    if any(_TIGHT.fullmatch(item) for item in sample):
        text = text.str.replace(r"^(\d{8})(\d{4,6})$", "${1} ${2}")
        sample = text.drop_nulls().head(50).to_list()
    elif sum(bool(_COUNT.fullmatch(item)) for item in sample) * 2 > len(sample):
        return _from_counts(_counts(text), name)
    first = _layout(sample)
    if first is None:
        shown = f" like `{sample[0]}`" if sample else ""
        raise BadDataError(
            f"{name}: stamps{shown} are of no known layout",
            hint="name the column that holds the stamps, or write them as 2011-03-14 09:30:00",
        )
    if first == "numbers":
        date_order = date_order or _decide_order(text, name)
    return _by_layouts(text, first, date_order)


def _counts(text: pl.Series) -> pl.Series:
    """Text of counts as Int64 in the finest unit written; decimals become nanoseconds, exactly."""
    if not text.str.contains(".", literal=True).any():
        return text.cast(pl.Int64, strict=False)
    whole = text.str.extract(r"^(-?\d+)", 1).cast(pl.Int64, strict=False)
    rest = text.str.extract(r"^-?\d+\.?(\d*)$", 1).str.pad_end(9, "0").str.slice(0, 9)
    return whole * 1_000_000_000 + rest.cast(pl.Int64, strict=False)


def _layout(sample: list[str]) -> str | None:
    """The layout of date most of a sample has; None if no stamp of it is known."""
    found = [n for item in sample for n, p in _STAMP.items() if p.fullmatch(item)]
    return max(sorted(set(found)), key=found.count) if found else None


def _by_layouts(text: pl.Series, date: str, date_order: str) -> Stamps:
    """Read stamps whose dates look alike but whose times may differ in length."""
    local = pl.repeat(None, len(text), dtype=pl.Datetime("ns"), eager=True)
    offset = pl.repeat(None, len(text), dtype=pl.Int64, eager=True)
    tried: set[str] = set()
    for _ in range(8):
        left = text.filter(local.is_null() & text.is_not_null()).head(50).to_list()
        matches = (_STAMP[date].fullmatch(item) for item in left)
        layouts = {_format(m, date, date_order): m for m in matches if m}
        untried = [f for f in layouts if f not in tried]
        if not untried:
            break
        tried.add(untried[0])
        read, shift = _read(text, untried[0], layouts[untried[0]])
        if shift is not None:
            offset = pl.select(pl.when(local.is_null()).then(shift).otherwise(offset)).to_series()
        local = local.fill_null(read) if local.null_count() < len(local) else read
    return _stamps(local, offset)


def _read(text: pl.Series, layout: str, match: re.Match[str]) -> tuple[pl.Series, pl.Series | None]:
    shift = None
    if match["offset"]:
        pattern = rf"\s?({_OFFSET})$"
        shift = _offsets(text.str.extract(pattern, 1))
        text = text.str.replace(pattern, "")
    if "%p" in layout:
        text = text.str.replace(r" ?([AaPp][Mm])$", " $1")
    text = text.str.replace("T", " ", literal=True) if _has_t(match) else text
    text = text.str.replace(",", ".", literal=True) if "%.f" in layout else text
    return _datetimes(text, layout), shift


def _datetimes(text: pl.Series, layout: str) -> pl.Series:
    """Moments to the nanosecond; null where the text is none, or of a year int64 cannot hold."""
    coarse = text.str.to_datetime(layout, strict=False, time_unit="us")
    held = coarse.set(~coarse.is_between(*_HELD).fill_null(value=False), None)
    if "%.f" not in layout:
        return held.cast(pl.Datetime("ns"))
    fine = text.str.to_datetime(layout, strict=False, time_unit="ns")
    return fine.set(held.is_null(), None)


def _has_t(match: re.Match[str]) -> bool:
    return (
        match["time"] is not None and "T" in match.string[match.end("date") : match.start("time")]
    )


def _offsets(written: pl.Series) -> pl.Series:
    """Nanoseconds ahead of UTC; null where nothing is written."""
    known = {text: _offset_ns(text) for text in written.drop_nulls().unique().to_list()}
    return written.replace_strict(known, default=None, return_dtype=pl.Int64)


def _offset_ns(text: str) -> int:
    if text in ("Z", "UTC", "GMT"):
        return 0
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    return (1 if text[0] == "+" else -1) * (hours * 60 + minutes) * 60_000_000_000


def _format(match: re.Match[str], date: str, date_order: str) -> str:
    """The strptime format of a stamp: for ``03/04/2020 9:30`` it is ``%m/%d/%Y %H:%M``."""
    layout = _date_format(match["date"], date, date_order)
    shown = match["time"]
    if shown is None:
        return layout
    if ":" not in shown:
        return layout + (" %H%M%S" if len(shown) == 6 else " %H%M")
    is_half_day = shown[-1] in "mM"
    time = ":".join(["%I" if is_half_day else "%H", "%M", "%S"][: shown.count(":") + 1])
    time += "%.f" if "." in shown or "," in shown else ""
    return f"{layout} {time}{' %p' if is_half_day else ''}"


def _date_format(shown: str, date: str, date_order: str) -> str:
    if date == "compact":
        return "%Y%m%d"
    if date == "month name, day":
        return "%b %d, %Y" if "," in shown else "%b %d %Y"
    separator = next(sign for sign in shown if not sign.isalnum())
    if date == "year first":
        parts = ["%Y", "%m", "%d"]
    else:
        year = "%Y" if len(shown.split(separator)[2]) == 4 else "%y"
        codes = {"d": "%d", "m": "%m", "y": year}
        parts = [codes[part] for part in (date_order if date == "numbers" else "dmy")]
        parts[1] = "%b" if date == "day, month name" else parts[1]
    return separator.join(parts)


def _decide_order(text: pl.Series, name: str) -> str:
    """Whether the day or the month comes first, from numbers that can be no month."""
    numbers = text.str.extract_groups(r"^(\d{1,2})[-/.](\d{1,2})[-/.]").struct.unnest()
    first, second = (numbers[c].cast(pl.Int64, strict=False) for c in numbers.columns)
    day_first, month_first = int((first > 12).sum()), int((second > 12).sum())
    if bool(day_first) == bool(month_first):
        why = "several fit both ways only" if not day_first else "some fit one way, some the other"
        example = text.drop_nulls()[0]
        raise BadDataError(
            f"{name}: the dates do not tell whether day or month comes first, for instance "
            f"`{example}` ({why})",
            hint="say it with --date-order dmy or --date-order mdy",
        )
    return "dmy" if day_first else "mdy"
