// The address follows the view, and a link, or the way back, restores it.

import { on } from "./store.js";
import { DEFAULTS, fromQuery, toQuery } from "./view.js";

const REST_MS = 150; // the address follows when the view has come to rest

export function mount(store, actions) {
  let timer = 0;
  let restoring = false; // what is opened then is the address already

  function write(how) {
    clearTimeout(timer);
    timer = 0;
    const query = toQuery(store.get());
    const address = `${location.pathname}${query ? `?${query}` : ""}`;
    if (address !== location.pathname + location.search) history[how](null, "", address);
  }

  function restore() {
    clearTimeout(timer);
    timer = 0;
    restoring = true;
    try {
      show(fromQuery(location.search), new URLSearchParams(location.search).has("t"));
    } finally {
      restoring = false;
    }
  }

  function show(view, placed) {
    const { patient, recording, detail } = store.get();
    if (!view.recording) {
      if (recording) actions.leave();
    } else if (detail && view.recording === recording && view.patient === patient) {
      actions.show(view);
    } else {
      const { start, ...rest } = view;
      actions.open(view, placed ? { ...rest, start } : rest);
    }
  }

  store.subscribe(
    on(Object.keys(DEFAULTS), (now, before) => {
      const another = now.recording !== before.recording || now.patient !== before.patient;
      if (another && !restoring) {
        write("pushState");
        return;
      }
      clearTimeout(timer);
      timer = setTimeout(() => write("replaceState"), REST_MS);
    }),
  );
  addEventListener("popstate", restore);
  addEventListener("pagehide", () => timer && write("replaceState"));
  restore();
}
