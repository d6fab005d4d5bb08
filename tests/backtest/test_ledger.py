"""The ledger against an exact one, in fractions, after every event."""

from fractions import Fraction
from typing import Any, ClassVar

from hypothesis import given
from hypothesis import strategies as st

from openbell.backtest.config import Costs
from openbell.market.instrument import Instrument
from openbell.market.moments import MINUTE_NS
from tests.backtest.made import MIDNIGHT_NS, Script, bars, play

NAMES = ("MADE:A", "MADE:B", "XCME:ES-H24")
DRAWN = st.tuples(st.integers(0, 59), st.integers(0, 2), st.integers(-9, 9).filter(bool))
DEAR = Costs(fee_per_unit=0.013, fee_rate=0.0007, fee_minimum=0.1, slip_rate=0.003)
Exact = dict[str, list[tuple[Fraction, Fraction]]]


class ExactLedger:
    """Positions as lots first in, first out; nothing is ever rounded."""

    def __init__(self, cash: float, multipliers: dict[str, float]) -> None:
        self.cash = self.start = Fraction(cash)
        self.lots: Exact = {name: [] for name in multipliers}
        self.times = {name: Fraction(m) for name, m in multipliers.items()}
        self.realised = self.fees = Fraction(0)

    def fill(self, name: str, size: float, price: float, fee: float) -> None:
        left, at = Fraction(size), Fraction(price)
        self.cash -= left * at * self.times[name] + Fraction(fee)
        self.fees += Fraction(fee)
        lots = self.lots[name]
        while left and lots and (lots[0][0] > 0) != (left > 0):
            held, paid = lots[0]
            closed = max(-left, held) if held < 0 else min(-left, held)
            self.realised += closed * (at - paid) * self.times[name]
            left += closed
            lots[0] = (held - closed, paid)
            if lots[0][0] == 0:
                lots.pop(0)
        if left:
            lots.append((left, at))

    def position(self, name: str) -> Fraction:
        return sum((held for held, _ in self.lots[name]), Fraction(0))

    def unrealised(self, prices: dict[str, float]) -> Fraction:
        return sum(
            (
                held * (Fraction(prices[name]) - paid) * self.times[name]
                for name, lots in self.lots.items()
                for held, paid in lots
            ),
            Fraction(0),
        )

    def equity(self, prices: dict[str, float]) -> Fraction:
        worth = (
            held * Fraction(prices[name]) * self.times[name]
            for name, lots in self.lots.items()
            for held, _ in lots
        )
        return self.cash + sum(worth, Fraction(0))


class Random(Script):
    """Orders drawn before the run: (bar, instrument, units of a half)."""

    orders: tuple[tuple[int, int, int], ...] = ()
    last: ClassVar[Any] = None

    def on_bar(self, ctx, bar):  # type: ignore[no-untyped-def]
        for at, which, halves in self.orders:
            if at == self.count:
                ctx.buy(halves / 2, NAMES[which])
        self.count += 1

    def on_slice(self, ctx, _):  # type: ignore[no-untyped-def]
        prices = {name: ctx.price(name) for name in NAMES}
        self.seen.append((ctx.now_ns, ctx.cash, ctx.equity, prices, len(self.filled)))

    def on_start(self, ctx):  # type: ignore[no-untyped-def]
        super().on_start(ctx)
        self.seen, self.filled = [], []
        Random.last = self

    def on_fill(self, ctx, fill):  # type: ignore[no-untyped-def]
        self.filled.append(fill)
        held = [ctx.position(name) for name in NAMES]
        self.seen.append((ctx.now_ns, ctx.cash, None, held, len(self.filled)))


def close(found: float, exact: Fraction, scale: float) -> bool:
    return abs(Fraction(found) - exact) <= Fraction(scale) * Fraction(1, 10**12)


@given(
    st.lists(DRAWN, max_size=40),
    st.lists(st.lists(st.integers(1, 400), min_size=3, max_size=3), min_size=20, max_size=20),
    st.sampled_from([Costs(), DEAR]),
    st.sampled_from(["next_open", "same_close", "intrabar"]),
)  # fmt: skip
def test_equity_is_cash_plus_gains_less_fees_after_every_event(
    orders: list[tuple[int, int, int]], prices: list[list[int]], costs: Costs, fill: str
) -> None:
    """Long, short, turning around, three instruments, one with a multiplier of 50."""
    table = [[p / 8 for p in row] for row in prices]
    data = []
    for k, name in enumerate(NAMES):
        start = 0 if name.startswith("MADE") else 15 * 60  # Chicago trades at 15:00 UTC
        rows = [(row[k], row[k] * 1.125, row[k] * 0.875, row[k]) for row in table]
        data.append(bars(rows, name, [start + i for i in range(20)]))
    strategy = type("Drawn", (Random,), {"orders": tuple(orders)})()
    run = play(strategy, *data, costs=costs, fill=fill, lot=0.5, leverage=1e9, cash=1e6)
    assert run.status == "done", run.error
    exact = ExactLedger(run.cash_start, dict(run.multipliers))
    done = 0
    for _, cash, equity, what, count in Random.last.seen:
        for each in run.fills[done:count]:
            exact.fill(each.instrument, each.size, each.price, each.fee)
        done = count
        scale = 1e6 + sum(abs(f.size * f.price) * run.multipliers[f.instrument] for f in run.fills)
        assert close(cash, exact.cash, scale)
        if equity is None:
            assert what == [float(exact.position(name)) for name in NAMES]
            continue
        known = {name: price for name, price in what.items() if price == price}
        exact_equity = exact.equity({name: known.get(name, 0.0) for name in NAMES})
        assert close(equity, exact_equity, scale)
        gains = exact.realised + exact.unrealised({n: known.get(n, 0.0) for n in NAMES})
        assert exact_equity - exact.start == gains - exact.fees
    assert done == len(run.fills)
    assert close(run.equity.cash[-1], exact.cash, 1e6 + 1e3 * len(run.fills))


def test_the_average_entry_price_is_that_of_what_is_held() -> None:
    class Scale(Script):
        def on_bar(self, ctx, bar):  # type: ignore[no-untyped-def]
            ctx.buy([1.0, 3.0, -2.0, -4.0, 2.0, 1.0][self.count])
            ctx.log(f"{ctx.position():g} {ctx.average():g}")
            self.count += 1

    prices = (100, 100, 120, 130, 90, 80)
    run = play(Scale(), bars([(p, p, p, p) for p in prices]), fill="next_open")
    assert [line.text for line in run.log] == ["0 0", "1 100", "4 115", "2 115", "-2 90", "0 0"]


def test_each_instrument_has_its_own_multiplier() -> None:
    class Once(Script):
        def on_bar(self, ctx, bar):  # type: ignore[no-untyped-def]
            if not self.count:
                ctx.buy(2)
            self.count += 1

    es = bars([(100, 100, 100, 100), (100, 110, 100, 110)], "XCME:ES-H24", [900, 901])
    run = play(Once(), es)
    assert Instrument.parse("XCME:ES-H24").place.calendar == "CME_EQUITY"
    assert run.equity_end == 100_000 + 2 * 50 * 10
    assert run.fills[0].time_ns == MIDNIGHT_NS + 901 * MINUTE_NS
