"""What holds for the house as a whole: its order, its front door, its documents, its shelves."""

import ast
import importlib
import inspect
import json
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import typer

import openbell
from openbell.market import errors
from tests.house import PACKAGE, PROJECT, ROOT, package_name, read, run, table

HEAVY = {"pandas", "polars", "numba", "matplotlib", "bokeh", "deltalake"}


# The order of the folders


def contract_order() -> list[str]:
    """The parts of the package in the data's way, from the flow contract."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c["id"] == "flow")
    return [part.strip() for layer in reversed(layers) for part in layer.split("|")]


def listed(text: str) -> list[str]:
    """The parts of the package whose lines start with `name/` or `name.py`, in order, each once."""
    names = re.findall(r"^[\s|`*-]*(\w+)(?:/|\.py)(?!\w)", text, re.MULTILINE)
    return list(dict.fromkeys(name for name in names if name in contract_order()))


def test_the_flow_contract_lists_what_is_there() -> None:
    there = {
        path.stem
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert there - {"__init__", "__main__"} == set(contract_order())


def test_the_package_docstring_lists_the_folders_in_the_contracts_order() -> None:
    assert listed(openbell.__doc__ or "") == contract_order()


def test_the_architecture_page_lists_the_folders_in_the_contracts_order() -> None:
    assert listed(read("ARCHITECTURE.md")) == contract_order()


# The front door


def test_the_public_names_are_those_listed_and_documented() -> None:
    visible = {
        name
        for name, thing in vars(openbell).items()
        if not name.startswith("_") and not inspect.ismodule(thing)
    }
    assert visible - set(openbell.__all__) == set()
    for name in openbell.__all__:
        assert name == "__version__" or inspect.getdoc(getattr(openbell, name)), name


def fresh(code: str) -> tuple[float, set[str]]:
    """CPU seconds a line of code takes in a new interpreter, and the modules it loads."""
    script = (
        "import sys, time, json; start = time.process_time(); "
        f"{code}; print(json.dumps([time.process_time() - start, sorted(sys.modules)]))"
    )
    done = run("-c", script)
    assert done.returncode == 0, done.stderr
    seconds, modules = json.loads(done.stdout)
    return seconds, set(modules)


@pytest.mark.parametrize(
    ("code", "limit_s"),
    [("import openbell", 0.3), ("import openbell.app.cli.main", 0.4)],
)
def test_the_front_door_opens_quickly_and_loads_nothing_heavy(code: str, limit_s: float) -> None:
    # A busy machine is slower; the best of five counts.
    attempts = [fresh(code) for _ in range(5)]
    assert attempts[0][1] & HEAVY == set()
    assert min(seconds for seconds, _ in attempts) <= limit_s


# Documents


def error_classes() -> list[str]:
    return [name for name, thing in vars(errors).items() if inspect.isclass(thing)]


def test_the_error_page_lists_every_error_class_in_order() -> None:
    rows = [row[0] for row in table(read("docs/errors.md")) if row[0].endswith("Error")]
    assert rows == error_classes()


def test_the_error_tree_is_drawn_in_full() -> None:
    assert re.findall(r"\w+Error\b", errors.__doc__ or "") == error_classes()


def test_the_newest_changelog_entry_is_the_version() -> None:
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", read("CHANGELOG.md"), re.MULTILINE)
    assert newest
    assert newest[1] == openbell.__version__ == PROJECT["project"]["version"]


def test_every_module_the_glossary_names_exists() -> None:
    named = {
        path
        for row in table(read("docs/glossary.md"))
        for path in re.findall(r"\w+(?:/\w+)*\.py\b", row[-1])
    }
    assert named
    assert [path for path in sorted(named) if not (PACKAGE / path).exists()] == []


def test_every_dependency_has_earned_its_place() -> None:
    explained = {package_name(row[0]) for row in table(read("docs/wheels.md"))}
    needed = {package_name(item) for item in PROJECT["project"]["dependencies"]}
    assert needed - explained == set()


def test_every_link_between_documents_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


# The command line


def commands(group: Any, words: tuple[str, ...] = ("openbell",)) -> Iterator[tuple[str, Any]]:
    """Every command below a group with its full name, hidden ones left out."""
    for name, command in sorted(group.commands.items()):
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


def all_commands() -> list[tuple[str, Any]]:
    main: ModuleType = importlib.import_module("openbell.app.cli.main")
    return list(commands(typer.main.get_command(main.app)))


def options(command: Any) -> list[str]:
    """The long names of a command's options, negative ones left out."""
    return [
        max(p.opts, key=len)
        for p in command.params
        if p.param_type_name == "option" and p.name != "help"
    ]


def sections(text: str) -> dict[str, str]:
    """What stands under each heading of a Markdown page, by heading without its marks."""
    parts = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {head.strip("` "): body for head, body in zip(parts[1::2], parts[2::2], strict=True)}


def test_every_command_and_option_has_help() -> None:
    silent = [name for name, command in all_commands() if not (command.help or "").strip()]
    silent += [
        f"{name} {param.name}"
        for name, command in all_commands()
        for param in command.params
        if not (getattr(param, "help", None) or "").strip()
    ]
    assert silent == []


def test_every_command_and_option_stands_in_the_command_page() -> None:
    page = sections(read("docs/cli.md"))
    missing = [
        f"{name} {option}".strip()
        for name, command in all_commands()
        for option in ["", *options(command)]
        if name not in page or option not in page[name]
    ]
    assert missing == []


# Shelves and their contracts

PORTS = {
    "sources": [{"files", "series", "parse"}, {"series", "start", "stop"}],
    "stores": [
        {"write", "read", "resolve", "versions"},
        {"save", "load", "list_runs"},
        {"create", "open", "list_recordings"},
    ],
}


def adapters() -> Iterator[tuple[str, str]]:
    """Shelf and name of every module on a shelf that holds an adapter of one of its ports."""
    for shelf, ports in PORTS.items():
        for path in sorted((PACKAGE / shelf).glob("*.py")):
            module = importlib.import_module(f"openbell.{shelf}.{path.stem}")
            own = [
                c
                for c in vars(module).values()
                if inspect.isclass(c) and c.__module__ == module.__name__
            ]
            if any(port <= set(dir(cls)) for cls in own for port in ports):
                yield shelf, path.stem


def contract_suites(shelf: str, name: str) -> list[str]:
    """The test classes of a module that inherit from a contract suite."""
    path = ROOT / "tests" / shelf / f"test_{name}.py"
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])
    return [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).endswith("Contract") for base in node.bases)
    ]


def test_every_adapter_passes_the_contract_of_its_port() -> None:
    found = list(adapters())
    assert {shelf for shelf, _ in found} == set(PORTS)
    assert [f"{shelf}/{name}.py" for shelf, name in found if not contract_suites(shelf, name)] == []
