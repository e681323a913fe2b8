// What the page has to say: that it loads, that there is nothing here, what went wrong.

import { formatTime } from "./clock.js";
import { montageShown } from "./curves.js";
import { element } from "./elements.js";
import { holes } from "./grid.js";
import { on } from "./store.js";

const PATIENCE_MS = 150; // what comes sooner is not announced
const DIMS = new Set(["page", "recording"]);

export function mount(store, actions) {
  const place = document.getElementById("notice");
  const traces = document.getElementById("traces");
  let timer = 0;
  let slow = false; // loading for longer than patience lasts
  let shown = "[]";
  const waved = new Set(); // notices that were put away, until they would say something else

  function show() {
    const state = store.get();
    const notices = noticesOf(state, slow).filter((each) => !waved.has(wordsOf(each)));
    const words = JSON.stringify(notices.map(wordsOf));
    traces.classList.toggle("dimmed", isOld(state, slow));
    traces.setAttribute("aria-busy", String(state.loading));
    if (words === shown) return;
    shown = words;
    place.replaceChildren(...notices.map((each) => drawn(each)));
  }

  function drawn({ kind, title, text, acts = [], stays }) {
    const buttons = acts.map(([name, act]) =>
      element("button", { type: "button", textContent: name, onclick: () => act(store, actions) }),
    );
    const away = () => {
      // What is tried again by itself stays put away until it succeeds or says something else.
      if (["export", "mark"].includes(store.get().problem?.where) && kind === "problem") {
        store.set({ problem: null });
        return;
      }
      waved.add(wordsOf({ kind, title, text }));
      show();
    };
    return element(
      "div",
      { className: "notice", dataset: { kind } },
      title ? element("strong", { textContent: title }) : null,
      title ? " " : null,
      text ? element("span", { textContent: text }) : null,
      ...buttons,
      stays
        ? null
        : element("button", {
            type: "button",
            className: "icon",
            textContent: "×",
            "aria-label": "Put this notice away",
            onclick: away,
          }),
    );
  }

  store.subscribe(
    on(["loading"], ({ loading }) => {
      clearTimeout(timer);
      slow = false;
      if (loading) {
        timer = setTimeout(() => {
          slow = true;
          show();
        }, PATIENCE_MS);
      }
    }),
  );
  store.subscribe(on(["recording", "start"], () => waved.clear()));
  store.subscribe(on(["problem"], ({ problem }) => problem ?? waved.clear()));
  store.subscribe(
    on(
      [
        ...["loading", "problem", "pages", "curves", "hidden", "montage", "montageList"],
        ...["montageProblems", "detail", "end", "live", "disconnected", "clock"],
      ],
      show,
    ),
  );
  show();
}

/** Whether what is drawn is not what was asked for: it cannot be had, or takes its time. */
function isOld({ problem, loading, pages, start, window }, slow) {
  if (DIMS.has(problem?.where)) return true;
  return slow && loading && pages !== null && (pages.start !== start || pages.window !== window);
}

const wordsOf = ({ kind, title, text }) => `${kind}|${title}|${text}`;

/** Return what a state gives to say, the most pressing first. */
export function noticesOf(state, slow = false) {
  const said = [];
  if (state.problem) said.push(ofProblem(state, state.problem));
  if (!state.recording) return said;
  const stuck = DIMS.has(state.problem?.where);
  if (state.disconnected && state.live && !stuck) {
    const text = "The connection to the live recording is lost. Trying again.";
    said.push({ kind: "hint", text, stays: true });
  }
  if (state.detail && state.end <= 0) said.push(ofNothing(state));
  else if (state.curves.length && state.curves.every(({ key }) => state.hidden.includes(key))) {
    said.push({
      kind: "hint",
      text: "All channels are hidden.",
      acts: [["Show all", (_, actions) => actions.change({ hidden: Object.freeze([]) })]],
      stays: true,
    });
  } else if (!stuck) said.push(...ofMontage(state), ...ofHole(state));
  for (const text of state.montageProblems ?? []) {
    said.push({ kind: "hint", text });
  }
  if (slow && state.loading && !stuck) {
    said.push({ kind: "loading", text: "Loading…", stays: true });
  }
  return said;
}

function ofProblem(state, problem) {
  const acts = [];
  if (["hp", "lp", "notch"].includes(problem.field)) {
    const off = { hp: null, lp: null, notch: null };
    acts.push(["Filters off", (_, actions) => actions.change(off)]);
  }
  if (["montage", "derive", "channels"].includes(problem.field) && state.montage !== "recorded") {
    acts.push(["As recorded", (_, actions) => actions.change({ montage: "recorded" })]);
  }
  if (DIMS.has(problem.where)) acts.push(["Try again", (_, actions) => actions.reload()]);
  if (problem.where === "recording") acts.push(["Recordings", (_, actions) => actions.leave()]);
  const { title, hint } = problem;
  return { kind: "problem", title, text: hint, acts, stays: DIMS.has(problem.where) };
}

function ofNothing({ live }) {
  const text = live
    ? "Nothing has been recorded yet. This page shows it as soon as it comes in."
    : "This recording is empty: it holds no samples.";
  return { kind: "hint", text, stays: true };
}

function ofMontage(state) {
  const { montage, montageList, curves } = state;
  if (montage === "recorded" || !curves.length || montageShown(state)) return [];
  const found = montageList.find((each) => each.name === montage);
  const none = montageList.length ? "There is none of this name." : "No montages are known.";
  const reason = found ? `${found.reason}.` : none;
  return [
    {
      kind: "hint",
      title: `The montage ${found?.title ?? montage} cannot be shown.`,
      text: `${reason} Channels are as recorded.`,
      acts: [["As recorded", (_, actions) => actions.change({ montage: "recorded" })]],
    },
  ];
}

/** Say so where a page holds nothing at all, and where it goes on. */
function ofHole(state) {
  const { pages, detail, start } = state;
  if (!pages || pages.start !== start || !pages.groups.length) return [];
  const last = Math.min(pages.start + pages.window, pages.end);
  const [hole] = holes(state);
  if (!hole || hole[0] > pages.start || hole[1] < last - 1e-6) return [];
  const extents = detail.groups.flatMap((group) => group.extents);
  const from = Math.max(0, ...extents.map(([, to]) => to).filter((to) => to <= pages.start + 1e-6));
  const next = Math.min(...extents.map(([at]) => at).filter((at) => at >= last - 1e-6));
  const time = (seconds) => formatTime(state, seconds, 0);
  if (!Number.isFinite(next)) {
    return [{ kind: "hint", text: `Nothing was recorded from ${time(from)} on.` }];
  }
  return [
    {
      kind: "hint",
      text: `Nothing was recorded from ${time(from)} to ${time(next)}.`,
      acts: [
        ["Go to the next samples", (_, actions) => actions.goTo(next)],
        ["Back to the last", (_, actions) => actions.goTo(Math.max(0, from - state.window))],
      ].slice(0, from > 0 ? 2 : 1),
    },
  ];
}
