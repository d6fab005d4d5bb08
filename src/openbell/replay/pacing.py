"""Pacing: up to which moment a replay may go on now.

The horizon is a function of real time: where the clock of the sessions would stand at this
speed. Nobody has to move it; whoever wants to release a slice asks, and waits until it is due.
Pausing, stepping and seeking act between slices and leave no trace in the tape.
"""

from enum import IntFlag
from typing import Literal

from openbell.market.errors import CancelledError, UsageError
from openbell.market.moments import END_OF_TIME_NS, SECOND_NS, START_OF_TIME_NS
from openbell.market.progress import CancelToken
from openbell.replay.scheduler import Scheduler, Threads

Unit = Literal["slice", "bar", "session"]

_POLL_S = 0.1  # how soon a wait notices that somebody asked to cancel


class Mark(IntFlag):
    """What there is at a slice, as far as its pace is concerned."""

    ROLL = 0
    SLICE = 1
    BAR = 2
    CLOSE = 4
    DRY = 8  # no stream has anything more before the next close


_STEP_ENDS = {"slice": Mark.SLICE, "bar": Mark.BAR, "session": Mark.CLOSE}


class Rewind(BaseException):  # a request, not an error
    """Raised out of the release of slices when somebody asked to go back, or to change streams.

    Not an error: whoever loops over slices asks the system to `rewind`, and begins again.

    Attributes
    ----------
    to_ns
        The moment to go back to; None to go on from where it is, with other streams.
    """

    def __init__(self, to_ns: int | None) -> None:
        super().__init__(to_ns)
        self.to_ns = to_ns


class Pace:
    """How fast a replay goes, and whether it goes at all. Safe to use from any thread.

    Parameters
    ----------
    speed
        0: as fast as the data comes; else how many times real time.
    is_paused
        Whether it waits for `resume` or `step` before the first slice.
    end_of_data_s
        How many seconds of real time to wait for a close that no data comes before.
    close_grace_s
        How many seconds of session time to stay between a close and the next open.

    Attributes
    ----------
    is_paused
        Whether it is held.
    stays
        Whether the replay stays at its end, until somebody seeks back or stops it.
    is_over
        Whether it stands at its end.
    timer_expired
        Whether the last wait for a close was cut short, because all streams were dry.
    late, lateness_ns_max
        Slices released after they were due by more than 20 ms, and the most by which one was.
    """

    def __init__(
        self,
        speed: float = 0.0,
        scheduler: Scheduler | None = None,
        *,
        is_paused: bool = False,
        end_of_data_s: float = 60.0,
        close_grace_s: float = 60.0,
    ) -> None:
        self.is_paused = is_paused
        self.stays = False
        self.is_over = False
        self.timer_expired = False
        self.late = 0
        self.lateness_ns_max = 0
        self.cancel: CancelToken | None = None
        self._scheduler = scheduler or Threads()
        self._monitor = self._scheduler.monitor()
        self._speed = _speed(speed)
        self._end_of_data_ns = round(end_of_data_s * SECOND_NS)
        self._close_grace_ns = round(close_grace_s * SECOND_NS)
        self._at_ns = START_OF_TIME_NS  # of the last slice released, or where it begins
        self._session_ns, self._real_ns = 0, 0  # this session time is due at this real time
        self._opens_ns: int | None = None  # what comes next is this open, after a night
        self._budget: Mark | None = None  # a step goes on up to a slice with this mark
        self._until_ns: int | None = None  # seek: up to here without waiting
        self._back_ns: int | None = None
        self._dry_ns: int | None = None
        self._is_interrupted = False
        self._is_stopped = False

    # What a person or a program may do, at any moment

    @property
    def speed(self) -> float:
        """How many times real time; 0 as fast as the data comes."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        with self._monitor:
            self._anchor(self._reached_ns())
            self._speed = _speed(speed)
            self._monitor.notify_all()

    def pause(self) -> None:
        """Hold before the next slice. Nothing happens while it is held."""
        with self._monitor:
            self._anchor(self._reached_ns())
            self.is_paused = True
            self._budget = None

    def resume(self) -> None:
        """Go on."""
        with self._monitor:
            self._anchor(self._reached_ns())
            self.is_paused = False
            self._budget = None
            self._monitor.notify_all()

    def step(self, unit: Unit = "slice") -> None:
        """Release up to and including the next slice, bar or session's close; then hold."""
        if unit not in _STEP_ENDS:
            raise UsageError(f"a step of one {unit}", hint="step by slice, bar or session")
        with self._monitor:
            self._anchor(self._reached_ns())
            self.is_paused = True
            self._budget = _STEP_ENDS[unit]
            self._monitor.notify_all()

    def seek(self, to_ns: int) -> None:
        """Go to a moment, forward or back: all that is known by then is released, nothing later.

        On the way nobody waits, and everybody is called as usual; a held replay is held there.
        """
        with self._monitor:
            self._back_ns = to_ns if to_ns < self._at_ns else None
            self._until_ns = to_ns
            self._budget = None
            self._dry_ns = None
            self._monitor.notify_all()

    def interrupt(self) -> None:
        """Let streams be changed as soon as the present moment is over, held or not."""
        with self._monitor:
            self._is_interrupted = True
            self._monitor.notify_all()

    def stop(self) -> None:
        """Let nothing more go by: whoever waits for a slice gets a `CancelledError`."""
        with self._monitor:
            self._is_stopped = True
            self._monitor.notify_all()

    @property
    def horizon_ns(self) -> int:
        """Where the clock of the sessions stands: between two slices it goes on at the speed."""
        with self._monitor:
            return self._reached_ns()

    def due_ns(self, moment_ns: int) -> int:
        """The real time, of the scheduler, at which a moment is due; 0 at speed 0."""
        with self._monitor:
            if not self._speed:
                return 0
            if self._opens_ns is not None and moment_ns >= self._opens_ns:
                moment_ns -= self._opens_ns - self._night_from_ns()
            return self._real_ns + round((moment_ns - self._session_ns) / self._speed)

    # What the coordinator does

    def begin(self, moment_ns: int) -> None:
        """The sessions' clock stands at a moment now; up to it nothing waits."""
        with self._monitor:
            self._at_ns = moment_ns
            self._opens_ns = None
            self.is_over = False
            self._anchor(moment_ns)

    def end(self) -> None:
        """Everything was released; wait here if it `stays`. Raises as `admit`."""
        with self._monitor:
            self.is_over = True
            while self.stays:
                self._check(END_OF_TIME_NS)
                self._monitor.wait(_POLL_S)

    def cross_to(self, open_ns: int) -> None:
        """What comes next is this open: the night before it is left out, but for the grace."""
        with self._monitor:
            if self._at_ns == START_OF_TIME_NS:
                self.begin(open_ns)
            self._opens_ns = open_ns

    def admit(self, moment_ns: int, mark: Mark) -> None:
        """Wait until a slice may be released.

        Raises
        ------
        Rewind
            If somebody asked to go back.
        CancelledError
            If somebody asked to stop.
        """
        with self._monitor:
            if not mark & Mark.DRY:
                self._dry_ns = None
            while (wait_s := self._wait_s(moment_ns, mark)) is not None:
                self._monitor.wait(min(wait_s, _POLL_S))
            if moment_ns == self._opens_ns:
                self.begin(moment_ns)
            self._at_ns = moment_ns
            if self._until_ns is None and self._budget is not None and mark & self._budget:
                self._budget = None

    def _wait_s(self, moment_ns: int, mark: Mark) -> float | None:
        """How long to wait before asking again; None if the slice may go."""
        self._check(moment_ns)
        if self._until_ns is not None:
            if moment_ns <= self._until_ns:
                return None
            self._anchor(max(self._until_ns, self._at_ns))
            self._until_ns = None
        if self.is_paused:
            return None if self._budget is not None else _POLL_S
        if not self._speed:
            return None
        return self._early_s(moment_ns, mark)

    def _check(self, moment_ns: int) -> None:
        if self._is_stopped:
            raise CancelledError("the replay was stopped")
        if self.cancel is not None:
            self.cancel.check()
        if (back_ns := self._back_ns) is not None:
            self._back_ns = None
            raise Rewind(back_ns)
        # Between two moments that are no neighbours, so that one lies between them to begin at.
        if self._is_interrupted and moment_ns > self._at_ns + 1:
            self._is_interrupted = False
            raise Rewind(None)

    def _early_s(self, moment_ns: int, mark: Mark) -> float | None:
        now_ns = self._scheduler.now_ns()
        due_ns = self.due_ns(moment_ns)
        expires_ns = self._dry_until(now_ns, mark)
        if now_ns < min(due_ns, expires_ns):
            return (min(due_ns, expires_ns) - now_ns) / SECOND_NS
        self.timer_expired = expires_ns < due_ns
        if self.timer_expired:
            self._anchor(moment_ns)
        else:
            self._count_lateness(now_ns - due_ns)
        return None

    def _dry_until(self, now_ns: int, mark: Mark) -> int:
        """Until when a close that no data comes before is waited for."""
        if not mark & Mark.DRY:
            return END_OF_TIME_NS
        if self._dry_ns is None:
            self._dry_ns = now_ns + self._end_of_data_ns
        return self._dry_ns

    def _count_lateness(self, late_ns: int) -> None:
        self.late += late_ns > SECOND_NS // 50
        self.lateness_ns_max = max(self.lateness_ns_max, late_ns)

    def _reached_ns(self) -> int:
        if self.is_paused or self.is_over or not self._speed:
            return max(self._at_ns, self._session_ns)
        passed_ns = self._scheduler.now_ns() - self._real_ns
        return min(self._session_ns + round(passed_ns * self._speed), self._night_from_ns())

    def _night_from_ns(self) -> int:
        """From where on the night ahead is left out; the end of time if there is none ahead."""
        if self._opens_ns is None:
            return END_OF_TIME_NS
        return max(min(self._opens_ns, self._at_ns + self._close_grace_ns), self._session_ns)

    def _anchor(self, session_ns: int) -> None:
        self._session_ns = session_ns
        self._real_ns = self._scheduler.now_ns()


def _speed(speed: float) -> float:
    if not 0.0 <= speed < float("inf"):
        raise UsageError(f"a speed of {speed}", hint="0 is as fast as it goes, 1 real time, 60 …")
    return float(speed)
