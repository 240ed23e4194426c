// Above and below it all: how many series are in which state, how far it has warmed up, and who answers here.

import { countsOf, nameOf } from "./markets.js";
import { duration } from "./words.js";

const DONE = new Set(["ready", "short", "unknown", "halted"]); // there is nothing to wait for

export class Head {
  #summary = document.getElementById("summary");
  #warming = document.getElementById("warming");
  #progress = document.getElementById("progress");
  #about = document.getElementById("who");
  #filter;

  /** `onFilter` is called once one of the counts was pressed, which filters by it, or lets go of that. */
  constructor(filter, onFilter) {
    this.#filter = filter;
    this.#summary.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const { state } = button.dataset;
      filter.value = filter.value.trim() === state ? "" : state;
      filter.dispatchEvent(new Event("input"));
      onFilter();
    });
    filter.addEventListener("input", () => this.#press());
  }

  show(rows) {
    const counts = countsOf(rows);
    const markets = new Set(rows.map(nameOf)).size;
    const venues = new Set(rows.map(({ venue }) => venue)).size;
    const [count] = this.#summary.children;
    set(count, `${venues > 1 ? `${some(venues, "venue")}, ` : ""}${some(markets, "market")}, ${rows.length} series:`);
    const there = [...this.#summary.querySelectorAll("button")];
    if (there.map(({ dataset }) => dataset.state).join() !== counts.map(([state]) => state).join()) {
      const focused = document.activeElement?.dataset?.state;
      const buttons = counts.map(([state]) => there.find(({ dataset }) => dataset.state === state) ?? buttonOf(state));
      this.#summary.replaceChildren(count, ...buttons);
      if (focused) buttons.find(({ dataset }) => dataset.state === focused)?.focus({ preventScroll: true });
      this.#press();
    }
    counts.forEach(([state, number], index) => set(this.#summary.children[index + 1], `${number} ${state}`));

    const done = rows.filter(({ state }) => DONE.has(state)).length;
    this.#warming.hidden = !rows.some(({ state }) => state === "warming");
    this.#progress.max = Math.max(1, rows.length);
    this.#progress.value = done;
    set(this.#progress.labels[0], `warming up: ${done} of ${rows.length} series can be read`);
  }

  /** `who` is an answer of /api/v1/service, `age` how many ms ago that came. */
  tell(who, age) {
    if (!who) return;
    const role = who.role === "writing" ? "" : `${who.role}, `;
    set(this.#about, `livecache ${who.version}, ${who.instance || "no service yet"}, ${role}up ${duration(who.uptime_s * 1000 + age)}, ${who.redis}`);
  }

  #press() {
    for (const button of this.#summary.querySelectorAll("button")) {
      button.ariaPressed = String(this.#filter.value.trim() === button.dataset.state);
    }
  }
}

function buttonOf(state) {
  const button = document.createElement("button");
  button.className = "state";
  button.dataset.state = state;
  button.title = "show only these";
  button.ariaPressed = "false";
  return button;
}

function some(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
