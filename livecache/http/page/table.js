// The table of all series: sorted by any column, filtered by name, changed only where something changed.

import { TIMEFRAMES, duration, price, reasonOf } from "./words.js";

const ROWS_MOST = 500;
const STATES = ["failing", "damaged", "stale", "hole", "unknown", "lagging", "halted", "warming", "short", "ready"];

// What a column is sorted by; null is not known.
const VALUES = {
  state: (row) => STATES.indexOf(row.state),
  lag: (row) => row.lag_ms,
  last: (row) => row.last,
};

function byName(a, b) {
  if (a.symbol !== b.symbol) return a.symbol < b.symbol ? -1 : 1;
  return TIMEFRAMES[a.timeframe] - TIMEFRAMES[b.timeframe];
}

export const keyOf = ({ symbol, timeframe }) => `${symbol}/${timeframe}`;

export class Table {
  #body;
  #heads;
  #filter;
  #more;
  #rows = [];
  #lines = new Map(); // by key: the elements of a line
  #digits = () => 0;
  #column = "series";
  #direction = 1;
  #chosen = "";

  constructor(table, filter, more) {
    this.#body = table.tBodies[0];
    this.#heads = [...table.querySelectorAll("th button")];
    this.#filter = filter;
    this.#more = more;
    for (const button of this.#heads) button.addEventListener("click", () => this.#sortBy(button.dataset.column));
    filter.addEventListener("input", () => this.#draw());
    // The link in a line is what keyboards and screen readers use; the line around it is a larger thing to hit.
    this.#body.addEventListener("click", (event) => {
      if (event.target.closest("a")) return;
      event.target.closest("tr")?.querySelector("a").click();
    });
    this.#draw();
  }

  /** Show these rows of /api/v1/series; `digits` tells how many a symbol's price has. */
  show(rows, digits) {
    this.#rows = rows;
    this.#digits = digits;
    this.#draw();
  }

  choose(key) {
    this.#chosen = key;
    this.#draw();
  }

  #sortBy(column) {
    this.#direction = column === this.#column ? -this.#direction : 1;
    this.#column = column;
    this.#draw();
  }

  #draw() {
    for (const button of this.#heads) {
      const head = button.parentElement;
      if (button.dataset.column !== this.#column) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", this.#direction === 1 ? "ascending" : "descending");
    }
    const words = this.#filter.value.toLowerCase().split(/\s+/);
    const named = this.#rows.filter((row) => words.every((word) => `${row.symbol} ${row.timeframe}`.toLowerCase().includes(word)));
    const shown = named.sort((a, b) => this.#order(a, b)).slice(0, ROWS_MOST);
    const keys = new Set(shown.map(keyOf));
    for (const [key, line] of this.#lines) {
      if (keys.has(key)) continue;
      line.row.remove();
      this.#lines.delete(key);
    }
    const focused = document.activeElement;
    shown.forEach((row, index) => {
      const line = this.#lineOf(row);
      if (this.#body.children[index] !== line.row) this.#body.insertBefore(line.row, this.#body.children[index] ?? null);
      this.#fill(line, row);
    });
    if (focused !== document.activeElement) focused.focus({ preventScroll: true }); // A line that moved lost it.
    const hidden = named.length - shown.length;
    this.#more.hidden = !hidden && shown.length > 0;
    const none = this.#rows.length ? "There is no such series." : "No series is filled yet.";
    set(this.#more, hidden ? `and ${hidden} more: use the filter` : none);
  }

  /** What is not known comes last, whichever way round. */
  #order(a, b) {
    if (this.#column === "series") return this.#direction * byName(a, b);
    const value = VALUES[this.#column];
    const [one, other] = [value(a), value(b)];
    if (one === null || other === null) return (one === null) - (other === null) || byName(a, b);
    return this.#direction * (one - other) || byName(a, b);
  }

  #lineOf(row) {
    const key = keyOf(row);
    const known = this.#lines.get(key);
    if (known) return known;
    const [name, link] = [document.createElement("th"), document.createElement("a")];
    name.scope = "row";
    link.href = `#${key}`;
    link.textContent = `${row.symbol} ${row.timeframe}`;
    name.append(link);
    const cells = [0, 1, 2].map(() => document.createElement("td"));
    const [state, reason] = [document.createElement("span"), document.createElement("small")];
    state.className = "state";
    cells[0].append(state, reason);
    cells[1].className = cells[2].className = "number";
    const element = document.createElement("tr");
    element.append(name, ...cells);
    const line = { row: element, link, state, reason, lag: cells[1], last: cells[2] };
    this.#lines.set(key, line);
    return line;
  }

  #fill(line, row) {
    const chosen = keyOf(row) === this.#chosen;
    line.row.classList.toggle("chosen", chosen);
    if (chosen) line.link.setAttribute("aria-current", "true");
    else line.link.removeAttribute("aria-current");
    line.state.dataset.state = row.state;
    set(line.state, row.state);
    const reason = reasonOf(row);
    line.reason.hidden = !reason;
    set(line.reason, reason);
    set(line.lag, row.lag_ms === null ? "–" : duration(row.lag_ms));
    set(line.last, row.last === null ? "–" : price(row.last, this.#digits(row.symbol)));
  }
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
