"""Checkpoints of a run: strategy, broker, money and random state, to go back to and on from.

Going on from a checkpoint gives the tape of the uninterrupted run. A strategy that cannot be
copied, or holds a function made in one of its methods, which a copy would share with it, is begun
anew instead, and the run's log says so. What it keeps outside itself is not seen.
"""

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

from openbell.backtest.broker import Broker
from openbell.backtest.context import Context
from openbell.backtest.strategy import Strategy

if TYPE_CHECKING:
    from openbell.backtest.engine import Engine


class Kept(NamedTuple):
    """A run between two chunks.

    Attributes
    ----------
    actors
        Copies of strategy, context and broker, as one, so that they still know each other.
    lengths
        How long each list that only grows was.
    engine, view
        The marks of both.
    """

    actors: tuple[Strategy, Context, Broker]
    lengths: tuple[int, ...]
    engine: tuple[Any, ...]
    view: tuple[Any, ...]


def keep(engine: "Engine") -> Kept | None:
    """A run as it is between two chunks; None if its strategy cannot be copied."""
    engine.end_chunk()
    if any(getattr(value, "__closure__", None) for value in vars(engine.strategy).values()):
        return None
    lists = _growing(engine.context, engine.broker)
    memo: dict[int, Any] = {id(each): each for each in (*_shared(engine), *lists)}
    try:
        actors = copy.deepcopy((engine.strategy, engine.context, engine.broker), memo)
    except Exception:  # noqa: BLE001  # a strategy may hold anything; without a copy it begins anew
        return None
    return Kept(actors, tuple(map(len, lists)), engine.mark(), engine.view.mark())


def restore(engine: "Engine", kept: Kept | None, bars_per_year: float) -> None:
    """Go back to a checkpoint; without one, to the start."""
    if kept is None:
        strategy = type(engine.strategy)(**engine.strategy.parameters)
        engine.reset(strategy)
        engine.context.log("went back to the start: this strategy cannot be copied")
        engine.begin(bars_per_year)
        return
    engine.strategy, engine.context, engine.broker = kept.actors
    for each, length in zip(_growing(engine.context, engine.broker), kept.lengths, strict=True):
        del each[length:]
    engine.go_back(kept.engine)
    engine.view.go_back(kept.view)


def _growing(context: Context, broker: Broker) -> tuple[list[Any], ...]:
    """What only grows is not copied, but cut when going back."""
    return broker.orders, broker.fills, broker.outcomes, context.log_lines


def _shared(engine: "Engine") -> tuple[object, ...]:
    """What a run has one of, and what never changes."""
    system = engine.system
    columns = (indicator.column for indicator, _ in engine.context.columns)
    return (
        engine, system, engine.view, system.tape, system.clock, system.clock.cursor,
        engine.config, engine.terms, *columns,
    )  # fmt: skip
