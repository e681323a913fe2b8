// A stretch of the page that is dragged out: to be marked, exported or measured.

import { formatDuration, formatTime } from "./clock.js";
import { colours } from "./colours.js";
import { placeOf } from "./cursor.js";
import { element, setText } from "./elements.js";
import { bind } from "./keys.js";
import { markAt } from "./mark_layer.js";
import { on } from "./store.js";
import { addLayer, repaint } from "./traces.js";

const DRAG = 4; // px, before a click becomes a drag

/** Return the stretch between two places; with `rows`, of the channels between them as well. */
export function stretch(frame, from, to, rows) {
  const round = (seconds) => Math.round(seconds * 1000) / 1000;
  const [start, end] = [from.seconds, to.seconds].sort((one, other) => one - other).map(round);
  return { start, end, keys: rows ? keysBetween(frame, from.row, to.row) : [] };
}

function keysBetween(frame, one, other) {
  const places = [frame.rows.indexOf(one), frame.rows.indexOf(other)].sort((a, b) => a - b);
  return places[0] < 0 ? [] : frame.rows.slice(places[0], places[1] + 1).map((row) => row.key);
}

/** Return the selected stretch if it meets the page that is drawn, else null. */
export function shownSelection({ frame, selection }) {
  if (!frame || !selection) return null;
  const { start, window } = frame;
  return selection.start <= start + window && selection.end >= start ? selection : null;
}

/** Draw the stretch that is selected. */
export function paintSelection(pen, state) {
  const { frame, selection } = state;
  if (!frame || !selection) return;
  const from = Math.max(frame.xAt(selection.start), frame.left);
  const to = Math.min(frame.xAt(selection.end), frame.right);
  if (to < from) return;
  const ink = colours(state);
  const colour = ink.selection;
  const rows = frame.rows.filter((row) => selection.keys.includes(row.key));
  const bands = rows.length
    ? rows.map(({ middle, height }) => [middle - height / 2, height])
    : [[frame.top, frame.bottom - frame.top]];
  pen.save();
  pen.fillStyle = colour;
  pen.globalAlpha = 0.15;
  for (const [top, height] of bands) pen.fillRect(from, top, to - from, height);
  pen.globalAlpha = 1;
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.beginPath();
  for (const x of [from, to]) {
    pen.moveTo(x, frame.top);
    pen.lineTo(x, frame.bottom);
  }
  pen.stroke();
  pen.restore();
}

export function mount(store) {
  const traces = document.getElementById("traces");
  if (!traces) return;
  const span = element("span", { className: "reading-span", id: "selected-span" });
  document.getElementById("reading")?.append(" ", span);
  let drag = null; // {from, x, y, moved, pointer}

  const idle = (state) => state.frame && state.recording && !state.caliper;

  traces.addEventListener("pointerdown", (event) => {
    const state = store.get();
    if (event.button !== 0 || !idle(state)) return;
    const from = placeOf(event, state.frame);
    if (!from.inside) return;
    drag = { from, x: event.clientX, y: event.clientY, moved: false, pointer: event.pointerId };
    traces.setPointerCapture(event.pointerId);
  });

  traces.addEventListener("pointermove", (event) => {
    if (!drag || event.pointerId !== drag.pointer) return;
    const { frame } = store.get();
    drag.moved ||= Math.hypot(event.clientX - drag.x, event.clientY - drag.y) >= DRAG;
    if (!drag.moved || !frame) return;
    store.set({ selection: stretch(frame, drag.from, placeOf(event, frame), event.shiftKey) });
  });

  traces.addEventListener("pointerup", (event) => {
    if (!drag || event.pointerId !== drag.pointer) return;
    const { from, moved } = drag;
    drag = null;
    // A click, without a drag, leaves the cursor there.
    if (!moved) store.set({ selection: null, cursor: Math.round(from.seconds * 1000) / 1000 });
  });

  traces.addEventListener("pointercancel", () => {
    drag = null;
  });

  traces.addEventListener("dblclick", (event) => {
    const state = store.get();
    if (!idle(state)) return;
    const at = placeOf(event, state.frame);
    if (!at.inside) return;
    const mark = markAt(state, at.seconds, at.row);
    if (!mark) return;
    const selection = { start: mark.onset, end: mark.onset + mark.duration, keys: [] };
    store.set({ selected: mark.annotation_id, selection, cursor: null });
  });

  bind("Escape", clear, null);

  function clear() {
    if (!store.get().selection) return false;
    drag = null;
    store.set({ selection: null });
    return true;
  }

  function show(state) {
    const { selection } = state;
    const text = selection
      ? `${formatTime(state, selection.start, 3)} – ${formatTime(state, selection.end, 3)} · ` +
        formatDuration(selection.end - selection.start) +
        (selection.keys.length ? ` · ${selection.keys.length} channels` : "")
      : "";
    setText(span, text);
    repaint("over");
  }

  // What one has turned away from is not marked or exported unseen.
  function leave(state) {
    if (state.selection && !shownSelection(state)) store.set({ selection: null });
  }

  addLayer("over", paintSelection);
  store.subscribe(on(["frame"], leave));
  store.subscribe(on(["selection", "clock", "detail"], show));
}
