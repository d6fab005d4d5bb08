"""The command `openbell`: its groups, and how a command ends."""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import openbell
from openbell.app.cli import (
    backtest,
    bridge,
    data,
    doctor,
    parity,
    record,
    replay,
    runs,
    serve,
    strategy,
    system,
)
from openbell.app.cli.exits import DONE, FAILED, INTERRUPTED, WRONG_USAGE, exit_code
from openbell.app.cli.terminal import complain, note, say_lines
from openbell.market.errors import CancelledError, OpenbellError

_ORDER = (
    "strategy",
    "data",
    "replay",
    "backtest",
    "sweep",
    "verify",
    "bridge",
    "serve",
    "record",
    "parity",
    "runs",
    "system",
    "doctor",
)


class _InOrder(TyperGroup):
    """Lists commands in the data's way, groups and single commands alike."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*_ORDER, *(name for name in super().list_commands(ctx) if name not in _ORDER)]


app = typer.Typer(
    name="openbell",
    cls=_InOrder,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Typer keeps its parser's exceptions to itself; this is the base of all it raises at wrong usage.
_ParserError: type[Any] = typer.BadParameter.__mro__[2]


def _version(asked: bool) -> None:
    if asked:
        say_lines([f"openbell {openbell.__version__}"])
        raise typer.Exit


@app.callback()
def _openbell(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and log lines; works anywhere.")
    ] = False,
) -> None:
    """From the opening bell to the close: market data you can trust, replays, honest backtests.

    Start with [bold]openbell data import[/], go on with [bold]openbell backtest[/]; every command
    explains itself with [bold]--help[/].
    """


app.add_typer(strategy.app, name="strategy")
app.add_typer(data.app, name="data")
app.command("replay")(replay.replay)
app.command("backtest")(backtest.backtest)
app.command("sweep")(backtest.sweep)
app.command("verify")(backtest.verify)
app.command("bridge")(bridge.bridge)
app.add_typer(serve.app, name="serve")
app.add_typer(record.app, name="record")
app.command("parity")(parity.parity)
app.add_typer(runs.app, name="runs")
app.add_typer(system.app, name="system")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """The entry point of the installed command."""
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Carry out a command line; give its exit code."""
    is_debug = "--debug" in words or bool(os.environ.get("OPENBELL_DEBUG"))
    if is_debug:
        _log_everything()
    try:
        found = app(
            args=[word for word in words if word != "--debug"],
            prog_name="openbell",
            standalone_mode=False,
        )
    except Exception as error:  # noqa: BLE001  # the last place where anything can be said
        if is_debug:
            traceback.print_exc()
        return _end(error)
    if found == INTERRUPTED:
        note("interrupted")
    return found if isinstance(found, int) else 0


def _end(error: Exception) -> int:
    """Say what ended a command; give its exit code."""
    if isinstance(error, CancelledError):
        note("interrupted; what was stored before stays")
        return INTERRUPTED
    if isinstance(error, typer.Abort):
        note("nothing was done")
        return FAILED
    if isinstance(error, _ParserError) and not error.format_message():
        return DONE  # a group without a command: its help has been printed
    message, hint, code = _told(error)
    complain(message, hint)
    return code


def _told(error: Exception) -> tuple[str, str, int]:
    """Message, hint and exit code of an error."""
    if isinstance(error, OpenbellError):
        return error.message, error.hint, exit_code(error)
    if isinstance(error, _ParserError):
        words = error.format_message()
        return words[0].lower() + words[1:].rstrip("."), _help_hint(error), WRONG_USAGE
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", "", FAILED
    return (
        f"something unexpected happened: {type(error).__name__}: {error}",
        "this is a mistake in openbell; run the command again with --debug and report what it says",
        FAILED,
    )


def _help_hint(error: Any) -> str:
    context = error.ctx
    return f"see: {context.command_path} --help" if context else "see: openbell --help"


def _log_everything() -> None:
    import logging

    logging.basicConfig(stream=sys.stderr)
    logging.getLogger("openbell").setLevel(logging.DEBUG)


if __name__ == "__main__":
    main()
