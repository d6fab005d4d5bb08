"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.actionOf = actionOf;
exports.sharesOf = sharesOf;
exports.signalMessage = signalMessage;
const messages_1 = require("../../wire/src/messages");
/** BUY, SELL, HOLD or CLOSE: what a signal asks for, whichever of its two words it uses. */
function actionOf(signal) {
    const word = (0, messages_1.shown)(signal.action ?? signal.direction ?? "HOLD").toUpperCase();
    if (/CLOSE|EXIT/.test(word))
        return "CLOSE";
    if (/BUY|LONG/.test(word))
        return "BUY";
    if (/SELL|SHORT/.test(word))
        return "SELL";
    return word;
}
/** Units of every signal: the original always says 100; how much is bought is decided elsewhere. */
function sharesOf(config) {
    return (0, messages_1.wholeOf)(config, "shares", 100, 1);
}
/** A signal in the form of `aggregator:signal:{botId}`; the strategy's own stands in `tsx_signal`. */
function signalMessage(host, signal, item) {
    return {
        action: actionOf(signal),
        price: signal.entryPrice ?? signal["price"] ?? item.price,
        shares: sharesOf(host.config),
        stop_loss: signal.stopLoss ?? null,
        take_profit: signal.takeProfit ?? null,
        tsx_signal: signal,
        botId: host.botId,
        timestamp: new Date(item.timestamp).toISOString(),
        strategy: host.name,
    };
}
