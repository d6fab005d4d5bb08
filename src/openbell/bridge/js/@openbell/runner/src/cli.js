#!/usr/bin/env node
"use strict";
/** The command: `cli.js <strategy file> [config as JSON] [--protocol stdio|redis|lockstep] …`. */
Object.defineProperty(exports, "__esModule", { value: true });
const node_util_1 = require("node:util");
const messages_1 = require("../../wire/src/messages");
const host_1 = require("./host");
const protocol_1 = require("./protocol");
const stdio_1 = require("./stdio");
const virtual_time_1 = require("./virtual-time");
/** How a runner can be spoken to, by the name of the flag. */
const PROTOCOLS = { stdio: stdio_1.runStdio };
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
    const time = since === undefined ? null : (0, virtual_time_1.installVirtualTime)((0, messages_1.asTime)(since, "virtual-time"), Number(values.seed));
    const host = await host_1.StrategyHost.load(strategyPath, (0, messages_1.decode)(configText), time);
    const stop = stopSignal(values["with-parent"] ?? false);
    await protocol(host, { strategyPath, output, stop });
}
/** Aborted by SIGTERM or SIGINT, and when standard input ends if the parent is to be outlived never. */
function stopSignal(withParent) {
    const stop = new AbortController();
    for (const signal of ["SIGTERM", "SIGINT"])
        process.once(signal, () => stop.abort());
    if (withParent)
        process.stdin.once("end", () => stop.abort()).resume();
    return stop.signal;
}
const output = (0, protocol_1.takeStandardOutput)();
// A promise that a strategy forgot ends nothing, but is told.
process.on("unhandledRejection", (reason) => {
    output.log(JSON.stringify({ type: "ERROR", ...(0, host_1.failureOf)(reason, { phase: "background" }) }));
});
main(output).then(() => process.exit(0), (error) => {
    output.line(JSON.stringify({ type: "ERROR", fatal: true, ...(0, host_1.failureOf)(error, { phase: "start" }) }));
    output.log(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
    // What is written is written before the process ends.
    process.stdout.end(() => process.exit(1));
});
