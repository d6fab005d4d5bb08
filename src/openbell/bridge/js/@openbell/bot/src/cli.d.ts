#!/usr/bin/env node
/** The command: `cli.js [config as JSON] [--with-parent]`. */
export {};
