// What is looked at, and how: the part of the state that a link holds.

export const WINDOWS = [5, 10, 15, 30, 60];
export const SENSITIVITIES = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100]; // uV/mm
export const HIGH_PASS = [0.1, 0.3, 0.5, 1, 1.6, 5];
export const LOW_PASS = [15, 30, 35, 40, 70, 100];
export const NOTCHES = [50, 60];

/** The view of a recording that was opened without a word on how. */
export const DEFAULTS = Object.freeze({
  patient: null,
  recording: null,
  start: 0, // seconds from the recording's start
  window: 10, // seconds
  montage: "recorded",
  hp: 1,
  lp: 70,
  notch: null,
  scale: "mm", // uV per mm of screen, or uV per row
  sensitivity: 7, // in uV/mm, or in uV per row
  gains: Object.freeze({}), // key -> factor on top
  hidden: Object.freeze([]), // keys that are not shown
  order: Object.freeze([]), // keys in the order shown; those not named follow as recorded
  colours: "side", // side | type | plain
  clock: "relative", // relative | absolute
  polarity: "up", // which way is negative: up, as clinicians have it, or down
  spectrum: null, // key of the channel whose spectrogram is shown
  spectrum_window: 2, // seconds
});

// What a link may ask for, least and most; anything else is as ever.
const NUMBERS = {
  start: [0, 1e9],
  window: [1, 300],
  hp: [0.001, 1e5],
  lp: [0.001, 1e5],
  notch: [0.001, 1e5],
  sensitivity: [0.001, 1e7],
  spectrum_window: [0.1, 60],
};
/** By how much, at least and at most, a channel can be drawn higher than others. */
export const GAINS = [1e-3, 1e3];
const FILTERS = new Set(["hp", "lp", "notch"]); // may be off
const LISTS = new Set(["hidden", "order"]);
const CHOICES = {
  scale: ["mm", "row"],
  colours: ["side", "type", "plain"],
  clock: ["relative", "absolute"],
  polarity: ["up", "down"],
};
const SHORT = { start: "t", window: "w" };
const NAMES = new Map(Object.keys(DEFAULTS).map((name) => [SHORT[name] ?? name, name]));

/** Return the query of a link that restores a view; what is as ever is left out. */
export function toQuery(state) {
  const query = new URLSearchParams();
  if (!state.recording) return "";
  for (const [short, name] of NAMES) {
    const value = state[name];
    if (value === DEFAULTS[name]) continue;
    if (LISTS.has(name)) {
      for (const each of value) query.append(short, each);
    } else if (name === "gains") {
      for (const [key, factor] of Object.entries(value)) query.append("gain", `${factor}*${key}`);
    } else if (value !== null) {
      query.set(short, String(value));
    } else if (FILTERS.has(name)) {
      query.set(short, "off");
    }
  }
  return query.toString();
}

/** Return the view that a link's query asks for; what cannot be understood is as ever. */
export function fromQuery(search) {
  const view = { ...DEFAULTS };
  const query = new URLSearchParams(search);
  for (const short of new Set(query.keys())) {
    const name = NAMES.get(short);
    const value = query.get(short);
    if (short === "gain") view.gains = gainsOf(query.getAll("gain"));
    else if (name === undefined || name === "gains") continue;
    else if (LISTS.has(name)) view[name] = Object.freeze(query.getAll(short));
    else if (Object.hasOwn(NUMBERS, name)) view[name] = numberOf(name, value);
    else if (!Object.hasOwn(CHOICES, name)) view[name] = value || DEFAULTS[name];
    else if (CHOICES[name].includes(value)) view[name] = value;
  }
  if (view.hp !== null && view.lp !== null && view.hp >= view.lp) {
    view.hp = DEFAULTS.hp;
    view.lp = DEFAULTS.lp;
  }
  return view;
}

function gainsOf(texts) {
  const pairs = texts
    .filter((text) => text.includes("*"))
    .map((text) => {
      const at = text.indexOf("*");
      return [text.slice(at + 1), Number(text.slice(0, at))];
    });
  const [least, most] = GAINS;
  return Object.freeze(
    Object.fromEntries(pairs.filter(([, gain]) => gain >= least && gain <= most && gain !== 1)),
  );
}

function numberOf(name, text) {
  if (text === "off" && FILTERS.has(name)) return null;
  const number = Number(text);
  const [least, most] = NUMBERS[name];
  return text.trim() !== "" && number >= least && number <= most ? number : DEFAULTS[name];
}
