// One series as far as somebody has looked: what is live, and what is loaded before it as the view goes there.

import { Past, pageOf } from "./past.js";
import { Pause, get } from "./service.js";

const PAGE_LEAST = 500;
const PAGE_MOST = 1_200; // what is missing of it can be had within a request: five pages of most exchanges
const FILLED_WITHIN_S = 4; // what is not there is fetched by the service meanwhile
const AGAIN_MS = 30_000; // at most, before what is missing is asked for again
const AGAIN_SOON_MS = 8_000; // … that somebody is at work on
const SESSIONS = 5; // an exchange that closes is open a fifth of the time, or more

export class Reel {
  #past;
  #still;
  #onNews;
  #range = { from: 0, to: 1 }; // the places that are seen
  #length = 0; // of the list
  #stop = new AbortController();
  #pause = new Pause();
  #again = new Pause();
  #busy = false;
  #mending = false;
  #tries = 0; // in a row, that brought nothing of what is missing

  /** `still` gives a promise of a moment in which nobody moves the chart. `onNews`: there is something to draw. */
  constructor(one, still, onNews) {
    this.one = one;
    this.kept = null; // whether the service keeps older candles than it serves live; null: who knows
    this.loading = ""; // "older" or "newer" while it is under way
    this.trouble = null; // why it does not come
    this.going = false; // to a time that is not loaded yet
    this.#past = new Past(one.timeframe);
    this.#still = still;
    this.#onNews = onNews;
  }

  get attached() {
    return this.#past.attached;
  }

  /** Why there is nothing before: "listing", "quiet", "reach", "silence", "none", "unkept", or "" if there is more. */
  get end() {
    return this.#past.end || (this.kept === false ? "unkept" : "");
  }

  get listed() {
    return this.#past.listed;
  }

  list() {
    const live = this.one.buckets.list();
    const newest = this.attached && this.#range.to >= this.#length - 1;
    let list = this.#past.list(live);
    if (newest && !this.attached) {
      this.#past.clear(); // Whoever looked at the newest, and was away for long, goes on doing so.
      list = live;
    }
    this.#length = list.length;
    return list;
  }

  /** These places of the list are seen: load what is near, unless it is on its way. */
  look(range) {
    this.#range = range;
    const { loaded } = this.one.buckets;
    if (this.#busy || !loaded || !this.kept) return;
    const wanted = this.#past.wanted(range);
    const open = wanted ? null : this.#past.lacking(this.#near());
    if (wanted) this.#load(wanted);
    else if (open && !this.#mending) this.#mend(open);
  }

  /** Have these times in the list, though nothing between them and now is loaded. False once something else is wanted. */
  async goTo({ from, to }) {
    this.#begin();
    const { signal } = this.#stop;
    const { step } = this.one.buckets;
    const [list, live] = [this.list(), this.one.buckets.list()];
    const there = list.length && list[0].time <= from && (this.attached || list.at(-1).time >= to);
    if (there || !live.length || !this.kept) return true;
    const before = Math.min(Math.ceil(to + (to - from)), live[0].time);
    const limit = Math.min(PAGE_MOST, Math.max(PAGE_LEAST, Math.ceil((3 * (to - from)) / step)));
    if (live[0].time <= from) {
      this.#past.clear();
      return true;
    }
    this.going = true;
    const jump = async () => {
      let page = await this.#page({ before, limit }, signal);
      // Before its listing there is nothing to see: that is where to go.
      if (page.listed >= page.to) page = await this.#page({ before: Math.min(Math.ceil(page.listed + to - from), live[0].time), limit }, signal);
      if (page.buckets.length) this.#past.jump(page);
      else this.#past.clear();
    };
    while (!signal.aborted && !(await this.#run("older", signal, jump))) this.#onNews();
    if (!signal.aborted) this.going = false;
    return !signal.aborted;
  }

  /** Back to what is live. */
  now() {
    this.#begin();
    if (!this.attached) this.#past.clear();
  }

  /** What is missing where one looks, and nobody is at work on it: `{from, to}`, or null. */
  lacking() {
    const open = this.#past.lacking(this.#range);
    return open && !open.job ? open : null;
  }

  /** What is missing where one looks is on its way. */
  get filling() {
    return Boolean(this.#past.lacking(this.#range)?.job);
  }

  /** Somebody has ordered it. */
  ordered(open, job) {
    this.#past.ordered(open, job);
    this.#tries = 0;
    this.#onNews();
  }

  /** Try again at once. */
  wake() {
    this.#pause.wake();
    this.#again.wake();
  }

  stop() {
    this.#stop.abort();
    this.wake();
  }

  #near() {
    const width = this.#range.to - this.#range.from;
    return { from: this.#range.from - width, to: this.#range.to + width };
  }

  /** What was under way is for nobody any more. */
  #begin() {
    this.stop();
    this.#stop = new AbortController();
    this.#busy = this.going = false;
    this.loading = "";
    this.trouble = null;
  }

  async #load(wanted) {
    const { signal } = this.#stop;
    const { from: left, to: right } = this.#range;
    const limit = Math.round(Math.min(PAGE_MOST, Math.max(PAGE_LEAST, 2 * (right - left))));
    await this.#run(wanted.way, signal, async () => {
      if (wanted.way === "older") {
        const page = await this.#page({ before: wanted.before, limit }, signal);
        if (this.#past.start === wanted.before) this.#past.older(page); // else the list begins elsewhere by now
      } else {
        const { step, grid } = this.one.buckets;
        const until = Math.min(wanted.from + limit * step * (grid ? SESSIONS : 1), wanted.until);
        const page = await this.#page({ from: wanted.from, to: until }, signal);
        // At the right nothing is put in while somebody drags: the library would lose the place.
        await this.#still();
        if (!signal.aborted) this.#past.newer(page, until);
      }
      this.#onNews();
      await this.#still();
      if (!signal.aborted) this.#past.trim(this.#range);
    });
  }

  /** Ask again for what is missing, ever more slowly: somebody may be at work on it. */
  async #mend(open) {
    const { signal } = this.#stop;
    this.#mending = true;
    await this.#again.for(Math.min(open.job ? AGAIN_SOON_MS : AGAIN_MS, 1_000 * 2 ** this.#tries));
    this.#tries += 1;
    if (!signal.aborted) {
      try {
        const page = await this.#page(this.#past.again(open), signal);
        if (!page.missing.length) this.#tries = 0;
        if (!signal.aborted) this.#past.mend(open, page);
      } catch {
        // The next look is an occasion to try again.
      }
    }
    this.#mending = false;
    this.#onNews();
  }

  /** Whether that went well; after a failure it takes its time to say so. */
  async #run(way, signal, work) {
    this.#busy = true;
    this.loading = way;
    this.#onNews();
    try {
      await work();
      this.#pause.succeeded();
    } catch (error) {
      if (!signal.aborted) {
        this.trouble = error;
        this.loading = "";
        this.#onNews();
        await this.#pause.afterFailure();
      }
      return false;
    } finally {
      if (!signal.aborted) {
        this.#busy = false;
        this.loading = "";
        this.#onNews();
      }
    }
    if (!signal.aborted) this.trouble = null;
    return true;
  }

  async #page(asked, signal) {
    const { name, timeframe } = this.one;
    const query = new URLSearchParams({ symbol: name, timeframe, ...asked, partial: true, timeout: FILLED_WITHIN_S });
    const answer = await get(`api/v1/candles?${query}`, signal);
    return pageOf(answer, timeframe, asked);
  }
}

/** Why the list begins where it does, or what keeps it from going on; "" if there is nothing to say. */
export function edgeInWords({ end, listed, loading, trouble }) {
  if (trouble) return `Older candles do not come: ${trouble.message}. Trying again.`;
  if (loading === "older") return "loading older candles";
  if (end === "quiet") return `no candle for months before ${new Date(listed).toISOString().slice(0, 10)}: nothing before`;
  if (end === "listing") return `${listed === null ? "the first candle" : `listed ${new Date(listed).toISOString().slice(0, 10)}`}: nothing before`;
  if (end === "reach") return "the exchange keeps no older ones";
  if (end === "silence") return `nothing was traded for years before ${new Date(listed).toISOString().slice(0, 10)}`;
  if (end === "unkept") return "older candles are not kept: set history.url";
  return end ? "nothing before" : "";
}
