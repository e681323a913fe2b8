// The samples of the page in view: asked for, kept, fetched ahead, and forgotten when overtaken.

import * as api from "./api.js";
import { asksOf, settling } from "./asks.js";
import { waitFor } from "./backoff.js";
import { placed } from "./pieces.js";
import { on } from "./store.js";
import { drawingSize } from "./traces.js";

const KEPT_BYTES = 64 * 2 ** 20;
const HASTE_MS = 300; // what is asked for in quicker succession is held down, or dragged
const GROWTH_MS = 250; // between two looks at a page that is still being recorded
const LATE_MS = 3000; // between two looks at one in which samples are missing
const AHEAD_MS = 100; // at the latest, the neighbours of a page are fetched
const MOST_ASIDE = 60; // seconds beside its place at which a sample is still looked for

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
let aside = 0; // how far samples of the recording may lie beside their places, in seconds

const asked = (state, start) => asksOf(state, start, drawingSize(), aside);
const keyOf = (state, start) => JSON.stringify([state.detail?.uuid, asked(state, start)]);

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
  forget();
  failures = 0;
  again();
}

function forget() {
  kept.clear();
  keptBytes = 0;
}

export function mount(shared) {
  store = shared;
  store.subscribe(on(["detail"], reopened));
  store.subscribe(
    on(["start"], (now, before) => {
      forward = now.start >= before.start;
    }),
  );
  store.subscribe(
    on(["start", "window", "hp", "lp", "notch", "hidden", "curves", "drawing"], seek),
  );
  store.subscribe(
    on(["live"], ({ live }) => {
      // What came in late may be missing in pages that were not looked at since.
      if (!live) forget();
    }),
  );
  store.subscribe(on(["end", "live"], grow));
  document.addEventListener("visibilitychange", grow);
}

/** Begin anew with a recording that is opened, be it the same one, and leave one that is closed. */
function reopened({ detail }, { detail: before }) {
  if (detail?.uuid === before?.uuid) return;
  drop(() => true);
  forget();
  clearTimeout(retry);
  clearTimeout(growth);
  wanted = null;
  failures = 0;
  aside = 0;
}

/** Show the page that the state asks for: at once if it is at hand, else when it has come. */
function seek() {
  const state = store.get();
  if (!state.detail || !drawingSize().width) return;
  const key = keyOf(state, state.start);
  const shown = state.pages?.key === key && state.problem?.where !== "page";
  if (key === wanted && (flights.has(key) || shown)) return;
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

/** Ask for the page in view, whatever is at hand of it. */
function again() {
  const state = store.get();
  if (!state.detail || !drawingSize().width) return;
  clearTimeout(retry);
  wanted = keyOf(state, state.start);
  store.set({ loading: true });
  if (!flights.has(wanted)) fly(state, state.start, wanted);
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
  const asks = asked(state, start);
  try {
    const groups = await Promise.all(
      asks.map((ask) => api.samples(state, ask, controller.signal)),
    );
    if (flights.get(key) !== flight) return;
    flights.delete(key);
    if (widened(groups)) overtook(key);
    else landed(pageOf(state, start, key, asks, groups));
  } catch (error) {
    controller.abort(); // what else was asked for a page that cannot be shown
    if (flights.get(key) !== flight) return;
    flights.delete(key);
    if (key === wanted) failed(error);
    else overtook(key);
  }
}

/** Go on where an answer was of no use. */
function overtook(key) {
  if (key === wanted || (!flights.size && store.get().loading)) seek();
}

/** Whether samples lie further beside their places than was looked for; from now on they do not. */
function widened(groups) {
  let most = 0;
  for (const { pieces } of groups) {
    for (const [, , shift] of pieces) most = Math.max(most, Math.abs(shift) / 1e6);
  }
  most = Math.min(MOST_ASIDE, most);
  if (most <= aside) return false;
  // In few steps, since pages that were fetched before are of no use then.
  aside = Math.min(MOST_ASIDE, 2 ** Math.ceil(Math.log2(most)));
  return true;
}

function pageOf(state, start, key, asks, groups) {
  // What one of its groups does not reach the end of.
  const open = groups.some(({ end }, number) => end + 1e-9 < asks[number].end);
  const full = groups.every((group) => !hasHoles(group) && settled(state, start, group));
  return {
    key,
    start,
    window: state.window,
    end: state.end,
    at: performance.now(),
    open,
    // One that is not may look different later.
    whole: !state.live || (!open && full),
    bytes: groups.reduce((sum, { shape }) => sum + shape[0] * shape[1] * 4, 0),
    groups: groups.map(placed),
  };
}

/** Whether samples of a group are missing within its answer, which may come yet. */
const hasHoles = ({ pieces, num_samples: all }) =>
  pieces.reduce((sum, [, length]) => sum + length, 0) < all;

/** Whether all that a page's filters look at was there, as far as the recording is known. */
function settled(state, start, { group }) {
  const seconds = settling(state);
  if (!seconds) return true;
  const { extents } = state.detail.groups.find((each) => each.group === group);
  const first = Math.max(0, start - seconds) + 1e-6;
  const last = start + state.window + seconds;
  return extents.some(([from, to]) => from <= first && to >= last);
}

function landed(landing) {
  const state = store.get();
  const right = landing.key === keyOf(state, state.start);
  const page = right ? latest(state.pages, landing) : landing;
  // One whose end is still to come would be shown too short.
  if (page.whole || !page.open) keep(page);
  if (right) {
    failures = 0;
    show(page);
  } else if (state.loading && page.key === keyOf(state, page.start)) {
    // On the way to the page that is wanted.
    store.set({ pages: page });
  }
  if (right) return;
  if (!state.loading) grow();
  else if (!flights.size) seek();
}

/** Return a page that was asked for again: the one before, which stays drawn, if it is the same. */
function latest(before, page) {
  const seen = ({ end }) => Math.min(end, page.start + page.window);
  const same =
    before?.key === page.key &&
    seen(before) === seen(page) &&
    page.groups.every(({ tag }, number) => tag && tag === before.groups[number].tag);
  if (!same) return page;
  const { end, at, open, whole } = page;
  return Object.assign(before, { end, at, open, whole });
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

/**
 * Look again at a page that is not whole: soon if its end was still to come and there is more now,
 * else now and then, for what comes late. Whether there is, costs one question and no samples.
 */
function grow() {
  clearTimeout(growth);
  const state = store.get();
  const { pages, live, end, loading, problem } = state;
  if (loading || !pages || pages.whole || problem?.where === "page" || document.hidden) return;
  const edge = pages.start + pages.window + settling(state) + aside;
  const growing = !live || (pages.end < end && pages.end < edge);
  const due = growing ? shownAt + GROWTH_MS : pages.at + LATE_MS;
  growth = setTimeout(look, Math.max(0, due - performance.now()));
}

function look() {
  const state = store.get();
  if (!state.detail || state.loading) return;
  wanted = keyOf(state, state.start);
  if (!flights.has(wanted)) fly(state, state.start, wanted);
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
  if (passing) retry = setTimeout(again, 1000 * wait);
}
