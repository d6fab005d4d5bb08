"""Candles in a terminal: a session drawn in characters, two steps of price to a line."""

from collections.abc import Sequence
from dataclasses import dataclass

from openbell.market.bars import Bar

_NONE, _WICK, _BODY = range(3)
# By what the upper and the lower half of a cell hold.
_CELLS = {
    (_NONE, _NONE): " ",
    (_WICK, _WICK): "│",
    (_BODY, _BODY): "┃",
    (_WICK, _BODY): "╽",
    (_BODY, _WICK): "╿",
    (_NONE, _WICK): "╷",
    (_WICK, _NONE): "╵",
    (_NONE, _BODY): "╻",
    (_BODY, _NONE): "╹",
}


@dataclass(frozen=True, slots=True)
class Candle:
    """What the bars of one column came to.

    Attributes
    ----------
    present, due
        How many bars there are, and how many should be there by now.
    """

    open: float
    high: float
    low: float
    close: float
    present: int
    due: int

    @property
    def is_rising(self) -> bool:
        """Whether it closes at or above its open."""
        return self.close >= self.open


Column = Candle | int  # bars that should be there by now, where none is


def columns(
    bars: Sequence[Bar], span_ns: tuple[int, int], now_ns: int, width: int, bar_ns: int
) -> list[Column]:
    """A session cut into columns of the same time each.

    Parameters
    ----------
    bars
        Of the session, in order.
    span_ns
        Its open and close.
    now_ns
        Up to when bars are due.
    bar_ns
        How long a bar is.
    """
    open_ns, close_ns = span_ns
    each = max(-(-(close_ns - open_ns) // (width * bar_ns)), 1) * bar_ns
    found: list[list[Bar]] = [[] for _ in range(-(-(close_ns - open_ns) // each))]
    for bar in bars:
        if open_ns <= bar.start_ns < close_ns:
            found[(bar.start_ns - open_ns) // each].append(bar)
    return [
        _column(
            some, _due(open_ns + k * each, min(open_ns + (k + 1) * each, close_ns), now_ns, bar_ns)
        )
        for k, some in enumerate(found)
    ]


def drawn(candles: Sequence[Column], height: int) -> list[list[tuple[str, bool]]]:
    """Lines of cells from the highest price down: a character, and whether it belongs to a rise."""
    shown = [c for c in candles if isinstance(c, Candle)]
    if not shown:
        return [[(" ", True)] * len(candles) for _ in range(height)]
    low, high = min(c.low for c in shown), max(c.high for c in shown)
    step = (high - low) / (2 * height) or 1.0
    return [[_cell(c, high - 2 * line * step, step) for c in candles] for line in range(height)]


def _cell(candle: Column, top: float, step: float) -> tuple[str, bool]:
    if not isinstance(candle, Candle):
        return " ", True
    halves = (_half(candle, top - step, top), _half(candle, top - 2 * step, top - step))
    return _CELLS[halves], candle.is_rising


def _half(candle: Candle, bottom: float, top: float) -> int:
    """What a candle has between two prices; a body without height still shows."""
    upper, lower = max(candle.open, candle.close), min(candle.open, candle.close)
    if (upper > bottom and lower < top) or (upper == lower and bottom <= upper <= top):
        return _BODY
    return _WICK if candle.high > bottom and candle.low < top else _NONE


def _due(begin_ns: int, end_ns: int, now_ns: int, bar_ns: int) -> int:
    return max((min(end_ns, now_ns) - begin_ns) // bar_ns, 0)


def _column(bars: Sequence[Bar], due: int) -> Column:
    if not bars:
        return due
    high, low = max(b.high for b in bars), min(b.low for b in bars)
    return Candle(bars[0].open, high, low, bars[-1].close, len(bars), due)
