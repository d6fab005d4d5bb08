"""The lake as a person holds it: bring data in, look at it, name it, take it out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from openbell.app import wiring
from openbell.app.ranges import bounds
from openbell.app.settings import Settings, settings
from openbell.app.wiring import FileOptions
from openbell.app.writing import writing
from openbell.market.bars import Bars
from openbell.market.calendars import calendar
from openbell.market.columns import Columns
from openbell.market.errors import NotRecordedError, UsageError
from openbell.market.instrument import Pin, Series
from openbell.market.moments import DAY_NS
from openbell.market.progress import CancelToken, Progress, silent
from openbell.market.ticks import Quotes, Trades
from openbell.ports import Data, Diff, Manifest, SeriesInfo, Store, Version
from openbell.quality.check import check as check_bars
from openbell.quality.completeness import completeness
from openbell.quality.placed import place
from openbell.quality.report import QualityReport
from openbell.recording.importing import ImportReport, import_files

C = TypeVar("C", bound=Columns)
Paths = Path | str | Sequence[Path | str]


def open_lake(folder: Path | str | None = None) -> "Lake":
    """The lake in a folder, which is made when something is stored in it.

    Parameters
    ----------
    folder
        ``OPENBELL_LAKE``, else ``lake``, when left out. ``":memory:"`` leaves nothing behind.

    Raises
    ------
    StoreError
        If the folder holds something else than a lake.
    """
    chosen = settings(lake=folder)
    wiring.use_calendar_cache(chosen.cache)
    if folder == ":memory:":
        return Lake(wiring.open_memory(), chosen, in_memory=True)
    return Lake(wiring.open_lake(chosen.lake), chosen)


class Lake:
    """Every version of every series, in one place.

    A `ref` names a version of a series: ``XNYS:SPY/1m`` (the newest), ``XNYS:SPY/1m@3``, or a
    name given with `pin`. Ranges are half-open; their bounds are session labels
    (``2011-03-14``), or moments (``2011-03-14T14:30Z``; UTC without an offset).

    Attributes
    ----------
    store
        The store behind it.
    settings
        What it was opened with.
    """

    def __init__(self, store: Store, chosen: Settings, *, in_memory: bool = False) -> None:
        self.store = store
        self.settings = chosen
        self._in_memory = in_memory

    # In

    def import_file(
        self,
        path: Paths,
        *,
        max_rejected: int = 0,
        dry_run: bool = False,
        progress: Progress = silent,
        cancel: CancelToken | None = None,
        **options: Any,
    ) -> ImportReport:
        """Store what files hold: all of them, or nothing if one cannot be taken.

        Doing it again changes nothing.

        Parameters
        ----------
        path
            A file, an archive, a folder, or several.
        max_rejected
            How many rows may be left out because they cannot be taken.
        dry_run
            Only say what would be stored.
        options
            What the files do not say themselves, as in `wiring.FileOptions`: ``series``,
            ``zone``, ``stamp="close"``, ``format``, ``columns``, ``symbols``, …

        Raises
        ------
        UsageError
            If something is missing that the files do not say.
        BadDataError
            If a file cannot be read, or too many rows cannot be taken.
        """
        paths = [Path(path)] if isinstance(path, Path | str) else [Path(one) for one in path]
        source = wiring.file_source(paths, _file_options(options))
        return import_files(
            source,
            self._for_writing(dry_run=dry_run),
            max_rejected=max_rejected,
            dry_run=dry_run,
            progress=progress,
            cancel=cancel,
        )

    def import_folder(self, path: Paths, **options: Any) -> ImportReport:
        """Store what a folder holds, at any depth; as `import_file`."""
        return self.import_file(path, **options)

    def write(self, table: Any, series: str = "", **options: Any) -> Version:
        """Store a table in memory.

        Parameters
        ----------
        table
            `Bars`, `Trades` or `Quotes`; a pandas or polars data frame; anything with
            ``__arrow_c_stream__``. Columns are recognised by their usual names; a pandas index of
            moments counts as one.
        series
            What the rows are; not needed for `Bars`, `Trades` and `Quotes`.
        options
            ``zone``, ``stamp``, ``columns`` as for files.

        Raises
        ------
        BadDataError
            If a row cannot be taken.
        """
        if isinstance(table, Bars | Trades | Quotes):
            data = table.renamed(Series.parse(series)) if series else table
            return self._for_writing().write(data, Manifest("write"))
        if not series:
            raise UsageError(
                "a table does not say what its rows are", hint='name it: series="XNYS:SPY/1m"'
            )
        source = wiring.frame_source(_frame(table), Series.parse(series), _file_options(options))
        report = import_files(source, self._for_writing()).series[0]
        if report.version is None:
            raise UsageError("the table has no rows", hint="look at what was read into it")
        return report.version

    def _for_writing(self, *, dry_run: bool = False) -> Store:
        """The store, made if need be; where there is none, a dry run is given one in memory."""
        if not self.is_there and dry_run:
            return wiring.open_memory()
        if not self.is_there:
            wiring.make_lake(self.settings.lake)
        return self.store

    @property
    def is_there(self) -> bool:
        """Whether there is anything behind it yet."""
        return self._in_memory or (self.settings.lake / "lake.json").exists()

    # Out

    def bars(self, ref: str, start: str = "", end: str = "") -> Bars:
        """Bars of a range, as columns; with `to_polars` and `to_pandas`."""
        return self._read(ref, start, end, Bars)

    def trades(self, ref: str, start: str = "", end: str = "") -> Trades:
        """Trades of a range, as columns."""
        return self._read(ref, start, end, Trades)

    def quotes(self, ref: str, start: str = "", end: str = "") -> Quotes:
        """Quotes of a range, as columns."""
        return self._read(ref, start, end, Quotes)

    def read(self, ref: str, start: str = "", end: str = "") -> Data:
        """Rows of a range, of whatever the ref names."""
        pin = self.store.resolve(ref)
        return self.store.read(pin, *bounds(pin.series.instrument, start, end))

    def export(
        self, ref: str, path: Path | str, start: str = "", end: str = "", *, force: bool = False
    ) -> int:
        """Write rows of a range into a Parquet, CSV or feather file; give their number.

        Raises
        ------
        UsageError
            If the file is there already (unless `force`), or its name ends in something else.
        """
        file = Path(path)
        writers = {".parquet": "write_parquet", ".csv": "write_csv", ".feather": "write_ipc"}
        if file.suffix not in writers:
            raise UsageError(
                f"`{file}` does not say what to write", hint=f"end it in {', '.join(writers)}"
            )
        if file.exists() and not force:
            raise UsageError(f"{file} is there already", hint="write over it with --force")
        data = self.read(ref, start, end)
        with writing(file):
            getattr(data.to_polars(), writers[file.suffix])(file)
        return len(data)

    def _read(self, ref: str, start: str, end: str, wanted: type[C]) -> C:
        data = self.read(ref, start, end)
        if not isinstance(data, wanted):
            raise UsageError(
                f"{data.series} holds {type(data).__name__.lower()}",
                hint=f"ask for lake.{type(data).__name__.lower()}(...)",
            )
        return data

    # About

    def series(self) -> list[SeriesInfo]:
        """What is stored of each series, at its newest version, in order."""
        return [self.store.info(self.store.resolve(str(s))) for s in self.store.list_series()]

    def check(self, ref: str, start: str = "", end: str = "", *, hours: str = "") -> QualityReport:
        """How good the bars of a range are; trades, quotes and daily bars that are stored testify.

        Parameters
        ----------
        hours
            ``extended`` to expect bars before the open and after the close, too.
        """
        pin = self.store.resolve(ref)
        if not pin.series.is_bars:
            raise UsageError(
                f"{pin.series} holds {pin.series.kind}, and only bars can be checked",
                hint="check bars of the instrument; its trades and quotes then testify",
            )
        span = bounds(pin.series.instrument, start, end)
        bars = self._read(str(pin), start, end, Bars)
        return check_bars(
            bars,
            **self._evidence(pin.series, bars),
            extended=hours == "extended",
            start_ns=span[0] if start else None,
            end_ns=span[1] if end else None,
            pin=f"@{pin.version}",
        )

    def completeness(self, ref: str) -> float | None:
        """Bars present ÷ bars expected from the first session to the last; None for ticks."""
        pin = self.store.resolve(ref)
        if not pin.series.is_bars:
            return None
        bars = self._read(str(pin), "", "", Bars)
        at = pin.series.instrument.place
        placed = place(bars, calendar(at.calendar), at.anchor, (None, None), extended=False)
        present = placed.grid.marked(placed.cell[placed.usable])
        return completeness(int(present.sum()), int(placed.grid.expected.sum()))

    def _evidence(self, series: Series, bars: Bars) -> dict[str, Any]:
        """What else is stored of the instrument over the same time."""
        at, kind = series.instrument, series.kind
        others = {"trades": Series(at, "trades"), "quotes": Series(at, "quotes")}
        if series.price in ("bid", "ask"):
            others["other_side"] = Series(at, kind, "ask" if series.price == "bid" else "bid")
        if series.timeframe.is_intraday and series.price == "trade":
            others["daily"] = Series(at, "1d")
        known = set(self.store.list_series()) if len(bars) else set()
        if others["quotes"] not in known and series.price == "trade":
            others["quotes"] = Series(at, kind, "bid")
        return {
            name: self._over(other, bars, whole_sessions=name == "daily")
            for name, other in others.items()
            if other in known
        }

    def _over(self, series: Series, bars: Bars, *, whole_sessions: bool) -> Data:
        first, last = int(bars.start_ns[0]), int(bars.end_ns[-1])
        if whole_sessions:  # a daily bar starts before the first bar that is looked at
            first -= DAY_NS
        return self.store.read(self.store.resolve(str(series)), first, last)

    def diff(self, before: str, after: str) -> Diff:
        """What changed between two versions of one series, as rows."""
        return self.store.diff(self.store.resolve(before), self.store.resolve(after))

    def pin(self, name: str, ref: str) -> Pin:
        """Name a version, so that it never expires."""
        pin = self.store.resolve(ref)
        self.store.pin(name, pin)
        return pin

    def pins(self) -> Mapping[str, Pin]:
        """All names given with `pin`."""
        return self.store.pins()

    def playable(self, name: str) -> str:
        """The ref itself; for a bare instrument, or its symbol, its finest bars of trades.

        Raises
        ------
        NotRecordedError
            If no bars of the instrument are stored.
        UsageError
            If a symbol is stored of several venues.
        """
        if "/" in name or name in self.store.pins():
            return name
        name = name if ":" in name else self._of_symbol(name)
        if ":" not in name:
            return name  # nothing is called so, as whoever resolves it says
        known = [s for s in self.store.list_series() if str(s.instrument) == name]
        found = [s for s in known if s.is_bars and s.price == "trade"]
        if not found and known:
            raise NotRecordedError(
                f"{name} has no bars of trades", hint=f"name one of {', '.join(map(str, known))}"
            )
        if not found:
            near = ", ".join(self._instruments(name.partition(":")[2]))
            raise NotRecordedError(
                f"no bars of {name} are stored",
                hint=f"is {near} meant?" if near else "see what there is: openbell data list",
            )
        return str(min(found, key=lambda s: s.timeframe.width_ns or 2**63))

    def _of_symbol(self, symbol: str) -> str:
        """The only stored instrument with a symbol; the symbol itself if there is none."""
        found = self._instruments(symbol)
        if len(found) > 1:
            raise UsageError(
                f"{symbol} is stored of several venues: {', '.join(found)}",
                hint="write the one that is meant",
            )
        return found[0] if found else symbol

    def _instruments(self, symbol: str) -> list[str]:
        """The stored instruments with a symbol, in order."""
        known = dict.fromkeys(s.instrument for s in self.store.list_series())
        return [str(instrument) for instrument in known if instrument.symbol == symbol]

    def __repr__(self) -> str:
        known = self.store.list_series() if self.is_there else ()
        return f"Lake({str(self.settings.lake)!r}): {', '.join(map(str, known)) or 'empty'}"


def check(bars: Bars, **evidence: Any) -> QualityReport:
    """How good some bars are: completeness, gaps with reasons, findings; see `quality.check`."""
    wiring.use_calendar_cache(settings().cache)
    return check_bars(bars, **evidence)


def _file_options(options: Mapping[str, Any]) -> FileOptions:
    try:
        return FileOptions(**options)
    except TypeError:
        known = list(FileOptions.__dataclass_fields__)
        unknown = [name for name in options if name not in known]
        raise UsageError(
            f"unknown options: {', '.join(unknown)}", hint=f"known are {', '.join(known)}"
        ) from None


def _frame(table: Any) -> Any:
    """A polars frame of any table; pandas frames need no pyarrow."""
    import polars as pl

    if isinstance(table, pl.DataFrame):
        return table
    if type(table).__module__.partition(".")[0] == "pandas":
        return _from_pandas(table)
    if not hasattr(table, "__arrow_c_stream__"):
        raise UsageError(
            f"a {type(table).__name__} is no table",
            hint="give Bars, a pandas or polars data frame, or an Arrow table",
        )
    return pl.DataFrame(table)


def _from_pandas(frame: Any) -> Any:
    import polars as pl

    has_names = frame.index.name is not None or "datetime" in str(frame.index.dtype)
    flat = frame.rename_axis(frame.index.name or "date").reset_index() if has_names else frame
    columns = {}
    for name in flat.columns:
        column = flat[name]
        if "datetime" not in str(column.dtype):
            is_number = column.dtype.kind in "iuf"
            columns[str(name)] = pl.Series(column.to_numpy() if is_number else column.to_list())
            continue
        is_placed = column.dt.tz is not None
        plain = column.dt.tz_convert("UTC").dt.tz_localize(None) if is_placed else column
        stamps = pl.Series(plain.to_numpy("datetime64[ns]"))
        columns[str(name)] = stamps.dt.replace_time_zone("UTC") if is_placed else stamps
    return pl.DataFrame(columns)
