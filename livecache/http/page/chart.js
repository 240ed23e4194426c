// The candlesticks: buckets in, Lightweight Charts out. Its colours are those of the legend beside it.

import { price } from "./words.js";

const PIXELS_A_BAR = 8;
const FINEST = 10; // digits: the library's own sums go astray beyond
const UNSEEN = "rgba(0, 0, 0, 0)";

export class Chart {
  #box;
  #legend;
  #chart;
  #candles;
  #volumes;
  #dots;
  #gaps;
  #last; // the line at the last price
  #buckets = [];
  #digits = 2;
  #step = 0;

  /** `onPoint` is told the open time under the pointer, or null. */
  constructor(box, legend, onPoint) {
    const { createChart, CandlestickSeries, HistogramSeries, LineSeries } = window.LightweightCharts;
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
    const dots = (pointMarkersRadius) =>
      this.#chart.addSeries(LineSeries, {
        lineVisible: false,
        pointMarkersVisible: true,
        pointMarkersRadius,
        lastValueVisible: false,
        priceLineVisible: false,
        crosshairMarkerVisible: false,
      });
    this.#dots = dots(2);
    this.#gaps = dots(4); // Larger: not everybody tells amber from grey.
    this.#chart.subscribeCrosshairMove((at) => onPoint(at.time === undefined ? null : at.time * 1000));
    this.recolour();
  }

  /** Draw these buckets; `anew`: another series, so that its newest are brought into view. */
  show(buckets, { digits, step, anew }) {
    this.#buckets = buckets;
    if (digits !== this.#digits || step !== this.#step) {
      this.#digits = digits;
      this.#step = step;
      const formatter = (value) => price(value, digits);
      const priceFormat = { type: "custom", minMove: 10 ** -Math.min(digits, FINEST), formatter };
      this.#candles.applyOptions({ priceFormat });
      this.#dots.applyOptions({ priceFormat });
      this.#gaps.applyOptions({ priceFormat });
      this.#chart.timeScale().applyOptions({ timeVisible: step < 86_400_000, secondsVisible: false });
    }
    this.#draw();
    if (anew) {
      const shown = Math.max(20, Math.floor(this.#box.clientWidth / PIXELS_A_BAR));
      this.#chart.priceScale("right").applyOptions({ autoScale: true });
      this.#chart.timeScale().setVisibleLogicalRange({ from: buckets.length - shown, to: buckets.length + 3 });
    }
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
    const colours = {};
    for (const name of ["up", "down", "up soon", "down soon", "empty", "missing"]) {
      colours[name] = this.#colour(name);
    }
    const candles = [];
    const volumes = [];
    const dots = [];
    const gaps = [];
    let last = null;
    for (const { time: ms, kind, candle, close } of this.#carried()) {
      const time = ms / 1000;
      if (!candle) {
        candles.push({ time });
        if (kind === "missing") gaps.push({ time, value: close, color: colours.missing });
        else dots.push({ time, value: close, color: colours.empty });
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
    this.#dots.setData(dots);
    this.#gaps.setData(gaps);
    this.#last.applyOptions({ ...last, lineVisible: last !== null, axisLabelVisible: last !== null });
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
