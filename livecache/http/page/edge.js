// In the chart: where what is settled ends, as a dashed line between two buckets.

export class Edge {
  #chart = null;
  #redraw = () => {};
  #index = 0;
  #colour = "";

  attached({ chart, requestUpdate }) {
    this.#chart = chart;
    this.#redraw = requestUpdate;
  }

  /** Before the bucket of that index; 0: nowhere, for nothing is settled. */
  show(index, colour) {
    if (index === this.#index && colour === this.#colour) return;
    this.#index = index;
    this.#colour = colour;
    this.#redraw();
  }

  paneViews() {
    return [{ zOrder: () => "bottom", renderer: () => ({ draw: (target) => this.#draw(target) }) }];
  }

  #draw(target) {
    const scale = this.#chart.timeScale();
    const [before, after] = [this.#index - 1, this.#index].map((index) => scale.logicalToCoordinate(index));
    if (!this.#index || before === null || after === null) return;
    const at = (before + after) / 2;
    target.useBitmapCoordinateSpace(({ context, bitmapSize, horizontalPixelRatio, verticalPixelRatio }) => {
      const x = Math.round(at * horizontalPixelRatio) + 0.5;
      context.strokeStyle = this.#colour;
      context.lineWidth = Math.max(1, Math.floor(horizontalPixelRatio));
      context.setLineDash([4 * verticalPixelRatio, 4 * verticalPixelRatio]);
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, bitmapSize.height);
      context.stroke();
    });
  }
}
