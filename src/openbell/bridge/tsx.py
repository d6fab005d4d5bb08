"""A Node strategy in a loop of one's own, PyBroker's for instance: a bar in, a signal out.

>>> from openbell.bridge.tsx import TSXStrategyBridge
>>> def signals(bars, lake):
...     with TSXStrategyBridge("emaStrategy.js", lake, {"symbol": "XNYS:SPY"}) as bridge:
...         return [bridge.process_market_data(bar) for bar in bars]
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from openbell.bridge import channels
from openbell.bridge.answering import History, MadeUp, Recorded
from openbell.bridge.answers import bar_objects
from openbell.bridge.history import HistoricalDataBootstrapService
from openbell.bridge.link import TRANSPORTS, Link, Setup
from openbell.bridge.past import Past
from openbell.bridge.redis_server import connect
from openbell.bridge.requests import history_request
from openbell.bridge.transport import Answer
from openbell.market.errors import BadDataError, ReplayError, UsageError
from openbell.market.moments import iso, parse_moment, to_ns
from openbell.market.synthetic import Making

_SIMULATION_START = "2023-06-01T09:30:00Z"  # the original's
_ACTIONS = {"buy": "BUY", "sell": "SELL", "close": "CLOSE"}
_SHARES = 100  # the original's, where a signal has no size


class TSXStrategyBridge:
    """Speaks to one Node strategy; a context manager.

    Parameters
    ----------
    strategy_path
        Its file.
    source
        A lake or a store with its history; without one history is made up, and labelled so.
    config
        The strategy's own, and `symbol` (``NQ``), `botId`, `historicalBarsBack` (50), `transport`
        (``lock-step``, or ``compatible``: the original's channels), `wait_s` (0.1, compatible),
        and `redisUrl`, or `redisHost` and `redisPort`: without them a private Redis is started.
    setup
        Limits of the strategy's process, where Node is, and so on.
    """

    def __init__(
        self,
        strategy_path: Path | str,
        source: Any = None,
        config: Mapping[str, Any] | None = None,
        *,
        setup: Setup | None = None,
    ) -> None:
        given = dict(config or {})
        self._path = Path(strategy_path)
        self._source = getattr(source, "store", source)
        base = setup or Setup()
        self._setup = replace(base, redis_url=_redis(given) or base.redis_url)
        self._transport = given.pop("transport", TRANSPORTS[0])
        if self._transport not in TRANSPORTS:
            raise UsageError(
                f"unknown transport `{self._transport}`", hint=f"use {' or '.join(TRANSPORTS)}"
            )
        self._wait_s = float(given.pop("wait_s", 0.1))
        self._symbol = str(given.pop("symbol", "NQ"))
        self._config = given
        self._now_ns = parse_moment(_SIMULATION_START)
        self._link: Link | None = None
        self._name = ""
        self._counts = {"bars": 0, "signals": 0, "refused": 0, "history": 0}

    def start(self) -> bool:
        """Start the strategy, and hand over history up to the simulation's time; gives True.

        Raises
        ------
        OpenbellError
            If anything it needs is missing, or it does not become ready.
        """
        if self._link is not None:
            return True
        if not self._path.is_file():
            raise UsageError(f"there is no file {self._path}", hint="name a Node strategy")
        link = Link(
            self._path,
            self._config,
            self._setup,
            lambda: self._now_ns,
            symbol=self._symbol,
            transport=self._transport,
            wait_s=self._wait_s,
            beside=[self._history_service],
        )
        first = link.open()
        self._link, self._name = link, str(first.get("strategy") or self._path.stem)
        if not first.get("ready") and (wanted := int(first.get("barsWanted") or 0)):
            bars = self._bars(wanted)
            self._counts["history"] = len(bars)
            self._exchange("history", {"bars": bars})
        return True

    def process_market_data(self, bar: Mapping[str, Any]) -> dict[str, Any] | None:
        """Feed one bar; give the strategy's signal, in the original's form, or None.

        Parameters
        ----------
        bar
            `timestamp` (a datetime, ISO text or milliseconds: when the bar is known), `close` or
            `price`, and `open`, `high`, `low`, `volume` if there are any.

        Returns
        -------
        dict or None
            `action` (BUY, SELL, CLOSE), `price`, `shares`, `stop_loss`, `take_profit` (absolute
            prices or None), `tsx_signal` (as the strategy gave it), `botId`, `timestamp`,
            `strategy`. The last one, if it gave several.
        """
        self._now_ns = _moment(bar)
        self._counts["bars"] += 1
        price = channels.number(bar, "close", "price")
        if price is None:
            raise BadDataError("the bar has neither `close` nor `price`")
        item: dict[str, Any] = {"symbol": self._symbol, "timestamp": self._now_ns // 1_000_000}
        item |= {"price": price, "volume": channels.number(bar, "volume") or 0.0}
        levels = {name: channels.number(bar, name) for name in ("open", "high", "low")}
        item |= {name: level for name, level in levels.items() if level is not None}
        found = [self._signal(message, price) for message in self._exchange("slice", item)]
        return next((one for one in reversed(found) if one), None)

    def update_positions(self, positions: Sequence[Mapping[str, Any]]) -> None:
        """Tell the strategy what is held: all positions, in the original's form."""
        self._begun().send("position", {"positions": [dict(one) for one in positions]})

    def set_simulation_datetime(self, when: datetime | str) -> None:
        """Set the simulation's time; history never reaches past it. Bars set it, too."""
        self._now_ns = to_ns(when) if isinstance(when, datetime) else parse_moment(when)

    def get_statistics(self) -> dict[str, Any]:
        """Bars fed, signals that came, signals refused, bars of history; the transport's counts."""
        link = self._link.statistics if self._link else {}
        return {**link, **self._counts, "running": self._link is not None, "strategy": self._name}

    def shutdown(self) -> None:
        """End the strategy and what was started for it; nothing happens the second time."""
        link, self._link = self._link, None
        if link is not None:
            try:
                link.send("end", {})
                link.ask()
            finally:
                link.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def _begun(self) -> Link:
        if self._link is None:
            raise ReplayError("the strategy is not started", hint="call start() first")
        return self._link

    def _exchange(self, kind: Any, data: object) -> list[Mapping[str, Any]]:
        """Send a message; give the signals that came."""
        link = self._begun()
        link.send(kind, data)
        answers: Sequence[Answer | None] = link.ask()
        return [one for answer in answers if answer for one in answer.get("signals", ())]

    def _signal(self, message: Mapping[str, Any], price: float) -> dict[str, Any] | None:
        try:
            found = channels.signal(message)
        except BadDataError:
            self._counts["refused"] += 1
            return None
        if found.action == "hold":
            return None
        self._counts["signals"] += 1
        return {
            "action": _ACTIONS[found.action],
            "price": price if found.price is None else found.price,
            "shares": _SHARES if found.quantity is None else found.quantity,
            "stop_loss": found.stop_loss,
            "take_profit": found.take_profit,
            "tsx_signal": dict(message),
            "botId": self._config.get("botId", ""),
            "timestamp": iso(self._now_ns),
            "strategy": self._name,
        }

    def _bars(self, count: int) -> list[dict[str, Any]]:
        """History up to the simulation's time, oldest first."""
        asked = history_request({"requestId": "start", "barsBack": count, "symbol": self._symbol})
        history: History = Recorded(Past(self._source)) if self._source else MadeUp(Making())
        return bar_objects(history.find(asked, self._now_ns).bars)

    @contextmanager
    def _history_service(self, url: str, told_ns: Callable[[], int]) -> Iterator[None]:
        config = {"source": self._source, "clock": told_ns, "default_symbol": self._symbol}
        with connect(url) as client, HistoricalDataBootstrapService(client, config):
            yield


def _redis(config: dict[str, Any]) -> str:
    """Take the Redis out of a configuration: its URL; empty if none is named."""
    url, host, port = (config.pop(f"redis{name}", None) for name in ("Url", "Host", "Port"))
    is_named = url or host or port
    return str(url or f"redis://{host or '127.0.0.1'}:{port or 6379}") if is_named else ""


def _moment(bar: Mapping[str, Any]) -> int:
    when = bar.get("timestamp")
    found = to_ns(when) if isinstance(when, datetime) else channels.moment(bar, "timestamp")
    if found is None:
        raise BadDataError("the bar has no `timestamp`", hint="say when it is known")
    return found
