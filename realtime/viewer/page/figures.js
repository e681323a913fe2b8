// What all plotly figures of the page share: paper, axes, colour bars; and how one is shown.

import { byClock, formatTime, startOf } from "./clock.js";
import { colours } from "./colours.js";

// The boxes of the layout in which the graphs have their places.
const BOXES = { overview: "overview-box", density: "density-box", spectrogram: "spectrum-body" };
const LETTERS = 0.8; // of the page's
const APART = 10; // letters, at least, between labels of time
const STEPS = [
  ...[0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30], // seconds
  ...[60, 120, 300, 600, 900, 1800], // minutes
  ...[3600, 7200, 10800, 14400, 21600, 43200, 86400], // hours
];
const STILL = { staticPlot: true, displayModeBar: false };
const HOVERED = { displayModeBar: false, scrollZoom: false, doubleClick: false };

/** Viridis: as light as it is much, for all eyes, and on paper. */
export const COLOURS = [
  [0, "#440154"],
  [0.125, "#482878"],
  [0.25, "#3e4989"],
  [0.375, "#31688e"],
  [0.5, "#26828e"],
  [0.625, "#1f9e89"],
  [0.75, "#6ece58"],
  [0.875, "#b5de2b"],
  [1, "#fde725"],
];

const placed = new Set();

/**
 * Draw a figure in its box; `still` ones take no part in what the pointer does.
 *
 * Its graph is put there now, if it is not there yet: plotly.js takes a second or more to begin,
 * and nothing of that may stand before the first page. Dash redraws the one graph whose property
 * changed, and nothing else.
 */
export function show(id, figure, still = false) {
  const props = { figure, config: still ? STILL : HOVERED };
  if (placed.has(id)) {
    window.dash_clientside.set_props(id, props);
    return;
  }
  placed.add(id);
  const style = { height: "100%" };
  const graph = {
    namespace: "dash_core_components",
    type: "Graph",
    props: { id, responsive: true, style, ...props },
  };
  window.dash_clientside.set_props(BOXES[id], { children: graph });
}

/** Take away what a figure shows, at once: it must not stand under another one's name. */
export function blank(id, state) {
  if (!placed.has(id)) return;
  const none = { visible: false };
  show(id, { data: [], layout: { ...paper(state, {}), xaxis: none, yaxis: none } }, true);
}

/**
 * Return lengths in CSS pixels: of letters, of the margins beside a plotting area, and of the one
 * below it for labels of time. All figures have the same, so that they line up.
 */
export function sizes() {
  const page = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const letters = Math.max(10, Math.round(LETTERS * page));
  return {
    letters,
    left: 5 * letters,
    right: 6 * letters,
    axis: Math.round(1.8 * letters),
  };
}

/** Return the width of the plotting area of a figure that fills a box. */
export function plotWidth(box) {
  const { left, right } = sizes();
  return Math.max(1, box.clientWidth - left - right);
}

/** Return the layout that all figures begin with: see-through, without moves of its own. */
export function paper(state, margin) {
  const ink = colours(state);
  const { letters, left, right } = sizes();
  return {
    autosize: true,
    margin: { l: left, r: right, t: 4, b: 4, pad: 0, autoexpand: false, ...margin },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { size: letters, color: ink.text },
    showlegend: false,
    hovermode: false,
    dragmode: false,
    uirevision: "kept",
    transition: { duration: 0 },
  };
}

/** Return an axis of the layout in the theme's colours. */
export function axis(state, members) {
  const ink = colours(state);
  return {
    color: ink.text,
    gridcolor: ink.grid,
    linecolor: ink.grid,
    zeroline: false,
    fixedrange: true,
    ticks: "outside",
    ticklen: 3,
    ticklabeloverflow: "allow",
    ...members,
  };
}

/** Return an axis of time from one second to another, labelled as all times of the page are. */
export function timeAxis(state, from, to, width, members = {}) {
  const ticks = timeTicks(state, from, to, width);
  return axis(state, {
    range: [from, to],
    tickmode: "array",
    tickvals: ticks.map((tick) => tick.at),
    ticktext: ticks.map((tick) => tick.text),
    showgrid: false,
    ...members,
  });
}

/** Return labelled times on round seconds, minutes or hours of the clock that is shown. */
export function timeTicks(state, from, to, width) {
  const most = Math.max(1, width / (APART * sizes().letters));
  const days = 86400 * Math.ceil((to - from) / 86400 / most);
  const step = STEPS.find((each) => (to - from) / each <= most) ?? days;
  const precision = step < 1 ? 1 : 0;
  const phase = byClock(state) ? startOf(state.detail).seconds % step : 0;
  const found = [];
  for (let number = Math.ceil((from + phase) / step - 1e-9); ; number += 1) {
    const at = Number((number * step - phase).toFixed(6));
    if (at > to + 1e-9) return found;
    found.push({ at, text: formatTime(state, at, precision) });
  }
}

/** Return a slim colour bar of decibels, from the least to the most, in the right margin. */
export function decibels(state, low, high) {
  return {
    tickmode: "array",
    tickvals: [low, (low + high) / 2, high],
    ticktext: [`${low}`, `${(low + high) / 2}`, `${high} dB`],
    thickness: 8,
    len: 1,
    lenmode: "fraction",
    x: 1,
    xpad: 8,
    ypad: 0,
    outlinewidth: 0,
    ticklabeloverflow: "allow",
    tickfont: { size: sizes().letters - 1, color: colours(state).text },
  };
}

/** Return a colour `#rrggbb` so thin that what lies below is seen. */
export const thinned = (colour, alpha) =>
  colour +
  Math.round(alpha * 255)
    .toString(16)
    .padStart(2, "0");

/**
 * Return the range of colours for some decibels: all but the least and the most of them, on whole
 * steps, so that pages that follow one another mostly have the same one.
 */
export function colourRange(values, step) {
  const some = [];
  const every = Math.max(1, Math.floor(values.length / 20000));
  for (let at = 0; at < values.length; at += every) {
    if (Number.isFinite(values[at])) some.push(values[at]);
  }
  if (!some.length) return [0, step];
  some.sort((one, other) => one - other);
  const low = Math.floor(some[Math.floor(some.length * 0.02)] / step) * step;
  const high = Math.ceil(some[Math.floor((some.length - 1) * 0.995)] / step) * step;
  return [low, Math.max(high, low + step)];
}

/** Return text as plotly shows it: what looks like markup is to be read, not to be obeyed. */
export function plain(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
