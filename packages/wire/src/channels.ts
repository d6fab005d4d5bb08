/** The channels of the original bot. The Python side has the same names; a test compares them. */

export const HISTORY_REQUEST = "aggregator:historical-data:request";
export const HISTORY_RESPONSE = "aggregator:historical-data:response";
export const STRATEGY_READY = "aggregator:strategy-ready";
export const POSITION_RESPONSE = "aggregator:position:response";
export const BOT_POSITION_UPDATE = "bot:position:update";
export const BOT_MARKET_DATA = "bot:market-data";
export const BOT_RISK_CHECK = "bot:risk:check";
/** Not of the original, where a risk question has no answer of its own. */
export const BOT_RISK_RESPONSE = "bot:risk:response";
export const BOT_STATUS = "bot:status";

/** What the mock bot passes on from strategies; it adds its `botId`. */
export const TO_AGGREGATOR: ReadonlyMap<string, string> = pairs("bot", "aggregator", [
  "signal",
  "trade:request",
  "position:update",
  "historical-data:request",
  "strategy:status",
  "risk:check",
]);

/** What it passes back, unchanged. */
export const TO_BOT: ReadonlyMap<string, string> = pairs("aggregator", "bot", [
  "signal:response",
  "trade:response",
  "position:response",
  "historical-data:response",
]);

export const marketDataOf = (botId: string) => `aggregator:market-data:${botId}`;
export const simulationOf = (botId: string) => `aggregator:simulation:${botId}`;
export const signalOf = (botId: string) => `aggregator:signal:${botId}`;
/** Not of the original: what a strategy threw, with its stack. */
export const errorOf = (botId: string) => `aggregator:strategy-error:${botId}`;
export const statusKeyOf = (botId: string) => `bot:${botId}:status`;

function pairs(from: string, to: string, names: string[]): ReadonlyMap<string, string> {
  return new Map(names.map((name) => [`${from}:${name}`, `${to}:${name}`]));
}
