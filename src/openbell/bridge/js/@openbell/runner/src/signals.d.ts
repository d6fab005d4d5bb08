import type { Config, MarketData, Signal } from "../../sdk/src/types";
import type { StrategyHost } from "./host";
/** BUY, SELL, HOLD or CLOSE: what a signal asks for, whichever of its two words it uses. */
export declare function actionOf(signal: Signal): string;
/** Units of every signal: the original always says 100; how much is bought is decided elsewhere. */
export declare function sharesOf(config: Config): number;
/** A signal in the form of `aggregator:signal:{botId}`; the strategy's own stands in `tsx_signal`. */
export declare function signalMessage(host: StrategyHost, signal: Signal, item: MarketData): object;
