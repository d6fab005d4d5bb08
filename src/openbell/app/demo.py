"""The main job on real data, as a person would type it: ``make demo``.

Everything goes into the folder ``demo``; doing it again changes nothing.
"""

import os
import shlex
import sys
import time
from pathlib import Path

import openbell
from openbell.app import wiring
from openbell.app.cli.main import run
from openbell.app.cli.terminal import complain, say_lines

DATA = Path("tests", "samples", "pyalgotrade", "nt-spy-minute-2011-03.csv.gz")
FOLDER = Path("demo")


def main() -> int:
    """Do it all; give the exit code of the first command that fails, else 0."""
    began = time.perf_counter()
    data = Path(openbell.__file__).parents[2] / DATA
    if not data.exists():
        complain(
            "the demo's data is not part of the installed package",
            f"clone the repository and run `make demo` there; it carries {DATA}",
        )
        return 1
    FOLDER.mkdir(exist_ok=True)
    os.chdir(FOLDER)
    for key in ("LAKE", "RUNS", "SWEEPS"):  # this shows the usual places, whatever is set outside
        os.environ.pop(f"OPENBELL_{key}", None)
    for text, words in _first_steps(os.path.relpath(data)):
        if code := _do(text, words):
            return code
    run_id = wiring.open_runs(Path("runs")).list_runs(limit=1)[0]["id"]
    if code := _do("Is it so? Run it again over the same version and compare.", ["verify", run_id]):
        return code
    say_lines(_ending(run_id, time.perf_counter() - began))
    return 0


def _first_steps(data: str) -> list[tuple[str, list[str]]]:
    series = "XNYS:SPY/1m"
    return [
        (
            "SPY, one-minute bars of March 2011, stamped at their close in UTC: into the lake.",
            ["data", "import", data, "--as", series, "--zone", "UTC", "--stamp", "close"],
        ),
        ("How good is it? The clocks changed on the 13th.", ["data", "check", series]),
        (
            "Play one session again.",
            ["replay", "XNYS:SPY", "--date", "2011-03-14", "--derived", "30m", "--limit", "3"],
        ),
        (
            "Test a strategy on regular hours, with costs; keep report and picture.",
            [
                "backtest", "ema-cross", "--on", series, "--set", "fast=12", "--set", "slow=26",
                "--cash", "100000", "--size", "100", "--fee-per-unit", "0.005",
                "--slip-steps", "0.5", "--png", "run.png",
            ],
        ),
        (
            "Try other parameters.",
            [
                "sweep", "ema-cross", "--on", series, "--set", "fast=5:20", "--set", "slow=20:60:5",
                "--fee-per-unit", "0.005", "--slip-steps", "0.5", "--top", "3",
            ],
        ),
    ]  # fmt: skip


def _do(text: str, words: list[str]) -> int:
    """Say what comes, print the command as typed, and carry it out."""
    say_lines(["", f"# {text}", f"$ openbell {shlex.join(words)}"])
    return run(words)


def _ending(run_id: str, seconds: float) -> list[str]:
    return [
        "",
        f"That was the main job, in {seconds:.1f} s. What happened:",
        "- 17,577 rows went into a versioned lake; 8,970 of them, in regular hours, were played.",
        "- Every session had all of its 390 minutes, on both sides of the clock change.",
        "- The crossover lost money; with these costs, so did the best of 143 pairs: an honest no.",
        "- The run's seal covers data, orders and fills; running it again gave the same one.",
        "",
        "Look at it:",
        f"  {FOLDER / 'runs' / run_id / 'files' / 'report.html'}",
        f"  {FOLDER / 'run.png'}",
        "Try next, in the folder demo:",
        "  openbell data check XNYS:SPY/1m --details --html quality.html",
        "  openbell strategy new my_strategy.py && openbell backtest my_strategy.py"
        " --on XNYS:SPY/1m",
        "  openbell runs list",
        "The command lies in .venv/bin; docs/tutorial.md goes on from here.",
    ]


if __name__ == "__main__":
    sys.exit(main())
