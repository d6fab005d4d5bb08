"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");

const { MockBot, PositionBook, checkRisk, valued } = require("@openbell/bot");

function botWith(config = {}) {
  const sent = [];
  const logged = [];
  const bot = new MockBot(
    { botId: "b1", symbol: "NQ", ...config },
    (channel, message) => sent.push([channel, message]),
    (text) => logged.push(text),
  );
  return { bot, sent, logged, receive: (channel, message) => bot.receive(channel, JSON.stringify(message)) };
}

const LONG = {
  symbol: "NQ", side: "LONG", quantity: 2, entryPrice: 100, currentPrice: 101, stopLoss: null,
  takeProfit: null, timestamp: null, pnl: 2, pnlPercent: 1,
};

for (const name of ["signal", "trade:request", "historical-data:request", "strategy:status"]) {
  test(`bot:${name} goes up with the bot's id and the sender's time`, () => {
    const { sent, receive } = botWith();
    receive(`bot:${name}`, { action: "BUY", timestamp: "then" });
    assert.deepEqual(sent, [[`aggregator:${name}`, { action: "BUY", timestamp: "then", botId: "b1" }]]);
  });
}

for (const name of ["signal:response", "trade:response", "historical-data:response"]) {
  test(`aggregator:${name} comes down unchanged`, () => {
    const { sent, receive } = botWith();
    receive(`aggregator:${name}`, { requestId: "r", success: true });
    assert.deepEqual(sent, [[`bot:${name}`, { requestId: "r", success: true }]]);
  });
}

test("what belongs to another bot is counted and not carried", () => {
  const { bot, sent, receive } = botWith();
  receive("bot:signal", { botId: "b2" });
  assert.deepEqual([sent, bot.statistics.foreign], [[], 1]);
});

test("a broken message is counted, logged with its channel, and kills nothing", () => {
  const { bot, sent, logged } = botWith();
  bot.receive("bot:signal", "{");
  bot.receive("bot:position:update", '{"positions": [{"quantity": "many"}]}');
  bot.receive("bot:risk:check", '{"signal": 3}');
  assert.deepEqual([sent, bot.statistics.malformed], [[], 3]);
  assert.deepEqual(logged[0], "bot:signal: message is not JSON");
});

test("a position update is kept, carried on, and answers the strategy's questions", () => {
  const { bot, sent, receive } = botWith();
  receive("bot:position:update", { positions: [LONG] });
  assert.equal(sent[0][0], "aggregator:position:update");
  const asked = bot.mainBot.modules.positionManagement;
  assert.deepEqual([asked.hasPosition(), asked.isLongPosition("NQ"), asked.getPositionSize()], [true, true, 2]);
  assert.deepEqual(asked.getAllPositions(), [LONG]);
});

test("market data moves the value of what is held, and is passed on as the bot's own", () => {
  const { bot, sent, receive } = botWith();
  receive("aggregator:position:response", { positions: [LONG] });
  receive("aggregator:market-data:b1", { symbol: "NQ", price: 105, volume: 3, timestamp: "2023-06-01T09:30:00Z" });
  assert.equal(bot.mainBot.modules.positionManagement.getOpenPnL(), 10);
  const [channel, message] = sent[1];
  assert.equal(channel, "bot:market-data");
  assert.deepEqual([message.botId, message.price, message.timestamp], ["b1", 105, "2023-06-01T09:30:00Z"]);
  assert.equal(bot.status("running").timestamp, "2023-06-01T09:30:00.000Z");
});

test("a risk question is answered and carried on", () => {
  const { sent, receive } = botWith({ maxRiskPoints: 3 });
  receive("bot:risk:check", { requestId: "r", signal: { riskPoints: 4 }, timestamp: 7 });
  assert.deepEqual(sent.map(([channel]) => channel), ["bot:risk:response", "aggregator:risk:check"]);
  assert.deepEqual(sent[0][1], {
    requestId: "r", botId: "b1", allowed: false, reason: "riskPoints is 4, the limit is 3", timestamp: 7,
  });
});

test("the book of a short position counts the other way", () => {
  const book = new PositionBook("NQ");
  book.update([valued({ ...LONG, side: "SHORT" }), { ...LONG, symbol: "ES", quantity: 0 }]);
  book.mark("NQ", 90);
  assert.deepEqual([book.getPositionSize(), book.isShortPosition(), book.getOpenPnL("NQ")], [-2, true, 20]);
  assert.deepEqual([book.getTotalPositionValue(), book.getPosition().pnlPercent], [180, 10]);
  assert.deepEqual([book.hasPosition("ES"), book.getPosition("ES"), book.getOpenPnL("ES")], [false, null, 0]);
});

test("what a strategy is given of the book is a copy", () => {
  const book = new PositionBook("NQ");
  book.update([LONG]);
  book.getPosition().quantity = 99;
  book.getAllPositions()[0].quantity = 99;
  assert.equal(book.getPositionSize(), 2);
});

test("a signal is held to the limits that are given, and only to those", () => {
  const signal = { riskPoints: 4, dollarRisk: 50, positionSize: 2 };
  assert.equal(checkRisk(signal, {}).allowed, true);
  assert.equal(checkRisk(signal, { maxDollarRisk: 50 }).allowed, true);
  assert.equal(checkRisk(signal, { maxDollarRisk: 49 }).allowed, false);
  assert.equal(checkRisk({ positionSize: NaN }, { maxPositionSize: 1 }).allowed, false);
});
