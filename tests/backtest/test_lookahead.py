"""A run whose future is changed does the same before it, to the last bit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.backtest.catalog import built_in
from openbell.backtest.config import Costs
from openbell.backtest.indicators import INDICATORS
from openbell.backtest.strategy import Strategy
from openbell.market.bars import Bars
from openbell.market.columns import Floats
from tests.backtest.made import made_bars, play, walks
from tests.backtest.test_kernels import with_short


class Everything(Strategy):
    """Trades on every indicator, derived bars, history and session figures; logs what it sees."""

    def on_start(self, ctx: Any) -> None:
        self.seen = [ctx.indicator(name, 4) for name in INDICATORS]
        self.seen += [ctx.ema(3, kind="5m"), ctx.sma(3, source="volume")]

    def on_bar(self, ctx: Any, bar: Any) -> None:
        rows = ctx.history(6)
        wide = ctx.history(3, kind="5m")
        figures = ctx.data().figures
        ctx.log(repr([i.value for i in self.seen] + [i.history(3).tolist() for i in self.seen]))
        ctx.log(repr([rows.close.tolist(), wide.close.tolist(), figures, ctx.equity, bar]))
        if len(rows) > 3:
            ctx.target(bar.instrument, float(rows.close[-1] > rows.close.mean()))
        if ctx.now_ns % 7 == 0:
            ctx.buy(3, limit=bar.close * 0.99)
            ctx.sell(3, trail=bar.close * 0.01)


def before(run: Any, at_ns: int) -> list[Any]:
    """All that was done and known up to a moment, that moment not included."""
    curve = run.equity
    n = int(np.searchsorted(curve.time_ns, at_ns))
    return [
        curve.time_ns[:n].tolist(), curve.equity[:n].tolist(), curve.cash[:n].tolist(),
        [o for o in run.orders if o.time_ns < at_ns].__repr__(),
        [line for line in run.log if line.time_ns < at_ns],
        [s.digest for s, close in zip(run.sessions, curve.closes, strict=True)
         if curve.time_ns[close] < at_ns],
    ]  # fmt: skip


@settings(max_examples=25)
@pytest.mark.parametrize("name", [*built_in(), "everything"])
@given(
    walk=walks(least=20), data=st.data(), skip=st.sampled_from([0, 4]),
    fill=st.sampled_from(["next_open", "same_close", "intrabar"]),
)  # fmt: skip
def test_the_future_changes_nothing_before(
    name: str, walk: Floats, data: st.DataObject, skip: int, fill: str
) -> None:
    bars = made_bars(walk, skip=skip)
    at = data.draw(st.integers(0, len(bars) - 1))
    factor = np.where(np.arange(len(bars)) < at, 1.0, data.draw(st.sampled_from([0.5, 1.01, 2.0])))
    columns = {k: c * factor if c.dtype == float else c for k, c in bars.columns().items()}
    other = Bars(bars.series, **columns)
    strategy = Everything() if name == "everything" else with_short(name, short=True)
    changes: dict[str, Any] = {
        "fill": fill, "costs": Costs(fee_rate=0.001, slip_volume=0.1), "derived": ("5m",),
        "sizing": "percent", "size": 0.5, "history": 20,
    }  # fmt: skip
    one, two = play(strategy, bars, **changes), play(strategy, other, **changes)
    assert one.status == two.status == "done", one.error
    known_ns = int(bars.end_ns[at])  # the first changed bar is known at its end
    assert before(one, known_ns) == before(two, known_ns)
