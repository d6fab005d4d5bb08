/**
 * One connection to Redis, as little as lock-step needs: commands written at once, replies in order.
 * It depends on nothing, so that a strategy can be run without any package beside it.
 */
/** What Redis replies; a refusal is a value, so that the other replies are not lost. */
export type Reply = string | number | null | Refusal | Reply[];
/** An error reply. */
export declare class Refusal extends Error {
}
export declare class Connection {
    private readonly socket;
    private rest;
    private replies;
    private awaited;
    private settle;
    private fail;
    private cut;
    private constructor();
    /** Connect to `redis://user:password@host:port/database`, or `rediss://` for TLS. */
    static open(url: string): Promise<Connection>;
    /** The replies to some commands, written at once. Rejects if the connection is cut. */
    exchange(commands: string[][]): Promise<Reply[]>;
    close(): void;
    private take;
    private break;
}
