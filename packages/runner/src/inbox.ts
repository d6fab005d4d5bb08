/** Messages that wait for their turn: handled one at a time, in order, so many at most. */
export class Inbox<T> {
  private readonly waiting: T[] = [];
  private busy = false;
  private open = false;
  /** Messages that found no place. */
  dropped = 0;

  /** @param handle must not raise; what it raises is given to `onError`. */
  constructor(
    private readonly limit: number,
    private readonly handle: (message: T) => Promise<void>,
    private readonly onError: (error: unknown) => void,
  ) {}

  /** Put a message in line; false if there is no place. */
  put(message: T): boolean {
    if (this.waiting.length >= this.limit) {
      this.dropped += 1;
      return false;
    }
    this.waiting.push(message);
    void this.work();
    return true;
  }

  /** Begin with what has come in so far. */
  start(): void {
    this.open = true;
    void this.work();
  }

  private async work(): Promise<void> {
    if (this.busy || !this.open) return;
    this.busy = true;
    try {
      for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
        await this.handle(next);
      }
    } catch (error) {
      this.onError(error);
    } finally {
      this.busy = false;
    }
  }
}
