import importlib
import subprocess
import sys

import pytest

import openbell as ob


def test_every_public_name_can_be_had() -> None:
    assert all(getattr(ob, name) for name in ob.__all__)
    assert sorted(ob.__all__) == ob.__all__ == dir(ob)


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match="it has Bar, Bars"):
        _ = ob.nothing


@pytest.mark.parametrize(
    "first", ["ob.backtest", "openbell.backtest.run", "openbell.replay.system"]
)
def test_functions_are_not_displaced_by_folders_of_their_name(first: str) -> None:
    """`openbell.backtest` is a folder, `ob.backtest` a function, whatever is loaded first."""
    load = "ob.backtest, ob.replay" if first == "ob.backtest" else f"import {first}"
    code = (
        f"import openbell as ob\n{load}\n"
        "from openbell.backtest.run import run_backtest\n"
        "from openbell.replay.system import System\n"
        "assert ob.backtest.__module__ == 'openbell.app.running', ob.backtest\n"
        "assert ob.replay.__module__ == 'openbell.app.replaying', ob.replay\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_modules_behind_a_function_can_be_imported_under_another_name() -> None:
    code = (
        "import openbell as ob\nob.replay\n"
        "import openbell.backtest.run as r\nimport openbell.replay.pacing as p\n"
        "import openbell.replay.tape as t\n"
        "print(r.run_backtest.__module__, p.Pace.__module__, t.Tape.__module__)\n"
        "print(ob.replay.__module__, ob.replay.__doc__[:20], ob.replay.__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == [
        "openbell.backtest.run openbell.replay.pacing openbell.replay.tape",
        "openbell.app.replaying Play sessions again; replay",
    ], done.stderr


def test_folders_can_still_be_imported() -> None:
    assert importlib.import_module("openbell.backtest").__name__ == "openbell.backtest"
