// Play mode: pages that turn by themselves, as quickly as the reader wants to go through the night.

import { on } from "./store.js";

/** Seconds of the recording per second; at 5, a page of 10 s stays for two. */
export const SPEEDS = [1, 2, 5, 10, 30];

/** Return the speed so many steps on. */
export function nextSpeed(speed, steps) {
  const at = SPEEDS.findLastIndex((each) => each <= speed);
  return SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + steps))];
}

export function mount(store, actions) {
  let timer = 0;

  // From when a page is seen, so that one that takes long to come is not cut short.
  function wait() {
    clearTimeout(timer);
    const { playing, pages, start, window, speed } = store.get();
    if (playing && pages?.start === start) timer = setTimeout(next, (1000 * window) / speed);
  }

  function next() {
    const { start, window, end, live } = store.get();
    if (start + window < end) {
      actions.turn(1);
      return;
    }
    actions.play(false);
    if (live) actions.follow(true);
  }

  store.subscribe(on(["playing", "pages", "start", "window", "speed"], wait));
}
