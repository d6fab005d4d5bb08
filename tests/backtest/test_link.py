"""Two orders of which only one may be filled."""

from typing import Any

from tests.backtest.made import COIN, Script, bars, flat, play


class Guarded(Script):
    """Buys one, then guards it with a stop at 90 and a target at 110."""

    link: bool = True

    def on_bar(self, ctx: Any, bar: Any) -> None:
        if self.count == 0:
            ctx.buy(1)
        if self.count == 1:
            numbers = ctx.sell(1, stop=90.0), ctx.sell(1, limit=110.0)
            if self.link:
                ctx.link(*numbers)
        self.count += 1


def test_the_fill_of_one_takes_the_other_back_in_the_same_bar() -> None:
    wild = bars([*flat(100, 100, 100), (100, 120, 80, 100), *flat(100, 100)])
    run = play(Guarded(), wild, fill="intrabar", size=1.0)
    assert [(f.size, f.price) for f in run.fills] == [(1.0, 100.0), (-1.0, 90.0)]
    assert [(o.order, o.state, o.reason) for o in run.outcomes] == [
        (3, "cancelled", "its rival was filled")
    ]


def test_without_the_link_both_are_filled() -> None:
    wild = bars([*flat(100, 100, 100), (100, 120, 80, 100), *flat(100, 100)])
    run = play(Guarded(link=False), wild, fill="intrabar", size=1.0)
    assert [f.size for f in run.fills] == [1.0, -1.0, -1.0]


def test_the_target_takes_the_stop_back() -> None:
    rising = bars(flat(100, 100, 100, 111, 80, 80))
    run = play(Guarded(), rising, size=1.0)
    assert [(f.size, f.price) for f in run.fills] == [(1.0, 100.0), (-1.0, 111.0)]
    assert run.outcomes[0].order == 2


def test_linking_an_order_that_was_never_placed_is_refused() -> None:
    class Wrong(Script):
        def on_bar(self, ctx: Any, bar: Any) -> None:
            ctx.link(ctx.buy(1), 7)

    run = play(Wrong(), bars(flat(100, 100)))
    assert run.status == "failed"
    assert "there is no order 7" in run.error


def test_the_size_of_a_full_position_follows_the_sizing() -> None:
    sizes = []

    class Asks(Script):
        def on_bar(self, ctx: Any, bar: Any) -> None:
            sizes.append(ctx.full_size(COIN))

    play(Asks(), bars(flat(50)), size=7.0)
    play(Asks(), bars(flat(50)), sizing="cash", size=100.0)
    assert sizes == [7.0, 2.0]
