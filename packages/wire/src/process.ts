/** Aborted by SIGTERM or SIGINT; with `withParent` also when standard input ends. */
export function stopSignal(withParent: boolean): AbortSignal {
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());
  if (withParent) process.stdin.once("end", () => stop.abort()).resume();
  return stop.signal;
}

/** Resolves when a signal is aborted. */
export function aborted(stop: AbortSignal): Promise<void> {
  if (stop.aborted) return Promise.resolve();
  return new Promise((resolve) => stop.addEventListener("abort", () => resolve(), { once: true }));
}
