"""Locks between processes and files replaced at one stroke: shared by the stores on disk."""

import fcntl
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from openbell.market.errors import StoreError

_STEP_S = 0.005


@contextmanager
def locked(path: Path, what: str, *, wait_s: float = 30.0) -> Generator[None]:
    """Hold the lock file `path`, against other processes and other threads alike.

    The operating system lets go of it when the holder dies, so no lock is ever left behind.

    Raises
    ------
    StoreError
        If somebody else still holds it after `wait_s`, or it cannot be made; `what` says of what.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise StoreError(
            f"{what} cannot be locked: {path}: {error.strerror}",
            hint="look at the folder: it must be one that can be written to",
        ) from error
    with file:
        _wait_for(file.fileno(), what, wait_s)
        yield  # closing the file lets go


def _wait_for(descriptor: int, what: str, wait_s: float) -> None:
    pause = threading.Event()
    for _ in range(int(wait_s / _STEP_S) + 1):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pause.wait(_STEP_S)
        else:
            return
    raise StoreError(
        f"{what} is still locked by another writer after {wait_s:g} s",
        hint="try again when the other writer is done",
    )


def replace_text(path: Path, text: str) -> None:
    """Put `text` into the file `path` so that a reader sees the old text or the new, never half."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
