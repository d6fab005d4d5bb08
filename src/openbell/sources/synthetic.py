"""The source named `synthetic`: made-up bars as if a file held them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from openbell.market.instrument import Series
from openbell.market.synthetic import Making, synthetic_bars
from openbell.ports import Parsed

NAME = "synthetic"


class SyntheticBars:
    """Makes up the bars of one series, and says so.

    Parameters
    ----------
    series
        What they are to be called.
    end_ns, count
        The last `count` bars that have ended by `end_ns`.
    making
        By which numbers.
    """

    def __init__(
        self, series: Series, end_ns: int, count: int, making: Making | None = None
    ) -> None:
        self._series = series
        self._end_ns = end_ns
        self._count = count
        self._making = making or Making()

    def files(self) -> Sequence[Path]:
        return ()

    def series(self) -> Sequence[Series]:
        return (self._series,)

    def parse(self) -> Iterator[Parsed]:
        bars = synthetic_bars(self._series, self._end_ns, self._count, self._making)
        yield Parsed(bars, NAME, len(bars), notes=("made up, no market data",))
