"use strict";
/**
 * JSON lines over standard input and output. Every line in has exactly one line out, in order:
 * SIGNAL, ACK or ERROR (SHUTDOWN_COMPLETE for SHUTDOWN). An `id` in a line comes back with its answer.
 */
Object.defineProperty(exports, "__esModule", { value: true });
exports.runStdio = runStdio;
exports.answerLine = answerLine;
const messages_1 = require("../../wire/src/messages");
const lines_1 = require("./lines");
async function runStdio(host, { output, stop }) {
    const say = (answer) => output.line(JSON.stringify(answer));
    const { failure } = await host.whenReady();
    if (failure)
        say({ type: "ERROR", ...failure });
    say({
        type: "READY",
        strategy: host.name,
        hasProcessMarketData: host.hasProcessMarketData,
        hasAnalyze: host.hasAnalyze,
        pid: process.pid,
    });
    for await (const line of standardInput(stop)) {
        const answer = await answerLine(host, line);
        say(answer);
        if (answer.type === "SHUTDOWN_COMPLETE")
            return;
    }
    // The other side is gone; there is nobody left to tell.
    await host.shutdown();
}
/** The lines of standard input until it ends or the runner is stopped. */
async function* standardInput(stop) {
    const reader = new lines_1.LineReader(messages_1.MESSAGE_BYTES_MAX);
    const end = () => process.stdin.destroy();
    stop.addEventListener("abort", end, { once: true });
    try {
        for await (const chunk of process.stdin)
            yield* reader.push(chunk);
    }
    catch (error) {
        if (!stop.aborted)
            throw error;
    }
}
/** The answer to one line; null stands for a line that was too long to keep. */
async function answerLine(host, line) {
    let id;
    try {
        if (line === null)
            throw new messages_1.MessageError(`line of more than ${messages_1.MESSAGE_BYTES_MAX} bytes`);
        const message = (0, messages_1.decode)(line);
        id = message["id"];
        return withId(id, await act(host, (0, messages_1.asText)(message["type"], "type"), message["data"]));
    }
    catch (error) {
        if (!(error instanceof messages_1.MessageError))
            throw error;
        host.statistics.malformed += 1;
        return withId(id, { type: "ERROR", error: error.message, context: { phase: "read" } });
    }
}
async function act(host, type, data) {
    switch (type) {
        case "MARKET_DATA":
            return outcomeAnswer(await host.feed((0, messages_1.readMarketData)((0, messages_1.asObject)(data, "data"), host.symbol)), type);
        case "HISTORICAL_DATA":
            return outcomeAnswer(await host.initialise((0, messages_1.readHistory)(data)), type);
        case "POSITION_UPDATE":
            host.updatePositions((0, messages_1.readPositions)(data, host.symbol));
            return { type: "ACK", of: type, ready: host.ready };
        case "SHUTDOWN":
            await host.shutdown();
            return { type: "SHUTDOWN_COMPLETE", statistics: host.statistics };
        default:
            throw new messages_1.MessageError(`unknown type ${type}; send MARKET_DATA, POSITION_UPDATE, HISTORICAL_DATA or SHUTDOWN`);
    }
}
function outcomeAnswer({ ready, signal, failure }, type) {
    if (failure)
        return { type: "ERROR", ...failure };
    if (!signal)
        return { type: "ACK", of: type, ready };
    return { type: "SIGNAL", data: signal, ready, timestamp: signal.timestamp ?? null };
}
function withId(id, answer) {
    return id === undefined ? answer : { ...answer, id };
}
