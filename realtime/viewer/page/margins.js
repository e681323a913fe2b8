// What stands beside the traces: names of the channels, times, and how high an amplitude is.

import { formatTime } from "./clock.js";
import { colourOf } from "./colours.js";
import { labelStep, ticks } from "./grid.js";
import { FONT, fitted } from "./letters.js";
import { gainOf } from "./rows.js";

const LEAST_LETTERS = 9; // px

/** Return the font of the channels' names, so many pixels high. */
export const labelFont = (letters) => `500 ${letters}px ${FONT}`;

export function paintMargins(pen, state, ink) {
  paintAxis(pen, state, ink);
  paintLabels(pen, state, ink);
}

function paintAxis(pen, state, ink) {
  const { frame } = state;
  const step = labelStep(frame);
  pen.font = `${axisLetters(frame)}px ${FONT}`;
  pen.fillStyle = ink.text;
  pen.textBaseline = "middle";
  const y = (frame.bottom + frame.height) / 2;
  const beside = 2 * frame.letters;
  for (const seconds of ticks(frame, step)) {
    const x = frame.xAt(seconds);
    if (x > frame.right - beside && seconds > frame.start) continue;
    pen.textAlign = x < frame.left + beside ? "left" : "center";
    pen.fillText(formatTime(state, seconds, 0), x, y);
  }
  paintScale(pen, state, ink, y);
}

/** Draw how long an amplitude is, at the edge of the gutter, so that it covers no trace. */
function paintScale(pen, state, ink, y) {
  const { frame } = state;
  const row = frame.rows.find((each) => !each.auto);
  if (!row) return;
  const uvPerPx = row.uvPerPx * gainOf(state, row.key);
  const [amount, height] = bar(uvPerPx, 1.2 * frame.letters);
  const x = frame.left - 4.5;
  pen.strokeStyle = ink.text;
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(x - 3, frame.bottom + 0.5);
  pen.lineTo(x + 3, frame.bottom + 0.5);
  pen.moveTo(x, frame.bottom);
  pen.lineTo(x, frame.bottom - height);
  pen.moveTo(x - 3, frame.bottom - height);
  pen.lineTo(x + 3, frame.bottom - height);
  pen.stroke();
  pen.textAlign = "right";
  pen.fillText(`${amount} µV`, x - 4, y);
}

/** Return a round amplitude that is drawn a little higher than `height`, and how high exactly. */
function bar(uvPerPx, height) {
  const least = height * uvPerPx;
  const power = 10 ** Math.floor(Math.log10(least));
  const amount = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= least);
  return [Number(amount.toPrecision(3)), amount / uvPerPx];
}

function paintLabels(pen, state, ink) {
  const { frame } = state;
  if (!frame.rows.length) return;
  const { height } = frame.rows[0];
  const letters = Math.max(LEAST_LETTERS, Math.min(frame.letters, Math.floor(height)));
  // Of rows that are lower than a line of text, every second or third is named.
  const every = Math.ceil(letters / height);
  const width = frame.left - 1.2 * letters;
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  frame.rows.forEach((row, place) => {
    if (place % every) return;
    pen.font = labelFont(letters);
    pen.fillStyle = colourOf(ink, row, state.colours);
    const note = row.note && height >= 2.2 * letters;
    pen.fillText(fitted(pen, row.label, width), 6, row.middle - (note ? letters * 0.55 : 0));
    if (!note) return;
    pen.font = `${Math.max(LEAST_LETTERS, letters - 2)}px ${FONT}`;
    pen.fillStyle = ink.faint;
    pen.fillText(fitted(pen, row.note, width), 6, row.middle + letters * 0.6);
  });
}

const axisLetters = ({ letters }) => Math.max(LEAST_LETTERS, letters - 1);
