"""From a strategy's signals to orders: entries, and the stop and target that guard a position."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from openbell.backtest.orders import Fill
from openbell.bridge.answers import position
from openbell.bridge.channels import Signal, signal
from openbell.market.errors import BadDataError

if TYPE_CHECKING:
    from openbell.backtest.context import Context

_STOP, _TARGET = "stop loss", "take profit"

Levels = tuple[float | None, float | None]  # stop loss and take profit
_NONE: Levels = (None, None)


class Trader:
    """Carries out the signals for one instrument.

    A buy buys its quantity and a sale sells it, whatever is held: against an open position that
    makes it smaller, or turns it. Without a quantity it is the run's full size. A close sells or
    buys back all that is held. Stop loss and take profit become a stop and a limit order over the
    whole position as soon as it is there; the fill of one takes the other back. The levels of a
    further entry replace the old ones; without any the old ones stay, over the position's new
    size, as long as it does not turn.

    Attributes
    ----------
    refused
        Signals that could not be understood; each has a line in the run's log.
    """

    def __init__(self, instrument: str) -> None:
        self.refused = 0
        self._instrument = instrument
        self._levels = _NONE
        self._coming: dict[int, Levels] = {}  # by number of the entry
        self._guards: list[int] = []  # orders at work
        self._held = 0.0  # after the last fill

    @property
    def levels(self) -> Levels:
        """Those of the open position; None where there is none."""
        return self._levels

    def act(self, ctx: "Context", message: Mapping[str, Any]) -> None:
        """Carry out one signal."""
        try:
            wanted = signal(message)
        except BadDataError as error:
            self.refused += 1
            ctx.log(f"signal refused: {error.message}")
            return
        if wanted.action == "close":
            self._close(ctx)
        elif wanted.action != "hold":
            self._enter(ctx, wanted)

    def filled(self, ctx: "Context", fill: Fill) -> None:
        """Guard what is held after a fill, and nothing else."""
        levels = self._coming.pop(fill.order, _NONE)
        before, held = self._held, ctx.position(self._instrument)
        self._held = held
        if fill.order in self._guards or held * before <= 0.0:  # closed, turned, or just begun
            self._levels = _NONE
        if levels != _NONE and held * fill.size > 0.0:
            self._levels = levels
        self._take_back(ctx)
        self._guard(ctx, held)

    def positions(self, ctx: "Context") -> list[dict[str, Any]]:
        """What is held, as the original's strategies are told of it: one position, or none."""
        held, price = ctx.position(self._instrument), ctx.price(self._instrument)
        if held == 0.0:
            return []
        stop, target = self._levels
        return [
            position(
                symbol_of(self._instrument),
                held,
                ctx.average(self._instrument),
                price,
                at_ns=ctx.now_ns,
                stop_loss=stop,
                take_profit=target,
            )
        ]

    def _enter(self, ctx: "Context", wanted: Signal) -> None:
        size = ctx.full_size(self._instrument) if wanted.quantity is None else wanted.quantity
        if size == 0.0:
            ctx.log(f"signal to {wanted.action} nothing: left out")
            return
        order = ctx.buy if wanted.action == "buy" else ctx.sell
        number = order(size, self._instrument, tag=wanted.reason[:80])
        self._coming[number] = (wanted.stop_loss, wanted.take_profit)

    def _close(self, ctx: "Context") -> None:
        held = ctx.position(self._instrument)
        self._take_back(ctx)
        self._levels = _NONE
        if held:
            (ctx.sell if held > 0 else ctx.buy)(abs(held), self._instrument, tag="close")

    def _guard(self, ctx: "Context", held: float) -> None:
        """Put stop and target to work over all that is held."""
        stop, target = self._levels
        order, size = (ctx.sell if held > 0 else ctx.buy), abs(held)
        if held and stop is not None:
            self._guards.append(order(size, self._instrument, stop=stop, tag=_STOP))
        if held and target is not None:
            self._guards.append(order(size, self._instrument, limit=target, tag=_TARGET))
        if len(self._guards) == 2:
            ctx.link(*self._guards)

    def _take_back(self, ctx: "Context") -> None:
        for number in self._guards:
            ctx.cancel(number)
        self._guards = []


def symbol_of(instrument: str) -> str:
    """What a strategy elsewhere calls an instrument: its symbol, without the venue."""
    return instrument.partition(":")[2]
