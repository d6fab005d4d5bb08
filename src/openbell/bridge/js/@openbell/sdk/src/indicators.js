"use strict";
/**
 * Indicators with the definitions of openbell's own (`openbell.backtest.kernels`), to the last bit:
 * the same additions in the same order. A value is NaN until the indicator is warm.
 */
Object.defineProperty(exports, "__esModule", { value: true });
exports.Atr = exports.Rsi = exports.Lowest = exports.Highest = exports.Sma = exports.Ema = void 0;
class OverBars {
    n;
    value = NaN;
    constructor(n) {
        this.n = n;
        if (!Number.isSafeInteger(n) || n < 1)
            throw new RangeError(`an indicator over ${n} bars`);
    }
    get ready() {
        return !Number.isNaN(this.value);
    }
}
/** Exponential moving average: `s + α (x − s)`, α = 2 ÷ (n + 1), begun with the first close. */
class Ema extends OverBars {
    s = 0;
    seen = 0;
    alpha = 2 / (this.n + 1);
    update({ close }) {
        this.s = this.seen === 0 ? close : this.s + this.alpha * (close - this.s);
        this.seen += 1;
        if (this.seen >= this.n)
            this.value = this.s;
    }
}
exports.Ema = Ema;
/** The last n values, with their sum. */
class Ring {
    n;
    values;
    sum = 0;
    seen = 0;
    place = 0;
    constructor(n) {
        this.n = n;
        this.values = new Float64Array(n);
    }
    get full() {
        return this.seen >= this.n;
    }
    push(x) {
        this.sum = this.sum + x - this.values[this.place];
        this.values[this.place] = x;
        this.place = (this.place + 1) % this.n;
        this.seen += 1;
        // Summed afresh once a round, so that errors of rounding do not pile up.
        if (this.place === 0)
            this.sum = this.values.reduce((total, value) => total + value, 0);
    }
}
class OverRing extends OverBars {
    ring = new Ring(this.n);
    update(bar) {
        this.ring.push(this.input(bar));
        if (this.ring.full)
            this.value = this.output();
    }
}
/** Simple moving average of the last n closes. */
class Sma extends OverRing {
    input = (bar) => bar.close;
    output = () => this.ring.sum / this.n;
}
exports.Sma = Sma;
/** Highest high of the last n bars. */
class Highest extends OverRing {
    input = (bar) => bar.high;
    output = () => Math.max(...this.ring.values);
}
exports.Highest = Highest;
/** Lowest low of the last n bars. */
class Lowest extends OverRing {
    input = (bar) => bar.low;
    output = () => Math.min(...this.ring.values);
}
exports.Lowest = Lowest;
/** Relative strength index (Wilder 1978), 0 to 100; 50 where nothing moved. Warm after n changes. */
class Rsi extends OverBars {
    last = 0;
    gain = 0;
    loss = 0;
    seen = 0;
    update({ close }) {
        const change = this.seen > 0 ? close - this.last : 0;
        this.gain = this.averaged(this.gain, Math.max(change, 0));
        this.loss = this.averaged(this.loss, Math.max(-change, 0));
        this.last = close;
        this.seen += 1;
        if (this.seen <= this.n)
            return;
        const moved = this.gain + this.loss;
        this.value = moved === 0 ? 50 : 100 * (this.gain / moved);
    }
    averaged(average, x) {
        return this.seen <= this.n ? average + x / this.n : (average * (this.n - 1) + x) / this.n;
    }
}
exports.Rsi = Rsi;
/** Average true range (Wilder 1978), in price units. Warm after n ranges, of which the first bar has none. */
class Atr extends OverBars {
    last = 0;
    average = 0;
    seen = 0;
    update({ high, low, close }) {
        if (this.seen > 0) {
            const reach = Math.max(high - low, Math.abs(high - this.last), Math.abs(low - this.last));
            const { average, n } = this;
            this.average = this.seen <= n ? average + reach / n : (average * (n - 1) + reach) / n;
        }
        this.last = close;
        this.seen += 1;
        if (this.seen > this.n)
            this.value = this.average;
    }
}
exports.Atr = Atr;
