// The drawer of jobs: what is being filled, what failed, and an order for more.

import { answerOf, cancel, isOver, orderFill, progressOf, retry, sorted, underWay } from "./jobs.js";
import { set } from "./lines.js";
import { nameOf } from "./markets.js";
import { Pause, Refused, events, get, seen, unseen } from "./service.js";

const COUNT_MS = 10_000; // between two looks at how many there are
const LIST_MS = 5_000; // between two looks at all of them, while they are shown
const SHOWN_MOST = 100;
const DAY_MS = 86_400_000;
const USUAL_DAYS = 365; // that an order goes back

const $ = (id) => document.getElementById(id);

export class Drawer {
  #dialog = $("jobs");
  #button = $("jobs-open");
  #zone;
  #jobs = new Map(); // by id
  #items = new Map(); // the elements of what is shown, by id
  #closed = new AbortController();
  #who = null; // the answer of /api/v1/service
  #rows = []; // those of /api/v1/series
  #chosen = null; // the series that the chart shows
  #counting = new Pause();

  constructor(zone) {
    this.#zone = zone;
    this.#button.addEventListener("click", () => this.#open());
    this.#dialog.addEventListener("close", () => this.#closed.abort());
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close(); // beside the drawer
    });
    $("jobs-close").addEventListener("click", () => this.#dialog.close());
    $("order").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#order();
    });
    $("order-symbol").addEventListener("change", () => this.#offer());
    $("jobs-list").addEventListener("click", ({ target }) => this.#act(target));
    this.#count();
  }

  /** `who`: the answer of /api/v1/service; `rows`: those of /api/v1/series; `chosen` is what the chart shows. */
  tell(who, rows, chosen) {
    const waited = !this.#kept;
    [this.#who, this.#rows, this.#chosen] = [who, rows, chosen];
    this.#button.hidden = !this.#kept;
    if (waited && this.#kept) this.#counting.wake();
  }

  get #kept() {
    return Boolean(this.#who?.history);
  }

  /** How many jobs there are, as long as somebody sees the page. */
  async #count() {
    for (;;) {
      await seen();
      if (this.#kept && !this.#dialog.open) {
        try {
          this.#counted((await get("api/v1/jobs?limit=1")).counts);
        } catch {
          // Whether the service answers at all is told by who asks for more.
        }
      }
      await this.#counting.for(COUNT_MS);
    }
  }

  #counted(counts) {
    const count = underWay(counts);
    set(this.#button, count ? `${count} job${count === 1 ? "" : "s"}` : "jobs");
    this.#button.classList.toggle("busy", count > 0);
  }

  async #open() {
    this.#closed = new AbortController();
    this.#dialog.showModal();
    $("order").hidden = !this.#orders;
    this.#note(this.#orders ? "" : "The token of this tab only reads: it cannot have anything filled.");
    const names = [...new Set(this.#rows.map(nameOf))];
    $("order-names").replaceChildren(...names.map((name) => new Option(name)));
    $("order-symbol").value = this.#chosen?.name ?? names[0] ?? "";
    $("order-since").max = dateOf(Date.now());
    $("order-since").value ||= dateOf(Date.now() - USUAL_DAYS * DAY_MS);
    this.#offer(this.#chosen?.timeframe);
    const pause = new Pause();
    this.#closed.signal.addEventListener("abort", () => pause.wake());
    const ticking = setInterval(() => this.#draw(), 1_000);
    while (!this.#closed.signal.aborted) {
      try {
        await this.#follow(AbortSignal.any([this.#closed.signal, unseen()]));
        pause.succeeded();
      } catch (error) {
        if (error instanceof Refused) this.#refused(error);
      }
      await seen();
      if (!this.#closed.signal.aborted) await pause.afterFailure();
    }
    clearInterval(ticking);
    this.#counting.wake();
  }

  get #orders() {
    return this.#who?.orders !== false;
  }

  async #follow(signal) {
    let listed = await this.#list(signal);
    for await (const { event, data } of events("api/v1/stream?jobs=true", signal)) {
      if (event === "job") this.#take(data);
      // What ended before the stream began is told by no event.
      else if (performance.now() - listed > LIST_MS) listed = await this.#list(signal);
    }
  }

  /** All of them anew; when that came. */
  async #list(signal) {
    const { jobs, counts } = await get(`api/v1/jobs?limit=${SHOWN_MOST}`, signal);
    this.#jobs = new Map(jobs.map((job) => [job.id, job]));
    this.#counted(counts);
    this.#draw();
    return performance.now();
  }

  #take(job) {
    this.#jobs.set(job.id, job);
    this.#draw();
  }

  #draw() {
    const list = $("jobs-list");
    const jobs = sorted(this.#jobs.values());
    if (list.matches(":hover")) {
      // Somebody is about to click: what is there stays where it is.
      const places = new Map([...list.children].map(({ dataset }, index) => [Number(dataset.id), index]));
      jobs.sort((a, b) => (places.get(a.id) ?? SHOWN_MOST) - (places.get(b.id) ?? SHOWN_MOST));
    }
    const shown = jobs.slice(0, SHOWN_MOST);
    for (const { id } of jobs.slice(SHOWN_MOST)) this.#jobs.delete(id); // They are told of again if they change.
    const focused = document.activeElement;
    const ids = new Set(shown.map(({ id }) => id));
    for (const [id, item] of this.#items) {
      if (ids.has(id)) continue;
      item.row.remove();
      this.#items.delete(id);
    }
    let place = list.firstElementChild;
    for (const job of shown) {
      const { row } = this.#item(job);
      if (row === place) place = place.nextElementSibling;
      else list.insertBefore(row, place);
    }
    if (focused !== document.activeElement) focused.focus({ preventScroll: true }); // What moved lost it.
    $("jobs-none").hidden = shown.length > 0;
  }

  #item(job) {
    let item = this.#items.get(job.id);
    if (!item) {
      const row = $("job").content.firstElementChild.cloneNode(true);
      const [name, stretch, bar, progress, error, button] = ["b", ".stretch", "progress", ".far", ".error", "button"].map(
        (part) => row.querySelector(part),
      );
      row.dataset.id = job.id;
      item = { row, name, stretch, bar, progress, error, button };
      this.#items.set(job.id, item);
    }
    const several = new Set(this.#rows.map(({ venue }) => venue)).size > 1;
    const name = `${several ? `${job.venue}:` : ""}${job.symbol} ${job.timeframe}`;
    item.row.dataset.state = job.state;
    set(item.name, name);
    set(item.stretch, `${this.#zone.time(job.from)} to ${this.#zone.text(job.to)}`);
    item.bar.value = job.progress;
    item.bar.ariaLabel = name;
    set(item.progress, progressOf(job, Date.now()));
    item.error.hidden = !job.error;
    set(item.error, job.error);
    item.button.hidden = !this.#orders || job.state === "succeeded";
    set(item.button, isOver(job) ? "Retry" : "Cancel");
    item.button.ariaLabel = `${item.button.textContent} ${name}`;
    return item;
  }

  async #act(target) {
    const button = target.closest("button");
    const job = this.#jobs.get(Number(target.closest("li")?.dataset.id));
    if (!button || !job) return;
    await this.#ask(button, async () => this.#take(await (isOver(job) ? retry : cancel)(job)));
  }

  async #order() {
    const [name, timeframe, since] = ["symbol", "timeframe", "since"].map((field) => $(`order-${field}`).value);
    await this.#ask($("order-go"), async () => this.#note(answerOf(await orderFill(name, timeframe, Date.parse(since)))));
  }

  /** Do what a button is for, once at a time, and say why not. */
  async #ask(button, work) {
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true"; // It keeps the focus.
    try {
      await work();
    } catch (error) {
      this.#refused(error);
    } finally {
      button.ariaDisabled = "false";
    }
  }

  #refused(error) {
    if (error instanceof Refused) this.#note(`${error.message}${error.hint ? ` (${error.hint})` : ""}`);
    else this.#note("The service does not answer.");
  }

  #note(text) {
    set($("jobs-note"), text);
  }

  /** The timeframes of the symbol that is asked for. */
  #offer(chosen = $("order-timeframe").value) {
    const rows = this.#rows.filter((row) => nameOf(row) === $("order-symbol").value);
    const names = [...new Set((rows.length ? rows : this.#rows).map(({ timeframe }) => timeframe))];
    $("order-timeframe").replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
  }
}

function dateOf(ms) {
  return new Date(ms).toISOString().slice(0, 10);
}
