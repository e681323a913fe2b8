// The caliper: drag between two points, and read the time, the rate and the voltage between them.

import { colours } from "./colours.js";
import { placeOf, unitText } from "./cursor.js";
import { element, setText } from "./elements.js";
import { bind } from "./keys.js";
import { FONT } from "./letters.js";
import { sampleAt } from "./rows.js";
import { on } from "./store.js";
import { addLayer, repaint } from "./traces.js";

const ARM = 5; // px, of the crosses
const PAD = 4;
const LETTERS = 12; // px, where nobody says

/**
 * Return what lies between two points `{time, value}`: `{ms, hz, difference}`; `hz` is null where
 * they are at the same time, `difference` where one of them is in a gap.
 */
export function measure(from, to) {
  const seconds = Math.abs(to.time - from.time);
  const known = from.value !== null && to.value !== null;
  return {
    ms: seconds * 1000,
    hz: seconds > 0 ? 1 / seconds : null,
    difference: known ? to.value - from.value : null,
  };
}

/** Return a measure in words. */
export function measureText({ ms, hz, difference }, unit, decimals = 1) {
  const parts = [`${ms.toFixed(ms < 1000 ? 1 : 0)} ms`];
  if (hz !== null) parts.push(`${hz.toFixed(hz < 9.995 ? 2 : 1)} Hz`);
  if (difference !== null) {
    parts.push(`${difference.toFixed(decimals).replace("-", "−")} ${unitText(unit)}`.trim());
  }
  return parts.join(" · ");
}

/** Return the point of a row's trace at a place, or, with `free`, the place itself. */
export function pointAt(state, row, at, free) {
  const sample = free ? null : sampleAt(state.pages, row.key, at.seconds);
  if (sample) return { time: sample.time, value: sample.value, free: false };
  return { time: at.seconds, value: free ? state.frame.valueAt(row, at.y) : null, free };
}

/** Return a point with the value that is drawn there now: filters and montages change it. */
export function pointNow(state, key, point) {
  if (point.free) return point;
  return { ...point, value: sampleAt(state.pages, key, point.time)?.value ?? null };
}

/** Return the points that are measured, `[from, to]`, with their values of now. */
const pointsOf = (state) =>
  [state.caliper.from, state.caliper.to].map((point) =>
    pointNow(state, state.caliper.key, point),
  );

/** Draw the two points, the lines between them, and the figures. */
export function paintCaliper(pen, state) {
  const { frame, caliper } = state;
  if (!frame || !caliper?.from || !caliper.to) return;
  const row = frame.rows.find((each) => each.key === caliper.key);
  if (!row) return;
  const ink = colours(state);
  const colour = ink.caliper;
  const place = ({ time, value }) => [
    frame.xAt(time),
    value === null ? row.middle : frame.yAt(row, value),
  ];
  const [from, to] = pointsOf(state);
  const [x0, y0] = place(from);
  const [x1, y1] = place(to);
  pen.save();
  pen.beginPath();
  pen.rect(frame.left, 0, frame.right - frame.left, frame.height);
  pen.clip();
  // A rim in the colour of the paper, so that it can be told from the traces.
  for (const [stroke, width] of [
    [ink.background, 4],
    [colour, 2],
  ]) {
    pen.strokeStyle = stroke;
    pen.lineWidth = width;
    pen.beginPath();
    for (const [x, y] of [
      [x0, y0],
      [x1, y1],
    ]) {
      pen.moveTo(x - ARM, y);
      pen.lineTo(x + ARM, y);
      pen.moveTo(x, y - ARM);
      pen.lineTo(x, y + ARM);
    }
    pen.moveTo(x0, y0);
    pen.lineTo(x1, y0);
    pen.lineTo(x1, y1);
    pen.stroke();
  }
  const text = measureText(measure(from, to), row.unit, row.decimals);
  const letters = state.drawing?.letters ?? LETTERS;
  pen.font = `${letters}px ${FONT}`;
  const width = pen.measureText(text).width + 2 * PAD;
  const height = letters + 2 * PAD;
  const left = Math.max(frame.left, Math.min(Math.max(x0, x1) + 8, frame.right - width));
  const top = Math.max(frame.top, Math.min(Math.min(y0, y1) - height - 4, frame.bottom - height));
  pen.fillStyle = ink.background;
  pen.globalAlpha = 0.9;
  pen.fillRect(left, top, width, height);
  pen.globalAlpha = 1;
  pen.lineWidth = 1;
  pen.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
  pen.fillStyle = ink.text;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.fillText(text, left + PAD, top + height / 2 + 0.5);
  pen.restore();
}

export function mount(store) {
  const traces = document.getElementById("traces");
  const reading = document.getElementById("reading");
  if (!traces || !reading) return;
  const button = element(
    "button",
    { type: "button", id: "caliper", title: "Measure between two points (c)", onclick: toggle },
    "Caliper",
  );
  const text = element("output", { className: "reading-span", id: "measured" });
  reading.prepend(button, " ");
  reading.append(" ", text);
  let drag = null; // {row, pointer}

  function toggle() {
    const caliper = store.get().caliper ? null : { from: null, to: null, key: null };
    drag = null;
    store.set({ caliper });
  }

  traces.addEventListener("pointerdown", (event) => {
    const state = store.get();
    if (event.button !== 0 || !state.caliper || !state.frame) return;
    const at = placeOf(event, state.frame);
    if (!at.inside || !at.row) return;
    drag = { row: at.row.key, pointer: event.pointerId };
    traces.setPointerCapture(event.pointerId);
    const from = pointAt(state, at.row, at, event.shiftKey);
    store.set({ caliper: { from, to: null, key: at.row.key } });
  });

  traces.addEventListener("pointermove", (event) => {
    const state = store.get();
    if (!drag || event.pointerId !== drag.pointer || !state.caliper || !state.frame) return;
    const row = state.frame.rows.find((each) => each.key === drag.row);
    if (!row) return;
    const to = pointAt(state, row, placeOf(event, state.frame), event.shiftKey);
    store.set({ caliper: { ...state.caliper, to } });
  });

  for (const name of ["pointerup", "pointercancel"]) {
    traces.addEventListener(name, (event) => {
      if (drag?.pointer === event.pointerId) drag = null;
    });
  }

  function show(state) {
    const { caliper, frame } = state;
    button.setAttribute("aria-pressed", String(Boolean(caliper)));
    traces.style.cursor = caliper ? "crosshair" : "";
    const row = frame?.rows.find((each) => each.key === caliper?.key);
    if (!caliper) setText(text, "");
    else if (!caliper.to || !row) setText(text, "drag between two points");
    else setText(text, measureText(measure(...pointsOf(state)), row.unit, row.decimals));
    repaint("over");
  }

  function clear() {
    if (!store.get().caliper) return false;
    drag = null;
    store.set({ caliper: null });
    return true;
  }

  const help = "caliper: measure between two points (with Shift: anywhere, not on the trace)";
  bind("c", (event) => event.repeat || toggle(), help);
  bind("Escape", clear, null);
  store.set({ caliper: null });
  addLayer("over", paintCaliper);
  store.subscribe(on(["caliper", "theme"], show));
  store.subscribe(on(["pages", "frame"], (state) => state.caliper && show(state)));
  store.subscribe(on(["patient", "recording"], clear));
  show(store.get());
}
