"""What a running system says of itself in a folder, and what it can be asked there.

The folder belongs to its user alone. In it ``lock`` is held as long as the system's process lives,
``status.json`` is replaced about twice a second, and ``ask.json`` is what somebody asks of it: to
pause, resume or stop. The system takes a question away and writes its answer into the status:
that it is done, or why not.
"""

import fcntl
import os
import secrets
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import orjson

from openbell.market.errors import NotRecordedError, ReplayError, StoreError, UsageError

Ask = Literal["pause", "resume", "stop"]
ASKS: tuple[Ask, ...] = ("pause", "resume", "stop")

_EVERY_S = 0.25  # how often a question is looked for; a status is written every second time
_JOIN_S = 5.0
_SIZE_MAX = 1_000_000  # bytes that are read of a file


class Board:
    """Keeps a system's status in a folder and hands over what is asked of it.

    Whoever plays calls `publish` when `is_due`; a thread of the board's own writes the files.

    Parameters
    ----------
    folder
        Made if need be, for its owner alone.
    live
        What is to be told afresh whenever the file is written; called in the board's thread.
    answer
        Called in the board's thread with what is asked; a `UsageError` refuses it, and is handed
        to who asked.

    Raises
    ------
    StoreError
        If a system is running there already, others may write there, or nobody can.
    """

    def __init__(
        self, folder: Path, live: Callable[[], Mapping[str, Any]], answer: Callable[[Ask], None]
    ) -> None:
        self.is_due = True
        self._folder = folder
        self._live = live
        self._answer = answer
        self._shown: Mapping[str, Any] = {}
        self._answered: dict[str, Any] = {}
        self._failure: Exception | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="openbell-status", daemon=True)

    def __enter__(self) -> Self:
        _make(self._folder)
        self._held = _held(self._folder)
        self._held.__enter__()
        (self._folder / "ask.json").unlink(missing_ok=True)
        self._thread.start()
        return self

    def __exit__(self, raised: type[BaseException] | None, *_: object) -> None:
        self._end.set()
        self._thread.join(_JOIN_S)
        try:
            if self._thread.is_alive():
                raise ReplayError(f"{self._thread.name} is still busy after {_JOIN_S:g} s")
            self._write()
            if raised is None:
                self._raise_failure()  # nobody published after it
        finally:
            self._held.__exit__(None, None, None)

    def publish(self, shown: Mapping[str, Any]) -> None:
        """What is known now; it is written soon. Raises what went wrong in the board's thread."""
        self._shown, self.is_due = shown, False
        self._raise_failure()

    def _raise_failure(self) -> None:
        """Raise what went wrong in the board's thread, once."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _run(self) -> None:
        beats = 0
        while not self._end.wait(_EVERY_S):
            try:
                if self._take() or beats % 2:
                    self._write()
                    self.is_due = True
            except Exception as error:  # noqa: BLE001  # raised where somebody publishes
                self._failure, self.is_due = error, True
            beats += 1

    def _take(self) -> bool:
        """Carry out what is asked; whether something was."""
        path = self._folder / "ask.json"
        asked = _read(path)
        if asked is None:
            return False
        path.unlink(missing_ok=True)
        answered = {"id": asked.get("id"), "refused": "", "hint": ""}
        try:
            if asked.get("ask") in ASKS:
                self._answer(asked["ask"])
        except UsageError as error:
            answered |= {"refused": error.message, "hint": error.hint}
        self._answered = answered
        return True

    def _write(self) -> None:
        status = {
            "pid": os.getpid(), **self._shown, **self._live(), "answered": self._answered
        }  # fmt: skip
        _replace(self._folder / "status.json", status)


def read_status(folder: Path) -> dict[str, Any] | None:
    """The status of the system in a folder, with ``is_alive``; None if there never was one.

    Raises
    ------
    StoreError
        If the file is not a status.
    """
    found = _read(folder / "status.json")
    if found is None:
        return None
    if not isinstance(found.get("state"), str):
        raise StoreError(f"{folder / 'status.json'} is no status", hint="take it away")
    found.pop("answered", None)
    return {**found, "is_alive": _is_held(folder)}


def ask(folder: Path, what: Ask, *, wait_s: float = 5.0) -> dict[str, Any]:
    """Ask the running system for something, and wait until it is done; give its status.

    Raises
    ------
    NotRecordedError
        If no system is running there, or it ends before it answers.
    UsageError
        If the system refuses.
    ReplayError
        If it does not answer in time.
    """
    if not _is_held(folder):
        raise NotRecordedError(
            f"no system is running in {folder}", hint="start one: openbell system start CONFIG"
        )
    own = secrets.token_hex(8)
    _replace(folder / "ask.json", {"ask": what, "id": own})
    pause = threading.Event()
    for _ in range(round(wait_s / 0.05)):
        pause.wait(0.05)
        status = _read(folder / "status.json") or {}
        answered = status.pop("answered", None) or {}
        if answered.get("id") == own:
            if answered["refused"]:
                raise UsageError(answered["refused"], hint=answered["hint"])
            return {**status, "is_alive": True}
        if not _is_held(folder):
            raise NotRecordedError(
                "the system ended before it answered", hint="openbell system status says how"
            )
    raise ReplayError(
        f"the system did not answer within {wait_s:g} s", hint="openbell system status"
    )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be made: {error.strerror}", hint="name another folder: --state"
        ) from error
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise StoreError(
            f"others than you may write to {folder}",
            hint="name a folder of your own with --state: whoever writes there controls the system",
        )


@contextmanager
def _held(folder: Path) -> Generator[None]:
    """Hold the folder's lock; the operating system lets go of it when the process ends."""
    with _open_own(folder / "lock", os.O_RDWR | os.O_CREAT) as descriptor:
        if not _locked(descriptor, fcntl.LOCK_EX):
            running = (_read(folder / "status.json") or {}).get("pid", "?")
            raise StoreError(
                f"a system is running in {folder} already (process {running})",
                hint="stop it (openbell system stop), or name another folder: --state",
            )
        yield


def _is_held(folder: Path) -> bool:
    if not (folder / "lock").exists():
        return False
    with _open_own(folder / "lock", os.O_RDWR) as descriptor:
        return not _locked(descriptor, fcntl.LOCK_SH, tries=1)


def _locked(descriptor: int, kind: int, tries: int = 20) -> bool:
    """Try to lock; more than once, as somebody may just be looking whether it is held."""
    pause = threading.Event()
    for k in range(tries):
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if k + 1 < tries:
                pause.wait(0.02)
        else:
            return True
    return False


@contextmanager
def _open_own(path: Path, flags: int) -> Generator[int]:
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be opened: {error.strerror}",
            hint="name a folder that you may write to: --state",
        ) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read(path: Path) -> dict[str, Any] | None:
    """A file of ours; None if there is none."""
    try:
        with path.open("rb") as file:
            found = orjson.loads(file.read(_SIZE_MAX))
    except FileNotFoundError:
        return None
    except orjson.JSONDecodeError:
        found = {}
    return found if isinstance(found, dict) else {}


def _replace(path: Path, values: Mapping[str, Any]) -> None:
    """Write a file so that a reader sees the old one or the new, never half."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    with (
        _open_own(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor,
        os.fdopen(descriptor, "wb", closefd=False) as file,
    ):
        file.write(orjson.dumps(values, option=orjson.OPT_INDENT_2))
    draft.replace(path)
