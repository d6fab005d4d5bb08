"use strict";

// What the tests of the packages share: a Redis of their own, child processes, both majors of `redis`.

const { spawn } = require("node:child_process");
const { mkdtempSync, mkdirSync, symlinkSync, cpSync, rmSync } = require("node:fs");
const { connect, createServer } = require("node:net");
const { tmpdir } = require("node:os");
const path = require("node:path");

const PACKAGES = path.join(__dirname, "..");
const EXAMPLES = path.join(PACKAGES, "../examples/node");
const BUILT = path.dirname(path.dirname(require.resolve("@openbell/runner/package.json")));

/** A port that is free now. */
function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** A process whose lines of output can be waited for. */
class Child {
  constructor(words, env = {}, input = "ignore") {
    this.out = "";
    this.err = "";
    this.process = spawn(words[0], words.slice(1), { env, stdio: [input, "pipe", "pipe"] });
    this.process.stdout.on("data", (data) => (this.out += data));
    this.process.stderr.on("data", (data) => (this.err += data));
    this.ended = new Promise((resolve, reject) => {
      this.process.once("error", reject);
      this.process.once("close", (code, signal) => resolve(code ?? signal));
    });
  }

  /** Wait until a text stands in the output; raises with all of it if the process ends before. */
  async says(text, stream = "out") {
    let isOver = false;
    this.ended.then(() => (isOver = true));
    await until(() => this[stream].includes(text) || isOver);
    if (!this[stream].includes(text)) throw new Error(`ended without "${text}": ${this.out}${this.err}`);
  }

  stop(signal = "SIGTERM") {
    this.process.kill(signal);
    return this.ended;
  }
}

/** Wait for a condition, with a limit. */
async function until(condition, limitMs = 20_000) {
  const start = performance.now();
  while (!condition()) {
    if (performance.now() - start > limitMs) throw new Error(`waited ${limitMs} ms in vain: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A private redis-server with these further settings; ended by `stop()`. */
async function startRedis(port = undefined, ...settings) {
  const chosen = port ?? (await freePort());
  const words = ["redis-server", "--port", String(chosen), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", ...settings];
  const child = new Child(words, { PATH: process.env.PATH });
  await child.says("Ready to accept connections");
  return { port: chosen, stop: (signal) => child.stop(signal), signal: (name) => child.process.kill(name) };
}

/** A way to a Redis that cuts a connection whenever `cutAt` is said on it; `cuts` counts. */
async function startRelay(port) {
  const relay = { port: await freePort(), cutAt: null, cuts: 0, close: () => server.close() };
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    const cut = () => [near, far].forEach((socket) => socket.resetAndDestroy());
    for (const socket of [near, far]) socket.on("error", cut).on("close", cut);
    far.on("data", (data) => near.write(data));
    near.on("data", (data) => {
      if (!relay.cutAt || !data.includes(relay.cutAt)) return far.write(data);
      relay.cuts += 1;
      return cut();
    });
  });
  await new Promise((resolve) => server.listen(relay.port, "127.0.0.1", resolve));
  return relay;
}

/** A client of the test's own that writes down what it hears. */
async function listen(port, channels, major = "redis") {
  const { createClient } = require(major);
  const client = createClient({ socket: { host: "127.0.0.1", port } });
  const subscriber = client.duplicate();
  for (const each of [client, subscriber]) each.on("error", () => undefined);
  await Promise.all([client.connect(), subscriber.connect()]);
  const heard = [];
  await subscriber.subscribe(channels, (text, channel) => heard.push({ channel, message: JSON.parse(text) }));
  return {
    client,
    heard,
    on: (channel) => heard.filter((each) => each.channel === channel).map((each) => each.message),
    say: (channel, message) =>
      client.publish(channel, typeof message === "string" ? message : JSON.stringify(message)),
    close: () => Promise.all([client.disconnect(), subscriber.disconnect()]),
  };
}

/** Answers every history request with these bars, in order, and counts them. */
async function serveHistory(port, bars) {
  const listener = await listen(port, []);
  const subscriber = listener.client.duplicate();
  await subscriber.connect();
  const asked = [];
  await subscriber.subscribe("aggregator:historical-data:request", async (text) => {
    const request = JSON.parse(text);
    asked.push(request);
    const answer = { requestId: request.requestId, success: true, data: { bars: bars.slice(-request.barsBack) } };
    await listener.say("aggregator:historical-data:response", answer);
  });
  return { asked, close: () => Promise.all([listener.close(), subscriber.disconnect()]) };
}

/** A folder with files copied into it, in which `require("redis")` gives the major asked for. */
function folderWith(major, ...files) {
  const folder = mkdtempSync(path.join(tmpdir(), "openbell-node-"));
  mkdirSync(path.join(folder, "node_modules"));
  symlinkSync(path.join(PACKAGES, "node_modules", major), path.join(folder, "node_modules/redis"));
  for (const file of files) cpSync(file, path.join(folder, path.basename(file)));
  return { folder, file: (name) => path.join(folder, name), remove: () => rmSync(folder, { recursive: true }) };
}

/** The runner's or the bot's command as words, and its environment. */
function command(name, ...words) {
  return [process.execPath, path.join(BUILT, name, "src/cli.js"), ...words];
}

const ENVIRONMENT = { NODE_PATH: process.env.NODE_PATH };

/** `n` one-minute bars around a slow wave with a trend: the page's end-to-end series. */
function waveBars(n, startMs = Date.UTC(2023, 5, 1, 8, 0)) {
  return Array.from({ length: n }, (_, i) => {
    const close = 15_000 + 0.3 * i + 2.6 * Math.sin(0.9 * i);
    const t = new Date(startMs + i * 60_000).toISOString();
    return { t, o: close - 0.25, h: close + 0.5, l: close - 0.5, c: close, v: 800 + i };
  });
}

module.exports = {
  BUILT, Child, ENVIRONMENT, EXAMPLES, command, folderWith, freePort, listen, serveHistory,
  startRedis, startRelay, until, waveBars,
};
