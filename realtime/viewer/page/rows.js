// Where everything lies on the drawing: the geometry of one page, in CSS pixels.

import { shownCurves } from "./curves.js";

export { shownCurves, typeOf } from "./curves.js";

const TOP = 22; // above the rows, for the flags of marks
const AXIS = 1.8; // heights of a letter, below the rows, for the times
const RIGHT = 8;
const GUTTER = { least: 5, most: 12, beside: 1.8 }; // in heights of a letter
const SMALLER = 0.9; // notes than labels
const NEAR = 0.75; // of a step: samples of a drifting clock lie up to one and a half apart
const FILL = 0.8; // of its row, for a channel that is scaled to fit

/**
 * Return the frame of a page.
 *
 * `size` is that of the drawing and of its letters (`width`, `height`, `letters`), `measure(text)`
 * gives the width of a label; `state.pages`, if there, tells which stretch is
 * drawn and how large the channels are that have no microvolts.
 */
export function layout(state, size, measure) {
  const curves = shownCurves(state);
  const bottom = Math.max(TOP + 1, size.height - Math.round(AXIS * size.letters));
  const { start, window } = state.pages ?? state;
  const height = (bottom - TOP) / Math.max(1, curves.length);
  const mainRate = curves.find((curve) => curve.kind === "eeg")?.rate_hz ?? curves[0]?.rate_hz;
  const rows = curves.map((curve, place) =>
    rowOf(state, curve, TOP + (place + 0.5) * height, height, mainRate),
  );
  const left = gutter(rows, size, measure);
  const right = Math.max(left + 1, size.width - RIGHT);
  const perSecond = (right - left) / window;
  return {
    width: size.width,
    height: size.height,
    letters: size.letters,
    left,
    top: TOP,
    right,
    bottom,
    start,
    window,
    rows,
    xAt: (seconds) => left + (seconds - start) * perSecond,
    timeAt: (x) => start + (x - left) / perSecond,
    rowAt(y) {
      if (!rows.length || y < TOP || y >= bottom) return null;
      return rows[Math.min(rows.length - 1, Math.floor((y - TOP) / height))];
    },
    yAt: (row, value) => row.middle + (row.sign * (value - row.offset)) / row.uvPerPx,
    valueAt: (row, y) => row.offset + row.sign * (y - row.middle) * row.uvPerPx,
  };
}

/** Return the sample of a channel that is nearest to a time: `{time, value}`; null in a gap. */
export function sampleAt(pages, key, seconds) {
  const found = channelOf(pages, key);
  if (!found) return null;
  const { group, values } = found;
  let nearest = NEAR * group.step;
  let number = -1;
  let time = 0;
  for (const { first, stop, start } of group.pieces) {
    const place = Math.round((seconds - start) / group.step);
    const at = Math.max(0, Math.min(stop - first - 1, place));
    const away = Math.abs(seconds - start - at * group.step);
    if (away > nearest) continue;
    nearest = away;
    number = first + at;
    time = start + at * group.step;
  }
  const value = values[number];
  return number < 0 || Number.isNaN(value) ? null : { time, value };
}

/** Return the time of each point of a rate group; in gaps, that of its place on the grid. */
export function timesOf({ start, step, centre, shape, pieces }) {
  const times = new Float64Array(shape[1]);
  for (let at = 0; at < times.length; at += 1) times[at] = start + (at + centre) * step;
  for (const { first, stop, start: from } of pieces) {
    for (let at = first; at < stop; at += 1) times[at] = from + (at - first) * step;
  }
  return times;
}

/** Return a channel of a page: `{group, values}`, or null where the page does not hold it. */
export function channelOf(pages, key) {
  for (const group of pages?.groups ?? []) {
    const number = group.places.get(key);
    if (number !== undefined) return { group, values: group.values[number] };
  }
  return null;
}

/**
 * Return what is drawn now as numbers: `{start, window, rows: [{key, values, times, rate_hz,
 * start}]}`, without the samples beside the page, to which its lines lead.
 */
export function drawn({ pages, frame }) {
  if (!pages || !frame) return null;
  const seen = new Map(pages.groups.map((group) => [group, inside(group, pages)]));
  const rows = frame.rows.flatMap(({ key }) => {
    const found = channelOf(pages, key);
    if (!found) return [];
    const { group, values } = found;
    const { first, stop, times } = seen.get(group);
    const start = times[0] ?? pages.start;
    const rate_hz = 1 / group.step;
    return [{ key, values: values.subarray(first, stop), times, rate_hz, start }];
  });
  return { start: pages.start, window: pages.window, rows };
}

/** Return which points of a group lie on a page: `[first, stop)` with their `times`. */
function inside(group, { start, window }) {
  const times = timesOf(group);
  const least = start - 1e-6 * group.step;
  const most = start + window - 1e-6 * group.step;
  const on = (time) => time >= least && time < most;
  const first = Math.max(0, times.findIndex(on));
  const stop = times.findLastIndex(on) + 1;
  return { first, stop, times: times.subarray(first, stop) };
}

/** Return by how much a channel is drawn higher than the others. */
export const gainOf = ({ gains }, key) => (Object.hasOwn(gains, key) ? gains[key] : 1);

function rowOf(state, curve, middle, height, mainRate) {
  const gain = gainOf(state, curve.key);
  // Of a heart the rhythm is read, and its beats are far higher than any EEG.
  const auto = curve.kind !== "eeg" || curve.type === "ecg";
  const common = { ...curve, middle, height, auto, note: noteOf(curve, auto, mainRate, gain) };
  if (!auto) {
    const perRow = state.scale === "row" ? height : state.pxPerMm;
    return {
      ...common,
      sign: state.polarity === "up" ? 1 : -1,
      uvPerPx: state.sensitivity / perRow / gain,
      offset: 0,
      decimals: 1,
    };
  }
  const found = channelOf(state.pages, curve.key);
  const { low, high } = found ? spread(found.values) : { low: -1, high: 1 };
  return {
    ...common,
    sign: -1,
    uvPerPx: (high - low) / (FILL * height) / gain,
    offset: (low + high) / 2,
    decimals: Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(high - low)))),
  };
}

function noteOf(curve, auto, mainRate, gain) {
  const parts = auto ? ["auto"] : [];
  if (gain !== 1) parts.push(`× ${gain}`);
  if (curve.kind !== "eeg") parts.push(curve.unit || "no unit");
  if (curve.rate_hz !== mainRate) parts.push(`${Number(curve.rate_hz.toFixed(2))} Hz`);
  return parts.join(", ");
}

function gutter(rows, { width, letters }, measure) {
  let widest = 0;
  for (const { label, note } of rows) {
    widest = Math.max(widest, measure(label), note ? SMALLER * measure(note) : 0);
  }
  const most = Math.min(GUTTER.most * letters, width / 4);
  const wanted = Math.max(GUTTER.least * letters, widest + GUTTER.beside * letters);
  return Math.round(Math.min(most, wanted));
}

const spreads = new WeakMap();

/** Return the range that a channel keeps to, a few outliers aside; never empty. */
export function spread(values) {
  const known = spreads.get(values);
  if (known) return known;
  const step = Math.max(1, Math.floor(values.length / 2000));
  const some = [];
  for (let at = 0; at < values.length; at += step) {
    if (!Number.isNaN(values[at])) some.push(values[at]);
  }
  some.sort((one, other) => one - other);
  let low = some[Math.floor(some.length * 0.01)] ?? -1;
  let high = some[Math.min(some.length - 1, Math.floor(some.length * 0.99))] ?? 1;
  const least = Math.max(Math.abs(low), Math.abs(high)) * 1e-3 || 1;
  if (high - low < least) [low, high] = [low - least / 2, high + least / 2];
  const found = { low, high };
  spreads.set(values, found);
  return found;
}
