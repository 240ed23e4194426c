// Where somebody looks: at which timeframe a chosen series is shown, and which of its buckets.

import { levelFor, levelsOf } from "./levels.js";
import { One } from "./one.js";
import { Reel } from "./reel.js";
import { Refused } from "./service.js";

const SPAN = 90; // buckets that are seen around a day to go to, where nothing is drawn yet

export class Lens {
  #soon;
  #chart = null;
  #own = null; // the chosen series at its own timeframe
  #reel = null; // … at the one that is shown
  #next = null; // … at one that is shown once it has what is looked at
  #ready = false; // it has
  #unfit = new Set(); // timeframes that the service does not give
  #served = [];
  #wish = null; // where to go: "newest", or a time
  #aim = null; // where the chart is to look at its next drawing

  /** `soon` has all drawn anew. */
  constructor(soon) {
    this.#soon = soon;
  }

  /** The chart whose view is meant; without one there is only what is live. */
  set chart(chart) {
    this.#chart = chart;
  }

  choose(one) {
    this.#drop(this.#next);
    this.#drop(this.#reel);
    this.#own?.stop();
    this.#unfit.clear();
    this.#own = this.#reel = this.#reelOf(one);
    this.#next = null;
    this.#wish = null;
    this.#aim = "newest";
  }

  /** Have a time in the middle, in Unix ms; null: the newest. */
  goTo(time) {
    this.#wish = time ?? "newest";
    this.#soon();
  }

  /** What is shown. */
  get reel() {
    return this.#reel;
  }

  get timeframe() {
    return this.#reel.one.timeframe;
  }

  /** What the chart is to draw: `{list, step, live, aim}`; `served` are the timeframes there are, `kept` whether years are kept. */
  frame(served, kept) {
    this.#served = served;
    for (const reel of [this.#own, this.#reel, this.#next]) if (reel) reel.kept = kept;
    if (this.#next) this.#change();
    const { buckets } = this.#reel.one;
    if (this.#wish !== null && buckets.loaded) this.#go();
    const aim = buckets.loaded ? this.#aim : null;
    if (aim) this.#aim = null;
    return { list: this.#reel.list(), step: buckets.step, live: this.#reel.attached, aim };
  }

  /** It is drawn: load what is near, and another timeframe where bars are too narrow or too wide. */
  look() {
    const { range, spacing } = this.#chart;
    if (!range || !this.#reel.one.buckets.loaded) return;
    this.#reel.look(range);
    const levels = levelsOf(this.#own.one.timeframe, this.#served).filter((each) => !this.#unfit.has(each));
    const level = levelFor(spacing, this.timeframe, levels);
    if (level === (this.#next ?? this.#reel).one.timeframe) return;
    this.#drop(this.#next);
    this.#next = null;
    if (level !== this.timeframe) this.#prepare(level);
  }

  wake() {
    for (const reel of [this.#own, this.#reel, this.#next]) reel?.wake();
  }

  #reelOf(one) {
    return new Reel(one, () => this.#chart?.still() ?? Promise.resolve(), this.#soon);
  }

  #drop(reel) {
    if (!reel || reel === this.#own) return;
    reel.stop();
    reel.one.stop();
  }

  #prepare(level) {
    this.#ready = false;
    this.#next = this.#own;
    if (level === this.#own.one.timeframe) return;
    const one = new One(this.#own.one.name, level, this.#soon, this.#served.includes(level) ? this.#soon : null);
    this.#next = this.#reelOf(one);
    this.#next.kept = this.#own.kept;
    one.follow();
  }

  /** To the other timeframe, once it has what is looked at. */
  #change() {
    const { one } = this.#next;
    const { times } = this.#chart;
    if (this.#ready) {
      if (this.#reel !== this.#own) this.#drop(this.#reel);
      this.#reel = this.#next;
      this.#next = null;
      this.#aim ??= times;
    } else if (one.failed instanceof Refused || one.refused) {
      this.#unfit.add(one.timeframe);
      this.#drop(this.#next);
      this.#next = null;
    } else if (one.buckets.loaded && this.#ready === false && times) {
      this.#ready = null; // on its way
      const next = this.#next;
      next.goTo(times).then(() => {
        if (next === this.#next) this.#ready = true;
        this.#soon();
      });
    }
  }

  async #go() {
    const [reel, wish] = [this.#reel, this.#wish];
    this.#wish = null;
    if (wish === "newest" || wish > reel.one.buckets.list().at(-1)?.time) {
      reel.now();
      this.#aim = "newest";
      return;
    }
    const seen = this.#chart?.times;
    const half = seen ? (seen.to - seen.from) / 2 : (SPAN * reel.one.buckets.step) / 2;
    const span = { from: wish - half, to: wish + half };
    if (!(await reel.goTo(span)) || reel !== this.#reel || this.#wish !== null) return;
    this.#aim = span;
    this.#soon();
  }
}
