"""Prefetch: errors surface where they belong, threads end, nothing is played twice."""

import threading
import time
from collections.abc import Iterator

import pytest

from openbell.market.errors import BadDataError, CancelledError, ReplayError
from openbell.market.instrument import Pin
from openbell.market.progress import CancelToken
from openbell.ports import Data
from openbell.replay.prefetch import Prefetcher
from openbell.replay.system import System
from openbell.stores.memory import MemoryStore
from tests.replay.playing import every_minute, stored

SPY = every_minute("XNYS:SPY/1m", "2019-06-03T13:30Z", "2019-06-06T20:00Z")
RANGE = ("2019-06-03", "2019-06-07")


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "openbell-prefetch"]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert threads() == []


class Failing:
    """A store whose reads fail from some moment on."""

    def __init__(self, inner: MemoryStore, good_reads: int, error: Exception) -> None:
        self._inner = inner
        self._left = good_reads
        self._error = error
        self.read_by: set[str] = set()

    def read(self, pin: Pin, start_ns: int, end_ns: int) -> Data:
        self.read_by.add(threading.current_thread().name)
        self._left -= 1
        if self._left < 0:
            raise self._error
        return self._inner.read(pin, start_ns, end_ns)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def failing(good_reads: int) -> tuple[System, Failing, Exception]:
    error = BadDataError("the third file is torn")
    data = stored(SPY)
    plan = data.system(*RANGE, sessions_per_chunk=1).plan
    store = Failing(data.store, good_reads, error)
    return System(store, plan, {}), store, error  # type: ignore[arg-type]


def test_an_error_of_the_reader_surfaces_as_itself_at_the_roll() -> None:
    system, store, error = failing(2)
    slices = iter(system)
    for _ in range(780):
        next(slices)
    with pytest.raises(BadDataError) as raised:
        next(slices)
    assert raised.value is error
    assert system.state == "stopped"
    assert store.read_by == {"openbell-prefetch"}


def test_an_error_in_the_first_read_surfaces_before_anything_is_played() -> None:
    system, _, error = failing(0)
    with pytest.raises(BadDataError) as raised:
        next(iter(system))
    assert raised.value is error


def test_breaking_off_the_loop_ends_the_thread() -> None:
    system = stored(SPY).system(*RANGE, sessions_per_chunk=1)
    for _ in system:
        assert threads()
        break
    assert not threads()
    assert system.state == "stopped"


def test_an_error_of_the_consumer_ends_the_thread() -> None:
    system = stored(SPY).system(*RANGE, sessions_per_chunk=1)
    with pytest.raises(ZeroDivisionError), system:
        _ = [1 / 0 for _ in system.steps()]
    assert not threads()


def test_a_system_starts_once() -> None:
    system = stored(SPY).system(*RANGE)
    with system, pytest.raises(ReplayError, match="was started before"):
        system.start()
    with pytest.raises(ReplayError, match="was started before"):
        system.start()
    with pytest.raises(ReplayError, match="was started before"):
        next(iter(system))


def test_stopping_twice_or_before_the_start_does_nothing() -> None:
    system = stored(SPY).system(*RANGE)
    system.stop()
    with system:
        pass
    system.stop()
    assert system.state == "stopped"


def test_steps_of_a_system_that_is_not_started_are_refused() -> None:
    system = stored(SPY).system(*RANGE)
    with pytest.raises(ReplayError, match="is not started"):
        next(system.steps())


def test_steps_of_a_system_that_was_stopped_are_refused() -> None:
    system = stored(SPY).system(*RANGE)
    with system:
        pass
    with pytest.raises(ReplayError, match="is stopped"):
        next(system.steps())


def test_whoever_asks_to_stop_is_heard_between_two_steps() -> None:
    cancel = CancelToken()
    system = stored(SPY).system(*RANGE, sessions_per_chunk=1)
    heard: list[int] = []

    def progress(done: int, total: int, what: str) -> None:
        assert (total, what) == (4, "sessions")
        heard.append(done)
        if done == 2:
            cancel.cancel()

    with pytest.raises(CancelledError), system:
        list(system.steps(progress=progress, cancel=cancel))
    assert heard == [1, 2]


def test_items_come_in_order_and_at_most_one_waits() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    prefetch = Prefetcher(items())
    taken = []
    for item in prefetch:
        taken.append(item)
        time.sleep(0.002)  # noqa: TID251  # lets the thread run ahead as far as it can
        assert len(made) <= item + 3  # in hand, one that waits, one about to be put
    prefetch.close()
    assert taken == list(range(20))


def test_a_thread_that_does_not_end_is_named() -> None:
    gate = threading.Event()

    def stuck() -> Iterator[int]:
        gate.wait(20)
        yield 1

    prefetch = Prefetcher(stuck())
    with pytest.raises(ReplayError, match=r"openbell-prefetch is still busy after 0\.05 s"):
        prefetch.close(timeout_s=0.05)
    gate.set()
    prefetch.close()
