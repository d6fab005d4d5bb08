"""The strategy of `ema-strategy.js` in Python: the same decisions, to the last bit.

openbell backtest examples/node/ema_twin.py --on XNYS:SPY/1m --set entry=cross
"""

import math
from typing import Any

import openbell as ob
from openbell.bridge.trader import Trader


class EmaTwin(ob.Strategy):
    """EMA 9/19 on bars: retracement or cross. Its parameters have the names of the JavaScript."""

    entry: str = ob.param("retracement", "kind of entry", choices=("retracement", "cross"))
    mode: str = ob.param(
        "STANDARD",
        "CONSERVATIVE: only while the slow average moves with the trend",
        choices=("STANDARD", "CONSERVATIVE"),
    )
    emaFast: int = ob.param(9, "bars of the fast average", low=1)
    emaSlow: int = ob.param(19, "bars of the slow average", low=1)
    dollarRiskPerTrade: float = ob.param(100.0, "money risked", low=0.0)
    dollarPerPoint: float = ob.param(10.0, "money per point and unit", low=0.0)
    maxRiskPoints: float = ob.param(3.0, "points; the stop is never further away", low=0.0)
    riskRewardRatio: float = ob.param(3.0, "points of reward for one of risk", low=0.0)
    minEMASpread: float = ob.param(0.5, "points; the stop is never nearer", low=0.0)
    maxBarsSinceEMA: int = ob.param(15, "bars a retracement may take to turn", low=0)
    historicalBarsBack: int = ob.param(50, "first bars that are history", low=0)

    def on_start(self, ctx):
        """Begin with nothing known."""
        self.trader = Trader(ctx.instruments[0])  # carries signals out as for a remote strategy
        self.decisions = Decisions(self)
        self.history_left = self.historicalBarsBack

    def on_bar(self, ctx, bar):
        """Learn from history first; then decide."""
        if self.history_left > 0:
            self.history_left -= 1
            self.decisions.learn(bar.close)
            return
        is_open = ctx.position(bar.instrument) != 0.0
        if signal := self.decisions.decide(bar.close, bar.end_ns // 1_000_000, is_open=is_open):
            self.trader.act(ctx, signal)

    def on_fill(self, ctx, fill):
        """Guard the position with the signal's stop and target."""
        self.trader.filled(ctx, fill)


class Decisions:
    """What `ema-strategy.js` decides, bar by bar."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.candles = 0
        self.fast = self.slow = self.slow_before = 0.0
        self.side = 0  # of the trend: 1 up, -1 down, 0 none
        self.state = "WAITING_FOR_TREND"
        self.bars_in_state = 0
        self.postponed = 0  # an entry that has to wait for an exit
        self.trade: dict[str, Any] | None = None

    def learn(self, close: float) -> None:
        """Move the averages on by one close: `s + a (x - s)`, begun with the first."""
        self.slow_before = self.slow
        if self.candles == 0:
            self.fast = self.slow = close
        else:
            self.fast += 2.0 / (self.settings.emaFast + 1) * (close - self.fast)
            self.slow += 2.0 / (self.settings.emaSlow + 1) * (close - self.slow)
        self.candles += 1

    def decide(self, close: float, time_ms: int, *, is_open: bool) -> dict[str, Any] | None:
        """The signal on a bar that closed; None for none."""
        self.learn(close)
        if self.candles < self.settings.emaSlow:
            return None
        self._notice_end_of_trade(is_open=is_open)
        entry = self._find_entry(close)
        if self.trade is None:
            return self._enter(entry, close, time_ms) if entry else None
        reason = self._exit_reason(close, entry, self.trade)
        return self._exit(entry, close, time_ms, reason) if reason else None

    def _find_entry(self, close: float) -> int:
        is_cross = self.settings.entry == "cross"
        found = self._cross() if is_cross else self._retracement(close)
        postponed, self.postponed = self.postponed, 0
        return found or postponed

    def _cross(self) -> int:
        before = self.side
        self.side = _sign(self.fast - self.slow) or before
        return self.side if before not in {0, self.side} else 0

    def _retracement(self, close: float) -> int:
        spread = self.fast - self.slow
        side = _sign(spread) if abs(spread) >= self.settings.minEMASpread else 0
        if side != self.side:
            self.side = side
            self._enter_state("WAITING_FOR_TREND" if side == 0 else "WAITING_FOR_RETRACEMENT")
        if side == 0:
            return 0
        self.bars_in_state += 1
        is_beyond = side * (close - self.fast) > 0
        if self.state == "WAITING_FOR_RETRACEMENT":
            if not is_beyond:
                self._enter_state("RETRACED")
            return 0
        is_in_time = self.bars_in_state <= self.settings.maxBarsSinceEMA
        if is_beyond or not is_in_time:
            self._enter_state("WAITING_FOR_RETRACEMENT")
        return side if is_beyond and is_in_time and self._is_slow_with(side) else 0

    def _is_slow_with(self, side: int) -> bool:
        return self.settings.mode != "CONSERVATIVE" or side * (self.slow - self.slow_before) > 0

    def _enter_state(self, state: str) -> None:
        self.state, self.bars_in_state = state, 0

    def _notice_end_of_trade(self, *, is_open: bool) -> None:
        if self.trade and is_open:
            self.trade["was_open"] = True
        elif self.trade and self.trade["was_open"]:
            self.trade = None

    def _exit_reason(self, close: float, entry: int, trade: dict[str, Any]) -> str:
        if trade["side"] * (close - trade["stop"]) <= 0:
            return "stop reached"
        if trade["side"] * (close - trade["target"]) >= 0:
            return "target reached"
        return "entry the other way" if entry == -trade["side"] else ""

    def _exit(self, entry: int, close: float, time_ms: int, reason: str) -> dict[str, Any]:
        if self.trade and entry == -self.trade["side"]:
            self.postponed = entry
        self.trade = None
        return self._signal("CLOSE_POSITION", close, time_ms, reason=reason)

    def _enter(self, side: int, close: float, time_ms: int) -> dict[str, Any] | None:
        settings = self.settings
        away = max(abs(close - self.slow), settings.minEMASpread)
        risk = min(away, settings.maxRiskPoints)
        reward = risk * settings.riskRewardRatio
        size = math.floor(settings.dollarRiskPerTrade / (risk * settings.dollarPerPoint))
        if size < 1:
            return None
        stop, target = close - side * risk, close + side * reward
        self.trade = {"side": side, "stop": stop, "target": target, "was_open": False}
        return self._signal(
            "LONG" if side > 0 else "SHORT",
            close,
            time_ms,
            stopLoss=stop,
            takeProfit=target,
            riskPoints=risk,
            rewardPoints=reward,
            positionSize=size,
            reason="averages crossed" if settings.entry == "cross" else "retracement turned",
        )

    def _signal(self, direction: str, price: float, time_ms: int, **more: Any) -> dict[str, Any]:
        return {"direction": direction, "entryPrice": price, "timestamp": time_ms, **more}


def _sign(x: float) -> int:
    return (x > 0) - (x < 0)
