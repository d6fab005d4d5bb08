"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.takeStandardOutput = takeStandardOutput;
/**
 * Give standard output to the protocol alone: what a strategy prints goes to standard error, so that
 * it cannot be taken for a message.
 */
function takeStandardOutput() {
    const write = process.stdout.write.bind(process.stdout);
    // When nobody reads any more there is nobody to tell, either.
    for (const stream of [process.stdout, process.stderr])
        stream.on("error", () => undefined);
    process.stdout.write = process.stderr.write.bind(process.stderr);
    return {
        line: (text) => void write(`${text}\n`),
        log: (text) => void process.stderr.write(`${text}\n`),
    };
}
