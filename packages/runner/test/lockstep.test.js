"use strict";

// The runner against a run played by hand, as docs/channels.md has it.

const assert = require("node:assert/strict");
const { createServer } = require("node:net");
const path = require("node:path");
const { test } = require("node:test");

const { Connection } = require("@openbell/runner/src/resp.js");
const { Child, startRedis, until } = require("../../testing/support.js");

const CLI = require.resolve("@openbell/runner/src/cli.js");
const RECORDER = path.join(__dirname, "strategies/recorder.js");
const SLICES = "openbell:r:slices";
const ANSWERS = "openbell:r:answers";

const slice = (price) => ({ symbol: "NQ", price, volume: 1, timestamp: 60_000 * price });

/** The run's side, step by step. */
class Run {
  constructor(redis) {
    this.redis = redis;
    this.seen = "0-0";
  }

  async ask(...command) {
    const [reply] = await this.redis.exchange([command.map(String)]);
    if (reply instanceof Error) throw reply;
    return reply;
  }

  /** The next entry of the answers, as an object. */
  async heard() {
    for (;;) {
      const found = await this.ask("XREAD", "COUNT", 1, "BLOCK", 10_000, "STREAMS", ANSWERS, this.seen);
      assert.ok(found, "the runner said nothing");
      const [id, fields] = found[0][1][0];
      this.seen = id;
      const entry = {};
      for (let at = 0; at < fields.length; at += 2) entry[fields[at]] = fields[at + 1];
      return entry;
    }
  }

  async welcome() {
    const { hello } = await this.heard();
    assert.ok(hello);
    await this.ask("DEL", SLICES);
    await this.ask("XGROUP", "CREATE", SLICES, hello, "0", "MKSTREAM");
    return hello;
  }

  async say(seq, kind, data) {
    const words = ["seq", seq, "time_ns", `${seq}000000000`, "kind", kind, "data", JSON.stringify(data)];
    await this.ask("XADD", SLICES, `${seq}-0`, ...words);
  }

  /** What is answered to a message. */
  async told(seq, kind, data) {
    await this.say(seq, kind, data);
    const answer = await this.heard();
    assert.equal(answer.seq, String(seq));
    return JSON.parse(answer.data);
  }
}

/** A runner and a run at a Redis of their own. */
async function together(act) {
  const server = await startRedis();
  const redis = await Connection.open(`redis://127.0.0.1:${server.port}`);
  const env = { OPENBELL_REDIS_URL: `redis://127.0.0.1:${server.port}`, OPENBELL_RUN: "r" };
  const words = [process.execPath, CLI, RECORDER, JSON.stringify({ symbol: "NQ", historicalBarsBack: 3 })];
  const child = new Child([...words, "--protocol", "lockstep", "--virtual-time", "2020-01-01T00:00:00Z"], env);
  try {
    await act(new Run(redis), child, server);
  } finally {
    await child.stop("SIGKILL");
    redis.close();
    await server.stop();
  }
}

test("a run from hello to end", async () => {
  await together(async (run, child) => {
    await run.welcome();
    const [first] = await run.told(1, "init", {});
    assert.equal(first.barsWanted, 3);
    assert.equal(first.ready, false);
    const bars = [1, 2, 3].map((c) => ({ t: "2020-01-01T00:00:00Z", o: c, h: c, l: c, c, v: 1 }));
    assert.equal((await run.told(2, "history", { bars }))[0].ready, true);
    assert.deepEqual(await run.told(3, "session", { event: "open", label: "2020-01-01" }), [null]);
    const both = [[4, 4e9, "slice", slice(1)], [5, 5e9, "slice", slice(2)]];
    assert.equal((await run.told(5, "batch", both)).length, 2);
    await run.told(6, "end", {});
    assert.equal(await child.ended, 0);
  });
});

test("an entry is acknowledged with its answer, and delivered to nobody else", async () => {
  await together(async (run) => {
    const runner = await run.welcome();
    await run.told(1, "init", {});
    assert.equal((await run.ask("XPENDING", SLICES, runner))[0], 0);
  });
});

test("after its connection was cut it goes on where it was", async () => {
  await together(async (run) => {
    await run.welcome();
    await run.told(1, "init", {});
    for (let seq = 2; seq < 40; seq += 1) {
      await run.say(seq, "slice", slice(seq));
      await run.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
      assert.equal((await run.heard()).seq, String(seq));
    }
    assert.equal(await run.ask("XLEN", ANSWERS), 40);
  });
});

test("it ends with code 75 when Redis lost its group, or a message is missing", async () => {
  await together(async (run, child) => {
    await run.welcome();
    await run.told(1, "init", {});
    await run.ask("FLUSHALL");
    assert.equal(await child.ended, 75);
  });
  await together(async (run, child) => {
    await run.welcome();
    await run.told(1, "init", {});
    await run.say(3, "slice", slice(3));
    assert.equal(await child.ended, 75);
  });
});

test("it says hello again, under a new name, while nobody makes a group", async () => {
  await together(async (run) => {
    const first = await run.heard();
    const second = await run.heard();
    assert.notEqual(first.hello, second.hello);
  });
});

test("a full Redis is waited for", async () => {
  await together(async (run) => {
    await run.welcome();
    await run.told(1, "init", {});
    await run.say(2, "slice", slice(2));
    await run.heard();
    await run.say(3, "slice", slice(3));
    await run.ask("CONFIG", "SET", "maxmemory", "1");
    await run.ask("CONFIG", "SET", "maxmemory", "0");
    assert.equal((await run.heard()).seq, "3");
  });
});

test("without Redis it keeps trying, and ends when it is asked to", async () => {
  let tries = 0;
  const nobody = createServer((socket) => {
    tries += 1;
    socket.on("error", () => undefined).destroy();
  }).unref();
  await new Promise((resolve) => nobody.listen(0, "127.0.0.1", resolve));
  const env = { OPENBELL_REDIS_URL: `redis://127.0.0.1:${nobody.address().port}`, OPENBELL_RUN: "r" };
  const child = new Child([process.execPath, CLI, RECORDER, "{}", "--protocol", "lockstep"], env);
  await until(() => tries > 5);
  assert.equal(child.process.exitCode, null);
  assert.equal(await child.stop(), 0);
});

test("it says what it lacks", async () => {
  const child = new Child([process.execPath, CLI, RECORDER, "{}", "--protocol", "lockstep"]);
  assert.equal(await child.ended, 1);
  assert.match(child.err, /OPENBELL_REDIS_URL/);
});

