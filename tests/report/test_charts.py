from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.image import imread

from openbell.report.charts import write_chart, write_heat_map
from tests.backtest.runs import fill, run
from tests.report.spy import SPY, spy_bars, spy_run


def colors(path: Path) -> set[tuple[int, int, int]]:
    r, g, b = np.moveaxis(np.rint(imread(path)[..., :3] * 255).astype(int), -1, 0)
    found = np.unique(r << 16 | g << 8 | b).tolist()
    return {(one >> 16, one >> 8 & 255, one & 255) for one in found}


def test_a_run_is_drawn_with_bars_fills_equity_and_drawdown(tmp_path: Path) -> None:
    write_chart(spy_run(), {SPY: spy_bars()}, tmp_path / "run.png")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    found = colors(tmp_path / "run.png")
    for name, color in {"up": (38, 166, 154), "down": (217, 72, 59), "buy": (31, 95, 214),
                        "sell": (194, 106, 0), "benchmark": (138, 143, 152)}.items():  # fmt: skip
        assert color in found, name


def test_equal_runs_give_equal_pictures(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        write_chart(spy_run(), {SPY: spy_bars()}, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_runs_with_little_in_them_are_drawn_too(tmp_path: Path) -> None:
    for number, result in enumerate((run([]), run([100.0]), run([100.0, 90.0], status="failed"))):
        write_chart(result, {}, tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").stat().st_size > 5_000


def test_a_fill_moves_pixels(tmp_path: Path) -> None:
    bare = replace(spy_run(), fills=[])
    write_chart(bare, {SPY: spy_bars()}, tmp_path / "bare.png")
    assert (194, 106, 0) not in colors(tmp_path / "bare.png")
    late = fill(1, -100, 130.0, time_ns=int(spy_run().equity.time_ns[500]))
    write_chart(replace(bare, fills=[late]), {SPY: spy_bars()}, tmp_path / "one.png")
    assert (194, 106, 0) in colors(tmp_path / "one.png")


def test_a_heat_map_is_drawn_with_holes_and_with_nothing(tmp_path: Path) -> None:
    grid = np.array([[1.0, -2.0, np.nan], [0.5, 3.0, 0.0]])
    rows, columns = ("fast", [5, 10]), ("slow", [20, 30, 40])
    write_heat_map(tmp_path / "a.png", grid, rows, columns, rank="sharpe", title="sweep 91c0")
    write_heat_map(tmp_path / "b.png", grid, rows, columns, rank="sharpe", title="sweep 91c0",
                   least_is_best=True)  # fmt: skip
    write_heat_map(tmp_path / "c.png", grid * np.nan, rows, columns, rank="sharpe")
    write_heat_map(tmp_path / "d.png", grid * 0, rows, columns, rank="sharpe")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()
    assert all((tmp_path / f"{name}.png").stat().st_size > 5_000 for name in "abcd")
