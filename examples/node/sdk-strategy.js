"use strict";

/** Long when the close is more than two ranges above its average, out when it is back below. */

const { defineStrategy } = require("@openbell/sdk");

module.exports = defineStrategy({
  name: "FAR_ABOVE",
  params: { bars: 20, riskReward: 2 },
  setup: ({ params, ema, atr }) => ({ trend: ema(params.bars), range: atr(params.bars) }),
  onBar(bar, ctx, { trend, range }) {
    const away = bar.close - trend.value;
    if (!ctx.position && away > 2 * range.value) {
      const stopLoss = bar.close - range.value;
      const takeProfit = bar.close + ctx.params.riskReward * range.value;
      return ctx.long({ stopLoss, takeProfit, reason: "far above the average" });
    }
    if (ctx.position && away < 0) return ctx.close({ reason: "back below the average" });
    return null;
  },
});
