"""Which strategies there are, and how one is found by its name or in a file."""

import ast
import difflib
import hashlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from openbell.backtest.run import Code
from openbell.backtest.strategy import SignalStrategy, Strategy
from openbell.market.errors import BadDataError, UsageError

# Module and class, by name.
_BUILT_IN = {
    "buy_and_hold": ("buy_and_hold", "BuyAndHold"),
    "ema_cross": ("crossover", "EmaCross"),
    "sma_cross": ("crossover", "SmaCross"),
    "rsi_reversion": ("reversion", "RsiReversion"),
    "bollinger_reversion": ("reversion", "BollingerReversion"),
    "zscore_reversion": ("reversion", "ZscoreReversion"),
    "macd": ("macd", "Macd"),
    "donchian_breakout": ("trend", "DonchianBreakout"),
    "momentum": ("trend", "Momentum"),
}

ClassLoader = Callable[[Path, str], type[Strategy]]
_loaders: dict[str, ClassLoader] = {}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A strategy and where it came from.

    Attributes
    ----------
    strategy
        With its parameters set.
    code
        To tell whether it changed.
    name
        What runs of it are listed by.
    sources
        Its files, name to text, kept with a run.
    ref
        By which `load_strategy` finds it again; empty for a class that is not at a file's top.
    """

    strategy: Strategy
    code: Code
    name: str
    sources: Mapping[str, str]
    ref: str


@cache
def built_in() -> dict[str, type[Strategy]]:
    """The built-in strategies by name, in order."""
    found: dict[str, type[Strategy]] = {}
    for name, (module, cls) in _BUILT_IN.items():
        loaded = importlib.import_module(f"openbell.backtest.strategies.{module}")
        found[name] = getattr(loaded, cls)
    return found


def add_loader(suffix: str, loader: ClassLoader) -> None:
    """Let `load_strategy` read files of another language: a suffix, and what makes a class of one.

    The loader gets the path, and what stands behind a colon in the ref; it raises as
    `load_strategy` does.
    """
    _loaders[suffix] = loader


def load_strategy(ref: str, parameters: Mapping[str, Any]) -> Loaded:
    """The strategy of a built-in's name or alias, or of a file (``my.py``, ``my.py:Class``).

    A file is run to find its class: load only what you would run.

    Raises
    ------
    UsageError
        If there is no such strategy or file, or the parameters do not fit.
    BadDataError
        If the file cannot be run.
    """
    path, _, wanted = ref.partition(":")
    if path.endswith(".py"):
        return from_instance(_class_in(Path(path), wanted)(**parameters))
    if loader := _loaders.get(Path(path).suffix):
        return from_instance(loader(Path(path), wanted)(**parameters))
    by_name = {alias: cls for name, cls in built_in().items() for alias in (name, *cls.names)}
    name = ref.replace("-", "_").lower()
    if name not in by_name:
        near = difflib.get_close_matches(name, by_name, n=1)
        known = [name.replace("_", "-") for name in (near or built_in())]
        hint = f"did you mean `{known[0]}`?" if near else f"built in are {', '.join(known)};"
        raise UsageError(f"there is no strategy `{ref}`", hint=f"{hint} or name a .py file")
    return from_instance(by_name[name](**parameters))


def from_instance(strategy: Strategy) -> Loaded:
    """A strategy that exists already; its code is the file its class stands in.

    A class typed into a notebook or a prompt has no file; its source is taken where Python knows
    it, and its name where not.
    """
    cls = type(strategy)
    if cls.code_files:
        return _elsewhere(strategy, cls.code_files)
    own = [name for name, known in built_in().items() if known is cls]
    name = own[0] if own else cls.__name__
    found = inspect.getsourcefile(cls) if _has_file(cls) else None
    if found is None:
        text, file = _source_text(cls), f"{cls.__name__}.py"
        return Loaded(strategy, Code({file: _sha(text)}), name, {file: text}, "")
    path = Path(found).resolve()
    text = path.read_text(encoding="utf-8")
    is_local = "." in cls.__qualname__  # made within a function: no other process can find it
    ref = name if own else "" if is_local else f"{path}:{cls.__qualname__}"
    return Loaded(strategy, Code({path.name: _sha(text)}), name, {path.name: text}, ref)


def _elsewhere(strategy: Strategy, files: tuple[Path, ...]) -> Loaded:
    """A strategy whose code is not in the file of its class: in another language, for instance."""
    home = files[0].parent
    names = (os.path.relpath(file, home).replace(os.sep, "_") for file in files)
    texts = {n: f.read_text(encoding="utf-8") for n, f in zip(names, files, strict=True)}
    code = Code({name: _sha(text) for name, text in texts.items()})
    name = type(strategy).__name__
    return Loaded(strategy, code, name, texts, f"{files[0]}:{name}")


def _class_in(path: Path, wanted: str) -> type[Strategy]:
    if not path.is_file():
        raise UsageError(
            f"there is no file {path}", hint="make one with `openbell strategy new my_strategy.py`"
        )
    module = _run_file(path)
    found = {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, Strategy)
        and value not in (Strategy, SignalStrategy)
        and value.__module__ == module.__name__
    }
    if wanted and wanted not in found:
        raise UsageError(f"{path} has no strategy `{wanted}`", hint=f"it has {', '.join(found)}")
    if not found:
        raise UsageError(f"{path} has no strategy", hint="derive a class from openbell.Strategy")
    if not wanted and len(found) > 1:
        raise UsageError(
            f"{path} has several strategies", hint=f"name one: {path}:{next(iter(found))}"
        )
    return found[wanted] if wanted else next(iter(found.values()))


def _run_file(path: Path) -> ModuleType:
    text = path.read_bytes()
    try:
        ast.parse(text, filename=str(path))
    except SyntaxError as error:
        raise BadDataError(f"{path} is not Python: line {error.lineno}: {error.msg}") from None
    except ValueError as error:
        raise BadDataError(f"{path} is not Python: {error}") from None
    name = f"openbell_strategy_{hashlib.sha256(text).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a file that exits must not end the program
        del sys.modules[name]
        raise BadDataError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    return module


def _has_file(cls: type) -> bool:
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).is_file()


def _source_text(cls: type) -> str:
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError):
        return f"# the source of {cls.__qualname__} is not known\n"


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
