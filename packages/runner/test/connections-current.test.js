"use strict";

require("./connections-suite.js").suite("redis-current");
