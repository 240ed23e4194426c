// Which averages somebody wants to see, and what is said of them.

import { Averages, SLOW, WARM_UP, settledRun } from "./indicators.js";
import { keep, recall } from "./keep.js";
import { averagesInWords } from "./words.js";

export class Overlays {
  #boxes;
  #note;
  #items;
  #averages = new Averages();

  /** `boxes`: the checkboxes `averages` and `macd`. `onChange` is called once one of them was used. */
  constructor(boxes, note, legend, onChange) {
    this.#boxes = boxes;
    this.#note = note;
    this.#items = legend.querySelectorAll(".overlay");
    for (const [name, box] of Object.entries(boxes)) {
      box.checked = recall(name) === "on";
      box.addEventListener("change", () => {
        keep(name, box.checked ? "on" : "");
        onChange();
      });
    }
  }

  get wanted() {
    return { averages: this.#boxes.averages.checked, macd: this.#boxes.macd.checked };
  }

  /** Say why one is not drawn, where there are too few candles. */
  show(list, loaded) {
    const { averages, macd } = this.wanted;
    for (const item of this.#items) item.hidden = !averages && !macd;
    const there = averages || macd ? settledRun(list).length : 0;
    const [name, needed] = macd ? ["MACD 12/26/9", WARM_UP] : ["EMA 26", SLOW];
    const few = (averages || macd) && loaded && there < needed;
    const text = few ? `${name} needs ${needed} settled candles without a gap; there are ${there}.` : "";
    if (this.#note.textContent !== text) this.#note.textContent = text;
  }

  /** Those of these buckets, as `indicators` has them; null if nobody wants any. */
  of(list) {
    const { averages, macd } = this.wanted;
    return averages || macd ? this.#averages.of(list) : null;
  }

  /** What they are at a bucket, to be told after it. */
  words(list, bucket, digits) {
    const { averages, macd } = this.wanted;
    const found = this.of(list)?.get(bucket.time);
    return found ? averagesInWords(found, digits, { averages, macd }) : "";
  }
}
