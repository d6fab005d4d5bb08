"use strict";

const { plan } = require("./plan");

/** Does on certain bars what its configuration says, and tells what it saw of its position. */
module.exports = class Telling {
  constructor(config, bot) {
    this.acts = JSON.parse(config.acts ?? "{}");
    this.positions = bot.modules.positionManagement;
    this.count = 0;
    this.history = null;
  }

  initializeWithHistoricalData(bars) {
    this.history = bars.map((bar) => bar.t);
    return true;
  }

  processMarketData(price, volume, timestamp) {
    this.count += 1;
    const act = plan(this.acts, this.count);
    if (!act) return { ready: true, signal: null };
    const saw = this.positions.getPosition();
    const seen = saw ? `${saw.side} ${saw.quantity} at ${saw.entryPrice}, stop ${saw.stopLoss}` : "flat";
    const bars = `${this.history?.length} from ${this.history?.[0]}`;
    const reason = this.count === 1 ? bars : seen;
    return { ready: true, signal: { reason, timestamp, ...act } };
  }
};
