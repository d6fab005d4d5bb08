/**
 * The original's Redis channels, one set per bot. History is asked for and waited for before the
 * runner says that it is ready; market data that comes earlier waits in line.
 */

import { randomUUID } from "node:crypto";

import type { Bar } from "../../sdk/src/types";
import * as channels from "../../wire/src/channels";
import { MessageError, asTime, decode, readHistory, readMarketData, readPositions, textOf, wholeOf } from "../../wire/src/messages";
import { aborted, within } from "../../wire/src/process";
import { closeRedis, connectRedis, duplicateRedis, publishRedis } from "../../wire/src/redis";
import type { OnTrouble, RedisClient } from "../../wire/src/redis";
import type { Failure, Outcome, StrategyHost } from "./host";
import { Inbox } from "./inbox";
import type { Settings } from "./protocol";
import { sharesOf, signalMessage } from "./signals";

/** Messages that may wait while the strategy is busy or not ready. */
const INBOX_MAX = 10_000;
/** How long an answer is waited for before the question is asked again, in milliseconds. */
const UNANSWERED_MS = 1_000;
const UNHEARD_MS = 250;
/** How long a runner that was told to end waits for a Redis that may be down, in milliseconds. */
const FAREWELL_MS = 1_000;
/** The original's first simulation date. */
const SIMULATION_START = "2023-06-01T09:30:00.000Z";

type Message = Record<string, unknown>;

export async function runRedis(host: StrategyHost, settings: Settings): Promise<void> {
  await new RedisRunner(host, settings).run();
}

class RedisRunner {
  private publisher!: RedisClient;
  private subscriber!: RedisClient;
  private nowMs: number;
  private troubles = 0;
  /** Ids of the questions for history that nobody has answered yet. */
  private readonly asked = new Set<string>();
  private onAnswer: (answer: Message) => void = () => undefined;
  private readonly inbox: Inbox<{ channel: string; text: string }>;
  private fail!: (error: unknown) => void;
  private readonly failed: Promise<never>;

  constructor(private readonly host: StrategyHost, private readonly settings: Settings) {
    this.nowMs = asTime(textOf(host.config, "simulationDate", SIMULATION_START), "simulationDate");
    sharesOf(host.config); // now, not at the first signal
    this.failed = new Promise((_, reject) => (this.fail = reject));
    this.failed.catch(() => undefined);
    this.inbox = new Inbox(INBOX_MAX, (message) => this.handle(message.channel, message.text), this.fail);
  }

  async run(): Promise<void> {
    this.publisher = await connectRedis(this.host.config, this.settings.strategyPath, this.onTrouble);
    this.subscriber = await duplicateRedis(this.publisher, this.onTrouble);
    try {
      await this.subscribe();
      await this.serve();
    } finally {
      await within(FAREWELL_MS, Promise.all([closeRedis(this.subscriber), closeRedis(this.publisher)]));
    }
  }

  private async serve(): Promise<void> {
    const stopped = aborted(this.settings.stop);
    await Promise.race([this.begin().then(() => stopped), stopped, this.failed]);
    // It was told to end, and ends in order whatever becomes of Redis now.
    await within(FAREWELL_MS, this.sayFarewell());
  }

  private async sayFarewell(): Promise<void> {
    await this.report(await this.host.shutdown());
    await this.sayReady(false);
  }

  private async begin(): Promise<void> {
    await this.bootstrap();
    await this.sayReady(true);
    this.settings.output.line("ready: true");
    this.inbox.start();
  }

  private async subscribe(): Promise<void> {
    const { botId } = this.host;
    await this.subscriber.subscribe([channels.HISTORY_RESPONSE], (text) => this.onHistory(text));
    // One list, one line: what a bot is told stays in the order in which it was said.
    const told = [
      channels.marketDataOf(botId),
      channels.simulationOf(botId),
      channels.BOT_POSITION_UPDATE,
      channels.POSITION_RESPONSE,
    ];
    await this.subscriber.subscribe(told, (text, channel) => this.onTold(channel, text));
  }

  private async bootstrap(): Promise<void> {
    const { host } = this;
    if (host.barsWanted > 0) await this.report(await host.initialise(await this.requestHistory()));
    await this.report(await host.whenReady());
    if (!host.ready) this.settings.output.log(`${host.name} is not ready yet; it is fed nevertheless`);
  }

  /** Ask until somebody answers: pub/sub forgets a question that nobody was there to hear. */
  private async requestHistory(): Promise<Bar[]> {
    const answered = new Promise<Message>((resolve) => (this.onAnswer = resolve));
    let leftMs = wholeOf(this.host.config, "historyTimeoutMs", 30_000, 1);
    while (leftMs > 0) {
      const heard = await this.askHistory();
      const waitMs = Math.min(leftMs, heard === 0 ? UNHEARD_MS : UNANSWERED_MS);
      const answer = await within(waitMs, answered);
      if (answer) return barsOf(answer);
      leftMs -= waitMs;
    }
    throw new MessageError(`nobody answered on ${channels.HISTORY_RESPONSE}; is the history service running?`);
  }

  /** How many heard the question. */
  private askHistory(): Promise<number> {
    const requestId = `hist_${this.nowMs}_${randomUUID().slice(0, 8)}`;
    this.asked.add(requestId);
    const { symbol, barsWanted, botId } = this.host;
    const request = { requestId, symbol, barsBack: barsWanted, timestamp: this.now(), botId };
    return this.publish(channels.HISTORY_REQUEST, request);
  }

  private onHistory(text: string): void {
    // The channel is everybody's; what is not for us is not ours to judge.
    if (this.asked.size === 0) return;
    const answer = this.read(channels.HISTORY_RESPONSE, text);
    if (!answer || !this.asked.has(answer["requestId"] as string)) return;
    // The first answer to any of the questions is the history.
    this.asked.clear();
    this.onAnswer(answer);
  }

  private onTold(channel: string, text: string): void {
    if (this.inbox.put({ channel, text })) return;
    const { output } = this.settings;
    if (this.inbox.dropped % 1000 === 1) output.log(`${this.inbox.dropped} messages dropped: the strategy is too slow`);
  }

  private async handle(channel: string, text: string): Promise<void> {
    const message = this.read(channel, text);
    if (!message) return;
    try {
      await this.act(channel, message);
    } catch (error) {
      if (!(error instanceof MessageError)) throw error;
      this.refuse(channel, error);
    }
  }

  private async act(channel: string, message: Message): Promise<void> {
    const { host } = this;
    if (channel === channels.marketDataOf(host.botId)) await this.feed(message);
    else if (channel === channels.simulationOf(host.botId)) {
      this.nowMs = asTime(message["datetime"], "datetime");
    } else if ((message["botId"] ?? host.botId) === host.botId && message["positions"] !== undefined) {
      host.updatePositions(readPositions(message, host.symbol));
    }
  }

  private async feed(message: Message): Promise<void> {
    const item = readMarketData(message, this.host.symbol);
    this.nowMs = item.timestamp;
    const outcome = await this.host.feed(item);
    await this.report(outcome);
    if (outcome.signal) {
      await this.publish(channels.signalOf(this.host.botId), signalMessage(this.host, outcome.signal, item));
    }
  }

  private async report({ failure }: Outcome): Promise<void> {
    if (failure) await this.sayError(failure);
  }

  private async sayError(failure: Failure): Promise<void> {
    const message = { type: "ERROR", ...failure, botId: this.host.botId, timestamp: this.now() };
    this.settings.output.log(JSON.stringify(message));
    await this.publish(channels.errorOf(this.host.botId), message);
  }

  private async sayReady(ready: boolean): Promise<void> {
    const { botId, name, statistics } = this.host;
    await this.publish(channels.STRATEGY_READY, {
      botId, ready, pid: process.pid, strategy: name, timestamp: this.now(),
      warm: this.host.ready,
      statistics: { ...statistics, dropped: this.inbox.dropped, troubles: this.troubles },
    });
  }

  private read(channel: string, text: string): Message | null {
    try {
      return decode(text);
    } catch (error) {
      this.refuse(channel, error as MessageError);
      return null;
    }
  }

  private refuse(channel: string, error: MessageError): void {
    this.host.statistics.malformed += 1;
    this.settings.output.log(`${channel}: ${error.message}`);
  }

  private readonly onTrouble: OnTrouble = (error, lost) => {
    this.troubles += 1;
    this.settings.output.log(`Redis: ${error.message}`);
    if (lost) this.fail(error);
  };

  /** How many heard it. */
  private publish(channel: string, message: object): Promise<number> {
    return publishRedis(this.publisher, channel, JSON.stringify(message), this.onTrouble);
  }

  private now(): string {
    return new Date(this.nowMs).toISOString();
  }
}

function barsOf(answer: Message): Bar[] {
  try {
    return readHistory(answer);
  } catch (error) {
    if (!(error instanceof MessageError)) throw error;
    throw new MessageError(`${error.message}; begin later, or set historicalBarsBack to 0 to go without history`);
  }
}
