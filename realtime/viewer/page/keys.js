// What the keyboard does, and the list of it that `?` shows.

import { sensitivities } from "./choices.js";
import { on } from "./store.js";
import { mark } from "./traces.js";
import { DEFAULTS, WINDOWS } from "./view.js";

const bound = new Map(); // key -> [act], the one bound last first

/** What is bound, for the help: `{keys, help}` in the order in which it was bound. */
export const KEYS = [];

/**
 * Let a key do something: `act(event)`; one that returns false leaves it to whom bound it before.
 *
 * A key is named as browsers do, letters in lower case, with `Shift+` before those that have no
 * character of their own: "n", "?", "Escape", "Shift+ArrowRight". Keys bound with the same help
 * share a line of it; null is not listed.
 */
export function bind(key, act, help = null) {
  bound.set(key, [act, ...(bound.get(key) ?? [])]);
  if (!help) return;
  const line = KEYS.find((each) => each.help === help);
  if (line) line.keys.push(key);
  else KEYS.push({ keys: [key], help });
}

/** Return whether a key press belongs to the control in which it was made. */
function taken(event) {
  const { target } = event;
  if (!(target instanceof Element)) return false;
  if (target.closest("dialog[open], details[open]")) return true;
  const kind = target instanceof HTMLInputElement ? target.type : target.localName;
  if (["textarea", "select"].includes(kind) || target.isContentEditable) return true;
  if (target instanceof HTMLInputElement && !["range", "checkbox", "button"].includes(kind)) {
    return true;
  }
  const presses = event.key === " " || event.key === "Enter";
  return presses && target.closest("button, summary, a, [role=button], input") !== null;
}

function nameOf(event) {
  const { key } = event;
  if (key.length === 1) return key.toLowerCase();
  return event.shiftKey ? `Shift+${key}` : key;
}

export function mount(store, actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (event.defaultPrevented || taken(event)) return;
    for (const act of bound.get(nameOf(event)) ?? []) {
      if (act(event) === false) continue;
      event.preventDefault();
      return;
    }
  });

  const open = () => store.get().detail !== null;
  const reading = (act) => (event) => (open() ? act(event) : false);

  function turn(pages) {
    return reading((event) => {
      mark("ranvier:turn", { startTime: event.timeStamp });
      actions.turn(pages, event.timeStamp);
    });
  }

  bind("ArrowRight", turn(1), "page on");
  bind("PageDown", turn(1), "page on");
  bind("ArrowLeft", turn(-1), "page back");
  bind("PageUp", turn(-1), "page back");
  bind("Shift+ArrowRight", reading(() => actions.step(1)), "a second on");
  bind("Shift+ArrowLeft", reading(() => actions.step(-1)), "a second back");
  bind("Home", reading(() => actions.toStart()), "to the start");
  bind("End", reading(() => actions.toEnd()), "to the end, where a live recording is followed");
  bind("g", reading(goTo), "go to a time: seconds, h:mm:ss, or time of day");
  bind(" ", reading(() => actions.play(!store.get().playing)), "play and pause");
  bind("[", reading(() => actions.pace(-1)), "play more slowly");
  bind("]", reading(() => actions.pace(1)), "play faster");
  WINDOWS.forEach((window, place) => {
    const help = `a page of ${WINDOWS.join(", ")} s`;
    bind(String(place + 1), reading(() => actions.setWindow(window)), help);
  });
  for (const key of ["+", "=", "ArrowUp"]) {
    bind(key, reading(() => louder(-1)), key === "=" ? null : "traces higher");
  }
  for (const key of ["-", "ArrowDown"]) bind(key, reading(() => louder(1)), "traces lower");
  bind("f", reading(({ repeat }) => repeat || filters()), "all filters off, and on again");
  bind("?", () => help(), "this list");
  document.getElementById("help-button")?.addEventListener("click", help);

  function goTo() {
    const field = document.getElementById("goto");
    if (!field) return false;
    field.focus();
    field.select();
    return true;
  }

  /** Change the sensitivity: fewer microvolts per millimetre are higher traces. */
  function louder(steps) {
    actions.change({ sensitivity: nextSensitivity(store.get(), steps) });
  }

  let before = null; // filters that "f" took away
  store.subscribe(
    on(["patient", "recording"], () => {
      before = null;
    }),
  );

  function filters() {
    const { hp, lp, notch } = store.get();
    if (hp !== null || lp !== null || notch !== null) {
      before = { hp, lp, notch };
      actions.change({ hp: null, lp: null, notch: null });
    } else {
      const { hp: usual, lp: top } = DEFAULTS;
      actions.change(before ?? { hp: usual, lp: top });
    }
  }
}

/** Return the next larger sensitivity (of less height), or the next smaller one. */
export function nextSensitivity({ sensitivity, scale }, steps) {
  const choices = sensitivities(scale);
  const up = choices.find((each) => each > sensitivity * (1 + 1e-9)) ?? choices.at(-1);
  const down = choices.findLast((each) => each < sensitivity * (1 - 1e-9)) ?? choices[0];
  return steps > 0 ? up : down;
}

const NAMES = {
  " ": "Space",
  ArrowRight: "→",
  ArrowLeft: "←",
  ArrowUp: "↑",
  ArrowDown: "↓",
  Escape: "Esc",
  PageDown: "PgDn",
  PageUp: "PgUp",
};

const shownAs = (key) =>
  key
    .split(/\+(?=.)/)
    .map((part) => NAMES[part] ?? part)
    .join(" ");

/** Show what the keys do. */
export function help() {
  const place = document.getElementById("help");
  if (!place || place.open) return;
  const list = document.createElement("dl");
  for (const { keys, help: text } of KEYS) {
    const line = document.createElement("div");
    const names = document.createElement("dt");
    keys.forEach((key, at) => {
      if (at) names.append(" ");
      const name = document.createElement("kbd");
      name.textContent = shownAs(key);
      names.append(name);
    });
    const said = document.createElement("dd");
    said.textContent = text;
    line.append(names, said);
    list.append(line);
  }
  const heading = document.createElement("h2");
  heading.textContent = "Keys";
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  close.addEventListener("click", () => place.close());
  place.replaceChildren(heading, list, close);
  place.showModal();
}
