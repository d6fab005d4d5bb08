"""What every reader of files must do. One suite, run against each reader."""

import numpy as np

from openbell.market.columns import require_ordered
from openbell.ports import FileSource, Parsed


class FileSourceContract:
    """Subclass this and give it a `source` fixture that reads at least one row."""

    def test_it_names_the_files_it_reads(self, source: FileSource) -> None:
        names = [path.name for path in source.files()]
        assert names
        assert all(path.is_file() for path in source.files())
        for parsed in source.parse():
            assert parsed.file.partition("!")[0].rpartition("/")[2] in names

    def test_it_says_beforehand_which_series_it_gives(self, source: FileSource) -> None:
        given = {parsed.data.series for parsed in source.parse()}
        assert list(source.series()) == sorted(given)

    def test_every_row_is_accounted_for(self, source: FileSource) -> None:
        for p in source.parse():
            assert p.read == len(p.data) + p.repeated + p.conflicting + len(p.rejected)

    def test_rows_come_in_order(self, source: FileSource) -> None:
        for parsed in source.parse():
            strict = parsed.data.series.is_bars
            require_ordered("rows", parsed.data.key_ns, strict=strict)

    def test_no_row_is_without_its_numbers(self, source: FileSource) -> None:
        for parsed in source.parse():
            for name, column in parsed.data.columns().items():
                if name not in ("bid", "ask") and column.dtype.kind == "f":
                    assert np.isfinite(column).all()

    def test_reading_twice_gives_the_same(self, source: FileSource) -> None:
        first, second = list(source.parse()), list(source.parse())
        assert [without_data(p) for p in first] == [without_data(p) for p in second]
        assert [p.data for p in first] == [p.data for p in second]

    def test_rejected_rows_are_told_by_file_and_row(self, source: FileSource) -> None:
        for parsed in source.parse():
            rows = [one.row for one in parsed.rejected]
            assert rows == sorted(set(rows))
            assert all(row >= 1 for row in rows)
            assert all(one.file == parsed.file and one.rule for one in parsed.rejected)


def without_data(parsed: Parsed) -> tuple[object, ...]:
    return (
        parsed.file, parsed.read, parsed.repeated, parsed.conflicting, parsed.unordered,
        parsed.rejected, parsed.notes,
    )  # fmt: skip
