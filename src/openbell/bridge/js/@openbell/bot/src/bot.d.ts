/**
 * The mock bot: carries messages between strategies (`bot:*`) and the aggregator (`aggregator:*`),
 * keeps the positions, and answers questions about risk.
 */
import type { Config, MainBot } from "../../sdk/src/types";
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
export declare class MockBot {
    private readonly config;
    private readonly publish;
    private readonly log;
    private readonly changed;
    readonly botId: string;
    readonly symbol: string;
    readonly mainBot: MainBot;
    readonly statistics: BotStatistics;
    private readonly book;
    /** The sender's time of the newest market data; the bot has no clock of its own. */
    private lastTime;
    /** @param changed is called when the status is another one. */
    constructor(config: Config, publish: Publish, log: (text: string) => void, changed?: () => void);
    /** The channels the bot listens to. */
    get channels(): string[];
    /** Take one message. What breaks a rule is counted and logged; never raises for it. */
    receive(channel: string, text: string): void;
    /** What stands under the status key. */
    status(state: "running" | "stopped"): Message;
    private act;
    private forward;
    private passMarketData;
    private takePositions;
    private answerRisk;
}
/** Run a bot on Redis until it is stopped. Raises if Redis is lost for good. */
export declare function runBot(config: Config, stop: Promise<void>, ready: () => void, log: (text: string) => void): Promise<void>;
export {};
