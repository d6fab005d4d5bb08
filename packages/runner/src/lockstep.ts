/**
 * Lock-step: a strategy answers a run message by message, over two Redis Streams.
 *
 * The protocol stands in docs/channels.md, section Lock-step. A runner knows nothing of what was
 * before it: when Redis lost its group, or a message is missing, its process ends with code 75, and
 * a new one says hello and is told everything from the first message on.
 */

import { randomBytes } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";

import type { Signal } from "../../sdk/src/types";
import { MessageError, asObject, readHistory, readMarketData, readPositions } from "../../wire/src/messages";
import type { Failure, Outcome, StrategyHost } from "./host";
import type { Protocol } from "./protocol";
import { Connection, Refusal, type Reply } from "./resp";

/** The end of a process that has to begin anew (EX_TEMPFAIL). */
export const BEGIN_ANEW = 75;

const KEPT = "128";
const BLOCK_MS = "1000";
const PAUSE_MS = 10;
const HELLO_MS = 2_000;

/** What is said to one message; null stands for nothing. */
export interface Answer {
  signals?: Signal[];
  ready?: boolean;
  error?: Failure;
  strategy?: string;
  barsWanted?: number;
}

type Message = [seq: number, timeNs: number, kind: string, data: unknown];

interface Entry {
  id: string;
  seq: number;
  messages: Message[];
}

interface Said {
  id: string;
  seq: number;
  data: string;
}

/** Answers a run's messages with what the strategy says, one by one. */
export class Responder {
  private wasReady = false;

  constructor(private readonly host: StrategyHost) {}

  async answer([, , kind, data]: Message): Promise<Answer | null> {
    const { host } = this;
    switch (kind) {
      case "slice":
        return this.told(await host.feed(readMarketData(asObject(data, kind), host.symbol)));
      case "position":
        host.updatePositions(readPositions(data, host.symbol));
        return null;
      case "history":
        return this.told(await host.initialise(readHistory(data)));
      case "init":
        return this.introduce();
      case "end":
        return this.told(await host.shutdown());
      case "fill":
      case "session":
        return null;
      default:
        throw new MessageError(`unknown kind of message: ${kind}`);
    }
  }

  private async introduce(): Promise<Answer> {
    const told = this.told(await this.host.whenReady());
    const { ready, name, barsWanted } = this.host;
    return { ...told, ready, strategy: name, barsWanted };
  }

  /** An outcome as an answer; null if it is no news. */
  private told({ ready, signal, failure }: Outcome): Answer | null {
    if (!signal && !failure && ready === this.wasReady) return null;
    this.wasReady = ready;
    return {
      ready,
      ...(signal ? { signals: [signal] } : {}),
      ...(failure ? { error: failure } : {}),
    };
  }
}

/**
 * Serve one run to its end. The environment names it: `OPENBELL_REDIS_URL`, which may hold user and
 * password, and `OPENBELL_RUN`. A process that has to begin anew ends here, with its code.
 */
export const runLockstep: Protocol = async (host, { output, stop }) => {
  const { OPENBELL_REDIS_URL: url, OPENBELL_RUN: run } = process.env;
  if (!url || !run) throw new Error("lock-step needs OPENBELL_REDIS_URL and OPENBELL_RUN");
  stop.addEventListener("abort", () => process.exit(0));
  const isDone = await new Runner(url, run, new Responder(host)).serve();
  if (isDone) return;
  output.log("Redis lost what this runner was told: a new one has to begin");
  process.exit(BEGIN_ANEW);
};

class Runner {
  private readonly slices: string;
  private readonly answers: string;
  private connection: Connection | null = null;
  private name = "";
  private last = 0; // the newest message that was answered
  private said: Said[] = []; // answers that are not known to have arrived
  private isUnsure = false; // whether an exchange failed: parts of it may have happened

  constructor(
    private readonly url: string,
    run: string,
    private readonly responder: Responder,
  ) {
    this.slices = `openbell:${run}:slices`;
    this.answers = `openbell:${run}:answers`;
  }

  /** True when the run is over, false when a new process has to begin. */
  async serve(): Promise<boolean> {
    for (let entries = await this.begin(); entries; entries = await this.exchange(true)) {
      for (const entry of entries) {
        if (entry.messages[0]?.[0] !== this.last + 1) return false;
        this.said.push(await this.answerAll(entry));
        this.last = entry.seq;
        if (entry.messages.at(-1)?.[2] === "end") return (await this.exchange(false)) !== null;
      }
    }
    return false;
  }

  /** Say hello under a new name until the run has made a group of that name. */
  private async begin(): Promise<Entry[] | null> {
    for (;;) {
      this.name = `${process.pid}-${randomBytes(6).toString("hex")}`;
      const hello = ["XADD", this.answers, "MAXLEN", KEPT, "*", "hello", this.name];
      try {
        await this.redis([hello]);
        for (let left = HELLO_MS; left > 0; left -= PAUSE_MS) {
          const [reply] = await this.send([this.reading(">")]);
          if (!(reply instanceof Refusal)) return entriesOf(reply);
          await wait(PAUSE_MS);
        }
      } catch {
        await wait(PAUSE_MS);
      }
    }
  }

  private async answerAll({ id, seq, messages }: Entry): Promise<Said> {
    const answers: (Answer | null)[] = [];
    for (const message of messages) answers.push(await this.responder.answer(message));
    return { id, seq, data: JSON.stringify(answers) };
  }

  /** Send what was said and read on, in one write. Null if Redis lost this runner's group. */
  private async exchange(readsOn: boolean): Promise<Entry[] | null> {
    for (;;) {
      try {
        const missed = this.isUnsure ? await this.recover() : [];
        const isReading = readsOn && missed.length === 0;
        const replies = await this.redis([...this.saying(), ...(isReading ? [this.reading(">")] : [])]);
        this.said = [];
        return isReading ? entriesOf(replies.at(-1)) : missed;
      } catch (error) {
        if (isLost(error)) return null;
        this.isUnsure = true;
        await wait(PAUSE_MS);
      }
    }
  }

  /** After a failure: what was delivered and is not acknowledged is what is still to be answered. */
  private async recover(): Promise<Entry[]> {
    const [reply] = await this.redis([this.reading("0")]);
    const pending = entriesOf(reply);
    this.said = this.said.filter((said) => pending.some((entry) => entry.id === said.id));
    this.isUnsure = false;
    return pending.filter((entry) => entry.seq > this.last);
  }

  /** The answers, and that the messages need not be delivered again: both, or nothing. */
  private saying(): string[][] {
    if (this.said.length === 0) return [];
    const commands = this.said.flatMap(({ id, seq, data }) => [
      ["XADD", this.answers, "MAXLEN", KEPT, "*", "runner", this.name, "seq", String(seq), "data", data],
      ["XACK", this.slices, this.name, id],
    ]);
    return [["MULTI"], ...commands, ["EXEC"]];
  }

  /** New messages (">"), or those delivered and not acknowledged ("0"). */
  private reading(from: ">" | "0"): string[] {
    const group = ["GROUP", this.name, "runner"];
    return ["XREADGROUP", ...group, "COUNT", "64", "BLOCK", BLOCK_MS, "STREAMS", this.slices, from];
  }

  /** Replies to some commands over a connection that is made if there is none. Raises refusals. */
  private async redis(commands: string[][]): Promise<Reply[]> {
    const replies = await this.send(commands);
    for (const reply of replies.flat()) if (reply instanceof Refusal) throw reply;
    return replies;
  }

  private async send(commands: string[][]): Promise<Reply[]> {
    this.connection ??= await Connection.open(this.url);
    try {
      return await this.connection.exchange(commands);
    } catch (error) {
      this.connection.close();
      this.connection = null;
      throw error;
    }
  }
}

function entriesOf(reply: Reply | undefined): Entry[] {
  return reply ? (reply as [string, [string, string[]][]][])[0]![1].map(readEntry) : [];
}

function readEntry([id, fields]: [string, string[]]): Entry {
  const part = (name: string) => fields[fields.indexOf(name) + 1]!;
  const seq = Number(part("seq"));
  const data: unknown = JSON.parse(part("data"));
  const kind = part("kind");
  const messages = kind === "batch" ? data as Message[] : [[seq, Number(part("time_ns")), kind, data] as Message];
  return { id, seq, messages };
}

/** Whether Redis says that there is no group of ours (any more). */
function isLost(error: unknown): boolean {
  return error instanceof Refusal && /NOGROUP|UNBLOCKED/.test(error.message);
}
