/**
 * One connection to Redis, as little as lock-step needs: commands written at once, replies in order.
 * It depends on nothing, so that a strategy can be run without any package beside it.
 */

import { type Socket, connect as connectPlain } from "node:net";
import { connect as connectTls } from "node:tls";

/** What Redis replies; a refusal is a value, so that the other replies are not lost. */
export type Reply = string | number | null | Refusal | Reply[];

/** An error reply. */
export class Refusal extends Error {}

const CONNECT_MS = 5_000;

export class Connection {
  private rest: Buffer = Buffer.alloc(0);
  private replies: Reply[] = [];
  private awaited = 0;
  private settle: ((replies: Reply[]) => void) | null = null;
  private fail: ((error: Error) => void) | null = null;
  private cut: Error | null = null;

  private constructor(private readonly socket: Socket) {
    socket.setNoDelay(true).setKeepAlive(true, 10_000);
    socket.on("data", (chunk: Buffer) => this.take(chunk));
    socket.on("error", (error) => this.break(error));
    socket.on("close", () => this.break(new Error("the connection to Redis was cut")));
  }

  /** Connect to `redis://user:password@host:port/database`, or `rediss://` for TLS. */
  static async open(url: string): Promise<Connection> {
    const { protocol, hostname, port, username, password, pathname } = new URL(url);
    const place = { host: hostname.replace(/^\[|\]$/g, "") || "127.0.0.1", port: Number(port || 6379) };
    const socket = protocol === "rediss:" ? connectTls({ ...place, servername: place.host }) : connectPlain(place);
    await connected(socket, protocol === "rediss:" ? "secureConnect" : "connect");
    const connection = new Connection(socket);
    const commands: string[][] = [];
    const words = [username, password].filter((word) => word !== "").map(decodeURIComponent);
    if (words.length) commands.push(["AUTH", ...words]);
    if (pathname.length > 1) commands.push(["SELECT", pathname.slice(1)]);
    const refused = (await connection.exchange(commands)).find((reply) => reply instanceof Refusal);
    if (!refused) return connection;
    connection.close();
    throw refused;
  }

  /** The replies to some commands, written at once. Rejects if the connection is cut. */
  exchange(commands: string[][]): Promise<Reply[]> {
    if (this.cut) return Promise.reject(this.cut);
    if (commands.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      this.awaited = commands.length;
      this.settle = resolve;
      this.fail = reject;
      this.socket.write(commands.map(encode).join(""));
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private take(chunk: Buffer): void {
    this.rest = this.rest.length ? Buffer.concat([this.rest, chunk]) : chunk;
    const reader = new Reader(this.rest);
    for (let reply = reader.next(); reply !== undefined; reply = reader.next()) this.replies.push(reply);
    this.rest = this.rest.subarray(reader.done);
    if (this.replies.length < this.awaited || !this.settle) return;
    const { replies, settle } = this;
    this.replies = [];
    this.settle = this.fail = null;
    settle(replies);
  }

  private break(error: Error): void {
    this.cut ??= error;
    this.fail?.(this.cut);
    this.settle = this.fail = null;
  }
}

/** Reads replies off a buffer; `done` is where the last whole one ended. */
class Reader {
  done = 0;
  private at = 0;

  constructor(private readonly buffer: Buffer) {}

  /** The next reply; undefined if it is not there as a whole yet. */
  next(): Reply | undefined {
    this.at = this.done;
    const reply = this.read();
    if (reply !== undefined) this.done = this.at;
    return reply;
  }

  private read(): Reply | undefined {
    const end = this.buffer.indexOf("\r\n", this.at);
    if (end < 0) return undefined;
    const sign = String.fromCharCode(this.buffer[this.at]!);
    const line = this.buffer.toString("utf8", this.at + 1, end);
    this.at = end + 2;
    switch (sign) {
      case "+":
        return line;
      case "-":
        return new Refusal(line);
      case ":":
        return Number(line);
      case "$":
        return this.readText(Number(line));
      case "*":
        return this.readList(Number(line));
      default:
        throw new Error(`Redis sent something unknown: ${sign}${line}`);
    }
  }

  private readText(length: number): Reply | undefined {
    if (length < 0) return null;
    const end = this.at + length;
    if (end + 2 > this.buffer.length) return undefined;
    const text = this.buffer.toString("utf8", this.at, end);
    this.at = end + 2;
    return text;
  }

  private readList(length: number): Reply | undefined {
    if (length < 0) return null;
    const list: Reply[] = [];
    for (let i = 0; i < length; i += 1) {
      const item = this.read();
      if (item === undefined) return undefined;
      list.push(item);
    }
    return list;
  }
}

function encode(words: string[]): string {
  let text = `*${words.length}\r\n`;
  for (const word of words) text += `$${Buffer.byteLength(word)}\r\n${word}\r\n`;
  return text;
}

function connected(socket: Socket, event: "connect" | "secureConnect"): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => socket.destroy(new Error("Redis does not answer")), CONNECT_MS);
    const done = (act: () => void) => () => {
      clearTimeout(timer);
      socket.off("error", failed);
      act();
    };
    const failed = (error: Error) => done(() => reject(error))();
    socket.once("error", failed);
    socket.once(event, done(resolve));
  });
}
