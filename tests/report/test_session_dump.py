"""The session dump over real sessions: its columns, and what holds for every row."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openbell.market.bars import Bars
from openbell.market.errors import UsageError
from openbell.market.moments import MINUTE_NS, SECOND_NS
from openbell.replay.system import System
from openbell.report.session_dump import Row, columns, session_rows
from tests.quality.reading import equity_minutes, spy_march, utc_minutes
from tests.replay.playing import Stored, every_minute, quotes, stored
from tests.replay.test_scenarios import es

REQUIRED = (
    "timestamp, system_state, system_mode, session_date, session_time, session_active, "
    "active_symbols, overall_quality, trading_hours_open, trading_hours_close, is_early_close, "
    "SPY_volume, SPY_high, SPY_low, SPY_1m_bars, SPY_5m_bars, SPY_15m_bars, SPY_bar_quality, "
    "SPY_bars_updated, SPY_first_bar_ts, SPY_last_bar_ts, SPY_queue_BAR_size, "
    "SPY_queue_BAR_oldest, SPY_queue_BAR_newest, SPY_pending_bar_ts"
)
COUNTS = ("volume", "1m_bars", "5m_bars", "15m_bars")


@pytest.fixture(scope="module")
def kept(samples: Path) -> dict[str, tuple[Stored, str, str]]:
    """Real sessions by name: the data, and the range to play."""
    coin = utc_minutes(
        samples, "crypto/coinbase/minute/btcusd", "COINBASE:BTCUSD/1m", "20180404", "20180405"
    )
    return {
        "march": (stored(spy_march(samples)), "2011-03-10", "2011-03-16"),
        "two": (
            stored(
                equity_minutes(samples, "SPY", "20131007", "20131008"),
                equity_minutes(samples, "SHY", "20080310"),
            ),
            "2013-10-07",
            "2013-10-09",
        ),
        "half day": (
            stored(equity_minutes(samples, "GOOG", "20151223", "20151224", "20151228")),
            "2015-12-23",
            "2015-12-29",
        ),
        "sparse": (stored(equity_minutes(samples, "SHY", "20080307")), "2008-03-07", "2008-03-08"),
        "truncated": (stored(coin), "2018-04-04", "2018-04-06"),
        "overnight": (
            stored(es(samples, "20131007", "20131008", "20131009")),
            "2013-10-07T22:00Z",
            "2013-10-09T21:15Z",
        ),
    }


def system_of(kept: tuple[Stored, str, str], **plan: int) -> System:
    data, start, end = kept
    return data.system(start, end, derived=("5m", "15m"), **plan)


def dumped(kept: tuple[Stored, str, str], every_ns: int = MINUTE_NS, **plan: int) -> list[Row]:
    return list(session_rows(system_of(kept, **plan), every_ns))


def sessions(rows: list[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["session_date"], []).append(row)
    return found


def numbers(rows: list[Row], column: str) -> list[float]:
    return [float(row[column]) for row in rows if row[column] != "N/A"]


def test_the_columns_are_those_of_the_requirement(kept: dict[str, tuple[Stored, str, str]]) -> None:
    system = system_of(kept["march"])
    assert columns(system) == REQUIRED.split(", ")
    rows = list(session_rows(system, MINUTE_NS))
    assert all(list(row) == columns(system) for row in rows)


def test_a_whole_day_in_samples_of_a_minute(kept: dict[str, tuple[Stored, str, str]]) -> None:
    day = sessions(dumped(kept["march"]))["2011-03-14"]
    assert len(day) == 391
    first, second, last = day[0], day[1], day[-1]
    assert (first["timestamp"], first["session_time"]) == ("2011-03-14T13:30:00Z", "09:30:00")
    assert (first["SPY_volume"], first["SPY_high"], first["SPY_1m_bars"]) == ("0", "N/A", "0")
    assert (first["SPY_queue_BAR_size"], first["SPY_pending_bar_ts"]) == ("390", "09:30:00")
    assert (first["SPY_bars_updated"], second["SPY_bars_updated"]) == ("False", "True")
    assert (second["SPY_last_bar_ts"], second["SPY_queue_BAR_oldest"]) == ("09:30:00", "09:31:00")
    assert (last["session_time"], last["SPY_last_bar_ts"]) == ("16:00:00", "15:59:00")
    assert [last[f"SPY_{n}"] for n in COUNTS[1:]] == ["390", "78", "26"]
    assert (last["SPY_queue_BAR_size"], last["SPY_queue_BAR_oldest"]) == ("0", "N/A")
    assert last["SPY_pending_bar_ts"] == "EXHAUSTED"
    assert last["system_state"] == "running"


def test_the_figures_at_the_close_are_those_of_the_data(
    kept: dict[str, tuple[Stored, str, str]],
) -> None:
    data, _, _ = kept["march"]
    day = data.store.read(data.pins[0], 1_300_109_400 * SECOND_NS, 1_300_132_800 * SECOND_NS)
    assert isinstance(day, Bars)
    last = sessions(dumped(kept["march"]))["2011-03-14"][-1]
    assert float(last["SPY_high"]) == day.high.max()
    assert float(last["SPY_low"]) == day.low.min()
    assert int(last["SPY_volume"]) == int(day.volume.sum())


def test_an_early_close_is_said(kept: dict[str, tuple[Stored, str, str]]) -> None:
    days = sessions(dumped(kept["half day"]))
    said = {d: (r[0]["is_early_close"], r[0]["trading_hours_close"]) for d, r in days.items()}
    assert said["2015-12-23"] == ("False", "16:00:00")
    assert said["2015-12-24"] == ("True", "13:00:00")
    assert days["2015-12-24"][-1]["session_time"] == "13:00:00"


def test_a_stream_that_ends_early_is_exhausted_and_its_quality_falls(
    kept: dict[str, tuple[Stored, str, str]],
) -> None:
    day = sessions(dumped(kept["truncated"]))["2018-04-04"]
    after = [row for row in day if row["session_time"] >= "16:48:00"]
    assert {row["BTCUSD_pending_bar_ts"] for row in after} == {"EXHAUSTED"}
    assert day[-1]["session_time"] == "24:00:00"
    quality = numbers(after, "BTCUSD_bar_quality")
    assert quality == sorted(quality, reverse=True)
    assert quality[0] > 90 > 71 > quality[-1]


def test_an_instrument_without_data_has_no_prices(
    kept: dict[str, tuple[Stored, str, str]],
) -> None:
    rows = dumped(kept["two"])
    assert rows[-1]["active_symbols"] == "SPY,SHY"
    assert {row["SHY_high"] for row in rows} == {"N/A"}
    assert {row["SHY_pending_bar_ts"] for row in rows} == {"EXHAUSTED"}
    assert rows[-1]["overall_quality"] == "50"


def test_the_last_row_says_that_the_system_has_stopped(
    kept: dict[str, tuple[Stored, str, str]],
) -> None:
    *_, before, last = dumped(kept["half day"])
    assert (last["system_state"], last["session_active"]) == ("stopped", "False")
    changed = {name for name in last if last[name] != before[name]}
    assert changed == {"system_state", "session_active"}


def test_a_dump_does_not_depend_on_how_much_is_prepared_at_once(
    kept: dict[str, tuple[Stored, str, str]],
) -> None:
    assert dumped(kept["march"], sessions_per_chunk=1) == dumped(kept["march"])


def test_a_replay_that_begins_in_a_session_is_sampled_from_there(samples: Path) -> None:
    data = stored(equity_minutes(samples, "SPY", "20131007"))
    rows = dumped((data, "2013-10-07T15:00:30Z", "2013-10-08"))
    assert rows[0]["session_time"] == "11:00:00"
    assert rows[0]["SPY_1m_bars"] == "90"
    assert len(rows) == 301 + 1


@pytest.mark.parametrize("name", ["march", "two", "half day", "sparse", "truncated", "overnight"])
@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(every_s=st.integers(45, 2_000))
def test_within_a_session_what_must_hold_holds(
    kept: dict[str, tuple[Stored, str, str]], name: str, every_s: int
) -> None:
    rows = dumped(kept[name], every_s * SECOND_NS)
    assert rows[-1]["system_state"] == "stopped"
    assert {row["system_state"] for row in rows[:-1]} == {"running"}
    symbols = [c.removesuffix("_volume") for c in rows[0] if c.endswith("_volume")]
    for day in sessions(rows).values():
        times = [row["timestamp"] for row in day]
        assert times == sorted(times)
        if name != "overnight":
            clock = [row["session_time"] for row in day]
            assert clock == sorted(clock)
        for symbol in symbols:
            check_symbol(day, symbol)


def check_symbol(day: list[Row], symbol: str) -> None:
    for count in COUNTS:
        assert all(row[f"{symbol}_{count}"].isdigit() for row in day)
        found = numbers(day, f"{symbol}_{count}")
        assert found == sorted(found)
    assert numbers(day, f"{symbol}_high") == sorted(numbers(day, f"{symbol}_high"))
    assert numbers(day, f"{symbol}_low") == sorted(numbers(day, f"{symbol}_low"), reverse=True)
    assert all(0 <= q <= 100 for q in numbers(day, f"{symbol}_bar_quality"))
    total = {
        int(row[f"{symbol}_queue_BAR_size"]) + int(row[f"{symbol}_1m_bars"]) for row in day
    }  # the next bar after the last one delivered is the oldest in the queue
    assert len(total) == 1
    for row in day:
        oldest, pending = row[f"{symbol}_queue_BAR_oldest"], row[f"{symbol}_pending_bar_ts"]
        assert pending == ("EXHAUSTED" if oldest == "N/A" else oldest)
        assert (oldest == "N/A") == (row[f"{symbol}_queue_BAR_size"] == "0")


def test_the_oldest_in_the_queue_is_the_next_bar_delivered(
    kept: dict[str, tuple[Stored, str, str]],
) -> None:
    day = sessions(dumped(kept["sparse"], 30 * SECOND_NS))["2008-03-07"]
    delivered = list(dict.fromkeys(row["SHY_last_bar_ts"] for row in day))
    queued = list(dict.fromkeys(row["SHY_queue_BAR_oldest"] for row in day))
    assert delivered[0] == "N/A"
    assert queued[-1] == "N/A"
    assert delivered[1:] == queued[:-1]
    assert len(delivered) > 50


def test_symbols_of_two_venues_are_told_apart_and_ticks_have_no_bars() -> None:
    span = ("2019-06-03T13:30Z", "2019-06-03T20:00Z")
    data = stored(
        every_minute("XNYS:A/1m", *span),
        every_minute("XNAS:A/1m", *span),
        quotes("XNYS:Q/quotes", "2019-06-03T14:00Z"),
    )
    rows = list(session_rows(data.system("2019-06-03", "2019-06-04"), 3600 * SECOND_NS))
    assert rows[-1]["XNYS:A_1m_bars"] == rows[-1]["XNAS:A_1m_bars"] == "390"
    assert rows[-1]["XNYS:A_5m_bars"] == "N/A"
    assert rows[-1]["Q_volume"] == "N/A"


def test_several_calendars_are_refused(samples: Path) -> None:
    data = stored(
        equity_minutes(samples, "SPY", "20131007"),
        every_minute("COINBASE:BTCUSD/1m", "2013-10-07", "2013-10-08"),
    )
    with pytest.raises(UsageError, match="one calendar, not of XNYS, 24/7"):
        list(session_rows(data.system("2013-10-07", "2013-10-08"), MINUTE_NS))
