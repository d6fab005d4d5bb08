/**
 * Indicators with the definitions of openbell's own (`openbell.backtest.kernels`), to the last bit:
 * the same additions in the same order. A value is NaN until the indicator is warm.
 */
/** A bar as indicators and strategies see it. `timestamp` is when it is known, in ms since 1970 UTC. */
export interface KnownBar {
    symbol: string;
    open: number;
    high: number;
    low: number;
    close: number;
    volume: number;
    timestamp: number;
}
export interface Indicator {
    /** NaN until warm. */
    readonly value: number;
    readonly ready: boolean;
    update(bar: KnownBar): void;
}
declare abstract class OverBars implements Indicator {
    protected readonly n: number;
    value: number;
    constructor(n: number);
    get ready(): boolean;
    abstract update(bar: KnownBar): void;
}
/** Exponential moving average: `s + α (x − s)`, α = 2 ÷ (n + 1), begun with the first close. */
export declare class Ema extends OverBars {
    private s;
    private seen;
    private readonly alpha;
    update({ close }: KnownBar): void;
}
/** The last n values, with their sum. */
declare class Ring {
    private readonly n;
    readonly values: Float64Array;
    sum: number;
    seen: number;
    private place;
    constructor(n: number);
    get full(): boolean;
    push(x: number): void;
}
declare abstract class OverRing extends OverBars {
    protected readonly ring: Ring;
    update(bar: KnownBar): void;
    protected abstract input(bar: KnownBar): number;
    protected abstract output(): number;
}
/** Simple moving average of the last n closes. */
export declare class Sma extends OverRing {
    protected input: (bar: KnownBar) => number;
    protected output: () => number;
}
/** Highest high of the last n bars. */
export declare class Highest extends OverRing {
    protected input: (bar: KnownBar) => number;
    protected output: () => number;
}
/** Lowest low of the last n bars. */
export declare class Lowest extends OverRing {
    protected input: (bar: KnownBar) => number;
    protected output: () => number;
}
/** Relative strength index (Wilder 1978), 0 to 100; 50 where nothing moved. Warm after n changes. */
export declare class Rsi extends OverBars {
    private last;
    private gain;
    private loss;
    private seen;
    update({ close }: KnownBar): void;
    private averaged;
}
/** Average true range (Wilder 1978), in price units. Warm after n ranges, of which the first bar has none. */
export declare class Atr extends OverBars {
    private last;
    private average;
    private seen;
    update({ high, low, close }: KnownBar): void;
}
export {};
