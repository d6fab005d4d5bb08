"use strict";
var __createBinding = (this && this.__createBinding) || (Object.create ? (function(o, m, k, k2) {
    if (k2 === undefined) k2 = k;
    var desc = Object.getOwnPropertyDescriptor(m, k);
    if (!desc || ("get" in desc ? !m.__esModule : desc.writable || desc.configurable)) {
      desc = { enumerable: true, get: function() { return m[k]; } };
    }
    Object.defineProperty(o, k2, desc);
}) : (function(o, m, k, k2) {
    if (k2 === undefined) k2 = k;
    o[k2] = m[k];
}));
var __exportStar = (this && this.__exportStar) || function(m, exports) {
    for (var p in m) if (p !== "default" && !Object.prototype.hasOwnProperty.call(exports, p)) __createBinding(exports, m, p);
};
Object.defineProperty(exports, "__esModule", { value: true });
exports.Sma = exports.Rsi = exports.Lowest = exports.Highest = exports.Ema = exports.Atr = exports.defineStrategy = void 0;
var define_1 = require("./define");
Object.defineProperty(exports, "defineStrategy", { enumerable: true, get: function () { return define_1.defineStrategy; } });
var indicators_1 = require("./indicators");
Object.defineProperty(exports, "Atr", { enumerable: true, get: function () { return indicators_1.Atr; } });
Object.defineProperty(exports, "Ema", { enumerable: true, get: function () { return indicators_1.Ema; } });
Object.defineProperty(exports, "Highest", { enumerable: true, get: function () { return indicators_1.Highest; } });
Object.defineProperty(exports, "Lowest", { enumerable: true, get: function () { return indicators_1.Lowest; } });
Object.defineProperty(exports, "Rsi", { enumerable: true, get: function () { return indicators_1.Rsi; } });
Object.defineProperty(exports, "Sma", { enumerable: true, get: function () { return indicators_1.Sma; } });
__exportStar(require("./types"), exports);
