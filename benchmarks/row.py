"""What a benchmark tells: one line of the table in ``docs/benchmarks.md``."""

from typing import NamedTuple


class Row(NamedTuple):
    """One figure. `target` is the same unit, written as a bound: ``≥ 3 M``; empty without one."""

    group: str
    what: str
    figure: float
    unit: str
    target: str
    command: str
