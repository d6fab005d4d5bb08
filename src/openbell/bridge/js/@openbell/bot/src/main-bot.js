"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.createMainBot = createMainBot;
exports.checkRisk = checkRisk;
/** The `mainBot` that strategies are handed: plain answers from the position book, nothing remote. */
function createMainBot(botId, symbol, config, book) {
    return {
        botId,
        symbol,
        modules: {
            positionManagement: book,
            riskManagement: { checkRisk: (signal) => checkRisk(signal, config) },
            healthMonitoring: { isHealthy: () => true, getStatus: () => ({ healthy: true }) },
            // Nobody sits at a keyboard here, and nothing is traded by hand.
            keyboardInterface: { enabled: false },
            manualTrading: { enabled: false, awaitingConfirmation: false },
        },
    };
}
/**
 * Whether a signal keeps the limits of the configuration, where those are given:
 * `maxRiskPoints` (price units), `maxDollarRisk` and `maxPositionSize` (units).
 * A signal that names no figure for a limit is not held to it.
 */
function checkRisk(signal, config) {
    const figures = [
        ["riskPoints", signal["riskPoints"], config["maxRiskPoints"]],
        ["dollarRisk", signal["dollarRisk"], config["maxDollarRisk"]],
        ["positionSize", signal.positionSize, config["maxPositionSize"]],
    ];
    for (const [name, value, limit] of figures) {
        if (typeof value === "number" && typeof limit === "number" && !(value <= limit)) {
            return { allowed: false, reason: `${name} is ${value}, the limit is ${limit}` };
        }
    }
    return { allowed: true, reason: "" };
}
