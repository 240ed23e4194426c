// The table of markets: trouble first, or sorted by a column; filtered by words; changed only where something changed.

import { changeOf, keyOf, marketsOf, matching, order, wordsOf } from "./markets.js";
import { percent, price, reasonOf } from "./words.js";

const ROWS_MOST = 500;
const [WIDE, HIGH] = [64, 20]; // of a course, as its template has it
const MANY = 6; // timeframes whose names do not fit above their dots

export class Table {
  #body;
  #head;
  #filter;
  #more;
  #markets = [];
  #venues = []; // the rows of /api/v1/series about each, where there are several
  #lines = new Map(); // by name: the elements of a line
  #groups = new Map(); // by venue: the line above its markets
  #digits = () => 0;
  #zone;
  #column = "";
  #direction = 1;
  #chosen = null; // the series that the chart shows

  constructor(table, filter, more, zone) {
    this.#body = table.tBodies[0];
    this.#head = table.tHead;
    this.#filter = filter;
    this.#more = more;
    this.#zone = zone;
    for (const button of this.#buttons()) button.addEventListener("click", () => this.#sortBy(button.dataset.column));
    filter.addEventListener("input", () => this.#draw());
    // The link in a line is what keyboards and screen readers use; the line and its dots are larger things to hit.
    this.#body.addEventListener("click", (event) => {
      if (event.target.closest("a")) return;
      const dot = event.target.closest("[data-timeframe]");
      const line = event.target.closest("tr");
      if (dot) location.hash = `#${line.dataset.symbol}/${dot.dataset.timeframe}`;
      else if (line) this.#lines.get(line.dataset.symbol)?.link.click();
    });
    this.#draw();
  }

  /** Show these rows of /api/v1/series, with the courses by name; `digits` tells how many a name's price has. */
  show(rows, venues, courses, digits) {
    this.#venues = venues;
    this.#markets = marketsOf(rows, courses);
    this.#digits = digits;
    this.#draw();
  }

  /** A symbol has traded. */
  trade(name, last) {
    const line = this.#lines.get(name);
    if (line) this.#fillPrice(line, name, last, changeOf(last, line.course));
  }

  choose(series) {
    this.#chosen = series;
    this.#draw();
  }

  /** Show times anew: the zone has changed. */
  retell() {
    this.#draw();
  }

  #buttons() {
    return this.#head.querySelectorAll("th button");
  }

  /** One way, the other way, and then as it was at first: trouble first, and as it is configured. */
  #sortBy(column) {
    if (column !== this.#column) [this.#column, this.#direction] = [column, 1];
    else if (this.#direction === 1) this.#direction = -1;
    else [this.#column, this.#direction] = ["", 1];
    this.#draw();
  }

  #draw() {
    for (const button of this.#buttons()) {
      const head = button.parentElement;
      if (button.dataset.column !== this.#column) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", this.#direction === 1 ? "ascending" : "descending");
    }
    const words = this.#filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const named = this.#markets.map((market) => [market, matching(market, words)]).filter(([, rows]) => rows.length);
    const by = order(this.#column, this.#direction);
    const shown = named.sort(([a], [b]) => by(a, b)).slice(0, ROWS_MOST);
    const many = shown.some(([{ rows }]) => rows.length > MANY);
    this.#body.parentElement.classList.toggle("many", many);
    const labels = (market) => (many || !market ? [] : market.rows.map(({ timeframe }) => timeframe));
    const grouped = this.#venues.length > 0;
    drawLabels(this.#head.querySelector(".labels"), grouped ? [] : labels(shown[0]?.[0]));
    const names = new Set(shown.map(([market]) => market.name));
    for (const [name, line] of this.#lines) {
      if (names.has(name)) continue;
      line.row.remove();
      line.why.remove();
      this.#lines.delete(name);
    }
    // What fits was chosen among all; then each venue's stand together, in the configured order.
    const rank = new Map(this.#venues.map(({ venue }, index) => [venue, index]));
    if (grouped) shown.sort(([a], [b]) => rank.get(a.venue) - rank.get(b.venue));
    for (const [venue, group] of this.#groups) if (!shown.some(([market]) => grouped && market.venue === venue)) group.remove();
    const focused = document.activeElement;
    let place = this.#body.firstElementChild;
    let venue = null;
    for (const [market, rows] of shown) {
      const line = this.#lineOf(market);
      this.#fill(line, market, words.length ? rows : market.rows);
      const elements = line.why.hidden ? [line.row] : [line.row, line.why];
      if (grouped && market.venue !== venue) elements.unshift(this.#groupOf(market.venue, labels(market)));
      ({ venue } = market);
      for (const element of elements) {
        if (element === place) place = place.nextElementSibling;
        else this.#body.insertBefore(element, place);
      }
      if (line.why.hidden && line.why.isConnected) {
        if (line.why === place) place = place.nextElementSibling;
        line.why.remove();
      }
    }
    if (focused !== document.activeElement) focused.focus({ preventScroll: true }); // A line that moved lost it.
    const hidden = named.length - shown.length;
    this.#more.hidden = !hidden && shown.length > 0;
    const none = this.#markets.length ? "There is no such market." : "No series is filled yet.";
    set(this.#more, hidden ? `and ${hidden} more: use the filter` : none);
  }

  /** The line above the markets of one venue of several, which may have other timeframes than the others. */
  #groupOf(venue, labels) {
    let group = this.#groups.get(venue);
    if (!group) {
      group = made("tr", "venue");
      const [name, states] = [made("th", "", venue), made("td", "dots")];
      name.scope = "rowgroup";
      name.colSpan = 4;
      states.append(made("span", "labels row"));
      states.ariaHidden = "true";
      group.append(name, states);
      this.#groups.set(venue, group);
    }
    drawLabels(group.querySelector(".labels"), labels);
    return group;
  }

  #lineOf({ name: key, symbol }) {
    const known = this.#lines.get(key);
    if (known) return known;
    const [row, why] = [made("tr", "market"), made("tr", "why")];
    row.dataset.symbol = why.dataset.symbol = key;
    const [name, link] = [made("th"), made("a", "", symbol)];
    name.scope = "row";
    name.append(link);
    const [last, change, course, states] = ["number", "number", "course", "dots"].map((kind) => made("td", kind));
    course.append(document.getElementById("course").content.cloneNode(true));
    const path = course.querySelector("polyline");
    const [dots, told] = [made("span", "row"), made("span", "unseen")];
    dots.ariaHidden = "true";
    states.append(dots, told);
    row.append(name, last, change, course, states);
    const reasons = made("td");
    reasons.colSpan = 5;
    why.append(reasons);
    const line = { row, why, link, last, change, path, dots, told, reasons, course: null };
    this.#lines.set(key, line);
    return line;
  }

  /** `rows`: those of the market that were asked for, of which a click chooses the first. */
  #fill(line, market, rows) {
    const chosen = this.#chosen?.name === market.name;
    const same = market.rows.find(({ timeframe }) => timeframe === this.#chosen?.timeframe);
    const goal = `#${keyOf(same && rows.includes(same) ? same : rows[0])}`;
    if (line.link.hash !== goal) line.link.href = goal;
    line.row.classList.toggle("chosen", chosen);
    line.why.classList.toggle("chosen", chosen);
    if (chosen) line.link.setAttribute("aria-current", "true");
    else line.link.removeAttribute("aria-current");
    this.#fillPrice(line, market.name, market.last, market.change);
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
    const told = wordsOf(market).flatMap(({ state, reason, timeframes }) => {
      const which = timeframes.length < market.rows.length ? `${timeframes.join(" ")} ` : "";
      const why = reasonOf({ reason }, this.#zone);
      return why ? [{ which, state, why: ` ${why}` }] : []; // Else the state says it all.
    });
    line.why.hidden = !told.length;
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

  #fillPrice(line, name, last, change) {
    set(line.last, last === null ? "–" : price(last, this.#digits(name)));
    set(line.change, change === null ? "–" : percent(change));
    const way = change === null ? "" : change < 0 ? "down" : "up";
    if (line.row.dataset.way !== way) line.row.dataset.way = way;
  }
}

/** Above the dots, which timeframes they are of. */
function drawLabels(labels, names) {
  if (labels.textContent !== names.join("")) labels.replaceChildren(...names.map((name) => made("span", "", name)));
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

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
