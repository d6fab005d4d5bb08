"use strict";

exports.plan = (acts, count) => acts[count] ?? null;
