// The buckets that were loaded before the live ones, or in place of them: one stretch without a seam. It asks for nothing.

import { Sessions } from "./buckets.js";
import { TIMEFRAMES } from "./words.js";

const HELD_MOST = 20_000;
const QUIET_DAYS = 60; // without a candle: where nobody tells of a listing, that is one for whoever scrolls
const DAY_MS = 86_400_000;

/**
 * An answer of /api/v1/candles as `{from, to, buckets, missing, job, end, listed}`. A bucket is as `Buckets.list` has it;
 * `missing` are stretches of time. `end` says why there is nothing before `from`: "listing", "reach", "silence", "none"; ""
 * if there is more. `asked` has the `from` and `to` of the request, if it had any: what Redis alone answers does not tell them.
 */
export function pageOf(answer, timeframe, asked = {}) {
  const { from, to, coverage, missing, provisional, exhausted = false, ends = "" } = answer.coverage ? answer : asPast(answer, asked);
  const candles = new Map(answer.candles.map((candle) => [candle[0], candle]));
  const [proven, quiet, lacking] = [coverage, provisional, missing].map(within);
  const buckets = opensOf(answer.grid ?? "", timeframe, from, to).map((time) => {
    const candle = candles.get(time) ?? null;
    const open = quiet(time);
    if (lacking(time) || !(candle || open || proven(time))) return { time, kind: "missing", candle };
    if (candle) return { time, kind: open ? "provisional" : "settled", candle };
    return { time, kind: open ? "quiet" : "empty", candle };
  });
  const end = exhausted ? ends || "none" : "";
  return { from, to, buckets, missing, job: answer.job ?? null, end, listed: answer.listed ?? null };
}

/** What an answer of Redis alone says, in words of one of the past. */
function asPast({ candles, contiguous_from: known, settled_through: settled, known_through: to }, asked) {
  const from = Math.max(known, asked.from ?? candles[0]?.[0] ?? known);
  const end = Math.min(to, asked.to ?? to);
  return { from, to: end, coverage: [[known, settled]], missing: [], provisional: settled < to ? [[settled, to]] : [] };
}

/** Whether a time lies in one of some spans, asked in rising order. */
function within(spans) {
  let at = 0;
  return (time) => {
    while (at < spans.length && spans[at][1] <= time) at += 1;
    return at < spans.length && spans[at][0] <= time;
  };
}

/** Where the buckets of [from, to) open; `from` is an open itself, if it has any. */
function opensOf(grid, timeframe, from, to) {
  if (grid.includes(" in ")) return new Sessions(grid).within(from, to);
  const opens = [];
  for (let time = from; time < to; time = after(time, timeframe)) opens.push(time);
  return opens;
}

function after(time, timeframe) {
  if (timeframe !== "1M") return time + TIMEFRAMES[timeframe];
  const month = new Date(time);
  return Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + 1);
}

export class Past {
  #timeframe;
  #buckets = []; // of [from, to)
  #open = []; // stretches that are missing: `{from, to, job, whole}`, whole if all of their page is
  #live = []; // as they were last seen

  constructor(timeframe) {
    this.#timeframe = timeframe;
    this.clear();
  }

  /** Only what is live. */
  clear() {
    this.#buckets = [];
    this.#open = [];
    this.from = this.to = 0; // 0: nothing was loaded
    this.attached = true; // the live buckets follow
    this.end = ""; // why there is nothing before `from`
    this.listed = null;
  }

  /** How many of `list` are no live ones. */
  get length() {
    return this.#buckets.length;
  }

  /** All buckets to be drawn, given the live ones. */
  list(live) {
    if (live.length && this.to && this.attached) this.#meet(live);
    this.#live = live;
    return this.attached ? [...this.#buckets, ...live] : this.#buckets;
  }

  /** The live ones may begin later by now, or earlier. */
  #meet(live) {
    const start = live[0].time;
    if (start > this.to) {
      const left = this.#live.filter(({ time }) => time >= this.to && time < start);
      const whole = left.length && this.#live.some(({ time }) => time >= start);
      if (!whole) {
        this.attached = false; // What lies between has to be loaded.
        return;
      }
      this.#buckets = [...this.#buckets, ...left];
    } else if (start < this.to) {
      this.#buckets = this.#buckets.filter(({ time }) => time < start);
    }
    this.to = start;
    this.from = Math.min(this.from, start);
  }

  /**
   * What to ask for where somebody sees the places `from` to `to` of the list, fractions of them, and looks so many
   * screens ahead: `{way, before}` or `{way, from, to}`, by parameters of /api/v1/candles; null if all is there.
   */
  wanted({ from, to }, screens = 1.5) {
    const ahead = (to - from) * screens;
    if (from < ahead && !this.end && this.start && !this.#blank) return { way: "older", before: this.start };
    if (!this.attached && to > this.#buckets.length - ahead) return { way: "newer", from: this.to, until: this.#live[0]?.time ?? Infinity };
    return null;
  }

  /** Where it begins is being fetched, or nothing of a page is there: what lies before is asked for once more is known. */
  get #blank() {
    return this.#open.some(({ from, whole, job }) => (whole || job) && from <= this.from);
  }

  /** Where the list begins. */
  get start() {
    return this.to ? this.from : (this.#live[0]?.time ?? 0);
  }

  /** Take a page that was asked for by `before` = where the list began. */
  older(page) {
    const start = this.start;
    if (!this.to) this.to = start;
    this.#buckets = [...page.buckets.filter(({ time }) => time < start), ...this.#buckets];
    this.from = Math.min(page.from, start);
    this.#note(page);
    this.#ends(page);
    if (page.from >= start && !this.end) this.end = "none"; // It would be asked for again and again.
    this.#quiet();
  }

  /** Take a page that was asked for `until` some time, from where what is loaded ends. */
  newer(page, until) {
    const start = this.#live[0]?.time ?? Infinity;
    const fresh = page.buckets.filter(({ time }) => time >= this.to && time < start);
    this.#buckets = [...this.#buckets, ...fresh];
    this.to = Math.min(Math.max(page.to, until), start);
    this.attached = this.to >= start;
    this.#note(page);
  }

  /** Look elsewhere: at this page, in place of all that was loaded. */
  jump(page) {
    const start = this.#live[0]?.time ?? Infinity;
    this.clear();
    this.#buckets = page.buckets.filter(({ time }) => time < start);
    this.from = page.from;
    this.to = Math.min(page.to, start);
    this.attached = page.to >= start;
    this.#note(page);
    this.#ends(page);
  }

  /** What to ask for once more in place of a stretch that misses something: `{before, limit}`. */
  again({ from, to }) {
    return { before: to, limit: Math.max(1, this.#buckets.filter(({ time }) => time >= from && time < to).length) };
  }

  /** Take what was asked for once more. It may turn out that it was not listed yet. */
  mend({ from, to }, page) {
    this.#open = this.#open.filter((open) => open.to <= from || open.from >= to);
    const fresh = page.buckets.filter(({ time }) => time >= this.from && time < this.to);
    const before = page.end ? [] : this.#buckets.filter(({ time }) => time < Math.min(from, page.from));
    const behind = this.#buckets.filter(({ time }) => time >= to);
    this.#buckets = [...before, ...fresh, ...behind];
    if (page.end) {
      this.from = Math.max(this.from, page.from);
      this.#open = this.#open.filter((open) => open.to > this.from);
      this.#ends(page);
    }
    this.#note(page);
    this.#quiet();
  }

  /** Of what is loaded, the stretch that misses something and lies in these places of the list: `{from, to, job}`, or null. */
  lacking({ from, to }) {
    const seen = this.#buckets.slice(Math.max(0, Math.floor(from)), Math.max(0, Math.ceil(to)));
    if (!seen.length) return null;
    return this.#open.find((open) => open.from <= seen.at(-1).time && open.to > seen[0].time) ?? null;
  }

  /** Somebody works at it. */
  ordered(open, job) {
    open.job = job;
  }

  /** Hold no more than so many: lets go of what is farthest from the middle of these places. Whether it did. */
  trim({ from, to }, most = HELD_MOST) {
    const over = this.#buckets.length + (this.attached ? this.#live.length : 0) - most;
    if (over <= 0) return false;
    const middle = (from + to) / 2;
    const whole = this.#buckets.length;
    if (middle < (whole + (this.attached ? this.#live.length : 0)) / 2) {
      // The live ones are kept elsewhere: they are not drawn until they are reached again.
      const kept = Math.max(Math.ceil(to), Math.min(whole, most));
      if (this.attached && kept > whole) return false;
      this.attached = false;
      if (kept < whole) {
        this.to = this.#buckets[kept].time;
        this.#buckets = this.#buckets.slice(0, kept);
      }
    } else {
      const gone = Math.min(over, Math.max(0, Math.floor(from)), whole);
      if (!gone) return false;
      this.#buckets = this.#buckets.slice(gone);
      this.from = this.#buckets[0]?.time ?? this.to;
      this.end = "";
    }
    this.#open = this.#open.filter((open) => open.to > this.from && open.from < this.to);
    return true;
  }

  #note(page) {
    const whole = page.buckets.every(({ kind }) => kind === "missing");
    for (const [from, to] of page.missing) this.#open.push({ from, to, job: page.job, whole });
  }

  /** Before the first candle nothing was traded for so long that there will have been no market. */
  #quiet() {
    const first = this.#buckets.findIndex(({ kind }) => kind !== "empty");
    const begins = first < 0 ? this.to : this.#buckets[first].candle ? this.#buckets[first].time : this.from;
    if (!this.end && begins - this.from >= QUIET_DAYS * DAY_MS) [this.end, this.listed] = ["quiet", begins];
  }

  #ends(page) {
    this.end = page.end;
    this.listed = page.listed ?? this.listed;
  }
}
