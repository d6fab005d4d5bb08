#!/usr/bin/env node
"use strict";
/** The command: `cli.js [config as JSON] [--with-parent]`. */
Object.defineProperty(exports, "__esModule", { value: true });
const node_util_1 = require("node:util");
const messages_1 = require("../../wire/src/messages");
const process_1 = require("../../wire/src/process");
const bot_1 = require("./bot");
const OPTIONS = { "with-parent": { type: "boolean", default: false } };
async function main() {
    const { values, positionals } = (0, node_util_1.parseArgs)({ options: OPTIONS, allowPositionals: true });
    const config = (0, messages_1.decode)(positionals[0] ?? "{}");
    const stop = (0, process_1.aborted)((0, process_1.stopSignal)(values["with-parent"] ?? false));
    const ready = () => void process.stdout.write("ready: true\n");
    await (0, bot_1.runBot)(config, stop, ready, (text) => void process.stderr.write(`${text}\n`));
}
main().then(() => process.exit(0), (error) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`, () => process.exit(1));
});
