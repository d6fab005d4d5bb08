"use strict";
/** Reading what comes from outside: every message is bounded, parsed and checked here, once. */
Object.defineProperty(exports, "__esModule", { value: true });
exports.MessageError = exports.MESSAGE_BYTES_MAX = void 0;
exports.decode = decode;
exports.readMarketData = readMarketData;
exports.readPositions = readPositions;
exports.readHistory = readHistory;
exports.textOf = textOf;
exports.wholeOf = wholeOf;
exports.shown = shown;
exports.asObject = asObject;
exports.asText = asText;
exports.asTime = asTime;
/** The longest message that is read, in bytes. */
exports.MESSAGE_BYTES_MAX = 1024 * 1024;
const SHOWN_MAX = 10_000;
/** Times are kept within the years 1 to 9999. */
const TIME_MS_MAX = 253_402_300_799_999;
/** A message breaks a rule; the text says which. */
class MessageError extends Error {
    requestId;
    /** @param requestId of the message, where it could be read, so that it can be answered. */
    constructor(text, requestId = null) {
        super(text);
        this.requestId = requestId;
        this.name = "MessageError";
    }
}
exports.MessageError = MessageError;
/** The JSON object in a text. Raises MessageError if it is too long, no JSON, or no object. */
function decode(text) {
    const bytes = Buffer.byteLength(text);
    if (bytes > exports.MESSAGE_BYTES_MAX) {
        throw new MessageError(`message of ${bytes} bytes, the limit is ${exports.MESSAGE_BYTES_MAX}`);
    }
    let value;
    try {
        value = JSON.parse(text);
    }
    catch {
        throw new MessageError("message is not JSON");
    }
    return asObject(value, "message");
}
/** Market data from its wire form; `price` may stand as `close`, the time as ISO text or ms. */
function readMarketData(raw, symbol) {
    const price = raw["price"] ?? raw["close"];
    const item = {
        symbol: asText(raw["symbol"] ?? symbol, "symbol"),
        price: asNumber(price, "price"),
        volume: asSize(raw["volume"] ?? 0, "volume"),
        timestamp: asTime(raw["timestamp"], "timestamp"),
    };
    for (const name of ["open", "high", "low", "close"]) {
        if (raw[name] !== undefined && raw[name] !== null)
            item[name] = asNumber(raw[name], name);
    }
    return item;
}
/** Positions from their wire form: a list, or an object that holds one as `positions`. */
function readPositions(raw, symbol) {
    const list = Array.isArray(raw) ? raw : asObject(raw, "position update")["positions"];
    if (!Array.isArray(list))
        throw new MessageError("positions is not a list");
    return list.map((entry) => readPosition(asObject(entry, "position"), symbol));
}
function readPosition(raw, symbol) {
    const entryPrice = asNumber(raw["entryPrice"] ?? raw["entry_price"] ?? 0, "entryPrice");
    const quantity = asNumber(raw["quantity"] ?? raw["size"] ?? 0, "quantity");
    return {
        symbol: asText(raw["symbol"] ?? symbol, "symbol"),
        side: asSide(raw["side"] ?? raw["direction"] ?? (quantity < 0 ? "SHORT" : "LONG")),
        quantity: Math.abs(quantity),
        entryPrice,
        currentPrice: asNumber(raw["currentPrice"] ?? raw["current_price"] ?? entryPrice, "currentPrice"),
        stopLoss: asOptional(raw["stopLoss"] ?? raw["stop_loss"], "stopLoss"),
        takeProfit: asOptional(raw["takeProfit"] ?? raw["take_profit"], "takeProfit"),
        timestamp: asStamp(raw["timestamp"]),
        pnl: asNumber(raw["pnl"] ?? 0, "pnl"),
        pnlPercent: asNumber(raw["pnlPercent"] ?? 0, "pnlPercent"),
    };
}
/**
 * The bars of a history answer: `{success, data: {bars}}`, the flat `{data: [bar, …]}`, or a list.
 * Raises MessageError with the service's text if the answer is a refusal.
 */
function readHistory(raw) {
    if (Array.isArray(raw))
        return raw.map(readBar);
    const answer = asObject(raw, "history answer");
    if (answer["success"] === false) {
        throw new MessageError(`history was refused: ${shown(answer["error"])}`);
    }
    const data = answer["data"] ?? answer["bars"];
    const bars = Array.isArray(data) ? data : asObject(data, "history data")["bars"];
    if (!Array.isArray(bars))
        throw new MessageError("history answer holds no list of bars");
    return bars.map(readBar);
}
function readBar(raw) {
    const bar = asObject(raw, "bar");
    const close = asNumber(bar["c"] ?? bar["close"], "close");
    return {
        t: asStamp(bar["t"] ?? bar["timestamp"]) ?? "",
        o: asNumber(bar["o"] ?? bar["open"] ?? close, "open"),
        h: asNumber(bar["h"] ?? bar["high"] ?? close, "high"),
        l: asNumber(bar["l"] ?? bar["low"] ?? close, "low"),
        c: close,
        v: asSize(bar["v"] ?? bar["volume"] ?? 0, "volume"),
    };
}
/** The text under a name, or the default where there is none; anything else is refused. */
function textOf(config, name, fallback) {
    return asText(config[name] ?? fallback, name);
}
/** The whole number from `low` on under a name, or the default where there is none. */
function wholeOf(config, name, fallback, low = 0) {
    const value = asNumber(config[name] ?? fallback, name);
    if (!Number.isSafeInteger(value) || value < low) {
        throw new MessageError(`${name} is ${value}; it must be a whole number from ${low} on`);
    }
    return value;
}
/** Anything as a short text, for people; never raises. */
function shown(value) {
    try {
        return (typeof value === "object" ? JSON.stringify(value) : String(value)).slice(0, SHOWN_MAX);
    }
    catch {
        return "something that cannot be shown";
    }
}
function asObject(value, what) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
        throw new MessageError(`${what} is no object`);
    }
    return value;
}
function asText(value, what) {
    if (typeof value !== "string" || value === "")
        throw new MessageError(`${what} is no text`);
    return value;
}
function asNumber(value, what) {
    if (typeof value !== "number" || !Number.isFinite(value)) {
        throw new MessageError(`${what} is no number`);
    }
    return value;
}
function asSize(value, what) {
    const size = asNumber(value, what);
    if (size < 0)
        throw new MessageError(`${what} is ${size}; it cannot be negative`);
    return size;
}
function asOptional(value, what) {
    return value === undefined || value === null ? null : asNumber(value, what);
}
function asSide(value) {
    const text = typeof value === "string" ? value.toUpperCase() : "";
    if (text === "LONG" || text === "BUY")
        return "LONG";
    if (text === "SHORT" || text === "SELL")
        return "SHORT";
    throw new MessageError(`side is ${shown(value)}; it must be LONG or SHORT`);
}
function asStamp(value) {
    if (value === undefined || value === null)
        return null;
    if (typeof value === "string" || typeof value === "number")
        return value;
    throw new MessageError("timestamp is neither text nor number");
}
/** Milliseconds since 1970 UTC from ISO text (without an offset it is UTC) or from milliseconds. */
function asTime(value, what) {
    const ms = typeof value === "string" ? Date.parse(zoned(value)) : value;
    if (typeof ms !== "number" || !Number.isFinite(ms) || Math.abs(ms) > TIME_MS_MAX) {
        throw new MessageError(`${what} is no time: ISO text or milliseconds since 1970`);
    }
    return ms;
}
function zoned(text) {
    // JavaScript reads a date-time without an offset as local time; there is none of that here.
    return /[T ]\d\d:/.test(text) && !/(Z|[+-]\d\d:?\d\d)$/i.test(text) ? `${text}Z` : text;
}
