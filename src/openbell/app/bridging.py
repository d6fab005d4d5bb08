"""The whole circuit of a Node strategy on one machine, as one run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbell.app import wiring
from openbell.app.lake import Lake
from openbell.app.results import Run
from openbell.app.running import ref_of, run_config
from openbell.backtest.catalog import from_instance
from openbell.backtest.config import RunConfig
from openbell.market.errors import UsageError
from openbell.market.progress import CancelToken, Progress, silent

if TYPE_CHECKING:
    from openbell.backtest.engines.pybroker_run import PyBrokerRun

ENGINES = ("native", "pybroker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """How a circuit is put together; nothing of it decides anything.

    Attributes
    ----------
    redis_url
        The Redis to use; empty for a private one.
    within_s
        Wall time the strategy may take to answer a message.
    bot
        Whether the mock bot runs beside the strategy.
    engine
        ``native``, or ``pybroker``.
    """

    redis_url: str = ""
    within_s: float = 30.0
    bot: bool = True
    engine: str = ENGINES[0]


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a circuit: a run of the native engine or one of PyBroker.

    Attributes
    ----------
    native, pybroker
        One of them; the other is None.
    counts
        What went over the channels meanwhile, by name.
    """

    native: Run | None
    pybroker: "PyBrokerRun | None"
    counts: Mapping[str, int]


def run_circuit(
    values: Mapping[str, Any],
    lake: Lake,
    circuit: Circuit,
    *,
    progress: Progress = silent,
    cancel: CancelToken | None = None,
) -> Ran:
    """Start Redis, history service, mock bot and runner; replay through them; take all down.

    Parameters
    ----------
    values
        Of the run's configuration; `strategy` names a Node file.

    Raises
    ------
    UsageError
        If the strategy is no Node file, or the configuration does not fit, or not to PyBroker.
    MissingExtraError, UnavailableError
        If Node or Redis is missing; nothing is kept then.
    """
    if circuit.engine not in ENGINES:
        raise UsageError(f"unknown engine `{circuit.engine}`", hint=f"use {' or '.join(ENGINES)}")
    asked = RunConfig.from_dict(values)
    path, _, name = asked.strategy.partition(":")
    if Path(path).suffix not in wiring.NODE_SUFFIXES:
        raise UsageError(
            f"`{asked.strategy}` is no Node strategy",
            hint=f"name a file that ends in {', '.join(wiring.NODE_SUFFIXES)}",
        )
    counts: dict[str, int] = {}
    cls = wiring.node_strategy(
        Path(path), name, bot=circuit.bot, within_s=circuit.within_s, told=counts.update,
        **({"redis_url": circuit.redis_url} if circuit.redis_url else {}),
    )  # fmt: skip
    loaded = from_instance(cls(**asked.parameters))
    wiring.need_bridge(circuit.redis_url)
    config = replace(asked, strategy=ref_of(loaded), parameters=loaded.strategy.parameters)
    if circuit.engine == "pybroker":
        config = replace(config, on=tuple(lake.playable(ref) for ref in config.on))
        return Ran(None, wiring.run_in_pybroker(loaded.strategy, config, lake.store), counts)
    return Ran(run_config(loaded, config, lake, progress=progress, cancel=cancel), None, counts)
