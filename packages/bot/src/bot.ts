/**
 * The mock bot: carries messages between strategies (`bot:*`) and the aggregator (`aggregator:*`),
 * keeps the positions, and answers questions about risk.
 */

import type { Config, MainBot, Position } from "../../sdk/src/types";
import * as channels from "../../wire/src/channels";
import { MessageError, asObject, decode, readMarketData, readPositions, textOf } from "../../wire/src/messages";
import { within } from "../../wire/src/process";
import { closeRedis, connectRedis, duplicateRedis } from "../../wire/src/redis";
import type { OnTrouble, RedisClient } from "../../wire/src/redis";
import { checkRisk, createMainBot } from "./main-bot";
import { PositionBook } from "./positions";

/** How long a bot that was told to end waits for a Redis that may be down, in milliseconds. */
const FAREWELL_MS = 1_000;

type Message = Record<string, unknown>;

export interface BotStatistics {
  forwarded: number;
  positionUpdates: number;
  /** Messages of other bots: not ours to carry. */
  foreign: number;
  /** Messages that broke a rule; they were logged, and nothing else. */
  malformed: number;
  /** Troubles with the connection. While it is down, messages are lost: pub/sub keeps nothing. */
  troubles: number;
}

/** Sends one message; the bot does not wait for it. */
export type Publish = (channel: string, message: Message) => void;

/** What the bot does with a message, without any connection. */
export class MockBot {
  readonly botId: string;
  readonly symbol: string;
  readonly mainBot: MainBot;
  readonly statistics: BotStatistics = { forwarded: 0, positionUpdates: 0, foreign: 0, malformed: 0, troubles: 0 };
  private readonly book: PositionBook;
  /** The sender's time of the newest market data; the bot has no clock of its own. */
  private lastTime: string | null = null;

  /** @param changed is called when the status is another one. */
  constructor(
    private readonly config: Config,
    private readonly publish: Publish,
    private readonly log: (text: string) => void,
    private readonly changed: () => void = () => undefined,
  ) {
    this.botId = textOf(config, "botId", "backtest_bot_1");
    this.symbol = textOf(config, "symbol", "NQ");
    this.book = new PositionBook(this.symbol);
    this.mainBot = createMainBot(this.botId, this.symbol, config, this.book);
  }

  /** The channels the bot listens to. */
  get channels(): string[] {
    return [...channels.TO_AGGREGATOR.keys(), ...channels.TO_BOT.keys(), channels.marketDataOf(this.botId)];
  }

  /** Take one message. What breaks a rule is counted and logged; never raises for it. */
  receive(channel: string, text: string): void {
    try {
      this.act(channel, decode(text));
    } catch (error) {
      if (!(error instanceof MessageError)) throw error;
      this.statistics.malformed += 1;
      this.log(`${channel}: ${error.message}`);
    }
  }

  /** What stands under the status key. */
  status(state: "running" | "stopped"): Message {
    const { botId, symbol, statistics } = this;
    const positions: Position[] = this.book.getAllPositions();
    const backtesting = this.config["backtesting"] ?? true;
    return { botId, symbol, status: state, backtesting, positions, statistics, timestamp: this.lastTime };
  }

  private act(channel: string, message: Message): void {
    if ((message["botId"] ?? this.botId) !== this.botId) {
      this.statistics.foreign += 1;
      return;
    }
    if (channel === channels.marketDataOf(this.botId)) {
      this.passMarketData(message);
      return;
    }
    // Looked at before it is carried: what breaks a rule goes no further.
    if (message["positions"] !== undefined) this.takePositions(message);
    if (channel === channels.BOT_RISK_CHECK) this.answerRisk(message);
    this.forward(channel, message);
  }

  private forward(channel: string, message: Message): void {
    const up = channels.TO_AGGREGATOR.get(channel);
    const down = channels.TO_BOT.get(channel);
    if (up) this.publish(up, { ...message, botId: this.botId });
    else if (down) this.publish(down, message);
    this.statistics.forwarded += 1;
  }

  private passMarketData(message: Message): void {
    const item = readMarketData(message, this.symbol);
    this.book.mark(item.symbol, item.price);
    this.lastTime = new Date(item.timestamp).toISOString();
    const { symbol, price, volume, open, high, low, close } = item;
    const { timestamp } = message;
    this.publish(channels.BOT_MARKET_DATA, { botId: this.botId, symbol, price, volume, timestamp, open, high, low, close });
    this.statistics.forwarded += 1;
  }

  private takePositions(message: Message): void {
    this.book.update(readPositions(message, this.symbol));
    this.statistics.positionUpdates += 1;
    this.changed();
  }

  private answerRisk(message: Message): void {
    const answer = checkRisk(asObject(message["signal"], "signal"), this.config);
    const { requestId, timestamp } = message;
    this.publish(channels.BOT_RISK_RESPONSE, { requestId, botId: this.botId, ...answer, timestamp });
  }
}

/** Run a bot on Redis until it is stopped. Raises if Redis is lost for good. */
export async function runBot(config: Config, stop: Promise<void>, ready: () => void, log: (text: string) => void): Promise<void> {
  let lost: (error: Error) => void = () => undefined;
  const gone = new Promise<never>((_, reject) => (lost = reject));
  gone.catch(() => undefined);
  const trouble: OnTrouble = (error, isLost) => {
    bot.statistics.troubles += 1;
    log(`Redis: ${error.message}`);
    if (isLost) lost(error);
  };
  const tell = (sent: Promise<unknown>) => sent.catch((error: Error) => trouble(error, false));
  const bot = new MockBot(
    config,
    (channel, message) => void tell(publisher.publish(channel, JSON.stringify(message))),
    log,
    () => void tell(sayStatus(publisher, bot, "running")),
  );
  const publisher = await connectRedis(config, __filename, trouble);
  const subscriber = await duplicateRedis(publisher, trouble);
  try {
    await subscriber.subscribe(bot.channels, (text, channel) => bot.receive(channel, text));
    await sayStatus(publisher, bot, "running");
    ready();
    await Promise.race([stop, gone]);
    await within(FAREWELL_MS, tell(sayStatus(publisher, bot, "stopped")));
  } finally {
    await within(FAREWELL_MS, Promise.all([closeRedis(subscriber), closeRedis(publisher)]));
  }
}

async function sayStatus(client: RedisClient, bot: MockBot, state: "running" | "stopped"): Promise<void> {
  const text = JSON.stringify(bot.status(state));
  await client.set(channels.statusKeyOf(bot.botId), text);
  await client.publish(channels.BOT_STATUS, text);
}
