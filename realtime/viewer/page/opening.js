// Opening a recording: what it is, which montages can be made of it, and where to begin.

import * as api from "./api.js";
import { pause, waitFor } from "./backoff.js";
import { startOf } from "./clock.js";
import { curvesOf } from "./curves.js";
import { farthest, lastPage } from "./places.js";
import { on } from "./store.js";
import { DEFAULTS } from "./view.js";

const RECORDED = "recorded";

/** What is known of a recording before it is opened, and after it was left. */
export const CLOSED = Object.freeze({
  detail: null,
  end: 0,
  live: false,
  curves: Object.freeze([]),
  montageList: Object.freeze([]),
  montageProblems: Object.freeze([]),
  pages: null,
  frame: null,
  turn: null,
  loading: false,
  playing: false,
  following: false,
  disconnected: false,
  annotations: Object.freeze([]),
  markText: "",
  selected: null,
  selection: null,
});

/** Return what opens and leaves recordings on a store. */
export function createOpening(store) {
  let running = new AbortController();
  let last = null;

  function begin() {
    running.abort();
    running = new AbortController();
    return running.signal;
  }

  async function open(recording, view) {
    const signal = begin();
    last = [recording, view];
    store.set({ ...DEFAULTS, ...CLOSED, ...view, ...recording, loading: true, problem: null });
    for (let failures = 0; ; failures += 1) {
      try {
        await load(store, recording, view, signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        const wait = waitFor(failures);
        store.set({ loading: false, problem: problemOf(error, recording, wait) });
        if (!error.passing) return;
        await pause(wait, signal);
        if (signal.aborted) return;
        store.set({ loading: true });
      }
    }
  }

  return {
    open,
    again: () => last && open(...last),
    leave() {
      begin();
      store.set({ ...DEFAULTS, ...CLOSED, problem: null });
    },
  };
}

async function load(store, recording, view, signal) {
  const asked = SOURCES.map((source) => source(recording, signal));
  // Whoever reads as recorded does not wait for the montages.
  const [detail, montageList] = await Promise.all([
    api.detail(recording, signal),
    store.get().montage === RECORDED ? [] : Promise.all(asked).then(merged),
  ]);
  if (signal.aborted) return;
  store.set((state) => opened(state, view, detail, montageList));
  await list(store, recording, asked, signal);
}

/** Find out anew which montages can be made, once there are other channels. */
export function listAgain(store) {
  const recording = store.get();
  const same = new AbortController();
  const leaving = store.subscribe(
    on(["recording", "patient"], () => same.abort()),
  );
  const asked = SOURCES.map((source) => source(recording, same.signal));
  return list(store, recording, asked, same.signal).finally(leaving);
}

/** Set which montages there are; what could not be listed is asked for until it can. */
async function list(store, recording, asked, signal) {
  let waiting = asked;
  for (let failures = 0; ; failures += 1) {
    const found = await Promise.all(waiting);
    if (signal.aborted) return;
    const failed = found.some(({ passing }) => passing);
    // What is shown by a montage stays so until it is known that it cannot.
    if (!failed || !store.get().montageList.length) {
      const montageProblems = Object.freeze(found.flatMap(({ problems }) => problems));
      store.set({ montageList: merged(found), montageProblems });
    }
    if (!failed) {
      const { live, montageProblems } = store.get();
      if (!live && !montageProblems.length) store.set(withoutUnknown);
      return;
    }
    await pause(waitFor(failures), signal);
    if (signal.aborted) return;
    waiting = found.map((each, at) => (each.passing ? SOURCES[at](recording, signal) : each));
  }
}

/** Return the view without channels that this recording has not: links can name any. */
function withoutUnknown({ detail, montageList, hidden, order, gains }) {
  const known = new Set(curvesOf(detail, RECORDED, montageList).map(({ key }) => key));
  for (const { channels = [] } of montageList) for (const key of channels) known.add(key);
  const has = (key) => known.has(key);
  if ([...hidden, ...order, ...Object.keys(gains)].every(has)) return {};
  return {
    hidden: Object.freeze(hidden.filter(has)),
    order: Object.freeze(order.filter(has)),
    gains: Object.freeze(Object.fromEntries(Object.entries(gains).filter(([key]) => has(key)))),
  };
}

/** Return the montages that the records service knows. */
async function listed(recording, signal) {
  try {
    return { items: await api.montages(recording, [], signal), problems: [] };
  } catch (error) {
    return without(error);
  }
}

/** Return no montages, and why; the recording can be read without them. */
function without(error) {
  const { message, passing = false } = error;
  const told = `Montages cannot be listed: ${message}.${passing ? " Trying again." : ""}`;
  return { items: [], problems: error.name === "AbortError" ? [] : [told], passing };
}

/** Return what is known once a recording has been described. */
function opened(state, view, detail, montageList) {
  const live = detail.state === "live";
  const end = detail.duration_sec;
  const following = live && (state.following || !Object.hasOwn(view, "start"));
  const latest = lastPage(end, state.window);
  const start = following
    ? latest
    : Math.min(state.start, Math.max(latest, farthest({ end, window: state.window })));
  const curves = curvesOf(detail, state.montage, montageList);
  const clock = startOf(detail) ? state.clock : DEFAULTS.clock;
  return { detail, montageList, curves, live, end, start, following, clock, problem: null };
}

/** Return the montages of the viewer's own files, each as far as this recording can show it. */
async function ownMontages(recording, signal) {
  try {
    const { montages, problems } = await api.montageFiles(signal);
    const items = await Promise.all(montages.map((each) => possible(recording, each, signal)));
    return { items, problems };
  } catch (error) {
    return without(error);
  }
}

async function possible(recording, { name, title, derive }, signal) {
  const items = await api.montages(recording, derive, signal);
  const found = items.find((each) => each.name === "custom");
  return { ...found, name, title, derive };
}

/** Where montages come from. */
const SOURCES = [listed, ownMontages];

const merged = (lists) => Object.freeze(lists.flatMap(({ items }) => items));

function problemOf(error, { patient, recording }, wait) {
  const { status = null, passing = false } = error;
  const common = { where: "recording", status, passing };
  if (passing) {
    const hint = `Trying again in ${wait} s.`;
    return { ...common, title: "The recordings cannot be reached.", hint };
  }
  if (status === 404) {
    const title = `There is no recording ${recording}${patient ? ` of ${patient}` : ""}.`;
    return { ...common, title, hint: "Choose it from the list of recordings." };
  }
  return { ...common, title: `${recording} cannot be opened.`, hint: error.message };
}
