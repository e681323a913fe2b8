// How large a recording is over its whole length: from the extremes of its channels to two curves.

import { typeOf } from "./curves.js";

/**
 * Return the channels whose envelope is shown: `{group, unit, keys}`, or null.
 *
 * They are the EEG, of the rate group that has most of it; in a recording without any, whatever
 * the largest group holds in one unit.
 */
export function envelopeChannels(detail) {
  const isEeg = (channel) => typeOf(channel) === "eeg";
  return most(detail, isEeg) ?? most(detail, () => true);
}

function most(detail, fits) {
  let best = null;
  for (const group of detail?.groups ?? []) {
    const found = group.channels.filter((channel) => !channel.dummy && fits(channel));
    const alike = found.filter((channel) => channel.unit === found[0].unit);
    if (alike.length > (best?.keys.length ?? 0)) {
      const keys = alike.map((channel) => channel.key);
      best = { group: group.group, unit: alike[0].unit, keys };
    }
  }
  return best;
}

/**
 * Return the height of each bin, from its lowest to its highest value: the median over the
 * channels, and the largest; NaN where no channel was recorded.
 */
export function envelopeOf({ low, high, num_bins: bins, start, bin_sec: binSec }) {
  const median = new Float32Array(bins).fill(NaN);
  const largest = new Float32Array(bins).fill(NaN);
  const heights = new Float32Array(low.length);
  for (let bin = 0; bin < bins; bin += 1) {
    let held = 0;
    for (let channel = 0; channel < low.length; channel += 1) {
      const from = low[channel][bin];
      if (from === null) continue;
      heights[held] = high[channel][bin] - from;
      held += 1;
    }
    if (!held) continue;
    const sorted = heights.subarray(0, held).sort();
    median[bin] = (sorted[(held - 1) >> 1] + sorted[held >> 1]) / 2;
    largest[bin] = sorted[held - 1];
  }
  return { start, binSec, median, largest };
}

/**
 * Return the outline of bins as closed polygons above a floor, one for each stretch without a gap.
 *
 * A bin is as wide as it lasts, so that even one that stands alone is seen; what is below the
 * floor lies on it.
 */
export function outline({ start, binSec }, values, floor) {
  const x = [];
  const y = [];
  for (let bin = 0; bin < values.length; bin += 1) {
    if (Number.isNaN(values[bin])) continue;
    if (bin === 0 || Number.isNaN(values[bin - 1])) {
      if (x.length) {
        x.push(NaN);
        y.push(NaN);
      }
      x.push(start + bin * binSec);
      y.push(floor);
    }
    const value = Math.max(floor, values[bin]);
    x.push(start + bin * binSec, start + (bin + 1) * binSec);
    y.push(value, value);
    if (bin + 1 === values.length || Number.isNaN(values[bin + 1])) {
      x.push(start + (bin + 1) * binSec);
      y.push(floor);
    }
  }
  return { x: Float64Array.from(x), y: Float64Array.from(y) };
}

/**
 * Return the ends of a logarithmic axis that shows both curves, and where it is labelled, in so
 * many places at most.
 */
export function logAxis({ median, largest }, most) {
  const usual = Array.from(median).filter((value) => value > 0);
  usual.sort((one, other) => one - other);
  const top = largest.reduce((most, value) => (value > most ? value : most), 0);
  const high = (top || 1) * 1.15;
  const low = Math.min((usual[Math.floor(usual.length * 0.02)] ?? 0.1) / 2, high / 10);
  const choices = [[1, 2, 5], [1, 3], [1]].map((parts) => ticksOf(parts, low, high));
  return { low, high, ticks: choices.find((ticks) => ticks.length <= most) ?? choices.at(-1) };
}

function ticksOf(parts, low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    for (const part of parts) {
      const value = Number((part * 10 ** power).toPrecision(1));
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found;
}

/** Return the stretches `[from, to]` in which a group holds nothing, up to where it is known. */
export function gapsOf(detail, number, end, live) {
  const group = detail.groups.find((each) => each.group === number);
  const found = [];
  let at = 0;
  for (const [from, to] of group?.extents ?? []) {
    if (from > at + 1e-6) found.push([at, from]);
    at = to;
  }
  // A list that was cut short, or is older than the newest samples, says nothing of what follows.
  const whole = group && group.extents.length === group.gaps + (group.extents.length ? 1 : 0);
  if (whole && !live && group.extents.length && end > at + 1e-6) found.push([at, end]);
  return found;
}
