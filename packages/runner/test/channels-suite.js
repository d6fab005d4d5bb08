"use strict";

// What is said on the original's channels.

const assert = require("node:assert/strict");
const { test } = require("node:test");

const { Child, ENVIRONMENT, command, listen, serveHistory, until, waveBars } = require("../../testing/support.js");
const { ERROR, MARKET, READY, REQUEST, SIGNAL, market, stage } = require("./stage.js");

/** With one major of npm's `redis`. */
function suite(major) {
  const here = stage(major);

  test("the history is waited for before the runner says that it is ready", async () => {
    const child = here.run("recorder.js", { historicalBarsBack: 30 });
    await until(() => here.ear.on(REQUEST).length > 0);
    assert.deepEqual([child.out, here.ear.on(READY)], ["", []]);
    const history = await serveHistory(here.redis.port, waveBars(50));
    await child.says("ready: true\n");
    const { requestId, ...request } = history.asked[0];
    assert.match(requestId, /^hist_\d+_[0-9a-f]+$/);
    assert.deepEqual(request, { symbol: "NQ", barsBack: 30, timestamp: "2023-06-01T09:30:00.000Z", botId: "b1" });
    await until(() => here.ear.on(READY).length > 0);
    const [{ pid, statistics, ...ready }] = here.ear.on(READY);
    assert.deepEqual(ready, {
      botId: "b1", ready: true, strategy: "Recorder", timestamp: "2023-06-01T09:30:00.000Z", warm: true,
    });
    assert.deepEqual([pid, statistics.historyBars], [child.process.pid, 30]);
    assert.equal(await child.stop(), 0);
    await history.close();
  });

  test("market data gives signals, errors and time; what is malformed gives a log line", async () => {
    const history = await serveHistory(here.redis.port, waveBars(50));
    const child = here.run("recorder.js");
    await child.says("ready: true\n");
    await here.ear.say("aggregator:simulation:b1", { type: "SIMULATION_DATE", datetime: "2024-02-29T12:00:00Z", botId: "b1" });
    await here.ear.say("bot:position:update", { botId: "b1", positions: [{ symbol: "NQ", side: "LONG", quantity: 4 }] });
    await here.ear.say("bot:position:update", { botId: "b2", positions: [] });
    for (const body of ["{", '{"price":"1"}', `"${"x".repeat(2 << 20)}"`]) await here.ear.say(MARKET, body);
    await here.ear.say(MARKET, market(13));
    await here.ear.say(MARKET, market(101));
    await until(() => here.ear.on(SIGNAL).length > 0);
    const [signal] = here.ear.on(SIGNAL);
    assert.deepEqual(
      [signal.action, signal.price, signal.shares, signal.timestamp, signal.tsx_signal.held],
      ["BUY", 101, 100, "2023-06-01T09:31:00.000Z", 4],
    );
    const [error] = here.ear.on(ERROR);
    assert.deepEqual([error.type, error.error, error.context.price], ["ERROR", "unlucky price", 13]);
    assert.equal(await child.stop(), 0);
    await until(() => here.ear.on(READY).length > 1);
    const { fed, signals, failures, malformed, dropped } = here.ear.on(READY).at(-1).statistics;
    assert.deepEqual({ fed, signals, failures, malformed, dropped }, { fed: 2, signals: 1, failures: 1, malformed: 3, dropped: 0 });
    assert.match(child.err, /aggregator:market-data:b1: message is not JSON/);
    await history.close();
  });

  test("the end of the parent is the end of the runner", async () => {
    const history = await serveHistory(here.redis.port, waveBars(50));
    const child = here.run("recorder.js");
    await child.says("ready: true\n");
    child.process.stdin.end();
    assert.equal(await child.ended, 0);
    await history.close();
  });

  test("the EMA strategy is bootstrapped by its host and signals on the page's series", async () => {
    const history = await serveHistory(here.redis.port, waveBars(50));
    const child = here.run("ema-strategy.js");
    await child.says("ready: true\n");
    for (const bar of waveBars(250).slice(50)) {
      await here.ear.say(MARKET, { symbol: "NQ", price: bar.c, volume: bar.v, timestamp: bar.t });
    }
    await until(() => here.ear.on(SIGNAL).length >= 10);
    assert.deepEqual(new Set(here.ear.on(SIGNAL).map(({ action }) => action)), new Set(["BUY", "CLOSE"]));
    assert.equal(here.ear.on(SIGNAL)[0].tsx_signal.direction, "LONG");
    await child.stop();
    await history.close();
  });

  test("a strategy that asks for its own history is ready when it has it, and not before", async () => {
    const child = here.run("self-bootstrap-strategy.js");
    await until(() => here.ear.on(REQUEST).length > 0);
    assert.equal(child.out, "");
    const history = await serveHistory(here.redis.port, waveBars(50));
    await child.says("ready: true\n");
    assert.deepEqual({ ...history.asked[0], requestId: "" }, {
      requestId: "", symbol: "NQ", barType: "time", interval: 1, intervalType: "min", barsBack: 50,
      sessionTemplate: "USEQPost",
    });
    await until(() => here.ear.on(READY).length > 0);
    assert.equal(here.ear.on(READY)[0].warm, true);
    assert.equal(await child.stop(), 0);
    await history.close();
  });

  test("a refusal of history ends it with the service's reason", async () => {
    const child = here.run("recorder.js");
    await until(() => here.ear.on(REQUEST).length > 0);
    const [{ requestId }] = here.ear.on(REQUEST);
    await here.ear.say("aggregator:historical-data:response", { requestId: "another", success: true, data: { bars: [] } });
    await here.ear.say("aggregator:historical-data:response", { requestId, success: false, error: "DATA_NOT_AVAILABLE: NQ" });
    assert.equal(await child.ended, 1);
    assert.match(child.err, /history was refused: DATA_NOT_AVAILABLE: NQ/);
  });

  test("with virtual time the history ends where that begins", async () => {
    const text = JSON.stringify({ redisPort: here.redis.port, symbol: "NQ" });
    here.ear.heard.length = 0;
    const words = command("runner", here.folder.file("recorder.js"), text, "--protocol", "redis", "--virtual-time", "2025-02-03T14:30:00Z");
    here.children.push(new Child(words, ENVIRONMENT));
    await until(() => here.ear.on(REQUEST).length > 0);
    assert.equal(here.ear.on(REQUEST)[0].timestamp, "2025-02-03T14:30:00.000Z");
  });

  test("the mock bot carries between the channels and shows its status", async () => {
    const heard = await listen(here.redis.port, ["aggregator:signal", "bot:historical-data:response", "bot:status"], major);
    const config = JSON.stringify({ botId: "b1", redisPort: here.redis.port });
    const bot = new Child(command("bot", config), { NODE_PATH: here.folder.file("node_modules") });
    await bot.says("ready: true");
    await heard.say("bot:position:update", { positions: [{ side: "LONG", quantity: 2 }] });
    await heard.say("bot:signal", { action: "BUY", timestamp: 5 });
    await heard.say("aggregator:historical-data:response", { requestId: "r" });
    await until(() => heard.on("bot:historical-data:response").length > 0);
    assert.deepEqual(heard.on("aggregator:signal"), [{ action: "BUY", timestamp: 5, botId: "b1" }]);
    assert.deepEqual(heard.on("bot:historical-data:response"), [{ requestId: "r" }]);
    assert.equal(await bot.stop(), 0);
    await until(() => heard.on("bot:status").length > 2);
    const said = heard.on("bot:status").map(({ status, positions }) => [status, positions.length]);
    assert.deepEqual(said, [["running", 0], ["running", 1], ["stopped", 1]]);
    assert.equal(JSON.parse(await heard.client.get("bot:b1:status")).statistics.forwarded, 3);
    await heard.close();
  });
}

module.exports = { suite };
