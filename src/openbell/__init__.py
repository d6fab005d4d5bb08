"""openbell: from the opening bell to the close.

Collect market data, know how good it is, keep every version of it, play any session again, test
strategies on it, verify the result. The folders, in the data's way:

market/     the words: instrument, timeframe, bars, session, calendar, errors
ports.py    everything the inside asks of the outside, on one page
sources/    adapters that read data: text, Parquet, LEAN and freqtrade folders
recording/  from sources into a store: imports, versions
stores/     adapters that keep data and runs: the lake, memory, run folders
quality/    completeness, gaps with reasons, checks
replay/     the session engine: clock, coordinator, upkeep, tape and seal
backtest/   strategies, orders, fills, money, figures, sweeps, verification
report/     what a run came to: page, pictures, tables
bridge/     strategies in other languages: channels, history, lock-step
app/        settings, wiring, the command line

>>> import openbell as ob
>>> ob.open_lake(":memory:")
Lake(':memory:'): empty
"""

import importlib
import sys
import types
import typing

if typing.TYPE_CHECKING:
    from openbell.app.lake import Lake, check, open_lake
    from openbell.app.replaying import replay
    from openbell.app.results import Run, Sweep
    from openbell.app.running import backtest, sweep, verify
    from openbell.backtest.config import Costs
    from openbell.backtest.strategy import SignalStrategy, Strategy, param
    from openbell.market.bars import Bar, Bars
    from openbell.market.errors import OpenbellError

__version__ = "0.1.0"

# Where each public name stands. They are loaded when they are asked for, so that
# `import openbell` takes no time.
_WHERE = {
    "Lake": "app.lake", "open_lake": "app.lake", "check": "app.lake",
    "replay": "app.replaying",
    "backtest": "app.running", "sweep": "app.running", "verify": "app.running",
    "Run": "app.results", "Sweep": "app.results",
    "Strategy": "backtest.strategy", "SignalStrategy": "backtest.strategy",
    "param": "backtest.strategy", "Costs": "backtest.config",
    "Bar": "market.bars", "Bars": "market.bars",
    "OpenbellError": "market.errors",
}  # fmt: skip

__all__ = [
    "Bar", "Bars", "Costs", "Lake", "OpenbellError", "Run", "SignalStrategy", "Strategy", "Sweep",
    "__version__", "backtest", "check", "open_lake", "param", "replay", "sweep", "verify",
]  # fmt: skip


def __getattr__(name: str) -> typing.Any:
    if name not in _WHERE:
        raise AttributeError(f"openbell has no `{name}`; it has {', '.join(__all__)}")
    found = getattr(importlib.import_module(f"openbell.{_WHERE[name]}"), name)
    if (folder := sys.modules.get(f"openbell.{name}")) is not None:
        # So that `import openbell.backtest.run as r` finds its way past the function.
        found.__dict__ = folder.__dict__
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__


class _FrontDoor(types.ModuleType):
    """Python binds a folder to its parent when it is loaded; `backtest` stays the function."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _WHERE and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _FrontDoor
