/** The host of one strategy: loads it, hands it history, feeds it, and turns its errors into values. */
import type { Bar, Config, MainBot, MarketData, Position, Signal } from "../../sdk/src/types";
import type { VirtualTime } from "./virtual-time";
/** What a strategy threw, and what it was doing. */
export interface Failure {
    error: string;
    stack: string;
    context: Record<string, unknown>;
}
/** What came of one piece of market data. After a failure `signal` is null. */
export interface Outcome {
    ready: boolean;
    signal: Signal | null;
    failure: Failure | null;
}
export interface HostStatistics {
    fed: number;
    signals: number;
    failures: number;
    historyBars: number;
    positionUpdates: number;
    /** Messages that broke a rule; they were answered or logged, and nothing else. */
    malformed: number;
}
export declare class StrategyHost {
    private readonly strategy;
    readonly name: string;
    readonly botId: string;
    readonly symbol: string;
    readonly config: Config;
    readonly mainBot: MainBot;
    private readonly book;
    private readonly time;
    /** Whether the strategy has what it needs to decide. */
    ready: boolean;
    readonly statistics: HostStatistics;
    private constructor();
    /**
     * Load a strategy file and make its strategy. Raises if the file cannot be loaded, holds no
     * strategy, or its constructor throws: nothing can be hosted then.
     *
     * @param config is the strategy's; of it the host reads `botId` and `symbol`.
     * @param time   moves with what is fed, if given; see `installVirtualTime`.
     */
    static load(path: string, config: Config, time?: VirtualTime | null): Promise<StrategyHost>;
    get hasProcessMarketData(): boolean;
    get hasAnalyze(): boolean;
    /**
     * How many bars of history the host should ask for: `historicalBarsBack` (50), or 0 for a strategy
     * that takes none.
     */
    get barsWanted(): number;
    /** Hand over history, oldest bar first. The outcome is ready if the strategy says it was enough. */
    initialise(bars: Bar[]): Promise<Outcome>;
    /** Wait for a strategy that brings its own history; one without `whenReady` is done at once. */
    whenReady(): Promise<Outcome>;
    /** Feed one piece of market data. Never raises: what the strategy throws is the outcome's failure. */
    feed(item: MarketData): Promise<Outcome>;
    /** Replace the positions that the strategy sees. */
    updatePositions(positions: readonly Position[]): void;
    /** Let the strategy close what it opened. */
    shutdown(): Promise<Outcome>;
    private ask;
    private guarded;
}
/** What was thrown as plain data, cut to a length that can be sent; a strategy may throw anything. */
export declare function failureOf(error: unknown, context: Record<string, unknown>): Failure;
