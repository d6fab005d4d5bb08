import type { StrategyClass } from "../../sdk/src/types";
/**
 * The strategy class of a file: what it exports (`module.exports = class …`, `export default`), or
 * the only class among its named exports.
 */
export declare function importStrategy(path: string): Promise<StrategyClass>;
