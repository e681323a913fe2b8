// What lies under the traces: the time grid, and the stretches in which nothing was recorded.

import { colours } from "./colours.js";
import { shownCurves } from "./curves.js";

const STEPS = [0.2, 1, 5, 10, 30, 60, 300, 600, 1800, 3600];
const APART = 8; // px, at least, between lines of the grid
const LABELS_APART = 70; // px for each label, at least
const HATCH = 9;

/** Return the finest step of time whose lines are so far apart, in seconds. */
export function stepFor(frame, apart) {
  const perSecond = (frame.right - frame.left) / frame.window;
  return STEPS.find((step) => step * perSecond >= apart) ?? STEPS.at(-1);
}

export const labelStep = (frame) => Math.max(1, stepFor(frame, LABELS_APART));

/** Return the multiples of a step that lie on the page. */
export function* ticks(frame, step) {
  const last = frame.start + frame.window + 1e-9;
  for (let at = Math.ceil(frame.start / step - 1e-9); at * step <= last; at += 1) {
    // In whole steps of 0.2 s, 3 * 0.2 would be 0.6000000000000001.
    yield Number((at * step).toFixed(6));
  }
}

export function paintGrid(pen, state) {
  const { frame } = state;
  const ink = colours(state);
  const fine = stepFor(frame, APART);
  const coarse = Math.max(1, stepFor(frame, APART));
  pen.lineWidth = 1;
  if (fine < 1) lines(pen, frame, fine, ink.gridFaint);
  lines(pen, frame, coarse, ink.grid);
  if (frame.window >= 30 && coarse < 10) lines(pen, frame, 10, ink.grid);
}

function lines(pen, frame, step, colour) {
  pen.strokeStyle = colour;
  pen.beginPath();
  for (const seconds of ticks(frame, step)) {
    const x = Math.round(frame.xAt(seconds)) + 0.5;
    pen.moveTo(x, frame.top);
    pen.lineTo(x, frame.bottom);
  }
  pen.stroke();
}

/**
 * Return the stretches of a page in which none of the channels shown was recorded: `[from, to]`.
 *
 * What is not recorded yet, or lies after the recording's end, is none of them.
 */
export function holes(state) {
  const { pages } = state;
  if (!pages) return [];
  const shown = new Set(shownCurves(state).map((curve) => curve.key));
  const held = pages.groups
    .filter((group) => group.channels.some((channel) => shown.has(channel.key)))
    .flatMap((group) => group.extents)
    .sort((one, other) => one[0] - other[0]);
  const found = [];
  const last = Math.min(pages.start + pages.window, pages.end);
  let at = pages.start;
  for (const [from, to] of held) {
    if (from - at > 1e-6) found.push([at, Math.min(from, last)]);
    at = Math.max(at, to);
  }
  if (last - at > 1e-6) found.push([at, last]);
  return found;
}

export function paintHoles(pen, state) {
  const { frame } = state;
  const ink = colours(state);
  for (const [from, to] of holes(state)) {
    const x = frame.xAt(from);
    const width = frame.xAt(to) - x;
    if (width < 0.5) continue;
    pen.save();
    pen.beginPath();
    pen.rect(x, frame.top, width, frame.bottom - frame.top);
    pen.clip();
    pen.fillStyle = ink.gap;
    pen.fillRect(x, frame.top, width, frame.bottom - frame.top);
    pen.strokeStyle = ink.grid;
    pen.lineWidth = 1;
    pen.beginPath();
    const height = frame.bottom - frame.top;
    for (let start = x - height; start < x + width; start += HATCH) {
      pen.moveTo(start, frame.bottom);
      pen.lineTo(start + height, frame.top);
    }
    pen.stroke();
    pen.restore();
  }
}
