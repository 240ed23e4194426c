// The table of markets: trouble first, or sorted by a column; filtered by words. Only what is seen of it is drawn.

import { Heights } from "./heights.js";
import { keep, recall } from "./keep.js";
import { fillGroup, fillLabels, fillLine, fillPrice, groupOf, lineOf, set, space } from "./lines.js";
import { STATES, changeOf, marketsOf, matching, order, wordsOf } from "./markets.js";
import { price, reasonOf } from "./words.js";

const BEYOND_PX = 500; // that are drawn above and below what is seen
const MANY = 6; // timeframes; the names of more stand upright above their dots
const NAME_REM = 6; // with less room for a name the dots are below it
const USUAL_PX = { market: 30, trouble: 55, venue: 35 };

export class Table {
  #table;
  #body;
  #scroller;
  #filter;
  #note;
  #zone;
  #markets = [];
  #named = new Map(); // the markets by name
  #venues = []; // the rows of /api/v1/series about each, where there are several
  #folded = new Set(recall("folded").split(" ").filter(Boolean)); // venues whose markets are not listed
  #items = []; // what is listed: `{key, kind, row, market, rows}`, or of a venue `{key, kind, row, venue, …}`
  #indexes = new Map(); // in #items, by key
  #lines = new Map(); // the elements of what is drawn, by key
  #spaces = [];
  #heights = new Heights(USUAL_PX);
  #digits = () => 0;
  #wide = 0; // characters of the longest price so far
  #column = "";
  #direction = 1;
  #chosen = null; // the series that the chart shows
  #at = null; // the key of the line where a keyboard comes in: it is drawn wherever it is

  constructor(table, filter, note, zone) {
    this.#table = table;
    this.#body = table.tBodies[0];
    this.#scroller = table.parentElement;
    this.#filter = filter;
    this.#note = note;
    this.#zone = zone;
    for (const button of this.#buttons()) button.addEventListener("click", () => this.#sortBy(button.dataset.column));
    filter.addEventListener("input", () => this.#listAnew());
    // The link in a line is what keyboards and screen readers use; the line and its dots are larger things to hit.
    this.#body.addEventListener("click", (event) => {
      const line = event.target.closest("tr");
      const { venue } = this.#items[this.#indexes.get(line?.dataset.key)] ?? {};
      if (venue) this.#fold(venue);
      if (venue || event.target.closest("a")) return;
      const dot = event.target.closest("[data-timeframe]");
      if (dot) location.hash = `#${line.dataset.symbol}/${dot.dataset.timeframe}`;
      else this.#lines.get(line?.dataset.symbol)?.goal.click();
    });
    this.#body.addEventListener("keydown", (event) => this.#key(event));
    this.#body.addEventListener("focusin", ({ target }) => this.#enter(target.closest("tr").dataset.key));
    // On a phone the whole page scrolls, else the table does.
    document.addEventListener("scroll", () => this.#draw(), { capture: true, passive: true });
    let width = 0;
    new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width === width) return this.#draw();
      ({ width } = contentRect);
      this.#heights.forget();
      this.#arrange();
    }).observe(this.#scroller);
    this.#list();
  }

  /** Show these rows of /api/v1/series, with the courses by name; `digits` tells how many a name's price has. */
  show(rows, venues, courses, digits) {
    this.#venues = venues;
    this.#markets = marketsOf(rows, courses);
    this.#named = new Map(this.#markets.map((market) => [market.name, market]));
    this.#digits = digits;
    for (const { last, name } of this.#markets) {
      if (last !== null) this.#wide = Math.max(this.#wide, price(last, digits(name)).length);
    }
    this.#arrange();
  }

  /** A symbol has traded. */
  trade(name, last) {
    const market = this.#named.get(name);
    if (!market) return;
    [market.last, market.change] = [last, changeOf(last, market.course)];
    const line = this.#lines.get(name);
    if (line) fillPrice(line, last, market.change, this.#digits(name));
  }

  choose(series) {
    this.#chosen = series;
    this.#list();
  }

  /** Show times anew: the zone has changed. */
  retell() {
    this.#list();
  }

  #buttons() {
    return this.#table.tHead.querySelectorAll("th button");
  }

  /** One way, the other way, and then as it was at first: trouble first, and as it is configured. */
  #sortBy(column) {
    if (column !== this.#column) [this.#column, this.#direction] = [column, 1];
    else if (this.#direction === 1) this.#direction = -1;
    else [this.#column, this.#direction] = ["", 1];
    this.#listAnew();
  }

  #fold(venue) {
    if (!this.#folded.delete(venue)) this.#folded.add(venue);
    keep("folded", [...this.#folded].join(" "));
    this.#list();
  }

  /** How wide the columns are: what the widest needs of them, so that nothing moves while others are drawn. */
  #arrange() {
    const most = Math.max(0, ...this.#markets.map(({ rows }) => rows.length));
    this.#table.style.setProperty("--last", this.#wide);
    this.#table.style.setProperty("--dots", most);
    this.#table.classList.toggle("many", most > MANY);
    this.#table.classList.remove("stacked");
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const name = this.#table.tHead.rows[0].cells[0].getBoundingClientRect().width;
    this.#table.classList.toggle("stacked", this.#scroller.clientWidth > 0 && name < NAME_REM * rem);
    this.#list();
  }

  /** The list is another one: it is seen from its begin. */
  #listAnew() {
    this.#scroller.scrollTop = 0;
    this.#list();
  }

  #list() {
    for (const button of this.#buttons()) {
      const head = button.parentElement;
      if (button.dataset.column !== this.#column) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", this.#direction === 1 ? "ascending" : "descending");
    }
    const words = this.#filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const by = order(this.#column, this.#direction);
    const rank = new Map(this.#venues.map(({ venue }, index) => [venue, index]));
    const shown = this.#markets.map((market) => [market, matching(market, words)]).filter(([, rows]) => rows.length);
    shown.sort(([a], [b]) => rank.get(a.venue) - rank.get(b.venue) || by(a, b));
    const labels = (market) => market?.rows.map(({ timeframe }) => timeframe) ?? [];
    fillLabels(this.#table.tHead.querySelector(".labels"), rank.size ? [] : labels(shown[0]?.[0]));
    this.#items = [];
    let group = null;
    for (const [market, rows] of shown) {
      const { name: key, venue } = market;
      if (rank.size && venue !== group?.venue) {
        const folded = this.#folded.has(venue) && !words.length;
        group = { key: `venue ${venue}`, kind: "venue", venue, markets: 0, amiss: 0, folded, labels: labels(market) };
        this.#items.push(group);
      }
      if (group) {
        group.markets += 1;
        group.amiss += market.worst < STATES.length;
        if (group.folded) continue;
      }
      // Where there is no more to be said, the state says it all.
      market.words ??= wordsOf(market).filter((word) => reasonOf(word, this.#zone));
      const kind = market.words.length ? "trouble" : "market";
      this.#items.push({ key, kind, market, rows: words.length ? rows : market.rows });
    }
    let row = 2; // the head is the first
    for (const item of this.#items) {
      item.row = row;
      row += item.kind === "trouble" ? 2 : 1;
    }
    this.#table.ariaRowCount = String(row - 1);
    this.#indexes = new Map(this.#items.map(({ key }, index) => [key, index]));
    if (!this.#indexes.has(this.#at)) {
      this.#at = this.#indexes.has(this.#chosen?.name) ? this.#chosen.name : (this.#items[0]?.key ?? null);
    }
    this.#note.hidden = shown.length > 0;
    set(this.#note, this.#markets.length ? "There is no such market." : "No series is filled yet.");
    this.#heights.place(this.#items);
    this.#draw({ filled: false });
  }

  /** Draw what is seen, and a little beyond; `filled`: what is drawn already is right; `placed`: and where it is, too. */
  #draw({ filled = true, placed = filled } = {}) {
    const top = this.#body.getBoundingClientRect().top;
    const box = this.#scroller.getBoundingClientRect();
    const from = Math.max(box.top, 0) - top - BEYOND_PX;
    const to = Math.max(Math.min(box.bottom, innerHeight) - top, 0) + BEYOND_PX;
    const [first, end] = this.#heights.between(from, to);
    const drawn = Array.from({ length: end - first }, (_, index) => first + index);
    const at = this.#indexes.get(this.#at);
    if (at < first) drawn.unshift(at);
    if (at >= end) drawn.push(at);
    const keys = new Set(drawn.map((index) => this.#items[index].key));
    if (placed && keys.size === this.#lines.size && [...keys].every((key) => this.#lines.has(key))) return;
    const focused = document.activeElement;
    for (const [key, line] of this.#lines) {
      if (keys.has(key)) continue;
      line.row.remove();
      line.why?.remove();
      this.#lines.delete(key);
    }
    let place = this.#body.firstElementChild;
    const put = (element) => {
      if (element === place) place = place.nextElementSibling;
      else this.#body.insertBefore(element, place);
    };
    let [next, spaces] = [0, 0];
    const skip = (index) => {
      if (index > next) {
        const element = (this.#spaces[spaces] ??= space());
        element.style.height = `${this.#heights.sum(next, index)}px`;
        put(element);
        spaces += 1;
      }
      next = index + 1;
    };
    for (const index of drawn) {
      skip(index);
      const { row, why } = this.#filledLine(this.#items[index], filled);
      put(row);
      if (!why) continue;
      if (!why.hidden) put(why);
      else if (why === place) place = place.nextElementSibling;
      if (why.hidden) why.remove();
    }
    skip(this.#items.length);
    for (const element of this.#spaces.slice(spaces)) element.remove();
    if (focused !== document.activeElement) focused.focus({ preventScroll: true }); // A line that moved lost it.
    if (!this.#measured(drawn)) this.#draw({ placed: false });
  }

  #filledLine(item, filled) {
    const { key, market, row } = item;
    let line = this.#lines.get(key);
    if (line && filled) return line;
    line ??= market ? lineOf(market) : groupOf(key, item.venue);
    this.#lines.set(key, line);
    line.row.ariaRowIndex = String(row);
    line.goal.tabIndex = key === this.#at ? 0 : -1;
    if (market) {
      line.why.ariaRowIndex = String(row + 1);
      const digits = this.#digits(market.name);
      fillLine(line, market, item.rows, { chosen: this.#chosen, digits, words: market.words, zone: this.#zone });
    } else {
      fillGroup(line, item);
    }
    return line;
  }

  /** Whether these are as high as was thought. */
  #measured(drawn) {
    let same = true;
    for (const index of drawn) {
      const { key, kind } = this.#items[index];
      const { row, why } = this.#lines.get(key);
      const last = why && !why.hidden ? why : row;
      const height = last.getBoundingClientRect().bottom - row.getBoundingClientRect().top;
      if (height) same = this.#heights.learn(key, kind, height) && same;
    }
    if (!same) this.#heights.place(this.#items);
    return same;
  }

  // --- by key

  /** The keyboard is at that line from now on. */
  #enter(key) {
    if (key === undefined || key === this.#at) return;
    const [before, now] = [this.#lines.get(this.#at), this.#lines.get(key)];
    if (before) before.goal.tabIndex = -1;
    if (now) now.goal.tabIndex = 0;
    this.#at = key;
  }

  /** Up and down the lines, and from one cell of a line to the next. */
  #key(event) {
    const index = this.#indexes.get(event.target.closest("tr")?.dataset.key);
    if (index === undefined || event.altKey || event.metaKey) return;
    const line = this.#lines.get(this.#items[index].key);
    const cells = [line.goal, ...line.row.querySelectorAll("td[tabindex]")];
    const cell = Math.max(0, cells.indexOf(event.target));
    const page = Math.max(1, Math.floor(Math.min(this.#scroller.clientHeight, innerHeight) / USUAL_PX.market) - 2);
    const [lines, across] = [
      { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page, Home: -Infinity, End: Infinity }[event.key],
      { ArrowLeft: -1, ArrowRight: 1 }[event.key],
    ];
    if (lines === undefined && across === undefined) return;
    event.preventDefault();
    if (across) cells[Math.min(Math.max(cell + across, 0), cells.length - 1)].focus();
    else this.#go(Math.min(Math.max(index + lines, 0), this.#items.length - 1), cell);
  }

  #go(index, cell) {
    const { key } = this.#items[index];
    this.#enter(key);
    this.#draw();
    const { row, goal } = this.#lines.get(key);
    row.scrollIntoView({ block: "nearest" });
    ((cell && row.querySelectorAll("td[tabindex]")[cell - 1]) || goal).focus({ preventScroll: true });
  }
}
