import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

import type { StrategyClass } from "../../sdk/src/types";

/**
 * The strategy class of a file: what it exports (`module.exports = class …`, `export default`), or
 * among its named exports the only class that takes market data, or the only class.
 */
export async function importStrategy(path: string): Promise<StrategyClass> {
  const found = exported(await import(pathToFileURL(resolve(path)).href));
  const taking = found.filter(takesMarketData);
  const [first, ...others] = taking.length > 0 ? taking : found;
  if (!first || others.length > 0) {
    throw new TypeError(
      `${path} exports ${found.length} classes; write \`module.exports = class MyStrategy {…}\``,
    );
  }
  return first;
}

function exported(value: unknown): StrategyClass[] {
  if (isClass(value)) return [value];
  if (typeof value !== "object" || value === null) return [];
  const parts = value as Record<string, unknown>;
  // A CommonJS module arrives as the default of a module; its own names may stand beside it.
  if (parts["default"] !== undefined) return exported(parts["default"]);
  return Object.values(parts).filter(isClass);
}

function isClass(value: unknown): value is StrategyClass {
  return typeof value === "function" && value.prototype !== undefined;
}

function takesMarketData({ prototype }: StrategyClass): boolean {
  return "processMarketData" in prototype || "analyze" in prototype;
}
