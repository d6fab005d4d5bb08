/**
 * JSON lines over standard input and output. Every line in has exactly one line out, in order:
 * SIGNAL, ACK or ERROR (SHUTDOWN_COMPLETE for SHUTDOWN). An `id` in a line comes back with its answer.
 */

import { MESSAGE_BYTES_MAX, MessageError, asObject, asText, decode, readHistory, readMarketData, readPositions } from "../../wire/src/messages";
import type { Outcome, StrategyHost } from "./host";
import { LineReader } from "./lines";
import type { Settings } from "./protocol";

type Answer = Record<string, unknown> & { type: string };

export async function runStdio(host: StrategyHost, { output, stop }: Settings): Promise<void> {
  const say = (answer: Answer) => output.line(JSON.stringify(answer));
  const { failure } = await host.whenReady();
  if (failure) say({ type: "ERROR", ...failure });
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
    if (answer.type === "SHUTDOWN_COMPLETE") return;
  }
  // The other side is gone; there is nobody left to tell.
  await host.shutdown();
}

/** The lines of standard input until it ends or the runner is stopped. */
async function* standardInput(stop: AbortSignal): AsyncGenerator<string | null> {
  const reader = new LineReader(MESSAGE_BYTES_MAX);
  const end = () => process.stdin.destroy();
  stop.addEventListener("abort", end, { once: true });
  try {
    for await (const chunk of process.stdin) yield* reader.push(chunk as Buffer);
  } catch (error) {
    if (!stop.aborted) throw error;
  }
}

/** The answer to one line; null stands for a line that was too long to keep. */
export async function answerLine(host: StrategyHost, line: string | null): Promise<Answer> {
  let id: unknown;
  try {
    if (line === null) throw new MessageError(`line of more than ${MESSAGE_BYTES_MAX} bytes`);
    const message = decode(line);
    id = message["id"];
    return withId(id, await act(host, asText(message["type"], "type"), message["data"]));
  } catch (error) {
    if (!(error instanceof MessageError)) throw error;
    host.statistics.malformed += 1;
    return withId(id, { type: "ERROR", error: error.message, context: { phase: "read" } });
  }
}

async function act(host: StrategyHost, type: string, data: unknown): Promise<Answer> {
  switch (type) {
    case "MARKET_DATA":
      return outcomeAnswer(await host.feed(readMarketData(asObject(data, "data"), host.symbol)), type);
    case "HISTORICAL_DATA":
      return outcomeAnswer(await host.initialise(readHistory(data)), type);
    case "POSITION_UPDATE":
      host.updatePositions(readPositions(data, host.symbol));
      return { type: "ACK", of: type, ready: host.ready };
    case "SHUTDOWN":
      await host.shutdown();
      return { type: "SHUTDOWN_COMPLETE", statistics: host.statistics };
    default:
      throw new MessageError(
        `unknown type ${type}; send MARKET_DATA, POSITION_UPDATE, HISTORICAL_DATA or SHUTDOWN`,
      );
  }
}

function outcomeAnswer({ ready, signal, failure }: Outcome, type: string): Answer {
  if (failure) return { type: "ERROR", ...failure };
  if (!signal) return { type: "ACK", of: type, ready };
  return { type: "SIGNAL", data: signal, ready, timestamp: signal.timestamp ?? null };
}

function withId(id: unknown, answer: Answer): Answer {
  return id === undefined ? answer : { ...answer, id };
}
