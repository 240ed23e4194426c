// The candlesticks: buckets in, Lightweight Charts out. Its colours are those of the legend beside it.

import { Edge } from "./edge.js";
import { indicators } from "./indicators.js";
import { price } from "./words.js";

const PIXELS_A_BAR = 8;
const FINEST = 10; // digits: the library's own sums go astray beyond
const QUIET = { lastValueVisible: false, priceLineVisible: false, crosshairMarkerVisible: false };
const UNSEEN = "rgba(0, 0, 0, 0)";
const DAY_MS = 86_400_000;
const TIME_MARK = 3; // the library's name of a mark that is no day
const PANE = 1; // of the MACD, below the candles
const PANE_SHARE = 0.4; // of theirs
const COLOURS = ["up", "down", "up soon", "down soon", "empty", "missing", "edge", "fast", "slow"];

export class Chart {
  #box;
  #legend;
  #chart;
  #candles;
  #volumes;
  #gaps;
  #edge = new Edge();
  #last; // the line at the last price
  #format = {};
  #averages = null; // their lines, while they are shown
  #macd = null;
  #buckets = [];
  #digits = 2;
  #step = 0;

  /** `onPoint` is told the open time under the pointer, or null. */
  constructor(box, legend, zone, onPoint) {
    const { createChart, CandlestickSeries, HistogramSeries } = window.LightweightCharts;
    this.#box = box;
    this.#legend = legend;
    this.#chart = createChart(box, {
      autoSize: true,
      // The library's own logo would need an inline style. The attribution stands below the chart.
      layout: { attributionLogo: false, fontFamily: getComputedStyle(box).fontFamily },
      localization: { locale: "en-GB" },
      rightPriceScale: { borderVisible: false, entireTextOnly: true, scaleMargins: { top: 0.06, bottom: 0.24 } },
      timeScale: { borderVisible: false, rightOffset: 2, minBarSpacing: 1 },
      crosshair: { mode: 0 },
      kineticScroll: { mouse: false, touch: !matchMedia("(prefers-reduced-motion: reduce)").matches },
    });
    this.#volumes = this.#chart.addSeries(HistogramSeries, {
      priceScaleId: "volume",
      priceFormat: { type: "volume" },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.#volumes.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    // Its own line would take the colour of the last body, and that of a bucket in progress has none.
    this.#candles = this.#chart.addSeries(CandlestickSeries, { lastValueVisible: false, priceLineVisible: false });
    this.#last = this.#candles.createPriceLine({ price: 0, lineStyle: 1, lineWidth: 1, lineVisible: false });
    this.#candles.attachPrimitive(this.#edge);
    this.#gaps = this.#line(0, { lineVisible: false, pointMarkersVisible: true, pointMarkersRadius: 4 });
    this.#chart.subscribeCrosshairMove((at) => onPoint(at.time === undefined ? null : at.time * 1000));
    this.retime(zone);
    this.recolour();
  }

  /** Tell times as that zone has them. */
  retime(zone) {
    this.#chart.applyOptions({
      localization: { timeFormatter: (time) => zone.time(time * 1000) },
      timeScale: {
        // A day is one of UTC, wherever one looks from: the library's own words say which.
        tickMarkFormatter: (time, type) => (zone.local && this.#step < DAY_MS ? zone.mark(time * 1000, type >= TIME_MARK) : null),
      },
    });
  }

  /** Draw these buckets; `anew`: another series, so that its newest are brought into view. */
  show(buckets, { digits, step, anew }) {
    this.#buckets = buckets;
    if (digits !== this.#digits || step !== this.#step) {
      this.#digits = digits;
      this.#step = step;
      const formatter = (value) => price(value, digits);
      this.#format = { priceFormat: { type: "custom", minMove: 10 ** -Math.min(digits, FINEST), formatter } };
      const lines = { ...this.#averages, ...this.#macd };
      for (const series of [this.#candles, this.#gaps, ...Object.values(lines)]) series.applyOptions(this.#format);
      this.#chart.timeScale().applyOptions({ timeVisible: step < DAY_MS, secondsVisible: false });
    }
    this.#draw();
    if (anew) {
      const shown = Math.max(20, Math.floor(this.#box.clientWidth / PIXELS_A_BAR));
      this.#chart.priceScale("right").applyOptions({ autoScale: true });
      this.#chart.timeScale().setVisibleLogicalRange({ from: buckets.length - shown, to: buckets.length + 3 });
    }
  }

  /** Draw the averages over the candles, and the MACD below them, or neither. */
  overlay({ averages, macd }) {
    if (averages && !this.#averages) this.#averages = { fast: this.#line(0), slow: this.#line(0) };
    if (!averages && this.#averages) this.#averages = this.#remove(this.#averages);
    if (macd && !this.#macd) {
      const histogram = this.#chart.addSeries(window.LightweightCharts.HistogramSeries, { ...QUIET, ...this.#format }, PANE);
      this.#macd = { histogram, macd: this.#line(PANE), signal: this.#line(PANE) };
      const [above, below] = this.#chart.panes();
      above.setStretchFactor(1);
      below.setStretchFactor(PANE_SHARE);
    }
    if (!macd && this.#macd) this.#macd = this.#remove(this.#macd);
    this.#draw();
  }

  #line(pane, options = {}) {
    const { LineSeries } = window.LightweightCharts;
    return this.#chart.addSeries(LineSeries, { lineWidth: 1.5, ...QUIET, ...this.#format, ...options }, pane);
  }

  #remove(lines) {
    for (const line of Object.values(lines)) this.#chart.removeSeries(line);
    return null;
  }

  /** Put the crosshair on a bucket, scrolled into view; null takes it away. */
  point(index) {
    if (index === null) {
      this.#chart.clearCrosshairPosition();
      return;
    }
    const scale = this.#chart.timeScale();
    const { from, to } = scale.getVisibleLogicalRange();
    const shift = Math.min(0, index - 1 - from) + Math.max(0, index + 2 - to);
    if (shift) scale.setVisibleLogicalRange({ from: from + shift, to: to + shift });
    const { time, close } = this.#carried()[index];
    this.#chart.setCrosshairPosition(close, time / 1000, this.#candles);
  }

  /** Take the colours from the page anew: it has become light, or dark. */
  recolour() {
    const ground = getComputedStyle(document.body);
    const line = getComputedStyle(document.querySelector("body > header")).borderBottomColor;
    const quiet = getComputedStyle(this.#legend).color;
    const label = { color: quiet, labelBackgroundColor: quiet };
    this.#chart.applyOptions({
      layout: {
        background: { color: ground.backgroundColor },
        textColor: quiet,
        panes: { separatorColor: line, separatorHoverColor: line },
      },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
      crosshair: { vertLine: label, horzLine: label },
    });
    const [up, down] = [this.#colour("up"), this.#colour("down")];
    this.#candles.applyOptions({
      ...{ upColor: up, borderUpColor: up, wickUpColor: up },
      ...{ downColor: down, borderDownColor: down, wickDownColor: down },
    });
    this.#draw();
  }

  #draw() {
    const colours = Object.fromEntries(COLOURS.map((name) => [name, this.#colour(name)]));
    const candles = [];
    const volumes = [];
    const gaps = [];
    let last = null;
    for (const { time: ms, kind, candle, close } of this.#carried()) {
      const time = ms / 1000;
      if (!candle) {
        // Nothing was traded: the last price goes on, as a thin line.
        const flat = { open: close, high: close, low: close, close };
        const colour = colours.empty;
        candles.push(kind === "missing" ? { time } : { time, ...flat, color: colour, borderColor: colour, wickColor: colour });
        if (kind === "missing") gaps.push({ time, value: close, color: colours.missing });
        continue;
      }
      const way = candle[4] < candle[1] ? "down" : "up";
      const colour = colours[kind === "provisional" ? `${way} soon` : way];
      const [open, high, low] = candle.slice(1);
      const bar = { time, open, high, low, close };
      if (kind === "provisional") Object.assign(bar, { color: colour, borderColor: colour, wickColor: colour });
      if (kind === "forming") Object.assign(bar, { color: UNSEEN, borderColor: colour, wickColor: colour });
      if (kind === "missing") gaps.push({ time, value: close, color: colours.missing });
      candles.push(bar);
      last = { price: close, color: colours[way] };
      volumes.push({ time, value: candle[5], color: faint(colour) });
    }
    this.#candles.setData(candles);
    this.#volumes.setData(volumes);
    this.#gaps.setData(gaps);
    this.#last.applyOptions({ ...last, lineVisible: last !== null, axisLabelVisible: last !== null });
    const open = this.#buckets.findIndex(({ kind }) => kind !== "settled" && kind !== "empty");
    this.#edge.show(open < 0 ? this.#buckets.length : open, colours.edge);
    if (this.#averages || this.#macd) this.#drawOverlays(colours);
  }

  #drawOverlays(colours) {
    const found = indicators(this.#buckets);
    const points = (name, look) =>
      this.#buckets.map(({ time: ms }) => {
        const value = found.get(ms)?.[name] ?? null;
        return value === null ? { time: ms / 1000 } : { time: ms / 1000, value, ...look(value) };
      });
    const { fast, slow, up, down } = colours;
    if (this.#averages) {
      this.#averages.fast.setData(points("fast", () => ({ color: fast })));
      this.#averages.slow.setData(points("slow", () => ({ color: slow })));
    }
    if (this.#macd) {
      this.#macd.macd.setData(points("macd", () => ({ color: fast })));
      this.#macd.signal.setData(points("signal", () => ({ color: slow })));
      this.#macd.histogram.setData(points("histogram", (value) => ({ color: faint(value < 0 ? down : up) })));
    }
  }

  /** The buckets, each with a `close`: its own, or the last one before it. */
  #carried() {
    let close = 0;
    return this.#buckets.map((bucket) => {
      close = bucket.candle ? bucket.candle[4] : close;
      return { ...bucket, close };
    });
  }

  #colour(name) {
    return getComputedStyle(this.#legend.querySelector(`i[class="${name}"]`)).color;
  }
}

function faint(rgb) {
  return rgb.replace("rgb(", "rgba(").replace(")", ", 0.45)");
}
