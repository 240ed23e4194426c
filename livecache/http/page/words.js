// Numbers, times and sentences for people.

import { nameOf } from "./markets.js";

export const TIMEFRAMES = {
  "1m": 60_000,
  "3m": 180_000,
  "5m": 300_000,
  "15m": 900_000,
  "30m": 1_800_000,
  "1h": 3_600_000,
  "2h": 7_200_000,
  "4h": 14_400_000,
  "6h": 21_600_000,
  "8h": 28_800_000,
  "12h": 43_200_000,
  "1d": 86_400_000,
  "1w": 604_800_000,
  "1M": 2_592_000_000, // about
};

const EXACT_MOST = 8; // digits of an old price: what a split has divided has no end of them
const PRICES = new Map(); // by their digits
const VOLUME = new Intl.NumberFormat("en-US", { maximumFractionDigits: 8 });

/** What a bucket is worth, in words. */
export const KINDS = {
  settled: "settled",
  provisional: "provisional",
  forming: "in progress",
  empty: "proven empty",
  quiet: "no trade seen",
  missing: "missing",
};

/** Digits after the point, as many as the number needs: 0.00001234 has eight. */
export function decimals(number) {
  const [mantissa, exponent = "0"] = String(number).split("e");
  return Math.max(0, (mantissa.split(".")[1] ?? "").length - Number(exponent));
}

/** `76,324.10` with two digits. */
export function price(number, digits) {
  const shown = Math.min(digits, 20);
  const texts = { minimumFractionDigits: shown, maximumFractionDigits: shown };
  if (!PRICES.has(shown)) PRICES.set(shown, new Intl.NumberFormat("en-US", texts)); // It takes long to make one.
  return PRICES.get(shown).format(number);
}

export function volume(number) {
  return VOLUME.format(number);
}

/** `+1.23 %` of 0.0123. */
export function percent(ratio) {
  const shown = Math.abs(ratio * 100).toFixed(2);
  return `${ratio < 0 && Number(shown) ? "\u2212" : "+"}${shown}\u00a0%`;
}

/** In its two largest units: `3h 5m`. */
export function duration(ms) {
  let seconds = Math.max(0, Math.floor(ms / 1000));
  const parts = [];
  for (const [size, unit] of [[86_400, "d"], [3_600, "h"], [60, "m"], [1, "s"]]) {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    if (count || parts.length) parts.push(count ? `${count}${unit}` : "");
    if (parts.length === 2) break;
  }
  return parts.filter(Boolean).join(" ") || "0s";
}

/** What a row's reason adds to its state; a date in it is not broken at the end of a line. */
export function reasonOf({ reason }, zone) {
  return reason
    .replace(/^(warming up|lagging|hole|failing|unknown|halted|nobody vouches for it now)(: |$)/, "")
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z/g, (moment) => zone.text(Date.parse(moment)).replaceAll("-", "\u2011"));
}

/** One bucket in a line. */
export function sentence(bucket, digits, zone) {
  const { time, kind, candle } = bucket;
  if (!candle) return `${zone.text(time)}  ${KINDS[kind]}`;
  const prices = candle.slice(1, 5);
  const exact = Math.max(digits, Math.min(EXACT_MOST, Math.max(...prices.map(decimals)))); // Years ago it may have been far smaller.
  const [open, high, low, close] = prices.map((number) => price(number, exact));
  const rest = kind === "settled" ? "" : `${KINDS[kind]}  `;
  // A letter stays on the line of its number.
  const shown = Object.entries({ O: open, H: high, L: low, C: close, V: volume(candle[5]) });
  return `${zone.text(time)}  ${rest}${shown.map(([letter, number]) => `${letter}\u00a0${number}`).join("  ")}`;
}

/** What the averages are at a candle, as far as there are enough before it. */
export function averagesInWords({ fast, slow, macd, signal }, digits, shown) {
  const known = [
    ...(shown.averages ? [["EMA 12", fast], ["EMA 26", slow]] : []),
    ...(shown.macd ? [["MACD", macd], ["signal", signal]] : []),
  ].filter(([, value]) => value !== null);
  return known.map(([name, value]) => `  ${name.replace(" ", "\u00a0")}\u00a0${price(value, digits)}`).join("");
}

/**
 * What is amiss, worst first: `{kind: "bad" | "warn", text}`.
 *
 * `goneSince` is a Date, or null while the service answers; `refused` and `unstreamed` are errors or null.
 */
export function troubles({ goneSince, refused, unstreamed, told, zone }) {
  if (goneSince) {
    const since = goneSince.toLocaleTimeString("en-GB");
    return [{ kind: "bad", text: `The service has not answered since ${since}. What is shown is from before; trying again.` }];
  }
  if (refused) return [{ kind: "bad", text: inWords(refused) + (told ? ". What is shown is from before." : "") }];
  const found = [];
  if (told) {
    for (const { venue, trouble } of told.venues ?? []) if (trouble) found.push({ kind: "bad", text: `${venue}: ${trouble}` });
    const stale = told.series.filter((row) => row.state === "stale");
    if (stale.length) {
      const names = wholeVenues(stale, told.series);
      const whole = names.every((name) => told.venues?.some(({ venue }) => venue === name));
      const some = whole ? `the candles of ${names.join(" and ")}` : `${stale.length} of ${told.series.length} series`;
      const which = stale.length === told.series.length ? "these candles" : some;
      found.push({
        kind: "bad",
        text: `Stale: nobody vouches for ${which} now. Either no livecache writes them, or it does not hear the exchange.`,
      });
    }
    for (const [state, kind] of [["unknown", "bad"], ["halted", "warn"]]) {
      const reasons = new Map(told.series.filter((row) => row.state === state).map((row) => [nameOf(row), reasonOf(row, zone)]));
      const shown = [...reasons.values()].slice(0, 3).map((reason) => `${reason}.`).join(" ");
      const more = reasons.size > 3 ? ` And ${reasons.size - 3} more are ${state}.` : "";
      if (shown) found.push({ kind, text: shown + more });
    }
    const untold = new Set(["warming", "unknown", "halted"]); // these say themselves what is the matter
    const down = told.series.filter((row) => row.feed === "down" && !untold.has(row.state));
    if (down.length) {
      const all = new Set(told.series.map(nameOf)).size;
      const which = new Set(down.map(nameOf)).size === all ? "" : ` for ${few(wholeVenues(down, told.series))}`;
      found.push({
        kind: "warn",
        text: `The feed is down${which}. Closed candles still come, from the REST API and a little later; those in progress do not.`,
      });
    }
  }
  if (unstreamed) found.push({ kind: "warn", text: `The chart is not live: ${inWords(unstreamed)}` });
  return found;
}

/** The names that some of the rows have; one of several venues in place of all that it has. */
function wholeVenues(some, rows) {
  const several = new Set(rows.map(({ venue }) => venue)).size > 1;
  const there = new Set(some.map(nameOf));
  const partly = new Set(rows.filter((row) => !there.has(nameOf(row))).map(({ venue }) => venue));
  return [...new Set(some.map((row) => (several && !partly.has(row.venue) ? row.venue : nameOf(row))))];
}

function few(names) {
  const more = names.length - 3;
  return names.slice(0, 3).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function inWords(error) {
  return error.hint ? `${error.message} (${error.hint})` : error.message;
}
