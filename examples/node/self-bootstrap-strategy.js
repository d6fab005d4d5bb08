"use strict";

/**
 * The same EMA strategy, but it asks for its history itself, through a Redis client of its own: it
 * publishes a request, waits for the answer with its request id, and is ready.
 *
 * `whenReady` is how its host learns when that is done; without it a host would feed it too early.
 */

const { createClient } = require("redis");

const EmaStrategy = require("./ema-strategy.js");

const REQUEST = "aggregator:historical-data:request";
const RESPONSE = "aggregator:historical-data:response";
const ASK_AGAIN_MS = 1000; // pub/sub forgets a request that nobody was there to hear

module.exports = class SelfBootstrapStrategy {
  constructor(config, mainBot) {
    this.name = "EMA_SELF_BOOTSTRAP";
    this.config = config;
    this.ema = new EmaStrategy(config, mainBot);
    this.bootstrapped = this.bootstrap();
    // Whoever waits for it is told; nobody has to.
    this.bootstrapped.catch(() => undefined);
  }

  whenReady() {
    return this.bootstrapped;
  }

  processMarketData(price, volume, timestamp) {
    return this.ema.processMarketData(price, volume, timestamp);
  }

  async bootstrap() {
    const bars = await this.fetchHistory();
    const isEnough = await this.ema.initializeWithHistoricalData(bars);
    if (!isEnough) throw new Error(`${bars.length} bars of history are not enough`);
  }

  async fetchHistory() {
    const client = createClient(connection(this.config));
    const subscriber = client.duplicate();
    const failed = new Promise((_, reject) => {
      client.on("error", reject);
      subscriber.on("error", reject);
    });
    try {
      await Promise.race([Promise.all([client.connect(), subscriber.connect()]), failed]);
      return await Promise.race([this.ask(client, subscriber), failed]);
    } finally {
      await Promise.allSettled([subscriber.disconnect(), client.disconnect()]);
    }
  }

  async ask(client, subscriber) {
    const requestId = `ema-bootstrap-${this.config.botId ?? "bot"}-${process.pid}`;
    const answer = new Promise((resolve) => {
      const listen = (text) => {
        const message = JSON.parse(text);
        if (message.requestId === requestId) resolve(message);
      };
      void subscriber.subscribe(RESPONSE, listen).then(() => this.request(client, requestId));
    });
    const timer = setInterval(() => void this.request(client, requestId), ASK_AGAIN_MS);
    try {
      const { success, error, data } = await answer;
      if (!success) throw new Error(`history was refused: ${error}`);
      return data.bars;
    } finally {
      clearInterval(timer);
    }
  }

  request(client, requestId) {
    const request = {
      requestId,
      symbol: this.config.symbol ?? "NQ",
      barType: "time",
      interval: 1,
      intervalType: "min",
      barsBack: this.config.historicalBarsBack ?? 50,
      sessionTemplate: "USEQPost",
    };
    return client.publish(REQUEST, JSON.stringify(request));
  }
};

function connection({ redisUrl, redisHost = "127.0.0.1", redisPort = 6379 }) {
  return redisUrl ? { url: redisUrl } : { socket: { host: redisHost, port: redisPort } };
}
