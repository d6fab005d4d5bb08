"""Bars asked again of Binance's REST interface, where they did not come live.

Binance, *Kline/Candlestick data*, read 2026-11: ``/api/v3/klines``, at most 1,000 rows an answer,
both bounds included, times in milliseconds; the last row may be of a bar in progress.
"""

import re
from collections.abc import Callable, Iterator
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import orjson

from openbell.market.bars import Bars, bars_from
from openbell.market.errors import RefusedError, UnavailableError, UsageError
from openbell.market.instrument import Series

_ADDRESS = re.compile(r"https?://[^/?#]+")
_ROWS_MAX = 1000
_BYTES_MAX = 1 << 22
_MS_NS = 1_000_000
_BUSY = {418, 429, 500, 502, 503, 504}
_TIMEOUT_S = 5.0


class BinanceBars:
    """Fetches finished bars; fulfils the port `Refill`.

    Parameters
    ----------
    url
        ``https://api.binance.com``, or wherever the same is answered.
    now_ns
        What time it is: bars that end later are not finished.

    Raises
    ------
    UsageError
        If the address has another form.
    """

    def __init__(self, url: str, now_ns: Callable[[], int]) -> None:
        self._url = url.rstrip("/")
        self._now_ns = now_ns
        if not _ADDRESS.fullmatch(self._url):
            raise UsageError(
                f"`{url}` is no address to ask for bars", hint="write https://api.binance.com"
            )

    def bars(self, series: Series, start_ns: int, end_ns: int) -> Bars:
        width_ns = series.timeframe.width_ns
        end_ns = min(end_ns, self._now_ns() - width_ns + 1)
        rows = np.array(list(self._rows(series, start_ns, end_ns)), np.float64).reshape(-1, 6)
        begin_ns = rows[:, 0].astype(np.int64) * _MS_NS
        return bars_from(series, begin_ns, begin_ns + width_ns, list(rows[:, 1:].T))

    def _rows(self, series: Series, start_ns: int, end_ns: int) -> Iterator[list[float]]:
        """Start in milliseconds, open, high, low, close and volume of each, page by page."""
        while start_ns < end_ns:
            page = self._page(series, start_ns, end_ns)
            yield from page
            if len(page) < _ROWS_MAX:
                return
            start_ns = int(page[-1][0]) * _MS_NS + series.timeframe.width_ns

    def _page(self, series: Series, start_ns: int, end_ns: int) -> list[list[float]]:
        asked = {
            "symbol": series.instrument.symbol.replace("-", "").upper(),
            "interval": series.kind,
            "startTime": -(-start_ns // _MS_NS),
            "endTime": (end_ns - 1) // _MS_NS,
            "limit": _ROWS_MAX,
        }
        answer = self._get(f"{self._url}/api/v3/klines?{urlencode(asked)}")
        try:
            return [[float(value) for value in row[:6]] for row in orjson.loads(answer)]
        except (ValueError, TypeError) as error:
            raise RefusedError(
                f"{self._url} answered what are no bars: {answer[:80]!r}",
                hint="look at the address",
            ) from error

    def _get(self, url: str) -> Any:
        try:
            with urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310  # http alone, see above
                return answer.read(_BYTES_MAX)
        except HTTPError as error:
            with error:
                kind = UnavailableError if error.code in _BUSY else RefusedError
                raise kind(f"{self._url} answered {error.code}") from error
        except (URLError, HTTPException, OSError) as error:
            raise UnavailableError(
                f"{self._url} cannot be reached: {error}",
                hint="look at the address and the network",
            ) from error
