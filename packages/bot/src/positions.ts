import type { Position, PositionManagement } from "../../sdk/src/types";

/** The open positions of one bot, and the answers to questions about them. */
export class PositionBook implements PositionManagement {
  private positions = new Map<string, Position>();

  constructor(private readonly symbol: string) {}

  /** Replace all positions by these; those of quantity 0 are no positions. */
  update(positions: readonly Position[]): void {
    const open = positions.filter((position) => position.quantity > 0);
    this.positions = new Map(open.map((position) => [position.symbol, position]));
  }

  /** Move an open position to a new price, so that its value and profit are today's. */
  mark(symbol: string, price: number): void {
    const held = this.positions.get(symbol);
    if (held) this.positions.set(symbol, valued({ ...held, currentPrice: price }));
  }

  hasPosition(symbol?: string): boolean {
    return this.getPosition(symbol) !== null;
  }

  getAllPositions(): Position[] {
    return [...this.positions.values()].map((position) => ({ ...position }));
  }

  getPosition(symbol: string = this.symbol): Position | null {
    const held = this.positions.get(symbol);
    return held ? { ...held } : null;
  }

  getPositionSize(symbol?: string): number {
    const held = this.getPosition(symbol);
    return held ? held.quantity * sign(held) : 0;
  }

  getTotalPositionValue(): number {
    return sum(this.getAllPositions().map((held) => held.quantity * held.currentPrice));
  }

  isLongPosition(symbol?: string): boolean {
    return this.getPosition(symbol)?.side === "LONG";
  }

  isShortPosition(symbol?: string): boolean {
    return this.getPosition(symbol)?.side === "SHORT";
  }

  getOpenPnL(symbol?: string): number {
    if (symbol !== undefined) return this.getPosition(symbol)?.pnl ?? 0;
    return sum(this.getAllPositions().map((held) => held.pnl));
  }
}

/** The position with profit in money and in percent of the entry, from its prices. */
export function valued(position: Position): Position {
  const { quantity, entryPrice, currentPrice } = position;
  const move = (currentPrice - entryPrice) * sign(position);
  const pnlPercent = entryPrice === 0 ? 0 : (move / Math.abs(entryPrice)) * 100;
  return { ...position, pnl: move * quantity, pnlPercent };
}

function sign(position: Position): 1 | -1 {
  return position.side === "LONG" ? 1 : -1;
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
