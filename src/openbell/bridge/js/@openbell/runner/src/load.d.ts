import type { StrategyClass } from "../../sdk/src/types";
/**
 * The strategy class of a file: what it exports (`module.exports = class …`, `export default`), or
 * among its named exports the only class that takes market data, or the only class.
 */
export declare function importStrategy(path: string): Promise<StrategyClass>;
