// The lines of the table of markets, as elements: of a market, with what is amiss below it; of a venue; and of what is not drawn.

import { keyOf } from "./markets.js";
import { percent, price, reasonOf } from "./words.js";

const COLUMNS = 5;
const [WIDE, HIGH] = [64, 20]; // of a course, as its template has it

/** `{row, why, goal, …}` of a market; `goal` is what a key leads to. */
export function lineOf({ name: key, symbol }) {
  const [row, why] = [made("tr", "market"), made("tr", "why")];
  row.dataset.key = row.dataset.symbol = why.dataset.symbol = key;
  const [name, link] = [made("th"), made("a", "", symbol)];
  name.scope = "row";
  name.title = symbol;
  name.append(link);
  const [last, change, course, states] = ["number", "number", "course", "dots"].map((kind) => made("td", kind));
  course.append(document.getElementById("course").content.cloneNode(true));
  const path = course.querySelector("polyline");
  const [dots, told] = [made("span", "row"), made("span", "unseen")];
  dots.ariaHidden = "true";
  states.append(dots, told);
  row.append(name, last, change, course, states);
  for (const cell of [last, change, course, states]) cell.tabIndex = -1;
  const reasons = made("td");
  reasons.colSpan = COLUMNS;
  why.append(reasons);
  return { row, why, goal: link, last, change, path, dots, told, reasons, course: null };
}

/** `rows`: those of the market that were asked for, of which a click chooses the first. `words`: what is amiss. */
export function fillLine(line, market, rows, { chosen, digits, words, zone }) {
  const same = chosen?.name === market.name;
  const like = market.rows.find(({ timeframe }) => timeframe === chosen?.timeframe);
  const goal = `#${keyOf(like && rows.includes(like) ? like : rows[0])}`;
  if (line.goal.getAttribute("href") !== goal) line.goal.href = goal;
  line.row.classList.toggle("chosen", same);
  line.why.classList.toggle("chosen", same);
  if (same) line.goal.setAttribute("aria-current", "true");
  else line.goal.removeAttribute("aria-current");
  fillPrice(line, market.last, market.change, digits);
  if (line.course !== market.course) {
    line.course = market.course;
    line.path.setAttribute("points", pointsOf(market.course?.closes ?? []));
  }
  if (line.dots.children.length !== market.rows.length) line.dots.replaceChildren(...market.rows.map(() => made("i", "dot")));
  market.rows.forEach(({ timeframe, state }, index) => {
    const dot = line.dots.children[index];
    if (dot.dataset.state === state && dot.dataset.timeframe === timeframe) return;
    dot.dataset.state = state;
    dot.dataset.timeframe = timeframe;
    dot.title = `${timeframe} ${state}`;
  });
  set(line.told, statesInWords(market.rows));
  line.why.hidden = !words.length;
  const told = words.map(({ state, reason, timeframes }) => {
    const which = timeframes.length < market.rows.length ? `${timeframes.join(" ")} ` : "";
    return { which, state, why: ` ${reasonOf({ reason }, zone)}` };
  });
  if (line.reasons.textContent === told.map(({ which, state, why }) => which + state + why).join("")) return;
  line.reasons.replaceChildren(
    ...told.map(({ which, state, why }) => {
      const word = made("span", "state", state);
      word.dataset.state = state;
      const part = made("p");
      part.append(which, word, why);
      return part;
    }),
  );
}

export function fillPrice(line, last, change, digits) {
  set(line.last, last === null ? "–" : price(last, digits));
  set(line.change, change === null ? "–" : percent(change));
  const way = change === null || !Math.round(change * 10_000) ? "" : change < 0 ? "down" : "up";
  if (line.row.dataset.way !== way) line.row.dataset.way = way;
}

/** The line above the markets of one venue of several, which may have other timeframes than the others. */
export function groupOf(key, venue) {
  const row = made("tr", "venue");
  row.dataset.key = key;
  const [name, goal, amount, states] = [made("th"), made("button", "", venue), made("td", "amount"), made("td", "dots")];
  name.scope = "rowgroup";
  name.append(goal);
  amount.colSpan = COLUMNS - 2;
  states.append(made("span", "labels row"));
  states.ariaHidden = "true";
  row.append(name, amount, states);
  return { row, goal, amount, labels: states.firstChild };
}

/** `markets` of the venue are listed, so many of them `amiss`. */
export function fillGroup(line, { markets, amiss, folded, labels }) {
  const parts = [made("span", "", `${markets} market${markets === 1 ? "" : "s"}`)];
  if (amiss) parts.push(made("span", "amiss", `${amiss} amiss`));
  const text = parts.map(({ textContent }) => textContent).join(", ");
  if (line.amount.textContent !== text) line.amount.replaceChildren(parts[0], ...(amiss ? [", ", parts[1]] : []));
  line.goal.ariaExpanded = String(!folded);
  fillLabels(line.labels, folded ? [] : labels);
}

/** Above the dots, which timeframes they are of. */
export function fillLabels(labels, names) {
  if (labels.textContent !== names.join("")) labels.replaceChildren(...names.map((name) => made("span", "", name)));
}

/** A line in the place of those that are not drawn. */
export function space() {
  const row = made("tr", "space");
  const cell = made("td");
  cell.colSpan = COLUMNS;
  row.append(cell);
  row.ariaHidden = "true";
  return row;
}

export function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** `all ready`; or `5m hole, others ready`. */
function statesInWords(rows) {
  const states = new Set(rows.map(({ state }) => state));
  if (states.size === 1) return `all ${rows[0].state}`;
  const odd = rows.filter(({ state }) => state !== "ready").map(({ timeframe, state }) => `${timeframe} ${state}`);
  return states.has("ready") ? `${odd.join(", ")}, others ready` : odd.join(", ");
}

/** The corners of a course: from left to right, the highest price above. */
function pointsOf(closes) {
  if (closes.length < 2) return "";
  const [low, high] = [Math.min(...closes), Math.max(...closes)];
  const scale = high > low ? (HIGH - 2) / (high - low) : 0;
  const step = WIDE / (closes.length - 1);
  const y = (close) => (scale ? HIGH - 1 - (close - low) * scale : HIGH / 2);
  return closes.map((close, index) => `${(index * step).toFixed(1)},${y(close).toFixed(1)}`).join(" ");
}

function made(name, kind = "", text = "") {
  const element = document.createElement(name);
  if (kind) element.className = kind;
  if (text) element.textContent = text;
  return element;
}
