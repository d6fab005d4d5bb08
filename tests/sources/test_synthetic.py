"""The source named synthetic gives what the rule makes, and says that it is made up."""

import pytest

from openbell.app import wiring
from openbell.market.instrument import Series
from openbell.market.moments import parse_moment
from openbell.market.synthetic import Making, synthetic_bars
from openbell.ports import FileSource
from openbell.recording.importing import import_files
from openbell.sources.synthetic import SyntheticBars
from tests.sources.contract import FileSourceContract

NQ = Series.parse("SYNTHETIC:NQ/5m")
END_NS = parse_moment("2025-08-24T11:34Z")


class TestSynthetic(FileSourceContract):
    @pytest.fixture
    def source(self) -> FileSource:
        return SyntheticBars(NQ, END_NS, 50)

    def test_it_names_the_files_it_reads(self, source: FileSource) -> None:
        assert not source.files()  # it comes from none
        assert [parsed.file for parsed in source.parse()] == ["synthetic"]


def test_it_gives_the_bars_of_the_rule_and_says_so() -> None:
    (parsed,) = wiring.synthetic_source(NQ, END_NS, 50).parse()
    assert parsed.data == synthetic_bars(NQ, END_NS, 50, Making())
    assert parsed.notes == ("made up, no market data",)


def test_what_is_imported_from_it_keeps_the_label() -> None:
    store = wiring.open_memory()
    report = import_files(wiring.synthetic_source(NQ, END_NS, 50), store)
    assert report.series[0].kept == 50
    assert "made up, no market data" in store.versions(NQ)[0].details.values()
