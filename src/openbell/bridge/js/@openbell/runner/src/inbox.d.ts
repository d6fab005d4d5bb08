/** Messages that wait for their turn: handled one at a time, in order, so many at most. */
export declare class Inbox<T> {
    private readonly limit;
    private readonly handle;
    private readonly onError;
    private readonly waiting;
    private busy;
    private open;
    /** Messages that found no place. */
    dropped: number;
    /** @param handle must not raise; what it raises is given to `onError`. */
    constructor(limit: number, handle: (message: T) => Promise<void>, onError: (error: unknown) => void);
    /** Put a message in line; false if there is no place. */
    put(message: T): boolean;
    /** Begin with what has come in so far. */
    start(): void;
    private work;
}
