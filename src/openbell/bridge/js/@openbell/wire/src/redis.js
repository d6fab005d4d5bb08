"use strict";
/** Redis through npm's `redis`, any major from 4 on, reduced to what is used here. */
Object.defineProperty(exports, "__esModule", { value: true });
exports.connectRedis = connectRedis;
exports.duplicateRedis = duplicateRedis;
exports.publishRedis = publishRedis;
exports.closeRedis = closeRedis;
const node_module_1 = require("node:module");
const node_path_1 = require("node:path");
const messages_1 = require("./messages");
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
async function connectRedis(config, beside, trouble) {
    let wasThere = false;
    const options = clientOptions(config, reconnecting(() => wasThere));
    const client = redisModule(beside).createClient(options);
    client.on("ready", () => (wasThere = true));
    watch(client, trouble);
    await client.connect();
    return client;
}
/** A second connection to the same server, for subscriptions or blocking reads. */
async function duplicateRedis(client, trouble) {
    const second = client.duplicate();
    watch(second, trouble);
    await second.connect();
    return second;
}
/** How many heard a message: nobody if the connection breaks meanwhile. Raises what Redis refuses. */
async function publishRedis(client, channel, text, trouble) {
    try {
        return await client.publish(channel, text);
    }
    catch (error) {
        if (client.isReady)
            throw error;
        trouble(error, false);
        return 0;
    }
}
/** End a connection after what was sent is answered; one that breaks meanwhile has ended, too. */
async function closeRedis(client) {
    if (!client.isOpen)
        return;
    // `quit` has become `close` in redis 5.
    const closed = client.close ? client.close() : client.quit?.();
    await closed?.catch(() => undefined);
}
function watch(client, trouble) {
    client.on("error", (error) => setImmediate(() => trouble(error, !client.isOpen)));
}
function redisModule(beside) {
    try {
        return (0, node_module_1.createRequire)((0, node_path_1.resolve)(beside))("redis");
    }
    catch (error) {
        if (error.code !== "MODULE_NOT_FOUND")
            throw error;
        return require("redis");
    }
}
function clientOptions(config, reconnectStrategy) {
    const url = process.env["OPENBELL_REDIS_URL"] ?? config["redisUrl"];
    const socket = { connectTimeout: 5000, reconnectStrategy };
    // Both majors speak the older protocol, so answers look the same.
    const common = { RESP: 2, commandsQueueMaxLength: 10_000 };
    if (typeof url === "string" && url !== "")
        return { ...common, url, socket };
    return {
        ...common,
        ...credentials(config),
        socket: {
            ...socket,
            host: (0, messages_1.textOf)(config, "redisHost", "127.0.0.1"),
            port: (0, messages_1.wholeOf)(config, "redisPort", 6379, 1),
        },
    };
}
function credentials(config) {
    const found = {};
    if (config["redisUsername"] !== undefined)
        found["username"] = (0, messages_1.textOf)(config, "redisUsername", "");
    if (config["redisPassword"] !== undefined)
        found["password"] = (0, messages_1.textOf)(config, "redisPassword", "");
    return found;
}
/** Waits between tries, in milliseconds; an error gives up. */
function reconnecting(wasThere) {
    return (tries, cause) => {
        if (tries < (wasThere() ? TRIES_MAX : FIRST_TRIES_MAX))
            return Math.min(25 * 2 ** tries, 1000);
        return new Error(`Redis cannot be reached: ${cause.message}`);
    };
}
