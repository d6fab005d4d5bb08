"""Made-up bars follow the rule of requirement 000 to the digit, aligned and in true UTC."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.market.errors import UsageError
from openbell.market.instrument import Series
from openbell.market.moments import HOUR_NS, MINUTE_NS, SECOND_NS, parse_moment
from openbell.market.synthetic import Making, synthetic_bars

NQ = Series.parse("SYNTHETIC:NQ/1m")
NOW_NS = parse_moment("2025-08-24T11:34:33.941073Z")


def rule(i: int, start_ms: int, making: Making) -> list[float]:
    """Open, high, low, close, volume of bar `i`, as the interface page's table has them."""
    centre = (
        making.base_price
        + 0.1 * i
        + ((i % 7) - 3) * making.price_volatility
        + 0.02 * ((start_ms % 100) - 50)
    )
    open_ = centre + ((i % 3) - 1) * 1.25
    close = centre + ((i % 5) - 2) * 1.0
    high = max(open_, close) + (i % 4) * 0.75
    low = min(open_, close) - (i % 3) * 0.75
    volume = making.volume_base + (i % making.volume_range)
    return [round(open_, 2), round(high, 2), round(low, 2), round(close, 2), volume]


@pytest.mark.parametrize("making", [Making(), Making(100.5, 0.25, 10, 7)])
def test_every_bar_follows_the_rule(making: Making) -> None:
    bars = synthetic_bars(NQ, NOW_NS, 500, making)
    for i, bar in enumerate(bars):
        assert list(bar.ohlcv) == pytest.approx(
            rule(i, bar.start_ns // 1_000_000, making), abs=1e-9
        )


def test_bars_are_aligned_and_the_last_has_ended() -> None:
    bars = synthetic_bars(NQ, NOW_NS, 50, Making())
    assert len(bars) == 50
    assert bars.end_ns[-1] == parse_moment("2025-08-24T11:34Z")
    assert (bars.start_ns % MINUTE_NS == 0).all()
    assert (np.diff(bars.start_ns) == MINUTE_NS).all()


@pytest.mark.parametrize("width_ns", [7 * SECOND_NS, 10 * MINUTE_NS, 5 * HOUR_NS])
def test_any_width_may_be_asked_for(width_ns: int) -> None:
    bars = synthetic_bars(NQ, NOW_NS, 9, Making(), width_ns)
    assert (bars.end_ns - bars.start_ns == width_ns).all()
    assert NOW_NS - width_ns < bars.end_ns[-1] <= NOW_NS


@given(st.integers(0, 2**61), st.integers(1, 600), st.integers(1, 10**14))
def test_bars_are_sane_whatever_is_asked(end_ns: int, count: int, width_ns: int) -> None:
    if end_ns // width_ns < count:
        with pytest.raises(UsageError, match="cannot be made up"):
            synthetic_bars(NQ, end_ns, count, Making(), width_ns)
        return
    bars = synthetic_bars(NQ, end_ns, count, Making(), width_ns)
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert bars.end_ns[-1] <= end_ns


@pytest.mark.parametrize(("kind", "count"), [("1M", 5), ("1m", 0), ("1m", 1_000_001)])
def test_what_cannot_be_made_up_is_refused(kind: str, count: int) -> None:
    with pytest.raises(UsageError, match="cannot be made up"):
        synthetic_bars(Series.parse(f"SYNTHETIC:NQ/{kind}"), NOW_NS, count, Making())
