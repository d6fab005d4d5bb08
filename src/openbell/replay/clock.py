"""The one time of a running system, and the one handle that moves it."""

from typing import Protocol

import numpy as np

from openbell.market.columns import Ints


class Cursor(Protocol):
    """Where the clock stands, to read: the slice of the present chunk that is now."""

    @property
    def slice(self) -> int:
        """Position of the slice; everything up to it is known."""
        ...


class Hand:
    """The clock's write handle; the coordinator holds it, nobody else.

    Releasing a slice changes one integer, `slice`: the time, and everything else that is known,
    are columns read at that position.

    Attributes
    ----------
    times_ns : int64, shape (slices,)
        The moment of every slice of the chunk being played.
    slice
        Which of them is now; -1 before the first.
    """

    __slots__ = ("slice", "times_ns")

    def __init__(self, start_ns: int) -> None:
        self.times_ns: Ints = np.array([start_ns], np.int64)
        self.slice = 0


class Clock:
    """Tells the time of a running system. Moving it takes its `Hand`."""

    __slots__ = ("_hand",)

    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    @property
    def cursor(self) -> Cursor:
        """Where the clock stands, for hot reads of columns."""
        return self._hand

    def now(self) -> int:
        """Nanoseconds since 1970-01-01 UTC: in a callback, exactly the slice's moment."""
        return self._hand.times_ns.item(self._hand.slice)
