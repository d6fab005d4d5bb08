/** Aborted by SIGTERM or SIGINT; with `withParent` also when standard input ends. */
export declare function stopSignal(withParent: boolean): AbortSignal;
/** Resolves when a signal is aborted. */
export declare function aborted(stop: AbortSignal): Promise<void>;
/** The value of a promise, or null if it takes longer. */
export declare function within<T>(ms: number, promise: Promise<T>): Promise<T | null>;
