"""What every store of runs must do. One suite, run against each."""

from typing import Any

import numpy as np
import pytest

from openbell.market.errors import NotRecordedError, UsageError
from openbell.ports import RunRecord, RunStore


def record(run_id: str = "7f3a91c2", minute: int = 0, **summary: Any) -> RunRecord:
    """A small run, made in `minute`."""
    values = {"id": run_id, "created": f"2026-11-01T10:{minute:02}:00Z", "status": "done"}
    return RunRecord(
        run_id, {**values, "strategy": "ema_cross", "on": ["XNYS:SPY/1m@1"], **summary}
    )


class RunStoreContract:
    """Subclass this and give it a `runs` fixture."""

    def test_what_was_saved_is_loaded(self, runs: RunStore) -> None:
        saved = RunRecord(
            "7f3a91c2",
            {
                "id": "7f3a91c2",
                "created": "2026-11-01T10:00:00.5Z",
                "parameters": {"fast": 12, "ma": "ä", "none": None},
                "metrics": {"sharpe": 0.1 + 0.2},
                "on": [],
            },
            {
                "equity": {
                    "time_ns": np.array([2**62 + 1, 2**62 + 2]),
                    "equity": np.array([0.1 + 0.2, np.nan]),
                    "is_closing": np.array([True, False]),
                },
                "fills": {"side": ["buy", None, "sell"], "size": [1, 2.5, 3], "note": ["", "", ""]},
                "orders": {"limit": [None, 1.5], "id": [1, 2], "tags": [["a"], []]},
                "none": {"id": [], "price": np.empty(0)},
            },
            {"strategy.py": "class Cross:\r\n    'ä'\n", "report.html": ""},
        )
        runs.save(saved)
        loaded = runs.load("7f3a91c2")
        assert (loaded.id, loaded.summary, loaded.files) == (saved.id, saved.summary, saved.files)
        assert {name: list(table) for name, table in loaded.tables.items()} == {
            name: list(table) for name, table in saved.tables.items()
        }
        for name, table in saved.tables.items():
            for column, values in table.items():
                found = loaded.tables[name][column]
                if isinstance(values, np.ndarray):
                    np.testing.assert_array_equal(found, values, strict=True)
                else:
                    assert list(found) == values

    def test_a_run_is_replaced_as_a_whole(self, runs: RunStore) -> None:
        runs.save(RunRecord("7f3a91c2", {"n": 1}, {"fills": {"size": [1]}}, {"a.txt": "a"}))
        runs.save(RunRecord("7f3a91c2", {"n": 2}, {"orders": {"size": [2]}}, {"b.txt": "b"}))
        loaded = runs.load("7f3a91c2")
        assert loaded.summary["n"] == 2
        assert (list(loaded.tables), dict(loaded.files)) == (["orders"], {"b.txt": "b"})
        assert len(runs.list_runs()) == 1

    def test_the_beginning_of_an_id_is_enough(self, runs: RunStore) -> None:
        for run_id in ("7f3a", "7f3a91c2", "7f4b0000"):
            runs.save(record(run_id))
        assert runs.load("7f4").id == "7f4b0000"
        assert runs.load("7f3a9").id == "7f3a91c2"
        assert runs.load("7f3a").id == "7f3a"
        with pytest.raises(NotRecordedError, match="`7f` begins 3 runs"):
            runs.load("7f")

    @pytest.mark.parametrize("run_id", ["0000", "", "..", "../7f3a91c2", "7F3A91C2", "*"])
    def test_a_run_that_is_not_there_is_neither_loaded_nor_deleted(
        self, runs: RunStore, run_id: str
    ) -> None:
        runs.save(record())
        with pytest.raises(NotRecordedError):
            runs.load(run_id)
        with pytest.raises(NotRecordedError):
            runs.delete(run_id)
        assert len(runs.list_runs()) == 1

    def test_an_empty_store_lists_nothing_and_loads_nothing(self, runs: RunStore) -> None:
        assert runs.list_runs() == []
        with pytest.raises(NotRecordedError):
            runs.load("7f3a91c2")
        with pytest.raises(NotRecordedError):
            runs.delete("7f3a91c2")

    def test_runs_are_listed_newest_first(self, runs: RunStore) -> None:
        for minute, run_id in enumerate(["bbbb", "aaaa", "cccc"]):
            runs.save(record(run_id, minute))
        # As text this comes before `cccc`; as a moment it comes after it.
        runs.save(record("dddd", created="2026-11-01T10:02:00.5Z"))
        runs.save(RunRecord("eeee", {}))
        assert [s["id"] for s in runs.list_runs()] == ["dddd", "cccc", "aaaa", "bbbb", "eeee"]

    def test_a_page_is_a_part_of_the_list(self, runs: RunStore) -> None:
        for minute in range(5):
            runs.save(record(f"aaa{minute}", minute))
        listed = [s["id"] for s in runs.list_runs()]
        assert [s["id"] for s in runs.list_runs(limit=2, offset=1)] == listed[1:3]
        assert runs.list_runs(limit=2, offset=5) == []
        assert runs.list_runs(limit=0) == []
        with pytest.raises(UsageError):
            runs.list_runs(offset=-1)

    def test_runs_are_filtered_by_strategy_and_instrument(self, runs: RunStore) -> None:
        runs.save(record("aaaa", 1))
        runs.save(record("bbbb", 2, on=["XNAS:AAPL/1m@2", "XNYS:SPY/1d@1"]))
        runs.save(record("cccc", 3, strategy="rsi"))

        def ids(**wanted: Any) -> list[str]:
            return [s["id"] for s in runs.list_runs(**wanted)]

        assert ids(strategy="ema_cross") == ["bbbb", "aaaa"]
        assert ids(instrument="XNYS:SPY") == ["cccc", "bbbb", "aaaa"]
        assert ids(instrument="XNAS:AAPL") == ["bbbb"]
        assert ids(instrument="XNYS:SPY", strategy="rsi") == ["cccc"]
        assert ids(instrument="XNYS:SP") == []
        assert ids(strategy="ema_cross", limit=1, offset=1) == ["aaaa"]

    def test_a_deleted_run_is_gone_and_can_be_saved_again(self, runs: RunStore) -> None:
        runs.save(record())
        runs.delete("7f3a91c2")
        assert runs.list_runs() == []
        runs.save(record())
        assert runs.load("7f3a91c2") == record()

    def test_deleting_takes_a_whole_id(self, runs: RunStore) -> None:
        runs.save(record())
        with pytest.raises(NotRecordedError):
            runs.delete("7f3a")

    @pytest.mark.parametrize(
        "bad",
        [
            RunRecord("../../x", {}),
            RunRecord("7F3A", {}),
            RunRecord("7f3a91c2", {"x": object()}),
            RunRecord("7f3a91c2", {"created": "yesterday"}),
            RunRecord("7f3a91c2", {}, {"../fills": {"size": [1]}}),
            RunRecord("7f3a91c2", {}, {"fills": {"size": [1], "price": [1, 2]}}),
            RunRecord("7f3a91c2", {}, {"fills": {"size": [1, "two"]}}),
            RunRecord("7f3a91c2", {}, {}, {"../../evil.txt": ""}),
            RunRecord("7f3a91c2", {}, {}, {".hidden": ""}),
        ],
    )
    def test_a_run_that_cannot_be_kept_changes_nothing(
        self, runs: RunStore, bad: RunRecord
    ) -> None:
        runs.save(record())
        with pytest.raises(UsageError):
            runs.save(bad)
        assert runs.load("7f3a91c2") == record()
        assert len(runs.list_runs()) == 1
