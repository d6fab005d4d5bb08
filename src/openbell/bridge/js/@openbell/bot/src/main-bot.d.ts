import type { Config, MainBot, RiskAnswer, Signal } from "../../sdk/src/types";
import type { PositionBook } from "./positions";
/** The `mainBot` that strategies are handed: plain answers from the position book, nothing remote. */
export declare function createMainBot(botId: string, symbol: string, config: Config, book: PositionBook): MainBot;
/**
 * Whether a signal keeps the limits of the configuration, where those are given:
 * `maxRiskPoints` (price units), `maxDollarRisk` and `maxPositionSize` (units).
 * A signal that names no figure for a limit is not held to it.
 */
export declare function checkRisk(signal: Signal, config: Config): RiskAnswer;
