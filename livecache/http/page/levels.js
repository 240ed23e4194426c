// Zoomed far out, larger candles say as much: which timeframe is shown, by how wide a bar is.

import { TIMEFRAMES } from "./words.js";

const NARROW = 1.5; // pixels a bar: a larger timeframe takes over
const FIT = 4; // … of which a bar is so wide
const WIDE = 3; // a smaller one comes back once its bars are so wide
const DERIVED = ["5m", "1h", "1d", "1w"]; // are added up where the exchange or the configuration lacks them

/** The timeframes that a series can be shown at, from its own on: those that are served, and some that are added up of it. */
export function levelsOf(timeframe, served) {
  const own = TIMEFRAMES[timeframe];
  const wanted = Object.keys(TIMEFRAMES).filter((each) => served.includes(each) || DERIVED.includes(each));
  return wanted.filter((each) => each === timeframe || (TIMEFRAMES[each] > own && TIMEFRAMES[each] % own === 0 && each !== "1M"));
}

/** Which of these levels to show, now that a bar of `current` is so many pixels wide. */
export function levelFor(pixels, current, levels) {
  const wide = (each) => (pixels * TIMEFRAMES[each]) / TIMEFRAMES[current];
  const at = levels.indexOf(current);
  if (pixels < NARROW) return levels.slice(at + 1).find((each) => wide(each) >= FIT) ?? levels.at(-1) ?? current;
  return levels.slice(0, Math.max(0, at)).find((each) => wide(each) >= WIDE) ?? current;
}
