"use strict";

const assert = require("node:assert/strict");
const path = require("node:path");
const { test } = require("node:test");

const { LineReader } = require("@openbell/runner");
const { Child, ENVIRONMENT, command } = require("../../testing/support.js");

const RECORDER = path.join(__dirname, "strategies/recorder.js");

/** Run the recorder over these lines; give its exit code, the messages it said, and its log. */
async function talk(lines, words = [], strategy = RECORDER) {
  const child = new Child(command("runner", strategy, '{"symbol":"NQ"}', ...words), ENVIRONMENT, "pipe");
  for (const line of lines) child.process.stdin.write(`${typeof line === "string" ? line : JSON.stringify(line)}\n`);
  child.process.stdin.end();
  const code = await child.ended;
  const said = child.out.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  return { code, said, log: child.err };
}

const market = (price, id) => ({ type: "MARKET_DATA", data: { price, volume: 1, timestamp: 60_000 }, id });
const bars = (n) => Array.from({ length: n }, (_, i) => ({ c: i + 1 }));

test("every line has one answer, in order, and its id comes back", async () => {
  const { code, said } = await talk([
    { type: "HISTORICAL_DATA", data: { success: true, data: { bars: bars(3) } } },
    market(1),
    market(101, 7),
    { type: "POSITION_UPDATE", data: { positions: [{ symbol: "NQ", side: "LONG", size: 2, entry_price: 3 }] } },
    market(102, "x"),
    { type: "SHUTDOWN" },
  ]);
  assert.equal(code, 0);
  assert.deepEqual(said.map(({ type }) => type), ["READY", "ACK", "ACK", "SIGNAL", "ACK", "SIGNAL", "SHUTDOWN_COMPLETE"]);
  const { pid, ...ready } = said[0];
  assert.deepEqual(ready, { type: "READY", strategy: "Recorder", hasProcessMarketData: true, hasAnalyze: false });
  assert.ok(pid > 0);
  assert.deepEqual([said[1].ready, said[3].id, said[3].timestamp, said[5].data.held], [true, 7, 60_000, 2]);
});

test("what a strategy prints goes to the log, not between the messages", async () => {
  const { said, log } = await talk([market(1)]);
  assert.equal(said.length, 2);
  assert.match(log, /a strategy may print/);
});

test("what a strategy throws is answered with its stack, and the next line is served", async () => {
  const { code, said } = await talk([market(13), market(101)]);
  assert.deepEqual([code, said[1].type, said[1].error, said[2].type], [0, "ERROR", "unlucky price", "SIGNAL"]);
  assert.match(said[1].stack, /recorder\.js/);
  assert.equal(said[1].context.price, 13);
});

test("what a strategy throws behind our back is logged, and nothing ends", async () => {
  const child = new Child(command("runner", RECORDER), ENVIRONMENT, "pipe");
  child.process.stdin.write(`${JSON.stringify(market(20))}\n`);
  await child.says("forgotten", "err");
  await child.says("in a timer", "err");
  child.process.stdin.end(`${JSON.stringify(market(101))}\n`);
  assert.equal(await child.ended, 0);
  assert.match(child.out, /"SIGNAL"/);
});

test("malformed lines are answered and counted, and kill nothing", async () => {
  const huge = `{"type":"MARKET_DATA","data":"${"x".repeat(2 << 20)}"}`;
  const broken = ["nonsense", "[]", '{"type":"DANCE","id":1}', { type: "MARKET_DATA" }, market("3"), huge];
  const { code, said } = await talk([...broken, "", market(101), { type: "SHUTDOWN" }]);
  assert.equal(code, 0);
  const answers = said.slice(1, 1 + broken.length);
  assert.deepEqual(answers.map(({ type }) => type), broken.map(() => "ERROR"));
  assert.equal(answers[2].id, 1);
  assert.match(answers[5].error, /line of more than 1048576 bytes/);
  assert.deepEqual([said.at(-2).type, said.at(-1).statistics.malformed], ["SIGNAL", broken.length]);
});

test("the end of its input ends the runner", async () => {
  assert.equal((await talk([])).code, 0);
});

test("a runner nobody listens to any more goes on quietly, and ends with its input", async () => {
  const child = new Child(command("runner", RECORDER), ENVIRONMENT, "pipe");
  await child.says("READY");
  child.process.stdout.destroy();
  child.process.stderr.destroy();
  for (const price of [1, 13, 101]) child.process.stdin.write(`${JSON.stringify(market(price))}\n`);
  child.process.stdin.end();
  assert.equal(await child.ended, 0);
});

test("SIGTERM ends it in order", async () => {
  const child = new Child(command("runner", RECORDER), ENVIRONMENT, "pipe");
  await child.says("READY");
  assert.equal(await child.stop(), 0);
});

for (const [what, strategy, words, error] of [
  ["a file that is not there", "nowhere.js", [], /Cannot find module/],
  ["an unknown protocol", RECORDER, ["--protocol", "pigeon"], /usage:/],
  ["an unknown option", RECORDER, ["--loud"], /--loud/],
  ["a seed that is no number", RECORDER, ["--virtual-time", "2020-01-01", "--seed", "x"], /seed/],
]) {
  test(`${what} is fatal, and says why`, async () => {
    const { code, said, log } = await talk([], words, strategy);
    assert.deepEqual([code, said[0].type, said[0].fatal], [1, "ERROR", true]);
    assert.match(said[0].error, error);
    assert.match(log, error);
  });
}

test("virtual time begins where it is told to", async () => {
  const { said } = await talk([market(101)], ["--virtual-time", "2020-01-01T00:00:00Z"]);
  assert.equal(said[1].data.now, 60_000);
});

test("lines come out whole however the bytes are cut", () => {
  const text = "one\n\ntwo é\n   \nthree\n";
  for (let size = 1; size < 8; size += 1) {
    const reader = new LineReader(100);
    const bytes = Buffer.from(text);
    const lines = [];
    for (let i = 0; i < bytes.length; i += size) lines.push(...reader.push(bytes.subarray(i, i + size)));
    assert.deepEqual(lines, ["one", "two é", "three"]);
  }
});

test("a line over the limit is null, and takes no memory", () => {
  const reader = new LineReader(4);
  assert.deepEqual(reader.push(Buffer.from("1234\n12345\n1")), ["1234", null]);
  for (let i = 0; i < 1000; i += 1) reader.push(Buffer.alloc(1000, "x"));
  assert.equal(reader.parts.length, 0);
  assert.deepEqual(reader.push(Buffer.from("\nok\n")), [null, "ok"]);
});
