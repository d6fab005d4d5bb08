"use strict";

const assert = require("node:assert/strict");
const path = require("node:path");
const { test } = require("node:test");

const { StrategyHost } = require("@openbell/runner");
const { Ema, Sma, Rsi, Atr, Highest, Lowest, defineStrategy } = require("@openbell/sdk");
const { createMainBot, PositionBook } = require("@openbell/bot");
const { EXAMPLES } = require("../../testing/support.js");

const bar = (close, more = {}) => ({ symbol: "NQ", open: close, high: close + 1, low: close - 1, close, volume: 1, timestamp: 0, ...more });
const over = (indicator, closes) => closes.map((close) => (indicator.update(bar(close)), indicator.value));

test("the EMA begins with the first value and is s + a (x - s)", () => {
  const x = [10.1, 10.7, 9.9];
  const s1 = x[0] + (2 / 3) * (x[1] - x[0]);
  assert.deepEqual(over(new Ema(2), x), [NaN, s1, s1 + (2 / 3) * (x[2] - s1)]);
});

test("the others give their known values", () => {
  assert.deepEqual(over(new Sma(2), [1, 2, 4]), [NaN, 1.5, 3]);
  assert.deepEqual(over(new Highest(2), [5, 3, 1]), [NaN, 6, 4]);
  assert.deepEqual(over(new Lowest(2), [1, 3, 5]), [NaN, 0, 2]);
  assert.deepEqual(over(new Rsi(2), [1, 1, 1, 2]), [NaN, NaN, 50, 100]);
  assert.deepEqual(over(new Atr(2), [1, 1, 1]), [NaN, NaN, 2]);
});

for (const n of [0, -1, 1.5, NaN, "9"]) {
  test(`an indicator over ${n} bars is refused`, () => assert.throws(() => new Ema(n), RangeError));
}

function made(definition, config = {}) {
  const book = new PositionBook("NQ");
  const Strategy = defineStrategy({ name: "MINE", ...definition });
  return { strategy: new Strategy(config, createMainBot("b1", "NQ", config, book)), book };
}

const ABOVE = {
  params: { n: 2, word: "up" },
  setup: ({ params, ema }) => ({ average: ema(params.n) }),
  onBar: (known, ctx, { average }) =>
    known.close > average.value ? ctx.long({ stopLoss: 1, reason: ctx.params.word }) : null,
};

test("a strategy is not ready before its indicators are warm, and then gives signals", () => {
  const { strategy } = made(ABOVE);
  assert.deepEqual(strategy.processMarketData(1, 1, 0), { ready: false, signal: null });
  assert.deepEqual(strategy.processMarketData(2, 1, 60_000), {
    ready: true,
    signal: {
      direction: "LONG", confidence: "HIGH", entryPrice: 2, timestamp: 60_000, strategyName: "MINE", stopLoss: 1,
      reason: "up",
    },
  });
  assert.deepEqual(strategy.processMarketData(1, 1, 120_000), { ready: true, signal: null });
});

test("history warms it without signals", () => {
  const { strategy } = made(ABOVE);
  assert.equal(strategy.initializeWithHistoricalData([{ t: 0, o: 1, h: 1, l: 1, c: 1, v: 1 }]), false);
  assert.equal(strategy.initializeWithHistoricalData([{ t: "2023-06-01T09:30:00Z", o: 1, h: 1, l: 1, c: 1, v: 1 }]), true);
  assert.equal(strategy.processMarketData(2, 1, 0).signal.direction, "LONG");
});

test("the configuration overrides parameters of the same type, and nothing else", () => {
  const { strategy } = made(ABOVE, { n: 1, word: "high", other: 3 });
  assert.equal(strategy.processMarketData(2, 1, 0).ready, true);
  assert.throws(() => made(ABOVE, { n: "9" }), /n is "9"; it must be a number/);
});

test("each symbol has indicators of its own", () => {
  const { strategy } = made(ABOVE);
  const feed = (symbol, price) => strategy.processMarketData(price, 1, 0, { symbol, price, volume: 1, timestamp: 0 });
  feed("NQ", 1);
  feed("NQ", 2);
  assert.deepEqual([feed("ES", 3).ready, feed("NQ", 3).ready], [false, true]);
});

test("a strategy without indicators is ready at once, and sees its position", () => {
  const { strategy, book } = made({ onBar: (known, ctx) => (ctx.position ? ctx.close() : ctx.short()) });
  assert.equal(strategy.processMarketData(5, 1, 0).signal.direction, "SHORT");
  book.update([{ symbol: "NQ", side: "SHORT", quantity: 1, entryPrice: 5, currentPrice: 5 }]);
  assert.equal(strategy.processMarketData(5, 1, 0).signal.direction, "CLOSE_POSITION");
});

test("the bar has the prices of the market data, or its price where there are none", () => {
  const seen = [];
  const { strategy } = made({ onBar: (known) => void seen.push(known) });
  strategy.processMarketData(5, 2, 7, { symbol: "NQ", price: 5, volume: 2, timestamp: 7, open: 4, high: 6, low: 3, close: 5 });
  strategy.processMarketData(5, 2, 7);
  assert.deepEqual(seen.map(({ open, high, low, close, volume, timestamp }) => [open, high, low, close, volume, timestamp]), [
    [4, 6, 3, 5, 2, 7], [5, 5, 5, 5, 2, 7],
  ]);
});

test("the SDK's example runs in a host and trades", async () => {
  const host = await StrategyHost.load(path.join(EXAMPLES, "sdk-strategy.js"), { symbol: "NQ" });
  const signals = [];
  for (let i = 0; i < 300; i += 1) {
    const price = 15_000 + 10 * Math.sin(0.05 * i);
    const { signal, failure } = await host.feed({ symbol: "NQ", price, volume: 1, timestamp: i * 60_000 });
    assert.equal(failure, null);
    if (!signal) continue;
    signals.push(signal.direction);
    const quantity = signal.direction === "LONG" ? 1 : 0;
    host.updatePositions([{ symbol: "NQ", side: "LONG", quantity, entryPrice: price, currentPrice: price }]);
  }
  assert.deepEqual(signals.slice(0, 4), ["LONG", "CLOSE_POSITION", "LONG", "CLOSE_POSITION"]);
});
