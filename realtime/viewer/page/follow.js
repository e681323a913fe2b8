// A live recording tells when it has grown; who follows it stays on its last page.

import * as api from "./api.js";
import { waitFor } from "./backoff.js";
import { listAgain } from "./opening.js";
import { grownTo } from "./places.js";
import { on } from "./store.js";

const DETAIL_MS = 10_000; // between two looks at what else has changed, channels for example
// A connection that lasts so long counts as one; some proxies cut off each of them at once.
const STEADY_MS = 10_000;

export function mount(store) {
  let socket = null;
  let timer = 0;
  let failures = 0;
  let lookedAt = 0;

  function settle() {
    const { recording, detail, live } = store.get();
    close();
    if (recording && detail && live) {
      lookedAt = performance.now();
      connect();
    }
  }

  function close() {
    clearTimeout(timer);
    failures = 0;
    if (!socket) return;
    const old = socket;
    socket = null;
    old.close();
    store.set({ disconnected: false });
  }

  function connect() {
    const mine = new WebSocket(api.followUrl(store.get()));
    socket = mine;
    let since = Infinity; // when it began to tell
    mine.addEventListener("message", ({ data }) => {
      if (socket !== mine) return;
      since = Math.min(since, performance.now());
      const { type, end } = JSON.parse(data);
      store.set((state) => ({ ...grownTo(state, end), disconnected: false }));
      if (type === "sealed") sealed();
      else if (!store.get().curves.length || performance.now() - lookedAt > DETAIL_MS) look();
    });
    mine.addEventListener("close", () => {
      if (socket !== mine) return;
      socket = null;
      if (performance.now() - since > STEADY_MS) failures = 0;
      store.set({ disconnected: true });
      timer = setTimeout(again, 1000 * waitFor(failures));
      failures += 1;
    });
  }

  /** Meanwhile the recording may have been sealed, or be another's to read. */
  async function again() {
    await look();
    const { detail, live } = store.get();
    if (detail && live && !socket) connect();
  }

  async function sealed() {
    const { recording } = store.get();
    await look();
    // Whether or not its description could be read, nothing more comes in.
    if (store.get().recording === recording && store.get().live) store.set({ live: false });
  }

  async function look() {
    const asked = store.get();
    lookedAt = performance.now();
    try {
      const detail = await api.detail(asked);
      const { recording, patient } = store.get();
      if (recording !== asked.recording || patient !== asked.patient) return;
      const { curves } = store.get();
      store.set((state) => ({
        ...grownTo(state, detail.duration_sec),
        detail,
        live: detail.state === "live",
      }));
      if (store.get().curves.length !== curves.length) listAgain(store);
    } catch {
      // The next look will tell.
    }
  }

  store.subscribe(on(["recording", "patient", "live"], settle));
  addEventListener("pagehide", close);
  addEventListener("pageshow", ({ persisted }) => persisted && settle());
}
