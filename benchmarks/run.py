"""Runs every benchmark, prints the figures and writes them to ``docs/benchmarks.md``.

Each module ``benchmarks/bench_*.py`` has a function ``rows(quick: bool) -> list[Row]``.

    python -m benchmarks.run                    all, written to docs/benchmarks.md
    python -m benchmarks.run --quick replay     bench_replay.py on little data; nothing is written
"""

import argparse
import importlib
import os
import platform
import sys
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.row import Row

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"

INTRODUCTION = """\
# Benchmarks

Written by `make bench`; do not edit. Every figure names the command that gives it again.
A target is what we promise on a machine like this one; a shared machine reads up to a third lower.

"""


def modules() -> list[str]:
    """The names of the benchmark modules, without their prefix, in order."""
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def measure(names: list[str], *, quick: bool) -> list[Row]:
    found: list[Row] = []
    for name in names:
        print(f"measuring {name} …", flush=True)
        found += importlib.import_module(f"benchmarks.bench_{name}").rows(quick)
    return found


def machine() -> str:
    """Cores, processor and Python; nothing that changes from day to day."""
    whose = "the system's" if sys.base_prefix == "/usr" else "a build of its own"
    return (
        f"{os.cpu_count()} cores, {_processor()}, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()} ({whose})"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def written(figure: float) -> str:
    """A figure to three digits, with thousands marked off."""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def line(row: Row) -> str:
    cells = [row.what, written(row.figure), row.unit, row.target, f"`{row.command}`"]
    return f"| {' | '.join(cells)} |\n"


def page(rows: list[Row]) -> str:
    parts = [INTRODUCTION, f"Machine: {machine()}.\n"]
    for group, members in groupby(rows, key=lambda row: row.group):
        parts.append(f"\n## {group}\n\n| what | figure | unit | target | command |\n")
        parts.append("|---|--:|---|--:|---|\n")
        parts += [line(row) for row in members]
    return "".join(parts)


def show(rows: list[Row]) -> None:
    table = Table("group", "what", "figure", "unit", "target")
    for row in rows:
        table.add_row(row.group, row.what, written(row.figure), row.unit, row.target)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the benchmarks.")
    parser.add_argument("--quick", action="store_true", help="little data, to see that they run")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="only these; " + ", ".join(modules())
    )
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(modules())):
        parser.error(f"no benchmark is called {unknown[0]}; there are: {', '.join(modules())}")
    rows = measure(options.names or modules(), quick=options.quick)
    show(rows)
    if not options.quick and not options.names:
        PAGE.write_text(page(rows), encoding="utf-8")
        print(f"written to {PAGE.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
