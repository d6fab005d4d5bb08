"use strict";
/**
 * The mock bot: carries messages between strategies (`bot:*`) and the aggregator (`aggregator:*`),
 * keeps the positions, and answers questions about risk.
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
exports.MockBot = void 0;
exports.runBot = runBot;
const channels = __importStar(require("../../wire/src/channels"));
const messages_1 = require("../../wire/src/messages");
const process_1 = require("../../wire/src/process");
const redis_1 = require("../../wire/src/redis");
const main_bot_1 = require("./main-bot");
const positions_1 = require("./positions");
/** How long a bot that was told to end waits for a Redis that may be down, in milliseconds. */
const FAREWELL_MS = 1_000;
/** What the bot does with a message, without any connection. */
class MockBot {
    config;
    publish;
    log;
    changed;
    botId;
    symbol;
    mainBot;
    statistics = { forwarded: 0, positionUpdates: 0, foreign: 0, malformed: 0, troubles: 0 };
    book;
    /** The sender's time of the newest market data; the bot has no clock of its own. */
    lastTime = null;
    /** @param changed is called when the status is another one. */
    constructor(config, publish, log, changed = () => undefined) {
        this.config = config;
        this.publish = publish;
        this.log = log;
        this.changed = changed;
        this.botId = (0, messages_1.textOf)(config, "botId", "backtest_bot_1");
        this.symbol = (0, messages_1.textOf)(config, "symbol", "NQ");
        this.book = new positions_1.PositionBook(this.symbol);
        this.mainBot = (0, main_bot_1.createMainBot)(this.botId, this.symbol, config, this.book);
    }
    /** The channels the bot listens to. */
    get channels() {
        return [...channels.TO_AGGREGATOR.keys(), ...channels.TO_BOT.keys(), channels.marketDataOf(this.botId)];
    }
    /** Take one message. What breaks a rule is counted and logged; never raises for it. */
    receive(channel, text) {
        try {
            this.act(channel, (0, messages_1.decode)(text));
        }
        catch (error) {
            if (!(error instanceof messages_1.MessageError))
                throw error;
            this.statistics.malformed += 1;
            this.log(`${channel}: ${error.message}`);
        }
    }
    /** What stands under the status key. */
    status(state) {
        const { botId, symbol, statistics } = this;
        const positions = this.book.getAllPositions();
        const backtesting = this.config["backtesting"] ?? true;
        return { botId, symbol, status: state, backtesting, positions, statistics, timestamp: this.lastTime };
    }
    act(channel, message) {
        if ((message["botId"] ?? this.botId) !== this.botId) {
            this.statistics.foreign += 1;
            return;
        }
        if (channel === channels.marketDataOf(this.botId)) {
            this.passMarketData(message);
            return;
        }
        // Looked at before it is carried: what breaks a rule goes no further.
        if (message["positions"] !== undefined)
            this.takePositions(message);
        if (channel === channels.BOT_RISK_CHECK)
            this.answerRisk(message);
        this.forward(channel, message);
    }
    forward(channel, message) {
        const up = channels.TO_AGGREGATOR.get(channel);
        const down = channels.TO_BOT.get(channel);
        if (up)
            this.publish(up, { ...message, botId: this.botId });
        else if (down)
            this.publish(down, message);
        this.statistics.forwarded += 1;
    }
    passMarketData(message) {
        const item = (0, messages_1.readMarketData)(message, this.symbol);
        this.book.mark(item.symbol, item.price);
        this.lastTime = new Date(item.timestamp).toISOString();
        const { symbol, price, volume, open, high, low, close } = item;
        const { timestamp } = message;
        this.publish(channels.BOT_MARKET_DATA, { botId: this.botId, symbol, price, volume, timestamp, open, high, low, close });
        this.statistics.forwarded += 1;
    }
    takePositions(message) {
        this.book.update((0, messages_1.readPositions)(message, this.symbol));
        this.statistics.positionUpdates += 1;
        this.changed();
    }
    answerRisk(message) {
        const answer = (0, main_bot_1.checkRisk)((0, messages_1.asObject)(message["signal"], "signal"), this.config);
        const { requestId, timestamp } = message;
        this.publish(channels.BOT_RISK_RESPONSE, { requestId, botId: this.botId, ...answer, timestamp });
    }
}
exports.MockBot = MockBot;
/** Run a bot on Redis until it is stopped. Raises if Redis is lost for good. */
async function runBot(config, stop, ready, log) {
    let lost = () => undefined;
    const gone = new Promise((_, reject) => (lost = reject));
    gone.catch(() => undefined);
    const trouble = (error, isLost) => {
        bot.statistics.troubles += 1;
        log(`Redis: ${error.message}`);
        if (isLost)
            lost(error);
    };
    const tell = (sent) => sent.catch((error) => trouble(error, false));
    const bot = new MockBot(config, (channel, message) => void tell(publisher.publish(channel, JSON.stringify(message))), log, () => void tell(sayStatus(publisher, bot, "running")));
    const publisher = await (0, redis_1.connectRedis)(config, __filename, trouble);
    const subscriber = await (0, redis_1.duplicateRedis)(publisher, trouble);
    try {
        await subscriber.subscribe(bot.channels, (text, channel) => bot.receive(channel, text));
        await sayStatus(publisher, bot, "running");
        ready();
        await Promise.race([stop, gone]);
        await (0, process_1.within)(FAREWELL_MS, tell(sayStatus(publisher, bot, "stopped")));
    }
    finally {
        await (0, process_1.within)(FAREWELL_MS, Promise.all([(0, redis_1.closeRedis)(subscriber), (0, redis_1.closeRedis)(publisher)]));
    }
}
async function sayStatus(client, bot, state) {
    const text = JSON.stringify(bot.status(state));
    await client.set(channels.statusKeyOf(bot.botId), text);
    await client.publish(channels.BOT_STATUS, text);
}
