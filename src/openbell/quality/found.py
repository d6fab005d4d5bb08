"""From the rows a check picks to findings: one of a kind a session, never a flood."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from openbell.market.columns import Floats, Ints
from openbell.market.moments import DAY_NS, iso
from openbell.quality.placed import Placed
from openbell.quality.report import Finding, Severity

Say = Callable[[int], tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Kind:
    """What kind of finding, and how grave."""

    name: str
    severity: Severity


ONE_BY_ONE = np.empty(0)


def per_session(
    placed: Placed, kind: Kind, picked: Ints, say: Say, badness: Floats = ONE_BY_ONE
) -> list[Finding]:
    """One finding for all picked bars of a session, speaking of its worst.

    Parameters
    ----------
    picked
        Positions of bars, increasing. Those in no session are put together by UTC day.
    say
        The message about a bar, and the figures behind it.
    badness : shape of `picked`
        Where to look for the worst; the first bar of a session stands for it when left out.

    Returns
    -------
    list of Finding
        In order of time; ``values["starts"]`` lists every bar when there are several.
    """
    return per_row(placed, placed.bars.start_ns, placed.row, kind, picked, say, badness)


def per_row(  # noqa: PLR0913, PLR0917  # the columns picked from, and what to say of them
    placed: Placed,
    start_ns: Ints,
    row: Ints,
    kind: Kind,
    picked: Ints,
    say: Say,
    badness: Floats = ONE_BY_ONE,
) -> list[Finding]:
    """As `per_session`, for rows of any columns; `row` is the calendar's session of each."""
    if not len(picked):
        return []
    key = np.where(row[picked] >= 0, row[picked], -2 - start_ns[picked] // DAY_NS)
    bounds = [0, *(np.flatnonzero(np.diff(key)) + 1).tolist(), len(picked)]
    found = []
    for lo, hi in pairwise(bounds):
        worst = int(picked[lo + (int(np.argmax(badness[lo:hi])) if len(badness) else 0)])
        message, values = say(worst)
        count = hi - lo
        if count > 1:
            message += f" (and {count - 1:,} more)"
            values = {**values, "starts": [iso(ns) for ns in start_ns[picked[lo:hi]].tolist()]}
        label = placed.label(int(row[worst]))
        start = int(start_ns[worst])
        found.append(Finding(kind.name, start, label, kind.severity, message, count, values))
    return found
