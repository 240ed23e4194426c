// Work on years of candles: ordered, cancelled, tried again; and what there is to say of it.

import { post } from "./service.js";
import { duration } from "./words.js";

/** What is shown first, and how it is said. */
const STATES = {
  running: "being filled",
  waiting: "trying again",
  failed: "failed",
  pending: "waiting for its turn",
  cancelled: "cancelled",
  succeeded: "done",
};
const ORDER = Object.keys(STATES);
const OVER = new Set(["failed", "cancelled", "succeeded"]);

/** Have what is missing of [from, to) fetched, Unix ms; without `to` until now. What /api/v1/candles/backfill answers; raises Refused. */
export function orderFill(name, timeframe, from, to) {
  return post("api/v1/candles/backfill", { symbols: [name], timeframe, from, to });
}

export function cancel({ id }) {
  return post(`api/v1/jobs/${id}`, undefined, "DELETE");
}

export function retry({ id }) {
  return post(`api/v1/jobs/${id}/retry`);
}

export function isOver({ state }) {
  return OVER.has(state);
}

/** What is worked on comes first, then what failed, what waits, and what is over, the newest first. */
export function sorted(jobs) {
  const rank = ({ state }) => ORDER.indexOf(state);
  return [...jobs].sort((a, b) => rank(a) - rank(b) || (isOver(a) ? b.id - a.id : a.id - b.id));
}

/** How many are not over, of the counts by state. */
export function underWay(counts) {
  return (counts.running ?? 0) + (counts.waiting ?? 0) + (counts.pending ?? 0);
}

/** `being filled: 42 %, 4,200 of 10,000 buckets, 3m 5s to go`. `now` is in Unix ms. */
export function progressOf(job, now) {
  const { state, covered, wanted, eta_s: eta, retry_at: again, attempts, rows } = job;
  const count = (number, noun) => `${number.toLocaleString("en-US")} ${noun}${number === 1 ? "" : "s"}`;
  if (state === "succeeded") return `done: ${count(rows.inserted, "new candle")}`;
  const far = `${Math.floor(job.progress * 100)}\u00a0%, ${covered.toLocaleString("en-US")} of ${count(wanted, "bucket")}`;
  const parts = [far];
  if (state === "running" && eta !== null) parts.push(`${duration(eta * 1000)} to go`);
  if (state === "waiting") {
    const in_ = again === null ? "" : ` in ${duration(again - now)}`;
    return `failed ${count(attempts, "time")} in a row, trying again${in_}: ${far}`;
  }
  return `${STATES[state]}: ${parts.join(", ")}`;
}

/** What has become of an order, in words. */
export function answerOf({ status, jobs }) {
  if (status === "complete") return "All of that is there already.";
  return jobs.length === 1 ? "Ordered." : `Ordered: ${jobs.length} jobs.`;
}
