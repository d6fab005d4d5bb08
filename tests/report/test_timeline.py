from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.backtest.orders import Fill
from openbell.market.moments import MINUTE_NS, parse_moment
from openbell.report.timeline import Timeline, candles, local_ms, thinned, timeline
from tests.backtest.runs import run
from tests.report.spy import SPY, sessions, spy_bars, spy_run


@pytest.fixture(scope="module")
def line() -> Timeline:
    return timeline(spy_run(), {SPY: spy_bars()})


def test_every_bar_of_the_run_has_a_place_and_no_other(line: Timeline) -> None:
    """The file holds 17,577 bars; one ends at each opening, from before the session."""
    assert len(line) == 23 * 390
    assert np.bincount(line.session).tolist() == [390] * 23
    assert line.zone == "America/New_York"
    for number, session in enumerate(sessions()):
        inside = line.time_ns[line.session == number]
        assert inside[0] == session.open_ns + MINUTE_NS
        assert inside[-1] == session.close_ns


def test_places_know_the_equity_in_force(line: Timeline) -> None:
    curve = spy_run().equity
    assert (curve.time_ns[line.row] == line.time_ns).all()
    assert curve.equity[line.row][-1] == curve.equity[-1]


def test_places_show_the_clocks_of_the_venue_across_the_change_to_summer_time(
    line: Timeline,
) -> None:
    day_ms, begins = 86_400_000, np.flatnonzero(np.diff(line.session, prepend=-1))
    opening = (line.local_ms[begins] % day_ms) / 60_000
    assert set(opening.tolist()) == {9 * 60 + 31}


def test_clocks_put_back_show_an_hour_twice() -> None:
    moments = np.array([parse_moment("2011-11-06T05:30Z"), parse_moment("2011-11-06T06:30Z")])
    first, second = local_ms(moments, "America/New_York")
    assert first == second


def test_a_fill_stands_at_the_bar_it_happened_in(line: Timeline) -> None:
    result = spy_run()
    moments = np.array([f.time_ns for f in result.fills])
    place = line.place_of_fills(moments, "next_open")
    assert (line.time_ns[place] - moments == MINUTE_NS).all()
    at_close = line.place_of_fills(line.time_ns[[5, 400]], "same_close")
    assert at_close.tolist() == [5, 400]


def test_candles_of_a_short_run_are_its_bars(line: Timeline) -> None:
    found = candles(line, spy_bars(), 10_000)
    assert found.each == 1
    assert len(found.x) == len(line)
    assert found.x.tolist() == found.place.tolist()
    first = spy_bars().between(sessions()[0].open_ns, sessions()[0].open_ns + MINUTE_NS)
    assert (found.open[0], found.high[0], found.volume[0]) == (
        first.open[0], first.high[0], first.volume[0],
    )  # fmt: skip


@pytest.mark.parametrize("most", [1, 30, 1_000, 5_000])
def test_wider_candles_lose_no_extreme_and_no_volume_and_stay_in_their_session(
    line: Timeline, most: int
) -> None:
    one, wide = candles(line, spy_bars(), 10_000), candles(line, spy_bars(), most)
    assert wide.high.max() == one.high.max()
    assert wide.low.min() == one.low.min()
    assert wide.volume.sum() == one.volume.sum()
    assert (wide.open[0], wide.close[-1]) == (one.open[0], one.close[-1])
    assert len(wide.x) <= most + 23
    starts = np.rint(wide.x - (wide.width - 1) / 2).astype(int)
    assert (line.session[starts] == line.session[wide.place]).all()
    assert wide.width.sum() == len(line)


def test_corrupt_bars_are_not_drawn(line: Timeline) -> None:
    bars = spy_bars()
    row = int(np.searchsorted(bars.start_ns, sessions()[0].open_ns))
    label = bars.label.copy()
    label[row] = 1
    bad = replace(bars, label=label)
    assert len(candles(line, bad, 10_000).x) == len(line) - 1


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=300), st.integers(3, 60))
def test_a_thinned_curve_keeps_its_highest_lowest_and_last(values: list[float], most: int) -> None:
    curve = np.array(values)
    places = np.arange(len(curve), dtype=np.int64)
    line = Timeline(places, places, places * 0, "UTC")
    at = thinned(line, curve, most)
    assert curve[at].max() == curve.max()
    assert curve[at].min() == curve.min()
    assert at[-1] == len(curve) - 1
    assert (np.diff(at) > 0).all()
    assert len(at) <= most + 3


def test_a_run_without_bars_is_placed_by_its_own_moments() -> None:
    result = run([100.0, 101.0, 99.0])
    line = timeline(result, {})
    assert line.time_ns.tolist() == result.equity.time_ns.tolist()
    assert line.session.tolist() == [0, 1, 2]
    assert line.zone == "UTC"


def test_nothing_played_has_no_places() -> None:
    assert len(timeline(run([]), {})) == 0
    assert len(timeline(run([]), {SPY: spy_bars()})) == 0


def test_the_sample_run_trades() -> None:
    fills: list[Fill] = list(spy_run().fills)
    assert len(fills) > 300
