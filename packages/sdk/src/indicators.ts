/**
 * Indicators with the definitions of openbell's own (`openbell.backtest.kernels`), to the last bit:
 * the same additions in the same order. A value is NaN until the indicator is warm.
 */

/** A bar as indicators and strategies see it. `timestamp` is when it is known, in ms since 1970 UTC. */
export interface KnownBar {
  symbol: string;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  timestamp: number;
}

export interface Indicator {
  /** NaN until warm. */
  readonly value: number;
  readonly ready: boolean;
  update(bar: KnownBar): void;
}

abstract class OverBars implements Indicator {
  value = NaN;

  constructor(protected readonly n: number) {
    if (!Number.isSafeInteger(n) || n < 1) throw new RangeError(`an indicator over ${n} bars`);
  }

  get ready(): boolean {
    return !Number.isNaN(this.value);
  }

  abstract update(bar: KnownBar): void;
}

/** Exponential moving average: `s + α (x − s)`, α = 2 ÷ (n + 1), begun with the first close. */
export class Ema extends OverBars {
  private s = 0;
  private seen = 0;
  private readonly alpha = 2 / (this.n + 1);

  update({ close }: KnownBar): void {
    this.s = this.seen === 0 ? close : this.s + this.alpha * (close - this.s);
    this.seen += 1;
    if (this.seen >= this.n) this.value = this.s;
  }
}

/** The last n values, with their sum. */
class Ring {
  readonly values: Float64Array;
  sum = 0;
  seen = 0;
  private place = 0;

  constructor(private readonly n: number) {
    this.values = new Float64Array(n);
  }

  get full(): boolean {
    return this.seen >= this.n;
  }

  push(x: number): void {
    this.sum = this.sum + x - (this.values[this.place] as number);
    this.values[this.place] = x;
    this.place = (this.place + 1) % this.n;
    this.seen += 1;
    // Summed afresh once a round, so that errors of rounding do not pile up.
    if (this.place === 0) this.sum = this.values.reduce((total, value) => total + value, 0);
  }
}

abstract class OverRing extends OverBars {
  protected readonly ring = new Ring(this.n);

  update(bar: KnownBar): void {
    this.ring.push(this.input(bar));
    if (this.ring.full) this.value = this.output();
  }

  protected abstract input(bar: KnownBar): number;
  protected abstract output(): number;
}

/** Simple moving average of the last n closes. */
export class Sma extends OverRing {
  protected input = (bar: KnownBar) => bar.close;
  protected output = () => this.ring.sum / this.n;
}

/** Highest high of the last n bars. */
export class Highest extends OverRing {
  protected input = (bar: KnownBar) => bar.high;
  protected output = () => Math.max(...this.ring.values);
}

/** Lowest low of the last n bars. */
export class Lowest extends OverRing {
  protected input = (bar: KnownBar) => bar.low;
  protected output = () => Math.min(...this.ring.values);
}

/** Relative strength index (Wilder 1978), 0 to 100; 50 where nothing moved. Warm after n changes. */
export class Rsi extends OverBars {
  private last = 0;
  private gain = 0;
  private loss = 0;
  private seen = 0;

  update({ close }: KnownBar): void {
    const change = this.seen > 0 ? close - this.last : 0;
    this.gain = this.averaged(this.gain, Math.max(change, 0));
    this.loss = this.averaged(this.loss, Math.max(-change, 0));
    this.last = close;
    this.seen += 1;
    if (this.seen <= this.n) return;
    const moved = this.gain + this.loss;
    this.value = moved === 0 ? 50 : 100 * (this.gain / moved);
  }

  private averaged(average: number, x: number): number {
    return this.seen <= this.n ? average + x / this.n : (average * (this.n - 1) + x) / this.n;
  }
}

/** Average true range (Wilder 1978), in price units. Warm after n ranges, of which the first bar has none. */
export class Atr extends OverBars {
  private last = 0;
  private average = 0;
  private seen = 0;

  update({ high, low, close }: KnownBar): void {
    if (this.seen > 0) {
      const reach = Math.max(high - low, Math.abs(high - this.last), Math.abs(low - this.last));
      const { average, n } = this;
      this.average = this.seen <= n ? average + reach / n : (average * (n - 1) + reach) / n;
    }
    this.last = close;
    this.seen += 1;
    if (this.seen > this.n) this.value = this.average;
  }
}
