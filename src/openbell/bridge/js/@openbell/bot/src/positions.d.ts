import type { Position, PositionManagement } from "../../sdk/src/types";
/** The open positions of one bot, and the answers to questions about them. */
export declare class PositionBook implements PositionManagement {
    private readonly symbol;
    private positions;
    constructor(symbol: string);
    /** Replace all positions by these; those of quantity 0 are no positions. */
    update(positions: readonly Position[]): void;
    /** Move an open position to a new price, so that its value and profit are today's. */
    mark(symbol: string, price: number): void;
    hasPosition(symbol?: string): boolean;
    getAllPositions(): Position[];
    getPosition(symbol?: string): Position | null;
    getPositionSize(symbol?: string): number;
    getTotalPositionValue(): number;
    isLongPosition(symbol?: string): boolean;
    isShortPosition(symbol?: string): boolean;
    getOpenPnL(symbol?: string): number;
}
/** The position with profit in money and in percent of the entry, from its prices. */
export declare function valued(position: Position): Position;
