// Times for people: in UTC, or by the clock of whoever looks.

export class Zone {
  constructor(local) {
    this.local = local;
  }

  /** `2026-02-20 12:05`, of Unix ms. */
  time(ms) {
    return new Date(ms + this.#ahead(ms) * 60_000).toISOString().slice(0, 16).replace("T", " ");
  }

  /** `UTC`, or `UTC+5:30`: as it was then, for in summer it may be another. */
  name(ms) {
    const ahead = this.#ahead(ms);
    if (!ahead) return "UTC";
    const [hours, minutes] = [Math.floor(Math.abs(ahead) / 60), Math.abs(ahead) % 60];
    return `UTC${ahead < 0 ? "\u2212" : "+"}${hours}${minutes ? `:${String(minutes).padStart(2, "0")}` : ""}`;
  }

  /** Both: `2026-02-20 12:05 UTC`. */
  text(ms) {
    return `${this.time(ms)} ${this.name(ms)}`;
  }

  /** Below a mark of the time axis, of Unix ms: `14:00`, or with the day where one begins, be it here or by UTC. */
  mark(ms, isTime) {
    const [date, time] = this.time(ms).split(" ");
    const [, month, day] = date.split("-").map(Number);
    const name = `${day} ${MONTHS[month - 1]}`;
    if (time === "00:00") return name;
    return isTime ? time : `${name} ${time}`;
  }

  /** Minutes. */
  #ahead(ms) {
    return this.local ? -new Date(ms).getTimezoneOffset() : 0;
  }
}

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
