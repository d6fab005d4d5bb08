"use strict";

// The original's channels, against a real Redis.

const assert = require("node:assert/strict");
const path = require("node:path");
const { after, before, test } = require("node:test");

const {
  Child, ENVIRONMENT, EXAMPLES, command, folderWith, freePort, listen, serveHistory, startRedis, until, waveBars,
} = require("../../testing/support.js");

const RECORDER = path.join(__dirname, "strategies/recorder.js");
const READY = "aggregator:strategy-ready";
const SIGNAL = "aggregator:signal:b1";
const ERROR = "aggregator:strategy-error:b1";
const MARKET = "aggregator:market-data:b1";
const market = (price) => ({ symbol: "NQ", price, volume: 1, timestamp: "2023-06-01T09:31:00.000Z" });

/** The tests of the runner and the bot over Redis, with one major of npm's `redis`. */
function suite(major) {
  let redis, ear, folder;
  const children = [];

  before(async () => {
    redis = await startRedis();
    ear = await listen(redis.port, [READY, SIGNAL, ERROR, "aggregator:historical-data:request"], major);
    folder = folderWith(major, RECORDER, path.join(EXAMPLES, "ema-strategy.js"), path.join(EXAMPLES, "self-bootstrap-strategy.js"));
  });

  after(async () => {
    await Promise.all(children.map((child) => child.stop("SIGKILL")));
    await ear.close();
    await redis.stop();
    folder.remove();
  });

  /** Start a runner for a strategy of the folder and forget what was heard before. */
  function run(strategy, config = {}, port = redis.port) {
    ear.heard.length = 0;
    const full = { botId: "b1", symbol: "NQ", redisPort: port, ...config };
    const words = command("runner", folder.file(strategy), JSON.stringify(full), "--protocol", "redis", "--with-parent");
    const child = new Child(words, ENVIRONMENT, "pipe");
    children.push(child);
    return child;
  }

  test("the history is waited for before the runner says that it is ready", async () => {
    const child = run("recorder.js", { historicalBarsBack: 30 });
    await until(() => ear.on("aggregator:historical-data:request").length > 0);
    assert.deepEqual([child.out, ear.on(READY)], ["", []]);
    const history = await serveHistory(redis.port, waveBars(50));
    await child.says("ready: true\n");
    const { requestId, ...request } = history.asked[0];
    assert.match(requestId, /^hist_\d+_[0-9a-f]+$/);
    assert.deepEqual(request, { symbol: "NQ", barsBack: 30, timestamp: "2023-06-01T09:30:00.000Z", botId: "b1" });
    await until(() => ear.on(READY).length > 0);
    const [{ pid, statistics, ...ready }] = ear.on(READY);
    assert.deepEqual(ready, {
      botId: "b1", ready: true, strategy: "Recorder", timestamp: "2023-06-01T09:30:00.000Z", warm: true,
    });
    assert.deepEqual([pid, statistics.historyBars], [child.process.pid, 30]);
    assert.equal(await child.stop(), 0);
    await history.close();
  });

  test("market data gives signals, errors and time; what is malformed gives a log line", async () => {
    const history = await serveHistory(redis.port, waveBars(50));
    const child = run("recorder.js");
    await child.says("ready: true\n");
    await ear.say("aggregator:simulation:b1", { type: "SIMULATION_DATE", datetime: "2024-02-29T12:00:00Z", botId: "b1" });
    await ear.say("bot:position:update", { botId: "b1", positions: [{ symbol: "NQ", side: "LONG", quantity: 4 }] });
    await ear.say("bot:position:update", { botId: "b2", positions: [] });
    for (const body of ["{", '{"price":"1"}', `"${"x".repeat(2 << 20)}"`]) await ear.say(MARKET, body);
    await ear.say(MARKET, market(13));
    await ear.say(MARKET, market(101));
    await until(() => ear.on(SIGNAL).length > 0);
    const [signal] = ear.on(SIGNAL);
    assert.deepEqual(
      [signal.action, signal.price, signal.shares, signal.timestamp, signal.tsx_signal.held],
      ["BUY", 101, 100, "2023-06-01T09:31:00.000Z", 4],
    );
    const [error] = ear.on(ERROR);
    assert.deepEqual([error.type, error.error, error.context.price], ["ERROR", "unlucky price", 13]);
    assert.equal(await child.stop(), 0);
    await until(() => ear.on(READY).length > 1);
    const { fed, signals, failures, malformed, dropped } = ear.on(READY).at(-1).statistics;
    assert.deepEqual({ fed, signals, failures, malformed, dropped }, { fed: 2, signals: 1, failures: 1, malformed: 3, dropped: 0 });
    assert.match(child.err, /aggregator:market-data:b1: message is not JSON/);
    await history.close();
  });

  test("the end of the parent is the end of the runner", async () => {
    const history = await serveHistory(redis.port, waveBars(50));
    const child = run("recorder.js");
    await child.says("ready: true\n");
    child.process.stdin.end();
    assert.equal(await child.ended, 0);
    await history.close();
  });

  test("the EMA strategy is bootstrapped by its host and signals on the page's series", async () => {
    const history = await serveHistory(redis.port, waveBars(50));
    const child = run("ema-strategy.js");
    await child.says("ready: true\n");
    for (const bar of waveBars(250).slice(50)) {
      await ear.say(MARKET, { symbol: "NQ", price: bar.c, volume: bar.v, timestamp: bar.t });
    }
    await until(() => ear.on(SIGNAL).length >= 10);
    assert.deepEqual(new Set(ear.on(SIGNAL).map(({ action }) => action)), new Set(["BUY", "CLOSE"]));
    assert.equal(ear.on(SIGNAL)[0].tsx_signal.direction, "LONG");
    await child.stop();
    await history.close();
  });

  test("a strategy that asks for its own history is ready when it has it, and not before", async () => {
    const child = run("self-bootstrap-strategy.js");
    await until(() => ear.on("aggregator:historical-data:request").length > 0);
    assert.equal(child.out, "");
    const history = await serveHistory(redis.port, waveBars(50));
    await child.says("ready: true\n");
    assert.deepEqual({ ...history.asked[0], requestId: "" }, {
      requestId: "", symbol: "NQ", barType: "time", interval: 1, intervalType: "min", barsBack: 50,
      sessionTemplate: "USEQPost",
    });
    await until(() => ear.on(READY).length > 0);
    assert.equal(ear.on(READY)[0].warm, true);
    assert.equal(await child.stop(), 0);
    await history.close();
  });

  test("a runner that nobody answers says so and ends", async () => {
    const child = run("recorder.js", { historyTimeoutMs: 300 });
    assert.equal(await child.ended, 1);
    assert.match(child.err, /nobody answered on aggregator:historical-data:response/);
  });

  test("a refusal of history ends it with the service's reason", async () => {
    const child = run("recorder.js");
    await until(() => ear.on("aggregator:historical-data:request").length > 0);
    const [{ requestId }] = ear.on("aggregator:historical-data:request");
    await ear.say("aggregator:historical-data:response", { requestId: "another", success: true, data: { bars: [] } });
    await ear.say("aggregator:historical-data:response", { requestId, success: false, error: "DATA_NOT_AVAILABLE: NQ" });
    assert.equal(await child.ended, 1);
    assert.match(child.err, /history was refused: DATA_NOT_AVAILABLE: NQ/);
  });

  test("a runner survives a restart of Redis and serves on", async () => {
    const port = await freePort();
    let own = await startRedis(port);
    const history = await serveHistory(port, waveBars(50));
    const child = run("recorder.js", {}, port);
    await child.says("ready: true\n");
    await history.close();
    await own.stop("SIGKILL");
    await child.says("Redis:", "err");
    own = await startRedis(port);
    const second = await listen(port, [SIGNAL], major);
    while (second.on(SIGNAL).length === 0) await second.say(MARKET, market(101));
    await second.close();
    assert.equal(await child.stop(), 0);
    await own.stop();
  });

  test("user and password are taken from the configuration or the environment, and shown nowhere", async () => {
    const own = await startRedis(undefined, "--user", "bot", "on", ">hunter2", "~*", "&*", "+@all", "--user", "default", "off");
    const url = `redis://bot:hunter2@127.0.0.1:${own.port}`;
    const login = { redisUsername: "bot", redisPassword: "hunter2" };
    const start = (config, environment) => {
      const text = JSON.stringify({ historicalBarsBack: 0, redisPort: own.port, ...config });
      const words = command("runner", folder.file("recorder.js"), text, "--protocol", "redis");
      const child = new Child(words, { ...ENVIRONMENT, ...environment });
      children.push(child);
      return child;
    };
    for (const child of [start(login), start({ redisUrl: url }), start({}, { OPENBELL_REDIS_URL: url })]) {
      await child.says("ready: true\n");
      assert.equal(await child.stop(), 0);
      assert.equal((child.out + child.err).includes("hunter2"), false);
    }
    const refused = start({ ...login, redisPassword: "hunter3" });
    assert.equal(await refused.ended, 1);
    assert.match(refused.err, /WRONGPASS/);
    assert.equal((refused.out + refused.err).includes("hunter3"), false);
    await own.stop();
  });

  test("connections that are cut are made again", async () => {
    const child = run("recorder.js", { historicalBarsBack: 0 });
    await child.says("ready: true\n");
    await ear.client.sendCommand(["CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes"]);
    await child.says("Redis:", "err");
    while (ear.on(SIGNAL).length === 0) await ear.say(MARKET, market(101));
    assert.equal(await child.stop(), 0);
    await until(() => ear.on(READY).length > 1);
    assert.ok(ear.on(READY).at(-1).statistics.troubles > 0);
  });

  test("the mock bot carries between the channels and shows its status", async () => {
    const heard = await listen(redis.port, ["aggregator:signal", "bot:historical-data:response", "bot:status"], major);
    const config = JSON.stringify({ botId: "b1", redisPort: redis.port });
    const bot = new Child(command("bot", config), { NODE_PATH: folder.file("node_modules") });
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

  test("no Redis at all is fatal within seconds", async () => {
    const words = command("runner", RECORDER, JSON.stringify({ redisPort: await freePort() }), "--protocol", "redis");
    const child = new Child(words, ENVIRONMENT);
    assert.equal(await child.ended, 1);
    assert.match(child.err, /Redis cannot be reached: .*ECONNREFUSED/);
  });
}

module.exports = { suite };
