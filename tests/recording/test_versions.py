import pytest

from openbell.market.errors import UsageError
from openbell.market.instrument import Pin, Series
from openbell.recording.versions import parse_pin, parse_ref

SPY = Series.parse("XNYS:SPY/1m.bid")


def test_a_ref_may_name_a_version() -> None:
    assert parse_ref("XNYS:SPY/1m.bid") == (SPY, None)
    assert parse_ref("XNYS:SPY/1m.bid@12") == (SPY, 12)
    assert parse_pin(str(Pin(SPY, 3))) == Pin(SPY, 3)


@pytest.mark.parametrize("text", ["@3", "XNYS:SPY@3", "XNYS:SPY/1m@-1", "XNYS:SPY/1m@1@2", ""])
def test_what_names_no_series_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_ref(text)


def test_a_pin_needs_a_version() -> None:
    with pytest.raises(UsageError, match="names no version"):
        parse_pin("XNYS:SPY/1m")
