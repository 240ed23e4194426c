// The candlesticks: buckets in, Lightweight Charts out. Its colours are those of the legend beside it.

import { Edge } from "./edge.js";
import { price } from "./words.js";

const PIXELS_A_BAR = 8;
const FINEST = 10; // digits: the library's own sums go astray beyond
const QUIET = { lastValueVisible: false, priceLineVisible: false, crosshairMarkerVisible: false };
const UNSEEN = "rgba(0, 0, 0, 0)";
const DAY_MS = 86_400_000;
const TIME_MARK = 3; // the library's name of a mark that is no day
const PANE = 1; // of the MACD, below the candles
const PANE_SHARE = 0.4; // of theirs
const REST_MS = 150; // so long nothing moves: nobody drags, and no swipe glides on
const TAIL = 8; // buckets at the end that are drawn one by one
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
  #price = null;
  #format = {};
  #colours = {};
  #averages = null; // their lines, while they are shown
  #macd = null;
  #found = null; // the averages that were drawn last
  #buckets = [];
  #closes = []; // of each bucket: its own, or the last one before it
  #begins = 0; // the first open price: where there is none before
  #holed = false; // that some are missing
  #live = true;
  #digits = 2;
  #step = 0;
  #ahead = null; // what is to be seen from the next frame on
  #held = false; // by a pointer
  #resting = null; // a timer
  #rest = Promise.withResolvers();

  /** `onPoint` is told the open time under the pointer, or null; `onRange` which places of the list are seen. */
  constructor(box, legend, zone, { onPoint, onRange }) {
    const { createChart, CandlestickSeries, HistogramSeries } = window.LightweightCharts;
    this.#box = box;
    this.#legend = legend;
    this.#chart = createChart(box, {
      autoSize: true,
      // The library's own logo would need an inline style. The attribution stands below the chart.
      layout: { attributionLogo: false, fontFamily: getComputedStyle(box).fontFamily },
      localization: { locale: "en-GB" },
      rightPriceScale: { borderVisible: false, entireTextOnly: true, scaleMargins: { top: 0.06, bottom: 0.24 } },
      timeScale: { borderVisible: false, rightOffset: 2 },
      crosshair: { mode: 0 },
      handleScroll: { vertTouchDrag: false }, // a finger that goes up or down scrolls the page
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
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      this.#moved();
      if (range) onRange(range);
    });
    for (const [name, held] of [["pointerdown", true], ["pointerup", false], ["pointercancel", false]]) {
      addEventListener(name, ({ target, button }) => {
        this.#held = held && !button && box.contains(target); // The end of another button's press may go to its menu.
        this.#moved();
      });
    }
    this.retime(zone);
    this.recolour();
  }

  #moved() {
    clearTimeout(this.#resting);
    if (this.#held) return;
    this.#resting = setTimeout(() => {
      this.#rest.resolve();
      this.#rest = Promise.withResolvers();
    }, REST_MS);
  }

  /** Once nobody moves it. */
  still() {
    this.#moved();
    return this.#rest.promise;
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

  /**
   * Draw these buckets, and the averages of them; `live`: the last ones are the newest there are. `last` is the last price,
   * null where it is theirs. Without an `aim` what is looked at stays where it is. Else it is "newest", or the times `{from, to}`.
   */
  show(buckets, { digits, step, live, last, averages, aim }) {
    const [before, range] = [this.#buckets, this.range];
    const follows = this.#live && range && range.to >= before.length - 1;
    this.#buckets = buckets;
    this.#live = live;
    this.#price = last;
    let first = firstOther(before, buckets);
    if (digits !== this.#digits || step !== this.#step) {
      this.#digits = digits;
      this.#step = step;
      const formatter = (value) => price(value, digits);
      this.#format = { priceFormat: { type: "custom", minMove: 10 ** -Math.min(digits, FINEST), formatter } };
      const lines = { ...this.#averages, ...this.#macd };
      for (const series of [this.#candles, this.#gaps, ...Object.values(lines)]) series.applyOptions(this.#format);
      this.#chart.timeScale().applyOptions({ timeVisible: step < DAY_MS, secondsVisible: false });
      first = 0;
    }
    const whole = !first || first < before.length - TAIL || buckets.length > before.length + TAIL || buckets.length < before.length;
    if (whole) this.#draw();
    else this.#drawTail(first, before.length);
    if (whole || averages !== this.#found) this.#drawOverlays(averages);
    if (aim) this.#aim(aim);
    else if (whole && range && follows) this.#shift(range, buckets.length - before.length);
    else if (whole && range) this.#keep(before, range);
  }

  /** The places of the list that are seen, or null; those that are to be, where the library has yet to go there. */
  get range() {
    return this.#ahead ?? this.#chart.timeScale().getVisibleLogicalRange();
  }

  /** The times that are seen, or null. */
  get times() {
    const { range } = this;
    return range && this.#buckets.length ? { from: this.#timeAt(range.from), to: this.#timeAt(range.to) } : null;
  }

  /** Pixels from one bar to the next. */
  get spacing() {
    return this.#chart.timeScale().options().barSpacing;
  }

  /** Move by so many screens, as far as there is something to see. */
  turn(screens) {
    const { from, to } = this.range;
    const shift = (to - from) * screens;
    this.#lookAt(from + shift, to + shift);
  }

  /** At these places, as far as there is something to see. */
  #lookAt(from, to) {
    const width = to - from;
    const start = Math.min(Math.max(from, -width / 2), this.#buckets.length + 3 - width);
    this.#look(start, start + width);
  }

  #aim(aim) {
    this.#chart.priceScale("right").applyOptions({ autoScale: true });
    if (aim === "newest") {
      const shown = Math.max(20, Math.floor(this.#box.clientWidth / PIXELS_A_BAR));
      this.#look(this.#buckets.length - shown, this.#buckets.length + 3);
    } else {
      this.#lookAt(this.#placeOf(aim.from), this.#placeOf(aim.to));
    }
  }

  /** What was seen is seen where it was, though the list begins or ends elsewhere by now. */
  #keep(before, range) {
    const time = before[Math.min(Math.max(0, Math.ceil(range.from)), before.length - 1)]?.time;
    if (time !== undefined) this.#shift(range, firstAt(this.#buckets, time) - firstAt(before, time));
  }

  /** Look so many places beside this range, wherever the library looks by now. */
  #shift({ from, to }, shift) {
    const now = this.range;
    if (now && Math.abs(now.from - from - shift) + Math.abs(now.to - to - shift) > 1e-6) this.#look(from + shift, to + shift);
  }

  #look(from, to) {
    const ahead = (this.#ahead = { from, to });
    this.#chart.timeScale().setVisibleLogicalRange(ahead);
    // The library goes there in a frame that it has asked for before this one.
    requestAnimationFrame(() => {
      if (this.#ahead === ahead) this.#ahead = null;
    });
  }

  #timeAt(place) {
    const at = Math.min(Math.max(0, Math.floor(place)), this.#buckets.length - 1);
    return this.#buckets[at].time + (place - at) * this.#step;
  }

  #placeOf(time) {
    const at = Math.max(0, firstAt(this.#buckets, time + 1) - 1);
    const past = (time - (this.#buckets[at]?.time ?? time)) / this.#step;
    return at + (at > 0 && at < this.#buckets.length - 1 ? Math.min(past, 1) : past);
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
    this.#drawOverlays(this.#found);
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
    const { from, to } = this.range;
    const shift = Math.min(0, index - 1 - from) + Math.max(0, index + 2 - to);
    if (shift) this.#look(from + shift, to + shift);
    this.#chart.setCrosshairPosition(this.#closes[index], this.#buckets[index].time / 1000, this.#candles);
  }

  /** Take the colours from the page anew: it has become light, or dark. */
  recolour() {
    this.#colours = Object.fromEntries(COLOURS.map((name) => [name, this.#colour(name)]));
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
    const { up, down } = this.#colours;
    this.#candles.applyOptions({
      ...{ upColor: up, borderUpColor: up, wickUpColor: up },
      ...{ downColor: down, borderDownColor: down, wickDownColor: down },
    });
    this.#draw();
    this.#drawOverlays(this.#found);
  }

  #draw() {
    this.#closes = [];
    this.#begins = this.#buckets.find(({ candle }) => candle)?.candle[1] ?? 0;
    const drawn = this.#buckets.map((_, index) => this.#bars(index));
    this.#candles.setData(drawn.map(({ candle }) => candle));
    this.#volumes.setData(drawn.map(({ volume }) => volume));
    this.#mark();
  }

  /** Only from that place on, where so many are drawn. */
  #drawTail(first, there) {
    for (let index = first; index < this.#buckets.length; index += 1) {
      const { candle, volume } = this.#bars(index);
      const old = index < there - 1;
      this.#candles.update(candle, old);
      this.#volumes.update(volume, old);
    }
    this.#mark();
  }

  /** What is drawn of one bucket. */
  #bars(index) {
    const { time: ms, kind, candle } = this.#buckets[index];
    const colours = this.#colours;
    const [time, missing] = [ms / 1000, kind === "missing"];
    const close = candle ? candle[4] : (this.#closes[index - 1] ?? this.#begins);
    this.#closes[index] = close;
    if (!candle) {
      // Nothing was traded: the last price goes on, as a thin line.
      const colour = { color: colours.empty, borderColor: colours.empty, wickColor: colours.empty };
      return { candle: missing ? { time } : { time, open: close, high: close, low: close, close, ...colour }, volume: { time } };
    }
    const [, open, high, low, , traded] = candle;
    const way = close < open ? "down" : "up";
    const colour = colours[kind === "provisional" ? `${way} soon` : way];
    const bar = { time, open, high, low, close };
    if (kind === "provisional") Object.assign(bar, { color: colour, borderColor: colour, wickColor: colour });
    if (kind === "forming") Object.assign(bar, { color: UNSEEN, borderColor: colour, wickColor: colour });
    return { candle: bar, volume: { time, value: traded, color: faint(colour) } };
  }

  /** What is missing, the line at the last price, and where what is settled ends. */
  #mark() {
    const gaps = this.#buckets.flatMap(({ time, kind }, index) =>
      kind === "missing" ? [{ time: time / 1000, value: this.#closes[index], color: this.#colours.missing }] : [],
    );
    if (gaps.length || this.#holed) this.#gaps.setData(gaps);
    this.#holed = gaps.length > 0;
    const last = this.#live ? (this.#buckets.findLast(({ candle }) => candle)?.candle ?? null) : null;
    const shown = last !== null;
    const newest = this.#price ?? last?.[4]; // What is added up may lack the bucket in progress.
    const look = shown ? { price: newest, color: this.#colours[newest < last[1] ? "down" : "up"] } : {};
    this.#last.applyOptions({ ...look, lineVisible: shown, axisLabelVisible: shown });
    const settled = this.#live ? this.#buckets.findLastIndex(({ kind }) => kind === "settled" || kind === "empty") : -1;
    this.#edge.show(settled + 1, this.#colours.edge);
  }

  /** `found` is what `Averages` has of the buckets. */
  #drawOverlays(found) {
    this.#found = found;
    if (!found || !(this.#averages || this.#macd)) return;
    const points = (name, look) =>
      this.#buckets.map(({ time: ms }) => {
        const value = found.get(ms)?.[name] ?? null;
        return value === null ? { time: ms / 1000 } : { time: ms / 1000, value, ...look(value) };
      });
    const { fast, slow, up, down } = this.#colours;
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

  #colour(name) {
    return getComputedStyle(this.#legend.querySelector(`i[class="${name}"]`)).color;
  }
}

function faint(rgb) {
  return rgb.replace("rgb(", "rgba(").replace(")", ", 0.45)");
}

/** The first place in which two lists differ; the end of the shorter one if they do not. */
function firstOther(one, other) {
  const most = Math.min(one.length, other.length);
  let at = 0;
  while (at < most && alike(one[at], other[at])) at += 1;
  return at;
}

function alike(one, other) {
  if (one === other) return true;
  return one.time === other.time && one.kind === other.kind && one.candle === other.candle;
}

/** The place of the first bucket that opens at a time or after it. */
function firstAt(buckets, time) {
  let [low, high] = [0, buckets.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (buckets[middle].time < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
