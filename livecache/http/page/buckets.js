// The buckets of one series: what the API gave, and what the stream has said since.

import { TIMEFRAMES, decimals } from "./words.js";

const MOST = 5_000;

export class Buckets {
  constructor(timeframe) {
    this.step = TIMEFRAMES[timeframe];
    this.monthly = timeframe === "1M";
    this.loaded = false;
    this.digits = 0;
    this.#forget();
  }

  /** The open of the bucket so many after that of `time`. */
  #after(time, count = 1) {
    if (!this.monthly) return time + count * this.step;
    const month = new Date(time);
    return Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + count);
  }

  #forget() {
    this.candles = new Map(); // by open time
    this.from = 0; // from here to `known` nothing is missing
    this.known = 0; // before this each bucket is known: one without a candle had no trade
    this.settled = 0;
    this.closed = 0;
    this.forming = 0;
  }

  /** Take an answer of /api/v1/candles, in place of all that was there. */
  load(answer) {
    this.#forget();
    this.loaded = true;
    this.from = answer.contiguous_from;
    this.known = answer.known_through;
    this.settled = answer.settled_through;
    this.closed = answer.closed_through;
    this.forming = answer.forming_from;
    for (const candle of answer.candles) this.#put(candle[0], candle);
    if (answer.forming) this.#put(answer.forming_from, answer.forming);
  }

  /** Take an event of the stream; what it says twice does no harm. */
  apply(event, { time, candle }) {
    if (event === "forming") {
      if (time < Math.max(this.forming, this.known)) return; // It was overtaken by the word that it closed.
      this.forming = time;
      this.#put(time, candle);
      return;
    }
    this.#put(time, candle);
    const end = this.#after(time);
    this.closed = Math.max(this.closed, end);
    if (this.known === time) this.known = end;
    if (event !== "closed" && this.settled === time) this.settled = end;
  }

  /**
   * Take a series' row. Returns whether the service knows more than was seen here.
   *
   * Only what was seen counts as known: a bucket whose candle is still on its way would look like an empty one.
   */
  mark(row) {
    this.closed = Math.max(this.closed, row.closed_through);
    this.settled = Math.max(this.settled, Math.min(row.settled_through, this.known));
    if (row.feed !== "up" && this.forming >= this.closed) {
      this.candles.delete(this.forming); // Nobody vouches for what is in progress.
      this.forming = 0;
    }
    return row.known_through > this.known;
  }

  /** Whether that row reaches farther back: what is filled in before the first candle comes by no event. */
  lacks(row) {
    return row.contiguous_from > 0 && row.contiguous_from < this.from;
  }

  /** All buckets without a gap, oldest first: `{time, kind, candle}`. */
  list() {
    const times = [...this.candles.keys()];
    if (!times.length) return [];
    const first = times.reduce((a, b) => Math.min(a, b));
    const last = Math.max(times.reduce((a, b) => Math.max(a, b)), this.#after(this.closed, -1), this.forming);
    const found = [];
    for (let time = Math.max(first, this.#after(last, 1 - MOST)); time <= last; time = this.#after(time)) {
      const candle = this.candles.get(time) ?? null;
      found.push({ time, kind: this.#kind(time, candle), candle });
    }
    return found;
  }

  #kind(time, candle) {
    if (time < this.settled) return candle ? "settled" : "empty";
    if (time < this.known) return candle ? "provisional" : "quiet";
    if (time >= this.closed && time === this.forming) return "forming";
    return time >= this.closed && candle ? "provisional" : "missing";
  }

  #put(time, candle) {
    if (candle === null) {
      this.candles.delete(time);
      return;
    }
    this.candles.set(time, candle);
    this.digits = Math.max(this.digits, ...candle.slice(1, 5).map(decimals));
    if (this.candles.size > MOST) this.candles.delete(this.candles.keys().next().value);
  }
}
