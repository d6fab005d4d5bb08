"""How a run begins, ends, fails and breaks off."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import njit

from openbell.backtest import engine
from openbell.backtest.catalog import load_strategy
from openbell.backtest.config import RunConfig
from openbell.backtest.indicators import Column
from openbell.backtest.result import RunResult
from openbell.backtest.run import Code, run_backtest
from openbell.backtest.strategy import SignalStrategy, Strategy
from openbell.market.bars import Bars, bars_from
from openbell.market.errors import NotRecordedError, RunError, UsageError
from openbell.market.instrument import Series
from openbell.market.moments import DAY_NS, HOUR_NS, iso, parse_moment
from openbell.market.progress import CancelToken
from openbell.market.ticks import Quotes, Trades
from openbell.stores.memory import MemoryStore
from tests.backtest.made import (
    COIN,
    MIDNIGHT_NS,
    Script,
    bars,
    flat,
    play,
    script,
    spy_march,
    store_of,
    trades_of,
)
from tests.market.reading import lean_rows


@pytest.fixture(scope="module")
def spy(samples: Path) -> Bars:
    return spy_march(samples)


@pytest.fixture(scope="module")
def march(spy: Bars) -> MemoryStore:
    return store_of(spy)


def run(strategy: Strategy, store: MemoryStore, **changes: Any) -> RunResult:
    """A run; `changes` are settings, and what is said of how it is done."""
    how = ("sessions_per_chunk", "cancel", "progress")
    extra = {name: changes.pop(name) for name in how if name in changes}
    config = RunConfig("x", changes.pop("on", ("XNYS:SPY/1m",)), **changes)
    return run_backtest(strategy, config, store, Code({}), **extra)


def cross(**parameters: Any) -> Strategy:
    return load_strategy("ema-cross", parameters).strategy


# No data, or too little of it


def test_a_run_over_nothing_fails_clearly(march: MemoryStore) -> None:
    with pytest.raises(RunError, match="there is no session"):
        run(cross(), march, start="2012-03-05", end="2012-03-09")
    with pytest.raises(NotRecordedError):
        run(cross(), march, on=("XNYS:QQQ/1m",))
    with pytest.raises(UsageError):
        run(cross(), march, start="2011-13-01")


def test_rows_outside_the_hours_are_named_when_nothing_else_is_there(spy: Bars) -> None:
    night = spy.take(spy.start_ns % DAY_NS < 12 * HOUR_NS)  # before 08:00 in New York
    with pytest.raises(RunError, match="no bar of XNYS:SPY was played") as raised:
        run(cross(), store_of(night))
    assert "rows lie outside the hours played" in raised.value.hint
    assert run(cross(), store_of(night), hours="extended").bars > 2000


def test_incomplete_data_fails_a_run_that_demands_more(spy: Bars) -> None:
    store = store_of(spy.take(np.arange(len(spy)) % 10 != 0))
    found = run(cross(), store, min_quality=0.95)
    assert found.status == "failed"
    assert found.error == "completeness is 90.00%, the run demands 95.00%"
    assert run(cross(), store, min_quality=0.85).status == "done"


def test_regular_and_extended_hours_play_what_they_say(march: MemoryStore) -> None:
    regular = run(cross(), march)
    assert (regular.bars, len(regular.sessions), regular.withheld["off_hours"]) == (8970, 23, 8607)
    extended = run(cross(), march, hours="extended")
    assert extended.bars + extended.withheld["off_hours"] == 17577
    assert extended.bars > 17_000
    assert regular.completeness == 1.0


def test_in_how_many_parts_the_equity_is_kept_changes_nothing(
    march: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(cross(fast=5, slow=20), march)
    monkeypatch.setattr(engine, "_PARTS", 3)
    parted = run(cross(fast=5, slow=20), march, sessions_per_chunk=1)
    assert parted.seal == whole.seal
    for name in ("time_ns", "cash", "equity", "closes"):
        np.testing.assert_array_equal(getattr(parted.equity, name), getattr(whole.equity, name))


# Sessions, sizes and orders at the end


def test_open_positions_are_marked_or_closed_at_the_end(march: MemoryStore) -> None:
    hold = load_strategy("buy-and-hold", {}).strategy
    marked, closed = (run(hold, march, close_at_end=close) for close in (False, True))
    assert marked.equity_end == closed.equity_end
    assert [f.size for f in marked.fills] == [100.0]
    assert [f.size for f in closed.fills] == [100.0, -100.0]
    last = closed.fills[-1]
    assert (iso(last.time_ns), last.session) == ("2011-03-31T20:00:00Z", "2011-03-31")
    assert closed.orders[-1].tag == "end of run"
    assert closed.equity.cash[-1] == closed.equity_end
    assert max(entry.session for entry in closed.entries) < len(closed.sessions)


def test_a_strategy_is_told_of_the_sale_that_closes_a_run() -> None:
    class Told(type(script({}))):  # type: ignore[misc]
        acts = {0: lambda ctx: ctx.buy(1)}  # noqa: RUF012

        def on_fill(self, ctx: Any, fill: Any) -> None:
            ctx.log(f"{fill.size:g} at {fill.price:g}")

    found = play(Told(), bars(flat(100, 101, 105)), close_at_end=True)
    assert [line.text for line in found.log] == ["1 at 101", "-1 at 105"]


def test_an_order_placed_at_the_close_fills_in_the_next_session(march: MemoryStore) -> None:
    class AtClose(Strategy):
        def on_session_close(self, ctx: Any, session: Any) -> None:
            if ctx.position() == 0:
                ctx.buy(1)

    found = run(AtClose(), march, end="2011-03-03")
    assert [(f.session, iso(f.time_ns)) for f in found.fills] == [
        ("2011-03-02", "2011-03-02T14:30:00Z")
    ]


def test_orders_may_be_placed_before_anything_is_known(march: MemoryStore) -> None:
    class Early(Strategy):
        def on_start(self, ctx: Any) -> None:
            assert np.isnan(ctx.price())
            assert ctx.equity == ctx.cash == 100_000
            ctx.target(ctx.instruments[0], 1)

    found = run(Early(), march, end="2011-03-02")
    assert [iso(f.time_ns) for f in found.fills] == ["2011-03-01T14:30:00Z"]
    found = run(Early(), march, end="2011-03-02", sizing="cash", size=1000.0)
    assert found.status == "failed"
    assert "XNYS:SPY has no price yet" in found.error


def test_a_target_is_kept_not_topped_up(march: MemoryStore) -> None:
    class Full(Strategy):
        def on_bar(self, ctx: Any, bar: Any) -> None:
            ctx.target(bar.instrument, 1)

    assert len(run(Full(), march, sizing="percent", size=0.5).fills) == 1


def test_targets_that_are_no_numbers_or_of_no_instrument_fail() -> None:
    for act, message in (
        (lambda ctx: ctx.target(COIN, float("nan")), "a target of nan"),
        (lambda ctx: ctx.target("XNYS:QQQ", 1), "`XNYS:QQQ` is not played"),
        (lambda ctx: ctx.buy(0), "an order over 0 units"),
        (lambda ctx: ctx.buy(float("inf")), "an order over inf units"),
        (lambda ctx: ctx.buy(1, trail=-1), "a trail of -1"),
        (lambda ctx: ctx.size_for_risk(100), "a stop at 100 risks nothing"),
        (lambda ctx: ctx.history(501), "501 rows of history"),
        (lambda ctx: ctx.history(0), "0 rows of history"),
        (lambda ctx: ctx.ema(3), "an indicator was asked for too late"),
        (lambda ctx: ctx.indicator("ema", 3), "an indicator was asked for too late"),
    ):
        found = play(script({0: act}), bars(flat(100, 100)))
        assert (found.status, found.bars) == ("failed", 1)
        assert message in found.error


def test_volatility_sizing_finds_the_instrument_that_is_not_named() -> None:
    rng = np.random.default_rng(0)
    prices = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, 150)))
    found = play(
        script({120: lambda ctx: ctx.target("", 1)}), bars(flat(*prices)),
        sizing="volatility", size=0.1,
    )  # fmt: skip
    assert found.status == "done", found.error
    assert len(found.fills) == 1


def test_sizing_by_risk_puts_a_fraction_of_equity_on_the_way_to_the_stop() -> None:
    def enter(ctx: Any) -> None:
        ctx.buy(ctx.size_for_risk(95))

    found = play(script({0: enter}), bars(flat(100, 100)), sizing="risk", size=0.01)
    assert trades_of(found) == [(200.0, 100.0)]
    found = play(
        script({0: lambda ctx: ctx.target(COIN, 1)}), bars(flat(100, 100)), sizing="risk", size=0.01
    )
    assert "sizing by risk needs a stop" in found.error


def test_history_is_bounded_by_the_clock_and_the_run(march: MemoryStore) -> None:
    class Looks(Strategy):
        def on_bar(self, ctx: Any, bar: Any) -> None:
            rows = ctx.history(50)
            assert rows.end_ns[-1] == ctx.now_ns == bar.end_ns
            assert len(rows) <= 50
            assert (np.diff(rows.start_ns) > 0).all()
            ctx.log(str(len(rows)))

    found = run(Looks(), march, end="2011-03-03", history=50, sessions_per_chunk=1)
    assert found.status == "done", found.error
    assert [int(line.text) for line in found.log] == [min(n, 50) for n in range(1, 781)]


def test_the_log_is_capped_and_says_so(march: MemoryStore) -> None:
    class Chatty(Strategy):
        def on_bar(self, ctx: Any, bar: Any) -> None:
            ctx.log("a")
            ctx.log("b")

    found = run(Chatty(), march)
    assert len(found.log) == 10_000
    assert found.log[-1].text == "the log is full; nothing more is kept"


def test_random_numbers_are_seeded(march: MemoryStore) -> None:
    class Dice(Strategy):
        def on_bar(self, ctx: Any, bar: Any) -> None:
            ctx.target(bar.instrument, ctx.random.choice([0, 1]))

    first, again, other = (run(Dice(), march, end="2011-03-03", seed=s) for s in (1, 1, 2))
    assert first.seal == again.seal
    assert trades_of(first) == trades_of(again) != trades_of(other)


# Failing


FAILING = """
from openbell.backtest.strategy import SignalStrategy, Strategy


class Failing(Strategy):
    at: int = 500

    def on_start(self, ctx):
        self.seen = 0

    def on_bar(self, ctx, bar):
        self.seen += 1
        if self.seen == 1:
            ctx.target(bar.instrument, 1)
        if self.seen == self.at:
            ratio = bar.close / (bar.volume - bar.volume)
"""


@pytest.mark.parametrize("sessions_per_chunk", [0, 1, 2])
def test_a_strategy_that_raises_is_named_by_moment_bar_and_line(
    tmp_path: Path, march: MemoryStore, sessions_per_chunk: int
) -> None:
    path = tmp_path / "failing.py"
    path.write_text(FAILING)
    loaded = load_strategy(str(path), {})
    config = RunConfig(str(path), ("XNYS:SPY/1m",))
    found = run_backtest(
        loaded.strategy, config, march, loaded.code, sessions_per_chunk=sessions_per_chunk
    )
    assert found.status == "failed"
    assert found.error.startswith(
        "ZeroDivisionError: float division by zero — at 2011-03-02T16:20:00Z, "
        "bar XNYS:SPY 2011-03-02T16:19:00Z o 13"
    )
    assert found.error.endswith("failing.py line 16: ratio = bar.close / (bar.volume - bar.volume)")
    assert (found.bars, len(found.fills)) == (500, 1)
    assert iso(int(found.equity.time_ns[-1])) == "2011-03-02T16:20:00Z"
    assert [s.label for s in found.sessions] == ["2011-03-01", "2011-03-02"]
    assert len(found.metrics.to_dict()) > 20


def test_what_came_before_a_failure_does_not_depend_on_it(march: MemoryStore) -> None:
    whole = run(cross(), march, end="2011-03-03")
    token = CancelToken()
    seen: list[int] = []

    def stop_after_one(done: int, total: int, what: str) -> None:
        seen.append(done)
        token.cancel()

    part = run(cross(), march, end="2011-03-03", cancel=token, progress=stop_after_one)
    assert (part.status, seen) == ("interrupted", [1])
    n = len(part.equity)
    assert part.equity.equity.tolist() == whole.equity.equity[:n].tolist()
    assert part.fills == whole.fills[: len(part.fills)]
    assert part.sessions == whole.sessions[:1]


def notebook_class() -> type[Strategy]:
    """A class as a notebook makes it: in a module without a file."""
    names: dict[str, Any] = {"Strategy": Strategy, "__name__": "__notebook__"}
    code = "class Typed(Strategy):\n    def on_bar(self, ctx, bar):\n        raise KeyError('x')\n"
    exec(compile(code, "<cell 3>", "exec"), names)
    made: type[Strategy] = names["Typed"]
    return made


def test_a_failure_in_a_notebook_names_the_cell(march: MemoryStore) -> None:
    found = run(notebook_class()(), march)
    assert found.status == "failed"
    assert "KeyError: 'x' — at 2011-03-01T14:31:00Z" in found.error
    assert "line 3" in found.error


@pytest.mark.parametrize(
    "callback",
    ["on_start", "on_session_open", "on_session_close", "on_fill", "on_stop", "on_slice"],
)
def test_a_failure_in_any_callback_is_the_strategys(callback: str) -> None:
    def fail(self: Any, *args: Any) -> None:
        raise ValueError("on purpose")

    made = type("Failing", (Script,), {callback: fail, "acts": {0: lambda ctx: ctx.buy(1)}})
    found = play(made(), bars(flat(100, 100)))
    assert found.status == "failed"
    assert found.error.startswith("ValueError: on purpose — at 2024-03-0")
    assert len(found.equity) == {
        "on_start": 0,
        "on_session_open": 1,
        "on_slice": 2,
        "on_fill": 3,
    }.get(callback, 4)
    assert found.metrics.sessions in (0, 1)


@pytest.mark.parametrize("at", [0, 389, 390, 700])
@pytest.mark.parametrize("sessions_per_chunk", [0, 1])
def test_ctrl_c_keeps_what_there_is(march: MemoryStore, at: int, sessions_per_chunk: int) -> None:
    class Stops(type(script({}))):  # type: ignore[misc]
        def on_bar(self, ctx: Any, bar: Any) -> None:
            ctx.target(bar.instrument, self.count % 2)
            if self.count == at:
                raise KeyboardInterrupt
            self.count += 1

    found = run(Stops(), march, sessions_per_chunk=sessions_per_chunk)
    assert (found.status, found.bars) == ("interrupted", at + 1)
    assert found.error == f"stopped at {iso(int(found.equity.time_ns[-1]))}"
    assert len(found.fills) == max(at - 1, 0)
    assert found.equity_end == found.equity.equity[-1]
    assert len(found.sessions) == at // 390 + 1


@pytest.mark.parametrize("sessions_per_chunk", [1, 2, 3, 0])
def test_cancelling_between_sessions_keeps_every_session_so_far(
    march: MemoryStore, sessions_per_chunk: int
) -> None:
    token = CancelToken()

    def stop_at_two(done: int, total: int, what: str) -> None:
        if done == 2:
            token.cancel()

    found = run(
        cross(), march, sessions_per_chunk=sessions_per_chunk, cancel=token, progress=stop_at_two
    )
    assert (found.status, found.bars) == ("interrupted", 780)
    assert [s.label for s in found.sessions] == ["2011-03-01", "2011-03-02"]
    assert len(found.equity.closes) == 2
    assert found.equity.cash[-1] == found.fills[-1].cash


# Several instruments, and ticks


def test_an_instrument_may_lack_bars_for_a_while() -> None:
    """An order waits for the instrument's own next bar; equity goes on with its last close."""
    a = bars(flat(10, 11, 12, 13, 14), "MADE:A")
    b = bars(flat(20, 30), "MADE:B", [0, 4])
    acts = {1: lambda ctx: (ctx.buy(1, "MADE:A"), ctx.buy(1, "MADE:B"))}
    found = play(script(acts), a, b)
    assert [(f.instrument, f.price, f.time_ns) for f in found.fills] == [
        ("MADE:A", 11.0, MIDNIGHT_NS + 60_000_000_000),
        ("MADE:B", 30.0, MIDNIGHT_NS + 240_000_000_000),
    ]
    assert found.equity.equity[1:6].tolist() == [1e5, 1e5, 1e5 + 1, 1e5 + 2, 1e5 + 3]


def test_instruments_share_money() -> None:
    a, b = bars(flat(100, 100, 100), "MADE:A"), bars(flat(50, 50, 50), "MADE:B")
    acts = {1: lambda ctx: (ctx.buy(6, "MADE:A"), ctx.sell(9, "MADE:B"), ctx.buy(8, "MADE:B"))}
    found = play(script(acts), a, b, cash=1000.0)
    assert [(f.instrument, f.size) for f in found.fills] == [("MADE:A", 6.0), ("MADE:B", 8.0)]
    assert [(o.order, o.reason) for o in found.outcomes] == [(2, "not enough money")]


def test_an_instrument_named_twice_and_a_benchmark_not_played_are_refused(
    march: MemoryStore,
) -> None:
    with pytest.raises(UsageError, match="given twice"):
        run(cross(), march, on=("XNYS:SPY/1m", "XNYS:SPY/1m"))
    with pytest.raises(UsageError, match="the benchmark XNYS:QQQ is not played"):
        run(cross(), march, benchmark="XNYS:QQQ")


def test_several_instruments_must_be_named_in_orders() -> None:
    a, b = bars(flat(10, 11), "MADE:A"), bars(flat(20, 30), "MADE:B")
    found = play(script({0: lambda ctx: ctx.buy(1)}), a, b)
    assert "there are several instruments" in found.error


def quotes(rows: list[tuple[int, float, float]]) -> Quotes:
    seconds, bid, ask = (np.array(column) for column in zip(*rows, strict=True))
    n = len(rows)
    return Quotes(
        Series.parse(f"{COIN}/quotes"), MIDNIGHT_NS + seconds * 1_000_000_000, bid, ask,
        np.where(np.isnan(bid), 0.0, 1.0), np.where(np.isnan(ask), 0.0, 1.0), np.zeros(n, np.int32),
    )  # fmt: skip


def test_quote_fills_cross_the_spread_and_one_sided_quotes_fill_one_side() -> None:
    nan = float("nan")
    book = quotes([(70, nan, 101), (80, 99, nan), (90, 98, 102), (130, 97, 103)])
    acts = {0: lambda ctx: (ctx.buy(1), ctx.sell(1, stop=98.5), ctx.buy(1, stop=101.5))}
    found = play(script(acts), bars(flat(100, 100, 100)), book, fill="quotes")
    seconds = [(f.size, f.price, (f.time_ns - MIDNIGHT_NS) // 10**9) for f in found.fills]
    assert seconds == [(1.0, 101.0, 70), (-1.0, 98.0, 90), (1.0, 102.0, 90)]


def test_trade_fills_take_the_next_print() -> None:
    time_ns = MIDNIGHT_NS + np.array([30, 70, 70, 90]) * 10**9
    prints = Trades(
        Series.parse(f"{COIN}/trades"), time_ns, np.array([99.0, 101.0, 102.0, 95.0]),
        np.ones(4), np.zeros(4, np.int32), np.zeros(4, np.int32),
    )  # fmt: skip
    acts = {0: lambda ctx: (ctx.buy(1), ctx.buy(1, limit=96))}
    found = play(script(acts), bars(flat(100, 100, 100)), prints, fill="trades")
    assert trades_of(found) == [(1.0, 101.0), (1.0, 95.0)]


def test_real_quotes_fill_at_the_next_bid_and_ask(samples: Path) -> None:
    """Oanda EURUSD, 2014-05-01: every quote of the day, in LEAN's form."""
    rows = lean_rows(samples / "lean/Data/forex/oanda/tick/eurusd/20140501_quote.zip")
    numbers = np.array(rows, float).T
    time_ns = parse_moment("2014-05-01") + (numbers[0] * 1e6).astype(np.int64)
    order = np.argsort(time_ns, kind="stable")
    one = np.ones(len(order))
    book = Quotes(
        Series.parse("OANDA:EURUSD/quotes"), time_ns[order], numbers[1][order], numbers[2][order],
        one, one, np.zeros(len(order), np.int32),
    )  # fmt: skip

    class Turns(Strategy):
        def on_start(self, ctx: Any) -> None:
            self.count = 0

        def on_quote(self, ctx: Any, quote: Any) -> None:
            self.count += 1
            if self.count % 1000 == 0:
                ctx.target(quote.instrument, self.count // 1000 % 2)

    found = run(Turns(), store_of(book), on=("OANDA:EURUSD/quotes",), fill="quotes", size=1000.0)
    assert found.status == "done", found.error
    assert len(found.fills) > 10
    for fill in found.fills:
        placed_ns = found.orders[fill.order - 1].time_ns
        row = int(np.searchsorted(book.time_ns, placed_ns, side="right"))
        side = book.ask if fill.size > 0 else book.bid
        assert (fill.time_ns, fill.price) == (book.time_ns[row], side[row])


def test_a_fill_mode_without_its_data_is_refused(march: MemoryStore) -> None:
    for fill in ("quotes", "trades"):
        with pytest.raises(UsageError, match=f"fills {fill} need {fill} of XNYS:SPY"):
            run(cross(), march, fill=fill)
    with pytest.raises(UsageError, match="fills next_open need bars of MADE:COIN"):
        play(script({}), quotes([(1, 99, 101)]))


# The same input gives the same seal


def test_the_seal_does_not_depend_on_how_the_data_is_cut(march: MemoryStore) -> None:
    found = {run(cross(), march, sessions_per_chunk=k).seal for k in (0, 1, 2, 5, 23, 100)}
    assert len(found) == 1


def test_the_seal_and_the_id_do_not_depend_on_the_process(tmp_path: Path, spy: Bars) -> None:
    import os
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from tests.backtest.test_run import *\n"
        "r = run(cross(), store_of(spy_march(Path('tests/samples')))); print(r.id, r.seal)"
    )
    root = Path(__file__).parents[2]
    here = run(cross(), store_of(spy))
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True
        )
        assert done.stdout.split() == [here.id, here.seal], done.stderr


def test_the_id_is_of_the_settings_the_versions_and_the_code(spy: Bars) -> None:
    store = store_of(spy)
    config = RunConfig("x", ("XNYS:SPY/1m",), end="2011-03-02")
    first = run_backtest(cross(), config, store, Code({"a.py": "1"}))
    assert first.id == run_backtest(cross(), config, store, Code({"a.py": "1"})).id
    others = [
        run_backtest(cross(), config, store, Code({"a.py": "2"})).id,
        run_backtest(cross(slow=27), config, store, Code({"a.py": "1"})).id,
        run_backtest(
            cross(), RunConfig("x", config.on, end="2011-03-03"), store, Code({"a.py": "1"})
        ).id,
    ]
    changed = Bars(spy.series, **{**spy.columns(), "volume": spy.volume + 1})
    from openbell.ports import Manifest

    store.write(changed, Manifest("again"))
    others.append(run_backtest(cross(), config, store, Code({"a.py": "1"})).id)
    assert len({first.id, *others}) == 5


def test_names_that_only_find_things_are_not_sealed(march: MemoryStore) -> None:
    config = RunConfig("one", ("XNYS:SPY/1m",), end="2011-03-02")
    other = RunConfig("two", ("XNYS:SPY/1m@1",), end="2011-03-02", history=9)
    seals = {run_backtest(cross(), c, march, Code({})).seal for c in (config, other)}
    assert len(seals) == 1


def test_a_column_function_that_does_not_compile_fails_the_run() -> None:
    @njit
    def wrong(bars, params, state, out):  # type: ignore[no-untyped-def]
        out[0] = "one"

    class Wrong(SignalStrategy):
        def signals(self) -> Column:
            return Column(wrong, (), 1)

    found = play(Wrong(), bars(flat(100, 101, 102)))
    assert found.status == "failed"
    assert found.error.startswith("the column function wrong failed: TypingError")


@pytest.mark.parametrize("level", [{"limit": float("nan")}, {"stop": float("inf")}])
def test_a_level_that_is_no_price_is_refused(level: dict[str, float]) -> None:
    def act(ctx: Any) -> None:
        ctx.buy(1, **level)

    found = play(script({0: act}), bars(flat(100, 100)))
    assert found.status == "failed"
    assert "give a price, or leave it out" in found.error


def test_a_strategy_that_exits_fails_its_run_and_not_the_process() -> None:
    def act(ctx: Any) -> None:
        raise SystemExit(3)

    found = play(script({0: act}), bars(flat(100, 100)))
    assert found.status == "failed"
    assert found.error.startswith("SystemExit: 3")


def test_thin_data_is_said_loudly(spy: Bars) -> None:
    thin = spy.take(slice(None, None, 5))
    found = run(cross(), store_of(thin))
    assert any("of the expected bars are there" in warning for warning in found.warnings)


def test_bars_that_reach_over_the_close_are_warned_of() -> None:
    opens = parse_moment("2024-03-04T14:30Z")
    start = opens + np.arange(7) * HOUR_NS
    prices = [np.full(7, 100.0)] * 5
    hours = bars_from("XNYS:SPY/1h", start, start + HOUR_NS, prices)
    found = play(script({}), hours)
    assert any(warning.startswith("1 bar reaching over") for warning in found.warnings)
