#!/usr/bin/env node
/** The command: `cli.js <strategy file> [config as JSON] [--protocol stdio|redis|lockstep] …`. */
export {};
