"""Every example and every benchmark runs."""

from pathlib import Path

import pytest

from tests.house import ROOT, read, run, table

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").glob("bench_*.py"))


def test_every_example_is_in_the_list() -> None:
    rows = {row[0] for row in table(read("examples/README.md"))}
    assert rows - {"script"} == {path.name for path in EXAMPLES}
    assert EXAMPLES


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.name)
def test_every_example_runs(script: Path, tmp_path: Path) -> None:
    done = run("-W", "error", str(script), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", BENCHMARKS, ids=lambda path: path.name)
def test_every_benchmark_runs(script: Path) -> None:
    done = run("-m", "benchmarks.run", "--quick", script.stem.removeprefix("bench_"))
    assert done.returncode == 0, done.stderr
