// One series as somebody looks at it: the chart with its words, by pointer and by key.

import { Chart } from "./chart.js";
import { keyOf, nameOf } from "./markets.js";
import { Newest } from "./newest.js";
import { Overlays } from "./overlays.js";
import { duration, price, reasonOf, sentence } from "./words.js";

const TICK_MS = 1_000; // the age of the last price

const $ = (id) => document.getElementById(id);

export class View {
  #zone;
  #soon;
  #chart;
  #newest;
  #overlays;
  #one = null;
  #row = null;
  #digits = 0;
  #list = []; // the buckets that are drawn
  #drawn = null; // the series that the chart shows
  #pointed = null; // the open time that is read out; null: the newest
  #keyed = false; // that one was chosen by key: the pointer, which may be anywhere, has no say then

  /** `soon` has all drawn anew, before the next frame. */
  constructor(zone, soon) {
    this.#zone = zone;
    this.#soon = soon;
    this.#newest = new Newest($("newest"), $("opened"), soon);
    this.#overlays = new Overlays({ averages: $("averages"), macd: $("macd") }, $("overlays-note"), $("legend"), () => this.#overlay());
    this.#chart = this.#makeChart();
    $("chart").addEventListener("keydown", (event) => this.#press(event));
    $("chart").addEventListener("blur", () => this.#leave());
    const recolour = () => this.#chart?.recolour();
    new MutationObserver(recolour).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
    this.#overlay();
    setInterval(() => this.#drawAge(), TICK_MS);
  }

  #makeChart() {
    if (window.LightweightCharts) {
      return new Chart($("chart"), $("legend"), this.#zone, (time) => this.#keyed || this.#point(time));
    }
    const note = document.createElement("p");
    note.className = "instead";
    note.textContent =
      "There is no chart: the package litecharts, which brings the drawing library, is not installed where livecache runs. " +
      "It comes with pip install 'livecache[service]'. The candles are in the table below.";
    $("chart").replaceChildren(note);
    for (const name of ["role", "tabindex", "aria-describedby"]) $("chart").removeAttribute(name);
    $("newest").open = true;
    $("legend").hidden = $("attribution").hidden = true;
    return null;
  }

  /** Look at another series. */
  choose(one) {
    this.#one = one;
    this.#row = null;
    this.#pointed = null;
    this.#keyed = false;
  }

  /**
   * Draw it: its `row` of the table, or null; `rows` are all of its symbol. `standing` says how live it is, as
   * `[kind, words]`; `lost`: what is shown is from before.
   */
  show({ row, rows, standing, lost, digits }) {
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

    const anew = this.#drawn !== this.#one && buckets.loaded;
    const list = (this.#list = buckets.list());
    this.#chart?.show(list, { digits, step: buckets.step, anew });
    if (anew) {
      this.#drawn = this.#one;
      tell(`${name} ${timeframe}: ${row?.state ?? ""}, last price ${last}`);
    }
    const amiss = row?.state === "warming" ? null : failed; // else there is nothing amiss yet
    const past = Boolean(lost || amiss || row?.state === "stale" || row?.state === "unknown");
    $("chart").classList.toggle("past", past);
    $("last").classList.toggle("past", past);
    if (this.#chart) {
      this.#drawNote(past, amiss || refused || row?.state === "unknown");
      const span = list.length ? `${list.length} buckets, ${this.#zone.time(list[0].time)} to ${this.#zone.text(list.at(-1).time)}` : "empty";
      $("chart").ariaLabel = `${name} ${timeframe}, candlestick chart: ${span}`;
    }
    this.#overlays.show(list, buckets.loaded);
    this.#drawReadout();
    this.#newest.show(list, digits, this.#zone);
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
    const bucket = this.#list.find(({ time }) => time === this.#pointed) ?? this.#list.at(-1);
    const words = bucket && sentence(bucket, this.#digits, this.#zone) + this.#overlays.words(this.#list, bucket, this.#digits);
    set($("readout"), words ?? "");
  }

  #point(time) {
    this.#pointed = time;
    this.#drawReadout();
  }

  #press(event) {
    const list = this.#list;
    if (!this.#chart || !list.length) return;
    const found = list.findIndex(({ time }) => time === this.#pointed);
    const at = found < 0 ? list.length : found;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: list.length - 1, Escape: null }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const index = to === null ? null : Math.min(Math.max(to, 0), list.length - 1);
    this.#keyed = index !== null;
    this.#chart.point(index);
    this.#point(this.#keyed ? list[index].time : null);
    tell(index === null ? "" : $("readout").textContent);
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

/** Have a screen reader say it: for what somebody asked for, never for what happens by itself. */
function tell(text) {
  $("told").textContent = text;
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
