/** Redis through npm's `redis`, any major from 4 on, reduced to what is used here. */
import type { Config } from "../../sdk/src/types";
/** What `redis` 4, 5 and 6 have in common and we need. */
export interface RedisClient {
    readonly isOpen: boolean;
    readonly isReady: boolean;
    connect(): Promise<unknown>;
    duplicate(): RedisClient;
    on(event: "error", listener: (error: Error) => void): unknown;
    on(event: "ready" | "reconnecting" | "end", listener: () => void): unknown;
    subscribe(channels: string[], listener: (message: string, channel: string) => void): Promise<unknown>;
    publish(channel: string, message: string): Promise<number>;
    set(key: string, value: string): Promise<unknown>;
    sendCommand(words: string[]): Promise<unknown>;
    close?(): Promise<void>;
    quit?(): Promise<unknown>;
}
/** Called for each trouble with the connection; `lost` when nobody tries to mend it any more. */
export type OnTrouble = (error: Error, lost: boolean) => void;
/**
 * Connect to the Redis of a configuration: `redisUrl`, or `redisHost` (127.0.0.1), `redisPort` (6379),
 * `redisUsername`, `redisPassword`. A URL in the environment as OPENBELL_REDIS_URL comes first, so
 * that no password has to stand in a command line.
 *
 * @param beside a file; the `redis` module of its folder is used if there is one.
 */
export declare function connectRedis(config: Config, beside: string, trouble: OnTrouble): Promise<RedisClient>;
/** A second connection to the same server, for subscriptions or blocking reads. */
export declare function duplicateRedis(client: RedisClient, trouble: OnTrouble): Promise<RedisClient>;
/** How many heard a message: nobody if the connection breaks meanwhile. Raises what Redis refuses. */
export declare function publishRedis(client: RedisClient, channel: string, text: string, trouble: OnTrouble): Promise<number>;
/** End a connection after what was sent is answered; one that breaks meanwhile has ended, too. */
export declare function closeRedis(client: RedisClient): Promise<void>;
