"use strict";

// Servers that are not there, go away, come back, or want a password.

const assert = require("node:assert/strict");
const { test } = require("node:test");

const { Child, ENVIRONMENT, command, freePort, listen, serveHistory, startRedis, startRelay, until, waveBars } = require("../../testing/support.js");
const { MARKET, READY, RECORDER, SIGNAL, market, stage } = require("./stage.js");

/** With one major of npm's `redis`. */
function suite(major) {
  const here = stage(major);

  test("a runner that nobody answers says so and ends", async () => {
    const child = here.run("recorder.js", { historyTimeoutMs: 300 });
    assert.equal(await child.ended, 1);
    assert.match(child.err, /nobody answered on aggregator:historical-data:response/);
  });

  test("a runner survives a restart of Redis and serves on", async () => {
    const port = await freePort();
    let own = await startRedis(port);
    const history = await serveHistory(port, waveBars(50));
    const child = here.run("recorder.js", {}, port);
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
      const words = command("runner", here.folder.file("recorder.js"), text, "--protocol", "redis");
      const child = new Child(words, { ...ENVIRONMENT, ...environment });
      here.children.push(child);
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
    const child = here.run("recorder.js", { historicalBarsBack: 0 });
    await child.says("ready: true\n");
    await here.ear.client.sendCommand(["CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes"]);
    await child.says("Redis:", "err");
    while (here.ear.on(SIGNAL).length === 0) await here.ear.say(MARKET, market(101));
    assert.equal(await child.stop(), 0);
    await until(() => here.ear.on(READY).length > 1);
    assert.ok(here.ear.on(READY).at(-1).statistics.troubles > 0);
  });

  test("a connection that breaks under what is said costs that message, and nothing else", async () => {
    const history = await serveHistory(here.redis.port, waveBars(50));
    const relay = await startRelay(here.redis.port);
    relay.cutAt = "historical-data:request";
    const child = here.run("recorder.js", {}, relay.port);
    await until(() => relay.cuts > 0);
    relay.cutAt = SIGNAL;
    await child.says("ready: true\n");
    const before = relay.cuts;
    await here.ear.say(MARKET, market(101));
    await until(() => relay.cuts > before);
    relay.cutAt = null;
    await here.ear.say(MARKET, market(102));
    await until(() => here.ear.on(SIGNAL).length > 0);
    assert.equal(await child.stop(), 0);
    assert.deepEqual(here.ear.on(SIGNAL).map(({ price }) => price), [102]);
    await history.close();
    relay.close();
  });

  test("a Redis that is paused delays, and nothing is lost or repeated", async () => {
    const own = await startRedis();
    const child = here.run("recorder.js", { historicalBarsBack: 0 }, own.port);
    await child.says("ready: true\n");
    const heard = await listen(own.port, [SIGNAL], major);
    own.signal("SIGSTOP");
    const said = [101, 102, 103].map((price) => heard.say(MARKET, market(price)));
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.deepEqual(heard.on(SIGNAL), []);
    own.signal("SIGCONT");
    await Promise.all(said);
    await until(() => heard.on(SIGNAL).length >= 3);
    assert.equal(await child.stop(), 0);
    assert.deepEqual(heard.on(SIGNAL).map(({ price }) => price), [101, 102, 103]);
    await heard.close();
    await own.stop();
  });

  test("the runner and the bot end when they are told to, Redis or no Redis", async () => {
    const own = await startRedis();
    const both = await runnerAndBot(own.port);
    await own.stop("SIGKILL");
    await Promise.all(both.map((child) => child.says("Redis:", "err")));
    assert.deepEqual(await Promise.all(both.map((child) => child.stop())), [0, 0]);
  });

  // What is said at the end, and by what the connection itself is ended.
  for (const text of ["strategy-ready", ":status", "QUIT"]) {
    test(`the runner and the bot end in order though the connection breaks under ${text}`, async () => {
      const relay = await startRelay(here.redis.port);
      const both = await runnerAndBot(relay.port);
      relay.cutAt = text;
      assert.deepEqual(await Promise.all(both.map((child) => child.stop())), [0, 0]);
      // The current major says no QUIT.
      assert.ok(relay.cuts > 0 || (text === "QUIT" && major !== "redis"));
      relay.close();
    });
  }

  async function runnerAndBot(port) {
    const runner = here.run("recorder.js", { historicalBarsBack: 0 }, port);
    const bot = new Child(command("bot", JSON.stringify({ redisPort: port })), { NODE_PATH: here.folder.file("node_modules") });
    here.children.push(bot);
    await Promise.all([runner, bot].map((child) => child.says("ready: true")));
    return [runner, bot];
  }

  test("no Redis at all is fatal within seconds", async () => {
    const words = command("runner", RECORDER, JSON.stringify({ redisPort: await freePort() }), "--protocol", "redis");
    const child = new Child(words, ENVIRONMENT);
    assert.equal(await child.ended, 1);
    assert.match(child.err, /Redis cannot be reached: .*ECONNREFUSED/);
  });
}

module.exports = { suite };
