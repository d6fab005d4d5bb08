"use strict";
/**
 * Lock-step: a strategy answers a run message by message, over two Redis Streams.
 *
 * The protocol stands in docs/channels.md, section Lock-step. A runner knows nothing of what was
 * before it: when Redis lost its group, or a message is missing, its process ends with code 75, and
 * a new one says hello and is told everything from the first message on.
 */
Object.defineProperty(exports, "__esModule", { value: true });
exports.runLockstep = exports.Responder = exports.BEGIN_ANEW = void 0;
const node_crypto_1 = require("node:crypto");
const promises_1 = require("node:timers/promises");
const messages_1 = require("../../wire/src/messages");
const resp_1 = require("./resp");
/** The end of a process that has to begin anew (EX_TEMPFAIL). */
exports.BEGIN_ANEW = 75;
const KEPT = "128";
const BLOCK_MS = "1000";
const PAUSE_MS = 10;
const HELLO_MS = 2_000;
/** Answers a run's messages with what the strategy says, one by one. */
class Responder {
    host;
    wasReady = false;
    constructor(host) {
        this.host = host;
    }
    async answer([, , kind, data]) {
        const { host } = this;
        switch (kind) {
            case "slice":
                return this.told(await host.feed((0, messages_1.readMarketData)((0, messages_1.asObject)(data, kind), host.symbol)));
            case "position":
                host.updatePositions((0, messages_1.readPositions)(data, host.symbol));
                return null;
            case "history":
                return this.told(await host.initialise((0, messages_1.readHistory)(data)));
            case "init":
                return this.introduce();
            case "end":
                return this.told(await host.shutdown());
            case "fill":
            case "session":
                return null;
            default:
                throw new messages_1.MessageError(`unknown kind of message: ${kind}`);
        }
    }
    async introduce() {
        const told = this.told(await this.host.whenReady());
        const { ready, name, barsWanted } = this.host;
        return { ...told, ready, strategy: name, barsWanted };
    }
    /** An outcome as an answer; null if it is no news. */
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
 * Serve one run to its end. The environment names it: `OPENBELL_REDIS_URL`, which may hold user and
 * password, and `OPENBELL_RUN`. A process that has to begin anew ends here, with its code.
 */
const runLockstep = async (host, { output, stop }) => {
    const { OPENBELL_REDIS_URL: url, OPENBELL_RUN: run } = process.env;
    if (!url || !run)
        throw new Error("lock-step needs OPENBELL_REDIS_URL and OPENBELL_RUN");
    stop.addEventListener("abort", () => process.exit(0));
    const isDone = await new Runner(url, run, new Responder(host)).serve();
    if (isDone)
        return;
    output.log("Redis lost what this runner was told: a new one has to begin");
    process.exit(exports.BEGIN_ANEW);
};
exports.runLockstep = runLockstep;
class Runner {
    url;
    responder;
    slices;
    answers;
    connection = null;
    name = "";
    last = 0; // the newest message that was answered
    said = []; // answers that are not known to have arrived
    isUnsure = false; // whether an exchange failed: parts of it may have happened
    constructor(url, run, responder) {
        this.url = url;
        this.responder = responder;
        this.slices = `openbell:${run}:slices`;
        this.answers = `openbell:${run}:answers`;
    }
    /** True when the run is over, false when a new process has to begin. */
    async serve() {
        for (let entries = await this.begin(); entries; entries = await this.exchange(true)) {
            for (const entry of entries) {
                if (entry.messages[0]?.[0] !== this.last + 1)
                    return false;
                this.said.push(await this.answerAll(entry));
                this.last = entry.seq;
                if (entry.messages.at(-1)?.[2] === "end")
                    return (await this.exchange(false)) !== null;
            }
        }
        return false;
    }
    /** Say hello under a new name until the run has made a group of that name. */
    async begin() {
        for (;;) {
            this.name = `${process.pid}-${(0, node_crypto_1.randomBytes)(6).toString("hex")}`;
            const hello = ["XADD", this.answers, "MAXLEN", KEPT, "*", "hello", this.name];
            try {
                await this.redis([hello]);
                for (let left = HELLO_MS; left > 0; left -= PAUSE_MS) {
                    const [reply] = await this.send([this.reading(">")]);
                    if (!(reply instanceof resp_1.Refusal))
                        return entriesOf(reply);
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
    async exchange(readsOn) {
        for (;;) {
            try {
                const missed = this.isUnsure ? await this.recover() : [];
                const isReading = readsOn && missed.length === 0;
                const replies = await this.redis([...this.saying(), ...(isReading ? [this.reading(">")] : [])]);
                this.said = [];
                return isReading ? entriesOf(replies.at(-1)) : missed;
            }
            catch (error) {
                if (isLost(error))
                    return null;
                this.isUnsure = true;
                await (0, promises_1.setTimeout)(PAUSE_MS);
            }
        }
    }
    /** After a failure: what was delivered and is not acknowledged is what is still to be answered. */
    async recover() {
        const [reply] = await this.redis([this.reading("0")]);
        const pending = entriesOf(reply);
        this.said = this.said.filter((said) => pending.some((entry) => entry.id === said.id));
        this.isUnsure = false;
        return pending.filter((entry) => entry.seq > this.last);
    }
    /** The answers, and that the messages need not be delivered again: both, or nothing. */
    saying() {
        if (this.said.length === 0)
            return [];
        const commands = this.said.flatMap(({ id, seq, data }) => [
            ["XADD", this.answers, "MAXLEN", KEPT, "*", "runner", this.name, "seq", String(seq), "data", data],
            ["XACK", this.slices, this.name, id],
        ]);
        return [["MULTI"], ...commands, ["EXEC"]];
    }
    /** New messages (">"), or those delivered and not acknowledged ("0"). */
    reading(from) {
        const group = ["GROUP", this.name, "runner"];
        return ["XREADGROUP", ...group, "COUNT", "64", "BLOCK", BLOCK_MS, "STREAMS", this.slices, from];
    }
    /** Replies to some commands over a connection that is made if there is none. Raises refusals. */
    async redis(commands) {
        const replies = await this.send(commands);
        for (const reply of replies.flat())
            if (reply instanceof resp_1.Refusal)
                throw reply;
        return replies;
    }
    async send(commands) {
        this.connection ??= await resp_1.Connection.open(this.url);
        try {
            return await this.connection.exchange(commands);
        }
        catch (error) {
            this.connection.close();
            this.connection = null;
            throw error;
        }
    }
}
function entriesOf(reply) {
    return reply ? reply[0][1].map(readEntry) : [];
}
function readEntry([id, fields]) {
    const part = (name) => fields[fields.indexOf(name) + 1];
    const seq = Number(part("seq"));
    const data = JSON.parse(part("data"));
    const kind = part("kind");
    const messages = kind === "batch" ? data : [[seq, Number(part("time_ns")), kind, data]];
    return { id, seq, messages };
}
/** Whether Redis says that there is no group of ours (any more). */
function isLost(error) {
    return error instanceof resp_1.Refusal && /NOGROUP|UNBLOCKED/.test(error.message);
}
