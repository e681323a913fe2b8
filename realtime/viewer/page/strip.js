// The whole recording at a glance: how large it is, its gaps and marks, and where the page is.

import { overview } from "./api.js";
import { colours } from "./colours.js";
import { envelopeChannels, envelopeOf, gapsOf, logAxis, outline } from "./envelope.js";
import { unitText } from "./cursor.js";
import { axis, blank, paper, plain, plotWidth, show, sizes, thinned, timeAxis } from "./figures.js";
import { endOf, kindOf } from "./marks.js";
import { afterFirstPage, atMostEvery, loader } from "./pace.js";
import { on } from "./store.js";
import { noteOver } from "./strip_note.js";
import { mountPointer } from "./strip_pointer.js";

const LIVE_MS = 10_000; // between looks at a recording that grows
const RESIZED_MS = 250;
const LEAST_BIN_S = 1; // in less, slow waves are not seen in full
const LEAST_MARKER = 3; // px
const TICK = 0.2; // of the height, for marks that are no seizures
// Ends of the axis of a recording that grows, so that what was drawn stays where it is for a while.
const ENDS = [1, 2, 5, 10, 20, 30, 60, 120, 180, 240, 360, 480, 720, 960, 1440].map((m) => m * 60);

/** Return the second at which the strip's axis ends; it begins at 0. */
export function lastOf({ live, end }) {
  if (!live) return Math.max(end, 1e-3);
  return ENDS.find((each) => each >= end) ?? Math.ceil(end / 43_200) * 43_200;
}

/** Return the figure of an envelope, or of none yet: the axes stand all the same. */
export function envelopeFigure(state, found, { width, envelope: height }) {
  const ink = colours(state);
  const last = lastOf(state);
  const layout = {
    ...paper(state, { t: 4, b: 2 }),
    xaxis: timeAxis(state, 0, last, width, { showticklabels: false, ticks: "" }),
    yaxis: axis(state, { visible: false, range: [0, 1] }),
  };
  if (!found) return { data: [], layout };
  const { envelope, unit } = found;
  const { low, high, ticks } = logAxis(envelope, height / (1.3 * sizes().letters));
  layout.yaxis = axis(state, {
    type: "log",
    range: [Math.log10(low), Math.log10(high)],
    tickmode: "array",
    tickvals: ticks,
    ticktext: ticks.map(String),
    title: { text: plain(unitText(unit)), standoff: 4 },
  });
  const marks = (kind) => state.annotations.filter((mark) => kindOf(mark) === kind);
  const tick = high * (low / high) ** TICK;
  const ticksOf = (kind) => boxes(marks(kind).map(({ onset }) => [onset, onset]), tick, high);
  const gaps = gapsOf(state.detail, found.group, state.end, state.live);
  const shapes = {
    gaps: boxes(gaps, low, high),
    largest: outline(envelope, envelope.largest, low),
    median: outline(envelope, envelope.median, low),
    note: ticksOf("note"),
    file: ticksOf("file"),
    marker: ticksOf("marker"),
    seizure: boxes(marks("seizure").map((mark) => [mark.onset, endOf(mark)]), low, high),
  };
  const looks = {
    gaps: [ink.gap, 1],
    largest: [ink.envelopeHigh, 0],
    median: [ink.envelope, 0],
    note: [ink.note, 1],
    file: [ink.file, 1],
    marker: [ink.marker, 1],
    seizure: [ink.seizure, 1.5, 0.35],
  };
  const data = Object.entries(shapes).map(([name, shape]) => {
    const [color, width, alpha = 1] = looks[name];
    return {
      type: "scatter",
      mode: "lines",
      name,
      ...shape,
      fill: "toself",
      fillcolor: thinned(color, alpha),
      line: { color, width, simplify: false },
      hoverinfo: "skip",
    };
  });
  return { data, layout };
}

export function mount(store, actions) {
  const box = document.querySelector("#strip");
  const marker = document.querySelector("#window-marker");
  const say = noteOver(box, box.querySelector("#overview-box"));
  const answers = loader(got, refused);
  let shown = null; // uuid of the recording that the strip is of
  let found = null; // its envelope
  let size = measured();

  Object.assign(marker.style, {
    position: "absolute",
    left: "0",
    top: "0",
    pointerEvents: "none",
    boxSizing: "border-box",
    willChange: "transform",
  });

  function measured() {
    const density = box.querySelector("#density-box");
    const { left, axis: below } = sizes();
    const height = density.offsetTop + density.clientHeight - below;
    return { left, width: plotWidth(box), height, envelope: density.offsetTop };
  }

  function load() {
    const state = store.get();
    const chosen = envelopeChannels(state.detail);
    if (!chosen || !state.end) {
      draw();
      return;
    }
    const px = Math.max(1, Math.min(Math.round(size.width), Math.floor(state.end / LEAST_BIN_S)));
    const asked = { px, channels: chosen.keys };
    answers.load(async (signal) => ({ chosen, answer: await overview(state, asked, signal) }));
  }

  function got({ chosen, answer }) {
    const group = answer.groups.find((each) => each.group === chosen.group);
    if (!group) return;
    found = { ...chosen, envelope: envelopeOf(group) };
    say("");
    draw();
  }

  function refused(error) {
    if (found) return; // what is shown is still true
    say(`The overview cannot be shown: ${error.message}`);
    draw();
  }

  function draw() {
    show("overview", envelopeFigure(store.get(), found, size), true);
  }

  /** Move the marker to the page: all that happens here when a page is turned. */
  function place() {
    const { detail, start, window, end } = store.get();
    marker.hidden = !detail;
    const last = lastOf(store.get());
    const xOf = (time) => size.left + (Math.min(Math.max(time, 0), last) / last) * size.width;
    const [from, to] = [xOf(start), xOf(Math.min(start + window, Math.max(end, start)))];
    const width = Math.max(LEAST_MARKER, to - from);
    const x = (from + to - width) / 2;
    marker.style.transform = `translateX(${x.toFixed(2)}px)`;
    marker.style.width = `${width.toFixed(2)}px`;
    marker.style.height = `${size.height}px`;
  }

  const grown = atMostEvery(LIVE_MS, load);
  function changed({ detail }) {
    size = measured();
    place();
    if (!shown || detail?.uuid === shown) return;
    shown = null;
    found = null;
    answers.drop();
    grown.cancel();
    say("");
    blank("overview", store.get());
  }
  store.subscribe(on(["detail"], changed));
  afterFirstPage(store, () => {
    shown = store.get().detail.uuid;
    load();
  });
  store.subscribe(on(["end"], (now) => now.live && shown && grown()));
  store.subscribe(on(["live"], (now) => !now.live && shown && load()));
  store.subscribe(on(["annotations", "theme", "clock"], () => found && draw()));
  store.subscribe(on(["start", "window", "end", "live"], place));
  mountPointer(box, () => ({ ...size, last: lastOf(store.get()) }), store, actions);

  const resized = atMostEvery(RESIZED_MS, () => {
    const before = size.width;
    size = measured();
    place();
    say();
    if (!shown || size.width === before) return;
    draw();
    load();
  });
  new ResizeObserver(() => resized()).observe(box);
}

/** Return rectangles as the polygons of one trace. */
function boxes(stretches, low, high) {
  const x = [];
  const y = [];
  for (const [from, to] of stretches) {
    x.push(from, from, to, to, from, NaN);
    y.push(low, high, high, low, low, NaN);
  }
  return { x: Float64Array.from(x), y: Float64Array.from(y) };
}
