"""A session: one trading day of one venue, as its calendar has it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Session:
    """One trading day of one calendar. All stretches are half-open; all moments int64 ns UTC.

    Attributes
    ----------
    calendar
        Name of the calendar.
    label
        The date it is named by, ``2011-03-14``; overnight sessions are named by the day they
        end on.
    open_ns, close_ns
        Regular hours: ``open_ns <= t < close_ns``.
    pre_ns, post_ns
        Extended hours: ``pre_ns <= t < post_ns``; equal to open and close where there are none.
    breaks
        Stretches inside regular hours in which nothing trades (lunch, halts), in order.
    is_early_close
        Whether it closes before its usual time.
    """

    calendar: str
    label: str
    open_ns: int
    close_ns: int
    pre_ns: int
    post_ns: int
    breaks: tuple[tuple[int, int], ...] = ()
    is_early_close: bool = False
