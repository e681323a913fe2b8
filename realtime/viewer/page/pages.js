// The samples of the page in view: asked for, kept, fetched ahead, and forgotten when overtaken.

import * as api from "./api.js";
import { asksOf, settling } from "./asks.js";
import { waitFor } from "./backoff.js";
import { on } from "./store.js";
import { drawingSize } from "./traces.js";

const KEPT_BYTES = 64 * 2 ** 20;
const HASTE_MS = 300; // what is asked for in quicker succession is held down, or dragged
const GROWTH_MS = 250; // between two looks at a page that is still being recorded
const AHEAD_MS = 100; // at the latest, the neighbours of a page are fetched

const kept = new Map(); // key -> page, the one used last at the end
let keptBytes = 0;
const flights = new Map(); // key -> {controller, start, look, since}
let store = null;
let wanted = null; // key of the page that is to be shown
let askedAt = -Infinity;
let shownAt = -Infinity;
let forward = true;
let failures = 0;
let retry = 0;
let growth = 0;
let idle = 0;

const keyOf = (state, start) =>
  JSON.stringify([state.patient, state.recording, asksOf(state, start, drawingSize())]);

/** Return what all pages that are looked at in the same way have in common. */
const lookOf = (state) => keyOf(state, 0);

/** Return the page at a place if it is at hand, which then counts as just used; else null. */
export function held(state, start = state.start) {
  const key = keyOf(state, start);
  const page = kept.get(key);
  if (!page) return null;
  kept.delete(key);
  kept.set(key, page);
  return page;
}

/** How many bytes the pages take that are kept. */
export const bytesKept = () => keptBytes;

/** Forget all pages, and ask again for the one in view. */
export function refresh() {
  drop(() => true);
  kept.clear();
  keptBytes = 0;
  failures = 0;
  seek();
}

export function mount(shared) {
  store = shared;
  store.subscribe(
    on(["start"], (now, before) => {
      forward = now.start >= before.start;
    }),
  );
  store.subscribe(
    on(["start", "window", "hp", "lp", "notch", "hidden", "curves", "drawing"], seek),
  );
  store.subscribe(on(["end", "live"], grow));
  store.subscribe(
    on(["patient", "recording"], () => {
      drop(() => true);
      clearTimeout(retry);
      clearTimeout(growth);
      growth = 0;
      wanted = null;
      failures = 0;
    }),
  );
}

/** Show the page that the state asks for: at once if it is at hand, else when it has come. */
function seek() {
  const state = store.get();
  if (!state.detail || !drawingSize().width) return;
  const key = keyOf(state, state.start);
  if (key === wanted && (flights.has(key) || state.pages?.key === key)) return;
  const now = performance.now();
  const hasty = now - askedAt < HASTE_MS;
  askedAt = now;
  wanted = key;
  clearTimeout(retry);
  const page = held(state);
  if (page) {
    drop((_, flight) => !beside(state, flight));
    show(page);
    return;
  }
  store.set({ loading: true });
  // Someone who holds a key down sees what comes in between, if it comes soon enough.
  const look = lookOf(state);
  const passes = (flight) => hasty && flight.look === look && now - flight.since < HASTE_MS;
  drop((name, flight) => name !== key && !passes(flight));
  // When that has come, it is asked for what is wanted then.
  if (!flights.has(key) && !(hasty && flights.size)) fly(state, state.start, key);
}

function drop(overtaken) {
  for (const [name, flight] of flights) {
    if (!overtaken(name, flight)) continue;
    flights.delete(name);
    flight.controller.abort();
  }
}

const beside = (state, { start, look }) =>
  look === lookOf(state) && Math.abs(start - state.start) <= state.window + 1e-6;

async function fly(state, start, key) {
  const controller = new AbortController();
  const flight = { controller, start, look: lookOf(state), since: performance.now() };
  flights.set(key, flight);
  const asks = asksOf(state, start, drawingSize());
  try {
    const groups = await Promise.all(
      asks.map((ask) => api.samples(state, ask, controller.signal)),
    );
    if (flights.get(key) !== flight) return;
    flights.delete(key);
    landed(pageOf(state, start, key, groups));
  } catch (error) {
    controller.abort(); // what else was asked for a page that cannot be shown
    if (flights.get(key) !== flight) return;
    flights.delete(key);
    if (key === wanted) failed(error);
    else if (!flights.size && store.get().loading) seek();
  }
}

function pageOf(state, start, key, groups) {
  return {
    key,
    start,
    window: state.window,
    end: state.end,
    // One that is not will look different once more has been recorded.
    whole: !state.live || start + state.window + settling(state) <= state.end,
    bytes: groups.reduce((sum, { shape }) => sum + shape[0] * shape[1] * 4, 0),
    groups: groups.map(placed),
  };
}

/**
 * Add to a rate group where its channels are (`places`), how far apart its points lie (`step`, in
 * seconds), and its gap-free `pieces`: points `[first, stop)`, of which the first lies at `start`.
 */
export function placed(group) {
  const points = group.shape[1];
  const period = group.rate[1] / group.rate[0];
  const chosen = points < group.num_samples;
  const step = chosen ? (group.end - group.start) / points : period;
  const pieces = chosen
    ? // Points that stand for a column have no time of their own: they lie side by side.
      [{ first: 0, stop: points, start: group.start + step / 2 }]
    : group.extents.map(([from, to]) => {
        // A piece may begin beside the grid, and so does each of its samples.
        const first = Math.max(0, Math.round((from - group.start) / period));
        const stop = Math.min(points, first + Math.round((to - from) / period));
        return { first, stop, start: from };
      });
  const places = new Map(group.channels.map((channel, number) => [channel.key, number]));
  return { ...group, step, pieces, places };
}

function landed(page) {
  if (page.whole) keep(page);
  const state = store.get();
  const right = page.key === keyOf(state, state.start);
  if (right) {
    failures = 0;
    show(page);
  } else if (state.loading && page.key === keyOf(state, page.start)) {
    // On the way to the page that is wanted.
    store.set({ pages: page });
  }
  if (!right && state.loading && !flights.size) seek();
}

function show(page) {
  shownAt = performance.now();
  const { problem } = store.get();
  const over = problem?.where === "page" ? { problem: null } : {};
  store.set({ pages: page, loading: false, ...over });
  cancelIdleCallback(idle);
  idle = requestIdleCallback(ahead, { timeout: AHEAD_MS });
  grow();
}

function keep(page) {
  const before = kept.get(page.key);
  if (before) keptBytes -= before.bytes;
  kept.delete(page.key);
  kept.set(page.key, page);
  keptBytes += page.bytes;
  for (const [name, oldest] of kept) {
    if (keptBytes <= KEPT_BYTES || name === page.key) break;
    kept.delete(name);
    keptBytes -= oldest.bytes;
  }
}

/** Fetch the pages on either side, first the one to which the reader is going. */
function ahead() {
  const state = store.get();
  const failing = state.problem?.where === "page";
  if (state.loading || failing || !state.pages || document.hidden) return;
  const next = state.start + state.window;
  const previous = Math.max(0, state.start - state.window);
  for (const start of forward ? [next, previous] : [previous, next]) {
    const key = keyOf(state, start);
    const there = start === state.start || start >= state.end;
    // Of a live recording, what is not whole would not be kept.
    const whole = !state.live || start + state.window + settling(state) <= state.end;
    if (!there && whole && !kept.has(key) && !flights.has(key)) fly(state, start, key);
  }
}

/** Look again at a page whose end was still to come. */
function grow() {
  const { pages, live, end, loading } = store.get();
  if (growth || loading || !pages || pages.whole || (live && pages.end >= end)) return;
  const wait = Math.max(0, shownAt + GROWTH_MS - performance.now());
  growth = setTimeout(() => {
    growth = 0;
    const state = store.get();
    if (!state.detail || state.loading) return;
    wanted = keyOf(state, state.start);
    if (!flights.has(wanted)) fly(state, state.start, wanted);
  }, wait);
}

function failed(error) {
  const { status = null, passing = false, message, body } = error;
  const wait = waitFor(failures);
  failures += 1;
  const told = passing
    ? { title: "The recordings cannot be reached.", hint: `Trying again in ${wait} s.` }
    : { title: "This page cannot be shown.", hint: message };
  const field = body?.errors?.[0]?.field ?? null;
  store.set({ loading: false, problem: { where: "page", status, passing, field, ...told } });
  clearTimeout(retry);
  if (passing) retry = setTimeout(seek, 1000 * wait);
}
