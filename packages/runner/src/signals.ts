import type { Config, MarketData, Signal } from "../../sdk/src/types";
import { shown, wholeOf } from "../../wire/src/messages";
import type { StrategyHost } from "./host";

/** BUY, SELL, HOLD or CLOSE: what a signal asks for, whichever of its two words it uses. */
export function actionOf(signal: Signal): string {
  const word = shown(signal.action ?? signal.direction ?? "HOLD").toUpperCase();
  if (/CLOSE|EXIT/.test(word)) return "CLOSE";
  if (/BUY|LONG/.test(word)) return "BUY";
  if (/SELL|SHORT/.test(word)) return "SELL";
  return word;
}

/** Units of every signal: the original always says 100; how much is bought is decided elsewhere. */
export function sharesOf(config: Config): number {
  return wholeOf(config, "shares", 100, 1);
}

/** A signal in the form of `aggregator:signal:{botId}`; the strategy's own stands in `tsx_signal`. */
export function signalMessage(host: StrategyHost, signal: Signal, item: MarketData): object {
  return {
    action: actionOf(signal),
    price: signal.entryPrice ?? signal["price"] ?? item.price,
    shares: sharesOf(host.config),
    stop_loss: signal.stopLoss ?? null,
    take_profit: signal.takeProfit ?? null,
    tsx_signal: signal,
    botId: host.botId,
    timestamp: new Date(item.timestamp).toISOString(),
    strategy: host.name,
  };
}
