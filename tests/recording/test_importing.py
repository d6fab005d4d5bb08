"""Importing: all or nothing, one version a series, nothing new the second time."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from openbell.market.bars import Bars, bars_from
from openbell.market.columns import CONFLICTING
from openbell.market.errors import BadDataError, CancelledError, RejectedError
from openbell.market.instrument import Series
from openbell.market.moments import DAY_NS, END_OF_TIME_NS, MINUTE_NS, START_OF_TIME_NS
from openbell.market.progress import CancelToken
from openbell.market.ticks import Trades
from openbell.ports import Data, FileSource, Parsed, Rejected
from openbell.recording import importing
from openbell.recording.importing import ImportReport, import_files
from openbell.sources.csv_files import CsvFiles
from openbell.sources.lean import LeanFolder
from openbell.stores.memory import MemoryStore

SPY = Series.parse("XNYS:SPY/1m")
AAPL = Series.parse("XNAS:AAPL/1m")


class Made:
    """A source of files made of lists of closes, one bar a minute from a minute on."""

    def __init__(self, *parsed: Parsed) -> None:
        self._parsed = parsed
        self.passes = 0

    def files(self) -> Sequence[Path]:
        return [Path(name) for name in dict.fromkeys(p.file for p in self._parsed)]

    def series(self) -> Sequence[Series]:
        return sorted({p.data.series for p in self._parsed})

    def parse(self) -> Iterator[Parsed]:
        self.passes += 1
        yield from self._parsed


def minutes(first: int, closes: Sequence[float], series: Series = SPY) -> Bars:
    start_ns = (first + np.arange(len(closes))) * MINUTE_NS
    price = np.array(closes, float)
    return bars_from(series, start_ns, start_ns + MINUTE_NS, [price, price, price, price, price])


def file(name: str, data: Data, *rules: str) -> Parsed:
    rejected = tuple(Rejected(name, row, rule) for row, rule in enumerate(rules, 2))
    return Parsed(data, name, len(data) + len(rules), rejected=rejected, notes=("made",))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(lambda: DAY_NS)


def closes(store: MemoryStore, series: str = "XNYS:SPY/1m") -> list[float]:
    data = store.read(store.resolve(series), START_OF_TIME_NS, END_OF_TIME_NS)
    assert isinstance(data, Bars)
    return [float(close) for close in data.close]


def test_files_of_one_series_become_one_version(store: MemoryStore) -> None:
    source = Made(file("a", minutes(0, [1, 2])), file("b", minutes(2, [3])))
    (report,) = import_files(source, store).series
    assert closes(store) == [1, 2, 3]
    assert [version.pin.version for version in store.versions(SPY)] == [1]
    assert (report.read, report.kept, report.files, report.is_new) == (3, 3, 2, True)
    assert report.notes == ("made",)
    assert (report.first_ns, report.last_ns) == (0, 2 * MINUTE_NS)


def test_each_series_gets_its_own_version(store: MemoryStore) -> None:
    source = Made(file("a", minutes(0, [1])), file("b", minutes(0, [2], AAPL)))
    report = import_files(source, store)
    assert [str(one.series) for one in report.series] == ["XNAS:AAPL/1m", "XNYS:SPY/1m"]
    assert closes(store, "XNAS:AAPL/1m") == [2]


def test_importing_again_stores_nothing_new(store: MemoryStore) -> None:
    source = Made(file("a", minutes(0, [1, 2])))
    first, again = import_files(source, store), import_files(source, store)
    assert first.has_changes
    assert not again.has_changes
    assert again.series[0].version == first.series[0].version
    assert len(store.versions(SPY)) == 1


def test_what_is_new_is_added_to_what_is_there(store: MemoryStore) -> None:
    import_files(Made(file("a", minutes(0, [1, 2]))), store)
    (report,) = import_files(Made(file("b", minutes(1, [2, 3]))), store).series
    assert closes(store) == [1, 2, 3]
    assert report.version is not None
    assert (report.version.added, report.version.revised) == (1, 0)


def test_of_two_files_the_later_one_counts(store: MemoryStore) -> None:
    source = Made(file("a", minutes(0, [1, 2, 3])), file("b", minutes(1, [2, 9])))
    (report,) = import_files(source, store).series
    assert closes(store) == [1, 2, 9]
    assert (report.read, report.kept, report.repeated, report.conflicting) == (5, 3, 1, 1)
    assert report.labels == {"conflicting": 1}
    data = store.read(store.resolve("XNYS:SPY/1m"), 0, DAY_NS)
    assert data.columns()["label"].tolist() == [0, 0, CONFLICTING]


def test_trades_of_overlapping_files_are_not_doubled(store: MemoryStore) -> None:
    series = Series.parse("XNYS:SPY/trades")

    def trades(*rows: tuple[int, float]) -> Trades:
        time, price = (np.array(column) for column in zip(*rows, strict=True))
        none = np.zeros(len(time), np.int64)
        return Trades(series, time, price, np.ones(len(time)), none, none)

    source = Made(
        file("a", trades((1, 5.0), (2, 6.0), (2, 6.0))), file("b", trades((2, 6.0), (3, 7.0)))
    )
    (report,) = import_files(source, store).series
    data = store.read(store.resolve(str(series)), 0, DAY_NS)
    assert data.columns()["price"].tolist() == [5, 6, 6, 7]
    assert (report.kept, report.repeated) == (4, 1)


def test_one_rejected_row_and_nothing_of_any_file_is_stored(store: MemoryStore) -> None:
    import_files(Made(file("old", minutes(0, [1]))), store)
    rule = "high 129.1 is below low 131.02"
    bad = file("folder/broken.csv", minutes(5, [2]), rule, "open is missing", "x", "y")
    with pytest.raises(RejectedError) as error:
        import_files(Made(file("a", minutes(0, [7], AAPL)), bad), store)
    assert (
        error.value.message == f"folder/broken.csv row 2: {rule} (and 3 more); nothing was stored"
    )
    assert error.value.hint == (
        "look at the rows by adding `--dry-run`, or leave them out by adding `--max-rejected 4`"
    )
    assert closes(store) == [1]
    assert not store.versions(AAPL)


def test_as_many_rejected_rows_as_allowed_are_left_out(store: MemoryStore) -> None:
    source = Made(file("a", minutes(0, [1]), "bad"), file("b", minutes(1, [2]), "worse"))
    with pytest.raises(RejectedError, match=r"row 2: bad \(and 1 more\)"):
        import_files(source, store, max_rejected=1)
    (report,) = import_files(source, store, max_rejected=2).series
    assert closes(store) == [1, 2]
    assert (report.rejected, [one.rule for one in report.rejects]) == (2, ["bad", "worse"])


def test_a_file_that_cannot_be_read_leaves_the_store_as_it_was(store: MemoryStore) -> None:
    class Failing(Made):
        def parse(self) -> Iterator[Parsed]:
            yield from super().parse()
            raise BadDataError("b is damaged")

    with pytest.raises(BadDataError, match="b is damaged"):
        import_files(Failing(file("a", minutes(0, [1]))), store)
    assert not store.list_series()


def test_a_dry_run_reports_and_stores_nothing(store: MemoryStore) -> None:
    report = import_files(Made(file("a", minutes(0, [1]), "bad")), store, dry_run=True)
    assert report.is_dry_run
    assert not report.has_changes
    assert (report.series[0].version, report.series[0].rejected) == (None, 1)
    assert not store.list_series()


@pytest.mark.parametrize("held", [0, 1 << 30])
def test_rows_that_do_not_fit_in_memory_are_read_twice(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(importing, "HELD_BYTES", held)
    source = Made(
        file("a", minutes(0, [1])), file("b", minutes(0, [5], AAPL)), file("c", minutes(1, [2]))
    )
    report = import_files(source, store)
    assert source.passes == (1 if held else 2)
    assert closes(store) == [1, 2]
    assert [one.kept for one in report.series] == [1, 2]


def test_a_file_that_changes_between_the_passes_is_told(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Growing(Made):
        def parse(self) -> Iterator[Parsed]:
            yield from super().parse()
            if self.passes > 1:
                yield file("late", minutes(9, [9]))

    monkeypatch.setattr(importing, "HELD_BYTES", 0)
    with pytest.raises(BadDataError, match="changed while it was being imported"):
        import_files(Growing(file("a", minutes(0, [1]))), store)


@pytest.mark.parametrize(
    "later",
    [
        [file("b", minutes(0, [5], AAPL))],
        [file("a", minutes(0, [1])), file("b", minutes(0, [5], AAPL))],
        [file("a", minutes(0, [1, 2])), file("c", minutes(0, [3]))],
        [],
    ],
)
def test_a_file_that_shrank_or_went_between_the_passes_is_told(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, later: list[Parsed]
) -> None:
    class Shrinking(Made):
        def parse(self) -> Iterator[Parsed]:
            found = list(super().parse())
            yield from found if self.passes == 1 else later

    monkeypatch.setattr(importing, "HELD_BYTES", 0)
    source = Shrinking(file("a", minutes(0, [1, 2])), file("b", minutes(0, [5], AAPL)))
    with pytest.raises(BadDataError, match="changed while it was being imported"):
        import_files(source, store)
    assert AAPL not in store.list_series()


def test_a_manifest_says_how_many_files_it_does_not_name(store: MemoryStore) -> None:
    source = Made(*(file(f"f{n}", minutes(n, [1])) for n in range(53)))
    (report,) = import_files(source, store).series
    assert report.version
    assert report.version.details["files"].endswith("f48, f49 and 3 more")


def test_no_file_at_all_is_told(store: MemoryStore) -> None:
    with pytest.raises(BadDataError, match="nothing to import"):
        import_files(Made(), store)


def test_a_file_without_rows_stores_no_version(store: MemoryStore) -> None:
    (report,) = import_files(Made(file("a", minutes(0, []))), store).series
    assert (report.version, report.is_new, report.kept) == (None, False, 0)
    assert report.to_dict()["first"] is None


def test_progress_is_told_and_a_cancelled_import_stores_nothing(store: MemoryStore) -> None:
    token = CancelToken()
    told: list[tuple[int, int, str]] = []

    def progress(done: int, total: int, what: str) -> None:
        told.append((done, total, what))
        token.cancel()

    source = Made(file("a", minutes(0, [1])), file("b", minutes(1, [2])))
    with pytest.raises(CancelledError):
        import_files(source, store, progress=progress, cancel=token)
    assert told == [(1, 2, "1 row")]
    assert not store.list_series()


def test_the_report_is_ready_for_json(samples: Path, store: MemoryStore) -> None:
    report = imported(samples, store)
    (series,) = json.loads(json.dumps(report.to_dict()))["series"]
    assert series["pin"] == "XNYS:SPY/1m@1"
    assert (series["read"], series["kept"], series["rejected"]) == (17_577, 17_577, 0)
    assert (series["first"], series["last"]) == ("2011-03-01T09:00:00Z", "2011-03-31T23:58:00Z")
    assert "stamps moved from close to start" in series["notes"]


def imported(samples: Path, store: MemoryStore) -> ImportReport:
    path = samples / "pyalgotrade/nt-spy-minute-2011-03.csv.gz"
    source: FileSource = CsvFiles(path, series="XNYS:SPY/1m", zone="UTC", stamp="close")
    return import_files(source, store)


def test_a_lean_folder_is_imported_whole(samples: Path, store: MemoryStore) -> None:
    source = LeanFolder(samples / "lean/Data/equity", symbols=["spy", "shy"])
    report = import_files(source, store)
    assert [str(one.series) for one in report.series] == [str(s) for s in source.series()]
    assert all(one.is_new for one in report.series)
    assert not import_files(source, store).has_changes


def test_hours_that_are_only_assumed_are_noted(tmp_path: Path) -> None:
    rows = "time,open,high,low,close,volume\n2024-03-04T10:00Z,1,1,1,1,1\n"
    (tmp_path / "a.csv").write_text(rows)
    for series, is_noted in (("CME:ES/1m", True), ("XCME:ES-202403/1m", False)):
        source = CsvFiles(tmp_path / "a.csv", series=series)
        (report,) = import_files(source, MemoryStore(lambda: 0)).series
        assert any("is not known" in note for note in report.notes) is is_noted
