// Averages over settled candles: never across a bucket of which nothing is known, and none before there are enough.

export const FAST = 12;
export const SLOW = 26;
export const SIGNAL = 9;

/** Candles that the first MACD with a signal needs. */
export const WARM_UP = SLOW + SIGNAL - 1;

/**
 * The newest run of buckets that are settled without a gap, oldest first: `[{time, close}]`.
 *
 * A bucket that was proven empty is in the run and has no candle, so that it counts as none. What is provisional may
 * yet change, and is behind the run; what lies before a hole is not in it.
 */
export function settledRun(buckets) {
  let end = buckets.length;
  while (end && !isSettled(buckets[end - 1])) end -= 1;
  let start = end;
  while (start && isSettled(buckets[start - 1])) start -= 1;
  return buckets.slice(start, end).flatMap(({ time, candle }) => (candle ? [{ time, close: candle[4] }] : []));
}

function isSettled({ kind }) {
  return kind === "settled" || kind === "empty";
}

/** The exponential moving average of each value: null before the `span`-th, which is their mean. */
export function ema(values, span) {
  let average = null;
  let sum = 0;
  return values.map((value, index) => {
    if (index < span) {
      sum += value;
      if (index === span - 1) average = sum / span;
    } else {
      average += ((value - average) * 2) / (span + 1);
    }
    return average;
  });
}

/** The MACD of each value: `{macd, signal, histogram}`, each null before there are enough for it. */
export function macd(values, fast = FAST, slow = SLOW, signal = SIGNAL) {
  const [quick, steady] = [ema(values, fast), ema(values, slow)];
  const differences = values.map((_, index) => (steady[index] === null ? null : quick[index] - steady[index]));
  const first = slow - 1;
  const signals = ema(differences.slice(first), signal);
  return differences.map((difference, index) => {
    const line = index < first ? null : signals[index - first];
    return { macd: difference, signal: line, histogram: line === null ? null : difference - line };
  });
}

/**
 * All of them at each settled candle, a run without a gap at a time: behind a hole they begin anew. A Map from the open time
 * to `{fast, slow, macd, signal, histogram}`.
 */
export function indicators(buckets) {
  const found = new Map();
  let run = [];
  for (const bucket of [...buckets, null]) {
    if (bucket && isSettled(bucket)) {
      if (bucket.candle) run.push(bucket);
      continue;
    }
    const closes = run.map(({ candle }) => candle[4]);
    const [fast, slow, lines] = [ema(closes, FAST), ema(closes, SLOW), macd(closes)];
    run.forEach(({ time }, index) => found.set(time, { fast: fast[index], slow: slow[index], ...lines[index] }));
    run = [];
  }
  return found;
}

/** The same, computed anew only when a settled bucket has changed: most of what happens concerns the one in progress. */
export class Averages {
  #seen = [];
  #found = new Map();

  of(buckets) {
    const settled = buckets.filter(isSettled);
    const same = settled.length === this.#seen.length && settled.every(({ time, candle }, at) => {
      const other = this.#seen[at];
      return other.time === time && other.candle === candle;
    });
    if (!same) [this.#seen, this.#found] = [settled, indicators(buckets)];
    return this.#found;
  }
}
