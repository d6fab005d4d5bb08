"use strict";

/** Says after every third bar how many it was fed and what they sum up to: shows any loss or repeat. */
module.exports = class Counting {
  constructor(config) {
    this.config = config;
    this.count = 0;
    this.sum = 0;
  }

  initializeWithHistoricalData(bars) {
    for (const bar of bars) this.sum += bar.c;
    return true;
  }

  processMarketData(price, volume, timestamp) {
    this.count += 1;
    this.sum += price;
    const { hangAt, dieAt, diceAt, throwAt, eatAt, words } = this.config;
    if (this.count === hangAt) for (;;);
    if (this.count === dieAt) {
      process.stderr.write("these are my last words\n");
      process.exit(3);
    }
    if (this.count === throwAt) throw new Error("no more");
    if (this.count === eatAt) for (const eaten = []; ; ) eaten.push(new Array(1e6).fill({}));
    const dice = diceAt <= this.count ? process.hrtime.bigint().toString() : "";
    const signal = {
      action: this.count % 2 ? "BUY" : "SELL",
      symbol: `SPY${dice}`,
      quantity: this.count,
      price: this.sum,
      timestamp: Date.now(),
      reason: words ? Object.keys(process.env).sort().join() : `${timestamp} ${Math.random()}`,
    };
    return { ready: true, signal: this.count % 3 === 0 ? signal : null };
  }
};
