import type { MarketData, Signal } from "../../sdk/src/types";
import type { StrategyHost } from "./host";
/** BUY, SELL, HOLD or CLOSE: what a signal asks for, whichever of its two words it uses. */
export declare function actionOf(signal: Signal): string;
/** A signal in the form of `aggregator:signal:{botId}`; the strategy's own stands in `tsx_signal`. */
export declare function signalMessage(host: StrategyHost, signal: Signal, item: MarketData): object;
