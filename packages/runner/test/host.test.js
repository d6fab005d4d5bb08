"use strict";

const assert = require("node:assert/strict");
const { mkdtempSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const path = require("node:path");
const { test } = require("node:test");

const { StrategyHost, actionOf, installVirtualTime, signalMessage } = require("@openbell/runner");

const RECORDER = path.join(__dirname, "strategies/recorder.js");
const BARS = [1, 2, 3].map((c) => ({ t: "", o: c, h: c, l: c, c, v: 1 }));

const recorder = (config = {}, time = null) => StrategyHost.load(RECORDER, { symbol: "NQ", ...config }, time);
const item = (price) => ({ symbol: "NQ", price, volume: 2, timestamp: 60_000 });

/** Load a strategy from source text, in a file of this kind. */
async function loadText(text, name = "strategy.js") {
  const folder = mkdtempSync(path.join(tmpdir(), "openbell-host-"));
  try {
    writeFileSync(path.join(folder, name), text);
    return await StrategyHost.load(path.join(folder, name), {});
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("history makes a strategy ready, and market data reaches it", async () => {
  const host = await recorder();
  assert.equal(host.ready, false);
  assert.deepEqual(await host.initialise(BARS), { ready: true, signal: null, failure: null });
  const { signal } = await host.feed(item(101));
  assert.deepEqual([signal.direction, signal.entryPrice, signal.timestamp], ["LONG", 101, 60_000]);
  assert.deepEqual(host.statistics, {
    fed: 1, signals: 1, failures: 0, historyBars: 3, positionUpdates: 0, malformed: 0,
  });
});

test("too little history leaves it not ready", async () => {
  const host = await recorder();
  assert.equal((await host.initialise(BARS.slice(1))).ready, false);
});

for (const [price, error] of [
  [13, "unlucky price"],
  [12, "something that cannot be shown"],
  [14, "just text"],
  [15, "Do not know how to serialize a BigInt"],
  [16, "signal is no object"],
  [18, /^signal of \d+ bytes/],
  [19, /undefined/],
]) {
  test(`what goes wrong at price ${price} is a failure with its context, and the next one is fine`, async () => {
    const host = await recorder();
    const { failure, signal } = await host.feed(item(price));
    assert.equal(signal, null);
    assert.match(failure.error, error instanceof RegExp ? error : new RegExp(error));
    assert.deepEqual(failure.context, { phase: "feed", symbol: "NQ", price, timestamp: 60_000, fed: 1 });
    if (price === 13) assert.match(failure.stack, /recorder\.js:\d+/);
    assert.equal((await host.feed(item(101))).failure, null);
    assert.equal(host.statistics.failures, 1);
  });
}

test("what goes wrong with history is a failure, too", async () => {
  const host = await recorder();
  const { failure } = await host.initialise(Array(13).fill(BARS[0]));
  assert.deepEqual([failure.error, failure.context], ["unlucky", { phase: "initialise", bars: 13 }]);
});

test("no answer means no change", async () => {
  const host = await recorder();
  await host.initialise(BARS);
  assert.deepEqual(await host.feed(item(17)), { ready: true, signal: null, failure: null });
});

test("a warm-up by the clock passes with the time that is fed", async () => {
  const time = installVirtualTime(0);
  try {
    const path_ = path.join(__dirname, "strategies/uptime.js");
    const host = await StrategyHost.load(path_, {}, time);
    const ready = [];
    for (const timestamp of [1_000, 59_000, 61_000]) ready.push((await host.feed({ ...item(1), timestamp })).ready);
    assert.deepEqual(ready, [false, false, true]);
  } finally {
    time.restore();
  }
});

test("positions that are told are positions the strategy sees", async () => {
  const host = await recorder();
  host.updatePositions([{ symbol: "NQ", side: "SHORT", quantity: 3, entryPrice: 100, currentPrice: 100, pnl: 0 }]);
  const { signal } = await host.feed(item(110));
  assert.equal(signal.held, -3);
  assert.equal(host.mainBot.modules.positionManagement.getOpenPnL("NQ"), -30);
});

test("a strategy that takes no history is asked for none", async () => {
  const host = await StrategyHost.load(path.join(__dirname, "strategies/analyzer.mjs"), {});
  assert.equal(host.barsWanted, 0);
  assert.equal((await recorder()).barsWanted, 50);
  assert.equal((await recorder({ historicalBarsBack: 7 })).barsWanted, 7);
});

test("an ES module with analyze works like the rest", async () => {
  const host = await StrategyHost.load(path.join(__dirname, "strategies/analyzer.mjs"), {});
  assert.deepEqual([host.name, host.hasAnalyze, host.hasProcessMarketData], ["Analyzer", true, false]);
  assert.deepEqual((await host.feed(item(2))).signal, { action: "BUY" });
});

for (const [what, text, name] of [
  ["a named export", "exports.Mine = class Mine { analyze() {} }"],
  ["a named export beside functions and other classes", "exports.Mine = class Mine { analyze() {} }; exports.help = function () {}; exports.B = class {}"],
  ["a class whose methods are fields", "exports.Mine = class Mine { analyze = () => null; name() {} }"],
  ["an old constructor", "module.exports = function Mine() { this.analyze = () => null; }"],
  ["a class that inherits", "class A { analyze() {} }; module.exports = { Mine: class Mine extends A {} }"],
  ["a compiled default export", "exports.__esModule = true; exports.default = class Mine { analyze() {} }"],
  ["an ES module's named export", "export class Mine { analyze() {} }", "strategy.mjs"],
]) {
  test(`${what} is found`, async () => {
    assert.equal((await loadText(text, name)).name, "Mine");
  });
}

for (const [what, text, error] of [
  ["no class", "module.exports = { a: 1 }", /exports 0 classes/],
  ["two classes", "exports.A = class {}; exports.B = class {}", /exports 2 classes/],
  ["a class that takes no data", "module.exports = class {}", /neither processMarketData nor analyze/],
  ["broken source", "module.exports = class {", /Unexpected end of input/],
  ["a module that is not there", "require('no-such-module')", /Cannot find module 'no-such-module'/],
]) {
  test(`a file with ${what} cannot be hosted`, async () => {
    await assert.rejects(loadText(text), error);
  });
}

test("a constructor that throws cannot be hosted", async () => {
  await assert.rejects(recorder({ explode: true }), /no thanks/);
});

for (const config of [{ botId: 3 }, { symbol: "" }]) {
  test(`the configuration ${JSON.stringify(config)} is refused`, async () => {
    await assert.rejects(recorder(config), { name: "MessageError" });
  });
}

test("virtual time is the time of what is fed, and chance follows the seed", async () => {
  const random = () => [Math.random(), Math.random()];
  const time = installVirtualTime(Date.UTC(2020, 0, 1), 7);
  try {
    assert.equal(new Date().toISOString(), "2020-01-01T00:00:00.000Z");
    const host = await recorder({}, time);
    assert.equal((await host.feed(item(101))).signal.now, 60_000);
    assert.ok(new Date() instanceof Date);
    assert.equal(new Date(5).getTime() + Date.UTC(1970, 0, 1), 5);
    assert.equal(Date(), new Date(60_000).toString());
  } finally {
    time.restore();
  }
  assert.ok(Date.now() > Date.UTC(2024, 0, 1));
  const draws = [7, 7, 8].map((seed) => {
    const seeded = installVirtualTime(0, seed);
    try {
      return random();
    } finally {
      seeded.restore();
    }
  });
  assert.deepEqual(draws[0], draws[1]);
  assert.notDeepEqual(draws[0], draws[2]);
});

for (const [signal, action] of [
  [{ direction: "LONG" }, "BUY"], [{ direction: "SHORT" }, "SELL"], [{ action: "buy" }, "BUY"], [{}, "HOLD"],
  [{ direction: "CLOSE_POSITION" }, "CLOSE"], [{ action: "EXIT_LONG" }, "CLOSE"], [{ action: "HOLD" }, "HOLD"],
]) {
  test(`${JSON.stringify(signal)} asks to ${action}`, () => assert.equal(actionOf(signal), action));
}

test("a published signal has every field of the original", async () => {
  const host = await recorder({ botId: "b1" });
  const signal = { direction: "SHORT", entryPrice: 10, stopLoss: 11, takeProfit: 8 };
  assert.deepEqual(signalMessage(host, signal, item(10)), {
    action: "SELL", price: 10, shares: 100, stop_loss: 11, take_profit: 8, tsx_signal: signal, botId: "b1",
    timestamp: "1970-01-01T00:01:00.000Z", strategy: "Recorder",
  });
});
