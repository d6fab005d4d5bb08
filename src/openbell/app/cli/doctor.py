"""`openbell doctor`: whether everything is in order on this machine."""

import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

import typer

import openbell
from openbell.app.cli import options
from openbell.app.cli.exits import FAILED
from openbell.app.cli.terminal import say, say_json, say_lines
from openbell.market.counted import counted
from openbell.market.errors import OpenbellError

Verdict = Literal["ok", "note", "wrong"]

_EXTRAS = {"pyarrow": "not needed; other tools use it to read Arrow tables"}


class Answer(NamedTuple):
    """What one look came to; `advice` says what to do where something is not well."""

    what: str
    verdict: Verdict
    found: str
    advice: str = ""


def doctor(
    lake: options.Lake = None,
    runs: options.Runs = None,
    as_json: options.Json = False,
) -> None:
    """Look whether everything is in order, and say what to do where it is not.

    Exit code 1 if something is wrong.

    [bold]Examples[/]

      openbell doctor

      openbell doctor --json | jq '.[] | select(.verdict != "ok")'
    """
    answers = list(_look(lake, runs))
    if as_json:
        say_json([answer._asdict() for answer in answers])
    else:
        _print(answers)
    if any(answer.verdict == "wrong" for answer in answers):
        raise typer.Exit(FAILED)


def _print(answers: list[Answer]) -> None:
    from rich.table import Table
    from rich.text import Text

    styles = {"ok": "green", "note": "yellow", "wrong": "bold red"}
    table = Table("part", "", "found")
    for one in answers:
        found = f"{one.found}\n→ {one.advice}" if one.advice else one.found
        table.add_row(one.what, Text(one.verdict, style=styles[one.verdict]), found)
    say(table)
    wrong = sum(one.verdict == "wrong" for one in answers)
    say_lines([f"{counted(wrong, 'thing')} to mend" if wrong else "all is well"])


def _look(lake: Path | None, runs: Path | None) -> Iterator[Answer]:
    from openbell.app.settings import settings

    chosen = settings(lake=lake, runs=runs)
    yield _python()
    yield from _packages()
    yield _lake(chosen.lake)
    yield _folder("runs", chosen.runs)
    yield _calendars(chosen.cache)
    yield _kernels()
    yield _cores()
    for name, use in _EXTRAS.items():
        yield Answer(name, "ok", _version(name) or f"not installed: {use}")


def _python() -> Answer:
    where = f"on {platform.system()} {platform.machine()}"
    return Answer("Python", "ok", f"{platform.python_version()} {where}, {sys.executable}")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _packages() -> Iterator[Answer]:
    yield Answer("openbell", "ok", openbell.__version__)
    try:
        required = metadata.requires("openbell") or []
    except metadata.PackageNotFoundError:
        yield Answer(
            "packages", "note", "openbell is run from its sources", "install it: pip install -e ."
        )
        return
    names = [
        _bare(one) for one in required if "extra ==" not in one and "python_version" not in one
    ]
    missing = [name for name in names if not _version(name)]
    if missing:
        advice = f"install them: pip install {' '.join(missing)}"
        yield Answer("packages", "wrong", f"missing: {', '.join(missing)}", advice)
    else:
        shown = ", ".join(f"{name} {_version(name)}" for name in names)
        yield Answer("packages", "ok", shown)


def _bare(requirement: str) -> str:
    """The name in a requirement such as ``numpy>=2.0``."""
    for i, letter in enumerate(requirement):
        if not (letter.isalnum() or letter in "-_."):
            return requirement[:i]
    return requirement


def _lake(folder: Path) -> Answer:
    from openbell.app.lake import open_lake

    try:
        at = open_lake(folder)
        if not at.is_there:
            empty = f"{folder}: nothing there yet"
            return Answer("lake", "note", empty, "bring data in: openbell data import --help")
        count = len(at.store.list_series())
    except OpenbellError as error:
        return Answer("lake", "wrong", error.message, error.hint)
    if not _is_writable(folder):
        return Answer("lake", "wrong", f"{folder}: cannot be written", "change its permissions")
    return Answer("lake", "ok", f"{folder}: {count:,} series")


def _folder(what: str, folder: Path) -> Answer:
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not _is_writable(there):
        return Answer(what, "wrong", f"{there}: cannot be written", "change its permissions")
    return Answer(what, "ok", f"{folder}" if folder.exists() else f"{folder}: nothing there yet")


def _is_writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _calendars(cache: Path) -> Answer:
    from openbell.app import wiring
    from openbell.market.calendars import calendar

    wiring.use_calendar_cache(cache)
    try:
        table = calendar("XNYS").table
    except (OpenbellError, OSError) as error:
        advice = f"delete {cache}, or name another folder in OPENBELL_CACHE"
        return Answer("calendars", "wrong", str(error), advice)
    return Answer("calendars", "ok", f"XNYS knows {len(table):,} sessions; kept in {cache}")


def _kernels() -> Answer:
    """Numba keeps compiled code beside the sources, or where `NUMBA_CACHE_DIR` says."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(given) if given else Path(openbell.__file__).parent / "backtest" / "__pycache__"
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not _is_writable(there):
        return Answer(
            "compiled code", "note", f"{folder} cannot be written: every process compiles anew",
            "name a folder in NUMBA_CACHE_DIR",
        )  # fmt: skip
    return Answer("compiled code", "ok", f"kept in {folder}")


def _cores() -> Answer:
    usable = len(os.sched_getaffinity(0))
    if usable == 1:
        return Answer("cores", "note", "1", "sweeps run one after the other")
    return Answer("cores", "ok", f"{usable} for sweeps")
