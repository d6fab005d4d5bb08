"""The pictures of the page: price with fills, equity against the benchmark, drawdown; one x axis.

Time labels and the y range of what is in view are set by ``templates/page.js``, which knows the
models by their tags: nothing here is a script, so a strict content policy holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from bokeh.layouts import gridplot
from bokeh.models import (
    BoxZoomTool,
    ColumnDataSource,
    CrosshairTool,
    HoverTool,
    LinearColorMapper,
    NumeralTickFormatter,
    PanTool,
    Range1d,
    ResetTool,
    SaveTool,
    WheelZoomTool,
)
from bokeh.models.annotations import Span
from bokeh.plotting import figure

from openbell.backtest import metrics
from openbell.backtest.orders import Fill
from openbell.backtest.result import RunResult
from openbell.market.bars import Bars
from openbell.market.columns import Floats, Ints
from openbell.report.timeline import Candles, Timeline, candles, local_ms, thinned, timeline

CANDLES_MAX = 10_000  # together, over all instruments drawn
CURVE_MAX = 10_000
FILLS_MAX = 3_000
INSTRUMENTS_MAX = 4

# Middle tones, so that one set is read on light and dark pages alike. Up and down differ in
# lightness too, for those who cannot tell red from green.
UP, DOWN, BUY, SELL, EQUITY, BENCHMARK, WORDS = (
    "#26a69a", "#d9483b", "#3b82f6", "#e08a00", "#3b82f6", "#8a8f98", "#7b818b",
)  # fmt: skip

_TIME = "@time{%F %T}"


@dataclass
class Pictures:
    """The pictures of a run, and what was left out of them, in words.

    Attributes
    ----------
    layout
        Bokeh's model; None when the run played nothing.
    axis
        JSON-ready, for ``page.js``: the first place and the label of each session.
    notes
        What the pictures do not show in full.
    """

    layout: Any = None
    axis: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def draw(result: RunResult, bars: Mapping[str, Bars]) -> Pictures:
    """The pictures of a run; `bars` are those of its range, by instrument."""
    line = timeline(result, bars)
    if not len(line):
        return Pictures(notes=["nothing was played, so there is nothing to draw"])
    pictures = Pictures(axis=_axis(result, line))
    board = _Board(result, line)
    drawn = list(bars)[:INSTRUMENTS_MAX]
    if len(bars) > len(drawn):
        pictures.notes.append(f"prices of {len(drawn)} of {len(bars)} instruments are drawn")
    rows = [
        board.price(name, bars[name], CANDLES_MAX // len(drawn), pictures.notes) for name in drawn
    ]
    rows += board.money(pictures.notes)
    pictures.layout = gridplot(
        [[row] for row in rows], sizing_mode="stretch_width", merge_tools=True,
        toolbar_location="right", toolbar_options={"logo": None},
    )  # fmt: skip
    return pictures


class _Board:
    """What the panes share: the x range, the crosshair, the run."""

    def __init__(self, result: RunResult, line: Timeline) -> None:
        self.result, self.line = result, line
        self.x = Range1d(start=-0.5, end=len(line) - 0.5, bounds=(-0.5, len(line) - 0.5))
        self.x.min_interval = 5
        self.cross = Span(dimension="height", line_width=1, line_color="#8a8f98", line_alpha=0.6)

    def pane(self, height: int, fit: list[str]) -> Any:
        """An empty pane: x linked, tools of its own; its y range fits the columns named."""
        made = figure(
            height=height, x_range=self.x, y_range=Range1d(start=0, end=1), tools=[], tags=fit,
            background_fill_alpha=0, border_fill_alpha=0, outline_line_color=None,
            y_axis_location="right", min_border_left=4, min_border_right=70,
        )  # fmt: skip
        zoom = BoxZoomTool(dimensions="width")
        wheel = WheelZoomTool(dimensions="width", modifiers={"ctrl": True})
        made.add_tools(
            zoom, wheel, PanTool(dimensions="width"), ResetTool(), SaveTool(),
            CrosshairTool(overlay=(self.cross, Span(dimension="width", line_alpha=0.25))),
        )  # fmt: skip
        made.toolbar.active_drag, made.toolbar.active_scroll = zoom, wheel
        made.xaxis.tags = ["time"]
        made.xaxis.minor_tick_line_color = None
        made.yaxis.minor_tick_line_color = None
        made.axis.axis_label_text_font_style = "normal"
        for axis in made.axis:
            axis.axis_label_text_color = axis.major_label_text_color = WORDS
            axis.axis_line_color = axis.major_tick_line_color = WORDS
        made.grid.grid_line_color, made.grid.grid_line_alpha = WORDS, 0.2
        return made

    def price(self, name: str, bars: Bars, most: int, notes: list[str]) -> Any:
        """One instrument: bars, fills, and a line from entry to exit of each round trip."""
        found = candles(self.line, bars, most)
        pane = self.pane(340, ["low", "high"])
        pane.yaxis.axis_label = name
        if found.each > 1:
            notes.append(
                f"{name}: each bar drawn stands for up to {found.each} bars of {bars.series}"
            )
        self._bars(pane, found)
        own = [fill for fill in self.result.fills if fill.instrument == name]
        if len(own) > FILLS_MAX:
            notes.append(
                f"{name}: the first {FILLS_MAX:,} of {len(own):,} fills are drawn, and their"
                " round trips"
            )
        self._fills(pane, own[:FILLS_MAX])
        self._round_trips(pane, name, own[:FILLS_MAX])
        _place_legend(pane)
        return pane

    def _bars(self, pane: Any, found: Candles) -> None:
        source = ColumnDataSource({
            "x": found.x, "width": found.width * 0.7, "time": self.line.local_ms[found.place],
            "open": found.open, "high": found.high, "low": found.low, "close": found.close,
            "middle": (found.open + found.close) / 2, "height": np.abs(found.open - found.close),
            "volume": found.volume.astype(np.float32),
            "up": (found.close >= found.open).astype(np.uint8),
        })  # fmt: skip
        color = {"field": "up", "transform": LinearColorMapper(palette=[DOWN, UP], low=0, high=1)}
        pane.segment("x", "high", "x", "low", source=source, color=color)
        # Rectangles, and not the library's bars: those pile up at the edge when out of view.
        pane.rect("x", "middle", "width", "height", source=source, fill_color=color,
                  line_color=color)  # fmt: skip
        ohlc = [(word, f"@{word}{{0,0.00[000000]}}") for word in ("open", "high", "low", "close")]
        rows = [("bar known at", _TIME), *ohlc, ("volume", "@volume{0,0.[00]}")]
        pointed_at = pane.line("x", "close", source=source, line_alpha=0)
        pane.add_tools(HoverTool(renderers=[pointed_at], tooltips=rows, mode="vline",
                                 formatters={"@time": "datetime"}))  # fmt: skip

    def _round_trips(self, pane: Any, name: str, fills: list[Fill]) -> None:
        """A dotted line from entry to exit of each, coloured by what it brought."""
        if not fills:
            return
        last_ns = fills[-1].time_ns
        trips = [
            t for t in self.result.round_trips if t.instrument == name and t.exit_ns <= last_ns
        ]
        for color, chosen in (
            (UP, [t for t in trips if t.profit > 0]),
            (DOWN, [t for t in trips if t.profit <= 0]),
        ):
            source = ColumnDataSource({
                "x0": self._places([t.entry_ns for t in chosen]),
                "x1": self._places([t.exit_ns for t in chosen]),
                "y0": np.array([t.entry_price for t in chosen]),
                "y1": np.array([t.exit_price for t in chosen]),
            })  # fmt: skip
            pane.segment("x0", "y0", "x1", "y1", source=source, color=color, line_width=2,
                         line_alpha=0.7, line_dash="dotted")  # fmt: skip

    def _fills(self, pane: Any, fills: list[Fill]) -> None:
        for word, color, marker, sign in (
            ("buy", BUY, "triangle", 1),
            ("sell", SELL, "inverted_triangle", -1),
        ):
            chosen = [f for f in fills if f.size * sign > 0]
            if not chosen:
                continue
            marks = pane.scatter(
                "x", "price", source=self._fill_source(chosen), marker=marker, size=8, color=color,
                line_color="#ffffff", line_width=0.5, fill_alpha=0.9, legend_label=word,
            )  # fmt: skip
            pane.add_tools(HoverTool(
                renderers=[marks], formatters={"@time": "datetime"},
                tooltips=[(word, "@size{0,0.[00000000]} at @price{0,0.00[000000]}"),
                          ("filled at", _TIME), ("order", "@order @tag"),
                          ("fee", "@fee{0,0.00[00]}")],
            ))  # fmt: skip

    def _fill_source(self, fills: list[Fill]) -> ColumnDataSource:
        tags = {order.number: order.tag for order in self.result.orders}
        times = np.array([f.time_ns for f in fills], np.int64)
        return ColumnDataSource({
            "x": self.line.place_of_fills(times, self.result.config.fill).astype(np.int32),
            "time": local_ms(times, self.line.zone),
            "price": np.array([f.price for f in fills]),
            "size": np.array([abs(f.size) for f in fills]),
            "fee": np.array([f.fee for f in fills]),
            "order": np.array([f.order for f in fills], np.int32),
            "tag": [tags.get(f.order, "") for f in fills],
        })  # fmt: skip

    def _places(self, times: list[int]) -> Ints:
        moments = np.array(times, np.int64)
        return self.line.place_of_fills(moments, self.result.config.fill).astype(np.int32)

    def money(self, notes: list[str]) -> list[Any]:
        """Equity against the benchmark, and drawdown."""
        line, result = self.line, self.result
        depths = metrics.drawdowns(result.cash_start, result.equity.equity)[line.row]
        equity: Floats = result.equity.equity[line.row]
        at = thinned(line, equity, CURVE_MAX)
        if len(at) < len(line):
            notes.append(
                f"equity: {len(at):,} of {len(line):,} moments are drawn, all lows and highs kept"
            )
        source = ColumnDataSource({
            "x": at.astype(np.int32), "time": line.local_ms[at], "equity": equity[at],
            "benchmark": result.benchmark[line.row][at],
            "drawdown": depths[at].astype(np.float32),
        })  # fmt: skip
        return [self._equity(source), self._drawdown(source)]

    def _equity(self, source: ColumnDataSource) -> Any:
        pane = self.pane(220, ["equity", "benchmark"])
        pane.yaxis.axis_label = "equity"
        pane.yaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
        for name, color, width in (("benchmark", BENCHMARK, 1), ("equity", EQUITY, 1.5)):
            pane.line("x", name, source=source, color=color, line_width=width,
                      legend_label=name)  # fmt: skip
        _place_legend(pane)
        rows = [("at", _TIME), ("equity", "@equity{0,0.00}"), ("benchmark", "@benchmark{0,0.00}"),
                ("drawdown", "@drawdown{0.00 %}")]  # fmt: skip
        pane.add_tools(HoverTool(renderers=pane.renderers[-1:], tooltips=rows, mode="vline",
                                 formatters={"@time": "datetime"}))  # fmt: skip
        return pane

    def _drawdown(self, source: ColumnDataSource) -> Any:
        pane = self.pane(140, ["drawdown", "zero"])
        pane.yaxis.axis_label = "drawdown"
        pane.yaxis.formatter = NumeralTickFormatter(format="0.00 %")
        area = pane.varea("x", "drawdown", 0, source=source, fill_color=DOWN, fill_alpha=0.25)
        area.level = "underlay"
        curve = pane.line("x", "drawdown", source=source, color=DOWN)
        rows = [("at", _TIME), ("drawdown", "@drawdown{0.00 %}"), ("equity", "@equity{0,0.00}")]
        pane.add_tools(HoverTool(renderers=[curve], tooltips=rows, mode="vline",
                                 formatters={"@time": "datetime"}))  # fmt: skip
        return pane


def _place_legend(pane: Any) -> None:
    """Above the pane, where it hides nothing; a click on an entry hides what it names."""
    for legend in list(pane.legend):
        legend.orientation, legend.click_policy, legend.location = "horizontal", "hide", "left"
        legend.background_fill_alpha, legend.border_line_alpha = 0, 0
        legend.label_text_color, legend.padding, legend.margin = WORDS, 0, 2
        pane.center.remove(legend)
        pane.add_layout(legend, "above")


def _axis(result: RunResult, line: Timeline) -> dict[str, Any]:
    """First place and label of every session on the axis; one that broke off may have no label."""
    begins = np.flatnonzero(np.diff(line.session, prepend=-1))
    labels = dict(enumerate(s.label for s in result.sessions))
    named = [labels.get(s, "") for s in line.session[begins].tolist()]
    return {"begins": begins.tolist(), "labels": named}
