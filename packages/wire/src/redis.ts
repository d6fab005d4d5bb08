/** Redis through npm's `redis`, any major from 4 on, reduced to what is used here. */

import { createRequire } from "node:module";
import { resolve } from "node:path";

import type { Config } from "../../sdk/src/types";
import { textOf, wholeOf } from "./messages";

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

interface RedisModule {
  createClient(options: Record<string, unknown>): RedisClient;
}

/** Called for each trouble with the connection; `lost` when nobody tries to mend it any more. */
export type OnTrouble = (error: Error, lost: boolean) => void;

/** Tries before a connection is given up that never was (3 s), and one that was (half a minute). */
const FIRST_TRIES_MAX = 7;
const TRIES_MAX = 35;

/**
 * Connect to the Redis of a configuration: `redisUrl`, or `redisHost` (127.0.0.1), `redisPort` (6379),
 * `redisUsername`, `redisPassword`. A URL in the environment as OPENBELL_REDIS_URL comes first, so
 * that no password has to stand in a command line.
 *
 * @param beside a file; the `redis` module of its folder is used if there is one.
 */
export async function connectRedis(config: Config, beside: string, trouble: OnTrouble): Promise<RedisClient> {
  let wasThere = false;
  const options = clientOptions(config, reconnecting(() => wasThere));
  const client = redisModule(beside).createClient(options);
  client.on("ready", () => (wasThere = true));
  watch(client, trouble);
  await client.connect();
  return client;
}

/** A second connection to the same server, for subscriptions or blocking reads. */
export async function duplicateRedis(client: RedisClient, trouble: OnTrouble): Promise<RedisClient> {
  const second = client.duplicate();
  watch(second, trouble);
  await second.connect();
  return second;
}

/** How many heard a message: nobody if the connection breaks meanwhile. Raises what Redis refuses. */
export async function publishRedis(client: RedisClient, channel: string, text: string, trouble: OnTrouble): Promise<number> {
  try {
    return await client.publish(channel, text);
  } catch (error) {
    if (client.isReady) throw error;
    trouble(error as Error, false);
    return 0;
  }
}

/** End a connection after what was sent is answered; one that breaks meanwhile has ended, too. */
export async function closeRedis(client: RedisClient): Promise<void> {
  if (!client.isOpen) return;
  // `quit` has become `close` in redis 5.
  const closed: Promise<unknown> | undefined = client.close ? client.close() : client.quit?.();
  await closed?.catch(() => undefined);
}

function watch(client: RedisClient, trouble: OnTrouble): void {
  client.on("error", (error) => setImmediate(() => trouble(error, !client.isOpen)));
}

function redisModule(beside: string): RedisModule {
  try {
    return createRequire(resolve(beside))("redis") as RedisModule;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw error;
    return require("redis") as RedisModule;
  }
}

function clientOptions(config: Config, reconnectStrategy: unknown): Record<string, unknown> {
  const url = process.env["OPENBELL_REDIS_URL"] ?? config["redisUrl"];
  const socket = { connectTimeout: 5000, reconnectStrategy };
  // Both majors speak the older protocol, so answers look the same.
  const common = { RESP: 2, commandsQueueMaxLength: 10_000 };
  if (typeof url === "string" && url !== "") return { ...common, url, socket };
  return {
    ...common,
    ...credentials(config),
    socket: {
      ...socket,
      host: textOf(config, "redisHost", "127.0.0.1"),
      port: wholeOf(config, "redisPort", 6379, 1),
    },
  };
}

function credentials(config: Config): Record<string, string> {
  const found: Record<string, string> = {};
  if (config["redisUsername"] !== undefined) found["username"] = textOf(config, "redisUsername", "");
  if (config["redisPassword"] !== undefined) found["password"] = textOf(config, "redisPassword", "");
  return found;
}

/** Waits between tries, in milliseconds; an error gives up. */
function reconnecting(wasThere: () => boolean): (tries: number, cause: Error) => number | Error {
  return (tries, cause) => {
    if (tries < (wasThere() ? TRIES_MAX : FIRST_TRIES_MAX)) return Math.min(25 * 2 ** tries, 1000);
    return new Error(`Redis cannot be reached: ${cause.message}`);
  };
}
