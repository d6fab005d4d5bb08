"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.defineStrategy = defineStrategy;
const indicators_1 = require("./indicators");
/** A strategy for any host of the bridge, from one function. */
function defineStrategy(definition) {
    return class Defined extends DefinedStrategy {
        constructor(config, mainBot) {
            super(definition, config, mainBot);
        }
    };
}
class DefinedStrategy {
    definition;
    mainBot;
    name;
    params;
    tracks = new Map();
    constructor(definition, config, mainBot) {
        this.definition = definition;
        this.mainBot = mainBot;
        this.name = definition.name;
        this.params = configured(definition.params ?? {}, config);
    }
    initializeWithHistoricalData(bars) {
        const track = this.track(this.mainBot.symbol);
        for (const bar of bars)
            track.learn(fromHistory(this.mainBot.symbol, bar));
        return track.warm;
    }
    processMarketData(price, volume, timestamp, item) {
        const symbol = item?.symbol ?? this.mainBot.symbol;
        const bar = { open: price, high: price, low: price, close: price, ...item, symbol, volume, timestamp };
        const track = this.track(symbol);
        track.learn(bar);
        if (!track.warm)
            return { ready: false, signal: null };
        const signal = this.definition.onBar(bar, this.context(bar), track.state) ?? null;
        return { ready: true, signal };
    }
    track(symbol) {
        let track = this.tracks.get(symbol);
        if (!track)
            this.tracks.set(symbol, (track = new Track(symbol, this.params, this.definition)));
        return track;
    }
    context(bar) {
        const { params, mainBot } = this;
        const signal = (direction, details = {}) => ({
            direction,
            confidence: "HIGH",
            entryPrice: bar.close,
            timestamp: bar.timestamp,
            strategyName: this.name,
            ...details,
        });
        return {
            symbol: bar.symbol,
            params,
            mainBot,
            position: mainBot.modules.positionManagement.getPosition(bar.symbol),
            long: (details) => signal("LONG", details),
            short: (details) => signal("SHORT", details),
            close: (details) => signal("CLOSE_POSITION", details),
        };
    }
}
/** The indicators of one symbol and what the strategy keeps of it. */
class Track {
    state;
    indicators = [];
    constructor(symbol, params, definition) {
        const keep = (indicator) => (this.indicators.push(indicator), indicator);
        this.state = definition.setup?.({
            symbol,
            params,
            ema: (n) => keep(new indicators_1.Ema(n)),
            sma: (n) => keep(new indicators_1.Sma(n)),
            rsi: (n) => keep(new indicators_1.Rsi(n)),
            atr: (n) => keep(new indicators_1.Atr(n)),
            highest: (n) => keep(new indicators_1.Highest(n)),
            lowest: (n) => keep(new indicators_1.Lowest(n)),
        });
    }
    get warm() {
        return this.indicators.every((indicator) => indicator.ready);
    }
    learn(bar) {
        for (const indicator of this.indicators)
            indicator.update(bar);
    }
}
function configured(defaults, config) {
    const found = {};
    for (const [name, value] of Object.entries(defaults)) {
        const given = config[name] ?? value;
        if (typeof given !== typeof value) {
            throw new TypeError(`${name} is ${JSON.stringify(given)}; it must be a ${typeof value}`);
        }
        found[name] = given;
    }
    return found;
}
function fromHistory(symbol, bar) {
    const timestamp = typeof bar.t === "number" ? bar.t : Date.parse(bar.t);
    return { symbol, open: bar.o, high: bar.h, low: bar.l, close: bar.c, volume: bar.v, timestamp };
}
