"use strict";

/**
 * EMA 9/19 on candles, with two kinds of entry:
 *
 * - `cross`: the fast average crosses the slow one;
 * - `retracement`: in a trend, the price comes back to the fast average and leaves it again in the
 *   trend's direction.
 *
 * It asks no clock: time is what it is fed. `ema_twin.py` makes the same decisions in Python.
 */

const DEFAULTS = {
  entry: "retracement", // or "cross"
  mode: "STANDARD", // CONSERVATIVE: only while the slow average moves with the trend
  emaFast: 9, // candles
  emaSlow: 19, // candles
  candleIntervalSeconds: 60,
  emaUpdateMode: "CANDLE_BASED", // or "TICK_BASED": every price is a candle
  dollarRiskPerTrade: 100,
  dollarPerPoint: 10,
  maxRiskPoints: 3, // the stop is never further away
  riskRewardRatio: 3,
  minEMASpread: 0.5, // points between the averages that make a trend; the stop is never nearer
  maxBarsSinceEMA: 15, // candles a retracement may take to turn
};

module.exports = class EmaStrategy {
  constructor(config, mainBot) {
    this.name = "EMA_9_19";
    this.config = { ...DEFAULTS, ...config };
    this.mainBot = mainBot;
    this.symbol = this.config.symbol ?? mainBot.symbol;
    this.candles = 0; // candles the averages have seen
    this.fast = 0;
    this.slow = 0;
    this.slowBefore = 0;
    this.candle = null; // the candle under way: its end and its last price
    this.lastEnd = -Infinity; // when the last finished candle ended
    this.side = 0; // of the trend: 1 up, -1 down, 0 none
    this.state = "WAITING_FOR_TREND";
    this.barsInState = 0;
    this.postponed = 0; // an entry that has to wait for an exit
    this.trade = null; // what was signalled and is not known to be over
    this.signals = 0;
  }

  async initializeWithHistoricalData(bars) {
    const prices = bars.map(priceOf).filter(Number.isFinite);
    for (const price of prices) this.learn(price);
    return this.ready;
  }

  processMarketData(price, volume, timestamp) {
    const signal = this.finished(price, timestamp).reduce(
      (found, close) => this.decide(close, timestamp) ?? found,
      null,
    );
    if (signal) this.signals += 1;
    return this.result(price, signal);
  }

  get ready() {
    return this.candles >= this.config.emaSlow;
  }

  /**
   * The closes of the candles that a price finishes. A candle ends with the price at its end, or
   * with the first one after it.
   */
  finished(price, timestamp) {
    if (this.config.emaUpdateMode === "TICK_BASED") return [price];
    const width = this.config.candleIntervalSeconds * 1000;
    const end = Math.ceil(timestamp / width) * width;
    if (end <= this.lastEnd) return [];
    const closes = [];
    if (this.candle && end > this.candle.end) closes.push(this.candle.price);
    this.candle = { end, price };
    if (timestamp === end) {
      closes.push(price);
      this.lastEnd = end;
      this.candle = null;
    }
    return closes;
  }

  /** Move the averages on by one close: `s + a (x - s)`, begun with the first. */
  learn(close) {
    const { emaFast, emaSlow } = this.config;
    this.slowBefore = this.slow;
    const first = this.candles === 0;
    this.fast = first ? close : this.fast + (2 / (emaFast + 1)) * (close - this.fast);
    this.slow = first ? close : this.slow + (2 / (emaSlow + 1)) * (close - this.slow);
    this.candles += 1;
  }

  decide(close, timestamp) {
    this.learn(close);
    if (!this.ready) return null;
    this.noticeEndOfTrade();
    const entry = this.findEntry(close);
    if (!this.trade) return entry === 0 ? null : this.enter(entry, close, timestamp);
    const reason = this.exitReason(close, entry);
    return reason ? this.exit(entry, close, timestamp, reason) : null;
  }

  /** 1 to buy, -1 to sell, 0 for neither; what was found against an open trade counts one later. */
  findEntry(close) {
    const found = this.config.entry === "cross" ? this.cross() : this.retracement(close);
    const postponed = this.postponed;
    this.postponed = 0;
    return found || postponed;
  }

  /** 1 or -1 on the candle on which the averages cross, else 0. */
  cross() {
    const before = this.side;
    this.side = Math.sign(this.fast - this.slow) || before;
    return before !== 0 && this.side !== before ? this.side : 0;
  }

  /** 1 or -1 on the candle on which the price turns after a retracement, else 0. */
  retracement(close) {
    const spread = this.fast - this.slow;
    const side = Math.abs(spread) >= this.config.minEMASpread ? Math.sign(spread) : 0;
    if (side !== this.side) {
      this.side = side;
      this.enterState(side === 0 ? "WAITING_FOR_TREND" : "WAITING_FOR_RETRACEMENT");
    }
    if (side === 0) return 0;
    this.barsInState += 1;
    const isBeyond = side * (close - this.fast) > 0;
    if (this.state === "WAITING_FOR_RETRACEMENT") {
      if (!isBeyond) this.enterState("RETRACED");
      return 0;
    }
    if (isBeyond || this.barsInState > this.config.maxBarsSinceEMA) {
      const isInTime = this.barsInState <= this.config.maxBarsSinceEMA;
      this.enterState("WAITING_FOR_RETRACEMENT");
      return isBeyond && isInTime && this.isSlowWith(side) ? side : 0;
    }
    return 0;
  }

  isSlowWith(side) {
    return this.config.mode !== "CONSERVATIVE" || side * (this.slow - this.slowBefore) > 0;
  }

  enterState(state) {
    this.state = state;
    this.barsInState = 0;
  }

  /** A position that was there and is gone was closed by somebody else, for instance by its stop. */
  noticeEndOfTrade() {
    if (!this.trade) return;
    const isOpen = this.mainBot.modules.positionManagement.hasPosition(this.symbol);
    if (this.trade.wasOpen && !isOpen) this.trade = null;
    else if (isOpen) this.trade.wasOpen = true;
  }

  exitReason(close, entry) {
    const { side, stopLoss, takeProfit } = this.trade;
    if (side * (close - stopLoss) <= 0) return "stop reached";
    if (side * (close - takeProfit) >= 0) return "target reached";
    return entry === -side ? "entry the other way" : "";
  }

  exit(entry, close, timestamp, reason) {
    if (entry === -this.trade.side) this.postponed = entry;
    this.trade = null;
    return this.signal("CLOSE_POSITION", close, timestamp, { reason });
  }

  enter(side, close, timestamp) {
    const { config } = this;
    const away = Math.max(Math.abs(close - this.slow), config.minEMASpread);
    const riskPoints = Math.min(away, config.maxRiskPoints);
    const rewardPoints = riskPoints * config.riskRewardRatio;
    const positionSize = Math.floor(config.dollarRiskPerTrade / (riskPoints * config.dollarPerPoint));
    if (positionSize < 1) return null;
    const stopLoss = close - side * riskPoints;
    const takeProfit = close + side * rewardPoints;
    this.trade = { side, stopLoss, takeProfit, wasOpen: false };
    return this.signal(side > 0 ? "LONG" : "SHORT", close, timestamp, {
      stopLoss,
      takeProfit,
      riskPoints,
      rewardPoints,
      riskRewardRatio: config.riskRewardRatio,
      positionSize,
      dollarRisk: riskPoints * config.dollarPerPoint * positionSize,
      dollarReward: rewardPoints * config.dollarPerPoint * positionSize,
      reason: config.entry === "cross" ? "averages crossed" : "retracement turned",
      v3Data: {
        dynamicPositionSizing: true,
        actualStopDistance: riskPoints,
        calculatedPositionSize: positionSize,
        stateValidated: true,
      },
    });
  }

  signal(direction, price, timestamp, more) {
    return {
      direction,
      confidence: "HIGH",
      entryPrice: price,
      timestamp,
      subStrategy: this.config.entry.toUpperCase(),
      environment: this.environment(),
      signalStrength: 1.0,
      strategyName: this.name,
      strategyVersion: "1.0",
      indicators: {
        ema9: this.fast,
        ema19: this.slow,
        currentPrice: price,
        emaSpread: this.fast - this.slow,
        stateMachine: this.state,
      },
      ...more,
    };
  }

  environment() {
    return { symbol: this.symbol, mode: this.config.mode, entry: this.config.entry };
  }

  result(price, signal) {
    const spread = this.fast - this.slow;
    return {
      ready: this.ready,
      signal,
      environment: this.environment(),
      emaData: { ema9: this.fast, ema19: this.slow, spread, candles: this.candles },
      marketRegime: ["DOWN", "NONE", "UP"][this.side + 1],
      subStrategy: this.config.entry.toUpperCase(),
      strategyStats: { signals: this.signals },
      volatility: null,
      stateMachine: { state: this.state, barsInState: this.barsInState },
      debug: { price },
    };
  }
};

/** The price of one item of history: a number, or an object that holds one. */
function priceOf(item) {
  if (typeof item === "number") return item;
  return Number(item.c ?? item.close ?? item.price ?? item.last);
}
