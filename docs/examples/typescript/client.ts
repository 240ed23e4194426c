// A client of livecache's candles API, typed by what the service says of itself:
//
//   npx openapi-typescript http://127.0.0.1:8787/openapi.json -o livecache.d.ts --default-non-nullable=false
//
// Nothing but `fetch` is needed, so it runs in a browser as in Node 20.

import type { components, operations } from "./livecache";

export type Candle = components["schemas"]["Candle"];
export type Problem = components["schemas"]["Problem"];
export type Job = components["schemas"]["JobRow"];
export type Order = components["schemas"]["BackfillRequest"];
export type Page = components["schemas"]["CandlesAnswer"];
export type Query = operations["candles"]["parameters"]["query"];

/** The service answered, and said no: `problem` says why. */
export class Refused extends Error {
  constructor(
    readonly problem: Problem,
    /** Seconds after which it is worth asking again; null where it is not. */
    readonly retryAfter: number | null,
  ) {
    super(`${problem.title}: ${problem.detail}${problem.hint ? ` (${problem.hint})` : ""}`);
  }
}

const sleep = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

export class Livecache {
  constructor(
    private readonly base: string,
    private readonly token = "",
  ) {}

  /** One page of candles, or the newest. */
  candles(query: Query): Promise<Page> {
    return this.ask<Page>("GET", "/api/v1/candles", query);
  }

  /** Candles back to a time (Unix ms), the newest page first. What is missing is waited for while a job fetches it. */
  async *years(symbol: string, timeframe: string, since: number, limit = 500): AsyncGenerator<Candle[]> {
    for (let before: number | null = Date.now(); before !== null && before > since; ) {
      try {
        const page: Page = await this.candles({ symbol, timeframe, before: String(before), limit, timeout: 8 });
        yield page.candles;
        before = page.next_before ?? null;
      } catch (error) {
        if (!(error instanceof Refused && error.problem.kind === "incomplete" && error.problem.job)) throw error;
        await sleep(error.retryAfter ?? 1);
      }
    }
  }

  /** Have a stretch fetched. The numbers of its jobs; the same `key` never makes a second order. */
  async backfill(order: Order, key: string): Promise<number[]> {
    const headers = { "Idempotency-Key": key };
    const told = await this.ask<components["schemas"]["OrderAnswer"]>(
      "POST",
      "/api/v1/candles/backfill",
      {},
      order,
      headers,
    );
    return told.jobs;
  }

  /** A job each time it is looked at, until it is over. */
  async *watch(id: number, everySeconds = 1): AsyncGenerator<Job> {
    for (;;) {
      const job = await this.ask<Job>("GET", `/api/v1/jobs/${id}`);
      yield job;
      if (!["pending", "running", "waiting"].includes(job.state)) return;
      await sleep(everySeconds);
    }
  }

  private async ask<Answer>(
    method: string,
    path: string,
    query: object = {},
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const url = new URL(path, this.base);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value));
    if (this.token) headers = { ...headers, Authorization: `Bearer ${this.token}` };
    if (body !== undefined) headers = { ...headers, "Content-Type": "application/json" };
    const answer = await fetch(url, { method, headers, body: body === undefined ? null : JSON.stringify(body) });
    if (answer.ok) return (await answer.json()) as Answer;
    const after = answer.headers.get("Retry-After");
    throw new Refused((await answer.json()) as Problem, after === null ? null : Number(after));
  }
}
