"""A scheduler that decides from a seed who runs next and when a wait ends.

The code under test runs on real threads, but one at a time: at every lock, wait, notice and look
at the time, the one that runs may have to hand the baton to another. Time passes only when all
wait, or by a little at random. The same seed gives the same run; if all wait for nothing that
can come, that is a dead-lock, and the names of the waiting are told.
"""

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from openbell.market.moments import SECOND_NS

_NEVER = 2**63
_REAL_LIMIT_S = 600.0  # if the simulation itself hangs; compiling may take a while
_MOST_SWITCHES = 100_000  # some hundred are usual
PART = 125  # seeds in one test


class DeadlockError(AssertionError):
    """Everybody waits, and nothing can wake anybody; or they go on and on."""


def seeds(variable: str) -> range:
    """2,000, or those an environment variable asks for: ``10000`` or ``first:end``."""
    first, _, end = os.environ.get(variable, "2000").rpartition(":")
    return range(int(first or 0), int(end))


def parts(whole: range) -> list[range]:
    """The seeds in parts, so that tests of several may run beside each other."""
    return [whole[k : k + PART] for k in range(0, len(whole), PART)]


@contextmanager
def again(seed: int, variable: str, file: str) -> Iterator[None]:
    """If it goes wrong: which seed it was, and the command that plays it again."""
    try:
        yield
    except BaseException as error:
        only = f"{variable}={seed}:{seed + 1}"
        error.add_note(f"seed {seed}; again: {only} .venv/bin/python -m pytest {file}")
        raise


class Actor:
    """One thread of a simulation; also the `Worker` that its starter holds."""

    def __init__(self, name: str, simulation: "Simulation") -> None:
        self.name = name
        self.baton = threading.Semaphore(0)
        self.blocked: Callable[[], bool] = lambda: False
        self.wakes_ns = _NEVER
        self.is_done = False
        self._simulation = simulation

    def is_alive(self) -> bool:
        return not self.is_done

    def join(self, timeout: float | None = None) -> None:
        self._simulation.wait_until(lambda: self.is_done, timeout)


class Simulation:
    """A `Scheduler` whose every choice comes from a seed.

    Use it as a context: leaving it ends all threads that are left.
    """

    def __init__(self, seed: int, *, restless: float = 0.3) -> None:
        self.chance = random.Random(seed)
        self.seed = seed
        self.switches = 0
        self.errors: list[BaseException] = []
        self._restless = restless  # how often somebody has to hand over without need
        self._now_ns = 1_000 * SECOND_NS
        self._running = Actor("main", self)
        self._actors = [self._running]
        self._is_over = False
        self._locked = ""  # what is wrong, once it is

    def __enter__(self) -> "Simulation":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        left = [actor.name for actor in self._actors[1:] if not actor.is_done]
        self._is_over = True
        for actor in self._actors[1:]:
            actor.baton.release()
        if kind is None:
            assert not self.errors, f"seed {self.seed}: {self.errors[0]!r}"
            assert not left, f"seed {self.seed}: {', '.join(left)} still at work"

    # Scheduler

    def now_ns(self) -> int:
        self._maybe_switch()
        return self._now_ns

    def monitor(self) -> "SimulatedMonitor":
        return SimulatedMonitor(self)

    def start(self, name: str, work: Callable[[], None]) -> Actor:
        actor = Actor(name, self)
        self._actors.append(actor)
        threading.Thread(target=self._live, args=(actor, work), name=name, daemon=True).start()
        self._maybe_switch()
        return actor

    # Inside

    @property
    def me(self) -> Actor:
        return self._running

    def sleep(self, seconds: float) -> None:
        self.wait_until(lambda: False, seconds)

    def wait_until(self, is_met: Callable[[], bool], timeout_s: float | None = None) -> None:
        """Let others run until something holds, or the time is over."""
        if self._is_over:
            raise SystemExit
        me = self._running
        me.blocked = lambda: not is_met()
        limit = _NEVER if timeout_s is None else self._now_ns + round(timeout_s * SECOND_NS)
        me.wakes_ns = limit
        self.switch()
        me.blocked = lambda: False
        me.wakes_ns = _NEVER

    def _maybe_switch(self) -> None:
        if self.chance.random() < self._restless:
            self.switch()

    def switch(self) -> None:
        """Hand the baton to somebody who can go on, perhaps oneself."""
        if self._is_over:
            return
        self.switches += 1
        me = self._running
        chosen = self._choose()
        if chosen is not me:
            self._running = chosen
            chosen.baton.release()
            self._await_baton(me)
        if self._locked and me is self._actors[0]:
            raise DeadlockError(f"seed {self.seed}: {self._locked}")

    def _choose(self) -> Actor:
        """Who runs next; if nobody ever can, the first actor, who tells."""
        if self.chance.random() < 0.1:
            self._now_ns += self.chance.randrange(SECOND_NS // 100)
        able = self._able()
        if not able:
            self._now_ns = min(a.wakes_ns for a in self._actors if not a.is_done)
            able = self._able()
        names = ", ".join(a.name for a in self._actors if not a.is_done)
        if self._now_ns == _NEVER:
            self._locked = f"{names} wait for ever"
        elif self.switches > _MOST_SWITCHES:
            self._locked = f"{names} go on and on"
        return self._actors[0] if self._locked else self.chance.choice(able)

    def _able(self) -> list[Actor]:
        return [
            a
            for a in self._actors
            if not a.is_done and (a.wakes_ns <= self._now_ns or not a.blocked())
        ]

    def _await_baton(self, me: Actor) -> None:
        if not me.baton.acquire(timeout=_REAL_LIMIT_S):
            raise DeadlockError(f"seed {self.seed}: {me.name} never ran again")
        if self._is_over and me is not self._actors[0]:
            raise SystemExit

    def _live(self, actor: Actor, work: Callable[[], None]) -> None:
        try:
            self._await_baton(actor)
            work()
        except SystemExit:  # the simulation is over
            return
        except Exception as error:  # noqa: BLE001  # told when the simulation ends
            self.errors.append(error)
        actor.is_done = True
        if not self._is_over:
            chosen = self._choose()
            self._running = chosen
            chosen.baton.release()


class SimulatedMonitor:
    """A lock that can be waited on, of a simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._owner: Actor | None = None
        self._depth = 0
        self._notices = 0

    def __enter__(self) -> "SimulatedMonitor":
        simulation = self._simulation
        simulation._maybe_switch()
        if self._owner is not simulation.me:
            self._acquire()
        self._depth += 1
        return self

    def __exit__(self, *_: Any) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._simulation._maybe_switch()

    def wait(self, timeout: float | None = None) -> None:
        simulation, depth, seen = self._simulation, self._depth, self._notices
        assert self._owner is simulation.me, "waiting takes the lock"
        self._owner, self._depth = None, 0
        simulation.wait_until(lambda: self._notices != seen, timeout)
        self._acquire()
        self._depth = depth

    def _acquire(self) -> None:
        while self._owner is not None:
            self._simulation.wait_until(lambda: self._owner is None)
        self._owner = self._simulation.me

    def notify_all(self) -> None:
        assert self._owner is self._simulation.me, "notifying takes the lock"
        self._notices += 1
