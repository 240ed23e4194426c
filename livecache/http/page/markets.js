// The rows of /api/v1/series as markets: one a symbol, with what is amiss, and in which order.

export const STATES = ["failing", "damaged", "stale", "hole", "unknown", "halted", "lagging", "warming", "short", "ready"];

const TROUBLE = new Set(["failing", "damaged", "stale", "hole", "unknown", "halted", "lagging"]);
const WORDLESS = new Set(["ready", "warming"]); // what these have to say is said elsewhere

/** How a row's symbol is asked for: with its venue where there are several. */
export const nameOf = ({ name, symbol }) => name ?? symbol;

export const keyOf = (row) => `${nameOf(row)}/${row.timeframe}`;

/** The rows, each with its `name` if there are several `venues`. */
export function named(rows, venues) {
  return venues ? rows.map((row) => ({ ...row, name: `${row.venue}:${row.symbol}` })) : rows;
}

/** The row of a key, which may lack the venue; undefined if there is none. */
export function rowOf(rows, key) {
  return rows.find((row) => keyOf(row) === key) ?? rows.find(({ symbol, timeframe }) => `${symbol}/${timeframe}` === key);
}

/**
 * One market for each symbol of a venue, in the order of the rows:
 * `{name, venue, symbol, rank, rows, last, lastTime, course, change, worst}`.
 *
 * `courses` is a Map of the rows of /api/v1/markets by name. `rank` is its place among those of its venue; `change` is null
 * where it is not known; `worst` is the place of its worst state in STATES, and the same for all that are fine.
 */
export function marketsOf(rows, courses) {
  const found = new Map();
  const ranks = new Map(); // by venue, how many there are so far
  for (const row of rows) {
    const { venue, symbol } = row;
    const name = nameOf(row);
    let market = found.get(name);
    if (!market) {
      const rank = ranks.get(venue) ?? 0;
      ranks.set(venue, rank + 1);
      market = { name, venue, symbol, rank, rows: [], last: null, lastTime: 0, course: null, change: null, worst: STATES.length };
      found.set(name, market);
    }
    market.rows.push(row);
    if (row.last !== null && (market.last === null || row.last_time > market.lastTime)) {
      market.last = row.last;
      market.lastTime = row.last_time;
    }
    if (TROUBLE.has(row.state)) market.worst = Math.min(market.worst, STATES.indexOf(row.state));
  }
  for (const market of found.values()) {
    market.course = courses.get(market.name) ?? null;
    market.change = changeOf(market.last, market.course);
  }
  return [...found.values()];
}

/** From a day ago to now: 0.01 is one per cent. */
export function changeOf(last, course) {
  return last === null || !course?.day_ago ? null : last / course.day_ago - 1;
}

/** The series of a market that hold all these words in symbol, timeframe or state. */
export function matching(market, words) {
  return market.rows.filter((row) => {
    const text = `${nameOf(row)} ${row.timeframe} ${row.state}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** What is to be said of a market: `{state, reason, timeframes}`, one for each thing, worst first. */
export function wordsOf(market) {
  const found = new Map();
  for (const { state, reason, timeframe } of market.rows) {
    if (!reason || WORDLESS.has(state)) continue;
    const key = `${state} ${reason}`;
    if (!found.has(key)) found.set(key, { state, reason, timeframes: [] });
    found.get(key).timeframes.push(timeframe);
  }
  return [...found.values()].sort((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state));
}

/** What a table may be sorted by: the order of two markets. What is not known comes last, whichever way round. */
export function order(column, direction) {
  const usual = (a, b) => a.worst - b.worst || a.rank - b.rank;
  if (column === "symbol") return (a, b) => direction * (a.symbol < b.symbol ? -1 : 1);
  if (column !== "last" && column !== "change") return usual;
  return (a, b) => {
    const [one, other] = [a[column], b[column]];
    if (one === null || other === null) return (one === null) - (other === null) || usual(a, b);
    return direction * (one - other) || usual(a, b);
  };
}

/** How many series are in each state, the worst first: `[[state, count]]`. */
export function countsOf(rows) {
  const counts = new Map();
  for (const { state } of rows) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => STATES.indexOf(a) - STATES.indexOf(b));
}
