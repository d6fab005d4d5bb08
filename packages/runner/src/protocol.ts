import type { StrategyHost } from "./host";

/** Where a protocol writes: standard output belongs to it alone, everything else is a log. */
export interface Output {
  /** One line on standard output. */
  line(text: string): void;
  /** One line on standard error, for people. */
  log(text: string): void;
}

/** What a protocol is given besides the host. */
export interface Settings {
  strategyPath: string;
  output: Output;
  /** Aborted when the runner is asked to end. */
  stop: AbortSignal;
}

/** Runs a host until it is asked to end. Raising means that nothing can go on. */
export type Protocol = (host: StrategyHost, settings: Settings) => Promise<void>;

/**
 * Give standard output to the protocol alone: what a strategy prints goes to standard error, so that
 * it cannot be taken for a message.
 */
export function takeStandardOutput(): Output {
  const write = process.stdout.write.bind(process.stdout);
  // When nobody reads any more there is nobody to tell, either.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  process.stdout.write = process.stderr.write.bind(process.stderr) as typeof process.stdout.write;
  return {
    line: (text) => void write(`${text}\n`),
    log: (text) => void process.stderr.write(`${text}\n`),
  };
}
