"""A strategy to begin with. Run it with:

openbell backtest my_strategy.py --on XNYS:SPY/1m --size 100
openbell sweep my_strategy.py --on XNYS:SPY/1m --set fast=5:20 --set slow=20:60:10
"""

import openbell as ob


class MyStrategy(ob.Strategy):
    """Long while the fast average is above the slow one, flat otherwise."""

    # Parameters: set them with --set fast=10; a sweep tries many values.
    fast: int = ob.param(12, "bars of the fast average", low=1, high=200)
    slow: int = ob.param(26, "bars of the slow average", low=2, high=500)

    def on_start(self, ctx):
        """Before the first session: indicators are made here, one per instrument."""
        self.averages = {
            name: (ctx.ema(self.fast, name), ctx.ema(self.slow, name)) for name in ctx.instruments
        }

    def on_bar(self, ctx, bar):
        """A bar became known: `bar.open`, `.high`, `.low`, `.close`, `.volume`, `.end_ns`."""
        fast, slow = self.averages[bar.instrument]
        if not slow.ready:  # not enough bars yet
            return
        # 1 is a full long position (see --size and --sizing), 0 none, -1 a full short one.
        ctx.target(bar.instrument, 1 if fast.value > slow.value else 0)
        # Also: ctx.buy(size, limit=…, stop=…), ctx.sell(…), ctx.close(), ctx.position(),
        # ctx.history(20), ctx.cash, ctx.equity, ctx.log("…").

    # More callbacks: on_session_open, on_session_close, on_slice (all instruments of a moment),
    # on_trade, on_quote, on_fill, on_stop.
