"""A table in memory as if it were a file."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from openbell.market.instrument import Series
from openbell.ports import Parsed
from openbell.sources.files import require_one_of
from openbell.sources.tables import Reading, parse_frame


class FrameSource:
    """Reads one data frame; columns are recognised by their names, as those of Parquet files.

    Parameters
    ----------
    frame
        The rows.
    series
        What they are.
    zone, stamp, columns, check_spacing
        As of Parquet files.
    """

    def __init__(
        self,
        frame: pl.DataFrame,
        *,
        series: Series,
        zone: str = "",
        stamp: Literal["open", "close"] = "open",
        columns: Mapping[str, str] | None = None,
        check_spacing: bool = True,
    ) -> None:
        require_one_of("stamp", stamp, ("open", "close"))
        self._frame = frame
        self._columns = dict(columns or {})
        self._reading = Reading(
            series=series,
            zone=zone,
            is_close_stamped=stamp == "close",
            checks_spacing=check_spacing,
        )

    def files(self) -> Sequence[Path]:
        return ()

    def series(self) -> Sequence[Series]:
        return (self._reading.series,)

    def parse(self) -> Iterator[Parsed]:
        yield parse_frame("the table", self._frame, self._columns, self._reading)
