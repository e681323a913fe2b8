// What has to be asked of the records API for one page: never more than is shown.

import { shownCurves } from "./curves.js";

const COLUMN_STEP = 256; // widths are rounded up to it, so that a resized window asks anew rarely
const POINTS_PER_COLUMN = 4;
const BESIDE = 1.5; // periods on either side of a page: a line leads to the sample beyond its edge

/**
 * Return the members of the requests for a page: one for each rate, montage and way of filtering.
 *
 * `size` is that of the drawing; of a page that holds far more samples than pixels, the extremes
 * of each column are asked for. `aside` is how many seconds samples may lie beside their places on
 * the grid, by which the server chooses them.
 */
export function asksOf(state, start, size, aside = 0) {
  const shown = new Set(shownCurves(state).map((curve) => curve.key));
  const asks = new Map();
  for (const curve of state.curves) {
    const filters = filtersFor(state, curve);
    const name = JSON.stringify([curve.group, curve.asked, filters]);
    if (!asks.has(name)) asks.set(name, { curve, filters, keys: [], alike: 0 });
    const ask = asks.get(name);
    ask.alike += 1;
    if (shown.has(curve.key)) ask.keys.push(curve.key);
  }
  return [...asks.values()]
    .filter((ask) => ask.keys.length)
    .map(({ curve, filters, keys, alike }) => ({
      ...stretchOf(state, curve, start, size, aside),
      group: curve.group,
      ...curve.asked,
      ...filters,
      channels: keys.length === alike && alike === total(state, curve) ? null : keys,
    }));
}

/** Return how many channels an answer holds if none are named. */
function total(state, { derived, group }) {
  if (derived) return state.curves.filter((curve) => curve.derived).length;
  const { channels } = state.detail.groups.find((each) => each.group === group);
  return channels.filter((channel) => !channel.dummy).length;
}

/** Return the filters that fit a channel; none do where it is no voltage, or too slow for them. */
export function filtersFor(state, curve) {
  const fitting = (corner) =>
    curve.kind === "eeg" && corner !== null && corner < curve.rate_hz / 2 ? corner : null;
  return { hp: fitting(state.hp), lp: fitting(state.lp), notch: fitting(state.notch) };
}

function stretchOf({ window }, { rate_hz: rate }, start, { width, ratio }, aside) {
  const columns = Math.max(1, Math.ceil((width * ratio) / COLUMN_STEP)) * COLUMN_STEP;
  const most = POINTS_PER_COLUMN * columns;
  const around = (seconds) => ({
    start: Math.max(0, start - seconds),
    end: start + window + seconds,
  });
  if (window * rate <= most) return around(aside + BESIDE / rate);
  const points = 2 * Math.ceil((most * (1 + (2 * aside) / window)) / 2);
  return { ...around(aside), max_points: points, agg: "minmax" };
}

/** How long a filter goes on changing the end of a page once more is recorded, in seconds. */
export function settling({ hp, lp, notch }) {
  // By then its slowest part has decayed to 1e-9, which is as far as the server looks.
  return Math.max(hp === null ? 0 : 5 / hp, lp === null ? 0 : 1, notch === null ? 0 : 250 / notch);
}
