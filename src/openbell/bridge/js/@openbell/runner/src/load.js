"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.importStrategy = importStrategy;
const node_path_1 = require("node:path");
const node_url_1 = require("node:url");
/**
 * The strategy class of a file: what it exports (`module.exports = class …`, `export default`), or
 * among its named exports the only class that takes market data, or the only class.
 */
async function importStrategy(path) {
    const found = exported(await import((0, node_url_1.pathToFileURL)((0, node_path_1.resolve)(path)).href));
    const taking = found.filter(takesMarketData);
    const [first, ...others] = taking.length > 0 ? taking : found;
    if (!first || others.length > 0) {
        throw new TypeError(`${path} exports ${found.length} classes; write \`module.exports = class MyStrategy {…}\``);
    }
    return first;
}
function exported(value) {
    if (isClass(value))
        return [value];
    if (typeof value !== "object" || value === null)
        return [];
    const parts = value;
    // A CommonJS module arrives as the default of a module; its own names may stand beside it.
    if (parts["default"] !== undefined)
        return exported(parts["default"]);
    return Object.values(parts).filter(isClass);
}
function isClass(value) {
    return typeof value === "function" && value.prototype !== undefined;
}
function takesMarketData({ prototype }) {
    return "processMarketData" in prototype || "analyze" in prototype;
}
