// Marking by keys: m for a note, s for a seizure, or for its onset and then for its end.

import { formatTime } from "./clock.js";
import { colours } from "./colours.js";
import { markTime } from "./cursor.js";
import { announce, element, setText } from "./elements.js";
import { bind } from "./keys.js";
import { recordedOf } from "./mark_channels.js";
import { exact } from "./mark_fields.js";
import { shownSelection } from "./selection.js";
import { on } from "./store.js";
import { addLayer, repaint } from "./traces.js";

const TEXTS = { seizure: "seizure", note: "", marker: "" };

/** Return what a new mark of a kind begins with: the selected stretch, or where the cursor is. */
export function draftOf(state, kind) {
  const selection = shownSelection(state);
  if (!selection) return stretched({ start: markTime(state), end: null, keys: [] }, kind);
  return stretched({ ...selection, keys: recordedOf(selection.keys, state).keys }, kind);
}

function stretched({ start, end, keys }, kind) {
  const duration = end === null ? null : exact(end - start);
  return { kind, text: TEXTS[kind], onset: start, duration, channels: keys };
}

/** Bind the keys; `open(draft)` opens the dialog. */
export function mountKeys(store, open) {
  let onset = null; // of a seizure whose end is still to be marked
  const hint = element("span", { className: "reading-span", id: "pending-seizure" });
  document.getElementById("reading")?.append(" ", hint);

  function wait(seconds) {
    onset = seconds;
    const at = seconds === null ? "" : formatTime(store.get(), seconds, 3);
    setText(hint, at && `seizure from ${at}: s at its end, Esc to leave`);
    repaint("over");
  }

  function seizure() {
    const state = store.get();
    if (shownSelection(state)) {
      wait(null);
      open(draftOf(state, "seizure"));
    } else if (onset === null) {
      wait(markTime(state));
      announce(`Seizure from ${formatTime(state, onset)}; press s at its end`);
    } else {
      const [start, end] = [onset, markTime(state)].sort((one, other) => one - other);
      wait(null);
      open(stretched({ start, end, keys: [] }, "seizure"));
    }
  }

  function leave() {
    if (onset === null) return false;
    wait(null);
    return true;
  }

  function paintOnset(pen, { frame, theme }) {
    if (onset === null || !frame) return;
    const x = frame.xAt(onset);
    if (x < frame.left || x > frame.right) return;
    pen.strokeStyle = colours({ theme }).seizure;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(x, frame.top);
    pen.lineTo(x, frame.bottom);
    pen.stroke();
  }

  // A key that is held down is one key press.
  const once = (act) => (event) => (store.get().recording ? event.repeat || act() : false);
  const note = () => open(draftOf(store.get(), "note"));
  bind("m", once(note), "mark the selected stretch, or where the cursor is");
  bind("s", once(seizure), "seizure: the selected stretch, or its onset and then its end");
  bind("Escape", leave, null);
  addLayer("over", paintOnset);
  store.subscribe(on(["patient", "recording"], () => wait(null)));
}
