/**
 * Lock-step: a strategy answers a run message by message, over two Redis Streams.
 *
 * The protocol stands in docs/channels.md, section Lock-step. A runner knows nothing of what was
 * before it: when Redis lost its group, or a message is missing, its process ends with code 75, and
 * a new one says hello and is told everything from the first message on.
 */

import { randomBytes } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";

import { createClient } from "redis";

import type { Config, Position, Signal } from "../../sdk/src/types";
import { asObject, readHistory, readMarketData, readPositions } from "../../wire/src/messages";
import { type Failure, type Outcome, StrategyHost } from "./host";
import { installVirtualTime, type VirtualTime } from "./virtual-time";

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

/** Answers a strategy's messages, one by one. */
export class Responder {
  private host: StrategyHost | null = null;
  private time: VirtualTime | null = null;
  private wasReady = false;

  constructor(private readonly path: string) {}

  async answer([, timeNs, kind, data]: Message): Promise<Answer | null> {
    const ms = Math.round(timeNs / 1e6);
    if (kind === "init") return this.begin(asObject(data, "init"), ms);
    const { host } = this;
    if (!host) throw new Error(`${kind} came before init`);
    this.time?.set(ms);
    switch (kind) {
      case "slice":
        return this.told(await host.feed(readMarketData(asObject(data, kind), host.symbol)));
      case "history":
        return this.told(await host.initialise(readHistory(data)));
      case "position":
        host.updatePositions(readPositions(data, host.symbol) as Position[]);
        return null;
      case "end":
        return this.told(await host.shutdown());
      case "fill":
      case "session":
        return null;
      default:
        throw new Error(`unknown kind of message: ${kind}`);
    }
  }

  private async begin(init: Record<string, unknown>, ms: number): Promise<Answer> {
    this.time = installVirtualTime(ms, Number(init["seed"] ?? 0));
    this.host = await StrategyHost.load(this.path, asObject(init["config"], "config") as Config, this.time);
    const outcome = await this.host.whenReady();
    const { name, barsWanted } = this.host;
    return { ...this.told(outcome), ready: this.host.ready, strategy: name, barsWanted };
  }

  /** An outcome as an answer: only what is news. */
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

/** Why a runner ends: the run is over, or it has to begin anew. */
export type End = "done" | "begin anew";

/**
 * Serve one run to its end.
 *
 * @param url  of the Redis server; may hold user and password.
 * @param run  names the run's streams.
 * @param path of the strategy's file.
 */
export async function serve(url: string, run: string, path: string): Promise<End> {
  const client = createClient({
    url,
    disableOfflineQueue: true,
    socket: { reconnectStrategy: (tries: number) => Math.min(tries * 20, 500) },
  });
  client.on("error", () => undefined); // every command says it again, where it is dealt with
  await client.connect();
  try {
    return await new Runner(client, run, new Responder(path)).serve();
  } finally {
    await client.disconnect().catch(() => undefined);
  }
}

type Client = ReturnType<typeof createClient>;

class Runner {
  private readonly slices: string;
  private readonly answers: string;
  private name = "";
  private last = 0; // the newest message that was answered
  private said: Said[] = []; // answers that are not known to have arrived
  private isUnsure = false; // whether an exchange failed: parts of it may have happened

  constructor(
    private readonly client: Client,
    run: string,
    private readonly responder: Responder,
  ) {
    this.slices = `openbell:${run}:slices`;
    this.answers = `openbell:${run}:answers`;
  }

  async serve(): Promise<End> {
    for (let entries: Entry[] | null = await this.begin(); entries; entries = await this.exchange()) {
      for (const entry of entries) {
        if (entry.messages[0]?.[0] !== this.last + 1) return "begin anew";
        this.said.push(await this.answerAll(entry));
        this.last = entry.seq;
        if (entry.messages.at(-1)?.[2] === "end") {
          await this.sayLast();
          return "done";
        }
      }
    }
    return "begin anew";
  }

  /** Say hello under a new name until the run has made a group of that name. */
  private async begin(): Promise<Entry[]> {
    for (;;) {
      this.name = `${process.pid}-${randomBytes(6).toString("hex")}`;
      try {
        await this.client.sendCommand(["XADD", this.answers, "MAXLEN", KEPT, "*", "hello", this.name]);
        for (let left = HELLO_MS; left > 0; left -= PAUSE_MS) {
          const entries = await this.read(">").catch(lostGroup);
          if (entries) return entries;
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
  private async exchange(): Promise<Entry[] | null> {
    for (;;) {
      try {
        return this.isUnsure ? await this.recover() : await this.sayAndRead();
      } catch (error) {
        if (isLost(error)) return null;
        this.isUnsure = true;
        await wait(PAUSE_MS);
      }
    }
  }

  private async sayLast(): Promise<void> {
    while (this.said.length) {
      try {
        await this.say();
        this.said = [];
      } catch (error) {
        if (isLost(error)) return;
        await wait(PAUSE_MS);
      }
    }
  }

  private async sayAndRead(): Promise<Entry[]> {
    const saying = this.said.length ? this.say() : null;
    const reading = this.read(">");
    reading.catch(() => undefined); // if both fail, the first reason is enough
    await saying;
    this.said = [];
    return reading;
  }

  /** After a failure: what was delivered and not acknowledged is what is still to be answered. */
  private async recover(): Promise<Entry[]> {
    const pending = await this.read("0");
    this.said = this.said.filter((said) => pending.some((entry) => entry.id === said.id));
    if (this.said.length) await this.say();
    this.said = [];
    this.isUnsure = false;
    return pending.filter((entry) => entry.seq > this.last);
  }

  private say(): Promise<unknown> {
    const multi = this.client.multi();
    for (const { id, seq, data } of this.said) {
      multi.addCommand([
        "XADD", this.answers, "MAXLEN", KEPT, "*",
        "runner", this.name, "seq", String(seq), "data", data,
      ]);
      multi.addCommand(["XACK", this.slices, this.name, id]);
    }
    return multi.exec();
  }

  private async read(from: ">" | "0"): Promise<Entry[]> {
    const reply = await this.client.sendCommand([
      "XREADGROUP", "GROUP", this.name, "runner", "COUNT", "64", "BLOCK", BLOCK_MS,
      "STREAMS", this.slices, from,
    ]);
    return reply ? (reply as [string, [string, string[]][]][])[0]![1].map(readEntry) : [];
  }
}

function readEntry([id, fields]: [string, string[]]): Entry {
  const part = (name: string) => fields[fields.indexOf(name) + 1]!;
  const seq = Number(part("seq"));
  const data: unknown = JSON.parse(part("data"));
  const kind = part("kind");
  const messages = kind === "batch" ? data as Message[] : [[seq, Number(part("time_ns")), kind, data] as Message];
  return { id, seq, messages };
}

function isLost(error: unknown): boolean {
  return /NOGROUP|UNBLOCKED/.test(String(error));
}

function lostGroup(error: unknown): null {
  if (isLost(error)) return null;
  throw error;
}
