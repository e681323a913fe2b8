// What people can do to the view; buttons, keys and marks all end here.

import { createOpening } from "./opening.js";
import { held, refresh } from "./pages.js";
import { farthest, lastPage } from "./places.js";
import { nextSpeed } from "./player.js";
import { DEFAULTS } from "./view.js";

/** Return the actions on a store. */
export function createActions(store) {
  const opening = createOpening(store);

  /** Show another place, with its page in the same breath if it is at hand. */
  function place(start, change = {}) {
    const rounded = Number(Math.max(0, start).toFixed(6));
    const members = { turn: null, ...change, start: rounded };
    const state = { ...store.get(), ...members };
    const page = state.detail ? held(state) : null;
    store.set(page ? { ...members, pages: page } : members);
  }

  const actions = {
    /** Open a recording; `view` says how, as far as it is not as ever. */
    open: ({ patient, recording }, view = {}) => opening.open({ patient, recording }, view),

    /** Go back to the list of recordings. */
    leave: () => opening.leave(),

    /**
     * Turn so many pages; the last one may be shorter. `stamp` is when the key was pressed.
     */
    turn(pages, stamp = null) {
      const { start, window, end } = store.get();
      if (pages > 0 && start + pages * window >= end) {
        if (start + window < end) actions.toEnd();
        return;
      }
      place(start + pages * window, { turn: stamp, ...(pages < 0 ? { following: false } : {}) });
    },

    /** Move by seconds, as far as the page is full. */
    step(seconds) {
      const state = store.get();
      const start = state.start + seconds;
      if (seconds > 0 && start > farthest(state)) {
        if (state.start < farthest(state)) place(farthest(state));
        return;
      }
      place(start, seconds < 0 ? { following: false } : {});
    },

    toStart() {
      place(0, { following: false });
    },

    /** Show the last page; one that still grows is followed from there. */
    toEnd() {
      const { end, window, live } = store.get();
      place(lastPage(end, window), live ? { following: true } : {});
    },

    /** Show a place; near the end, the page that ends there. */
    goTo(seconds) {
      if (!Number.isFinite(seconds)) return;
      place(Math.min(seconds, farthest(store.get())), { following: false });
    },

    setWindow(window) {
      const { start, following, end } = store.get();
      place(following ? lastPage(end, window) : start, { window });
    },

    /** Change how the recording is looked at. */
    change(view) {
      store.set(view);
    },

    /** Show a whole view of the recording that is open: place, filters, and all. */
    show(view) {
      const { start, ...rest } = { ...DEFAULTS, ...view };
      const { end } = store.get();
      const latest = Math.max(farthest({ end, ...rest }), lastPage(end, rest.window));
      store.set({ ...rest, start: Math.min(start, latest), following: false });
    },

    play(playing) {
      store.set({ playing });
    },

    /** Play faster, or more slowly. */
    pace(steps) {
      store.set(({ speed }) => ({ speed: nextSpeed(speed, steps) }));
    },

    /** Stay at the end of a recording that is still growing, or stop doing so. */
    follow(following) {
      if (following) actions.toEnd();
      else store.set({ following: false });
    },

    /** Ask again for everything. */
    reload() {
      store.set({ problem: null });
      if (store.get().detail) refresh();
      else opening.again();
    },
  };
  return actions;
}
