// The buckets of one series: what the API gave, and what the stream has said since.

import { TIMEFRAMES, decimals } from "./words.js";

const MOST = 5_000;

export class Buckets {
  constructor(timeframe) {
    this.step = TIMEFRAMES[timeframe];
    this.monthly = timeframe === "1M";
    this.grid = null; // of an exchange that closes
    this.loaded = false;
    this.digits = 0;
    this.#forget();
  }

  /** The open of the bucket so many after that of `time`. */
  #after(time, count = 1) {
    if (this.grid) return this.grid.after(time, count);
    if (!this.monthly) return time + count * this.step;
    const month = new Date(time);
    return Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + count);
  }

  /** When the bucket that opens at `time` ends. */
  #end(time) {
    return this.grid ? this.grid.end(time) : this.#after(time);
  }

  /** Whether all before the bucket that opens at `time` lies before `through`; it may be closed hours between. */
  #reaches(through, time) {
    return through === time || (this.grid && through < time && this.#end(this.#after(time, -1)) === through);
  }

  #forget() {
    this.candles = new Map(); // by open time
    this.from = 0; // from here to `known` nothing is missing
    this.begins = 0; // before this nothing was loaded, though something may be known
    this.known = 0; // before this each bucket is known: one without a candle had no trade
    this.settled = 0;
    this.closed = 0;
    this.forming = 0;
  }

  /** Take an answer of /api/v1/candles that asked for so many, in place of all that was there. */
  load(answer, most = Infinity) {
    this.#forget();
    this.loaded = true;
    this.grid = answer.grid ? new Sessions(answer.grid) : null;
    this.from = answer.contiguous_from;
    this.begins = answer.candles.length < most ? this.from : answer.candles[0][0];
    this.known = answer.known_through;
    this.settled = answer.settled_through;
    this.closed = answer.closed_through;
    this.forming = answer.forming_from;
    for (const candle of answer.candles) this.#put(candle[0], candle);
    if (answer.forming) this.#put(answer.forming_from, answer.forming);
  }

  /** Take an event of the stream; what it says twice does no harm. */
  apply(event, { time, candle }) {
    if (time < this.begins) return; // All between would look as if nothing had been traded.
    if (event === "forming") {
      if (time < Math.max(this.forming, this.known)) return; // It was overtaken by the word that it closed.
      this.forming = time;
      this.#put(time, candle);
      return;
    }
    this.#put(time, candle);
    const end = this.#end(time);
    if (!end) return; // Its session has not been told of: what is loaded anew brings it.
    this.closed = Math.max(this.closed, end);
    if (this.#reaches(this.known, time)) this.known = end;
    if (event !== "closed" && this.#reaches(this.settled, time)) this.settled = end;
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
    const closed = this.grid ? this.grid.lastBefore(this.closed) : this.#after(this.closed, -1);
    const last = Math.max(times.reduce((a, b) => Math.max(a, b)), closed, this.forming);
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

/** The buckets of an exchange that closes, of `STEP in OPEN-CLOSE,…`; what ends it, `+LATE`, is not needed here. */
export class Sessions {
  #opens = [];
  #ends = [];

  constructor(text) {
    const [step, , sessions] = text.split(" ");
    for (const [open, close] of sessions.split(",").map((session) => session.split("-").map(Number))) {
      for (let time = open; time < close; time += +step || close) {
        this.#opens.push(time);
        this.#ends.push(Math.min(time + (+step || close), close));
      }
    }
  }

  /** The open so many after; Infinity beyond what was told. */
  after(time, count) {
    return this.#opens[Math.max(0, this.#index(time) + count)] ?? Infinity;
  }

  /** When the bucket that opens at `time` ends; 0 if none does. */
  end(time) {
    const index = this.#index(time);
    return this.#opens[index] === time ? this.#ends[index] : 0;
  }

  /** The opens within [from, to). */
  within(from, to) {
    return this.#opens.slice(this.#index(from - 1) + 1, this.#index(to - 1) + 1);
  }

  lastBefore(time) {
    return this.#opens[this.#index(time - 1)] ?? 0;
  }

  /** Of the newest bucket that opens at `time` or before; -1 for none. */
  #index(time) {
    let [low, high] = [0, this.#opens.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#opens[middle] <= time) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
