"""Pictures as PNG files: one run, and the heat map of a sweep."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray

from openbell.backtest import metrics
from openbell.backtest.result import RunResult
from openbell.market.bars import Bars
from openbell.market.columns import Floats
from openbell.market.counted import counted
from openbell.replay.tape import short_seal
from openbell.report import text
from openbell.report.timeline import Timeline, candles, thinned, timeline

UP, DOWN, BUY, SELL, EQUITY, BENCHMARK, WORDS, GRID = (
    "#26a69a", "#d9483b", "#1f5fd6", "#c26a00", "#1f5fd6", "#8a8f98", "#3a4048", "#e3e6ea",
)  # fmt: skip

_CANDLES_MAX = 2_500  # more than a picture has columns says nothing
_CURVE_MAX = 6_000
_DPI = 110
_TICKS_MAX = 12


def write_chart(result: RunResult, bars: Mapping[str, Bars], path: Path) -> None:
    """Write a run as a picture: price with fills, equity against the benchmark, drawdown.

    Parameters
    ----------
    bars
        The base bars of the run's range, by instrument; the price is that of the first.
    """
    line = timeline(result, bars)
    figure = Figure(figsize=(12, 8), dpi=_DPI, layout="constrained")
    price, equity, drawdown = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": (5, 3, 2)}
    )
    figure.suptitle(_title(result), x=0.03, ha="left", fontsize=13, fontweight="bold", color=WORDS)
    price.set_title(_subtitle(result), loc="left", fontsize=9, color=WORDS)
    for axes in (price, equity, drawdown):
        _dress(axes)
    if not len(line):
        price.text(0.5, 0.5, "nothing was played", transform=price.transAxes, ha="center")
    else:
        _draw_price(price, result, line, bars)
        _draw_money(equity, drawdown, result, line)
        _label_time(drawdown, result, line)
    _save(figure, path)


def _title(result: RunResult) -> str:
    name = text.title(result.config.strategy, result.config.parameters)
    if result.status == "done":
        return name
    return f"{name}: {result.status.upper()} {result.error}; figures are up to there"


def _subtitle(result: RunResult) -> str:
    m = result.metrics
    return (
        f"run {result.id} · {', '.join(result.pins)} · fills {result.config.fill}"
        f" · {text.costs(result.config.costs)}\ntotal return {text.percent(m.total_return)}"
        f" (benchmark {text.percent(m.benchmark_return)}) · Sharpe {text.number(m.sharpe)}"
        f" · max drawdown {text.percent(m.max_drawdown)} · {counted(m.round_trips, 'round trip')}"
        f" · seal {short_seal(result.seal)}"
    )


def _dress(axes: Any) -> None:
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=WORDS, labelsize=8, length=3)
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    for side in ("top", "left"):
        axes.spines[side].set_visible(False)
    for side in ("right", "bottom"):
        axes.spines[side].set_color(GRID)


def _draw_price(axes: Any, result: RunResult, line: Timeline, bars: Mapping[str, Bars]) -> None:
    if not bars:
        return
    name = next(iter(bars))
    found = candles(line, bars[name], _CANDLES_MAX)
    colors = np.where(found.close >= found.open, UP, DOWN).tolist()
    axes.add_collection(_strokes(found.x, found.low, found.high, colors, 0.7))
    width = 600 / max(len(found.x), 60)
    axes.add_collection(_strokes(found.x, found.open, found.close, colors, width))
    own = [fill for fill in result.fills if fill.instrument == name]
    place = line.place_of_fills(np.array([f.time_ns for f in own], np.int64), result.config.fill)
    size = np.array([fill.size for fill in own])
    at = np.array([fill.price for fill in own])
    for word, color, marker, chosen in (
        ("buy", BUY, "^", size > 0), ("sell", SELL, "v", size < 0),
    ):  # fmt: skip
        axes.scatter(place[chosen], at[chosen], s=18, c=color, marker=marker, label=word, zorder=3,
                     linewidths=0.4, edgecolors="white")  # fmt: skip
    axes.autoscale_view()
    axes.set_ylabel(name if found.each == 1 else f"{name}, {found.each} bars in one", color=WORDS)
    if own:
        _place_legend(axes)


def _place_legend(axes: Any) -> None:
    """Above the pane at the right, where it hides nothing."""
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize=8, frameon=False, ncols=2,
                borderaxespad=0.1)  # fmt: skip


def _strokes(x: Floats, low: Floats, high: Floats, colors: list[str], width: float) -> Any:
    ends = np.stack([np.column_stack([x, low]), np.column_stack([x, high])], axis=1)
    return LineCollection(list(ends), colors=colors, linewidths=width, capstyle="butt")


def _draw_money(equity: Any, drawdown: Any, result: RunResult, line: Timeline) -> None:
    money: Floats = result.equity.equity[line.row]
    at = thinned(line, money, _CURVE_MAX)
    equity.plot(at, result.benchmark[line.row][at], color=BENCHMARK, linewidth=1, label="benchmark")
    equity.plot(at, money[at], color=EQUITY, linewidth=1.4, label="equity")
    equity.set_ylabel("equity", color=WORDS)
    equity.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    _place_legend(equity)
    depths = metrics.drawdowns(result.cash_start, result.equity.equity)[line.row][at]
    drawdown.fill_between(at, depths, 0, color=DOWN, alpha=0.25, linewidth=0)
    drawdown.plot(at, depths, color=DOWN, linewidth=0.9)
    drawdown.set_ylabel("drawdown", color=WORDS)
    drawdown.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    drawdown.set_ylim(top=0)
    drawdown.set_xlim(-0.5, len(line) - 0.5)


def _label_time(axes: Any, result: RunResult, line: Timeline) -> None:
    """Labels at the first places of sessions, not too many."""
    begins = np.flatnonzero(np.diff(line.session, prepend=-1))
    chosen = begins[:: -(-len(begins) // _TICKS_MAX)]
    labels = dict(enumerate(s.label for s in result.sessions))
    axes.xaxis.set_major_locator(FixedLocator(chosen.tolist()))
    axes.set_xticklabels([labels.get(s, "") for s in line.session[chosen].tolist()])


def write_heat_map(  # noqa: PLR0913  # the figures, then how they read
    path: Path,
    grid: NDArray[np.float64],
    rows: tuple[str, Sequence[Any]],
    columns: tuple[str, Sequence[Any]],
    *,
    rank: str,
    title: str = "",
    least_is_best: bool = False,
) -> None:
    """Write a sweep over two parameters as a picture, the best cell framed.

    Parameters
    ----------
    grid : shape (rows, columns)
        The figure of each pair; NaN where there is no run, or nothing to say: left blank.
    rows, columns
        Each parameter's name and its values, in order.
    rank
        What the figure is called.
    least_is_best
        Whether the lowest figure is the best one: costs, for instance.
    """
    figure = Figure(figsize=(10, 6), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    reach = float(np.nanmax(np.abs(grid))) if np.isfinite(grid).any() else 1.0
    image = axes.imshow(
        grid, origin="lower", aspect="auto", cmap="RdBu", vmin=-reach or -1.0, vmax=reach or 1.0
    )
    _name_cells(axes, rows, columns)
    figure.colorbar(image, ax=axes, label=rank)
    best = _frame_best(axes, -grid if least_is_best else grid)
    told = "nothing to rank" if best is None else (
        f"best {rows[0]}={rows[1][best[0]]}, {columns[0]}={columns[1][best[1]]}:"
        f" {rank} {text.number(float(grid[best]))}"
    )  # fmt: skip
    axes.set_title(f"{title}\n{told}".strip(), loc="left", fontsize=10, color=WORDS)
    _save(figure, path)


def _name_cells(
    axes: Any, rows: tuple[str, Sequence[Any]], columns: tuple[str, Sequence[Any]]
) -> None:
    for set_label, set_ticks, (name, values) in (
        (axes.set_ylabel, axes.set_yticks, rows), (axes.set_xlabel, axes.set_xticks, columns),
    ):  # fmt: skip
        every = range(0, len(values), -(-len(values) // 24) or 1)
        set_label(name, color=WORDS)
        set_ticks(list(every), [str(values[i]) for i in every], fontsize=8)


def _frame_best(axes: Any, grid: NDArray[np.float64]) -> tuple[int, int] | None:
    from matplotlib.patches import Rectangle

    if not np.isfinite(grid).any():
        return None
    row, column = divmod(int(np.nanargmax(grid)), grid.shape[1])
    axes.add_patch(
        Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="black", linewidth=2)
    )
    return row, column


def _save(figure: Figure, path: Path) -> None:
    """Write it without a date or a program's name, so that equal runs give equal files."""
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png", metadata={"Software": None})
