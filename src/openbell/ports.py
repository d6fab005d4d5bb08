"""Everything the inside asks of the outside, on one page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from openbell.market.arrivals import Arrival
from openbell.market.bars import Bars
from openbell.market.instrument import Instrument, Pin, Series
from openbell.market.ticks import Quotes, Trades

Data = Bars | Trades | Quotes


# What sources give


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row of a file that could not be taken: where it stands and the rule it breaks."""

    file: str
    row: int
    rule: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a source made of one file, for one series.

    Attributes
    ----------
    data
        Rows in order, repeats removed, labelled. May be empty.
    file
        Where it came from; for archives ``archive.zip!member.csv``.
    read
        Data rows in the file, the rejected ones included.
    repeated, conflicting, unordered
        How many rows repeated an earlier one exactly (dropped), contradicted one of the same
        stamp (the last was kept), stood out of order (sorted in).
    rejected
        The rows that could not be taken.
    notes
        What the reader decided about the file, in words: delimiter, zone, stamp moved.
    """

    data: Data
    file: str
    read: int
    repeated: int = 0
    conflicting: int = 0
    unordered: int = 0
    rejected: tuple[Rejected, ...] = ()
    notes: tuple[str, ...] = ()


class FileSource(Protocol):
    """Reads market data from files of one format. Passes ``tests/sources/contract.py``.

    A reader is made for one import: its constructor takes the path and the options.
    """

    def files(self) -> Sequence[Path]:
        """The files it would read, in order; empty when nothing fits."""
        ...

    def series(self) -> Sequence[Series]:
        """What those files hold, in order, as far as names and headers tell."""
        ...

    def parse(self) -> Iterator[Parsed]:
        """Read the files one after the other.

        Raises
        ------
        BadDataError
            If a file cannot be read at all, naming the file.
        UnavailableError, RefusedError
            From the outside: transient, permanent.
        """
        ...


# What stores keep


@dataclass(frozen=True, slots=True)
class Manifest:
    """Said about one write: where the rows came from, and anything worth keeping with them."""

    source: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one series, as its manifest has it.

    Attributes
    ----------
    pin
        Its name. Versions of a series count from 1.
    created_ns
        When it was written.
    source, details
        From the `Manifest`.
    rows, added, revised, removed
        How many rows it holds, and what it changed against the version before.
    checksum
        Of the content: the same rows give the same checksum in any store, whatever the layout.
    """

    pin: Pin
    created_ns: int
    source: str
    rows: int
    added: int
    revised: int
    removed: int
    checksum: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """What a store holds of one series, at one version.

    Attributes
    ----------
    first_ns, last_ns
        Key (start or time) of the first and the last row; both 0 when there are no rows.
    size_bytes
        On disk; 0 where it means nothing.
    """

    pin: Pin
    rows: int
    first_ns: int
    last_ns: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Diff:
    """What changed from one version of a series to another, as rows.

    `revised_before` and `revised_after` pair up row by row; empty for trades and quotes.
    """

    added: Data
    removed: Data
    revised_before: Data
    revised_after: Data


class ReadStore(Protocol):
    """The part of a store that a replay or a run needs: it only reads.

    A ``ref`` names a version of a series: ``XNYS:SPY/1m`` (the newest), ``XNYS:SPY/1m@3``, or a
    name given with `Store.pin`.
    """

    def read(self, pin: Pin, start_ns: int, end_ns: int) -> Data:
        """The rows with ``start_ns <= key < end_ns``, in order; empty when there are none.

        Raises
        ------
        NotRecordedError
            If the series or the version does not exist.
        """
        ...

    def resolve(self, ref: str, *, as_of_ns: int | None = None) -> Pin:
        """The version a ref names; with `as_of_ns` the newest one written at or before it.

        Raises
        ------
        NotRecordedError
            If there is no such series, version or name; the message lists close ones.
        """
        ...

    def info(self, pin: Pin) -> SeriesInfo:
        """First and last stamp, count and size, without reading the rows."""
        ...

    def versions(self, series: Series) -> Sequence[Version]:
        """All versions of a series, oldest first; empty when there is none."""
        ...


class Store(ReadStore, Protocol):
    """Keeps every version of every series. Passes ``tests/stores/contract.py``."""

    def write(self, data: Data, manifest: Manifest) -> Version:
        """Add rows as one new version; rows already there are left, changed ones replaced.

        Bars are keyed by start: a bar with a known start and other values is a revision. Trades
        and quotes are kept as often as they occur: a stamp keeps the larger number of equal rows.
        When nothing changes no version is made and the newest is returned. A kill at any moment
        leaves either the old or the new version; two writers of one series queue.

        Raises
        ------
        UnorderedError
            If keys do not increase (strictly for bars); nothing is written then.
        StoreError
            If the series stays locked, or is damaged.
        """
        ...

    def drop(self, series: Series, start_ns: int, end_ns: int, manifest: Manifest) -> Version:
        """Leave out the rows with ``start_ns <= key < end_ns`` from a new version on."""
        ...

    def list_series(self) -> Sequence[Series]:
        """All series, in order."""
        ...

    def list_instruments(self) -> Sequence[Instrument]:
        """All instruments anything is stored of, in order."""
        ...

    def diff(self, before: Pin, after: Pin) -> Diff:
        """What changed between two versions of one series."""
        ...

    def pin(self, name: str, pin: Pin) -> None:
        """Name a version so that it never expires. The same name for another version is refused.

        Raises
        ------
        UsageError
            If the name is taken, or looks like a series.
        """
        ...

    def pins(self) -> Mapping[str, Pin]:
        """All names given with `pin`, in order."""
        ...

    def compact(self, series: Series) -> None:
        """Rewrite small files into larger ones; changes no version's content."""
        ...

    def vacuum(self, series: Series, *, keep_days: float) -> Sequence[int]:
        """Delete the files of versions older than `keep_days` that are neither newest nor pinned.

        Returns
        -------
        Sequence[int]
            The versions that can no longer be read; their manifests stay.
        """
        ...


# What runs are kept in


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One stored run: its summary as JSON-ready values, and its tables.

    Attributes
    ----------
    id
        Short hexadecimal name.
    summary
        Everything a list or a report header shows; JSON-ready.
    tables
        Column tables by name (``equity``, ``fills``, ``orders``, ``round_trips``, …): each a
        mapping of column name to a sequence; JSON-ready or numpy.
    files
        Text files kept with the run, by name (strategy source, report).
    """

    id: str
    summary: Mapping[str, Any]
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


class RunStore(Protocol):
    """Keeps finished, failed and interrupted runs. Passes ``tests/stores/runs_contract.py``."""

    def save(self, record: RunRecord) -> None:
        """Keep a run; one with the same id is replaced as a whole."""
        ...

    def load(self, run_id: str) -> RunRecord:
        """A run by its id, or by an unambiguous beginning of it; `NotRecordedError` otherwise."""
        ...

    def list_runs(
        self, *, strategy: str = "", instrument: str = "", limit: int = 50, offset: int = 0
    ) -> Sequence[Mapping[str, Any]]:
        """Summaries, newest first, filtered by strategy name and instrument when given."""
        ...

    def delete(self, run_id: str) -> None:
        """Forget a run; `NotRecordedError` if there is none."""
        ...


# What comes live


class Inlet(Protocol):
    """Where a live source puts what it receives. Safe to use from any thread."""

    def push(
        self,
        series: Series,
        what: int,
        venue_ns: int = 0,
        values: Sequence[float] = (),
        sequence: int = 0,
    ) -> bool:
        """Put an item or a note in line; waits while the line is full.

        Parameters
        ----------
        what, venue_ns, values, sequence
            As in `market.arrivals.Arrival`: the start of a bar, its finished values.

        Returns
        -------
        bool
            False if nothing more is wanted: the source ends.

        Raises
        ------
        UsageError
            If the series was not announced, or cannot hold such an item.
        """
        ...

    def fail(self, series: Series, error: Exception) -> None:
        """Say that a series will bring nothing more, and why; the error surfaces where it runs."""
        ...


class LiveSource(Protocol):
    """Pushes what happens while it happens. Passes ``tests/sources/live_contract.py``."""

    def series(self) -> Sequence[Series]:
        """What it brings, in the order in which it is registered: intraday bars, trades, quotes."""
        ...

    def start(self, inlet: Inlet) -> None:
        """Begin, on threads of its own. A lost connection is noted, and made again.

        Raises
        ------
        UnavailableError, RefusedError
            If it cannot begin.
        """
        ...

    def add(self, series: Series) -> None:
        """Bring one more, which the inlet knows already: soon, and after every lost connection.

        Raises
        ------
        UsageError
            If it is nothing that comes from there.
        UnavailableError
            If it is not running.
        """
        ...

    def stop(self, *, timeout_s: float = 10.0) -> None:
        """End its threads; may be called again, and before `start`.

        Raises
        ------
        UnavailableError
            If a thread does not end in time; it is named.
        """
        ...


class Refill(Protocol):
    """Fetches bars again that did not come."""

    def bars(self, series: Series, start_ns: int, end_ns: int) -> Bars:
        """The finished bars with ``start_ns <= start < end_ns``, as far as there are any.

        Raises
        ------
        UnavailableError, RefusedError
            From the outside: transient, permanent.
        """
        ...


@dataclass(frozen=True, slots=True)
class RecordingHeader:
    """What stands at the beginning of a recording.

    Attributes
    ----------
    id
        Short hexadecimal name.
    series
        By ordinal; arrivals name their series by its position here.
    start_ns, end_ns
        The range of the live run as it was planned, half-open.
    settings
        All that decides what becomes of the arrivals; JSON-ready.
    added
        How many of the series, the last ones, were announced while it ran.
    """

    id: str
    series: tuple[Series, ...]
    start_ns: int
    end_ns: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    added: int = 0

    @property
    def at_start(self) -> tuple[Series, ...]:
        """The series the run began with."""
        return self.series[: len(self.series) - self.added]


class Recording(Protocol):
    """Arrivals of one live run, in order. Passes ``tests/stores/recordings_contract.py``."""

    @property
    def header(self) -> RecordingHeader:
        """What it is a recording of; grows by what is announced."""
        ...

    @property
    def checksum(self) -> str:
        """SHA-256 over header and arrivals as they stand, hexadecimal."""
        ...

    def announce(self, series: Series) -> None:
        """Add a series to the header, before anything of it is appended; all of it or nothing.

        Raises
        ------
        UsageError
            If it is there already.
        StoreError
            If it cannot be written.
        """
        ...

    def append(self, arrivals: Sequence[Arrival]) -> None:
        """Add arrivals; when this returns, a kill of the process leaves them there.

        Raises
        ------
        StoreError
            If they cannot be written.
        """
        ...

    def read(self) -> Iterator[Sequence[Arrival]]:
        """All arrivals in order, in blocks; what was torn off at the end by a kill is left out."""
        ...

    def close(self) -> None:
        """Write out what is buffered, and let go; may be called again."""
        ...


class RecordingStore(Protocol):
    """Keeps recordings. Passes ``tests/stores/recordings_contract.py``."""

    def create(self, header: RecordingHeader) -> Recording:
        """Begin a recording; `UsageError` if there is one with its id."""
        ...

    def open(self, recording_id: str) -> Recording:
        """A recording to read, by its id or an unambiguous beginning; else `NotRecordedError`."""
        ...

    def list_recordings(self) -> Sequence[RecordingHeader]:
        """The headers of all recordings, newest first."""
        ...

    def delete(self, recording_id: str) -> None:
        """Forget a recording; `NotRecordedError` if there is none."""
        ...
