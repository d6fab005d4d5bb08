/**
 * The original's Redis channels, one set per bot. History is asked for and waited for before the
 * runner says that it is ready; market data that comes earlier waits in line.
 */
import type { StrategyHost } from "./host";
import type { Settings } from "./protocol";
export declare function runRedis(host: StrategyHost, settings: Settings): Promise<void>;
