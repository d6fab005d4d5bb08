"use strict";
/**
 * Lock-step: a strategy answers a run message by message, over two Redis Streams.
 *
 * The protocol stands in docs/channels.md, section Lock-step. A runner knows nothing of what was
 * before it: when Redis lost its group, or a message is missing, its process ends with code 75, and
 * a new one says hello and is told everything from the first message on.
 */
Object.defineProperty(exports, "__esModule", { value: true });
exports.Responder = exports.BEGIN_ANEW = void 0;
exports.serve = serve;
const node_crypto_1 = require("node:crypto");
const promises_1 = require("node:timers/promises");
const redis_1 = require("redis");
const messages_1 = require("../../wire/src/messages");
const host_1 = require("./host");
const virtual_time_1 = require("./virtual-time");
/** The end of a process that has to begin anew (EX_TEMPFAIL). */
exports.BEGIN_ANEW = 75;
const KEPT = "128";
const BLOCK_MS = "1000";
const PAUSE_MS = 10;
const HELLO_MS = 2_000;
/** Answers a strategy's messages, one by one. */
class Responder {
    path;
    host = null;
    time = null;
    wasReady = false;
    constructor(path) {
        this.path = path;
    }
    async answer([, timeNs, kind, data]) {
        const ms = Math.round(timeNs / 1e6);
        if (kind === "init")
            return this.begin((0, messages_1.asObject)(data, "init"), ms);
        const { host } = this;
        if (!host)
            throw new Error(`${kind} came before init`);
        this.time?.set(ms);
        switch (kind) {
            case "slice":
                return this.told(await host.feed((0, messages_1.readMarketData)((0, messages_1.asObject)(data, kind), host.symbol)));
            case "history":
                return this.told(await host.initialise((0, messages_1.readHistory)(data)));
            case "position":
                host.updatePositions((0, messages_1.readPositions)(data, host.symbol));
                return null;
            case "end":
                return this.told(await host.shutdown());
            case "fill":
            case "session":
                return null;
            default:
                throw new Error(`unknown kind of message: ${kind}`);
        }
    }
    async begin(init, ms) {
        this.time = (0, virtual_time_1.installVirtualTime)(ms, Number(init["seed"] ?? 0));
        this.host = await host_1.StrategyHost.load(this.path, (0, messages_1.asObject)(init["config"], "config"), this.time);
        const outcome = await this.host.whenReady();
        const { name, barsWanted } = this.host;
        return { ...this.told(outcome), ready: this.host.ready, strategy: name, barsWanted };
    }
    /** An outcome as an answer: only what is news. */
    told({ ready, signal, failure }) {
        if (!signal && !failure && ready === this.wasReady)
            return null;
        this.wasReady = ready;
        return {
            ready,
            ...(signal ? { signals: [signal] } : {}),
            ...(failure ? { error: failure } : {}),
        };
    }
}
exports.Responder = Responder;
/**
 * Serve one run to its end.
 *
 * @param url  of the Redis server; may hold user and password.
 * @param run  names the run's streams.
 * @param path of the strategy's file.
 */
async function serve(url, run, path) {
    const client = (0, redis_1.createClient)({
        url,
        disableOfflineQueue: true,
        socket: { reconnectStrategy: (tries) => Math.min(tries * 20, 500) },
    });
    client.on("error", () => undefined); // every command says it again, where it is dealt with
    await client.connect();
    try {
        return await new Runner(client, run, new Responder(path)).serve();
    }
    finally {
        await client.disconnect().catch(() => undefined);
    }
}
class Runner {
    client;
    responder;
    slices;
    answers;
    name = "";
    last = 0; // the newest message that was answered
    said = []; // answers that are not known to have arrived
    isUnsure = false; // whether an exchange failed: parts of it may have happened
    constructor(client, run, responder) {
        this.client = client;
        this.responder = responder;
        this.slices = `openbell:${run}:slices`;
        this.answers = `openbell:${run}:answers`;
    }
    async serve() {
        for (let entries = await this.begin(); entries; entries = await this.exchange()) {
            for (const entry of entries) {
                if (entry.messages[0]?.[0] !== this.last + 1)
                    return "begin anew";
                this.said.push(await this.answerAll(entry));
                this.last = entry.seq;
                if (entry.messages.at(-1)?.[2] === "end") {
                    await this.sayLast();
                    return "done";
                }
            }
        }
        return "begin anew";
    }
    /** Say hello under a new name until the run has made a group of that name. */
    async begin() {
        for (;;) {
            this.name = `${process.pid}-${(0, node_crypto_1.randomBytes)(6).toString("hex")}`;
            try {
                await this.client.sendCommand(["XADD", this.answers, "MAXLEN", KEPT, "*", "hello", this.name]);
                for (let left = HELLO_MS; left > 0; left -= PAUSE_MS) {
                    const entries = await this.read(">").catch(lostGroup);
                    if (entries)
                        return entries;
                    await (0, promises_1.setTimeout)(PAUSE_MS);
                }
            }
            catch {
                await (0, promises_1.setTimeout)(PAUSE_MS);
            }
        }
    }
    async answerAll({ id, seq, messages }) {
        const answers = [];
        for (const message of messages)
            answers.push(await this.responder.answer(message));
        return { id, seq, data: JSON.stringify(answers) };
    }
    /** Send what was said and read on, in one write. Null if Redis lost this runner's group. */
    async exchange() {
        for (;;) {
            try {
                return this.isUnsure ? await this.recover() : await this.sayAndRead();
            }
            catch (error) {
                if (isLost(error))
                    return null;
                this.isUnsure = true;
                await (0, promises_1.setTimeout)(PAUSE_MS);
            }
        }
    }
    async sayLast() {
        while (this.said.length) {
            try {
                await this.say();
                this.said = [];
            }
            catch (error) {
                if (isLost(error))
                    return;
                await (0, promises_1.setTimeout)(PAUSE_MS);
            }
        }
    }
    async sayAndRead() {
        const saying = this.said.length ? this.say() : null;
        const reading = this.read(">");
        reading.catch(() => undefined); // if both fail, the first reason is enough
        await saying;
        this.said = [];
        return reading;
    }
    /** After a failure: what was delivered and not acknowledged is what is still to be answered. */
    async recover() {
        const pending = await this.read("0");
        this.said = this.said.filter((said) => pending.some((entry) => entry.id === said.id));
        if (this.said.length)
            await this.say();
        this.said = [];
        this.isUnsure = false;
        return pending.filter((entry) => entry.seq > this.last);
    }
    say() {
        const multi = this.client.multi();
        for (const { id, seq, data } of this.said) {
            multi.addCommand([
                "XADD", this.answers, "MAXLEN", KEPT, "*",
                "runner", this.name, "seq", String(seq), "data", data,
            ]);
            multi.addCommand(["XACK", this.slices, this.name, id]);
        }
        return multi.exec();
    }
    async read(from) {
        const reply = await this.client.sendCommand([
            "XREADGROUP", "GROUP", this.name, "runner", "COUNT", "64", "BLOCK", BLOCK_MS,
            "STREAMS", this.slices, from,
        ]);
        return reply ? reply[0][1].map(readEntry) : [];
    }
}
function readEntry([id, fields]) {
    const part = (name) => fields[fields.indexOf(name) + 1];
    const seq = Number(part("seq"));
    const data = JSON.parse(part("data"));
    const kind = part("kind");
    const messages = kind === "batch" ? data : [[seq, Number(part("time_ns")), kind, data]];
    return { id, seq, messages };
}
function isLost(error) {
    return /NOGROUP|UNBLOCKED/.test(String(error));
}
function lostGroup(error) {
    if (isLost(error))
        return null;
    throw error;
}
