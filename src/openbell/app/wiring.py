"""What the system is made of: the only module that names adapters."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from openbell.market import calendars
from openbell.market.errors import UsageError
from openbell.market.instrument import Series
from openbell.ports import (
    FileSource,
    LiveSource,
    ReadStore,
    RecordingStore,
    Refill,
    RunStore,
    Store,
)

if TYPE_CHECKING:
    import polars as pl

    from openbell.backtest.config import RunConfig
    from openbell.backtest.engines.pybroker_run import PyBrokerRun
    from openbell.backtest.strategy import Strategy

Format = Literal["", "csv", "parquet", "lean", "freqtrade"]
FORMATS: tuple[Format, ...] = ("csv", "parquet", "lean", "freqtrade")

_LEAN_FOLDERS = {"equity", "forex", "crypto", "cryptofuture", "future", "index", "cfd"}
_LEAN_NAME = re.compile(r"(\d{8}_)?([\w.-]+_)?(trade|quote)\.zip")
_FREQTRADE_NAME = re.compile(
    r"[A-Za-z0-9_.]+-(\d+[smhdwM](-\w+)?|trades)\.(feather|json|json\.?gz)"
)
_TABLES = (".parquet", ".pq", ".feather", ".arrow", ".ipc")


def now_ns() -> int:
    """The wall clock, nanoseconds since 1970-01-01 UTC."""
    return time.time_ns()


def use_calendar_cache(folder: Path) -> None:
    """Keep session tables in a folder from now on."""
    from openbell.app.calendar_cache import FileTableCache

    calendars.set_cache(FileTableCache(folder / "calendars"))


def open_lake(folder: Path) -> Store:
    """The store on disk; its folder is made by the first write."""
    from openbell.stores.lake import Lake

    return Lake(folder, now_ns)


def make_lake(folder: Path) -> None:
    """Make an empty lake in a folder; nothing happens if it is one."""
    from openbell.stores.lake import Lake

    Lake(folder, now_ns).create()


def open_memory() -> Store:
    """A store that leaves nothing behind."""
    from openbell.stores.memory import MemoryStore

    return MemoryStore(now_ns)


def open_runs(folder: Path) -> RunStore:
    """The folder of finished runs; made by the first one saved."""
    from openbell.stores.runs import RunFolder

    return RunFolder(folder)


def open_recordings(folder: Path) -> RecordingStore:
    """The folder of recordings; made by the first one."""
    from openbell.stores.recordings import RecordingFolder

    return RecordingFolder(folder)


def refill(url: str, now: Callable[[], int]) -> Refill:
    """What fetches bars again that did not come live, from an address; see `live_source`."""
    from openbell.sources.binance_bars import BinanceBars

    return BinanceBars(url, now)


def live_source(url: str, series: Sequence[Series], now: Callable[[], int]) -> LiveSource:
    """What brings series live from an address.

    Parameters
    ----------
    now
        What time it is, for items that do not say theirs.

    Raises
    ------
    UsageError
        If nothing of ours speaks to such an address, or not of such series.
    """
    scheme = url.partition("://")[0]
    if scheme == "tcp":
        from openbell.sources.line_feed import LineFeed

        return LineFeed(url, series)
    if scheme in ("ws", "wss"):
        from openbell.sources.binance_stream import BinanceStream

        return BinanceStream(url, series, now)
    raise UsageError(
        f"nothing is known to record from at `{url}`",
        hint="use tcp://host:port, or wss://stream.binance.com:9443",
    )


NODE_SUFFIXES = (".js", ".cjs", ".mjs")


def node_strategy(path: Path, name: str, **changes: Any) -> "type[Strategy]":
    """The class of a strategy in a Node file, run over the Redis of this process's settings.

    Parameters
    ----------
    changes
        To the `Setup` that the settings give.
    """
    from openbell.app.settings import settings
    from openbell.bridge.link import Setup
    from openbell.bridge.remote import remote_strategy

    here = settings()
    setup = Setup(**{"redis_url": here.redis_url, "cache": here.cache, **changes})
    return remote_strategy(path, name, setup)


def need_bridge(redis_url: str) -> None:
    """Raise now what a run with a Node strategy would only find at its start.

    Parameters
    ----------
    redis_url
        Empty for the one of the settings, or a private one.

    Raises
    ------
    MissingExtraError, UnavailableError
        If Node or a Redis is missing.
    UsageError
        If the URL is none.
    """
    from openbell.app.settings import settings
    from openbell.bridge.node import find_node
    from openbell.bridge.redis_server import connect, find_binary

    find_node()
    if url := redis_url or settings().redis_url:
        connect(url).close()
    else:
        find_binary()


def run_in_pybroker(strategy: "Strategy", config: "RunConfig", store: ReadStore) -> "PyBrokerRun":
    """A run in PyBroker instead of the native engine.

    Raises
    ------
    MissingExtraError
        If PyBroker is not installed.
    """
    from openbell.backtest.engines.pybroker_run import run_in_pybroker

    import pybroker  # isort: skip  # after ours, which says how to install it

    quiet: Any = pybroker  # untyped in places
    quiet.disable_logging()  # it prints, and stdout is for results
    quiet.disable_progress_bar()
    return run_in_pybroker(strategy, config, store)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """What can be said about files; what is left empty is told from them, or not needed.

    Attributes
    ----------
    format
        One of `FORMATS`; empty to tell from the names.
    series
        What the rows are; ``{symbol}`` stands for the file's name. Not for LEAN and freqtrade,
        whose names say it.
    zone, stamp, date_order, delimiter, header, decimal, columns, check_spacing
        As in `sources.csv_files` and `sources.parquet`.
    symbols, resolutions, kinds, start, end
        Only these, of a LEAN folder; `symbols` are pairs in a freqtrade one.
    venue
        Where the instruments trade: freqtrade's names do not say, LEAN's can be overruled.
    timeframe
        What freqtrade bars are, where their name is wrong.
    """

    format: Format = ""
    series: str = ""
    zone: str = ""
    stamp: Literal["open", "close"] = "open"
    date_order: str = ""
    delimiter: str = ""
    header: bool | None = None
    decimal: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    check_spacing: bool = True
    symbols: Sequence[str] = ()
    resolutions: Sequence[str] = ()
    kinds: Sequence[str] = ()
    start: str = ""
    end: str = ""
    venue: str = ""
    timeframe: str = ""


def file_source(paths: Sequence[Path], options: FileOptions) -> FileSource:
    """The reader for some files.

    Raises
    ------
    UsageError
        If the format needs something that is not given, or cannot use what is.
    """
    chosen = options.format or sniff(paths)
    if chosen not in FORMATS:
        raise UsageError(f"unknown format `{chosen}`", hint=f"use one of {', '.join(FORMATS)}")
    _refuse_unused(chosen, options)
    return _MAKERS[chosen](paths, options)


def frame_source(frame: "pl.DataFrame", series: Series, options: FileOptions) -> FileSource:
    """The reader for a table in memory.

    Raises
    ------
    UsageError
        If something is said that a table cannot use.
    """
    from openbell.sources.frames import FrameSource

    _refuse_unused("table", options)
    return FrameSource(
        frame,
        series=series,
        zone=options.zone,
        stamp=options.stamp,
        columns=options.columns,
        check_spacing=options.check_spacing,
    )


def synthetic_source(series: Series, end_ns: int, count: int) -> FileSource:
    """The source named `synthetic`: the last `count` made-up bars that have ended by a moment."""
    from openbell.sources.synthetic import SyntheticBars

    return SyntheticBars(series, end_ns, count)


def sniff(paths: Sequence[Path]) -> Format:
    """The format of files, as the first name that tells it has it; ``csv`` if none does."""
    for path in paths:
        for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
            if _LEAN_NAME.fullmatch(file.name) or (
                file.suffix == ".zip" and _LEAN_FOLDERS & set(file.parts)
            ):
                return "lean"
            if _FREQTRADE_NAME.fullmatch(file.name):
                return "freqtrade"
            if file.suffix in _TABLES:
                return "parquet"
    return "csv"


# What each format can be told besides `format`; anything else given is a mistake, not ignored.
_USED: dict[str, set[str]] = {
    "csv": {"series", "zone", "stamp", "date_order", "delimiter", "header", "decimal", "columns",
            "check_spacing"},
    "parquet": {"series", "zone", "stamp", "columns", "check_spacing"},
    "lean": {"symbols", "resolutions", "kinds", "start", "end", "venue"},
    "freqtrade": {"symbols", "venue", "timeframe", "check_spacing"},
    "table": {"zone", "stamp", "columns", "check_spacing"},
}  # fmt: skip
_OPTION = {
    "series": "--as", "symbols": "--symbols", "resolutions": "--resolutions", "kinds": "--kinds",
    "start": "--from", "end": "--to", "columns": "--column", "check_spacing": "--any-spacing",
}  # fmt: skip


def _refuse_unused(chosen: str, options: FileOptions) -> None:
    plain = FileOptions()
    for name in FileOptions.__dataclass_fields__:
        value = getattr(options, name)
        is_said = value != getattr(plain, name) and value not in ("", (), [], {})
        if is_said and name not in {"format", *_USED[chosen]}:
            option = _OPTION.get(name, f"--{name.replace('_', '-')}")
            if chosen == "table":
                raise UsageError(f"{option} says nothing about a table", hint="leave it out")
            raise UsageError(
                f"{option} says nothing about {chosen} files",
                hint=f"leave it out, or name another format: --format {' or '.join(FORMATS)}",
            )


def _need(value: str, what: str, hint: str) -> str:
    if not value:
        raise UsageError(what, hint=hint)
    return value


_SERIES_HINT = "name the series: --as XNYS:SPY/1m (for a folder of symbols: XNYS:{symbol}/1m)"


def _csv(paths: Sequence[Path], o: FileOptions) -> FileSource:
    from openbell.sources.csv_files import CsvFiles, Dialect

    return CsvFiles(
        paths,
        series=_need(o.series, "text files do not say what their rows are", _SERIES_HINT),
        zone=o.zone,
        stamp=o.stamp,
        date_order=o.date_order,
        dialect=Dialect(
            delimiter=o.delimiter, header=o.header, decimal=o.decimal, columns=o.columns
        ),
        check_spacing=o.check_spacing,
    )


def _parquet(paths: Sequence[Path], o: FileOptions) -> FileSource:
    from openbell.sources.parquet import ParquetFiles

    return ParquetFiles(
        paths,
        series=_need(o.series, "these files do not say what their rows are", _SERIES_HINT),
        zone=o.zone,
        stamp=o.stamp,
        columns=o.columns,
        check_spacing=o.check_spacing,
    )


def _lean(paths: Sequence[Path], o: FileOptions) -> FileSource:
    from openbell.sources.lean import LeanFolder

    return LeanFolder(
        paths,
        symbols=o.symbols,
        resolutions=o.resolutions,
        kinds=o.kinds,
        start=o.start,
        end=o.end,
        venues=_lean_venues(o),
    )


def _lean_venues(o: FileOptions) -> dict[str, str]:
    if o.venue and not o.symbols:
        raise UsageError(
            "--venue needs to know whose venue it is", hint="name them: --symbols aapl,msft"
        )
    return dict.fromkeys(o.symbols, o.venue) if o.venue else {}


def _freqtrade(paths: Sequence[Path], o: FileOptions) -> FileSource:
    from openbell.sources.freqtrade import FreqtradeFolder

    return FreqtradeFolder(
        paths,
        venue=_need(
            o.venue, "freqtrade files do not say where they trade", "name it: --venue BINANCE"
        ),
        pairs=o.symbols,
        timeframe=o.timeframe,
        check_spacing=o.check_spacing,
    )


_MAKERS = {"csv": _csv, "parquet": _parquet, "lean": _lean, "freqtrade": _freqtrade}
