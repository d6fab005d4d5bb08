"use strict";
/**
 * What a strategy and its host say to each other.
 *
 * Prices are in the instrument's quote currency, times in milliseconds since 1970-01-01 UTC unless
 * a field says ISO text.
 */
Object.defineProperty(exports, "__esModule", { value: true });
