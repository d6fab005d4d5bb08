#!/usr/bin/env node
/** The command: `cli.js <strategy file> [config as JSON] [--protocol stdio|redis|lockstep] …`. */

import { parseArgs } from "node:util";

import { asTime, decode } from "../../wire/src/messages";
import { StrategyHost, failureOf } from "./host";
import { takeStandardOutput } from "./protocol";
import type { Output, Protocol } from "./protocol";
import { runStdio } from "./stdio";
import { installVirtualTime } from "./virtual-time";

/** How a runner can be spoken to, by the name of the flag. */
const PROTOCOLS: Record<string, Protocol> = { stdio: runStdio };

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
} as const;

async function main(output: Output): Promise<void> {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const [strategyPath, configText = "{}"] = positionals;
  const protocol = PROTOCOLS[values.protocol ?? ""];
  if (!strategyPath || !protocol) throw new Error(USAGE);
  const since = values["virtual-time"];
  const time = since === undefined ? null : installVirtualTime(asTime(since, "virtual-time"), Number(values.seed));
  const host = await StrategyHost.load(strategyPath, decode(configText), time);
  const stop = stopSignal(values["with-parent"] ?? false);
  await protocol(host, { strategyPath, output, stop });
}

/** Aborted by SIGTERM or SIGINT, and when standard input ends if the parent is to be outlived never. */
function stopSignal(withParent: boolean): AbortSignal {
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());
  if (withParent) process.stdin.once("end", () => stop.abort()).resume();
  return stop.signal;
}

const output = takeStandardOutput();

// A promise that a strategy forgot ends nothing, but is told.
process.on("unhandledRejection", (reason) => {
  output.log(JSON.stringify({ type: "ERROR", ...failureOf(reason, { phase: "background" }) }));
});

main(output).then(
  () => process.exit(0),
  (error: unknown) => {
    output.line(JSON.stringify({ type: "ERROR", fatal: true, ...failureOf(error, { phase: "start" }) }));
    output.log(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
    // What is written is written before the process ends.
    process.stdout.end(() => process.exit(1));
  },
);
