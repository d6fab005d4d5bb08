"""Files into the store: all of them or none, one version a series, as often as one likes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openbell.market.clean import join
from openbell.market.columns import LABEL_NAMES
from openbell.market.counted import counted
from openbell.market.errors import BadDataError, RejectedError
from openbell.market.instrument import Series, is_known_venue
from openbell.market.moments import iso
from openbell.market.progress import CancelToken, Progress, silent
from openbell.ports import Data, FileSource, Manifest, Parsed, Rejected, Store, Version

HELD_BYTES = 1 << 30  # rows kept between checking and writing; beyond that files are read again
REJECTED_SHOWN = 20
FILES_NAMED = 50  # in a version's manifest


@dataclass(frozen=True, slots=True)
class SeriesReport:
    """What an import came to for one series.

    Attributes
    ----------
    series
        Which one.
    version
        The version that holds the rows now; None for a dry run, or if there are no rows at all.
    is_new
        Whether the import made that version: False when the store held all rows already.
    read, kept, rejected
        Rows in the files, rows fit to be stored, rows that could not be taken.
        ``read = kept + repeated + conflicting + rejected``.
    repeated, conflicting, unordered
        As in `Parsed`, over all files, and between them: of two files the later one counts.
    labelled
        Rows kept with a label.
    labels
        How many rows bear each label, by its name; only those that occur.
    first_ns, last_ns
        Keys of the first and the last row kept; both 0 when there are none.
    files
        How many files it came from.
    rejects
        The first `REJECTED_SHOWN` rejected rows.
    notes
        What the reader decided, each note once.
    """

    series: Series
    version: Version | None
    is_new: bool
    read: int
    kept: int
    rejected: int
    repeated: int
    conflicting: int
    unordered: int
    labelled: int
    labels: Mapping[str, int]
    first_ns: int
    last_ns: int
    files: int
    rejects: tuple[Rejected, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        name = self.version.pin if self.version else self.series
        if self.version and not self.is_new:
            return f"{name}   nothing new"
        kinds = ("repeated", "conflicting", "labelled", "rejected")
        parts = [f"{counted(self.kept, 'row')} kept", *(f"{getattr(self, n):,} {n}" for n in kinds)]
        if self.unordered:
            parts.append(f"{self.unordered:,} out of order")
        if self.version and self.version.pin.version > 1:
            v = self.version
            parts.append(f"{v.added:,} added and {v.revised:,} revised since @{v.pin.version - 1}")
        return f"{name}   {' · '.join(parts)}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; stamps as ISO 8601, None where there are no rows."""
        return {
            "series": str(self.series),
            "pin": str(self.version.pin) if self.version else None,
            "version": self.version.pin.version if self.version else None,
            "is_new": self.is_new,
            "first": iso(self.first_ns) if self.kept else None,
            "last": iso(self.last_ns) if self.kept else None,
            "labels": dict(self.labels),
            "rejects": [{"file": r.file, "row": r.row, "rule": r.rule} for r in self.rejects],
            "notes": list(self.notes),
        } | {name: getattr(self, name) for name in _COUNTS}


_COUNTS = (
    "read", "kept", "repeated", "conflicting", "unordered", "labelled", "rejected", "files",
)  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False)
class ImportReport:
    """What an import came to; one entry a series, in order of series."""

    series: tuple[SeriesReport, ...]
    is_dry_run: bool

    def __str__(self) -> str:
        return "\n".join(map(str, self.series))

    __repr__ = __str__

    @property
    def has_changes(self) -> bool:
        """Whether anything new was stored."""
        return any(report.is_new for report in self.series)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "dry_run": self.is_dry_run,
            "has_changes": self.has_changes,
            "series": [report.to_dict() for report in self.series],
        }


@dataclass(slots=True)
class _Tally:
    """What was seen of one series so far; `parts` are the rows held."""

    last: int = 0
    read: int = 0
    repeated: int = 0
    conflicting: int = 0
    unordered: int = 0
    files: list[str] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    parts: list[Data] = field(default_factory=list)

    def add(self, parsed: Parsed) -> None:
        self.read += parsed.read
        self.repeated += parsed.repeated
        self.conflicting += parsed.conflicting
        self.unordered += parsed.unordered
        self.files.append(parsed.file)
        self.rejected += parsed.rejected
        self.notes |= dict.fromkeys(parsed.notes)


def import_files(
    source: FileSource,
    store: Store,
    *,
    max_rejected: int = 0,
    dry_run: bool = False,
    progress: Progress = silent,
    cancel: CancelToken | None = None,
) -> ImportReport:
    """Read all files of a source and store each series as one version.

    All files are read and checked before the first row is stored: one that cannot be read, or
    too many rejected rows, and nothing at all is stored. Rows beyond `HELD_BYTES` are not held
    in memory meanwhile; the files are then read a second time for writing. Importing the same
    again changes nothing.

    Parameters
    ----------
    max_rejected
        How many rejected rows are allowed, over all files.
    dry_run
        Only report; nothing is stored, and rejected rows are reported instead of raised.
    progress
        Called after each file with the number of files done and their number in all.

    Raises
    ------
    BadDataError
        If a file cannot be read, or there is none; if one changed before it was read for
        writing, in which case series already written stay.
    RejectedError
        If there are more rejected rows than allowed.
    CancelledError
        If `cancel` asks for it; series already written stay.
    """
    token = cancel or CancelToken()
    tallies, held = _check(source, progress, token)
    rejected = [one for tally in tallies.values() for one in tally.rejected]
    if len(rejected) > max_rejected and not dry_run:
        raise _too_many(rejected)
    parts = held if held is not None else _again(source, tallies)
    reports = []
    for number, data in enumerate(parts):
        token.check()
        tally = tallies[data.series]
        tally.parts.append(data)
        if number == tally.last:
            reports.append(_write(tally, store, dry_run=dry_run))
            tally.parts = []
    return ImportReport(tuple(sorted(reports, key=lambda report: report.series)), dry_run)


def _check(
    source: FileSource, progress: Progress, token: CancelToken
) -> tuple[dict[Series, _Tally], list[Data] | None]:
    """Read everything once: what was found of each series, and the rows if they can be held."""
    tallies: dict[Series, _Tally] = {}
    held: list[Data] | None = []
    size = rows = 0
    total = len(source.files())
    seen: dict[str, None] = {}
    for number, parsed in enumerate(source.parse()):
        token.check()
        tally = tallies.setdefault(parsed.data.series, _Tally())
        tally.add(parsed)
        tally.last = number
        size += sum(column.nbytes for column in parsed.data.columns().values())
        if held is not None:
            held.append(parsed.data)
        if size > HELD_BYTES:
            held = None
        rows += parsed.read
        seen[parsed.file.partition("!")[0]] = None
        progress(min(len(seen), total), total, counted(rows, "row"))
    if not tallies:
        raise BadDataError(
            "nothing to import was found",
            hint="look at the path, at the format, and at what alone was asked for",
        )
    return tallies, held


def _again(source: FileSource, tallies: Mapping[Series, _Tally]) -> Iterator[Data]:
    """Read everything once more; what is handed on is as much as was checked."""
    read = dict.fromkeys(tallies, 0)
    number = -1
    for number, parsed in enumerate(source.parse()):
        tally = tallies.get(parsed.data.series)
        if tally is None or number > tally.last:
            raise _changed(parsed.file)
        read[parsed.data.series] += parsed.read
        if number == tally.last and read[parsed.data.series] != tally.read:
            raise _changed(parsed.file)
        yield parsed.data
    newest = max(tallies.values(), key=lambda tally: tally.last)
    if number != newest.last:
        raise _changed(newest.files[-1])


def _changed(file: str) -> BadDataError:
    return BadDataError(
        f"{file} changed while it was being imported",
        hint="import it again when nothing writes to it any more",
    )


def _too_many(rejected: Sequence[Rejected]) -> RejectedError:
    first = rejected[0]
    more = f" (and {len(rejected) - 1:,} more)" if len(rejected) > 1 else ""
    return RejectedError(
        f"{first.file} row {first.row:,}: {first.rule}{more}; nothing was stored",
        hint="look at the rows by adding `--dry-run`, or leave them out by adding "
        f"`--max-rejected {len(rejected)}`",
    )


def _named(files: Sequence[str]) -> str:
    more = len(files) - FILES_NAMED
    return ", ".join(files[:FILES_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _write(tally: _Tally, store: Store, *, dry_run: bool) -> SeriesReport:
    joined = join(tally.parts)
    data = joined.data
    series = data.series
    before = [] if dry_run else store.versions(series)
    version = before[-1] if before else None
    if len(data) and not dry_run:
        details = {"files": _named(tally.files), "notes": "; ".join(tally.notes)}
        version = store.write(data, Manifest("import", details))
    labels = {name: int(((data.label & bit) != 0).sum()) for bit, name in LABEL_NAMES.items()}
    return SeriesReport(
        series=series,
        version=version,
        is_new=version is not None and (not before or version.pin != before[-1].pin),
        read=tally.read,
        kept=len(data),
        rejected=len(tally.rejected),
        repeated=tally.repeated + joined.repeated,
        conflicting=tally.conflicting + joined.conflicting,
        unordered=tally.unordered,
        labelled=int((data.label != 0).sum()),
        labels={name: count for name, count in labels.items() if count},
        first_ns=int(data.key_ns[0]) if len(data) else 0,
        last_ns=int(data.key_ns[-1]) if len(data) else 0,
        files=len(tally.files),
        rejects=tuple(tally.rejected[:REJECTED_SHOWN]),
        notes=(*tally.notes, *_venue_note(series)),
    )


def _venue_note(series: Series) -> tuple[str, ...]:
    code = series.instrument.venue
    if is_known_venue(code):
        return ()
    return (f"venue {code} is not known, and taken to trade around the clock in UTC",)
