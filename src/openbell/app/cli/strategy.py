"""`openbell strategy`: which there are, what they take, and a new one to begin with."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openbell.app.cli import options
from openbell.app.cli.terminal import say, say_json, say_lines
from openbell.market.errors import UsageError

if TYPE_CHECKING:
    from openbell.backtest.strategy import Parameter, Strategy

app = typer.Typer(no_args_is_help=True, help="List strategies, and begin one of your own.")


@app.command("list")
def list_(as_json: options.Json = False) -> None:
    """List the built-in strategies.

    [bold]Examples[/]

      openbell strategy list
    """
    from openbell.backtest.catalog import built_in

    found = built_in()
    if as_json:
        say_json([_described(name, cls) for name, cls in found.items()])
        return
    from rich.table import Table

    table = Table("strategy", "what it does", "parameters")
    for name, cls in found.items():
        known = ", ".join(f"{p.name}={p.default}" for p in cls.describe().values())
        table.add_row(name.replace("_", "-"), _first_line(cls), known)
    say(table)
    say_lines(["next: openbell strategy show ema-cross · openbell strategy new my_strategy.py"])


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(metavar="STRATEGY", help="A built-in one, or my_strategy.py[:Class].")
    ],
    as_json: options.Json = False,
) -> None:
    """Show what a strategy does and which parameters it takes.

    [bold]Examples[/]

      openbell strategy show ema-cross

      openbell strategy show my_strategy.py
    """
    from openbell.app.running import load

    loaded = load(name, {})
    cls = type(loaded.strategy)
    if as_json:
        say_json(_described(loaded.name, cls))
        return
    from rich.table import Table

    say_lines([f"{loaded.name.replace('_', '-')}: {_first_line(cls)}"])
    if cls.names:
        say_lines([f"also known as {', '.join(cls.names)}"])
    table = Table("parameter", "type", "default", "allowed", "meaning")
    for one in cls.describe().values():
        table.add_row(one.name, one.type.__name__, str(one.default), _allowed(one), one.about)
    say(table)
    for title, values in cls.examples.items():
        words = " ".join(f"--set {key}={value}" for key, value in values.items())
        say_lines([f"{title}: {words}"])


def _described(name: str, cls: "type[Strategy]") -> dict[str, Any]:
    parameters = [
        {
            "name": one.name, "type": one.type.__name__, "default": one.default,
            "low": one.low, "high": one.high, "choices": list(one.choices), "about": one.about,
        }
        for one in cls.describe().values()
    ]  # fmt: skip
    return {
        "strategy": name,
        "names": list(cls.names),
        "about": _first_line(cls),
        "parameters": parameters,
        "aliases": dict(cls.aliases),
        "examples": {title: dict(values) for title, values in cls.examples.items()},
    }


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().partition("\n")[0]


def _allowed(one: "Parameter") -> str:
    return ", ".join(map(str, one.choices)) or one.bounds


@app.command()
def new(
    file: Annotated[Path, typer.Argument(help="The Python file to write: my_strategy.py.")],
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Write a small working strategy to begin with.

    [bold]Examples[/]

      openbell strategy new my_strategy.py
    """
    if file.suffix != ".py":
        raise UsageError(f"`{file}` is no name of a Python file", hint=f"write {file}.py")
    if file.exists() and not force:
        raise UsageError(f"{file} is there already", hint="write over it with --force")
    template = Path(__file__).with_name("template.py.txt").read_text(encoding="utf-8")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(template.replace("my_strategy.py", file.name), encoding="utf-8")
    if as_json:
        say_json({"file": str(file)})
    else:
        say_lines([f"written: {file}", f"next: openbell backtest {file} --on XNYS:SPY/1m"])
