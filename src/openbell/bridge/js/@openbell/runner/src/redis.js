"use strict";
/**
 * The original's Redis channels, one set per bot. History is asked for and waited for before the
 * runner says that it is ready; market data that comes earlier waits in line.
 */
var __createBinding = (this && this.__createBinding) || (Object.create ? (function(o, m, k, k2) {
    if (k2 === undefined) k2 = k;
    var desc = Object.getOwnPropertyDescriptor(m, k);
    if (!desc || ("get" in desc ? !m.__esModule : desc.writable || desc.configurable)) {
      desc = { enumerable: true, get: function() { return m[k]; } };
    }
    Object.defineProperty(o, k2, desc);
}) : (function(o, m, k, k2) {
    if (k2 === undefined) k2 = k;
    o[k2] = m[k];
}));
var __setModuleDefault = (this && this.__setModuleDefault) || (Object.create ? (function(o, v) {
    Object.defineProperty(o, "default", { enumerable: true, value: v });
}) : function(o, v) {
    o["default"] = v;
});
var __importStar = (this && this.__importStar) || (function () {
    var ownKeys = function(o) {
        ownKeys = Object.getOwnPropertyNames || function (o) {
            var ar = [];
            for (var k in o) if (Object.prototype.hasOwnProperty.call(o, k)) ar[ar.length] = k;
            return ar;
        };
        return ownKeys(o);
    };
    return function (mod) {
        if (mod && mod.__esModule) return mod;
        var result = {};
        if (mod != null) for (var k = ownKeys(mod), i = 0; i < k.length; i++) if (k[i] !== "default") __createBinding(result, mod, k[i]);
        __setModuleDefault(result, mod);
        return result;
    };
})();
Object.defineProperty(exports, "__esModule", { value: true });
exports.runRedis = runRedis;
const node_crypto_1 = require("node:crypto");
const channels = __importStar(require("../../wire/src/channels"));
const messages_1 = require("../../wire/src/messages");
const process_1 = require("../../wire/src/process");
const redis_1 = require("../../wire/src/redis");
const inbox_1 = require("./inbox");
const signals_1 = require("./signals");
/** Messages that may wait while the strategy is busy or not ready. */
const INBOX_MAX = 10_000;
/** How long an answer is waited for before the question is asked again, in milliseconds. */
const UNANSWERED_MS = 1_000;
const UNHEARD_MS = 250;
/** How long a runner that was told to end waits for a Redis that may be down, in milliseconds. */
const FAREWELL_MS = 1_000;
/** The original's first simulation date. */
const SIMULATION_START = "2023-06-01T09:30:00.000Z";
async function runRedis(host, settings) {
    await new RedisRunner(host, settings).run();
}
class RedisRunner {
    host;
    settings;
    publisher;
    subscriber;
    nowMs;
    troubles = 0;
    /** Ids of the questions for history that nobody has answered yet. */
    asked = new Set();
    onAnswer = () => undefined;
    inbox;
    fail;
    failed;
    constructor(host, settings) {
        this.host = host;
        this.settings = settings;
        this.nowMs = (0, messages_1.asTime)((0, messages_1.textOf)(host.config, "simulationDate", SIMULATION_START), "simulationDate");
        (0, signals_1.sharesOf)(host.config); // now, not at the first signal
        this.failed = new Promise((_, reject) => (this.fail = reject));
        this.failed.catch(() => undefined);
        this.inbox = new inbox_1.Inbox(INBOX_MAX, (message) => this.handle(message.channel, message.text), this.fail);
    }
    async run() {
        this.publisher = await (0, redis_1.connectRedis)(this.host.config, this.settings.strategyPath, this.onTrouble);
        this.subscriber = await (0, redis_1.duplicateRedis)(this.publisher, this.onTrouble);
        try {
            await this.subscribe();
            await this.serve();
        }
        finally {
            await (0, process_1.within)(FAREWELL_MS, Promise.all([(0, redis_1.closeRedis)(this.subscriber), (0, redis_1.closeRedis)(this.publisher)]));
        }
    }
    async serve() {
        const stopped = (0, process_1.aborted)(this.settings.stop);
        await Promise.race([this.begin().then(() => stopped), stopped, this.failed]);
        // It was told to end, and ends in order whatever becomes of Redis now.
        await (0, process_1.within)(FAREWELL_MS, this.sayFarewell());
    }
    async sayFarewell() {
        await this.report(await this.host.shutdown());
        await this.sayReady(false);
    }
    async begin() {
        await this.bootstrap();
        await this.sayReady(true);
        this.settings.output.line("ready: true");
        this.inbox.start();
    }
    async subscribe() {
        const { botId } = this.host;
        await this.subscriber.subscribe([channels.HISTORY_RESPONSE], (text) => this.onHistory(text));
        // One list, one line: what a bot is told stays in the order in which it was said.
        const told = [
            channels.marketDataOf(botId),
            channels.simulationOf(botId),
            channels.BOT_POSITION_UPDATE,
            channels.POSITION_RESPONSE,
        ];
        await this.subscriber.subscribe(told, (text, channel) => this.onTold(channel, text));
    }
    async bootstrap() {
        const { host } = this;
        if (host.barsWanted > 0)
            await this.report(await host.initialise(await this.requestHistory()));
        await this.report(await host.whenReady());
        if (!host.ready)
            this.settings.output.log(`${host.name} is not ready yet; it is fed nevertheless`);
    }
    /** Ask until somebody answers: pub/sub forgets a question that nobody was there to hear. */
    async requestHistory() {
        const answered = new Promise((resolve) => (this.onAnswer = resolve));
        let leftMs = (0, messages_1.wholeOf)(this.host.config, "historyTimeoutMs", 30_000, 1);
        while (leftMs > 0) {
            const heard = await this.askHistory();
            const waitMs = Math.min(leftMs, heard === 0 ? UNHEARD_MS : UNANSWERED_MS);
            const answer = await (0, process_1.within)(waitMs, answered);
            if (answer)
                return barsOf(answer);
            leftMs -= waitMs;
        }
        throw new messages_1.MessageError(`nobody answered on ${channels.HISTORY_RESPONSE}; is the history service running?`);
    }
    /** How many heard the question. */
    askHistory() {
        const requestId = `hist_${this.nowMs}_${(0, node_crypto_1.randomUUID)().slice(0, 8)}`;
        this.asked.add(requestId);
        const { symbol, barsWanted, botId } = this.host;
        const request = { requestId, symbol, barsBack: barsWanted, timestamp: this.now(), botId };
        return this.publish(channels.HISTORY_REQUEST, request);
    }
    onHistory(text) {
        // The channel is everybody's; what is not for us is not ours to judge.
        if (this.asked.size === 0)
            return;
        const answer = this.read(channels.HISTORY_RESPONSE, text);
        if (!answer || !this.asked.has(answer["requestId"]))
            return;
        // The first answer to any of the questions is the history.
        this.asked.clear();
        this.onAnswer(answer);
    }
    onTold(channel, text) {
        if (this.inbox.put({ channel, text }))
            return;
        const { output } = this.settings;
        if (this.inbox.dropped % 1000 === 1)
            output.log(`${this.inbox.dropped} messages dropped: the strategy is too slow`);
    }
    async handle(channel, text) {
        const message = this.read(channel, text);
        if (!message)
            return;
        try {
            await this.act(channel, message);
        }
        catch (error) {
            if (!(error instanceof messages_1.MessageError))
                throw error;
            this.refuse(channel, error);
        }
    }
    async act(channel, message) {
        const { host } = this;
        if (channel === channels.marketDataOf(host.botId))
            await this.feed(message);
        else if (channel === channels.simulationOf(host.botId)) {
            this.nowMs = (0, messages_1.asTime)(message["datetime"], "datetime");
        }
        else if ((message["botId"] ?? host.botId) === host.botId && message["positions"] !== undefined) {
            host.updatePositions((0, messages_1.readPositions)(message, host.symbol));
        }
    }
    async feed(message) {
        const item = (0, messages_1.readMarketData)(message, this.host.symbol);
        this.nowMs = item.timestamp;
        const outcome = await this.host.feed(item);
        await this.report(outcome);
        if (outcome.signal) {
            await this.publish(channels.signalOf(this.host.botId), (0, signals_1.signalMessage)(this.host, outcome.signal, item));
        }
    }
    async report({ failure }) {
        if (failure)
            await this.sayError(failure);
    }
    async sayError(failure) {
        const message = { type: "ERROR", ...failure, botId: this.host.botId, timestamp: this.now() };
        this.settings.output.log(JSON.stringify(message));
        await this.publish(channels.errorOf(this.host.botId), message);
    }
    async sayReady(ready) {
        const { botId, name, statistics } = this.host;
        await this.publish(channels.STRATEGY_READY, {
            botId, ready, pid: process.pid, strategy: name, timestamp: this.now(),
            warm: this.host.ready,
            statistics: { ...statistics, dropped: this.inbox.dropped, troubles: this.troubles },
        });
    }
    read(channel, text) {
        try {
            return (0, messages_1.decode)(text);
        }
        catch (error) {
            this.refuse(channel, error);
            return null;
        }
    }
    refuse(channel, error) {
        this.host.statistics.malformed += 1;
        this.settings.output.log(`${channel}: ${error.message}`);
    }
    onTrouble = (error, lost) => {
        this.troubles += 1;
        this.settings.output.log(`Redis: ${error.message}`);
        if (lost)
            this.fail(error);
    };
    /** How many heard it. */
    publish(channel, message) {
        return (0, redis_1.publishRedis)(this.publisher, channel, JSON.stringify(message), this.onTrouble);
    }
    now() {
        return new Date(this.nowMs).toISOString();
    }
}
function barsOf(answer) {
    try {
        return (0, messages_1.readHistory)(answer);
    }
    catch (error) {
        if (!(error instanceof messages_1.MessageError))
            throw error;
        throw new messages_1.MessageError(`${error.message}; begin later, or set historicalBarsBack to 0 to go without history`);
    }
}
