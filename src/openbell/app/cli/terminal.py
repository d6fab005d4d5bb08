"""Talking to a person or a program: results on stdout, everything else on stderr."""

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from openbell.market.progress import CancelToken, Progress, silent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDE = 2_000  # columns of a pipe: nothing is wrapped or cut there


def say(what: Any, *, least: Sequence[str] = ()) -> None:
    """Print a text, or anything rich can show, on stdout.

    Parameters
    ----------
    least
        Columns of a table that are left out, one after the other, where a terminal is too narrow
        for all; that is noted. A pipe always gets all.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
    if isinstance(what, Table):
        from rich import box

        what.box, what.show_edge = box.SIMPLE_HEAD, False
        what.columns[0].no_wrap = True  # what a row is called: one has to type it
        if left_out := _narrow(what, console, least):
            note(f"left out for want of room: {', '.join(left_out)}")
    with console.capture() as capture:
        console.print(what)
    say_lines(line.rstrip() for line in capture.get().splitlines())


def _narrow(table: "Table", console: "Console", least: Sequence[str]) -> list[str]:
    """Leave columns out until the table fits; give their names."""
    left_out: list[str] = []
    room = console.options.update(width=_WIDE)
    for name in least:
        if console.measure(table, options=room).maximum <= console.width:
            break
        kept = [column for column in table.columns if str(column.header) != name]
        if len(kept) < len(table.columns):
            table.columns = kept
            left_out.append(name)
    return left_out


def say_lines(lines: Iterable[str]) -> None:
    """Print plain lines on stdout; a reader that has had enough ends the command quietly."""
    try:
        for line in lines:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain once more when it flushes on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None


def say_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    import orjson

    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY
    say_lines([orjson.dumps(value, option=options).decode()])


def note(text: str) -> None:
    """Print a remark on stderr."""
    sys.stderr.write(f"{text}\n")


def complain(message: str, hint: str = "") -> None:
    """Print an error, and what to do, on stderr."""
    from rich.console import Console
    from rich.text import Text

    is_terminal = sys.stderr.isatty()
    console = Console(stderr=True, highlight=False, soft_wrap=True, no_color=not is_terminal)
    console.print(Text.assemble(("error: ", "bold red"), message))
    if hint:
        console.print(Text.assemble(("hint: ", "bold cyan"), hint))


@contextmanager
def working(what: str) -> Iterator[tuple[Progress, CancelToken]]:
    """A progress line on stderr while something long goes on, and a token that Ctrl-C sets.

    The first Ctrl-C asks the work to stop at its next safe point, a second one stops it at once.
    Without a terminal nothing is shown.
    """
    with stoppable() as token:
        if not sys.stderr.isatty():
            yield silent, token
            return
        with _bar(what) as progress:
            yield progress, token


@contextmanager
def _bar(what: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.fields[now]}")
    console = Console(stderr=True)
    with Bars(*columns, TimeElapsedColumn(), console=console, transient=True) as bars:
        task = bars.add_task(what, total=None, now="")

        def progress(done: int, total: int, what: str) -> None:
            now = what if what[:1].isdigit() else f"{done:,} of {total:,} {what}"
            bars.update(task, completed=done, total=total or None, now=now)

        yield progress


@contextmanager
def stoppable(*also: signal.Signals) -> Iterator[CancelToken]:
    """A token that Ctrl-C sets, and any signal of `also`; a second one stops at once."""
    token = CancelToken()
    if threading.current_thread() is not threading.main_thread():
        yield token
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *also)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(_number: int, _frame: Any) -> None:
        restore()
        note("stopping at the next safe point; press Ctrl-C again to stop at once")
        token.cancel()

    for number in before:
        signal.signal(number, stop)
    try:
        yield token
    finally:
        restore()


def confirm(question: str, *, yes: bool, instead: str) -> None:
    """Go on only if a person says yes, or said so with an option.

    Raises
    ------
    typer.Exit
        If the answer is no, with code 1; without a terminal to ask at, with code 2.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        complain(f"{question} Nobody can be asked here", instead)
        raise typer.Exit(2)
    if not typer.confirm(question, err=True):
        note("nothing was changed")
        raise typer.Exit(1)
