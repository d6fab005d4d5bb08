"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.PositionBook = void 0;
exports.valued = valued;
/** The open positions of one bot, and the answers to questions about them. */
class PositionBook {
    symbol;
    positions = new Map();
    constructor(symbol) {
        this.symbol = symbol;
    }
    /** Replace all positions by these; those of quantity 0 are no positions. */
    update(positions) {
        const open = positions.filter((position) => position.quantity > 0);
        this.positions = new Map(open.map((position) => [position.symbol, position]));
    }
    /** Move an open position to a new price, so that its value and profit are today's. */
    mark(symbol, price) {
        const held = this.positions.get(symbol);
        if (held)
            this.positions.set(symbol, valued({ ...held, currentPrice: price }));
    }
    hasPosition(symbol) {
        return this.getPosition(symbol) !== null;
    }
    getAllPositions() {
        return [...this.positions.values()].map((position) => ({ ...position }));
    }
    getPosition(symbol = this.symbol) {
        const held = this.positions.get(symbol);
        return held ? { ...held } : null;
    }
    getPositionSize(symbol) {
        const held = this.getPosition(symbol);
        return held ? held.quantity * sign(held) : 0;
    }
    getTotalPositionValue() {
        return sum(this.getAllPositions().map((held) => held.quantity * held.currentPrice));
    }
    isLongPosition(symbol) {
        return this.getPosition(symbol)?.side === "LONG";
    }
    isShortPosition(symbol) {
        return this.getPosition(symbol)?.side === "SHORT";
    }
    getOpenPnL(symbol) {
        if (symbol !== undefined)
            return this.getPosition(symbol)?.pnl ?? 0;
        return sum(this.getAllPositions().map((held) => held.pnl));
    }
}
exports.PositionBook = PositionBook;
/** The position with profit in money and in percent of the entry, from its prices. */
function valued(position) {
    const { quantity, entryPrice, currentPrice } = position;
    const move = (currentPrice - entryPrice) * sign(position);
    const pnlPercent = entryPrice === 0 ? 0 : (move / Math.abs(entryPrice)) * 100;
    return { ...position, pnl: move * quantity, pnlPercent };
}
function sign(position) {
    return position.side === "LONG" ? 1 : -1;
}
function sum(values) {
    return values.reduce((total, value) => total + value, 0);
}
