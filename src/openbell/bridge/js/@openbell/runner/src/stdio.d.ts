/**
 * JSON lines over standard input and output. Every line in has exactly one line out, in order:
 * SIGNAL, ACK or ERROR (SHUTDOWN_COMPLETE for SHUTDOWN). An `id` in a line comes back with its answer.
 */
import type { StrategyHost } from "./host";
import type { Settings } from "./protocol";
type Answer = Record<string, unknown> & {
    type: string;
};
export declare function runStdio(host: StrategyHost, { output, stop }: Settings): Promise<void>;
/** The answer to one line; null stands for a line that was too long to keep. */
export declare function answerLine(host: StrategyHost, line: string | null): Promise<Answer>;
export {};
