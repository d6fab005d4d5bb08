"""Session configurations of both generations: what they map to, and how mistakes are named."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.app.cli.exits import exit_code
from openbell.app.session_config import SIZE_MAX, read_session_config, session_config
from openbell.app.session_form import GROUPS
from openbell.market.calendars import calendar
from openbell.market.errors import BadDataError, NotRecordedError, UsageError

DATA = "session_data_config"
OLD: dict[str, Any] = {
    "session_name": "march",
    "mode": "backtest",
    "data_streams": [
        {"type": "bars", "symbol": "SPY", "interval": "1m"},
        {"type": "quotes", "symbol": "SPY", "output_file": "spy.csv"},
        {"type": "ticks", "symbol": "AAPL"},
    ],
    "backtest_config": {
        "start_date": "2011-03-10", "end_date": "2011-03-15", "speed_multiplier": 60,
    },
    "trading_config": {
        "max_buying_power": 100000, "max_per_trade": 10000, "max_per_symbol": 20000,
        "max_open_positions": 10, "paper_trading": True,
    },
    "api_config": {"data_api": "alpaca", "trade_api": "alpaca"},
    "session_data_config": {
        "historical_bars": {
            "enabled": True, "trailing_days": 3, "intervals": [1, 5], "auto_load": True,
        },
        "data_upkeep": {
            "enabled": True, "check_interval_seconds": 60, "retry_missing_bars": True,
            "max_retries": 5, "derived_intervals": [5, 15, 60], "auto_compute_derived": True,
        },
        "prefetch": {"enabled": True, "window_minutes": 60, "check_interval_minutes": 5},
        "session_boundary": {"auto_roll": True, "preserve_historical_days": 5},
    },
    "metadata": {"author": "somebody", "anything": [1, {"goes": None}]},
}  # fmt: skip
NEW: dict[str, Any] = {
    "session_name": "march",
    "mode": "backtest",
    "exchange_group": "US_EQUITY",
    "asset_class": "EQUITY",
    "backtest_config": {
        "start_date": "2011-03-10", "end_date": "2011-03-15", "speed_multiplier": 0,
        "prefetch_days": 1,
    },
    "session_data_config": {
        "symbols": ["SPY", "AAPL"],
        "streams": ["1m", "5m", "10m", "ticks"],
        "streaming": {"catchup_threshold_seconds": 60, "catchup_check_interval": 10},
        "historical": {
            "enable_quality": True,
            "data": [
                {"trailing_days": 3, "intervals": ["1m"], "apply_to": "all"},
                {"trailing_days": 10, "intervals": ["1d"], "apply_to": ["SPY"]},
            ],
            "indicators": {
                "avg": {
                    "type": "trailing_average", "period": "10d", "granularity": "daily",
                    "field": "volume",
                },
            },
        },
        "gap_filler": {
            "max_retries": 5, "retry_interval_seconds": 60, "enable_session_quality": True,
        },
        "indicators": {"session": [], "historical": []},
        "scanners": [],
        "strategies": [{"module": "mine"}],
    },
}  # fmt: skip


def changed(form: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of a form with another value at a path; `...` takes the field away."""
    found: dict[str, Any] = json.loads(json.dumps(form))
    *parents, last = path.split(".")
    at: Any = found
    for name in parents:
        at = at[int(name)] if name.isdigit() else at[name]
    if value is ...:
        del at[last]
    else:
        at[int(last) if last.isdigit() else last] = value
    return found


def said(form: Any) -> str:
    """What a form is refused with, hint included."""
    with pytest.raises(BadDataError) as raised:
        session_config(form)
    return f"{raised.value.message}; {raised.value.hint}"


def test_the_older_form_is_put_into_our_words() -> None:
    found = session_config(OLD)
    assert (found.name, found.mode, found.group) == ("march", "backtest", "")
    assert found.streams == (("SPY", "1m"), ("SPY", "quotes"), ("AAPL", "trades"))
    assert (found.start, found.end, found.speed) == ("2011-03-10", "2011-03-16", 60.0)
    assert (found.trailing, found.derived) == (3, ("1m", "5m", "15m", "1h"))


def test_the_newer_form_is_put_into_the_same_words() -> None:
    found = session_config(NEW)
    assert found.group == "US_EQUITY"
    assert found.streams == tuple(
        (s, k) for s in ("SPY", "AAPL") for k in ("1m", "5m", "10m", "trades")
    )
    assert (found.start, found.end, found.speed) == ("2011-03-10", "2011-03-16", 0.0)
    assert (found.trailing, found.derived) == (10, ("1m", "1d"))


def test_what_is_not_done_is_named_and_nothing_else() -> None:
    old = [line.partition(":")[0] for line in session_config(OLD).not_done]
    assert old == [
        "trading_config",
        "session_data_config.session_boundary.preserve_historical_days",
        "api_config",
        "session_data_config.prefetch.window_minutes",
        "session_data_config.prefetch.check_interval_minutes",
        "data_streams[1].output_file",
    ]
    new = [line.partition(":")[0] for line in session_config(NEW).not_done]
    assert new == [
        "asset_class",
        "session_data_config.historical.indicators",
        "backtest_config.prefetch_days",
        "session_data_config.streaming",
        "session_data_config.strategies",
        "session_data_config.historical.data",
    ]


def test_the_least_that_is_needed_asks_for_nothing_that_is_not_done() -> None:
    least = {
        "session_name": "x",
        "mode": "backtest",
        "data_streams": [{"type": "bars", "symbol": "XNYS:SPY", "interval": 5}],
        "backtest_config": {"start_date": "2011-03-10", "end_date": "2011-03-10"},
    }
    found = session_config(least)
    assert found.streams == (("XNYS:SPY", "5m"),)
    assert (found.end, found.speed, found.trailing, found.derived) == ("2011-03-11", 0, 0, ())
    assert found.not_done == ()


def test_sections_that_are_switched_off_ask_for_nothing() -> None:
    off = changed(OLD, "session_data_config.historical_bars.enabled", value=False)
    off = changed(off, "session_data_config.data_upkeep.auto_compute_derived", value=False)
    found = session_config(off)
    assert (found.trailing, found.derived) == (0, ())


def test_a_section_without_its_fields_has_the_requirements_defaults() -> None:
    plain = changed(OLD, "session_data_config", {"historical_bars": {}, "data_upkeep": {}})
    found = session_config(plain)
    assert (found.trailing, found.derived) == (5, ("1m", "5m", "15m"))


def test_gaps_are_filled_as_either_generation_asks_for_it() -> None:
    def filling(form: dict[str, Any]) -> tuple[bool, int, int]:
        found = session_config(form)
        return found.fills, found.check_interval_s, found.retries

    upkeep = f"{DATA}.data_upkeep"
    assert filling(changed(OLD, f"{upkeep}.check_interval_seconds", 30)) == (True, 30, 5)
    assert filling(changed(OLD, f"{upkeep}.retry_missing_bars", value=False)) == (False, 60, 5)
    assert filling(changed(OLD, f"{upkeep}.enabled", value=False)) == (False, 60, 5)
    assert filling(changed(OLD, upkeep, ...)) == (False, 60, 5)
    filler = {"max_retries": 2, "retry_interval_seconds": 120}
    assert filling(changed(NEW, f"{DATA}.gap_filler", filler)) == (True, 120, 2)


def test_bars_of_ten_minutes_are_asked_for_as_any_others() -> None:
    old = changed(OLD, f"{DATA}.data_upkeep.derived_intervals", [10])
    assert session_config(old).derived == ("1m", "5m", "10m")
    assert "10m" not in str(session_config(old).not_done)


def test_nothing_and_truth_are_said_as_json_has_them() -> None:
    assert "must be an object, not null" in said(None)
    assert "not true" in said(changed(OLD, "session_name", value=True))


def test_what_a_live_configuration_cannot_have_is_named_too() -> None:
    old, new = (session_config(changed(form, "mode", "live")).not_done for form in (OLD, NEW))
    only_old = {line.partition(":")[0] for line in old}
    only_new = {line.partition(":")[0] for line in new}
    assert "backtest_config: what comes live is played when it comes" in old
    assert {"api_config", "session_data_config.prefetch", "data_streams[1].output_file"} < only_old
    assert {"backtest_config", "session_data_config.streaming"} < only_new
    assert not {"backtest_config.prefetch_days", "session_data_config.prefetch.enabled"} & only_new
    assert all("replay" not in line and "lake" not in line for line in (*old[:-1], *new))


def test_live_mode_needs_no_dates() -> None:
    found = session_config(changed(changed(NEW, "mode", "live"), "backtest_config", ...))
    assert (found.mode, found.start, found.end) == ("live", "", "")


def test_every_exchange_group_has_calendars() -> None:
    assert {name: [calendar(c).name for c in names] for name, names in GROUPS.items()} == {
        "US_EQUITY": ["XNYS"],
        "US_OPTIONS": ["XNYS"],
        "US_FUTURES": ["CME_EQUITY", "CME_AGRICULTURE", "CME_METALS", "CME_ENERGY"],
        "UK_EQUITY": ["XLON"],
        "JP_EQUITY": ["XTKS"],
        "EU_EQUITY": ["XETR", "XPAR"],
    }


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("session_name", ..., "session_name: is missing"),
        ("session_name", "", "session_name: must be a text, not ''"),
        ("session_name", "\ud800", "session_name: must be a text"),
        ("mode", "paper", "mode: must be one of live, backtest, not 'paper'"),
        ("exchange_group", "MARS", "exchange_group: must be one of US_EQUITY, US_OPTIONS"),
        ("backtest_config", ..., "backtest_config: is missing, and the mode is backtest"),
        ("backtest_config.start_date", "10.3.2011", "start_date: must be a date like 2011-03-14"),
        ("backtest_config.start_date", "2011-W10-4", "start_date: must be a date like 2011-03-14"),
        ("backtest_config.end_date", "2011-03-09", "end_date: 2011-03-09 lies before start_date"),
        ("backtest_config.speed_multiplier", -1, "speed_multiplier: must be a number, at least 0"),
        (
            "backtest_config.speed_multiplier",
            True,
            "must be a number, at least 0 and at most 1,000,000,000, not true",
        ),
        ("backtest_config.prefetch_days", 0, "prefetch_days: must be a whole number, at least 1"),
        (f"{DATA}.symbols.1", "SPY", f"{DATA}.symbols[1]: 'SPY' is given twice"),
        (f"{DATA}.symbols.0", "S PY", f"{DATA}.symbols[0]: must be a symbol like SPY"),
        (f"{DATA}.symbols", [], f"{DATA}.symbols: has 0 items"),
        (f"{DATA}.symbols", ..., f"{DATA}.symbols: is missing, and streams are given"),
        (f"{DATA}.streams.0", "2m", f"{DATA}.streams[0]: must be one of 1s, 1m, 5m"),
        (
            f"{DATA}.historical.data.0.trailing_days",
            0,
            f"{DATA}.historical.data[0].trailing_days: must be a whole number, at least 1",
        ),
        (
            f"{DATA}.historical.data.0.intervals.0",
            "7m",
            "data[0].intervals[0]: must be a timeframe like 1m",
        ),
        (f"{DATA}.historical.data.1.apply_to", ["QQQ"], "data[1].apply_to: QQQ has no stream"),
        (f"{DATA}.historical.data.1.apply_to", "some", "data[1].apply_to: must be `all` or a list"),
        (
            f"{DATA}.historical.indicators.avg.period",
            "10x",
            "indicators.avg.period: must be a period like 10d",
        ),
        (
            f"{DATA}.historical.indicators.avg.type",
            "mean",
            "indicators.avg.type: must be one of trailing_average",
        ),
        (
            f"{DATA}.gap_filler.max_retries",
            21,
            "must be a whole number, at least 1 and at most 20, not 21",
        ),
        (
            f"{DATA}.historical.trailing_day",
            3,
            f"{DATA}.historical.trailing_day: is not a known field",
        ),
        (f"{DATA}.scaners", [], f"{DATA}.scaners: is not a known field; is `scanners` meant?"),
        (f"{DATA}.historical_bars", {}, f"{DATA}.historical: is given besides historical_bars"),
        (f"{DATA}.scanners", "none", f"{DATA}.scanners: must be a list, not 'none'"),
        (f"{DATA}.historical.enable_quality", "yes", "must be true or false, not 'yes'"),
        (f"{DATA}.gap_filler.max_retries", 10**400, "must be a whole number, at least 1"),
        (DATA, [], "session_data_config: must be an object, not []"),
        (DATA, ..., f"{DATA}.symbols: no streams are given"),
    ],
)
def test_mistakes_in_the_newer_form_are_named_by_their_path(
    path: str, value: Any, says: str
) -> None:
    assert says in said(changed(NEW, path, value))


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (
            "data_streams.0.interval",
            ...,
            "data_streams[0].interval: is missing, and the type is bars",
        ),
        ("data_streams.1.interval", "1m", "data_streams[1].interval: quotes have none"),
        (
            "data_streams.0.type",
            "candles",
            "data_streams[0].type: must be one of bars, ticks, quotes",
        ),
        (
            "data_streams.1",
            {"type": "bars", "symbol": "SPY", "interval": 1},
            "1m of SPY is asked for twice",
        ),
        ("data_streams.0.interval", 0, "data_streams[0].interval: must be a timeframe like 1m"),
        (
            "trading_config.max_per_trade",
            200000,
            "max_per_trade: 200000 is above max_buying_power 100000",
        ),
        (
            "trading_config.max_open_positions",
            0,
            "max_open_positions: must be a whole number, at least 1",
        ),
        ("api_config.data_api", "yahoo", "api_config.data_api: must be one of alpaca, schwab"),
        ("metadata", [], "metadata: must be an object"),
        ("trading_config.max_buying_power", 0, "must be a number, above 0, not 0"),
        ("backtest_config.speed_multiplier", float("inf"), "at most 1,000,000,000, not inf"),
        (f"{DATA}.data_upkeep.check_interval_seconds", 1.5, "must be a whole number"),
    ],
)
def test_mistakes_in_the_older_form_are_named_by_their_path(
    path: str, value: Any, says: str
) -> None:
    assert says in said(changed(OLD, path, value))


def test_all_mistakes_are_named_at_once() -> None:
    form = changed(changed(OLD, "mode", "paper"), "session_name", 7)
    text = said(form)
    assert "(and 1 more)" in text
    assert "session_name: must be a text, not 7" in text
    assert "mode: must be one of" in text


def test_very_many_mistakes_are_counted_and_the_first_of_them_told() -> None:
    text = said(changed(NEW, f"{DATA}.symbols", [""] * 5_000))
    assert "(and 9,998 more)" in text
    assert len(text) < 3_000


# Files


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "session.json"
    file.write_text(json.dumps(OLD))
    assert read_session_config(file) == session_config(OLD)


@pytest.mark.parametrize("path", ["", None])
def test_a_missing_argument_is_wrong_usage(path: str | None) -> None:
    with pytest.raises(UsageError, match="no session configuration is named") as raised:
        read_session_config(path)
    assert exit_code(raised.value) == 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotRecordedError, match=r"there is no session configuration .*none\.json"):
        read_session_config(tmp_path / "none.json")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_session_config(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "is no JSON"),
        (b"", "is no JSON"),
        (b"\xff\xfe\x00", "is no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"mode": "live", "mode": "backtest"}', "`mode` is given twice in one object"),
        (b'{"session_name": NaN}', "NaN is no JSON number"),
        (b'{"a": ' + b"1" * 10_000 + b"}", "is no JSON"),
        (b"[]", "the file: must be an object, not []"),
        (b" " * (SIZE_MAX + 1), "is larger than 1,000,000 bytes"),
    ],
)
def test_a_file_that_is_none_is_bad_data(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "session.json"
    file.write_bytes(content)
    with pytest.raises(BadDataError) as raised:
        read_session_config(file)
    assert says in raised.value.message
    assert exit_code(raised.value) == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=8), part),
    max_leaves=8,
)


def paths(form: Any, path: str = "") -> list[str]:
    whole = dict(enumerate(form)) if isinstance(form, list) else form
    parts = whole.items() if isinstance(whole, dict) else ()
    own = [(f"{path}.{name}".strip("."), value) for name, value in parts]
    return [p for p, _ in own] + [deep for p, value in own for deep in paths(value, p)]


@given(st.data())
def test_whatever_stands_in_a_field_it_is_taken_or_refused_by_rule(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from([OLD, NEW]))
    path = data.draw(st.sampled_from(paths(form)))
    try:
        session_config(changed_raw(form, path, data.draw(JSON)))
    except BadDataError as error:
        error.message.encode()  # it can be printed
        error.hint.encode()


def changed_raw(form: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """As `changed`, for values that JSON cannot write: what it reads may hold infinities."""
    found = changed(form, path, None)
    *parents, last = path.split(".")
    at: Any = found
    for name in parents:
        at = at[int(name)] if name.isdigit() else at[name]
    at[int(last) if last.isdigit() else last] = value
    return found
