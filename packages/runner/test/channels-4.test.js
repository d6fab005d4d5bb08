"use strict";

require("./channels-suite.js").suite("redis");
