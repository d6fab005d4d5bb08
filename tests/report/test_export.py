import csv
from pathlib import Path

import numpy as np
import orjson
import pytest

from openbell.backtest.orders import Outcome
from openbell.market.errors import UsageError
from openbell.market.moments import iso
from openbell.report import export
from tests.backtest.runs import fill, run
from tests.report.spy import spy_run


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_json_gives_back_every_number_of_the_run() -> None:
    result = spy_run()
    found = orjson.loads(export.to_json(result))
    assert found["seal"] == result.seal
    assert found["metrics"]["sharpe"] == result.metrics.sharpe
    assert found["tables"]["equity"]["equity"] == result.equity.equity.tolist()
    assert found["tables"]["fills"]["price"] == [f.price for f in result.fills]
    assert found["tables"]["round_trips"]["profit"] == [t.profit for t in result.round_trips]


def test_json_has_null_for_what_cannot_be_said() -> None:
    found = orjson.loads(export.to_json(run([100.0, 100.0], benchmark=[np.nan, 1.0])))
    assert found["metrics"]["sharpe"] is None
    assert found["tables"]["equity"]["benchmark"] == [None, 1.0]
    assert found["tables"]["fills"]["price"] == []


def test_equal_runs_give_equal_bytes() -> None:
    assert export.to_json(spy_run()) == export.to_json(spy_run())


def test_csv_files_hold_every_row_with_moments_to_the_nanosecond(tmp_path: Path) -> None:
    result = spy_run()
    files = export.write_csv(result, tmp_path / "tables")
    assert [f.name for f in files] == [f"{name}.csv" for name in export.tables(result)]
    fills = rows(tmp_path / "tables" / "fills.csv")
    assert len(fills) == len(result.fills)
    assert fills[0]["time"].removesuffix(".000000000Z") + "Z" == iso(result.fills[0].time_ns)
    assert float(fills[-1]["price"]) == result.fills[-1].price
    assert len(rows(tmp_path / "tables" / "equity.csv")) == len(result.equity)
    trips = rows(tmp_path / "tables" / "round_trips.csv")
    assert sum(float(t["profit"]) for t in trips) == pytest.approx(
        sum(t.profit for t in result.round_trips)
    )


def test_texts_with_commas_quotes_and_lines_come_back_whole(tmp_path: Path) -> None:
    said = 'no cash, "really"\nnext line'
    result = run([100.0], outcomes=[Outcome(1, 5, "rejected", said)], fills=[fill(1, 1, 10.0)])
    export.write_csv(result, tmp_path)
    (row,) = rows(tmp_path / "outcomes.csv")
    assert row["reason"] == said
    assert row["time"] == "1970-01-01T00:00:00.000000005Z"


def test_a_run_without_orders_gives_tables_with_headings_only(tmp_path: Path) -> None:
    export.write_csv(run([100.0]), tmp_path)
    assert (tmp_path / "fills.csv").read_text().startswith("order,time,session,instrument,size")
    assert rows(tmp_path / "fills.csv") == []


def test_a_run_goes_to_a_file_or_a_folder_and_writes_over_nothing_unasked(tmp_path: Path) -> None:
    result = run([100.0, 101.0])
    file, folder = tmp_path / "new" / "run.json", tmp_path / "tables"

    assert export.write(result, file) == [file]
    assert file.read_bytes() == export.to_json(result)
    assert {path.stem for path in export.write(result, folder)} == set(export.tables(result))
    for place in (file, folder):
        with pytest.raises(UsageError, match="is there already"):
            export.write(result, place)
        assert export.write(result, place, force=True)
