"use strict";

// A thousand and more messages that somebody bent: each is answered or counted, none does harm.

const assert = require("node:assert/strict");
const path = require("node:path");
const { test } = require("node:test");

const { MockBot } = require("@openbell/bot");
const { StrategyHost, answerLine } = require("@openbell/runner");

const RECORDER = path.join(__dirname, "strategies/recorder.js");
const ODD = [
  null, true, "", "x".repeat(300), "NaN", "2023-13-45T99:99:99Z", -1, 0, 1e308, -0.5, 9e15, [], {}, [[[]]],
  { length: 5 }, { toString: "no" }, { __proto__: null, constructor: 1 }, "\u0000\ud800", "constructor", "__proto__",
];
const NAMES = ["type", "data", "price", "volume", "timestamp", "symbol", "positions", "bars", "success", "botId", "signal", "__proto__"];
const POSITION = { symbol: "NQ", side: "LONG", quantity: 1, entryPrice: 2 };
const GOOD = [
  { type: "MARKET_DATA", data: { symbol: "NQ", price: 1, volume: 1, timestamp: 60_000 } },
  { type: "POSITION_UPDATE", data: { positions: [POSITION] } },
  { type: "HISTORICAL_DATA", data: { success: true, data: { bars: [{ t: "", c: 1 }] } } },
];

/** Numbers in [0, 1) that follow from a seed. */
function chance(seed) {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

/** A message with one to three of its values replaced, or its text cut. */
function bent(good, draw) {
  const pick = (list) => list[Math.floor(draw() * list.length)];
  const message = structuredClone(good);
  const places = [message, ...Object.values(message).filter((value) => typeof value === "object" && value)];
  for (let i = 0; i <= draw() * 3; i += 1) {
    const place = pick(places);
    const name = draw() < 0.8 ? pick(Object.keys(place)) : pick(NAMES);
    Object.defineProperty(place, name, { value: pick(ODD), enumerable: true, configurable: true, writable: true });
  }
  const text = JSON.stringify(message);
  return draw() < 0.2 ? text.slice(0, Math.floor(draw() * text.length)) : text;
}

test("bent lines are answered one by one, and the runner goes on as if nothing had been", async () => {
  const draw = chance(20_110_301);
  const host = await StrategyHost.load(RECORDER, { symbol: "NQ" });
  const answered = {};
  console.log = () => undefined;
  for (let i = 0; i < 1500; i += 1) {
    const { type } = await answerLine(host, bent(GOOD[i % 3], draw));
    answered[type] = (answered[type] ?? 0) + 1;
  }
  assert.deepEqual(Object.keys(answered).sort(), ["ACK", "ERROR", "SIGNAL"]);
  const { malformed, failures, fed } = host.statistics;
  assert.equal(answered.ERROR, malformed + failures);
  assert.ok(malformed > 500 && fed > 50, JSON.stringify(host.statistics));
  const price = { symbol: "NQ", price: 101, volume: 1, timestamp: 0 };
  assert.equal((await host.feed(price)).signal.direction, "LONG");
  assert.equal({}.price, undefined);
});

test("bent messages to the bot are carried or counted, never both, and harm nothing", () => {
  const draw = chance(20_110_331);
  let sent = 0;
  const bot = new MockBot({ botId: "b1", symbol: "NQ" }, () => (sent += 1), () => undefined);
  const kinds = { "bot:position:update": GOOD[1].data, "aggregator:market-data:b1": GOOD[0].data, "bot:signal": { action: "BUY", botId: "b1" } };
  const channels = Object.keys(kinds);
  for (let i = 0; i < 1500; i += 1) {
    const channel = channels[i % 3];
    bot.receive(channel, bent(kinds[channel], draw));
  }
  const { forwarded, foreign, malformed } = bot.statistics;
  assert.equal(forwarded + foreign + malformed, 1500);
  assert.equal(sent, forwarded);
  assert.ok(malformed > 300 && forwarded > 300 && foreign > 10, JSON.stringify(bot.statistics));
});
