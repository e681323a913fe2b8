// The drawing: three canvases on top of one another, and the traces on the middle one.

import { formatTime } from "./clock.js";
import { colourOf, colours } from "./colours.js";
import { shownCurves } from "./curves.js";
import { paintGrid, paintHoles } from "./grid.js";
import { trace } from "./ink.js";
import { labelFont, paintMargins } from "./margins.js";
import { RasterPen } from "./raster.js";
import { channelOf, layout } from "./rows.js";
import { on } from "./store.js";

const LETTERS = 0.85; // of the page's letters
const LAYERS = ["under", "traces", "over"];
const DRAWN = [
  ...["pages", "curves", "hidden", "order", "gains", "scale", "sensitivity", "polarity"],
  ...["colours", "theme", "pxPerMm", "clock"],
];
const HEAVY = 60_000; // rows times columns of pixels
const MARKS_KEPT = 1000;
const painters = { under: [], traces: [], over: [] };
const canvases = {};
const due = new Set(); // layers that are painted with the next frame
const raster = new RasterPen();
let store = null;
let marks = 0;
let size = { width: 0, height: 0, ratio: 1, letters: 12 };

/**
 * Add a painter `(pen, state) => void` to a layer: "under" the traces, with them, or "over" them.
 *
 * It is called whenever the layer is painted, with CSS pixels as the pen's unit and the geometry
 * in `state.frame`. Returns a function that takes it away.
 */
export function addLayer(layer, painter) {
  painters[layer].push(painter);
  repaint(layer);
  return () => {
    painters[layer].splice(painters[layer].indexOf(painter), 1);
    repaint(layer);
  };
}

/** Paint a layer anew with the next frame; asking again before that costs nothing. */
export function repaint(layer) {
  if (!store) return;
  if (!due.size) requestAnimationFrame(paintDue);
  due.add(layer);
}

/** Let all painters of a layer draw with a pen: the canvas's, or one that makes a file. */
export function paint(layer, pen, state) {
  for (const painter of painters[layer]) {
    pen.save();
    painter(pen, state);
    pen.restore();
  }
}

/**
 * Return the size of the drawing: `{width, height}` and the height of its `letters` in CSS pixels,
 * and the `ratio` of the screen's pixels to them.
 */
export const drawingSize = () => size;

/** Return the geometry of the page that a state holds, on the present drawing. */
export function frameOf(state) {
  const pen = canvases.traces.getContext("2d");
  pen.font = labelFont(size.letters);
  return layout(state, size, (text) => pen.measureText(text).width);
}

export function mount(shared) {
  store = shared;
  const place = document.getElementById("traces");
  for (const layer of LAYERS) canvases[layer] = canvasIn(place, `layer-${layer}`);
  canvases.traces.setAttribute("role", "img");
  painters.under.unshift(paintGrid, paintHoles);
  painters.traces.unshift(paintTraces);
  new ResizeObserver(() => resize(place)).observe(place);
  watchRatio(() => resize(place));
  store.subscribe(on(DRAWN, (state) => covers(state) && draw()));
  resize(place);
}

/** Draw the page that the state holds, all layers, at once. */
export function draw() {
  if (!size.width || !size.height) return;
  due.delete("under");
  due.delete("traces");
  due.delete("over");
  const state = { ...store.get() };
  state.frame = frameOf(state);
  for (const layer of LAYERS) paintLayer(layer, state);
  describe(state);
  if (state.pages) {
    const { start, window } = state.frame;
    mark("ranvier:drawn");
    document.dispatchEvent(
      new CustomEvent("ranvier:drawn", { detail: { start, window, turn: state.turn } }),
    );
  }
  store.set({ frame: state.frame });
}

/** Whether the page at hand holds what is to be shown; till then the picture before it stays. */
function covers(state) {
  return !state.pages || shownCurves(state).every(({ key }) => channelOf(state.pages, key));
}

/** Leave a mark for whoever measures; a browser keeps all, so old ones are wiped off. */
export function mark(name, options) {
  marks += 1;
  if (marks % MARKS_KEPT === 0) {
    performance.clearMarks("ranvier:drawn");
    performance.clearMarks("ranvier:turn");
  }
  performance.mark(name, options);
}

function paintDue() {
  const state = store.get();
  const layers = LAYERS.filter((layer) => due.has(layer));
  due.clear();
  if (state.frame) for (const layer of layers) paintLayer(layer, state);
}

function paintLayer(layer, state) {
  const pen = canvases[layer].getContext("2d");
  pen.setTransform(size.ratio, 0, 0, size.ratio, 0, 0);
  pen.clearRect(0, 0, size.width, size.height);
  paint(layer, pen, state);
}

function canvasIn(place, id) {
  let canvas = document.getElementById(id);
  if (!canvas) {
    canvas = document.createElement("canvas");
    canvas.id = id;
    place.append(canvas);
  }
  canvas.style.position = "absolute";
  canvas.style.inset = "0";
  canvas.style.width = "100%";
  canvas.style.height = "100%";
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}

function resize(place) {
  const { clientWidth: width, clientHeight: height } = place;
  const ratio = globalThis.devicePixelRatio || 1;
  const { fontSize } = getComputedStyle(document.documentElement);
  const letters = Math.round(LETTERS * parseFloat(fontSize));
  const now = { width, height, ratio, letters };
  if (Object.keys(now).every((name) => now[name] === size[name])) return;
  size = now;
  for (const layer of LAYERS) {
    canvases[layer].width = Math.round(width * ratio);
    canvases[layer].height = Math.round(height * ratio);
  }
  draw();
  store.set({ drawing: size });
}

/** Call back when the window moves to a screen of another resolution, or is zoomed. */
function watchRatio(act) {
  const query = matchMedia(`(resolution: ${globalThis.devicePixelRatio}dppx)`);
  const changed = () => {
    act();
    watchRatio(act);
  };
  query.addEventListener("change", changed, { once: true });
}

function paintTraces(pen, state) {
  const ink = colours(state);
  // Pixels first: an image takes the place of what was there.
  if (state.pages) paintRows(pen, state, ink);
  paintMargins(pen, state, ink);
}

function paintRows(pen, state, ink) {
  const { frame } = state;
  const { ratio } = size;
  const columns = (frame.right - frame.left) * ratio;
  if (pen.canvas === canvases.traces && frame.rows.length * columns > HEAVY) {
    const x = Math.floor(frame.left * ratio);
    const y = Math.floor(frame.top * ratio);
    const width = Math.ceil(frame.right * ratio) - x;
    const height = Math.ceil(frame.bottom * ratio) - y;
    raster.begin(width, height, x, y, ratio, weight());
    eachRow(state, raster, (row) => raster.colour(colourOf(ink, row, state.colours)));
    raster.put(pen);
    return;
  }
  raster.release();
  pen.save();
  pen.beginPath();
  pen.rect(frame.left, frame.top, frame.right - frame.left, frame.bottom - frame.top);
  pen.clip();
  pen.lineWidth = weight() / ratio;
  const begin = (row) => {
    pen.strokeStyle = colourOf(ink, row, state.colours);
    pen.beginPath();
  };
  eachRow(state, pen, begin, () => pen.stroke());
  pen.restore();
}

/** How thick lines are, in pixels of the screen: two where one could hardly be seen. */
const weight = () => (size.ratio >= 1.75 || size.letters > 15 ? 2 : 1);

function eachRow({ frame, pages }, pen, begin, end = null) {
  const column = 1 / size.ratio;
  const perSecond = (frame.right - frame.left) / frame.window;
  for (const row of frame.rows) {
    const found = channelOf(pages, row.key);
    if (!found) continue;
    const { group, values } = found;
    const scale = row.sign / row.uvPerPx;
    const y = row.middle - row.offset * scale;
    const dx = group.step * perSecond;
    begin(row);
    let length = 0; // of the line, which goes on over pieces that are joined
    for (const { first, stop, start, joined } of group.pieces) {
      const x = frame.xAt(start);
      const before = joined ? length : 0;
      length = trace(pen, values, first, stop, x, dx, y, scale, column, before);
    }
    end?.();
  }
}

function describe(state) {
  const { frame } = state;
  const names = frame.rows.map((row) => row.label).join(", ");
  const place = canvases.traces.parentElement;
  const until = Math.min(frame.start + frame.window, state.end || Infinity);
  const said = state.recording
    ? `${state.recording}, ${formatTime(state, frame.start)} to ${formatTime(state, until)}, ` +
      `${frame.window} s window, ${frame.rows.length} channels: ${names}`
    : "No recording is open";
  canvases.traces.removeAttribute("aria-hidden");
  canvases.traces.setAttribute("aria-label", said);
  place.setAttribute("aria-label", said); // which has the focus
}
