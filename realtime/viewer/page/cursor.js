// The cursor: a hair line under the pointer, what is there in words, and what a click leaves.

import { formatClock, formatSpan, formatTime, startOf } from "./clock.js";
import { colours } from "./colours.js";
import { element, setText } from "./elements.js";
import { bind } from "./keys.js";
import { sampleAt } from "./rows.js";
import { on } from "./store.js";
import { addLayer, repaint } from "./traces.js";

const PRECISION = 3; // decimals of seconds
const DOT = 2.5; // px

let hover = null; // {x, y, seconds, row}: where the pointer is, while it is over the rows

/** Return where the pointer is on the page, or null: `{x, y, seconds, row}`. */
export const hovered = () => hover;

/**
 * Return the place on the drawing that an event of the pointer means, in the frame's pixels.
 *
 * `inside` tells whether it is over the rows; seconds are kept within the page.
 */
export function placeOf(event, frame) {
  const box = document.getElementById("layer-over").getBoundingClientRect();
  const x = ((event.clientX - box.left) * frame.width) / (box.width || 1);
  const y = ((event.clientY - box.top) * frame.height) / (box.height || 1);
  const within = Math.min(Math.max(x, frame.left), frame.right);
  return {
    x,
    y,
    seconds: Math.max(0, frame.timeAt(within)),
    row: frame.rowAt(Math.min(Math.max(y, frame.top), frame.bottom - 0.01)),
    inside: x >= frame.left && x <= frame.right && y >= frame.top && y < frame.bottom,
  };
}

/** Return a value with its unit as people write it; a dash where nothing was recorded. */
export function valueText(row, value) {
  if (value === null || value === undefined) return "no samples";
  const number = value.toFixed(row.decimals ?? 1).replace("-", "−");
  return `${number} ${unitText(row.unit)}`.trim();
}

/** Return a unit as it is printed. */
export const unitText = (unit) => (unit === "uV" ? "µV" : unit);

/** Return where a mark goes when nobody said: the click, else the pointer, else the middle. */
export function markTime(state) {
  const { frame, cursor, end } = state;
  // What is drawn counts, not the page that is asked for: that may come late, or never.
  const { start, window } = frame ?? state;
  if (cursor !== null && cursor !== undefined && cursor >= start && cursor <= start + window) {
    return cursor;
  }
  if (hover && frame) {
    const within = Math.min(Math.max(hover.x, frame.left), frame.right);
    return Math.max(0, Math.round(frame.timeAt(within) * 1000) / 1000);
  }
  return Math.min(start + window / 2, Math.max(start, end ?? Infinity));
}

/** Draw the line of the pointer, with a dot on the sample, and that of the last click. */
export function paintCursor(pen, state) {
  const { frame } = state;
  if (!frame) return;
  const ink = colours(state);
  const colour = ink.cursor;
  pen.save();
  pen.strokeStyle = colour;
  pen.fillStyle = colour;
  pen.lineWidth = 1;
  const { cursor } = state;
  if (cursor !== null && cursor >= frame.start && cursor <= frame.start + frame.window) {
    upright(pen, frame, frame.xAt(cursor), [6, 3]);
  }
  if (hover) {
    pen.globalAlpha = 0.6;
    upright(pen, frame, frame.xAt(hover.seconds), []);
    pen.globalAlpha = 1;
    const sample = hover.row && sampleAt(state.pages, hover.row.key, hover.seconds);
    if (sample) {
      const [x, y] = [frame.xAt(sample.time), frame.yAt(hover.row, sample.value)];
      pen.fillRect(x - DOT, y - DOT, 2 * DOT, 2 * DOT);
    }
  }
  pen.restore();
}

function upright(pen, frame, x, dashes) {
  pen.setLineDash(dashes);
  pen.beginPath();
  pen.moveTo(x, frame.top);
  pen.lineTo(x, frame.bottom);
  pen.stroke();
  pen.setLineDash([]);
}

export function mount(store) {
  const place = document.getElementById("reading");
  const traces = document.getElementById("traces");
  if (!place || !traces) return;
  const time = element("span", { className: "reading-time" });
  const channel = element("span", { className: "reading-channel", dir: "auto" });
  const value = element("span", { className: "reading-value" });
  place.prepend(time, " ", channel, " ", value);

  let pointer = null; // the last event, in the window's pixels
  let due = false;

  function soon() {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      look();
    });
  }

  function look() {
    const state = store.get();
    const at = pointer && state.frame && state.recording ? placeOf(pointer, state.frame) : null;
    const was = hover;
    hover = at?.inside ? at : null;
    read(state);
    if (hover || was) repaint("over");
  }

  function read(state) {
    const seconds = hover?.seconds ?? state.cursor;
    if (seconds === null || seconds === undefined) {
      for (const each of [time, channel, value]) setText(each, "");
      return;
    }
    setText(time, timeText(state, seconds));
    setText(channel, hover?.row?.label ?? "");
    const sample = hover?.row && sampleAt(state.pages, hover.row.key, seconds);
    setText(value, hover?.row ? valueText(hover.row, sample?.value) : "");
  }

  /** Both clocks, the one that is in use first. */
  function timeText(state, seconds) {
    if (!startOf(state.detail)) return formatTime(state, seconds, PRECISION);
    const span = formatSpan(seconds, PRECISION);
    const clock = formatClock(state.detail, seconds, PRECISION);
    return state.clock === "absolute" ? `${clock} · ${span}` : `${span} · ${clock}`;
  }

  traces.addEventListener("pointermove", (event) => {
    pointer = { clientX: event.clientX, clientY: event.clientY };
    soon();
  });
  traces.addEventListener("pointerleave", () => {
    pointer = null;
    soon();
  });
  bind("Escape", leaveCursor, null);

  function leaveCursor() {
    if (store.get().cursor === null) return false;
    store.set({ cursor: null });
    return true;
  }

  store.set({ cursor: null });
  addLayer("over", paintCursor);
  // The same place means another time when the page has been turned.
  store.subscribe(on(["frame", "pages", "cursor", "clock", "detail", "theme"], soon));
  store.subscribe(on(["cursor", "theme"], () => repaint("over")));
}
