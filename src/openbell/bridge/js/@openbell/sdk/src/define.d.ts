import type { Indicator, KnownBar } from "./indicators";
import type { MainBot, Position, Signal, StrategyClass } from "./types";
/** What may stand in a strategy's parameters. */
export type Params = Record<string, number | string | boolean>;
/** Says more about a signal than its direction. Stop and target are prices. */
export interface Details {
    stopLoss?: number;
    takeProfit?: number;
    positionSize?: number;
    confidence?: string | number;
    reason?: string;
    [more: string]: unknown;
}
/** Where indicators are made, each once, before the first bar of a symbol. */
export interface Setup<P extends Params> {
    readonly symbol: string;
    readonly params: P;
    ema(n: number): Indicator;
    sma(n: number): Indicator;
    rsi(n: number): Indicator;
    atr(n: number): Indicator;
    highest(n: number): Indicator;
    lowest(n: number): Indicator;
}
/** What a strategy sees besides the bar, and how it makes a signal. */
export interface Context<P extends Params> {
    readonly symbol: string;
    readonly params: P;
    readonly position: Position | null;
    readonly mainBot: MainBot;
    long(details?: Details): Signal;
    short(details?: Details): Signal;
    close(details?: Details): Signal;
}
export interface Definition<P extends Params, S> {
    name: string;
    /** Defaults; a value of the same name and type in the configuration takes their place. */
    params?: P;
    /** Makes the indicators; they are updated with each bar, bars of history included. */
    setup?(setup: Setup<P>): S;
    /** Called with each new bar, as soon as all indicators are warm. */
    onBar(bar: KnownBar, context: Context<P>, state: S): Signal | null | void;
}
/** A strategy for any host of the bridge, from one function. */
export declare function defineStrategy<P extends Params = Record<string, never>, S = undefined>(definition: Definition<P, S>): StrategyClass;
