"use strict";
/** The host of one strategy: loads it, hands it history, feeds it, and turns its errors into values. */
Object.defineProperty(exports, "__esModule", { value: true });
exports.StrategyHost = void 0;
exports.failureOf = failureOf;
const main_bot_1 = require("../../bot/src/main-bot");
const positions_1 = require("../../bot/src/positions");
const messages_1 = require("../../wire/src/messages");
const load_1 = require("./load");
class StrategyHost {
    strategy;
    name;
    botId;
    symbol;
    config;
    mainBot;
    book;
    time;
    /** Whether the strategy has what it needs to decide. */
    ready = false;
    statistics = {
        fed: 0, signals: 0, failures: 0, historyBars: 0, positionUpdates: 0, malformed: 0,
    };
    constructor(strategy, name, botId, symbol, config, mainBot, book, time) {
        this.strategy = strategy;
        this.name = name;
        this.botId = botId;
        this.symbol = symbol;
        this.config = config;
        this.mainBot = mainBot;
        this.book = book;
        this.time = time;
    }
    /**
     * Load a strategy file and make its strategy. Raises if the file cannot be loaded, holds no
     * strategy, or its constructor throws: nothing can be hosted then.
     *
     * @param config is the strategy's; of it the host reads `botId` and `symbol`.
     * @param time   moves with what is fed, if given; see `installVirtualTime`.
     */
    static async load(path, config, time = null) {
        const botId = (0, messages_1.textOf)(config, "botId", "backtest_bot_1");
        const symbol = (0, messages_1.textOf)(config, "symbol", "NQ");
        const Strategy = await (0, load_1.importStrategy)(path);
        const book = new positions_1.PositionBook(symbol);
        const mainBot = (0, main_bot_1.createMainBot)(botId, symbol, config, book);
        const strategy = new Strategy(config, mainBot);
        if (!strategy.processMarketData && !strategy.analyze) {
            throw new messages_1.MessageError(`${path}: the strategy has neither processMarketData nor analyze`);
        }
        const name = typeof strategy.name === "string" ? strategy.name : Strategy.name;
        return new StrategyHost(strategy, name, botId, symbol, config, mainBot, book, time);
    }
    get hasProcessMarketData() {
        return typeof this.strategy.processMarketData === "function";
    }
    get hasAnalyze() {
        return typeof this.strategy.analyze === "function";
    }
    /**
     * How many bars of history the host should ask for: `historicalBarsBack` (50), or 0 for a strategy
     * that takes none.
     */
    get barsWanted() {
        if (!this.strategy.initializeWithHistoricalData)
            return 0;
        return (0, messages_1.wholeOf)(this.config, "historicalBarsBack", 50);
    }
    /** Hand over history, oldest bar first. The outcome is ready if the strategy says it was enough. */
    async initialise(bars) {
        this.statistics.historyBars += bars.length;
        return this.guarded({ phase: "initialise", bars: bars.length }, async () => {
            const enough = await this.strategy.initializeWithHistoricalData?.(bars);
            return { ready: enough === true, signal: null };
        });
    }
    /** Wait for a strategy that brings its own history; one without `whenReady` is done at once. */
    async whenReady() {
        if (!this.strategy.whenReady)
            return { ready: this.ready, signal: null, failure: null };
        return this.guarded({ phase: "whenReady" }, async () => {
            await this.strategy.whenReady?.();
            return { ready: true, signal: null };
        });
    }
    /** Feed one piece of market data. Never raises: what the strategy throws is the outcome's failure. */
    async feed(item) {
        this.statistics.fed += 1;
        this.time?.set(item.timestamp);
        this.book.mark(item.symbol, item.price);
        const { symbol, price, timestamp } = item;
        const context = { phase: "feed", symbol, price, timestamp, fed: this.statistics.fed };
        return this.guarded(context, () => this.ask(item));
    }
    /** Replace the positions that the strategy sees. */
    updatePositions(positions) {
        this.statistics.positionUpdates += 1;
        this.book.update(positions);
    }
    /** Let the strategy close what it opened. */
    async shutdown() {
        return this.guarded({ phase: "shutdown" }, async () => {
            await this.strategy.shutdown?.();
            return { ready: this.ready, signal: null };
        });
    }
    ask(item) {
        const { strategy } = this;
        if (!strategy.processMarketData)
            return strategy.analyze?.(item);
        return strategy.processMarketData(item.price, item.volume, item.timestamp, item);
    }
    async guarded(context, act) {
        try {
            // No answer means no change.
            const result = (await act()) ?? { ready: this.ready, signal: null };
            const signal = result.signal ? plain(result.signal) : null;
            this.ready = Boolean(result.ready);
            if (signal)
                this.statistics.signals += 1;
            return { ready: this.ready, signal, failure: null };
        }
        catch (error) {
            this.statistics.failures += 1;
            return { ready: this.ready, signal: null, failure: failureOf(error, context) };
        }
    }
}
exports.StrategyHost = StrategyHost;
/** A signal as it will travel, taken now: the strategy may go on changing its own. */
function plain(signal) {
    const text = JSON.stringify(signal);
    const bytes = Buffer.byteLength(text ?? "");
    if (bytes > messages_1.MESSAGE_BYTES_MAX)
        throw new RangeError(`signal of ${bytes} bytes, the limit is ${messages_1.MESSAGE_BYTES_MAX}`);
    return (0, messages_1.asObject)(JSON.parse(text ?? "null"), "signal");
}
/** What was thrown as plain data, cut to a length that can be sent; a strategy may throw anything. */
function failureOf(error, context) {
    if (!(error instanceof Error))
        return { error: (0, messages_1.shown)(error), stack: "", context };
    // Where a message was refused is our own place, which is of no use to anybody.
    const stack = error instanceof messages_1.MessageError ? "" : (0, messages_1.shown)(error.stack);
    return { error: (0, messages_1.shown)(error.message), stack, context };
}
