// What changes slowly, and is not needed for anything else: the courses of the markets, and who answers here.

import { nameOf, named } from "./markets.js";
import { get } from "./service.js";

const COURSES_MS = 30_000;
const WHO_MS = 60_000;
const SOON_MS = 5_000; // after a failure, and while one that trades has no course yet

export class Around {
  #onNews;
  #askedAt = new Map(); // by path
  #whoAt = -Infinity;

  constructor(onNews) {
    this.courses = new Map(); // the rows of /api/v1/markets by name
    this.who = null; // the answer of /api/v1/service
    this.#onNews = onNews;
  }

  /** How many ms ago it was told who answers. */
  get age() {
    return performance.now() - this.#whoAt;
  }

  /** Ask for what is due, given the series. Whether the service answers at all is told by who asks for these. */
  look(series) {
    const wanting = series.some((row) => row.last !== null && !this.courses.get(nameOf(row))?.closes.length);
    this.#take("api/v1/markets", wanting ? SOON_MS : COURSES_MS, ({ markets, venues }) => {
      this.courses = new Map(named(markets, venues).map((market) => [nameOf(market), market]));
    });
    this.#take("api/v1/service", WHO_MS, (who) => {
      this.who = who;
      this.#whoAt = performance.now();
    });
  }

  async #take(path, every, taken) {
    const now = performance.now();
    if (now - (this.#askedAt.get(path) ?? -Infinity) <= every) return;
    this.#askedAt.set(path, now);
    try {
      taken(await get(path));
    } catch {
      this.#askedAt.set(path, now - every + SOON_MS);
      return;
    }
    this.#onNews();
  }
}
