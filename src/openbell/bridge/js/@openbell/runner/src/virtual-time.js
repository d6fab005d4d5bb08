"use strict";
/** Time and chance that depend only on what is fed: for strategies that ask the machine for them. */
Object.defineProperty(exports, "__esModule", { value: true });
exports.installVirtualTime = installVirtualTime;
/**
 * Replace the clock and `Math.random` for the whole process. Timers keep running on real time.
 *
 * Must be called before the strategy is loaded: a module may keep `Date.now` when it is loaded.
 */
function installVirtualTime(startMs, seed = 1) {
    const RealDate = Date;
    const realNow = Date.now;
    const realRandom = Math.random;
    let nowMs = startMs;
    RealDate.now = () => nowMs;
    Math.random = seededRandom(seed);
    globalThis.Date = new Proxy(RealDate, {
        construct: (target, words, newTarget) => Reflect.construct(target, words.length === 0 ? [nowMs] : words, newTarget),
        apply: () => new RealDate(nowMs).toString(),
    });
    return {
        set: (ms) => void (nowMs = ms),
        restore: () => {
            globalThis.Date = RealDate;
            RealDate.now = realNow;
            Math.random = realRandom;
        },
    };
}
/** Numbers in [0, 1) that follow from the seed (mulberry32). */
function seededRandom(seed) {
    let state = seed >>> 0;
    return () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let mixed = Math.imul(state ^ (state >>> 15), state | 1);
        mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
        return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
    };
}
