"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.Inbox = void 0;
/** Messages that wait for their turn: handled one at a time, in order, so many at most. */
class Inbox {
    limit;
    handle;
    onError;
    waiting = [];
    busy = false;
    open = false;
    /** Messages that found no place. */
    dropped = 0;
    /** @param handle must not raise; what it raises is given to `onError`. */
    constructor(limit, handle, onError) {
        this.limit = limit;
        this.handle = handle;
        this.onError = onError;
    }
    /** Put a message in line; false if there is no place. */
    put(message) {
        if (this.waiting.length >= this.limit) {
            this.dropped += 1;
            return false;
        }
        this.waiting.push(message);
        void this.work();
        return true;
    }
    /** Begin with what has come in so far. */
    start() {
        this.open = true;
        void this.work();
    }
    async work() {
        if (this.busy || !this.open)
            return;
        this.busy = true;
        try {
            for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
                await this.handle(next);
            }
        }
        catch (error) {
            this.onError(error);
        }
        finally {
            this.busy = false;
        }
    }
}
exports.Inbox = Inbox;
