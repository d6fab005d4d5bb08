// Records what it is told; does what the price says.
module.exports = class Recorder {
  constructor(config, mainBot) {
    if (config.explode) throw new Error("no thanks");
    Object.assign(this, { config, mainBot, told: [] });
  }
  async initializeWithHistoricalData(bars) {
    if (bars.length === 13) throw new Error("unlucky");
    this.told.push(["history", bars.length]);
    return bars.length >= 3;
  }
  processMarketData(price, volume, timestamp) {
    console.log("a strategy may print");
    const held = this.mainBot.modules.positionManagement.getPositionSize();
    this.told.push(["price", price, volume, timestamp]);
    if (price === 13) throw new Error("unlucky price");
    if (price === 14) throw "just text";
    if (price === 12) throw Object.create(null, { toJSON: { value: () => { throw 1; } } });
    if (price === 15) return { ready: true, signal: { direction: "LONG", big: 1n } };
    if (price === 16) return { ready: true, signal: "LONG" };
    if (price === 17) return undefined;
    if (price === 18) return { ready: true, signal: { direction: "LONG", text: "x".repeat(1 << 20) } };
    if (price === 19) this.mainBot.modules.noSuchModule.call();
    if (price === 20) setTimeout(() => { throw new Error("in a timer"); });
    if (price === 20) Promise.reject(new Error("forgotten"));
    const signal = price > 100 ? { direction: "LONG", entryPrice: price, held, now: Date.now(), timestamp } : null;
    return { ready: true, signal };
  }
};
