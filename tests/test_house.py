"""What holds for the house as a whole: its order, its documents, its data, its front door."""

import ast
import gzip
import hashlib
import importlib
import inspect
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

import openbell
from openbell.market import errors

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "openbell"
SAMPLES = ROOT / "tests" / "samples"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ["requirements.lock", "requirements-dev.lock"]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
HEAVY = {"pandas", "polars", "numba", "matplotlib", "bokeh", "deltalake"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def table(text: str) -> list[list[str]]:
    """The cells of all Markdown table rows of a text, heads included."""
    rows = (line.strip().strip("|").split("|") for line in text.splitlines() if line[:1] == "|")
    return [
        [cell.strip().strip("`") for cell in row] for row in rows if set(row[0].strip()) - set("-:")
    ]


def run(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True)


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


def test_the_public_names_are_there_and_documented() -> None:
    for name in openbell.__all__:
        thing = getattr(openbell, name)
        assert name == "__version__" or inspect.getdoc(thing), name


def fresh(code: str) -> tuple[float, set[str]]:
    """Seconds a line of code takes in a new interpreter, and the modules it loads."""
    script = (
        "import sys, time, json; start = time.perf_counter(); "
        f"{code}; print(json.dumps([time.perf_counter() - start, sorted(sys.modules)]))"
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
    # A shared machine stalls now and then, so the best of five counts.
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


def package_name(requirement: str) -> str:
    return re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0].lower()


def test_every_dependency_has_earned_its_place() -> None:
    explained = {row[0] for row in table(read("docs/wheels.md"))}
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
    "sources": [{"files", "series", "parse"}],
    "stores": [{"write", "read", "resolve", "versions"}, {"save", "load", "list_runs"}],
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


# What the repository carries


def carried() -> dict[str, list[str]]:
    """The provenance table: by path below tests/samples, where each file comes from."""
    return {
        row[0]: row[1:] for row in table(read("docs/data.md")) if "/" in row[0] or "." in row[0]
    }


def sample_files() -> dict[str, Path]:
    """The data files below tests/samples; licence texts left out."""
    files = (path for path in sorted(SAMPLES.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(SAMPLES)): path
        for path in files
        if path.suffix != ".pyc" and path.parent.name != "LICENSES"
    }


def checksums(path: Path) -> set[str]:
    """Of the stored bytes and, where they are compressed, of the original ones."""
    contents = [path.read_bytes()]
    if path.suffix == ".gz":
        contents.append(gzip.decompress(contents[0]))
    return {hashlib.sha256(content).hexdigest() for content in contents}


def test_every_sample_stands_in_the_provenance_table_and_nothing_else() -> None:
    assert sorted(carried()) == sorted(sample_files())


def test_every_sample_is_what_its_checksum_says() -> None:
    rows = carried()
    assert [
        name for name, path in sample_files().items() if rows[name][4] not in checksums(path)
    ] == []


def test_samples_come_from_permissively_licensed_repositories() -> None:
    allowed = {"Apache-2.0", "MIT", "BSD-3-Clause"}
    assert {row[3] for row in carried().values()} <= allowed
    folders = {name.split("/")[0] for name, row in carried().items() if row[0] != "this project"}
    assert {path.stem for path in (SAMPLES / "LICENSES").iterdir()} == folders


def test_samples_stay_small() -> None:
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) <= 15_000_000


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_files_name_no_host_and_pin_every_package_by_hash(lock: str) -> None:
    text = read(lock)
    assert "://" not in text
    assert "index-url" not in text
    pinned = re.findall(r"^[\w.-]+==\S+.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(pinned) == len(re.findall(r"^\S", text, re.MULTILINE))
    assert all("--hash=sha256:" in entry for entry in pinned)


def test_both_lock_files_pin_the_same_versions() -> None:
    small, large = (set(re.findall(r"^\S+==[^\\\n]+", read(lock), re.MULTILINE)) for lock in LOCKS)
    assert small
    assert small - large == set()


def test_every_dependency_is_locked() -> None:
    project = PROJECT["project"]
    locked = [set(re.findall(r"^([\w.-]+)==", read(lock), re.MULTILINE)) for lock in LOCKS]
    assert {package_name(item) for item in project["dependencies"]} - locked[0] == set()
    assert {package_name(item) for item in project["optional-dependencies"]["dev"]} - locked[
        1
    ] == set()


def own_texts() -> Iterator[Path]:
    """Every text file of the project, caches and carried data left out."""
    kinds = {".py", ".md", ".toml", ".lock", ".sh", ".json", ".html", ".yml", ".txt"}
    folders = [ROOT / name for name in ("src", "tests", "docs", "benchmarks", "examples", "tools")]
    for path in [
        *ROOT.iterdir(),
        *(ROOT / ".ci").iterdir(),
        *(p for f in folders for p in f.rglob("*")),
    ]:
        if path.is_file() and (path.suffix in kinds or path.name in {"Makefile", "run"}):
            yield path


def test_nothing_names_a_place_on_the_machine_it_was_written_on() -> None:
    places = {f"{folder}/" for folder in (ROOT, ROOT.parent, Path.home()) if folder.name}
    pattern = re.compile(r"(?<![\w.])(?:" + "|".join(map(re.escape, sorted(places))) + ")")
    named = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in own_texts()
        if (found := pattern.search(path.read_text(encoding="utf-8", errors="replace")))
    ]
    assert named == []


# Examples


def test_every_example_is_in_the_list() -> None:
    rows = {row[0] for row in table(read("examples/README.md"))}
    assert rows - {"script"} == {path.name for path in EXAMPLES}
    assert EXAMPLES


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.name)
def test_every_example_runs(script: Path, tmp_path: Path) -> None:
    done = run("-W", "error", str(script), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" or "Warning" not in done.stderr
