// One trace as a path: lines between samples, or the extremes of each column of pixels.

const FAR = 2e4; // px: beyond it a line goes the same way, and pens do not overflow

/**
 * Add the samples `[first, stop)` to the path that is open in a pen.
 *
 * The first of them lies at `x`, each next one `dx` further; a value v is drawn at
 * `y + v * scale`. `column` is the width of a pixel of the screen. Where more than two samples
 * share a column, its lowest and its highest are joined, so that a spike of one sample is as tall
 * as it was; NaN breaks the line, and a sample that stands alone becomes a dot. A line of some
 * `length` that was begun before goes on here; returned is the length of the last one.
 */
export function trace(pen, values, first, stop, x, dx, y, scale, column, length = 0) {
  const way = column / dx > 2 ? columns : lines;
  return way(pen, values, first, stop, x, dx, y, scale, column, length);
}

// A line of one sample that has its dot counts as one of two, so that it gets no other.
const DOTTED = 2;

function lines(pen, values, first, stop, x, dx, y, scale, column, before) {
  let length = before; // of the present line, in samples
  let lastX = 0;
  let lastY = 0;
  for (let at = first; at < stop; at += 1) {
    const value = values[at];
    if (value !== value) {
      if (length === 1) dot(pen, lastX, lastY, column);
      length = 0;
      continue;
    }
    lastX = x + (at - first) * dx;
    lastY = bounded(y + value * scale);
    if (length === 0) pen.moveTo(lastX, lastY);
    else pen.lineTo(lastX, lastY);
    length += 1;
  }
  if (length !== 1) return length;
  dot(pen, lastX, lastY, column);
  return DOTTED;
}

function columns(pen, values, first, stop, x, dx, y, scale, column, before) {
  const perColumn = column / dx;
  // Column n holds the samples whose x lies within [n, n + 1) columns.
  let number = Math.floor(x / column);
  let at = first;
  let length = before; // of the present line, in columns
  let lastX = 0;
  let lastY = 0;
  while (at < stop) {
    const edge = Math.min(stop, Math.max(at, first + Math.ceil((number + 1) * perColumn - x / dx)));
    const middle = (number + 0.5) * column;
    number += 1;
    let low = Infinity;
    let high = -Infinity;
    let lowest = 0;
    let highest = 0;
    for (; at < edge; at += 1) {
      const value = values[at];
      if (value < low) {
        low = value;
        lowest = at;
      }
      if (value > high) {
        high = value;
        highest = at;
      }
      if (value !== value && low <= high) {
        // What came before the gap is drawn by itself.
        length = extremes(pen, middle, low, high, lowest, highest, y, scale, column, length);
        if (length === 1 && low === high) dot(pen, middle, bounded(y + low * scale), column);
        low = Infinity;
        high = -Infinity;
        length = 0;
      } else if (value !== value) {
        if (length === 1) dot(pen, lastX, lastY, column);
        length = 0;
      }
    }
    if (low <= high) {
      length = extremes(pen, middle, low, high, lowest, highest, y, scale, column, length);
      lastX = middle;
      lastY = bounded(y + (lowest < highest ? high : low) * scale);
    }
  }
  if (length !== 1) return length;
  dot(pen, lastX, lastY, column);
  return DOTTED;
}

/** Go through the extremes of a column in the order of time; return the length of the line. */
function extremes(pen, middle, low, high, lowest, highest, y, scale, column, length) {
  const one = bounded(y + (lowest < highest ? low : high) * scale);
  const other = bounded(y + (lowest < highest ? high : low) * scale);
  if (pen.column) pen.column(middle, one, other, length > 0);
  else if (length === 0) pen.moveTo(middle, one);
  else pen.lineTo(middle, one);
  if (one !== other && !pen.column) pen.lineTo(middle, other);
  return length + 1;
}

function dot(pen, x, y, column) {
  pen.moveTo(x - column, y);
  pen.lineTo(x + column, y);
}

function bounded(y) {
  return y > FAR ? FAR : y < -FAR ? -FAR : y;
}
