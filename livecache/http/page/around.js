// What changes slowly, and is not needed for anything else: the courses of the markets, and who answers here.

import { nameOf, named } from "./markets.js";
import { get } from "./service.js";

const COURSES_MS = 30_000;
const COURSES_SOON_MS = 5_000; // while one that trades has none yet
const WHO_MS = 60_000;

export class Around {
  #onNews;
  #coursesAt = -Infinity;
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
    const now = performance.now();
    const wanting = series.some((row) => row.last !== null && !this.courses.get(nameOf(row))?.closes.length);
    if (now - this.#coursesAt > (wanting ? COURSES_SOON_MS : COURSES_MS)) {
      this.#coursesAt = now;
      this.#take("api/v1/markets", ({ markets, venues }) => {
        this.courses = new Map(named(markets, venues).map((market) => [nameOf(market), market]));
      });
    }
    if (now - this.#whoAt > WHO_MS) {
      this.#whoAt = now;
      this.#take("api/v1/service", (who) => {
        this.who = who;
      });
    }
  }

  async #take(path, taken) {
    try {
      taken(await get(path));
    } catch {
      return;
    }
    this.#onNews();
  }
}
