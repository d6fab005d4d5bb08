/** Aborted by SIGTERM or SIGINT; with `withParent` also when standard input ends. */
export declare function stopSignal(withParent: boolean): AbortSignal;
/** Resolves when a signal is aborted. */
export declare function aborted(stop: AbortSignal): Promise<void>;
