/** The channels of the original bot. The Python side has the same names; a test compares them. */
export declare const HISTORY_REQUEST = "aggregator:historical-data:request";
export declare const HISTORY_RESPONSE = "aggregator:historical-data:response";
export declare const STRATEGY_READY = "aggregator:strategy-ready";
export declare const POSITION_RESPONSE = "aggregator:position:response";
export declare const BOT_POSITION_UPDATE = "bot:position:update";
export declare const BOT_MARKET_DATA = "bot:market-data";
export declare const BOT_RISK_CHECK = "bot:risk:check";
/** Not of the original, where a risk question has no answer of its own. */
export declare const BOT_RISK_RESPONSE = "bot:risk:response";
export declare const BOT_STATUS = "bot:status";
/** What the mock bot passes on from strategies; it adds its `botId`. */
export declare const TO_AGGREGATOR: ReadonlyMap<string, string>;
/** What it passes back, unchanged. */
export declare const TO_BOT: ReadonlyMap<string, string>;
export declare const marketDataOf: (botId: string) => string;
export declare const simulationOf: (botId: string) => string;
export declare const signalOf: (botId: string) => string;
/** Not of the original: what a strategy threw, with its stack. */
export declare const errorOf: (botId: string) => string;
export declare const statusKeyOf: (botId: string) => string;
