// Which lines of many are drawn: those that are seen, and some beyond. All else is as high as it was, or as its like are.

export class Heights {
  #known = new Map(); // px by key
  #usual;
  #ofKind = new Map(); // px, of the first that was measured: what is not seen does not move with each that is
  #tops = [0]; // px; one more than there are lines

  /** `usual`: px by kind, until one is measured. */
  constructor(usual) {
    this.#usual = usual;
  }

  /** These lines, `{key, kind}`, are below one another. */
  place(items) {
    this.#tops = [0];
    let top = 0;
    for (const { key, kind } of items) {
      top += this.#heightOf(key, kind);
      this.#tops.push(top);
    }
  }

  /** A line was measured: whether it is as high as was thought. */
  learn(key, kind, height) {
    const same = this.#heightOf(key, kind) === height;
    this.#known.set(key, height);
    if (!this.#ofKind.has(kind)) this.#ofKind.set(kind, height);
    return same;
  }

  /** The width has changed, and with it what fits into a line. */
  forget() {
    this.#known.clear();
    this.#ofKind.clear();
  }

  /** From which line to before which one something is between these heights; one at least, if there is any. */
  between(from, to) {
    const count = this.#tops.length - 1;
    const first = Math.min(this.#lineAt(from), Math.max(0, count - 1));
    return [first, Math.min(count, Math.max(first, this.#lineAt(to)) + 1)];
  }

  /** How high the lines from one to before another are, together. */
  sum(first, end) {
    return this.#tops[end] - this.#tops[first];
  }

  #heightOf(key, kind) {
    return this.#known.get(key) ?? this.#ofKind.get(kind) ?? this.#usual[kind];
  }

  /** The last line that begins at that height or above it. */
  #lineAt(height) {
    let [low, high] = [0, this.#tops.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#tops[middle] <= height) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
