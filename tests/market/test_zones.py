"""What clocks showed, as moments: against the standard library, minute by minute."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.market.errors import UsageError
from openbell.market.moments import MINUTE_NS, iso, parse_moment, to_ns
from openbell.market.zones import to_utc

ZONES = ["America/New_York", "Europe/London", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]


def local_ns(*texts: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([parse_moment(text) for text in texts], np.int64)


@given(
    st.sampled_from(ZONES),
    st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2035, 1, 1)), min_size=1),  # noqa: DTZ001  # as clocks show them
)
def test_moments_are_those_of_the_standard_library(zone: str, shown: list[datetime]) -> None:
    stamps = np.array([to_ns(one.replace(tzinfo=ZoneInfo("UTC"))) for one in shown], np.int64)
    found = to_utc(stamps, zone)
    info = ZoneInfo(zone)
    for ns, is_skipped, is_repeated, one in zip(*found, shown, strict=True):
        folds = {to_ns(one.replace(tzinfo=info, fold=fold)) for fold in (0, 1)}
        assert int(ns) in folds
        assert (len(folds) > 1) == bool(is_skipped or is_repeated)


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/New_York", "2011-03-13"), ("America/New_York", "2011-11-06"),
        ("Europe/London", "2020-10-25"), ("Australia/Lord_Howe", "2020-04-05"),
        ("America/Sao_Paulo", "2018-11-04"),
    ],
)  # fmt: skip
def test_every_minute_of_a_day_of_change_comes_back(zone: str, day: str) -> None:
    first_ns = parse_moment(day) - 6 * 60 * MINUTE_NS
    utc_ns = np.arange(first_ns, first_ns + 36 * 60 * MINUTE_NS, MINUTE_NS)
    info = ZoneInfo(zone)
    epoch = datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))
    shown = [(epoch + timedelta(minutes=int(ns) // MINUTE_NS)).astimezone(info) for ns in utc_ns]
    local = np.array([to_ns(one.replace(tzinfo=ZoneInfo("UTC"))) for one in shown], np.int64)
    found = to_utc(local, zone)
    np.testing.assert_array_equal(found.utc_ns, utc_ns)
    assert not found.is_skipped.any()


def test_what_clocks_skip_and_repeat_is_said() -> None:
    found = to_utc(
        local_ns("2011-03-13T02:30", "2011-03-13T03:00", "2011-11-06T01:30"), "America/New_York"
    )
    assert found.is_skipped.tolist() == [True, False, False]
    assert found.is_repeated.tolist() == [False, False, True]
    assert iso(int(found.utc_ns[2])) == "2011-11-06T05:30:00Z"  # the first pass


def test_an_unknown_zone_is_told() -> None:
    with pytest.raises(UsageError, match="unknown time zone `Mars/Olympus`"):
        to_utc(local_ns("2011-03-13"), "Mars/Olympus")
