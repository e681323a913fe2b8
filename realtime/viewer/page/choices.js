// What the lists of the toolbar offer, and what each entry is called.

import { startOf } from "./clock.js";
import { HIGH_PASS, LOW_PASS, NOTCHES, SENSITIVITIES, WINDOWS } from "./view.js";

export const ROW_SENSITIVITIES = [10, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 2000];
const NEW_ROW_PX = 24; // where nothing is drawn yet

const plain = (number) => String(Number(number.toPrecision(6)));

/** Return the sensitivities of a way of scaling, the most sensitive first. */
export const sensitivities = (scale) => (scale === "row" ? ROW_SENSITIVITIES : SENSITIVITIES);

/**
 * Return what changes when the way of scaling does: the sensitivity that shows rows of the present
 * height at about the same size.
 */
export function rescaled(state, scale) {
  if (scale === state.scale) return {};
  const row = state.frame?.rows?.[0]?.height ?? NEW_ROW_PX;
  const mm = row / state.pxPerMm;
  const same = scale === "row" ? state.sensitivity * mm : state.sensitivity / mm;
  const distance = (each) => Math.abs(Math.log(each / same));
  const nearest = sensitivities(scale).reduce((one, other) =>
    distance(other) < distance(one) ? other : one,
  );
  return { scale, sensitivity: nearest };
}

const hertz = (values) => () =>
  [[null, "Off"]].concat(values.map((value) => [value, `${plain(value)} Hz`]));
const words = (entries) => () => [...entries];

/**
 * The lists: `member` of the view, `entries(state)` as [value, name, why it cannot be chosen],
 * `name(value)` of one that only a link can bring, and `change(state, value)` of the view.
 */
export const CHOICES = {
  "window-choice": {
    member: "window",
    entries: () => WINDOWS.map((seconds) => [seconds, `${plain(seconds)} s`]),
    name: (seconds) => `${plain(seconds)} s`,
  },
  montage: {
    member: "montage",
    entries: ({ montageList }) =>
      (montageList.some(({ name }) => name === "recorded") ? [] : [["recorded", "As recorded"]]).concat(
        montageList.map(({ name, title, reason }) => [name, title || name, reason || null]),
      ),
    name: (name) => name,
  },
  hp: { member: "hp", entries: hertz(HIGH_PASS), name: (value) => `${plain(value)} Hz` },
  lp: { member: "lp", entries: hertz(LOW_PASS), name: (value) => `${plain(value)} Hz` },
  notch: { member: "notch", entries: hertz(NOTCHES), name: (value) => `${plain(value)} Hz` },
  scale: {
    member: "scale",
    entries: words([
      ["mm", "µV/mm"],
      ["row", "µV/row"],
    ]),
    change: rescaled,
  },
  sensitivity: {
    member: "sensitivity",
    entries: ({ scale }) => sensitivities(scale).map((value) => [value, `${plain(value)} µV`]),
    name: (value) => `${plain(value)} µV`,
  },
  colours: {
    member: "colours",
    entries: words([
      ["side", "By side"],
      ["type", "By type"],
      ["plain", "None"],
    ]),
  },
  polarity: {
    member: "polarity",
    entries: words([
      ["up", "Up"],
      ["down", "Down"],
    ]),
  },
  clock: {
    member: "clock",
    entries: ({ detail }) => [
      ["relative", "From start"],
      ["absolute", "Time of day", startOf(detail) ? null : "When it began is not known."],
    ],
  },
};
