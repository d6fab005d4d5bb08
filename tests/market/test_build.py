import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.market.bars import Bar, Bars, bars_from
from openbell.market.build import BarBuilder, bars_from_trades, bins, widen, widen_counted
from openbell.market.calendars import calendar, expected_starts
from openbell.market.columns import CONFLICTING, FILLED, Ints
from openbell.market.errors import BadDataError, UsageError
from openbell.market.instrument import Series
from openbell.market.moments import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, local, parse_moment
from openbell.market.ticks import Trade, Trades
from openbell.market.timeframe import Anchor, timeframe
from tests.market.reading import lean_day, lean_rows, midnight_ns

COINBASE = "lean/Data/crypto/coinbase"
NEW_YORK = "America/New_York"
INTRADAY = ("1m", "5m", "15m", "45m", "1h", "4h", "12h")
ALL = (*INTRADAY, "1d", "3d", "1w", "1M")


def at(text: str, zone: str = NEW_YORK) -> int:
    return parse_moment(text, zone)


def bin_of(text: str, code: str, anchor: Anchor = "session", name: str = "XNYS") -> list[str]:
    """The bin of a moment as clock times of the venue; empty if it has none."""
    known = calendar(name)
    found = bins(np.array([at(text, known.zone)]), timeframe(code), anchor=anchor, calendar=known)
    return [f"{local(int(b[0]), known.zone):%m-%d %H:%M}" for b in found if b[0] != -1]


def coinbase(samples: Path, kind: str, label: str) -> Bars:
    path = samples / COINBASE / kind / "btcusd" / f"{label.replace('-', '')}_trade.zip"
    code, width = ("1m", MINUTE_NS) if kind == "minute" else ("1s", SECOND_NS)
    return lean_day(path, f"COINBASE:BTCUSD/{code}", zone="UTC", width_ns=width)


def prices(bars: Bars) -> list[tuple[float, ...]]:
    columns = (bars.open, bars.high, bars.low, bars.close)
    return list(zip(*(c.tolist() for c in columns), strict=True))


def spy(samples: Path, kind: str) -> Bars:
    path = samples / f"lean/Data/equity/usa/{kind}/spy/20131007_trade.zip"
    code, width = ("1m", MINUTE_NS) if kind == "minute" else ("1s", SECOND_NS)
    return lean_day(path, f"ARCX:SPY/{code}", zone=NEW_YORK, width_ns=width, scale=1e4)


# ── known answers ──


@pytest.mark.shared
@pytest.mark.parametrize(("code", "rows"), [("1m", 2469), ("5m", 706)])
def test_kraken_trades_give_the_bars_published_with_them(
    shared_data: Path, code: str, rows: int
) -> None:
    import polars as pl

    trades = pl.read_ipc(shared_data / "freqtrade/XRP_ETH-trades.feather")
    published = pl.read_ipc(shared_data / f"freqtrade/XRP_ETH-{code}.feather")
    stamps = trades["timestamp"].to_numpy() * 1_000_000
    none = np.zeros(len(trades), np.int64)
    made = Trades(
        Series.parse("KRAKEN:XRP-ETH/trades"),
        stamps, trades["price"].to_numpy(), trades["amount"].to_numpy(), none, none,
    )  # fmt: skip

    bars = bars_from_trades(made, timeframe(code))

    assert len(bars) == rows
    assert np.array_equal(bars.start_ns, published["date"].cast(pl.Int64).to_numpy())
    for name in ("open", "high", "low", "close", "volume"):
        assert np.array_equal(getattr(bars, name), published[name].to_numpy()), name


def test_coinbase_seconds_give_the_published_minutes(samples: Path) -> None:
    minutes = coinbase(samples, "minute", "2016-10-07")

    built = widen(coinbase(samples, "second", "2016-10-07"), timeframe("1m"))

    assert len(built) == 1_419
    assert np.array_equal(built.start_ns, minutes.start_ns)
    assert prices(built) == prices(minutes)
    assert np.array_equal(np.round(built.volume, 8), minutes.volume)


@pytest.mark.parametrize(
    "label",
    ["2016-10-07", "2016-10-08", "2017-09-03", "2017-12-17", "2018-04-04", "2018-04-05"],
)
def test_coinbase_minutes_give_the_published_day(samples: Path, label: str) -> None:
    rows = lean_rows(samples / COINBASE / "daily/btcusd_trade.zip")
    published = next(row for row in rows if row[0].startswith(label.replace("-", "")))

    day = widen(coinbase(samples, "minute", label), timeframe("1d"))

    assert day.start_ns.tolist() == [midnight_ns(label)]
    assert day.end_ns.tolist() == [midnight_ns(label) + DAY_NS]
    assert prices(day) == [tuple(float(text) for text in published[1:5])]
    assert round(float(day.volume[0]), 8) == float(published[5])


def test_spy_seconds_give_the_published_prices_of_every_minute(samples: Path) -> None:
    minutes = spy(samples, "minute")

    built = widen(spy(samples, "second"), timeframe("1m"))

    assert len(built) == 828
    assert np.array_equal(built.start_ns, minutes.start_ns)
    assert prices(built) == prices(minutes)
    # The vendor moved volume between neighbouring minutes; the sum of the day is the same.
    assert int((built.volume != minutes.volume).sum()) == 58


# ── where bars lie ──


@pytest.mark.parametrize(
    ("moment", "code", "expected"),
    [
        ("2015-12-23T09:30", "1h", ["12-23 09:30", "12-23 10:30"]),
        ("2015-12-23T15:59", "1h", ["12-23 15:30", "12-23 16:00"]),
        ("2015-12-24T12:45", "1h", ["12-24 12:30", "12-24 13:00"]),
        ("2015-12-24T13:00", "1h", ["12-24 13:00", "12-24 13:30"]),
        ("2015-12-23T09:29", "1h", ["12-23 08:30", "12-23 09:30"]),
        ("2015-12-23T04:10", "1h", ["12-23 04:00", "12-23 04:30"]),
        ("2015-12-23T19:59", "4h", ["12-23 17:30", "12-23 20:00"]),
        ("2015-12-23T20:00", "1h", []),
        ("2015-12-25T12:00", "1h", []),
        ("2015-12-23T12:00", "1d", ["12-23 09:30", "12-23 16:00"]),
        ("2015-12-24T12:00", "1d", ["12-24 09:30", "12-24 13:00"]),
        ("2015-12-24T13:00", "1d", []),
        ("2015-12-23T12:00", "1w", ["12-21 09:30", "12-24 13:00"]),
        ("2015-12-23T12:00", "1M", ["12-01 09:30", "12-31 16:00"]),
        ("2015-12-21T12:00", "3d", ["12-21 09:30", "12-21 16:00"]),
        ("2015-12-23T12:00", "3d", ["12-22 09:30", "12-24 13:00"]),
    ],
)
def test_bars_of_sessions(moment: str, code: str, expected: list[str]) -> None:
    assert bin_of(moment, code) == expected


@pytest.mark.parametrize(
    ("moment", "code", "expected"),
    [
        ("2024-03-10T17:30", "1h", ["03-10 17:00", "03-10 18:00"]),
        ("2024-03-11T15:30", "4h", ["03-11 13:00", "03-11 16:00"]),
        ("2024-03-11T16:30", "1h", []),
        ("2024-03-10T17:30", "1d", ["03-10 17:00", "03-11 16:00"]),
        ("2024-03-10T17:30", "1w", ["03-10 17:00", "03-15 16:00"]),
        ("2013-10-07T15:20", "15m", ["10-07 15:15", "10-07 15:30"]),
    ],
)
def test_bars_of_overnight_sessions_are_those_of_the_day_they_end_on(
    moment: str, code: str, expected: list[str]
) -> None:
    assert bin_of(moment, code, name="CME_EQUITY") == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("45m", ["03-13 11:15", "03-13 12:00"]),
        ("4h", ["03-13 08:00", "03-13 12:00"]),
        ("1d", ["03-13 00:00", "03-14 00:00"]),
        ("3d", ["03-12 00:00", "03-15 00:00"]),
        ("1w", ["03-11 00:00", "03-18 00:00"]),
        ("1M", ["03-01 00:00", "04-01 00:00"]),
    ],
)
def test_bars_counted_from_the_epoch(code: str, expected: list[str]) -> None:
    assert bin_of("2024-03-13T11:30", code, anchor="epoch", name="24/7") == expected


def test_a_day_of_daylight_saving_time_keeps_390_minutes_and_78_bars_of_five() -> None:
    for label in ("2011-03-11", "2011-03-14"):
        starts = expected_starts(calendar("XNYS").session(label), MINUTE_NS)
        counted = widen_counted(flat("XNYS:SPY/1m", starts, MINUTE_NS), timeframe("5m"))
        assert counted[1].tolist() == [5] * 78


def flat(series: str, starts: Ints, width_ns: int) -> Bars:
    return bars_from(series, starts, starts + width_ns, [np.ones(len(starts))] * 5)


@given(
    st.sampled_from(["XNYS", "XHKG", "CME_EQUITY"]),
    st.integers(6_000, 9_000),
    st.sampled_from(INTRADAY),
    st.booleans(),
)
def test_bins_of_the_minutes_expected_are_the_bars_expected(
    name: str, row: int, code: str, extended: bool
) -> None:
    known = calendar(name)
    session = known.table.session(row)
    minutes = expected_starts(session, MINUTE_NS, extended=extended)

    starts = np.unique(bins(minutes, timeframe(code), anchor="session", calendar=known)[0])

    width = timeframe(code).width_ns
    assert starts.tolist() == expected_starts(session, width, extended=extended).tolist()


@given(st.sampled_from(ALL), st.sampled_from(["XNYS", "XHKG", "CME_EQUITY", "FOREX"]), st.data())
def test_a_moment_lies_in_its_bin_and_so_does_the_start_of_the_bin(
    code: str, name: str, data: st.DataObject
) -> None:
    moment = data.draw(st.integers(at("2005-01-01"), at("2030-01-01")))
    known, tf = calendar(name), timeframe(code)
    for anchor in ("session", "epoch"):
        start, end = bins(np.array([moment]), tf, anchor=anchor, calendar=known)
        if start[0] != -1:
            assert start[0] <= moment < end[0]
            again = bins(start, tf, anchor=anchor, calendar=known)
            assert (again[0][0], again[1][0]) == (start[0], end[0])


# ── what bars hold ──


def test_labels_of_the_rows_are_joined_and_their_number_is_told() -> None:
    starts = expected_starts(calendar("XNYS").session("2011-03-14"), MINUTE_NS)[[0, 1, 7]]
    label = np.array([FILLED, CONFLICTING, 0])
    bars = replace(flat("XNYS:SPY/1m", starts, MINUTE_NS), label=label)

    wide, counts = widen_counted(bars, timeframe("5m"))

    assert wide.label.tolist() == [FILLED | CONFLICTING, 0]
    assert counts.tolist() == [2, 1]
    assert wide.volume.tolist() == [2.0, 1.0]


def test_rows_in_no_session_are_left_out_and_the_counts_tell() -> None:
    starts = np.array([at("2011-03-14T08:00"), at("2011-03-14T09:30"), at("2011-03-14T21:00")])
    bars = flat("XNYS:SPY/1m", starts, MINUTE_NS)

    assert widen_counted(bars, timeframe("5m"))[1].sum() == 2
    assert widen_counted(bars, timeframe("1d"))[1].sum() == 1


def test_bars_of_bid_prices_stay_bars_of_bid_prices() -> None:
    bars = flat("FXCM:EURUSD/1m.bid", np.array([at("2011-03-14T09:30")]), MINUTE_NS)
    assert str(widen(bars, timeframe("1h")).series) == "FXCM:EURUSD/1h.bid"


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [("5m", "5m"), ("5m", "1m"), ("1d", "1h"), ("2h", "3h"), ("1w", "1M"), ("3d", "1w")],
)
def test_only_wider_bars_can_be_built(narrow: str, wide: str) -> None:
    bars = Bars.empty(Series.parse(f"XNYS:SPY/{narrow}"))
    with pytest.raises(UsageError, match=f"{wide} bars cannot be built from {narrow} bars"):
        widen(bars, timeframe(wide))


def test_a_bar_that_reaches_over_the_end_of_the_wide_one_is_refused() -> None:
    # Counted from midnight, while the session opens at half past nine.
    bars = flat("XNYS:SPY/1h", np.array([at("2011-03-14T15:00")]), HOUR_NS)
    with pytest.raises(BadDataError, match="19:00:00Z → 2011-03-14T20:00:00Z reaches over"):
        widen(bars, timeframe("2h"))
    builder = BarBuilder(Series.parse("XNYS:SPY/2h"))
    with pytest.raises(BadDataError, match="reaches over"):
        builder.add(bars.bar(0))


def test_nothing_gives_nothing() -> None:
    assert len(widen(Bars.empty(Series.parse("XNYS:SPY/1m")), timeframe("1d"))) == 0
    assert (
        len(bars_from_trades(Trades.empty(Series.parse("XNYS:SPY/trades")), timeframe("1M"))) == 0
    )


# ── step by step ──

SIZES = st.floats(0, 1e6, allow_subnormal=False)
PRICES = st.floats(0.01, 1e4)
PLACES = ("XNYS:SPY", "XHKG:700", "XCME:ES", "BINANCE:BTCUSDT")


@st.composite
def moments(draw: st.DrawFn, step_ns: int) -> Ints:
    """Increasing multiples of the step around a week of 2013, some close, some far apart."""
    first = draw(st.integers(at("2013-11-25"), at("2013-12-02"))) // step_ns
    jumps = st.one_of(st.integers(1, 4), st.integers(1, 2 * DAY_NS // step_ns))
    steps = draw(st.lists(jumps, max_size=60))
    return np.cumsum([first, *steps], dtype=np.int64) * step_ns


@given(st.data(), st.sampled_from(PLACES), st.sampled_from(ALL), st.sampled_from([None, "epoch"]))
def test_trades_one_by_one_give_bit_for_bit_the_bars_of_columns(
    data: st.DataObject, name: str, code: str, anchor: Anchor | None
) -> None:
    at_ns = data.draw(moments(SECOND_NS))
    at_ns = np.sort(np.concatenate([at_ns, at_ns[::2]]))  # stamps may repeat
    n = len(at_ns)
    price = np.array(data.draw(st.lists(PRICES, min_size=n, max_size=n)))
    size = np.array(data.draw(st.lists(SIZES, min_size=n, max_size=n)))
    none = np.zeros(n, np.int64)
    trades = Trades(Series.parse(f"{name}/trades"), at_ns, price, size, none, none)

    whole = bars_from_trades(trades, timeframe(code), anchor=anchor)

    builder = BarBuilder(whole.series, anchor=anchor)
    items = [
        Trade(name, t, p, s, 0)
        for t, p, s in zip(at_ns.tolist(), price.tolist(), size.tolist(), strict=True)
    ]
    assert steps(builder, items) == list(whole)


def steps(builder: BarBuilder, items: list[Trade] | list[Bar]) -> list[Bar]:
    finished = [bar for item in items for bar in builder.add(item)]
    last = builder.in_progress()
    return finished + (builder.advance(last.end_ns) if last else [])


@given(st.data(), st.sampled_from(PLACES), st.sampled_from(ALL[1:]))
def test_bars_one_by_one_give_bit_for_bit_the_bars_of_columns_and_keep_volume(
    data: st.DataObject, name: str, code: str
) -> None:
    starts = data.draw(moments(MINUTE_NS))
    n = len(starts)
    rows = data.draw(st.lists(st.tuples(PRICES, PRICES, PRICES, PRICES), min_size=n, max_size=n))
    ordered = np.array([[a, max(a, b, c, d), min(a, b, c, d), d] for a, b, c, d in rows]).T
    volume = np.array(data.draw(st.lists(SIZES, min_size=n, max_size=n)))
    bars = bars_from(f"{name}/1m", starts, starts + MINUTE_NS, [*ordered, volume])

    wide, counts = widen_counted(bars, timeframe(code))

    assert steps(builder := BarBuilder(wide.series), list(bars)) == list(wide)
    assert builder.left_out == len(bars) - counts.sum()
    place = wide.series.instrument.place
    found = bins(starts, timeframe(code), anchor=place.anchor, calendar=calendar(place.calendar))[0]
    for start, got in zip(wide.start_ns, wide.volume, strict=True):
        assert got == pytest.approx(math.fsum(volume[found == start]), rel=1e-12)


@given(st.data(), st.sampled_from(["15m", "1h", "1d"]))
def test_a_bar_does_not_depend_on_what_comes_after_it(data: st.DataObject, code: str) -> None:
    starts = data.draw(moments(MINUTE_NS))
    values = data.draw(st.lists(PRICES, min_size=len(starts), max_size=len(starts)))
    bars = bars_from("XNYS:SPY/1m", starts, starts + MINUTE_NS, [np.array(values)] * 5)
    cut = data.draw(st.integers(0, len(bars)))

    early, late = (
        {bar for bar in widen(part, timeframe(code)) if bar.end_ns <= known}
        for known in [int(bars.end_ns[cut - 1]) if cut else 0]
        for part in (bars.take(slice(0, cut)), bars)
    )

    assert early == late


def test_a_bar_is_finished_when_it_ends_and_in_progress_until_then() -> None:
    builder = BarBuilder(Series.parse("XNYS:SPY/5m"))
    start = at("2011-03-14T09:30")
    first, last = (
        Bar("XNYS:SPY", s, s + MINUTE_NS, 1, 3, 1, 2, 10) for s in (start, start + 4 * MINUTE_NS)
    )

    assert builder.add(first) == []
    assert builder.in_progress() == Bar("XNYS:SPY", start, start + 5 * MINUTE_NS, 1, 3, 1, 2, 10)
    assert builder.add(last) == [Bar("XNYS:SPY", start, start + 5 * MINUTE_NS, 1, 3, 1, 2, 20)]
    assert builder.in_progress() is None


def test_time_alone_finishes_a_bar_and_nothing_can_be_added_to_it_any_more() -> None:
    builder = BarBuilder(Series.parse("XNYS:SPY/5m"))
    start = at("2011-03-14T09:30")
    builder.add(Trade("XNYS:SPY", start, 1.0, 1.0, 0))

    assert builder.advance(start + 5 * MINUTE_NS - 1) == []
    assert [bar.volume for bar in builder.advance(start + 5 * MINUTE_NS)] == [1.0]
    with pytest.raises(BadDataError, match="comes after 2011-03-14T13:35:00Z was passed"):
        builder.add(Trade("XNYS:SPY", start + MINUTE_NS, 1.0, 1.0, 0))


def test_what_is_in_no_session_is_counted_and_another_instrument_refused() -> None:
    builder = BarBuilder(Series.parse("XNYS:SPY/1h"))

    assert builder.add(Trade("XNYS:SPY", at("2011-03-13T12:00"), 1.0, 1.0, 0)) == []
    assert builder.left_out == 1
    assert builder.in_progress() is None
    with pytest.raises(UsageError, match="XNYS:QQQ cannot go into bars of XNYS:SPY/1h"):
        builder.add(Trade("XNYS:QQQ", at("2011-03-14T12:00"), 1.0, 1.0, 0))
