// The colour density array of the whole recording: how much of each frequency there is over time.

import * as api from "./api.js";
import { sideOf } from "./curves.js";
import { element, oneLine } from "./elements.js";
import {
  COLOURS,
  axis,
  blank,
  colourRange,
  decibels,
  paper,
  plotWidth,
  show,
  sizes,
  timeAxis,
} from "./figures.js";
import { afterFirstPage, atMostEvery, loader } from "./pace.js";
import { on } from "./store.js";
import { lastOf } from "./strip.js";
import { noteOver } from "./strip_note.js";

const LIVE_MS = 60_000; // between looks at a recording that grows: an array comes with each block
const MOST_BYTES = 4e6;
const TOP_HZ = 40;
const FEW = 300; // columns: so wide that they are seen one by one
const RANGE_DB = 5;
const LEAST_RATE_HZ = 16; // below it there is no array
const FIRST_BLOCK_S = 700; // a live recording has stored its first whole block by then
const REGIONS = { all: "All", left: "Left", right: "Right" };

/** Return the keys of a region: of a side, of all, or of the one channel that bears this key. */
export function keysOf(keys, region) {
  if (region === "all") return keys;
  if (region !== "left" && region !== "right") return keys.filter((key) => key === region);
  return keys.filter((key) => sideOf(key.replace(/#\d+$/, "")) === region);
}

/**
 * Return the decibels of a region, `rows[row][column]`: the median over its channels; NaN where
 * none of them was recorded.
 */
export function medians(answer, keys) {
  const [columns, rows, channels] = answer.shape;
  const wanted = new Set(keys);
  const places = answer.channels.flatMap((key, place) => (wanted.has(key) ? [place] : []));
  const counts = new Uint16Array(256);
  const found = Array.from({ length: rows }, () => new Float32Array(columns).fill(NaN));
  for (let column = 0; column < columns; column += 1) {
    for (let row = 0; row < rows; row += 1) {
      const at = (column * rows + row) * channels;
      const step = middle(answer.values, at, places, counts);
      if (step) found[row][column] = answer.floor_db + (step - 1) * answer.step_db;
    }
  }
  return found;
}

/** Return the median of some bytes, those that are 0 left out; 0 if all are. */
function middle(values, at, places, counts) {
  let held = 0;
  let low = 255;
  let high = 0;
  for (const place of places) {
    const value = values[at + place];
    if (!value) continue;
    held += 1;
    counts[value] += 1;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!held) return 0;
  // Counted, since sorting takes ten times as long over a night of many channels.
  let before = 0;
  let lower = 0;
  let upper = 0;
  for (let value = low; value <= high; value += 1) {
    before += counts[value];
    counts[value] = 0;
    if (!lower && before >= (held + 1) >> 1) lower = value;
    if (!upper && before >= (held >> 1) + 1) upper = value;
  }
  return (lower + upper) / 2;
}

/** Return why a recording has no array, as far as that is known without asking; or null. */
export function whyNone({ detail, live, end }) {
  const count = (group) => group.channels.filter((channel) => !channel.dummy).length;
  const largest = detail.groups.reduce(
    (best, group) => (count(group) > count(best) ? group : best),
    { channels: [] },
  );
  if (!largest.channels.length) return "No colour density array: there are no channels yet.";
  if (largest.rate_hz < LEAST_RATE_HZ) {
    return `No colour density array: it needs ${LEAST_RATE_HZ} samples per second.`;
  }
  return live && end < FIRST_BLOCK_S
    ? "The colour density array comes with the first eleven minutes."
    : null;
}

/** Return the figure of an array, or, while there is none, of its axes alone. */
export function densityFigure(state, found, width) {
  const layout = {
    ...paper(state, { t: 5, b: sizes().axis }),
    xaxis: timeAxis(state, 0, lastOf(state), width),
    yaxis: axis(state, {
      range: [0, TOP_HZ],
      tickmode: "array",
      tickvals: [0, 20, TOP_HZ],
      showgrid: false,
      title: { text: "Hz", standoff: 4 },
    }),
  };
  if (!found) return { data: [], layout };
  const [zmin, zmax] = found.range;
  const heat = {
    type: "heatmap",
    name: "density",
    z: found.rows,
    x0: found.start + found.columnSec / 2,
    dx: found.columnSec,
    y0: found.rowHz / 2,
    dy: found.rowHz,
    zmin,
    zmax,
    zsmooth: found.rows[0].length < FEW ? false : "fast",
    colorscale: COLOURS,
    colorbar: decibels(state, zmin, zmax),
    hoverinfo: "skip",
  };
  return { data: [heat], layout };
}

export function mount(store) {
  const box = document.querySelector("#strip");
  const place = document.querySelector("#density-box");
  const write = noteOver(box, place);
  const choice = element("select", {
    id: "density-region",
    title: "Channels of the colour density array",
    "aria-label": "Channels of the colour density array",
    onchange: choose,
  });
  Object.assign(choice.style, { minWidth: "0", width: "100%" });
  const controls = element("div", { className: "strip-controls" }, choice);
  // Beside the envelope, where the array has its colour bar.
  Object.assign(controls.style, {
    position: "absolute",
    right: "0",
    top: "0",
    display: "grid",
  });
  box.append(controls);
  const answers = loader(got, refused);
  let shown = null; // uuid of the recording
  let answer = null;
  let found = null;

  function load() {
    const state = store.get();
    const reason = whyNone(state);
    if (reason) {
      say(reason);
      draw();
      return;
    }
    const channels = state.detail.channel_count || 1;
    const most = Math.floor(MOST_BYTES / (2 * TOP_HZ * channels));
    const asked = { px: Math.max(100, Math.min(Math.round(plotWidth(box)), most)) };
    answers.load((signal) => api.density(state, asked, signal));
  }

  function got(loaded) {
    answer = loaded;
    offer();
    choose();
  }

  function refused(error) {
    if (answer) return; // what is shown is still true
    say(error.status === 404 ? "There is no colour density array yet." : error.message);
    draw();
  }

  function offer() {
    const chosen = choice.value || "all";
    const names = Object.entries(REGIONS).filter(([name]) => keysOf(answer.channels, name).length);
    const options = [...names, ...answer.channels.map((key) => [key, oneLine(key, 60)])];
    choice.replaceChildren(
      ...options.map(([value, text]) => element("option", { value, textContent: text })),
    );
    choice.value = options.some(([value]) => value === chosen) ? chosen : "all";
  }

  function choose() {
    const rows = medians(answer, keysOf(answer.channels, choice.value));
    found = {
      rows,
      start: answer.start,
      columnSec: answer.column_sec,
      rowHz: answer.row_hz,
      range: colourRange(rows.flatMap((row) => Array.from(row)), RANGE_DB),
    };
    const some = rows.some((row) => row.some((value) => !Number.isNaN(value)));
    say(some ? "" : `Nothing is held for the ${answer.column_sec} s of a column.`);
    draw();
  }

  function draw() {
    show("density", densityFigure(store.get(), found, plotWidth(box)), true);
  }

  function say(text) {
    write(text);
    controls.style.width = `${sizes().right - 4}px`;
    choice.disabled = !answer;
  }

  const grown = atMostEvery(LIVE_MS, load);
  function changed({ detail }) {
    if (!shown || detail?.uuid === shown) return;
    shown = null;
    answer = null;
    found = null;
    answers.drop();
    grown.cancel();
    choice.replaceChildren();
    say("");
    blank("density", store.get());
  }
  store.subscribe(on(["detail"], changed));
  afterFirstPage(store, () => {
    shown = store.get().detail.uuid;
    say("");
    load();
  });
  store.subscribe(on(["end"], (now) => now.live && shown && grown()));
  store.subscribe(on(["live"], (now) => !now.live && shown && load()));
  store.subscribe(on(["theme", "clock"], () => shown && draw()));
  let width = 0;
  const resized = atMostEvery(250, () => {
    say();
    if (!shown || plotWidth(box) === width) return;
    width = plotWidth(box);
    draw();
  });
  new ResizeObserver(() => resized()).observe(box);
}
