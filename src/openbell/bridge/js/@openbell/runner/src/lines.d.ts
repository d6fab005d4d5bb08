/**
 * Cuts a stream of bytes into lines of at most `limit` bytes. A longer line is not kept: null stands
 * for it, so that memory stays bounded whatever is sent. Empty lines are left out.
 */
export declare class LineReader {
    private readonly limit;
    private parts;
    private length;
    constructor(limit: number);
    /** The lines that a piece of the stream completes. */
    push(chunk: Buffer): (string | null)[];
    private keep;
    private take;
}
