// What the list of channels changes: who is shown, in which order, how high. Pure functions.

import { shownCurves } from "./curves.js";
import { channelOf, gainOf } from "./rows.js";
import { GAINS } from "./view.js";

export const LARGER = 1.25;
export const SMALLER = 0.8;
const FILL = 0.9; // of the row, for the 99th percentile of a page
const SOME = 4000; // values that a percentile is taken of

/** Return all channels in the order of the rows, those that are not shown among them. */
export const ordered = (state) => shownCurves({ ...state, hidden: [] });

/** Return the view with some channels shown or not. */
export function showing(state, keys, yes) {
  const hidden = new Set(state.hidden);
  for (const key of keys) {
    if (yes) hidden.delete(key);
    else hidden.add(key);
  }
  return { hidden: Object.freeze([...hidden]) };
}

/** Return the view with a channel moved to where another one is: before it, or after it. */
export function moved(state, key, target, after) {
  const keys = ordered(state).map((curve) => curve.key);
  if (key === target || !keys.includes(key) || !keys.includes(target)) return {};
  const others = keys.filter((each) => each !== key);
  others.splice(others.indexOf(target) + (after ? 1 : 0), 0, key);
  return { order: Object.freeze(others) };
}

/** Return the view with a channel one place further up or down, among those that are listed. */
export function stepped(state, key, step, listed) {
  const at = listed.indexOf(key);
  const target = listed[at + step];
  return target === undefined ? {} : moved(state, key, target, step > 0);
}

/** Return the view with other gains, by key; 1 is what every channel has of itself. */
export function scaled(state, gains) {
  const all = new Map(Object.entries(state.gains));
  const [least, most] = GAINS;
  for (const [key, gain] of gains) {
    const kept = Number(Math.min(most, Math.max(least, gain)).toPrecision(3));
    if (kept === 1) all.delete(key);
    else all.set(key, kept);
  }
  return { gains: Object.freeze(Object.fromEntries(all)) };
}

/** Return the gains, by key, with which the page's samples fit their rows, of those drawn. */
export function fitting(state, keys) {
  const gains = new Map();
  for (const row of state.frame?.rows ?? []) {
    if (!keys.includes(row.key)) continue;
    const now = gainOf(state, row.key);
    const found = channelOf(state.pages, row.key);
    const largest = found ? percentile(found.values, row.offset) : 0;
    if (row.auto) gains.set(row.key, 1);
    else if (largest > 0) {
      gains.set(row.key, (now * ((FILL * row.height) / 2) * row.uvPerPx) / largest);
    }
  }
  return gains;
}

function percentile(values, offset) {
  const step = Math.max(1, Math.floor(values.length / SOME));
  const sizes = [];
  for (let at = 0; at < values.length; at += step) {
    if (!Number.isNaN(values[at])) sizes.push(Math.abs(values[at] - offset));
  }
  sizes.sort((one, other) => one - other);
  return sizes[Math.floor((sizes.length - 1) * 0.99)] ?? 0;
}
