// One series as it happens: its stream, and its candles loaded anew whenever something may have been missed.

import { Buckets } from "./buckets.js";
import { Pause, Refused, events, get, seen, unseen } from "./service.js";

const CANDLES_MOST = 1_000;
const POLL_MS = 30_000; // where there is no stream

export class One {
  #onNews;
  #onBreak;
  #stop = new AbortController();
  #pause = new Pause();
  #waiting = null; // events that came while candles were under way, else null
  #due = true; // candles have to be loaded
  #behind = false;

  /** `onNews`: there is something to draw. `onBreak`: the stream has ended, or come back; null where there is none, as of what is added up. */
  constructor(name, timeframe, onNews, onBreak) {
    this.name = name; // its symbol, as `nameOf` has it
    this.timeframe = timeframe;
    this.buckets = new Buckets(timeframe);
    this.row = null; // as in /api/v1/series
    this.toldAt = 0; // when that came, by performance.now()
    this.heard = null; // the last price that came as it was traded: `{price, time, at}`
    this.live = false;
    this.refused = null; // why there is no stream
    this.failed = null; // why there are no candles
    this.#onNews = onNews;
    this.#onBreak = onBreak;
  }

  /** Follow it until `stop`. */
  async follow() {
    if (!this.#onBreak) return this.#poll();
    const { signal } = this.#stop;
    const path = `api/v1/stream?series=${encodeURIComponent(`${this.name}:${this.timeframe}`)}`;
    for (;;) {
      // A browser has six connections to a service, for all its tabs: one that nobody sees needs none.
      await seen();
      if (signal.aborted) return;
      const hidden = unseen();
      try {
        for await (const { event, data } of events(path, AbortSignal.any([signal, hidden]))) this.#take(event, data);
        this.refused = null;
      } catch (error) {
        this.refused = error instanceof Refused ? error : null;
      }
      if (signal.aborted) return;
      this.live = false;
      this.row = null;
      this.#due = true; // Whatever happens meanwhile is missed.
      if (hidden.aborted) continue;
      this.#onBreak();
      await this.#pause.afterFailure();
    }
  }

  async #poll() {
    while (!this.#stop.signal.aborted) {
      await seen();
      await this.#load();
      await this.#pause.for(POLL_MS);
    }
  }

  stop() {
    this.#stop.abort();
    this.#pause.wake();
  }

  /** Try again at once. */
  wake() {
    this.#pause.wake();
  }

  #take(event, data) {
    if (!this.live && this.buckets.loaded) this.#onBreak();
    this.live = true;
    this.refused = null;
    this.#pause.succeeded();
    if (event === "state") this.#mark(data);
    else if (event === "lost") this.#due = true;
    else if (this.#waiting) this.#waiting.push([event, data]);
    else this.buckets.apply(event, data);
    if (event !== "state" && data.candle) this.#price(event, data);
    if (this.#due) this.#load();
    this.#onNews();
  }

  /** What settles or is revised may be an older bucket than the last price is of. */
  #price(event, { time, candle }) {
    const price = candle[4];
    if (event === "forming") this.heard = { price, time, at: performance.now() };
    if (this.row && time >= (this.row.last_time ?? 0)) this.#stand({ ...this.row, last: price, last_time: time });
  }

  /** A price that something else tells of first was heard just as well; one from before the last that was heard was not. */
  #stand(row) {
    const { last: price, last_time: time } = row;
    if (this.heard && price !== null) {
      if (time < this.heard.time) [row.last, row.last_time] = [this.heard.price, this.heard.time];
      else if (time > this.heard.time || price !== this.heard.price) this.heard = { price, time, at: performance.now() };
    }
    this.row = row;
  }

  #mark({ series }) {
    if (series.length) this.#stand({ ...series[0], name: this.name });
    this.toldAt = performance.now();
    if (!series.length || !this.buckets.loaded) return;
    // What the service says of a bucket may come before what happened in it. Not for long: then it was missed.
    const behind = this.buckets.mark(series[0]);
    this.#due ||= (behind && this.#behind) || this.buckets.lacks(series[0]);
    this.#behind = behind;
  }

  async #load() {
    // Where nothing is known yet, the next state that comes is soon enough.
    if (this.#waiting || this.row?.known_through <= this.row?.contiguous_from) return;
    this.#waiting = [];
    try {
      const answer = await this.#candles();
      this.buckets.load(answer, CANDLES_MOST);
      this.#due = this.#behind = false;
      this.failed = null;
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.failed = error; // And the next state that comes is an occasion to try again.
    }
    const missed = this.#waiting;
    this.#waiting = null;
    if (this.buckets.loaded) for (const [event, data] of missed) this.buckets.apply(event, data);
    this.#onNews();
  }

  async #candles() {
    // What is kept warm comes at once; for more it would be looked into years.
    const warm = this.row ? Math.ceil((this.row.known_through - this.row.contiguous_from) / this.buckets.step) : CANDLES_MOST;
    const limit = Math.min(Math.max(1, warm), CANDLES_MOST);
    const query = new URLSearchParams({ symbol: this.name, timeframe: this.timeframe, limit, at_least: 1 });
    const path = `api/v1/candles?${query}`;
    const begun = this.row?.last_time >= this.row?.closed_through;
    if (this.row?.feed !== "up" || !begun) return get(path, this.#stop.signal);
    try {
      return await get(`${path}&forming=true`, this.#stop.signal);
    } catch (error) {
      if (error.kind !== "out_of_sync") throw error;
      return get(path, this.#stop.signal); // Of what is in progress it did not see the beginning.
    }
  }
}
