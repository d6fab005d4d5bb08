"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.stopSignal = stopSignal;
exports.aborted = aborted;
exports.within = within;
/** Aborted by SIGTERM or SIGINT; with `withParent` also when standard input ends. */
function stopSignal(withParent) {
    const stop = new AbortController();
    for (const signal of ["SIGTERM", "SIGINT"])
        process.once(signal, () => stop.abort());
    if (withParent)
        process.stdin.once("end", () => stop.abort()).resume();
    return stop.signal;
}
/** Resolves when a signal is aborted. */
function aborted(stop) {
    if (stop.aborted)
        return Promise.resolve();
    return new Promise((resolve) => stop.addEventListener("abort", () => resolve(), { once: true }));
}
/** The value of a promise, or null if it takes longer. */
async function within(ms, promise) {
    let timer;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, ms, null)));
    try {
        return await Promise.race([promise, late]);
    }
    finally {
        clearTimeout(timer);
    }
}
