// The page begins here: the store from the link, the modules, and the link from the store.

import { createActions } from "./actions.js";
import * as caliper from "./caliper.js";
import * as channelPanel from "./channel_panel.js";
import * as controls from "./controls.js";
import * as cursor from "./cursor.js";
import { curvesOf } from "./curves.js";
import * as density from "./density.js";
import * as exporting from "./export.js";
import * as follow from "./follow.js";
import * as jumps from "./jumps.js";
import * as keys from "./keys.js";
import * as links from "./links.js";
import * as markForm from "./mark_form.js";
import * as markList from "./mark_list.js";
import * as marks from "./marks.js";
import * as notices from "./notices.js";
import { CLOSED } from "./opening.js";
import * as pages from "./pages.js";
import * as picker from "./picker.js";
import * as player from "./player.js";
import * as position from "./position.js";
import { drawn } from "./rows.js";
import * as selection from "./selection.js";
import * as spectrum from "./spectrum.js";
import { createStore, on } from "./store.js";
import * as strip from "./strip.js";
import * as title from "./title.js";
import * as traces from "./traces.js";
import { DEFAULTS } from "./view.js";

const MM_PER_INCH = 25.4;
const MODULES = [
  ...[controls, channelPanel, picker, title, marks, markList, markForm, jumps],
  ...[cursor, caliper, selection, strip, density, spectrum, exporting],
  ...[position, player, follow, notices, keys],
];

function initial() {
  return {
    ...DEFAULTS,
    ...CLOSED,
    listed: null,
    drawing: null, // size of the canvases
    problem: null,
    speed: 5, // seconds of the recording per second, while playing
    theme: themeOf(),
    pxPerMm: Number(kept("ranvier:px-per-mm")) || 96 / MM_PER_INCH,
  };
}

/** Return what the browser has kept for us; some keep nothing. */
function kept(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function themeOf() {
  const theme = kept("ranvier:theme");
  if (theme === "light" || theme === "dark") return theme;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** Resolve when the layout stands. */
function laidOut() {
  if (document.getElementById("review")) return Promise.resolve();
  return new Promise((resolve) => {
    const watch = new MutationObserver(() => {
      if (!document.getElementById("review")) return;
      watch.disconnect();
      resolve();
    });
    watch.observe(document.body, { childList: true, subtree: true });
  });
}

async function begin() {
  const store = createStore(initial());
  const actions = createActions(store);
  globalThis.ranvier = {
    store,
    actions,
    get drawn() {
      return drawn(store.get());
    },
  };
  await laidOut();
  const part = ({ recording }) => {
    document.getElementById("start").hidden = recording !== null;
    document.getElementById("review").hidden = recording === null;
  };
  store.subscribe(on(["recording"], part));
  part(store.get());
  traces.mount(store);
  pages.mount(store);
  store.subscribe(
    on(["montage", "montageList", "detail"], ({ detail, montage, montageList, curves }) => {
      const now = curvesOf(detail, montage, montageList);
      // Of channels that are the same, nothing is drawn or asked for again.
      if (JSON.stringify(now) !== JSON.stringify(curves)) store.set({ curves: now });
    }),
  );
  for (const module of MODULES) {
    try {
      module.mount(store, actions);
    } catch (error) {
      // The traces are worth more than the part that failed; the console tells which it was.
      reportError(error);
    }
  }
  links.mount(store, actions);
}

begin();
