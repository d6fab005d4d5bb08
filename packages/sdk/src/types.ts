/**
 * What a strategy and its host say to each other.
 *
 * Prices are in the instrument's quote currency, times in milliseconds since 1970-01-01 UTC unless
 * a field says ISO text.
 */

/** One bar of history, oldest first in a list. `t` is its start: ISO text, or milliseconds. */
export interface Bar {
  t: string | number;
  o: number;
  h: number;
  l: number;
  c: number;
  v: number;
}

/** One piece of market data. For a bar, `price` is its close and `timestamp` the moment it is known. */
export interface MarketData {
  symbol: string;
  price: number;
  volume: number;
  /** Milliseconds since 1970-01-01 UTC. */
  timestamp: number;
  open?: number;
  high?: number;
  low?: number;
  close?: number;
}

export type Side = "LONG" | "SHORT";

/** One open position. `quantity` is never negative; `side` gives the direction. */
export interface Position {
  symbol: string;
  side: Side;
  quantity: number;
  entryPrice: number;
  currentPrice: number;
  stopLoss: number | null;
  takeProfit: number | null;
  timestamp: string | number | null;
  pnl: number;
  pnlPercent: number;
}

/** What a strategy wants done. Only `direction` (or `action`) is needed; the rest says it precisely. */
export interface Signal {
  /** LONG, SHORT, CLOSE_POSITION; `action` (BUY, SELL, HOLD, CLOSE) is taken in its place. */
  direction?: string;
  action?: string;
  confidence?: string | number;
  entryPrice?: number;
  stopLoss?: number | null;
  takeProfit?: number | null;
  positionSize?: number;
  timestamp?: number;
  reason?: string;
  strategyName?: string;
  [more: string]: unknown;
}

/** What comes back for one piece of market data. */
export interface StrategyResult {
  /** Whether the strategy has seen enough to decide. */
  ready: boolean;
  signal: Signal | null;
  [more: string]: unknown;
}

export type Config = Record<string, unknown>;

/** The answer to a risk question. `reason` is empty when it is allowed. */
export interface RiskAnswer {
  allowed: boolean;
  reason: string;
}

/** The questions a strategy may ask about positions. Without a symbol they mean the bot's own. */
export interface PositionManagement {
  hasPosition(symbol?: string): boolean;
  getAllPositions(): Position[];
  getPosition(symbol?: string): Position | null;
  /** Units held; negative when short, 0 without a position. */
  getPositionSize(symbol?: string): number;
  /** Sum of quantity × current price over all positions. */
  getTotalPositionValue(): number;
  isLongPosition(symbol?: string): boolean;
  isShortPosition(symbol?: string): boolean;
  /** Profit of the open position; of all positions without a symbol. */
  getOpenPnL(symbol?: string): number;
}

/** The bot that a strategy is handed when it is made. */
export interface MainBot {
  botId: string;
  symbol: string;
  modules: {
    positionManagement: PositionManagement;
    riskManagement: { checkRisk(signal: Signal): RiskAnswer };
    healthMonitoring: { isHealthy(): boolean; getStatus(): { healthy: boolean } };
    keyboardInterface: { enabled: boolean };
    manualTrading: { enabled: boolean; awaitingConfirmation: boolean };
  };
}

/** A strategy as its host sees it. Every method is optional, but it must take market data somehow. */
export interface HostedStrategy {
  name?: string;
  /** Takes bars, oldest first; false when they were not enough. */
  initializeWithHistoricalData?(bars: Bar[]): boolean | Promise<boolean>;
  processMarketData?(
    price: number,
    volume: number,
    timestamp: number,
    item?: MarketData,
  ): StrategyResult | null | undefined | Promise<StrategyResult | null | undefined>;
  /** Used where there is no `processMarketData`. */
  analyze?(
    item: MarketData,
  ): StrategyResult | null | undefined | Promise<StrategyResult | null | undefined>;
  /** Awaited before the host reports ready: for a strategy that brings its own history. */
  whenReady?(): Promise<unknown>;
  /** Called when the host ends, to close connections of its own. */
  shutdown?(): void | Promise<void>;
}

export type StrategyClass = new (config: Config, mainBot: MainBot) => HostedStrategy;
