// When to act on what changes often: not more often than so, or only once it rests.

import { pause, waitFor } from "./backoff.js";
import { on } from "./store.js";

const PAGES_FIRST_MS = 200; // for the pages beside the first one

/**
 * Return a function that calls `act` at once, but not sooner than `ms` after the last time; the
 * newest call in between is made up for at the end of that time.
 */
export function atMostEvery(ms, act) {
  let last = -Infinity;
  let timer = null;
  let newest = [];
  function run() {
    timer = null;
    last = performance.now();
    act(...newest);
  }
  function call(...given) {
    newest = given;
    if (timer !== null) return;
    const left = last + ms - performance.now();
    if (left <= 0) run();
    else timer = setTimeout(run, left);
  }
  call.cancel = () => {
    clearTimeout(timer);
    timer = null;
  };
  return call;
}

/**
 * Call `act` once for each recording that is opened: when its first page, or what is wrong with
 * it, is on the screen, and what belongs to that page has been asked for.
 */
export function afterFirstPage(store, act) {
  let done = null;
  store.subscribe(
    on(["detail", "pages", "problem"], ({ detail, pages, problem }) => {
      const uuid = detail?.uuid ?? null;
      if (uuid === done || (uuid && !pages && !problem)) return;
      done = uuid;
      if (!uuid) return;
      const still = () => done === uuid && act();
      setTimeout(() => requestIdleCallback(still, { timeout: 500 }), PAGES_FIRST_MS);
    }),
  );
}

/** Return a function that calls `act` when it has not been called itself for `ms`. */
export function onceSettled(ms, act) {
  let timer = null;
  function call(...given) {
    clearTimeout(timer);
    timer = setTimeout(() => act(...given), ms);
  }
  call.cancel = () => clearTimeout(timer);
  return call;
}

/**
 * Return a loader: `load(ask)` drops the answer that is still awaited and calls `ask(signal)`
 * until it succeeds, with growing pauses where the failure may pass.
 *
 * `got(answer)` hears of success, `refused(error)` of a failure that stays; nobody hears of what
 * was dropped.
 */
export function loader(got, refused) {
  let wanted = null;
  async function load(ask) {
    drop();
    const control = new AbortController();
    wanted = control;
    for (let failures = 0; !control.signal.aborted; failures += 1) {
      try {
        const answer = await ask(control.signal);
        if (!control.signal.aborted) got(answer);
        return;
      } catch (error) {
        if (control.signal.aborted || error.name === "AbortError") return;
        if (!error.passing) {
          refused(error);
          return;
        }
      }
      await pause(waitFor(failures), control.signal);
    }
  }
  function drop() {
    wanted?.abort();
    wanted = null;
  }
  return { load, drop };
}
