"""How a long function says how far it is, and how it is told to stop."""

import threading
from typing import Protocol

from openbell.market.errors import CancelledError


class Progress(Protocol):
    """Called now and then with how much is done, of how much, and what is being done."""

    def __call__(self, done: int, total: int, what: str) -> None:
        """`total` is 0 when it is not known."""
        ...


def silent(done: int, total: int, what: str) -> None:  # the quiet `Progress`
    """Say nothing."""


class CancelToken:
    """Given to a long function; whoever holds it can ask the function to stop. Thread-safe."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop at its next safe point."""
        self._asked.set()

    def check(self) -> None:
        """Raise `CancelledError` if somebody asked to stop."""
        if self._asked.is_set():
            raise CancelledError("stopped because it was asked for")
