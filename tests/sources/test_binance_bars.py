"""Asking Binance's REST interface for bars again, on loopback."""

import pytest

from openbell.market.errors import RefusedError, UnavailableError, UsageError
from openbell.market.instrument import Series
from openbell.market.moments import DAY_NS, MINUTE_NS
from openbell.sources.binance_bars import BinanceBars
from tests.sources.asking import answering, real_day

MINUTES = Series.parse("BINANCE:BTC-USDT/1m")
BEGIN_NS = int(real_day().start_ns[0]) // DAY_NS * DAY_NS


def test_what_is_asked_for_comes_page_by_page() -> None:
    with answering() as (url, heard):
        found = BinanceBars(url, lambda: 2**62).bars(MINUTES, BEGIN_NS, BEGIN_NS + DAY_NS)
    assert found.start_ns.tolist() == list(range(BEGIN_NS, BEGIN_NS + DAY_NS, MINUTE_NS))
    assert set((found.end_ns - found.start_ns).tolist()) == {MINUTE_NS}
    assert len(heard) == 2
    assert heard[0] == {
        "path": "/api/v3/klines", "symbol": "BTCUSDT", "interval": "1m", "limit": "1000",
        "startTime": str(BEGIN_NS // 10**6), "endTime": str((BEGIN_NS + DAY_NS) // 10**6 - 1),
    }  # fmt: skip
    row = real_day().bar(BEGIN_NS // MINUTE_NS % len(real_day()))
    assert found.bar(0).ohlcv == row.ohlcv


def test_a_bar_in_progress_is_none() -> None:
    now_ns = BEGIN_NS + 10 * MINUTE_NS + 1
    with answering() as (url, _):
        found = BinanceBars(url, lambda: now_ns).bars(MINUTES, BEGIN_NS, BEGIN_NS + DAY_NS)
    assert int(found.end_ns[-1]) == BEGIN_NS + 10 * MINUTE_NS


def test_nothing_there_is_no_bars() -> None:
    with answering(lambda _: (200, b"[]")) as (url, _):
        assert len(BinanceBars(url, lambda: 2**62).bars(MINUTES, BEGIN_NS, BEGIN_NS + DAY_NS)) == 0


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, b"{}", UnavailableError),
        (503, b"", UnavailableError),
        (400, b'{"code":-1121,"msg":"Invalid symbol."}', RefusedError),
        (200, b"<html>", RefusedError),
        (200, b'{"code":0}', RefusedError),
        (200, b'[["soon"]]', RefusedError),
    ],
)
def test_answers_that_are_no_bars_are_told_apart(
    status: int, body: bytes, kind: type[Exception]
) -> None:
    with answering(lambda _: (status, body)) as (url, _):
        bars = BinanceBars(url, lambda: 2**62)
        with pytest.raises(kind, match=r"127\.0\.0\.1"):
            bars.bars(MINUTES, BEGIN_NS, BEGIN_NS + MINUTE_NS)


def test_a_server_that_is_not_there_is_named() -> None:
    with answering() as (url, _):
        pass
    with pytest.raises(UnavailableError, match="cannot be reached"):
        BinanceBars(url, lambda: 2**62).bars(MINUTES, BEGIN_NS, BEGIN_NS + MINUTE_NS)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host", "https://", "http://h/x?y"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        BinanceBars(url, lambda: 0)
