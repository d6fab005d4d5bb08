/**
 * Lock-step: a strategy answers a run message by message, over two Redis Streams.
 *
 * The protocol stands in docs/channels.md, section Lock-step. A runner knows nothing of what was
 * before it: when Redis lost its group, or a message is missing, its process ends with code 75, and
 * a new one says hello and is told everything from the first message on.
 */
import type { Signal } from "../../sdk/src/types";
import { type Failure } from "./host";
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
/** Answers a strategy's messages, one by one. */
export declare class Responder {
    private readonly path;
    private host;
    private time;
    private wasReady;
    constructor(path: string);
    answer([, timeNs, kind, data]: Message): Promise<Answer | null>;
    private begin;
    /** An outcome as an answer: only what is news. */
    private told;
}
/** Why a runner ends: the run is over, or it has to begin anew. */
export type End = "done" | "begin anew";
/**
 * Serve one run to its end.
 *
 * @param url  of the Redis server; may hold user and password.
 * @param run  names the run's streams.
 * @param path of the strategy's file.
 */
export declare function serve(url: string, run: string, path: string): Promise<End>;
export {};
