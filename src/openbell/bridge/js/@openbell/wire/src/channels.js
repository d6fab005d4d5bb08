"use strict";
/** The channels of the original bot. The Python side has the same names; a test compares them. */
Object.defineProperty(exports, "__esModule", { value: true });
exports.statusKeyOf = exports.errorOf = exports.signalOf = exports.simulationOf = exports.marketDataOf = exports.TO_BOT = exports.TO_AGGREGATOR = exports.BOT_STATUS = exports.BOT_RISK_RESPONSE = exports.BOT_RISK_CHECK = exports.BOT_MARKET_DATA = exports.BOT_POSITION_UPDATE = exports.POSITION_RESPONSE = exports.STRATEGY_READY = exports.HISTORY_RESPONSE = exports.HISTORY_REQUEST = void 0;
exports.HISTORY_REQUEST = "aggregator:historical-data:request";
exports.HISTORY_RESPONSE = "aggregator:historical-data:response";
exports.STRATEGY_READY = "aggregator:strategy-ready";
exports.POSITION_RESPONSE = "aggregator:position:response";
exports.BOT_POSITION_UPDATE = "bot:position:update";
exports.BOT_MARKET_DATA = "bot:market-data";
exports.BOT_RISK_CHECK = "bot:risk:check";
/** Not of the original, where a risk question has no answer of its own. */
exports.BOT_RISK_RESPONSE = "bot:risk:response";
exports.BOT_STATUS = "bot:status";
/** What the mock bot passes on from strategies; it adds its `botId`. */
exports.TO_AGGREGATOR = pairs("bot", "aggregator", [
    "signal",
    "trade:request",
    "position:update",
    "historical-data:request",
    "strategy:status",
    "risk:check",
]);
/** What it passes back, unchanged. */
exports.TO_BOT = pairs("aggregator", "bot", [
    "signal:response",
    "trade:response",
    "position:response",
    "historical-data:response",
]);
const marketDataOf = (botId) => `aggregator:market-data:${botId}`;
exports.marketDataOf = marketDataOf;
const simulationOf = (botId) => `aggregator:simulation:${botId}`;
exports.simulationOf = simulationOf;
const signalOf = (botId) => `aggregator:signal:${botId}`;
exports.signalOf = signalOf;
/** Not of the original: what a strategy threw, with its stack. */
const errorOf = (botId) => `aggregator:strategy-error:${botId}`;
exports.errorOf = errorOf;
const statusKeyOf = (botId) => `bot:${botId}:status`;
exports.statusKeyOf = statusKeyOf;
function pairs(from, to, names) {
    return new Map(names.map((name) => [`${from}:${name}`, `${to}:${name}`]));
}
