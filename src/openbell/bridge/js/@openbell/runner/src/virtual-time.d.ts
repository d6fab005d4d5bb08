/** Time and chance that depend only on what is fed: for strategies that ask the machine for them. */
export interface VirtualTime {
    /** Set what `Date.now()` and `new Date()` say, in milliseconds since 1970 UTC. */
    set(ms: number): void;
    /** Give the machine's clock and chance back. */
    restore(): void;
}
/**
 * Replace the clock and `Math.random` for the whole process. Timers keep running on real time.
 *
 * Must be called before the strategy is loaded: a module may keep `Date.now` when it is loaded.
 */
export declare function installVirtualTime(startMs: number, seed?: number): VirtualTime;
