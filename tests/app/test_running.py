from pathlib import Path
from typing import Any

import polars as pl
import pytest

import openbell as ob
from openbell.market.errors import NotRecordedError, UsageError
from openbell.market.progress import CancelToken

STRATEGY = """
import openbell as ob


class {name}(ob.Strategy):
    n: int = 5

    def on_bar(self, ctx, bar):
        ctx.target(bar.instrument, 1 if bar.close > bar.open else 0)
"""


@pytest.fixture
def lake(spy_lake: Path) -> ob.Lake:
    return ob.open_lake(spy_lake)


def run(lake: ob.Lake, **more: Any) -> ob.Run:
    span: dict[str, Any] = {"start": "2011-03-14", "end": "2011-03-17"}
    return ob.backtest("ema-cross", "XNYS:SPY/1m", lake=lake, **{**span, **more})


def test_a_run_gives_figures_tables_and_a_seal(lake: ob.Lake) -> None:
    found = run(lake)
    assert found.status == "done"
    assert len(found.equity.to_pandas()) == len(found.equity.to_polars()) == len(found.equity)
    assert len(found.trades) == found.metrics.round_trips
    assert len(found.seal) == 64
    assert found.table("sessions")["label"] == ["2011-03-14", "2011-03-15", "2011-03-16"]


def test_an_unknown_table_is_named_with_those_there_are(lake: ob.Lake) -> None:
    with pytest.raises(UsageError, match="no table `trades`") as raised:
        run(lake).table("trades")
    assert "round_trips" in raised.value.hint


def test_the_same_numbers_in_another_form_are_the_same_run(lake: ob.Lake) -> None:
    whole, fraction = run(lake, cash=50_000, size=10), run(lake, cash=50_000.0, size=10.0)
    assert (whole.id, whole.seal) == (fraction.id, fraction.seal)


def test_a_class_an_instance_and_a_name_are_the_same_strategy(lake: ob.Lake) -> None:
    from openbell.backtest.catalog import built_in

    cls = built_in()["ema_cross"]
    span: dict[str, Any] = {"start": "2011-03-14", "end": "2011-03-15"}
    runs = [
        ob.backtest(given, "XNYS:SPY/1m", lake=lake, parameters={"fast": 9}, **span)
        for given in ("ema-cross", cls, cls(slow=26))
    ]
    assert len({one.seal for one in runs}) == 1


def test_a_saved_run_is_verified_by_the_beginning_of_its_id(lake: ob.Lake) -> None:
    found = run(lake)
    folder = found.save("runs")
    assert folder == Path("runs") / found.id
    assert {p.name for p in (folder / "files").iterdir()} >= {"config.json", "report.html"}
    assert ob.verify(found.id[:5], lake=lake, runs="runs").is_same
    assert ob.verify(found).is_same


def test_verification_stands_on_the_versions_of_the_run(spy_lake: Path) -> None:
    lake = ob.open_lake(":memory:")
    lake.write(ob.open_lake(spy_lake).bars("XNYS:SPY/1m", "2011-03-14", "2011-03-15"))
    found = ob.backtest("ema-cross", "XNYS:SPY/1m", lake=lake)
    lake.write(ob.open_lake(spy_lake).bars("XNYS:SPY/1m", "2011-03-15", "2011-03-16"))
    assert ob.verify(found).is_same
    assert ob.backtest("ema-cross", "XNYS:SPY/1m", lake=lake).seal != found.seal


def test_changed_code_is_named_with_the_first_decision_that_differs(lake: ob.Lake) -> None:
    file = Path("mine.py")
    file.write_text(STRATEGY.format(name="Mine"))
    span: dict[str, Any] = {"start": "2011-03-14", "end": "2011-03-15"}
    found = ob.backtest("mine.py", "XNYS:SPY/1m", lake=lake, **span)
    found.save("runs", report=False)
    file.write_text(STRATEGY.format(name="Mine").replace("bar.close > bar.open", "False"))
    answer = ob.verify(found.id, lake=lake, runs="runs")
    assert not answer.is_same
    assert "order 1: was buy 100, now none (strategy code changed: 1 file)" in answer.text


def test_a_strategy_whose_file_is_gone_cannot_be_verified(lake: ob.Lake) -> None:
    Path("mine.py").write_text(STRATEGY.format(name="Gone"))
    found = ob.backtest("mine.py", "XNYS:SPY/1m", lake=lake, start="2011-03-31")
    found.save("runs", report=False)
    Path("mine.py").unlink()
    with pytest.raises(NotRecordedError, match=r"mine\.py:Gone of run .* is not there"):
        ob.verify(found.id, lake=lake, runs="runs")


def test_settings_of_the_process_reach_the_run(
    lake: ob.Lake, spy_lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_HISTORICAL_BAR_TYPES", "5m")
    config = run(ob.open_lake(spy_lake)).result.config
    assert config.derived == ("5m",)
    assert run(lake).result.config.derived == ()


def test_a_sweep_is_a_table_a_picture_and_a_best(lake: ob.Lake) -> None:
    grid: dict[str, Any] = {"fast": [5, 8], "slow": "20:40:10", "average": "ema,sma"}
    found = ob.sweep(
        "ema-cross", "XNYS:SPY/1m", grid, lake=lake, start="2011-03-14", end="2011-03-17"
    )
    assert len(found.table) == 12
    assert found.best["sharpe"] == max(found.table["sharpe"])
    table, picture = found.save("sweeps")
    assert pl.read_parquet(table).height == 12
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_sweep_over_one_parameter_has_no_picture(lake: ob.Lake) -> None:
    found = ob.sweep("ema-cross", "XNYS:SPY/1m", {"fast": "5:7"}, lake=lake, start="2011-03-31")
    assert [file.suffix for file in found.save("sweeps")] == [".parquet"]
    with pytest.raises(UsageError, match="two parameters"):
        found.heat_map("sweep.png")


def test_the_best_of_a_sweep_is_that_run(lake: ob.Lake) -> None:
    span: dict[str, Any] = {"start": "2011-03-14", "end": "2011-03-17"}
    found = ob.sweep("ema-cross", "XNYS:SPY/1m", {"fast": "5:9"}, lake=lake, **span)
    alone = run(lake, parameters={"fast": found.best["fast"]})
    assert alone.metrics.sharpe == pytest.approx(found.best["sharpe"], rel=1e-12)


def test_results_show_themselves_in_a_notebook(lake: ob.Lake) -> None:
    found = run(lake)
    assert found.id in found._repr_html_()
    assert found.id in repr(found)
    assert "<table" in found.trades._repr_html_()
    assert "<table" in lake.check("XNYS:SPY/1m")._repr_html_()
    swept = ob.sweep("ema-cross", "XNYS:SPY/1m", {"fast": "5:6"}, lake=lake, start="2011-03-31")
    assert swept.id in swept._repr_html_()


def test_a_replay_gives_slices_of_several_instruments(lake: ob.Lake) -> None:
    at = ob.open_lake(":memory:")
    bars = lake.bars("XNYS:SPY/1m", "2011-03-14", "2011-03-15")
    at.write(bars)
    at.write(bars, "XNAS:QQQ/1m")
    seen = [(s.time, sorted(s)) for s in ob.replay(["XNYS:SPY", "XNAS:QQQ"], lake=at)]
    assert len(seen) == 390
    assert {tuple(names) for _, names in seen} == {("XNAS:QQQ", "XNYS:SPY")}


def test_a_paced_replay_keeps_to_its_pace(lake: ob.Lake) -> None:
    system = ob.replay("XNYS:SPY", lake=lake, start="2011-03-14", end="2011-03-15", speed=600_000)
    assert sum(1 for _ in system) == 390
    assert system.pace is not None
    assert system.pace.speed == 600_000


def test_extended_hours_are_played_when_asked(lake: ob.Lake) -> None:
    span: dict[str, Any] = {"start": "2011-03-14", "end": "2011-03-15"}
    assert sum(1 for _ in ob.replay("XNYS:SPY", lake=lake, **span)) == 390
    assert sum(1 for _ in ob.replay("XNYS:SPY", lake=lake, hours="extended", **span)) == 791


def test_a_run_interrupted_before_a_session_closed_is_not_verified(
    lake: ob.Lake, tmp_path: Path
) -> None:
    token = CancelToken()
    token.cancel()
    stopped = run(lake, cancel=token)
    stopped.save(tmp_path / "elsewhere", report=False)

    found = ob.verify(stopped.id, lake=lake, runs=tmp_path / "elsewhere")

    assert not found.is_same
    assert found.text.startswith("nothing to verify")
