// The newest buckets of a series as a table, for whoever opens it.

import { KINDS, price, volume } from "./words.js";

const NEWEST = 12;

export class Newest {
  #details;
  #body;
  #opened;
  #listed = ""; // what it holds

  constructor(details, opened, onToggle) {
    this.#details = details;
    this.#body = details.querySelector("tbody");
    this.#opened = opened;
    details.addEventListener("toggle", onToggle);
  }

  show(list, digits, zone) {
    if (!this.#details.open) return;
    const newest = list.slice(-NEWEST).reverse();
    const text = JSON.stringify([newest, digits, zone.local]);
    if (text === this.#listed) return;
    this.#listed = text;
    this.#opened.textContent = zone.local ? "Opened (local time)" : "Opened (UTC)";
    const lines = newest.map(({ time, kind, candle }) => {
      const prices = candle ? [...candle.slice(1, 5).map((each) => price(each, digits)), volume(candle[5])] : Array(5).fill("–");
      const line = document.createElement("tr");
      const name = document.createElement("th");
      name.scope = "row";
      name.textContent = zone.time(time);
      line.append(name, cell(KINDS[kind], kind), ...prices.map((each) => cell(each, "number")));
      return line;
    });
    this.#body.replaceChildren(...lines);
  }
}

function cell(text, name) {
  const made = document.createElement("td");
  made.className = name;
  made.textContent = text;
  return made;
}
