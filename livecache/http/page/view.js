// One series as somebody looks at it: the chart with its words, by pointer and by key.

import { Chart } from "./chart.js";
import { orderFill } from "./jobs.js";
import { Lens } from "./lens.js";
import { keyOf } from "./markets.js";
import { Newest } from "./newest.js";
import { Overlays } from "./overlays.js";
import { edgeInWords } from "./reel.js";
import { duration, price, reasonOf, sentence } from "./words.js";

const TICK_MS = 1_000; // the age of the last price

const $ = (id) => document.getElementById(id);

export class View {
  #zone;
  #soon;
  #lens;
  #chart;
  #newest;
  #overlays;
  #one = null; // the chosen series
  #row = null;
  #digits = 0;
  #list = []; // the buckets that are drawn
  #unfilled = ""; // why what is missing could not be ordered
  #anew = false; // another series was chosen, and is not drawn yet
  #pointed = null; // the open time that is read out; null: the newest
  #keyed = false; // that one was chosen by key: the pointer, which may be anywhere, has no say then

  /** `soon` has all drawn anew, before the next frame. `onDate` is told of a day to go to, in Unix ms; null for now. */
  constructor(zone, soon, onDate) {
    this.#zone = zone;
    this.#soon = soon;
    this.#lens = new Lens(soon);
    this.#newest = new Newest($("newest"), $("opened"), soon);
    this.#overlays = new Overlays({ averages: $("averages"), macd: $("macd") }, $("overlays-note"), $("legend"), () => this.#overlay());
    this.#chart = this.#lens.chart = this.#makeChart();
    $("chart").addEventListener("keydown", (event) => this.#press(event));
    $("chart").addEventListener("blur", () => this.#leave());
    $("goto").addEventListener("submit", (event) => {
      event.preventDefault();
      onDate($("date").valueAsNumber);
    });
    $("now").addEventListener("click", () => onDate(null));
    $("fill").addEventListener("click", () => this.#fill());
    addEventListener("online", () => this.#lens.wake());
    const recolour = () => this.#chart?.recolour();
    new MutationObserver(recolour).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
    this.#overlay();
    setInterval(() => this.#drawAge(), TICK_MS);
  }

  #makeChart() {
    if (window.LightweightCharts) {
      const onPoint = (time) => this.#keyed || this.#point(time);
      return new Chart($("chart"), $("legend"), this.#zone, { onPoint, onRange: this.#soon });
    }
    const note = document.createElement("p");
    note.className = "instead";
    note.textContent =
      "There is no chart: the package litecharts, which brings the drawing library, is not installed where livecache runs. " +
      "It comes with pip install 'livecache[service]'. The candles are in the table below.";
    $("chart").replaceChildren(note);
    for (const name of ["role", "tabindex", "aria-describedby"]) $("chart").removeAttribute(name);
    $("newest").open = true;
    $("legend").hidden = $("attribution").hidden = $("goto").hidden = true;
    return null;
  }

  /** Look at another series; at a time in Unix ms, or null for its newest. */
  choose(one, time) {
    if (one !== this.#one) {
      this.#one = one;
      this.#row = null;
      this.#unfilled = "";
      this.#anew = true;
      this.#lens.choose(one);
    }
    this.#pointed = null;
    this.#keyed = false;
    $("date").value = time === null ? "" : day(time);
    this.#lens.goTo(time);
  }

  /**
   * Draw it: its `row` of the table, or null; `rows` are all of its symbol. `standing` says how live it is, as
   * `[kind, words]`; `lost`: what is shown is from before; `kept`: whether the service keeps years, or null; `orders`: whether
   * who looks may order work.
   */
  show({ row, rows, standing, lost, kept, orders, digits }) {
    const { buckets, name, timeframe, failed, refused } = this.#one;
    this.#row = row;
    this.#digits = digits;
    set($("chosen"), `${name} ${timeframe}`);
    set($("state"), row?.state ?? "");
    $("state").dataset.state = row?.state ?? "";
    const reason = (row && reasonOf(row, this.#zone)) || (failed?.message ?? "");
    set($("reason"), reason);
    $("reason").title = reason;
    const last = row?.last === null || row === null ? "" : price(row.last, digits);
    set($("last"), last);
    this.#drawAge();
    const [kind, words] = standing;
    const title = `${last} ${name} ${timeframe} · livecache`.trim();
    set(document.querySelector("title"), kind === "live" ? title : `(${words}) ${title}`);
    this.#drawTimeframes(rows);

    const served = rows.map((each) => each.timeframe);
    const { list, step, live, aim } = this.#lens.frame(served, kept);
    this.#list = list;
    this.#chart?.show(list, { digits, step, live, aim, last: row?.last ?? null, averages: this.#overlays.of(list) });
    if (this.#anew && buckets.loaded) {
      this.#anew = false;
      tell(`${name} ${timeframe}: ${row?.state ?? ""}, last price ${last}`);
    }
    const amiss = row?.state === "warming" ? null : failed; // else there is nothing amiss yet
    const past = Boolean(lost || amiss || row?.state === "stale" || row?.state === "unknown");
    $("chart").classList.toggle("past", past);
    $("last").classList.toggle("past", past);
    if (this.#chart) {
      this.#drawNote(past, amiss || refused || row?.state === "unknown");
      const span = list.length ? `${list.length} buckets, ${this.#zone.time(list[0].time)} to ${this.#zone.text(list.at(-1).time)}` : "empty";
      $("chart").ariaLabel = `${name} ${this.#lens.timeframe}, candlestick chart: ${span}`;
      this.#lens.look();
      this.#drawEdge(orders);
    }
    this.#overlays.show(list, buckets.loaded);
    this.#drawReadout();
    this.#newest.show(live && !this.#level ? list : buckets.list(), digits, this.#zone);
  }

  /** The timeframe that is shown in place of the chosen one; "" if it is that. */
  get #level() {
    const { timeframe } = this.#lens;
    return timeframe === this.#one.timeframe ? "" : timeframe;
  }

  /** At the left: why it begins there, or what keeps it; and what is missing in view. */
  #drawEdge(orders) {
    const { reel } = this.#lens;
    const { range } = this.#chart;
    $("chart").ariaBusy = String(reel.loading !== "");
    const near = range && range.from < (range.to - range.from) / 8;
    const lacking = reel.lacking();
    const missing = reel.filling ? "what is missing is being fetched" : lacking && this.#unfilled;
    set($("edge-words"), ((near || reel.going) && edgeInWords(reel)) || missing || "");
    $("fill").hidden = !lacking || !orders;
    if (lacking) set($("fill"), `fill ${day(lacking.from)} to ${day(lacking.to)}`);
    set($("level"), this.#level && `shown as ${this.#level}`);
    $("now").disabled = !reel.going && reel.attached && (!range || range.to >= this.#list.length - 1);
  }

  async #fill() {
    const { reel } = this.#lens;
    const open = reel.lacking();
    if (!open) return;
    const { name, timeframe } = reel.one;
    try {
      const { job_id: job } = await orderFill(name, timeframe, open.from, open.to);
      reel.ordered(open, job ?? true);
      this.#unfilled = "";
      if ($("fill").matches(":focus")) $("chart").focus({ preventScroll: true }); // The button goes.
      tell(`${day(open.from)} to ${day(open.to)} is ordered`);
    } catch (error) {
      this.#unfilled = error.message;
      tell(error.message);
    }
    this.#soon();
  }

  /** Tell times as the zone has them by now. */
  retime() {
    this.#chart?.retime(this.#zone);
  }

  /** How old the last price is: since it was heard; else no more is known than its bucket. */
  #drawAge() {
    const row = this.#row;
    if (!row || row.last === null) {
      set($("age"), "");
      return;
    }
    const { heard } = this.#one;
    const known = heard && heard.price === row.last && heard.time === row.last_time;
    set($("age"), known ? `${duration(performance.now() - heard.at)} ago` : `in the bucket of ${this.#zone.text(row.last_time)}`);
  }

  /** In the chart: why there is nothing, or that it is of the past. */
  #drawNote(past, refusal) {
    const nothing = refusal ? "No candles can be shown" : "No candles yet";
    const text = this.#list.length ? (past ? "not current" : "") : nothing;
    $("note").hidden = !text;
    set($("note"), text);
  }

  #drawTimeframes(rows) {
    const nav = $("timeframes");
    if ([...nav.children].map((link) => link.hash).join() !== rows.map((row) => `#${keyOf(row)}`).join()) {
      nav.replaceChildren(
        ...rows.map((row) => {
          const link = document.createElement("a");
          link.href = `#${keyOf(row)}`;
          link.textContent = row.timeframe;
          return link;
        }),
      );
    }
    for (const link of nav.children) {
      if (link.textContent === this.#one.timeframe) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  #drawReadout() {
    const last = this.#lens.reel.attached ? -1 : Math.floor(this.#chart?.range?.to ?? -1);
    const bucket = this.#list.find(({ time }) => time === this.#pointed) ?? this.#list[last] ?? this.#list.at(-1);
    const level = this.#level && `${this.#level}  `;
    const words = bucket && level + sentence(bucket, this.#digits, this.#zone) + this.#overlays.words(this.#list, bucket, this.#digits);
    set($("readout"), words ?? "");
  }

  #point(time) {
    this.#pointed = time;
    this.#drawReadout();
  }

  #press(event) {
    const list = this.#list;
    if (!this.#chart || !list.length) return;
    const screens = { PageUp: -1, PageDown: 1 }[event.key];
    const found = list.findIndex(({ time }) => time === this.#pointed);
    const at = found < 0 ? Math.min(list.length, Math.max(1, Math.ceil(this.#chart.range.to))) : found; // where one looks
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: list.length - 1, Escape: null }[event.key];
    if (to === undefined && !screens) return;
    event.preventDefault();
    if (screens) {
      this.#chart.turn(screens);
      this.#soon();
      return;
    }
    const index = to === null ? null : Math.min(Math.max(to, 0), list.length - 1);
    this.#keyed = index !== null;
    this.#chart.point(index);
    this.#point(this.#keyed ? list[index].time : null);
    const edge = to !== null && to < 0 ? edgeInWords(this.#lens.reel) : "";
    tell(index === null ? "" : edge || $("readout").textContent);
  }

  #leave() {
    if (!this.#keyed) return;
    this.#keyed = false;
    this.#chart.point(null);
    this.#point(null);
  }

  #overlay() {
    const { averages, macd } = this.#overlays.wanted;
    $("chart").classList.toggle("taller", macd);
    $("readout").classList.toggle("longer", averages || macd);
    this.#chart?.overlay(this.#overlays.wanted);
    this.#soon();
  }
}

function day(time) {
  return new Date(time).toISOString().slice(0, 10);
}

/** Have a screen reader say it: for what somebody asked for, never for what happens by itself. */
function tell(text) {
  $("told").textContent = text;
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
