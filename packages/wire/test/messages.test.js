"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");

const wire = require("@openbell/wire");

const isRefused = (text) => ({ name: "MessageError", message: text });

test("a message over one mebibyte is refused before it is parsed", () => {
  const text = JSON.stringify({ x: "é".repeat(wire.MESSAGE_BYTES_MAX / 2) });
  assert.throws(() => wire.decode(text), isRefused(/^message of \d+ bytes, the limit is 1048576$/));
});

for (const text of ["", "{", "nonsense", "[1]", "3", "null", '"text"']) {
  test(`${JSON.stringify(text)} is no message`, () => {
    assert.throws(() => wire.decode(text), { name: "MessageError" });
  });
}

test("market data is read with its time in milliseconds, whatever form it had", () => {
  const expected = Date.UTC(2023, 5, 1, 9, 30);
  const times = ["2023-06-01T09:30:00Z", "2023-06-01T09:30:00", "2023-06-01T11:30:00+02:00", expected];
  for (const timestamp of times) {
    const item = wire.readMarketData({ price: 3, timestamp }, "NQ");
    assert.deepEqual(item, { symbol: "NQ", price: 3, volume: 0, timestamp: expected });
  }
});

test("a time with a space in it is UTC, too", () => {
  const item = wire.readMarketData({ price: 3, timestamp: "2023-06-01 09:30:00" }, "NQ");
  assert.equal(item.timestamp, Date.UTC(2023, 5, 1, 9, 30));
});

test("the close stands in for a price, and a price may be negative", () => {
  const item = wire.readMarketData({ close: -37.63, timestamp: 0, volume: 5, symbol: "CL" }, "NQ");
  assert.deepEqual([item.price, item.close, item.symbol], [-37.63, -37.63, "CL"]);
});

const BROKEN = [
  {}, { price: "3" }, { price: null, close: null }, { price: NaN }, { price: 1e400 }, { price: 3, volume: -1 },
  { price: 3, volume: "5" }, { price: 3, symbol: 5 }, { price: 3, symbol: "" }, { price: 3, high: "4" },
  { price: 3, timestamp: "yesterday" }, { price: 3, timestamp: 1e18 }, { price: 3, timestamp: null },
];
for (const fields of BROKEN) {
  test(`market data with ${JSON.stringify(fields)} is refused`, () => {
    const raw = { timestamp: 0, ...fields };
    assert.throws(() => wire.readMarketData(raw, "NQ"), { name: "MessageError" });
  });
}

test("positions are read under all the names the original used", () => {
  const [first, second] = wire.readPositions({
    positions: [
      { symbol: "NQ", direction: "LONG", size: 2, entry_price: 3, current_price: 4, stop_loss: 1 },
      { side: "sell", quantity: 1, entryPrice: 5 },
    ],
  }, "ES");
  assert.deepEqual(first, {
    symbol: "NQ", side: "LONG", quantity: 2, entryPrice: 3, currentPrice: 4, stopLoss: 1, takeProfit: null,
    timestamp: null, pnl: 0, pnlPercent: 0,
  });
  assert.deepEqual([second.symbol, second.side, second.currentPrice], ["ES", "SHORT", 5]);
});

test("a negative size is a short position", () => {
  const [position] = wire.readPositions([{ symbol: "NQ", size: -3 }], "NQ");
  assert.deepEqual([position.side, position.quantity], ["SHORT", 3]);
});

for (const raw of [{}, { positions: 3 }, [3], [{ side: "UP", quantity: 1 }], [{ quantity: "1" }]]) {
  test(`positions ${JSON.stringify(raw)} are refused`, () => {
    assert.throws(() => wire.readPositions(raw, "NQ"), { name: "MessageError" });
  });
}

test("history is read from the service's form, the flat one and a bare list", () => {
  const bars = [{ t: "2023-06-01T09:30:00Z", o: 1, h: 2, l: 0.5, c: 1.5, v: 7 }];
  const forms = [{ success: true, data: { bars } }, { data: bars }, { bars }, bars];
  for (const form of forms) assert.deepEqual(wire.readHistory(form), bars);
});

test("history with long names is read as well", () => {
  const raw = [{ timestamp: 0, open: 1, high: 2, low: 0.5, close: 1.5, volume: 7 }];
  assert.deepEqual(wire.readHistory(raw), [{ t: 0, o: 1, h: 2, l: 0.5, c: 1.5, v: 7 }]);
});

test("a refusal carries the service's reason", () => {
  const answer = { success: false, error: "DATA_NOT_AVAILABLE: no NQ" };
  assert.throws(() => wire.readHistory(answer), isRefused("history was refused: DATA_NOT_AVAILABLE: no NQ"));
});

for (const raw of [null, 3, {}, { data: {} }, { data: [null] }, [{ c: "1" }], [{ c: 1, v: -1 }]]) {
  test(`history ${JSON.stringify(raw)} is refused`, () => {
    assert.throws(() => wire.readHistory(raw), { name: "MessageError" });
  });
}
