/**
 * Lock-step: a strategy answers a run message by message, over two Redis Streams.
 *
 * The protocol stands in docs/channels.md, section Lock-step. A runner knows nothing of what was
 * before it: when Redis lost its group, or a message is missing, its process ends with code 75, and
 * a new one says hello and is told everything from the first message on.
 */
import type { Signal } from "../../sdk/src/types";
import type { Failure, StrategyHost } from "./host";
import type { Protocol } from "./protocol";
/** The end of a process that has to begin anew (EX_TEMPFAIL). */
export declare const BEGIN_ANEW = 75;
/** What is said to one message; null stands for nothing. */
export interface Answer {
    signals?: Signal[];
    ready?: boolean;
    error?: Failure;
    strategy?: string;
    barsWanted?: number;
}
type Message = [seq: number, timeNs: number, kind: string, data: unknown];
/** Answers a run's messages with what the strategy says, one by one. */
export declare class Responder {
    private readonly host;
    private wasReady;
    constructor(host: StrategyHost);
    answer([, , kind, data]: Message): Promise<Answer | null>;
    private introduce;
    /** An outcome as an answer; null if it is no news. */
    private told;
}
/**
 * Serve one run to its end. The environment names it: `OPENBELL_REDIS_URL`, which may hold user and
 * password, and `OPENBELL_RUN`. A process that has to begin anew ends here, with its code.
 */
export declare const runLockstep: Protocol;
export {};
