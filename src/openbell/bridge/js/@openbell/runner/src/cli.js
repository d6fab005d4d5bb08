#!/usr/bin/env node
"use strict";
/** The command: `cli.js <strategy file> [config as JSON] [--protocol stdio|redis|lockstep] …`. */
Object.defineProperty(exports, "__esModule", { value: true });
const node_util_1 = require("node:util");
const messages_1 = require("../../wire/src/messages");
const process_1 = require("../../wire/src/process");
const host_1 = require("./host");
const lockstep_1 = require("./lockstep");
const protocol_1 = require("./protocol");
const redis_1 = require("./redis");
const stdio_1 = require("./stdio");
const virtual_time_1 = require("./virtual-time");
/** How a runner can be spoken to, by the name of the flag. */
const PROTOCOLS = { stdio: stdio_1.runStdio, redis: redis_1.runRedis, lockstep: lockstep_1.runLockstep };
const USAGE = `usage: cli.js <strategy file> [config as JSON] [options]
  --protocol NAME     ${Object.keys(PROTOCOLS).join(", ")} (default stdio)
  --virtual-time ISO  give the strategy the time of what it is fed, from this moment on
  --seed N            seed of Math.random with --virtual-time (default 1)
  --with-parent       end when standard input ends (with stdio always)`;
const OPTIONS = {
    "protocol": { type: "string", default: "stdio" },
    "virtual-time": { type: "string" },
    "seed": { type: "string", default: "1" },
    "with-parent": { type: "boolean", default: false },
};
async function main(output) {
    const { values, positionals } = (0, node_util_1.parseArgs)({ options: OPTIONS, allowPositionals: true });
    const [strategyPath, configText = "{}"] = positionals;
    const protocol = PROTOCOLS[values.protocol ?? ""];
    if (!strategyPath || !protocol)
        throw new Error(USAGE);
    const since = values["virtual-time"];
    const time = virtualTime(since, Number(values.seed));
    const config = { ...(since ? { simulationDate: since } : {}), ...withRedis((0, messages_1.decode)(configText)) };
    const host = await host_1.StrategyHost.load(strategyPath, config, time);
    // With stdio the protocol itself reads standard input, and ends with it.
    const stop = (0, process_1.stopSignal)(values["with-parent"] === true && values.protocol !== "stdio");
    await protocol(host, { strategyPath, output, stop });
}
function virtualTime(since, seed) {
    if (!Number.isSafeInteger(seed))
        throw new Error("--seed is no whole number");
    return since === undefined ? null : (0, virtual_time_1.installVirtualTime)((0, messages_1.asTime)(since, "--virtual-time"), seed);
}
/** The configuration with the server of OPENBELL_REDIS_URL: strategies look for it there. */
function withRedis(config) {
    const text = process.env["OPENBELL_REDIS_URL"];
    if (!text)
        return config;
    const { hostname, port } = new URL(text);
    return { ...config, redisUrl: text, redisHost: hostname, redisPort: Number(port || 6379) };
}
const output = (0, protocol_1.takeStandardOutput)();
// What a strategy throws in a timer, or in a promise it forgot, ends nothing, but is told.
process.on("unhandledRejection", tellBackground);
process.on("uncaughtException", tellBackground);
function tellBackground(reason) {
    output.log(JSON.stringify({ type: "ERROR", ...(0, host_1.failureOf)(reason, { phase: "background" }) }));
}
main(output).then(() => process.exit(0), (error) => {
    output.line(JSON.stringify({ type: "ERROR", fatal: true, ...(0, host_1.failureOf)(error, { phase: "start" }) }));
    output.log(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
    // What is written is written before the process ends.
    process.stdout.end(() => process.exit(1));
});
