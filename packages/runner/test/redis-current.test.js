"use strict";

require("./redis-suite.js").suite("redis-current");
