"use strict";

/** Thinks too long about every tenth bar. */
module.exports = class Late {
  constructor() {
    this.count = 0;
  }

  initializeWithHistoricalData() {
    return true;
  }

  async processMarketData(price) {
    this.count += 1;
    if (this.count % 10) return { ready: true, signal: null };
    await new Promise((resolve) => setTimeout(resolve, 60));
    return { ready: true, signal: { action: this.count % 20 ? "BUY" : "SELL", quantity: 1 } };
  }
};
