// One place for what the page shows; whoever shows something listens to it.

/**
 * Return a store of one frozen state.
 *
 * `set` takes the members that change, or a function from the state to them. Listeners are called
 * once per change, in the order in which they came, with the new state and the one before; what a
 * listener sets is heard by all after the present round.
 */
export function createStore(initial) {
  let state = Object.freeze({ ...initial });
  const listeners = new Set();
  const waiting = [];
  let telling = false;

  function tell() {
    telling = true;
    try {
      while (waiting.length) {
        const [now, before] = waiting.shift();
        for (const listener of [...listeners]) {
          try {
            listener(now, before);
          } catch (error) {
            // The others have to hear of it all the same.
            reportError(error);
          }
        }
      }
    } finally {
      telling = false;
    }
  }

  return {
    get: () => state,
    set(change) {
      const members = typeof change === "function" ? change(state) : change;
      const names = Object.keys(members).filter((name) => !Object.is(state[name], members[name]));
      if (!names.length) return;
      const before = state;
      state = Object.freeze({ ...state, ...members });
      waiting.push([state, before]);
      if (!telling) tell();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Return a listener that acts only when one of some members has changed. */
export function on(names, act) {
  return (now, before) => {
    if (names.some((name) => !Object.is(now[name], before[name]))) act(now, before);
  };
}
