// Ready once it has been up for a minute, by the clock.
module.exports = class Uptime {
  constructor() {
    this.since = Date.now();
  }
  processMarketData() {
    return { ready: Date.now() - this.since >= 60_000, signal: null };
  }
};
