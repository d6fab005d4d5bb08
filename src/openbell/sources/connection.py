"""Keeping a connection to a venue: receiving, noticing silence, connecting again.

What live sources share. They say how to connect and what a message means; the thread, the waits
and the notes are here.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import NamedTuple, Protocol

from openbell.market.arrivals import CONNECTED, DISCONNECTED, SILENT
from openbell.market.errors import BadDataError, RefusedError, UnavailableError
from openbell.market.instrument import Series
from openbell.ports import Inlet

_BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_BACK_OFF_MOST_S = 60.0
_POLL_S = 0.5  # how soon a thread that waits for messages notices that it shall end


class Message(NamedTuple):
    """One item a venue sent, as `Inlet.push` takes it; or why a series brings nothing, in `what`.

    Attributes
    ----------
    refused
        Why the venue sends nothing of the series; empty for an item.
    """

    series: Series
    what: int
    venue_ns: int = 0
    values: Sequence[float] = ()
    number: int = 0
    refused: str = ""


class Channel(Protocol):
    """One connection that stands."""

    def receive(self, timeout_s: float) -> Iterable[Message] | None:
        """What came next: no messages for a sign of life, None if nothing came in time.

        Raises
        ------
        UnavailableError
            If the connection is lost.
        BadDataError
            If what came is no message.
        """
        ...

    def subscribe(self, series: Series) -> None:
        """Ask for one more series; `UnavailableError` if the connection is lost."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Connection:
    """A thread that keeps one connection and pushes what it brings.

    Parameters
    ----------
    name
        Where it leads, for messages and for the thread.
    connect
        Makes a connection that sends some series; raises `UnavailableError` or `RefusedError`.
    silence_s
        After how many seconds without a sign of life the connection is taken for lost.
    wait
        Waits a number of seconds before connecting again; None for real time, which `stop` cuts
        short.

    Attributes
    ----------
    error
        Why the connection was lost last; None if it never was.
    """

    def __init__(
        self,
        name: str,
        series: Sequence[Series],
        connect: Callable[[Sequence[Series]], Channel],
        *,
        silence_s: float,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self.error: UnavailableError | BadDataError | None = None
        self._name = name
        self._series = tuple(series)
        self._added: deque[Series] = deque()  # not asked for yet
        self._connect = connect
        self._silence_s = silence_s
        self._over = threading.Event()
        self._wait = wait or self._over.wait
        self._waits = _back_off()
        self._thread: threading.Thread | None = None

    @property
    def brings(self) -> Sequence[Series]:
        """What it was asked for, or soon is."""
        return (*self._series, *self._added)

    def start(self, inlet: Inlet) -> None:
        """As `ports.LiveSource.start`: connects at once, the first time."""
        channel = self._connect(self._series)
        self._thread = threading.Thread(
            target=self._run, args=(inlet, channel), name=f"openbell-{self._name}", daemon=True
        )
        self._thread.start()

    def add(self, series: Series) -> None:
        """As `ports.LiveSource.add`: asked for by the thread, between two messages."""
        if self._thread is None or not self._thread.is_alive():
            raise UnavailableError(f"{self._name} is not connected", hint="start it, or anew")
        self._added.append(series)

    def stop(self, timeout_s: float) -> None:
        """As `ports.LiveSource.stop`."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                raise UnavailableError(
                    f"{self._thread.name} is still busy after {timeout_s:g} s",
                    hint="close what it pushes into before it is stopped",
                )

    def _run(self, inlet: Inlet, first: Channel) -> None:
        try:
            self._keep(inlet, first)
        except Exception as error:  # noqa: BLE001  # handed to whoever owns the run
            for series in self.brings:
                inlet.fail(series, error)

    def _keep(self, inlet: Inlet, first: Channel) -> None:
        channel: Channel | None = first
        while channel is not None:
            try:
                if not self._note(inlet, CONNECTED):
                    return
                self._receive(inlet, channel)
            except (UnavailableError, BadDataError) as error:
                self.error = error
            finally:
                channel.close()
            if self._over.is_set() or not self._note(inlet, DISCONNECTED):
                return
            channel = self._again()

    def _again(self) -> Channel | None:
        """Connect again, waiting ever longer until something comes; None if it shall end."""
        for wait_s in self._waits:
            self._wait(wait_s)
            if self._over.is_set():
                break
            self._series += tuple(self._take_added())
            try:
                return self._connect(self._series)
            except UnavailableError as error:
                self.error = error
        return None

    def _receive(self, inlet: Inlet, channel: Channel) -> None:
        """Push what comes until nothing more is wanted; raise if the connection is lost."""
        quiet_s = 0.0
        while not self._over.is_set():
            for series in self._take_added():
                self._series += (series,)
                channel.subscribe(series)
                self._push(inlet, [Message(series, CONNECTED)])
            poll_s = min(_POLL_S, self._silence_s)
            messages = channel.receive(poll_s)
            if messages is not None:
                quiet_s = 0.0
                self._waits = _back_off()
                self._push(inlet, messages)
                continue
            quiet_s += poll_s
            if quiet_s >= self._silence_s:
                self._note(inlet, SILENT)
                raise UnavailableError(f"{self._name} said nothing for {self._silence_s:g} s")

    def _take_added(self) -> Iterator[Series]:
        while self._added:
            yield self._added.popleft()

    def _push(self, inlet: Inlet, messages: Iterable[Message]) -> None:
        for series, what, venue_ns, values, number, refused in messages:
            if refused:
                inlet.fail(series, RefusedError(f"{self._name} sends no {series}: {refused}"))
            elif not inlet.push(series, what, venue_ns, values, number):
                self._over.set()
                return

    def _note(self, inlet: Inlet, what: int) -> bool:
        """Note something about every series; False if nothing more is wanted."""
        return all(inlet.push(series, what) for series in self._series)


def _back_off() -> Iterator[float]:
    """How many seconds to wait before each attempt."""
    return chain(_BACK_OFF_S, repeat(_BACK_OFF_MOST_S))
