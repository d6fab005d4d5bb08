"use strict";

// What the tests over Redis stand on: a server, an ear on the channels, and a folder of strategies in
// which `redis` is the major asked for.

const path = require("node:path");
const { after, before } = require("node:test");

const { Child, ENVIRONMENT, EXAMPLES, command, folderWith, listen, startRedis } = require("../../testing/support.js");

const RECORDER = path.join(__dirname, "strategies/recorder.js");
const FILES = [RECORDER, path.join(EXAMPLES, "ema-strategy.js"), path.join(EXAMPLES, "self-bootstrap-strategy.js")];
const READY = "aggregator:strategy-ready";
const SIGNAL = "aggregator:signal:b1";
const ERROR = "aggregator:strategy-error:b1";
const MARKET = "aggregator:market-data:b1";
const REQUEST = "aggregator:historical-data:request";
const market = (price) => ({ symbol: "NQ", price, volume: 1, timestamp: "2023-06-01T09:31:00.000Z" });

/** Set up before the tests of a file, and take down after them. */
function stage(major) {
  const here = { children: [] };

  before(async () => {
    here.redis = await startRedis();
    here.ear = await listen(here.redis.port, [READY, SIGNAL, ERROR, REQUEST], major);
    here.folder = folderWith(major, ...FILES);
  });

  after(async () => {
    await Promise.all(here.children.map((child) => child.stop("SIGKILL")));
    await here.ear.close();
    await here.redis.stop();
    here.folder.remove();
    // What a failed test left open does not keep its failure from being told.
    setTimeout(() => process.exit(), 1000).unref();
  });

  /** Start a runner for a strategy of the folder and forget what was heard before. */
  here.run = (strategy, config = {}, port = here.redis.port) => {
    here.ear.heard.length = 0;
    const full = { botId: "b1", symbol: "NQ", redisPort: port, ...config };
    const words = command("runner", here.folder.file(strategy), JSON.stringify(full), "--protocol", "redis", "--with-parent");
    const child = new Child(words, ENVIRONMENT, "pipe");
    here.children.push(child);
    return child;
  };
  return here;
}

module.exports = { ERROR, MARKET, READY, RECORDER, REQUEST, SIGNAL, market, stage };
