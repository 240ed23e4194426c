// Thirty days of hours, an order and its jobs, and a mistake: node example.js http://127.0.0.1:8787

import { type Candle, Livecache, Refused } from "./client.js";

declare const process: { argv: string[]; env: Record<string, string | undefined> };

const livecache = new Livecache(process.argv[2] ?? "http://127.0.0.1:8787", process.env.LIVECACHE_HTTP_TOKEN);

const newest = await livecache.candles({ symbol: "BTC-USD", timeframe: "5m", limit: 1 });
const since = newest.candles[0]![0] - 30 * 86_400_000;

const hours: Candle[] = [];
for await (const page of livecache.years("BTC-USD", "1h", since, 200)) hours.unshift(...page);
console.log(`${hours.filter(([time]) => time >= since).length} hours`);

const day = 86_400_000;
const order = { symbols: ["BTC-USD"], timeframe: "1h", from: since - 200 * day, to: since - 190 * day };
for (const id of await livecache.backfill(order, "typescript-1")) {
  for await (const job of livecache.watch(id, 0.3)) console.log(`job ${job.state}: ${job.covered} of ${job.wanted}`);
}

try {
  await livecache.candles({ symbol: "BTC-UDS", timeframe: "5m" });
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  console.log(`refused: ${error.problem.kind}, ${error.problem.hint}`);
}
