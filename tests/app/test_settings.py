from pathlib import Path

import pytest

from openbell.app.settings import settings
from openbell.market.errors import UsageError


def test_without_anything_said_things_lie_in_the_present_folder() -> None:
    found = settings(environment={"HOME": "/home/ann"})
    assert (found.lake, found.runs, found.sweeps) == (Path("lake"), Path("runs"), Path("sweeps"))


def test_the_environment_comes_before_the_default_and_the_argument_before_both() -> None:
    environment = {"OPENBELL_LAKE": "/data/lake", "OPENBELL_RUNS": "/data/runs"}
    found = settings(lake="/mine", environment=environment)
    assert (found.lake, found.runs) == (Path("/mine"), Path("/data/runs"))


def test_the_cache_follows_the_users_cache_folder() -> None:
    assert settings(environment={"XDG_CACHE_HOME": "/var/tmp"}).cache == Path("/var/tmp/openbell")
    assert settings(environment={"OPENBELL_CACHE": "/c"}).cache == Path("/c")


@pytest.mark.parametrize("prefix", ["", "OPENBELL_"])
def test_engine_settings_are_taken_with_and_without_the_prefix(prefix: str) -> None:
    environment = {
        f"{prefix}SESSION_HISTORICAL_TRAILING_DAYS": "3",
        f"{prefix}SESSION_HISTORICAL_BAR_TYPES": "5m, 1h",
    }
    found = settings(environment=environment)
    assert (found.trailing, found.derived) == (3, ("5m", "1h"))


def test_a_setting_that_is_no_number_is_named() -> None:
    with pytest.raises(UsageError, match="OPENBELL_SESSION_HISTORICAL_TRAILING_DAYS is `three`"):
        settings(environment={"SESSION_HISTORICAL_TRAILING_DAYS": "three"})


@pytest.mark.parametrize("prefix", ["", "OPENBELL_"])
def test_session_hours_and_upkeep_are_taken_with_and_without_the_prefix(prefix: str) -> None:
    environment = {
        f"{prefix}SESSION_START_TIME": "10:00",
        f"{prefix}SESSION_END_TIME": "15:30",
        f"{prefix}DATA_UPKEEP_CHECK_INTERVAL_SECONDS": "30",
        f"{prefix}DATA_UPKEEP_RETRY_MISSING_BARS": "False",
    }
    found = settings(environment=environment)
    assert (found.session_start, found.session_end) == ("10:00", "15:30")
    assert (found.check_interval_s, found.retry_missing) == (30, False)


def test_hours_that_are_not_set_are_the_calendars_own() -> None:
    found = settings(environment={})
    assert (found.session_start, found.session_end) == ("", "")
    assert (found.check_interval_s, found.retry_missing) == (60, True)


def test_of_session_hours_one_may_be_set_alone() -> None:
    start = settings(environment={"SESSION_START_TIME": "10:00"})
    assert (start.session_start, start.session_end) == ("10:00", "16:00")
    end = settings(environment={"SESSION_END_TIME": "13:00"})
    assert (end.session_start, end.session_end) == ("09:30", "13:00")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SESSION_START_TIME", "half nine"),
        ("SESSION_END_TIME", "25:00"),
        ("DATA_UPKEEP_CHECK_INTERVAL_SECONDS", "0"),
        ("DATA_UPKEEP_RETRY_MISSING_BARS", "maybe"),
    ],
)
def test_an_engine_setting_that_says_nothing_is_named(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"OPENBELL_{name} is `{value}`"):
        settings(environment={name: value})
