import { Atr, Ema, Highest, Lowest, Rsi, Sma } from "./indicators";
import type { Indicator, KnownBar } from "./indicators";
import type { Bar, Config, HostedStrategy, MainBot, MarketData, Position, Signal, StrategyClass, StrategyResult } from "./types";

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
export function defineStrategy<P extends Params = Record<string, never>, S = undefined>(
  definition: Definition<P, S>,
): StrategyClass {
  return class Defined extends DefinedStrategy<P, S> {
    constructor(config: Config, mainBot: MainBot) {
      super(definition, config, mainBot);
    }
  };
}

class DefinedStrategy<P extends Params, S> implements HostedStrategy {
  readonly name: string;
  private readonly params: P;
  private readonly tracks = new Map<string, Track<P, S>>();

  constructor(
    private readonly definition: Definition<P, S>,
    config: Config,
    private readonly mainBot: MainBot,
  ) {
    this.name = definition.name;
    this.params = configured(definition.params ?? ({} as P), config);
  }

  initializeWithHistoricalData(bars: Bar[]): boolean {
    const track = this.track(this.mainBot.symbol);
    for (const bar of bars) track.learn(fromHistory(this.mainBot.symbol, bar));
    return track.warm;
  }

  processMarketData(price: number, volume: number, timestamp: number, item?: MarketData): StrategyResult {
    const symbol = item?.symbol ?? this.mainBot.symbol;
    const bar = { open: price, high: price, low: price, close: price, ...item, symbol, volume, timestamp };
    const track = this.track(symbol);
    track.learn(bar);
    if (!track.warm) return { ready: false, signal: null };
    const signal = this.definition.onBar(bar, this.context(bar), track.state) ?? null;
    return { ready: true, signal };
  }

  private track(symbol: string): Track<P, S> {
    let track = this.tracks.get(symbol);
    if (!track) this.tracks.set(symbol, (track = new Track(symbol, this.params, this.definition)));
    return track;
  }

  private context(bar: KnownBar): Context<P> {
    const { params, mainBot } = this;
    const signal = (direction: string, details: Details = {}): Signal => ({
      direction,
      confidence: "HIGH",
      entryPrice: bar.close,
      timestamp: bar.timestamp,
      strategyName: this.name,
      ...details,
    });
    return {
      symbol: bar.symbol,
      params,
      mainBot,
      position: mainBot.modules.positionManagement.getPosition(bar.symbol),
      long: (details) => signal("LONG", details),
      short: (details) => signal("SHORT", details),
      close: (details) => signal("CLOSE_POSITION", details),
    };
  }
}

/** The indicators of one symbol and what the strategy keeps of it. */
class Track<P extends Params, S> {
  readonly state: S;
  private readonly indicators: Indicator[] = [];

  constructor(symbol: string, params: P, definition: Definition<P, S>) {
    const keep = (indicator: Indicator) => (this.indicators.push(indicator), indicator);
    this.state = definition.setup?.({
      symbol,
      params,
      ema: (n) => keep(new Ema(n)),
      sma: (n) => keep(new Sma(n)),
      rsi: (n) => keep(new Rsi(n)),
      atr: (n) => keep(new Atr(n)),
      highest: (n) => keep(new Highest(n)),
      lowest: (n) => keep(new Lowest(n)),
    }) as S;
  }

  get warm(): boolean {
    return this.indicators.every((indicator) => indicator.ready);
  }

  learn(bar: KnownBar): void {
    for (const indicator of this.indicators) indicator.update(bar);
  }
}

function configured<P extends Params>(defaults: P, config: Config): P {
  const found: Params = {};
  for (const [name, value] of Object.entries(defaults)) {
    const given = config[name] ?? value;
    if (typeof given !== typeof value) {
      throw new TypeError(`${name} is ${JSON.stringify(given)}; it must be a ${typeof value}`);
    }
    found[name] = given as Params[string];
  }
  return found as P;
}

function fromHistory(symbol: string, bar: Bar): KnownBar {
  const timestamp = typeof bar.t === "number" ? bar.t : Date.parse(bar.t);
  return { symbol, open: bar.o, high: bar.h, low: bar.l, close: bar.c, volume: bar.v, timestamp };
}
