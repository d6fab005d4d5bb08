#!/usr/bin/env node
/** The command: `cli.js <strategy file> [config as JSON] [--protocol stdio|redis|lockstep] …`. */

import { parseArgs } from "node:util";

import type { Config } from "../../sdk/src/types";
import { asTime, decode } from "../../wire/src/messages";
import { stopSignal } from "../../wire/src/process";
import { StrategyHost, failureOf } from "./host";
import { runLockstep } from "./lockstep";
import { takeStandardOutput } from "./protocol";
import type { Output, Protocol } from "./protocol";
import { runRedis } from "./redis";
import { runStdio } from "./stdio";
import { installVirtualTime } from "./virtual-time";
import type { VirtualTime } from "./virtual-time";

/** How a runner can be spoken to, by the name of the flag. */
const PROTOCOLS: Record<string, Protocol> = { stdio: runStdio, redis: runRedis, lockstep: runLockstep };

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
  const time = virtualTime(since, Number(values.seed));
  const config = { ...(since ? { simulationDate: since } : {}), ...withRedis(decode(configText)) };
  const host = await StrategyHost.load(strategyPath, config, time);
  // With stdio the protocol itself reads standard input, and ends with it.
  const stop = stopSignal(values["with-parent"] === true && values.protocol !== "stdio");
  await protocol(host, { strategyPath, output, stop });
}

function virtualTime(since: string | undefined, seed: number): VirtualTime | null {
  if (!Number.isSafeInteger(seed)) throw new Error("--seed is no whole number");
  return since === undefined ? null : installVirtualTime(asTime(since, "--virtual-time"), seed);
}

/** The configuration with the server of OPENBELL_REDIS_URL: strategies look for it there. */
function withRedis(config: Config): Config {
  const text = process.env["OPENBELL_REDIS_URL"];
  if (!text) return config;
  const { hostname, port } = new URL(text);
  return { ...config, redisUrl: text, redisHost: hostname, redisPort: Number(port || 6379) };
}

const output = takeStandardOutput();

// What a strategy throws in a timer, or in a promise it forgot, ends nothing, but is told.
process.on("unhandledRejection", tellBackground);
process.on("uncaughtException", tellBackground);

function tellBackground(reason: unknown): void {
  output.log(JSON.stringify({ type: "ERROR", ...failureOf(reason, { phase: "background" }) }));
}

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
