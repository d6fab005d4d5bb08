/** Reading what comes from outside: every message is bounded, parsed and checked here, once. */
import type { Bar, Config, MarketData, Position } from "../../sdk/src/types";
/** The longest message that is read, in bytes. */
export declare const MESSAGE_BYTES_MAX: number;
/** A message breaks a rule; the text says which. */
export declare class MessageError extends Error {
    readonly requestId: string | null;
    /** @param requestId of the message, where it could be read, so that it can be answered. */
    constructor(text: string, requestId?: string | null);
}
/** The JSON object in a text. Raises MessageError if it is too long, no JSON, or no object. */
export declare function decode(text: string): Record<string, unknown>;
/** Market data from its wire form; `price` may stand as `close`, the time as ISO text or ms. */
export declare function readMarketData(raw: Record<string, unknown>, symbol: string): MarketData;
/** Positions from their wire form: a list, or an object that holds one as `positions`. */
export declare function readPositions(raw: unknown, symbol: string): Position[];
/**
 * The bars of a history answer: `{success, data: {bars}}`, the flat `{data: [bar, …]}`, or a list.
 * Raises MessageError with the service's text if the answer is a refusal.
 */
export declare function readHistory(raw: unknown): Bar[];
/** The text under a name, or the default where there is none; anything else is refused. */
export declare function textOf(config: Config, name: string, fallback: string): string;
/** The whole number from `low` on under a name, or the default where there is none. */
export declare function wholeOf(config: Config, name: string, fallback: number, low?: number): number;
/** Anything as a short text, for people; never raises. */
export declare function shown(value: unknown): string;
export declare function asObject(value: unknown, what: string): Record<string, unknown>;
export declare function asText(value: unknown, what: string): string;
/** Milliseconds since 1970 UTC from ISO text (without an offset it is UTC) or from milliseconds. */
export declare function asTime(value: unknown, what: string): number;
