// The annotations of the recording: loaded, reloaded after changes and while it grows, and drawn.

import { annotations as listAnnotations } from "./api.js";
import { waitFor } from "./backoff.js";
import { paintMarks } from "./mark_layer.js";
import { on } from "./store.js";
import { addLayer, repaint } from "./traces.js";

const LIVE_MS = 4000;
const CONTEXT = 0.2; // of the page lies before a mark that was jumped to
const NONE = Object.freeze([]);
const SEEN = ["annotations", "markText", "selected", "theme"];

/** Return as what a mark is shown: seizure, marker, note (a person's), or file (one in a file). */
export function kindOf(mark) {
  if (mark.kind === "seizure" || mark.kind === "marker") return mark.kind;
  return mark.source === "person" ? "note" : "file";
}

export const KIND_NAMES = {
  seizure: "seizure",
  marker: "marker",
  note: "note",
  file: "note in the file",
};

/** Return where a mark ends, in seconds. */
export const endOf = (mark) => mark.onset + (mark.duration ?? 0);

let kept = { annotations: null, text: null, found: NONE };

/** Return the marks that the filter lets through: all its words are in text, kind or author. */
export function matching({ annotations, markText }) {
  const text = (markText ?? "").trim().toLowerCase();
  if (!text) return annotations;
  if (kept.annotations !== annotations || kept.text !== text) {
    kept = { annotations, text, found: annotations.filter((mark) => matches(mark, text)) };
  }
  return kept.found;
}

/** Whether a mark holds all words of a text, which is in small letters. */
export function matches(mark, text) {
  const held = `${mark.text}\n${kindOf(mark)}\n${mark.author}`.toLowerCase();
  return text.split(/\s+/).every((word) => held.includes(word));
}

/** Return the marks that n and p go to: seizures, or with a filter all that it lets through. */
export function stops(state) {
  const found = matching(state);
  if ((state.markText ?? "").trim()) return found;
  return found.filter((mark) => mark.kind === "seizure");
}

/**
 * Return the stop after (`step` 1) or before (-1) where the page is, or null.
 *
 * That is the selected one while it is on the page, so that pressing again goes on from it, even
 * where two begin together or the page cannot be moved so far; else the page's start.
 */
export function neighbour(state, step) {
  const found = stops(state);
  const place = found.findIndex((mark) => mark.annotation_id === state.selected);
  if (place >= 0 && isOnPage(state, found[place])) return found[place + step] ?? null;
  if (step > 0) return found.find((mark) => mark.onset > state.start + 1e-6) ?? null;
  return found.findLast((mark) => mark.onset < state.start - 1e-6) ?? null;
}

function isOnPage(state, mark) {
  const onset = Math.min(Math.max(mark.onset, 0), state.end ?? mark.onset);
  return onset >= state.start - 1e-6 && onset <= state.start + state.window + 1e-6;
}

/** Go to a mark: its onset lies at a fifth of the page, so that one sees what came before. */
export function goToMark(store, actions, mark) {
  const { detail, window } = store.get();
  const start = Math.max(0, mark.onset - CONTEXT * window);
  store.set({ selected: mark.annotation_id });
  if (detail) actions.goTo(start);
  else actions.change({ start }); // it opens there
}

let reloading = () => Promise.resolve();

/** Load the marks again, after a change; resolves when they are there. */
export const reloadMarks = () => reloading();

/** Whether two answers say the same; a version never changes, but the end of a recording does. */
function same(one, other) {
  const is = ({ annotation_id: id, version, beyond_end: beyond }, at) =>
    id === other[at].annotation_id &&
    version === other[at].version &&
    beyond === other[at].beyond_end;
  return one.length === other.length && one.every(is);
}

export function mount(store) {
  let timer = null;
  let failures = 0;
  let turn = 0; // of requests; an answer that was overtaken is not used
  let last = NONE; // what was set here

  function later(milliseconds) {
    clearTimeout(timer);
    timer = setTimeout(look, milliseconds);
  }

  function look() {
    if (document.hidden) later(LIVE_MS);
    else load();
  }

  async function load() {
    const { patient, recording } = store.get();
    if (!recording) return;
    clearTimeout(timer);
    turn += 1;
    const mine = turn;
    try {
      const found = await listAnnotations({ patient, recording });
      if (mine !== turn) return;
      failures = 0;
      if (!same(found, store.get().annotations)) tell(Object.freeze(found));
      if (store.get().problem?.where === "marks") store.set({ problem: null });
      if (store.get().live) later(LIVE_MS);
    } catch (error) {
      if (mine !== turn) return;
      const { message: hint, passing = false, status } = error;
      // What fails for the page as well is told once, by the page.
      if (!store.get().problem || store.get().problem.where === "marks") {
        const title = "The marks cannot be loaded";
        store.set({ problem: { where: "marks", title, hint, passing, status } });
      }
      // While it grows, others may mark it: one failure must not hide that for good.
      if (passing || store.get().live) later(1000 * waitFor(failures));
      failures += 1;
    }
  }

  function tell(annotations, more = {}) {
    last = annotations;
    store.set({ annotations, ...more });
  }

  function opened() {
    clearTimeout(timer);
    turn += 1;
    failures = 0;
    tell(NONE, { markText: "", selected: null, selection: null, cursor: null });
    if (store.get().problem?.where === "marks") store.set({ problem: null });
    load();
  }

  reloading = load;
  addLayer("under", paintMarks);
  store.subscribe(on(["patient", "recording"], opened));
  store.subscribe(on(["live"], (state) => state.live && later(LIVE_MS)));
  // Opening the same recording once more has emptied the list.
  store.subscribe(on(["detail"], (state) => state.detail && state.annotations !== last && load()));
  store.subscribe(on(SEEN, () => repaint("under")));
  // Somebody else may have marked something while one was away.
  document.addEventListener("visibilitychange", () => document.hidden || load());
  opened();
}
