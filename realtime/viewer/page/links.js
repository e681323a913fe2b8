// The address follows the view, and a link, or the way back, restores it.

import { on } from "./store.js";
import { DEFAULTS, fromQuery, toQuery } from "./view.js";

const REST_MS = 150; // the address follows when the view has come to rest
// A page that is loaded anew stays at the end; a link that is copied is of the place alone.
const FOLLOW = "&follow=1";

export function mount(store, actions) {
  let timer = 0;
  let restoring = false; // what is opened then is the address already

  function write(how) {
    clearTimeout(timer);
    timer = 0;
    const query = toQuery(store.get());
    const { live, following } = store.get();
    const asked = live && following ? `${query}${FOLLOW}` : query;
    const address = `${location.pathname}${asked ? `?${asked}` : ""}`;
    if (address !== location.pathname + location.search) history[how](null, "", address);
  }

  function restore() {
    clearTimeout(timer);
    timer = 0;
    restoring = true;
    try {
      const query = new URLSearchParams(location.search);
      show(fromQuery(location.search), query.has("t"), query.get("follow") === "1");
    } finally {
      restoring = false;
    }
  }

  function show(view, placed, following) {
    const { patient, recording, detail, live } = store.get();
    if (!view.recording) {
      if (recording) actions.leave();
    } else if (detail && view.recording === recording && view.patient === patient) {
      actions.show(view);
      if (live && following) actions.follow(true);
    } else {
      const { start, ...rest } = view;
      actions.open(view, placed ? { ...rest, start, following } : rest);
    }
  }

  store.subscribe(
    on([...Object.keys(DEFAULTS), "live", "following"], (now, before) => {
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
