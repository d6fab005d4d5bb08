/**
 * Cuts a stream of bytes into lines of at most `limit` bytes. A longer line is not kept: null stands
 * for it, so that memory stays bounded whatever is sent. Empty lines are left out.
 */
export class LineReader {
  private parts: Buffer[] = [];
  private length = 0;

  constructor(private readonly limit: number) {}

  /** The lines that a piece of the stream completes. */
  push(chunk: Buffer): (string | null)[] {
    const lines: (string | null)[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      this.keep(chunk.subarray(start, end));
      lines.push(this.take());
      start = end + 1;
    }
    this.keep(chunk.subarray(start));
    return lines.filter((line) => line === null || line.trim() !== "");
  }

  private keep(part: Buffer): void {
    this.length += part.length;
    if (this.length > this.limit) this.parts = [];
    else this.parts.push(part);
  }

  private take(): string | null {
    const line = this.length > this.limit ? null : Buffer.concat(this.parts).toString("utf8");
    this.parts = [];
    this.length = 0;
    return line;
  }
}
