// Buttons that jump to the onset of each seizure, and the keys for the next and the previous one.

import { formatTime } from "./clock.js";
import { announce, element, oneLine } from "./elements.js";
import { bind } from "./keys.js";
import { goToMark, neighbour, stops } from "./marks.js";
import { on } from "./store.js";

const BUTTONS = 12; // more than so many become a list to choose from
const SHOWN = ["annotations", "selected", "clock", "detail", "recording"];

export function mount(store, actions) {
  bind("n", () => step(1), "next seizure, or mark that is filtered");
  bind("p", () => step(-1), "previous seizure, or mark that is filtered");

  const place = document.getElementById("seizures");
  if (!place) return;
  place.setAttribute("aria-label", "Seizures");

  function step(by) {
    const state = store.get();
    const mark = neighbour(state, by);
    if (mark) goToMark(store, actions, mark);
    const all = stops(state).length;
    const what = (state.markText ?? "").trim() ? "mark" : "seizure";
    if (mark) announce(`${what} at ${formatTime(store.get(), mark.onset)}`);
    else if (all) announce(`no ${what} ${by > 0 ? "after" : "before"} this one`);
    else announce(`no ${what} is marked`);
  }

  const seizuresOf = (state) => state.annotations.filter((mark) => mark.kind === "seizure");
  const timeOf = (state, mark) =>
    formatTime(state, mark.onset) + (mark.beyond_end ? " (beyond the end)" : "");

  function button(state, mark, number) {
    return element(
      "button",
      {
        type: "button",
        className: "jump",
        title: `Go to seizure ${number}: ${oneLine(mark.text)}`,
        "aria-current": mark.annotation_id === state.selected ? "true" : null,
        onclick: () => goToMark(store, actions, mark),
      },
      element("b", {}, String(number)),
      ` ${timeOf(state, mark)}`,
    );
  }

  function compact(state, seizures) {
    const choice = element("select", {
      className: "jump-choice",
      "aria-label": "Go to a seizure",
      onchange: () => {
        const mark = seizures.find((one) => one.annotation_id === choice.value);
        if (mark) goToMark(store, actions, mark);
      },
    });
    choice.append(element("option", { value: "" }, `${seizures.length} seizures…`));
    seizures.forEach((mark, number) => {
      const text = `${number + 1}: ${timeOf(state, mark)}`;
      choice.append(element("option", { value: mark.annotation_id }, text));
    });
    choice.value = seizures.some((mark) => mark.annotation_id === state.selected)
      ? state.selected
      : "";
    const arrow = (text, title, by) =>
      element("button", { type: "button", className: "jump", title, onclick: () => go(by) }, text);
    return [arrow("‹", "Previous seizure (p)", -1), choice, arrow("›", "Next seizure (n)", 1)];
  }

  function go(by) {
    const mark = neighbour({ ...store.get(), markText: "" }, by);
    if (mark) goToMark(store, actions, mark);
  }

  let shown = ""; // what stands there: a button that is pressed must not be replaced

  function show(state) {
    const seizures = seizuresOf(state);
    const times = seizures.map((mark) => [mark.annotation_id, timeOf(state, mark), mark.text]);
    const now = JSON.stringify([state.recording, state.selected, times]);
    if (now === shown) return;
    shown = now;
    const held = [...place.children].indexOf(document.activeElement);
    if (!state.recording) place.replaceChildren();
    else if (!seizures.length) {
      place.replaceChildren(element("span", { className: "jumps-none" }, "No seizure is marked"));
    } else if (seizures.length > BUTTONS) place.replaceChildren(...compact(state, seizures));
    else place.replaceChildren(...seizures.map((mark, at) => button(state, mark, at + 1)));
    if (held >= 0) place.children[held]?.focus();
  }

  store.subscribe(on(SHOWN, show));
  show(store.get());
}
