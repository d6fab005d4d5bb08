from typing import Any

from rich.console import Console

from openbell.backtest.config import Costs, RunConfig
from openbell.backtest.figures import FIGURES
from openbell.report import tables
from tests.backtest.runs import run
from tests.report.spy import spy_run


def shown(what: Any, width: int = 400) -> str:
    console = Console(width=width, color_system=None, record=True, file=open_nothing())
    console.print(what)
    return console.export_text()


def open_nothing() -> Any:
    import io

    return io.StringIO()


def test_a_run_is_told_in_four_lines() -> None:
    lines = shown(tables.run_lines(spy_run().summary(), report="runs/7f3a/report.html")).split("\n")
    assert lines[0].split(" · ") == [
        " run 7f3a", "ema-cross(fast=12, slow=26)", "XNYS:SPY/1m@1", "8,970 bars", "23 sessions",
        "completeness 100.0 %", "fills next_open", "no costs!",
    ]  # fmt: skip
    assert lines[1] == (
        " total return  −0.25 %     Sharpe  −1.90     max drawdown  −0.68 %"
        "     round trips  158     win rate  32.3 %"
    ).replace("32.3 %", "32.28 %")
    assert lines[2] == " seal 0000…5c34 · 0.4 s · report runs/7f3a/report.html"
    assert lines[3] == "next: openbell verify 7f3a · openbell runs show 7f3a"


def test_a_failed_run_says_so_before_its_figures() -> None:
    summary = run([100.0], status="failed", error="ZeroDivisionError in cross.py:7").summary()
    lines = shown(tables.run_lines(summary)).split("\n")
    assert lines[1] == " failed: ZeroDivisionError in cross.py:7; figures are up to there"


def test_what_cannot_be_said_stands_as_a_dash() -> None:
    assert "Sharpe  –" in shown(tables.run_lines(run([100.0, 100.0]).summary()))


def test_costs_and_an_optimistic_fill_mode_are_said() -> None:
    config = RunConfig("x", ("XNYS:SPY/1m",), cash=100.0, fill="same_close",
                       costs=Costs(fee_rate=0.001))  # fmt: skip
    told = shown(tables.run_lines(run([100.0], config=config).summary()))
    assert "fills same_close (optimistic!) · 0.1 % of the money moved" in told
    assert "no costs!" not in told


def test_the_table_of_figures_has_every_figure_with_its_definition() -> None:
    told = shown(tables.metrics_table(spy_run().summary()))
    for figure in FIGURES.values():
        assert figure.label in told
        assert figure.says in told


def test_runs_are_listed_one_a_line() -> None:
    told = shown(tables.runs_table([spy_run().summary(), run([1.0], id="beef").summary()]))
    assert sum("7f3a" in line for line in told.splitlines()) == 1
    assert sum("beef" in line for line in told.splitlines()) == 1


def test_a_comparison_names_what_differs_and_only_that() -> None:
    summaries = [spy_run().summary(), spy_run(fast=5, id="beef").summary()]
    told = shown(tables.compare_table(summaries))
    assert "ema-cross(fast=5, slow=26)" in told
    assert "XNYS:SPY/1m@1" not in told
    assert "Sharpe ratio" in told


def test_markup_of_a_strategy_name_is_text_in_a_terminal() -> None:
    config = RunConfig("[bold]x[/bold]", ("XNYS:SPY/1m",), cash=100.0)
    told = shown(tables.run_lines(run([100.0], config=config).summary()))
    assert "[bold]x[/bold]()" in told
    assert "[bold]x" in shown(tables.runs_table([run([100.0], config=config).summary()]))


def test_the_notebook_snippet_escapes_what_it_was_told() -> None:
    config = RunConfig("<script>alert(1)</script>", ("XNYS:SPY/1m",), cash=100.0)
    html = tables.run_html(run([90.0], config=config, status="failed", error="<b>").summary())
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "&lt;b&gt;" in html
    assert "−10.00 %" in html
