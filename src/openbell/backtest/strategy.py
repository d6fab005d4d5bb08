"""What a strategy is: callbacks, and parameters that describe themselves.

An event strategy overrides callbacks. A signal strategy gives a column function from bars to
targets; the engine plays it like any other, and a sweep runs it compiled.
"""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from openbell.backtest.indicators import Column
from openbell.backtest.orders import Fill
from openbell.market.bars import Bar
from openbell.market.errors import UsageError
from openbell.market.session import Session
from openbell.market.ticks import Quote, Trade
from openbell.replay.slices import Slice

if TYPE_CHECKING:
    from openbell.backtest.context import Context
    from openbell.ports import ReadStore
    from openbell.replay.plan import ReplayPlan

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a strategy.

    Attributes
    ----------
    name, type, default
        As in the class: ``int``, ``float``, ``str`` or ``bool``.
    low, high
        Bounds, both included; None where there is none.
    choices
        The values allowed; empty for any.
    about
        What it means, with its unit.
    """

    name: str
    type: type
    default: Any
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    about: str = ""

    def check(self, value: Any) -> Any:
        """The value as the parameter's type; raise `UsageError` if it does not fit."""
        fits = isinstance(value, self.type) and not (self.type is int and isinstance(value, bool))
        if self.type is float and isinstance(value, int) and not isinstance(value, bool):
            value, fits = float(value), True
        if self.type is int and isinstance(value, float) and value.is_integer():
            value, fits = int(value), True
        if not fits:
            raise UsageError(f"{self.name} is {value!r}", hint=f"it must be {self.type.__name__}")
        if self.choices and value not in self.choices:
            raise UsageError(
                f"{self.name} is {value!r}", hint=f"use one of {', '.join(map(str, self.choices))}"
            )
        if (self.low is not None and value < self.low) or (
            self.high is not None and value > self.high
        ):
            raise UsageError(f"{self.name} is {value}", hint=f"it must be {self.bounds}")
        return value

    @property
    def bounds(self) -> str:
        """The bounds in words."""
        if self.low is not None and self.high is not None:
            return f"from {self.low:g} to {self.high:g}"
        if self.low is not None:
            return f"{self.low:g} or more"
        return "any" if self.high is None else f"{self.high:g} or less"


@dataclass(frozen=True, slots=True)
class _Declared:
    default: Any
    low: float | None
    high: float | None
    choices: tuple[Any, ...]
    about: str


def param(
    default: T,
    about: str = "",
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[T] = (),
) -> T:
    """Declare a strategy's parameter in its class: ``fast: int = param(12, "bars", low=1)``.

    A plain annotated attribute with a default (``fast: int = 12``) is a parameter, too.

    Parameters
    ----------
    about
        What it means, with its unit.
    low, high
        Bounds, both included.
    """
    return cast(T, _Declared(default, low, high, tuple(choices), about))


class Strategy:
    """Turns slices into orders. Override the callbacks that are needed; all do nothing here.

    Class attributes of type int, float, str or bool are its parameters. `ctx` is the only way to
    see and to act: it shows what is known now, and takes orders.

    Attributes
    ----------
    names
        Other names it is known by, for instance a requirement's ``strategy_type``.
    aliases
        Other names of its parameters, to ours.
    examples
        Sets of parameters worth trying, by name.
    code_files
        Its code, where that is not the file its class stands in; the first one names it.
    """

    names: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[Mapping[str, str]] = {}
    examples: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    code_files: ClassVar[tuple[Path, ...]] = ()

    def __init__(self, **parameters: Any) -> None:
        known = self.describe()
        for name, parameter in known.items():
            setattr(self, name, parameter.default)
        for given, value in parameters.items():
            name = self.aliases.get(given, given)
            if name not in known:
                raise UsageError(
                    f"{type(self).__name__} has no parameter `{given}`", hint=_closest(given, known)
                )
            setattr(self, name, known[name].check(value))
        self.check()

    @classmethod
    def describe(cls) -> dict[str, Parameter]:
        """The parameters by name, in order of declaration, base classes first."""
        found: dict[str, Parameter] = {}
        for owner in reversed(cls.__mro__):
            annotations = inspect.get_annotations(owner, eval_str=True)
            for name, value in vars(owner).items():
                if annotations.get(name) in (int, float, str, bool):
                    found[name] = _parameter(name, annotations[name], value)
                elif name in found and name not in annotations:
                    found[name] = replace(found[name], default=found[name].check(value))
        return found

    @property
    def parameters(self) -> dict[str, Any]:
        """Its parameters and their values."""
        return {name: getattr(self, name) for name in self.describe()}

    def check(self) -> None:
        """Raise `UsageError` if the parameters do not fit together; called when it is made."""

    def on_plan(self, store: "ReadStore", plan: "ReplayPlan") -> None:
        """What will be played, before the run: for strategies that answer for the past themselves.

        No clock bounds what is read here; whoever looks past the run's own deceives himself.
        """

    def on_start(self, ctx: "Context") -> None:
        """Before the first session: make indicators here."""

    def on_session_open(self, ctx: "Context", session: Session) -> None:
        """A session opens."""

    def on_session_close(self, ctx: "Context", session: Session) -> None:
        """A session closes; orders placed here fill in a later one."""

    def on_revision(self, ctx: "Context", bar: Bar) -> None:
        """A bar that was missing is filled now, or a wider one is computed again with it.

        Views show it from now on; indicators are not rewritten. After fills, before `on_bar`.
        """

    def on_bar(self, ctx: "Context", bar: Bar) -> None:
        """A base bar became known."""

    def on_slice(self, ctx: "Context", slice: Slice) -> None:  # noqa: A002  # the word for it
        """Everything of one moment became known; after `on_bar` of its bars."""

    def on_quote(self, ctx: "Context", quote: Quote) -> None:
        """A quote became known."""

    def on_trade(self, ctx: "Context", trade: Trade) -> None:
        """A trade became known."""

    def on_fill(self, ctx: "Context", fill: Fill) -> None:
        """One of its orders was filled; before `on_bar` of the same slice."""

    def on_stop(self, ctx: "Context") -> None:
        """After the last session."""

    def on_end(self) -> None:
        """The run is over, however it ended: let go of what is held outside."""

    @property
    def remarks(self) -> Sequence[str]:
        """What a reader of the result must know of how the strategy ran; asked after `on_end`."""
        return ()


class SignalStrategy(Strategy):
    """A strategy that is a column function from bars to targets.

    The function (see `kernels`) writes after each bar the target it wants: 1 for a full long
    position, 0 for none, -1 for a full short one, NaN for no change. It is compiled, so a sweep
    runs it over years in milliseconds; the event engine plays the very same function.
    """

    def signals(self) -> Column:
        """The column function with this strategy's parameters."""
        raise UsageError(
            f"{type(self).__name__} gives no signals", hint="override `signals` to return a Column"
        )

    def on_start(self, ctx: "Context") -> None:
        """Ask for the signals of every instrument."""
        self._signals = {name: ctx.column(self.signals(), name) for name in ctx.instruments}

    def on_bar(self, ctx: "Context", bar: Bar) -> None:
        """Want what the signal says."""
        target = self._signals[bar.instrument].value
        if target == target:  # not NaN
            ctx.target(bar.instrument, target)


CALLBACKS = tuple(name for name in vars(Strategy) if name.startswith("on_"))


def overrides(strategy: Strategy, callback: str) -> bool:
    """Whether a strategy has a callback of its own."""
    return getattr(type(strategy), callback) is not getattr(Strategy, callback)


def _parameter(name: str, annotation: type, value: Any) -> Parameter:
    if isinstance(value, _Declared):
        return Parameter(
            name, annotation, value.default, value.low, value.high, value.choices, value.about
        )
    return Parameter(name, annotation, value)


def _closest(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"it has {', '.join(known)}" if known else "it has no parameters"
