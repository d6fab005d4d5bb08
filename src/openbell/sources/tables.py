"""From a table with recognised columns to clean bars, trades or quotes of one series."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from openbell.market.bars import Bars
from openbell.market.clean import Mask, check_spacing, clean, is_newest_first
from openbell.market.columns import Floats, Ints
from openbell.market.errors import BadDataError
from openbell.market.instrument import Series
from openbell.market.moments import DAY_NS, iso
from openbell.market.spans import dated_spans
from openbell.market.ticks import Quotes, Trades
from openbell.market.zones import to_utc
from openbell.ports import Data, Parsed, Rejected
from openbell.sources.column_names import find_columns, kind_of
from openbell.sources.stamps import Stamps, read_stamps

_SIDES = {"buy": 1, "b": 1, "bought": 1, "1": 1, "sell": -1, "s": -1, "sold": -1, "-1": -1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a table is to be read.

    Attributes
    ----------
    series
        What the rows belong to.
    zone
        IANA zone of the clocks the stamps were read from; empty when they say it themselves.
    is_close_stamped
        Whether bars are named by their end, and not by their start.
    date_order
        One of `stamps.DATE_ORDERS`, or empty to tell from the data.
    checks_spacing
        Whether bars too close or too far apart for their timeframe are an error.
    price_unit
        What one in a price cell is worth: prices are divided by it.
    """

    series: Series
    zone: str = ""
    is_close_stamped: bool = False
    date_order: str = ""
    checks_spacing: bool = True
    price_unit: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows of a file under our names for the columns, in the order of the file.

    Attributes
    ----------
    name
        Of the file, for reports.
    frame
        Columns ``stamp`` and those of the kind, as they came. An ``end`` beside a typed
        ``stamp`` says what each bar covers; without one it follows from the timeframe.
    rows : int64, shape (n,)
        Where each row stands in the file, counted as its editor counts lines or rows, from 1.
    refused
        Rules broken, by position in the frame, of rows that cannot be read.
    notes
        What was decided about the file so far.
    """

    name: str
    frame: pl.DataFrame
    rows: Ints
    refused: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def parse_frame(
    name: str, frame: pl.DataFrame, given: Mapping[str, str], reading: Reading
) -> Parsed:
    """Clean rows of a typed table whose columns are recognised by their names.

    Our own exports say what each bar covers (``end``) and what is known of each row (``label``).

    Parameters
    ----------
    name
        Of the file, for reports.
    given
        Our name of a column → its name, where the usual spellings do not fit.

    Raises
    ------
    UsageError, BadDataError
        As `find_columns` and `parse_table`.
    """
    names, kind = frame.columns, kind_of(reading.series)
    found = find_columns(names, kind, given, file=name)
    found |= {ours: ours for ours in ("end", "label") if ours in names and kind == "bars"}
    unused = [column for column in names if column not in found.values()]
    notes = (f"columns not taken: {', '.join(unused)}",) if unused else ()
    frame = frame.select(pl.col(column).alias(ours) for ours, column in found.items())
    return parse_table(Table(name, frame, np.arange(1, len(frame) + 1), notes=notes), reading)


def parse_table(table: Table, reading: Reading) -> Parsed:
    """Clean rows of a table: placed in time, checked, in order, labelled.

    Raises
    ------
    BadDataError
        If the stamps need a zone and none is given, the bars do not fit their timeframe, or not
        one row can be taken.
    """
    stamps = _stamps(table, reading)
    notes = list(table.notes)
    if is_newest_first(stamps.local_ns[stamps.is_readable]):
        notes.append("newest row first; turned around")
        last = len(table.rows) - 1
        refused = {last - row: rule for row, rule in table.refused.items()}
        table = replace(table, frame=table.frame.reverse(), rows=table.rows[::-1], refused=refused)
        stamps = stamps.reversed()
    raw = _Raw(table, reading, stamps, dict(table.refused), notes)
    for row in np.flatnonzero(~stamps.is_readable).tolist():
        raw.refused.setdefault(row, raw.stamp_fault(row))
    if reading.series.is_bars:
        return _parsed(raw, _bars(raw))
    return _parsed(raw, _trades(raw) if reading.series.kind == "trades" else _quotes(raw))


@dataclass(frozen=True, slots=True, eq=False)
class _Raw:
    """A table on its way to rows: `refused` and `notes` grow."""

    table: Table
    reading: Reading
    stamps: Stamps
    refused: dict[int, str]
    notes: list[str]

    def stamp_fault(self, row: int) -> str:
        shown = self.table.frame["stamp"][row]
        return "the stamp is missing" if shown is None else f"`{shown}` is no stamp of the layout"

    def numbers(self, name: str, *, optional: bool = False, may_lack: Mask | None = None) -> Floats:
        """A column as floats; where a cell is empty or no number, NaN, and the row is refused.

        An optional one that is absent, or has no value at all, is 0 throughout, and noted. Rows
        in `may_lack` are not refused for an empty cell.
        """
        frame = self.table.frame
        words = name.replace("_", " ")
        if optional and (name not in frame.columns or _is_void(frame[name])):
            self.notes.append(f"no {words}; taken as 0")
            return np.zeros(len(frame))
        column = frame[name]
        floats = column.cast(pl.Float64, strict=False)
        failed = floats.is_null().to_numpy()
        if may_lack is not None:
            failed = failed & ~(may_lack & column.is_null().to_numpy())
        for row in np.flatnonzero(failed).tolist():
            shown = column[row]
            fault = "is missing" if shown in (None, "") else f"`{shown}` is no number"
            self.refused.setdefault(row, f"{words} {fault}")
        return floats.fill_null(float("nan")).to_numpy()

    def prices(self, name: str, *, may_lack: Mask | None = None) -> Floats:
        """A column of prices, as `numbers`."""
        return self.numbers(name, may_lack=may_lack) / self.reading.price_unit


def _is_void(column: pl.Series) -> bool:
    if column.dtype.is_float():
        column = column.fill_nan(None)
    return len(column) > 0 and column.null_count() == len(column)


def _stamps(table: Table, reading: Reading) -> Stamps:
    column = table.frame["stamp"]
    if "time" in table.frame.columns:
        time = table.frame["time"]
        text = column.cast(pl.String).str.strip_chars()
        column = text + " " + time.cast(pl.String).str.strip_chars()
    return read_stamps(column, date_order=reading.date_order, name=table.name)


def _bars(raw: _Raw) -> Bars:
    start_ns, end_ns, label = _placed(raw)
    prices = {name: raw.prices(name) for name in ("open", "high", "low", "close")}
    volume = raw.numbers("volume", optional=True)
    if "label" in raw.table.frame.columns:
        label = label | raw.table.frame["label"].cast(pl.Int64).to_numpy()
    return Bars(raw.reading.series, start_ns, end_ns, **prices, volume=volume, label=label)


def _placed(raw: _Raw) -> tuple[Ints, Ints, Ints]:
    """Starts, ends and labels of bars."""
    width = raw.reading.series.timeframe
    place = raw.reading.series.instrument.place
    no_label = np.zeros(len(raw.table.frame), np.int64)
    if "end" in raw.table.frame.columns:
        ends = read_stamps(raw.table.frame["end"], name=raw.table.name)
        return _moments(raw), _moments(replace(raw, stamps=ends)), no_label
    if not width.is_intraday:
        spans = dated_spans(_days(raw), width, place)
        if spans.unknown:
            raw.notes.append(
                f"{spans.unknown:,} dates before or after the years {place.calendar} knows"
            )
        return spans.start_ns, spans.end_ns, spans.label
    start_ns = _moments(raw)
    if raw.reading.is_close_stamped:
        raw.notes.append("stamps moved from close to start")
        start_ns = start_ns - width.width_ns
    return start_ns, start_ns + width.width_ns, no_label


def _days(raw: _Raw) -> Ints:
    """The dates that name bars of a day and more, as days since 1970-01-01.

    The date as it is written, whatever its offset. Counts and typed moments have no writing:
    midnight UTC stands for that date, any other moment for its date at the venue.
    """
    stamps = raw.stamps
    place = raw.reading.series.instrument.place
    days = stamps.local_ns // DAY_NS
    at_midnight = stamps.local_ns % DAY_NS == 0
    if stamps.is_count and not at_midnight.all():
        zone = raw.reading.zone or place.zone
        raw.notes.append(f"dates are those of {zone}")
        shown = _shown(stamps.local_ns, zone) // DAY_NS
        days = np.where(at_midnight, days, shown)
    if raw.reading.is_close_stamped and place.anchor == "epoch":
        raw.notes.append("stamps moved from close to start")
        days = np.where(at_midnight, days - raw.reading.series.timeframe.width_ns // DAY_NS, days)
    return days


def _shown(utc_ns: Ints, zone: str) -> Ints:
    """What the clocks of a zone show at moments of UTC, to the second."""
    moments = pl.Series(utc_ns).cast(pl.Datetime("ns", "UTC")).dt.convert_time_zone(zone)
    shown: Ints = moments.dt.replace_time_zone(None).to_physical().to_numpy()
    return shown


def _moments(raw: _Raw) -> Ints:
    """The stamps as moments of UTC; rows whose stamp the clocks never showed are refused."""
    stamps, zone = raw.stamps, raw.reading.zone
    naive = stamps.is_readable & ~stamps.is_placed
    if not naive.any():
        if zone not in ("", "UTC"):
            raw.notes.append(f"stamps carry their own offset from UTC; zone {zone} not needed")
        return stamps.local_ns - stamps.offset_ns
    if not zone:
        raise BadDataError(
            f"{raw.table.name}: stamps like `{iso(int(stamps.local_ns[naive][0]))[:-1]}` do not "
            "say their time zone",
            hint="say it: --zone America/New_York, or --zone UTC",
        )
    raw.notes.append(f"stamps read on the clocks of {zone}")
    moments = to_utc(stamps.local_ns, zone)
    for row in np.flatnonzero(moments.is_skipped & naive).tolist():
        shown = iso(int(stamps.local_ns[row]))[:-1]
        raw.refused.setdefault(row, f"the clocks of {zone} skip {shown}")
    if twice := int((moments.is_repeated & naive).sum()):
        raw.notes.append(
            f"{twice:,} stamps in an hour the clocks show twice: taken for the first pass until "
            "they step back"
        )
    return np.where(naive, moments.utc_ns, stamps.local_ns - stamps.offset_ns)


def _trades(raw: _Raw) -> Trades:
    time_ns = _moments(raw)
    price, size = raw.prices("price"), raw.numbers("size")
    return Trades(raw.reading.series, time_ns, price, size, _side(raw), _no_label(raw))


def _side(raw: _Raw) -> Ints:
    if "side" not in raw.table.frame.columns:
        raw.notes.append("no side; taken as unknown")
        return np.zeros(len(raw.table.frame), np.int32)
    words = raw.table.frame["side"].cast(pl.String).str.strip_chars().str.to_lowercase()
    side = words.replace_strict(_SIDES, default=0, return_dtype=pl.Int32)
    if strange := sorted(set(words.drop_nulls().unique().to_list()) - set(_SIDES)):
        raw.notes.append(f"side not understood, taken as unknown: {', '.join(strange[:5])}")
    return side.to_numpy()


def _quotes(raw: _Raw) -> Quotes:
    """Quotes; a side without a price is not quoted, its size is 0."""
    time_ns = _moments(raw)
    sides: dict[str, Floats] = {}
    for side in ("bid", "ask"):
        absent = raw.table.frame[side].is_null().to_numpy()
        sides[side] = raw.prices(side, may_lack=absent)
        size = raw.numbers(f"{side}_size", optional=True, may_lack=absent)
        sides[f"{side}_size"] = np.where(absent, 0.0, size)
    return Quotes(raw.reading.series, time_ns, **sides, label=_no_label(raw))


def _no_label(raw: _Raw) -> Ints:
    return np.zeros(len(raw.table.frame), np.int32)


def _parsed(raw: _Raw, data: Data) -> Parsed:
    name = raw.table.name
    cleaned = clean(data, raw.refused)
    rejected = tuple(
        sorted(
            (
                Rejected(name, int(raw.table.rows[at]), rule)
                for at, rule in cleaned.rejected.items()
            ),
            key=lambda one: one.row,
        )
    )
    if len(data) and not len(cleaned.data):
        raise BadDataError(
            f"{name}: no row of {len(data):,} can be taken; row {rejected[0].row:,}: "
            f"{rejected[0].rule}",
            hint="say how the file is written: delimiter, columns, date order, decimal",
        )
    if isinstance(cleaned.data, Bars) and raw.reading.checks_spacing:
        check_spacing(name, cleaned.data.start_ns, raw.reading.series.timeframe)
    return Parsed(
        cleaned.data, name, len(data), cleaned.repeated, cleaned.conflicting, cleaned.unordered,
        rejected, tuple(raw.notes),
    )  # fmt: skip
