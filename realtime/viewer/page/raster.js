// A pen that draws lines straight into pixels, where there is more than a canvas can take quickly.

const OPAQUE = 255 << 24;

/**
 * A pen for lines one or two pixels wide that run from left to right, smoothed along the vertical,
 * which is the way in which traces are steep.
 */
export class RasterPen {
  #image = null;
  #pixels = new Int32Array(0);
  #width = 0;
  #height = 0;
  #left = 0;
  #top = 0;
  #ratio = 1;
  #weight = 1;
  #ink = 0; // as 0x00bbggrr
  #x = 0;
  #y = 0;
  #upper = 0; // of what was drawn last
  #lower = 0;

  /** Begin an image of so many pixels, whose corner on the canvas is at the pixel `left`, `top`. */
  begin(width, height, left, top, ratio, weight) {
    if (width !== this.#width || height !== this.#height) {
      this.#width = width;
      this.#height = height;
      this.#image = new ImageData(width, height);
      this.#pixels = new Int32Array(this.#image.data.buffer);
    } else {
      this.#pixels.fill(0);
    }
    this.#left = left;
    this.#top = top;
    this.#ratio = ratio;
    this.#weight = weight;
  }

  /** Draw in a colour such as "#0b57b0" from here on. */
  colour(text) {
    const value = parseInt(text.slice(1), 16);
    this.#ink = ((value & 0xff) << 16) | (value & 0xff00) | (value >>> 16);
  }

  moveTo(x, y) {
    this.#x = x * this.#ratio - this.#left;
    this.#y = y * this.#ratio - this.#top;
  }

  lineTo(x, y) {
    const fromX = this.#x;
    const fromY = this.#y;
    const toX = x * this.#ratio - this.#left;
    const toY = y * this.#ratio - this.#top;
    const last = Math.floor(toX);
    let column = Math.floor(fromX);
    let height = fromY;
    if (column < last) {
      const slope = (toY - fromY) / (toX - fromX);
      if (column < -1) {
        column = -1;
        height = fromY - (fromX + 1) * slope;
      }
      for (const end = Math.min(last, this.#width); column < end; column += 1) {
        const next = fromY + (column + 1 - fromX) * slope;
        this.#span(column, height, next);
        height = next;
      }
    }
    this.#span(column, height, toY);
    this.#x = toX;
    this.#y = toY;
  }

  /**
   * Draw a column from one height to another; `joined` means that the line comes from the column
   * before.
   */
  column(x, from, to, joined) {
    const upper = (from < to ? from : to) * this.#ratio - this.#top;
    const lower = (from < to ? to : from) * this.#ratio - this.#top;
    const start = joined && upper > this.#lower ? this.#lower : upper;
    const end = joined && lower < this.#upper ? this.#upper : lower;
    this.#upper = upper;
    this.#lower = lower;
    this.#span(Math.floor(x * this.#ratio) - this.#left, start, end);
  }

  #span(column, from, to) {
    this.#fill(column, from, to);
    if (this.#weight > 1) this.#fill(column + 1, from, to);
  }

  /** Fill a column between two heights, and half a line's width more at either end. */
  #fill(column, from, to) {
    const width = this.#width;
    const height = this.#height;
    if (column < 0 || column >= width) return;
    const upper = (from < to ? from : to) - this.#weight / 2;
    const lower = (from < to ? to : from) + this.#weight / 2;
    if (lower < 0 || upper >= height) return;
    const pixels = this.#pixels;
    const ink = this.#ink;
    const first = Math.floor(upper);
    const last = Math.floor(lower);
    if (first >= 0) {
      // A part of a pixel, unless more of it is covered already.
      const alpha = ((1 - (upper - first)) * 255) | 0;
      const at = first * width + column;
      if (pixels[at] >>> 24 < alpha) pixels[at] = ink | (alpha << 24);
    }
    if (last < height) {
      const alpha = ((lower - last) * 255) | 0;
      const at = last * width + column;
      if (pixels[at] >>> 24 < alpha) pixels[at] = ink | (alpha << 24);
    }
    const solid = ink | OPAQUE;
    const end = (last < height ? last : height) * width;
    for (let at = (first < 0 ? 0 : first + 1) * width + column; at < end; at += width) {
      pixels[at] = solid;
    }
  }

  put(canvasPen) {
    canvasPen.putImageData(this.#image, this.#left, this.#top);
  }

  /** Give the memory back. */
  release() {
    this.#image = null;
    this.#pixels = new Int32Array(0);
    this.#width = this.#height = 0;
  }
}
