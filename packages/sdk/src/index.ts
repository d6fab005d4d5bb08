export { defineStrategy } from "./define";
export type { Context, Definition, Details, Params, Setup } from "./define";
export { Atr, Ema, Highest, Lowest, Rsi, Sma } from "./indicators";
export type { Indicator, KnownBar } from "./indicators";
export * from "./types";
