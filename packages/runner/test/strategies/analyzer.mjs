// An ES module, with `analyze` in place of `processMarketData`, and an answer that comes later.
export default class Analyzer {
  async analyze({ price }) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    return { ready: true, signal: { action: price > 1 ? "BUY" : "EXIT_LONG" } };
  }
}
