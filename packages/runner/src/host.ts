/** The host of one strategy: loads it, hands it history, feeds it, and turns its errors into values. */

import { createMainBot } from "../../bot/src/main-bot";
import { PositionBook } from "../../bot/src/positions";
import type {
  Bar, Config, HostedStrategy, MainBot, MarketData, Position, Signal, StrategyResult,
} from "../../sdk/src/types";
import { MESSAGE_BYTES_MAX, MessageError, asObject, shown, textOf, wholeOf } from "../../wire/src/messages";
import { importStrategy } from "./load";
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

export class StrategyHost {
  /** Whether the strategy has what it needs to decide. */
  ready = false;
  readonly statistics: HostStatistics = {
    fed: 0, signals: 0, failures: 0, historyBars: 0, positionUpdates: 0, malformed: 0,
  };

  private constructor(
    private readonly strategy: HostedStrategy,
    readonly name: string,
    readonly botId: string,
    readonly symbol: string,
    readonly config: Config,
    readonly mainBot: MainBot,
    private readonly book: PositionBook,
    private readonly time: VirtualTime | null,
  ) {}

  /**
   * Load a strategy file and make its strategy. Raises if the file cannot be loaded, holds no
   * strategy, or its constructor throws: nothing can be hosted then.
   *
   * @param config is the strategy's; of it the host reads `botId` and `symbol`.
   * @param time   moves with what is fed, if given; see `installVirtualTime`.
   */
  static async load(path: string, config: Config, time: VirtualTime | null = null): Promise<StrategyHost> {
    const botId = textOf(config, "botId", "backtest_bot_1");
    const symbol = textOf(config, "symbol", "NQ");
    const Strategy = await importStrategy(path);
    const book = new PositionBook(symbol);
    const mainBot = createMainBot(botId, symbol, config, book);
    const strategy = new Strategy(config, mainBot);
    if (!strategy.processMarketData && !strategy.analyze) {
      throw new MessageError(`${path}: the strategy has neither processMarketData nor analyze`);
    }
    const name = typeof strategy.name === "string" ? strategy.name : Strategy.name;
    return new StrategyHost(strategy, name, botId, symbol, config, mainBot, book, time);
  }

  get hasProcessMarketData(): boolean {
    return typeof this.strategy.processMarketData === "function";
  }

  get hasAnalyze(): boolean {
    return typeof this.strategy.analyze === "function";
  }

  /**
   * How many bars of history the host should ask for: `historicalBarsBack` (50), or 0 for a strategy
   * that takes none.
   */
  get barsWanted(): number {
    if (!this.strategy.initializeWithHistoricalData) return 0;
    return wholeOf(this.config, "historicalBarsBack", 50);
  }

  /** Hand over history, oldest bar first. The outcome is ready if the strategy says it was enough. */
  async initialise(bars: Bar[]): Promise<Outcome> {
    this.statistics.historyBars += bars.length;
    return this.guarded({ phase: "initialise", bars: bars.length }, async () => {
      const enough = await this.strategy.initializeWithHistoricalData?.(bars);
      return { ready: enough === true, signal: null };
    });
  }

  /** Wait for a strategy that brings its own history; one without `whenReady` is done at once. */
  async whenReady(): Promise<Outcome> {
    if (!this.strategy.whenReady) return { ready: this.ready, signal: null, failure: null };
    return this.guarded({ phase: "whenReady" }, async () => {
      await this.strategy.whenReady?.();
      return { ready: true, signal: null };
    });
  }

  /** Feed one piece of market data. Never raises: what the strategy throws is the outcome's failure. */
  async feed(item: MarketData): Promise<Outcome> {
    this.statistics.fed += 1;
    this.time?.set(item.timestamp);
    this.book.mark(item.symbol, item.price);
    const { symbol, price, timestamp } = item;
    const context = { phase: "feed", symbol, price, timestamp, fed: this.statistics.fed };
    return this.guarded(context, () => this.ask(item));
  }

  /** Replace the positions that the strategy sees. */
  updatePositions(positions: readonly Position[]): void {
    this.statistics.positionUpdates += 1;
    this.book.update(positions);
  }

  /** Let the strategy close what it opened. */
  async shutdown(): Promise<Outcome> {
    return this.guarded({ phase: "shutdown" }, async () => {
      await this.strategy.shutdown?.();
      return { ready: this.ready, signal: null };
    });
  }

  private ask(item: MarketData): ReturnType<NonNullable<HostedStrategy["analyze"]>> {
    const { strategy } = this;
    if (!strategy.processMarketData) return strategy.analyze?.(item);
    return strategy.processMarketData(item.price, item.volume, item.timestamp, item);
  }

  private async guarded(
    context: Record<string, unknown>,
    act: () => StrategyResult | null | undefined | Promise<StrategyResult | null | undefined>,
  ): Promise<Outcome> {
    try {
      // No answer means no change.
      const result = (await act()) ?? { ready: this.ready, signal: null };
      const signal = result.signal ? plain(result.signal) : null;
      this.ready = Boolean(result.ready);
      if (signal) this.statistics.signals += 1;
      return { ready: this.ready, signal, failure: null };
    } catch (error) {
      this.statistics.failures += 1;
      return { ready: this.ready, signal: null, failure: failureOf(error, context) };
    }
  }
}

/** A signal as it will travel, taken now: the strategy may go on changing its own. */
function plain(signal: unknown): Signal {
  const text = JSON.stringify(signal);
  const bytes = Buffer.byteLength(text ?? "");
  if (bytes > MESSAGE_BYTES_MAX) throw new RangeError(`signal of ${bytes} bytes, the limit is ${MESSAGE_BYTES_MAX}`);
  return asObject(JSON.parse(text ?? "null"), "signal") as Signal;
}

/** What was thrown as plain data, cut to a length that can be sent; a strategy may throw anything. */
export function failureOf(error: unknown, context: Record<string, unknown>): Failure {
  if (!(error instanceof Error)) return { error: shown(error), stack: "", context };
  // Where a message was refused is our own place, which is of no use to anybody.
  const stack = error instanceof MessageError ? "" : shown(error.stack);
  return { error: shown(error.message), stack, context };
}
