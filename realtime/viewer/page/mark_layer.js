// Marks under the traces: seizures shaded red, others in the colour of their kind, texts as flags.

import { colours } from "./colours.js";
import { oneLine } from "./elements.js";
import { FONT, fitted } from "./letters.js";
import { rowsOf } from "./mark_channels.js";
import { endOf, kindOf, matches } from "./marks.js";

const SHADE = { seizure: 0.16, note: 0.1, marker: 0.1, file: 0.08 };
const FAINT = 0.3; // of it, for what the filter leaves out
const LEAST = 2; // px, of a stretch that is shorter than can be seen
const FLAG = { lanes: 3, pad: 4, most: 18, least: 2, text: 80 }; // widths in times the letters
const LETTERS = 12; // px, where nobody says

/** Return the colour of a kind of mark. */
export const inkOf = (ink, kind) => ink[kind];

/** Return the marks that a page touches, in the order of onset; `[start, end)` of the page. */
export function onPage(marks, start, end) {
  return marks.filter(
    (mark) => mark.onset < end && (endOf(mark) > start || mark.onset >= start),
  );
}

/** Draw the marks of the page: stretches and instants, then their flags. */
export function paintMarks(pen, state) {
  const { frame } = state;
  if (!frame || !state.annotations?.length) return;
  const ink = colours(state);
  const marks = onPage(state.annotations, frame.start, frame.start + frame.window);
  const text = (state.markText ?? "").trim().toLowerCase();
  const kept = text ? marks.filter((mark) => matches(mark, text)) : marks;
  const passes = new Set(kept);
  pen.save();
  pen.beginPath();
  pen.rect(frame.left, 0, frame.right - frame.left, frame.bottom);
  pen.clip();
  // Seizures last, so that nothing lies over them.
  const ordered = [...marks].sort((one, other) => rank(one) - rank(other));
  for (const mark of ordered) shade(pen, state, mark, ink, passes.has(mark) ? 1 : FAINT);
  const flags = flagsOf(pen, frame, kept, state.drawing?.letters);
  for (const flag of flags) paintFlag(pen, flag, ink, state.selected);
  pen.restore();
}

const rank = (mark) => (mark.kind === "seizure" ? 1 : 0);

function shade(pen, state, mark, ink, strength) {
  const { frame } = state;
  const kind = kindOf(mark);
  const colour = inkOf(ink, kind);
  const from = frame.xAt(mark.onset);
  const to = frame.xAt(endOf(mark));
  const left = Math.max(from, frame.left);
  const selected = mark.annotation_id === state.selected;
  pen.fillStyle = colour;
  pen.strokeStyle = colour;
  for (const [top, bottom] of bands(frame, mark)) {
    if (mark.duration) {
      pen.globalAlpha = SHADE[kind] * strength * (selected ? 1.3 : 1);
      const right = Math.min(Math.max(to, from + LEAST), frame.right);
      if (right > left) pen.fillRect(left, top, right - left, bottom - top);
    }
    pen.globalAlpha = strength;
    pen.lineWidth = selected ? 2 : 1;
    line(pen, frame, from, top, bottom, []);
    if (mark.duration && to - from > 2 * LEAST) line(pen, frame, to, top, bottom, [4, 3]);
  }
  pen.globalAlpha = 1;
}

function line(pen, frame, x, top, bottom, dashes) {
  if (x < frame.left || x > frame.right) return;
  pen.setLineDash(dashes);
  pen.beginPath();
  pen.moveTo(x, top);
  pen.lineTo(x, bottom);
  pen.stroke();
  pen.setLineDash([]);
}

/** Return the heights over which a mark is drawn: everything, or its channels' rows. */
function bands(frame, mark) {
  const rows = mark.channels.length ? rowsOf(mark, frame.rows) : [];
  if (!rows.length) return [[frame.top, frame.bottom]];
  const found = [];
  for (const { middle, height } of rows) {
    const [top, bottom] = [middle - height / 2, middle + height / 2];
    const last = found.at(-1);
    if (last && Math.abs(last[1] - top) < 0.5) last[1] = bottom;
    else found.push([top, bottom]);
  }
  return found;
}

/**
 * Return where the texts of marks stand at the top: `{mark, label, x, y, width, height}`.
 *
 * They take the first lane with room; what finds none in any of them is counted in one more flag.
 */
export function flagsOf(pen, frame, marks, letters = LETTERS) {
  pen.font = `${letters - 1}px ${FONT}`;
  const height = letters + 4;
  const top = Math.max(0, frame.top - height - 2); // the first lane lies above the rows
  const lanes = Array.from({ length: FLAG.lanes }, () => -Infinity);
  const flags = [];
  let left = 0; // over
  for (const [number, mark] of marks.entries()) {
    const x = Math.max(frame.xAt(mark.onset), frame.left);
    const lane = lanes.findIndex((end) => end <= x);
    const room = frame.right - x;
    if (lane < 0 || room < FLAG.least * letters) {
      left += 1;
      continue;
    }
    const next = lane === FLAG.lanes - 1 ? marks[number + 1]?.onset : undefined;
    const after = next === undefined ? Infinity : frame.xAt(next);
    const most = Math.min(FLAG.most * letters, room, Math.max(FLAG.least * letters, after - x));
    const label = fitted(pen, labelOf(mark), most - 2 * FLAG.pad);
    const width = Math.min(most, pen.measureText(label).width + 2 * FLAG.pad);
    lanes[lane] = x + width + 2;
    flags.push({ mark, label, x, y: top + lane * (height + 1), width, height });
  }
  if (left) {
    const label = `+${left} more`;
    const width = pen.measureText(label).width + 2 * FLAG.pad;
    const y = top + FLAG.lanes * (height + 1);
    flags.push({ mark: null, label, x: frame.right - width, y, width, height });
  }
  return flags;
}

/** Return the text of a flag. */
export function labelOf(mark) {
  const text = oneLine(mark.text, FLAG.text) || kindOf(mark);
  return mark.beyond_end ? `${text} (beyond the end)` : text;
}

function paintFlag(pen, { mark, label, x, y, width, height }, ink, selected) {
  const colour = mark ? inkOf(ink, kindOf(mark)) : ink.text;
  pen.fillStyle = ink.background;
  pen.globalAlpha = 0.85;
  pen.fillRect(x, y, width, height);
  pen.globalAlpha = 1;
  pen.strokeStyle = colour;
  pen.lineWidth = mark && mark.annotation_id === selected ? 2 : 1;
  pen.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
  pen.fillStyle = colour;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.fillText(label, x + FLAG.pad, y + height / 2 + 0.5);
}

/** Return the mark at a place on the drawing, the shortest of several; null where there is none. */
export function markAt(state, seconds, row) {
  const found = onPage(state.annotations, seconds - 1e-9, seconds + 1e-9).filter(
    (mark) => mark.duration && (!row || rowsOf(mark, [row]).length),
  );
  found.sort((one, other) => one.duration - other.duration);
  return found[0] ?? null;
}
