#!/usr/bin/env node
/** The command: `cli.js [config as JSON] [--with-parent]`. */

import { parseArgs } from "node:util";

import { decode } from "../../wire/src/messages";
import { aborted, stopSignal } from "../../wire/src/process";
import { runBot } from "./bot";

const OPTIONS = { "with-parent": { type: "boolean", default: false } } as const;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const config = decode(positionals[0] ?? "{}");
  const stop = aborted(stopSignal(values["with-parent"] ?? false));
  const ready = () => void process.stdout.write("ready: true\n");
  await runBot(config, stop, ready, (text) => void process.stderr.write(`${text}\n`));
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`, () => process.exit(1));
  },
);
