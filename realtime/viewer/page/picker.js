// The start page: which recordings there are, to be sorted, filtered and opened.

import { recordings } from "./api.js";
import { waitFor } from "./backoff.js";
import { element, setText } from "./elements.js";
import { longList } from "./long_list.js";
import { arranged, COLUMNS } from "./recording_columns.js";
import { on } from "./store.js";
import { DEFAULTS, toQuery } from "./view.js";

const ROW = 2.6; // rem
const AGAIN_MS = 4000;

export function mount(store, actions) {
  const place = document.getElementById("picker");
  if (!place) return;
  const order = { by: "patient", down: false };
  const filter = element("input", {
    type: "search",
    className: "picker-filter",
    placeholder: "Filter by patient or recording",
    autocomplete: "off",
    spellcheck: false,
    "aria-label": "Filter by patient or recording",
    oninput: () => show(),
    onkeydown: enter,
  });
  const count = element("span", { className: "picker-count", role: "status" });
  const problem = element("div", { className: "picker-problem", role: "alert", hidden: true });
  const empty = element("div", { className: "picker-empty", hidden: true });
  const head = element("div", { className: "picker-head", role: "row" });
  for (const { name, title } of COLUMNS) {
    const members = { type: "button", className: "picker-sort", dataset: { sort: name } };
    const sort = element("button", { ...members, onclick: () => sortBy(name) }, title);
    head.append(element("div", { role: "columnheader", dataset: { column: name } }, sort));
  }
  const scroller = element("div", { className: "picker-list", role: "rowgroup" });
  const table = element(
    "div",
    { className: "picker-table", role: "table", "aria-label": "Recordings" },
    element("div", { role: "rowgroup" }, head),
    scroller,
  );
  place.append(
    element("div", { className: "picker-bar" }, element("h1", {}, "Recordings"), filter, count),
    problem,
    empty,
    table,
  );
  const list = longList(scroller, {
    height: ROW,
    keyOf: (one) => JSON.stringify([one.patient_id, one.recording_id]),
    make: emptyRow,
    fill: fillRow,
  });
  let shown = [];
  let timer = null;
  let failures = 0;
  let asking = null;

  function emptyRow() {
    const row = element("div", { className: "picker-row", role: "row", onclick: clicked });
    for (const { name } of COLUMNS) {
      const inside =
        name === "recording"
          ? element("a", { className: "picker-link", dir: "auto", "data-focus": "" })
          : element("span", { dir: "auto" });
      const cell = element("div", { role: "cell", dataset: { column: name } }, inside);
      if (name === "state") {
        cell.prepend(element("span", { className: "lamp", "aria-hidden": "true" }));
      }
      row.append(cell);
    }
    return row;
  }

  function fillRow(row, one, index, total) {
    row.setAttribute("aria-rowindex", index + 2);
    scroller.parentElement.setAttribute("aria-rowcount", total + 1);
    COLUMNS.forEach(({ name, text }, number) => {
      const inside = row.children[number].lastElementChild;
      setText(inside, text(one));
      if (name === "patient" || name === "recording") inside.title = text(one);
      if (name === "state") row.children[number].firstElementChild.dataset.state = one.state;
    });
    const view = { ...DEFAULTS, patient: one.patient_id, recording: one.recording_id };
    row.querySelector("a").href = `/?${toQuery(view)}`;
  }

  function clicked(event) {
    // With a modifier the link does what links do: it opens elsewhere.
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    open(list.item(Number(event.currentTarget.dataset.index)));
  }

  function open(one) {
    if (one) actions.open({ patient: one.patient_id, recording: one.recording_id }, {});
  }

  function enter(event) {
    if (event.key === "Enter") open(shown[0]);
    else if (event.key === "ArrowDown") list.focus(0);
    else if (event.key === "Escape" && filter.value) {
      filter.value = "";
      show();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function sortBy(name) {
    order.down = order.by === name && !order.down;
    order.by = name;
    scroller.scrollTop = 0;
    show();
  }

  function show() {
    const { listed } = store.get();
    for (const cell of head.children) {
      const sorted = cell.dataset.column === order.by;
      cell.setAttribute("aria-sort", !sorted ? "none" : order.down ? "descending" : "ascending");
    }
    shown = listed ? arranged(listed, filter.value, order) : [];
    list.show(shown);
    const all = listed?.length ?? 0;
    const counted = all === 1 ? "1 recording" : `${all.toLocaleString("en")} recordings`;
    const some = shown.length === all ? "" : `${shown.length.toLocaleString("en")} of `;
    setText(count, listed ? some + counted : "");
    table.hidden = !shown.length;
    explain(listed);
  }

  function explain(listed) {
    empty.hidden = Boolean(shown.length) || (!listed && !problem.hidden);
    const about = !listed ? "loading" : !listed.length ? "none" : "filtered";
    if (empty.dataset.about === about && about !== "filtered") return;
    empty.dataset.about = about;
    if (about === "loading") empty.replaceChildren(element("p", {}, "Loading the recordings…"));
    else if (about === "none") {
      empty.replaceChildren(
        element("h2", {}, "There are no recordings yet"),
        element("p", {}, "Take in a folder of EDF, BDF or other files:"),
        element("pre", {}, element("code", {}, "ranvier ingest FOLDER")),
        element("p", {}, "or send one as a wearable device would, and watch it grow:"),
        element("pre", {}, element("code", {}, "ranvier simulate wearable FILE")),
        element("p", {}, "They appear here by themselves."),
      );
    } else {
      empty.replaceChildren(
        element("p", {}, `No patient or recording matches “${filter.value.trim()}”.`),
        element(
          "button",
          {
            type: "button",
            onclick: () => {
              filter.value = "";
              show();
              filter.focus();
            },
          },
          "Show all",
        ),
      );
    }
  }

  async function load() {
    clearTimeout(timer);
    asking?.abort();
    const mine = (asking = new AbortController());
    try {
      const listed = await recordings(mine.signal);
      if (asking !== mine) return;
      failures = 0;
      settle(null);
      store.set({ listed });
      show();
      timer = setTimeout(again, AGAIN_MS);
    } catch (error) {
      if (asking !== mine || error.name === "AbortError") return;
      settle(error);
      show();
      if (error.status === 401) return; // the sign-in page comes
      timer = setTimeout(again, 1000 * waitFor(failures));
      failures += 1;
    }
  }

  /** Show why there is no list, or that there is one again. */
  function settle(error) {
    problem.hidden = !error;
    if (!error) {
      problem.replaceChildren();
    } else if (error.passing ?? false) {
      problem.replaceChildren(
        element("strong", {}, "The recordings service does not answer. "),
        `${error.message}. Is “ranvier serve records” running? Trying again by itself.`,
      );
    } else {
      const title = element("strong", {}, "The recordings cannot be listed. ");
      problem.replaceChildren(title, error.message);
    }
    if (error) {
      const title = "The recordings cannot be listed";
      const { message: hint, passing = false, status } = error;
      store.set({ problem: { where: "recordings", title, hint, passing, status } });
    } else if (store.get().problem?.where === "recordings") store.set({ problem: null });
  }

  function again() {
    if (store.get().recording) return;
    if (document.hidden) timer = setTimeout(again, AGAIN_MS);
    else load();
  }

  function enterOrLeave() {
    if (store.get().recording) {
      clearTimeout(timer);
      asking?.abort();
      asking = null;
      if (store.get().problem?.where === "recordings") store.set({ problem: null });
    } else {
      failures = 0;
      show();
      load();
      filter.focus({ preventScroll: true });
    }
  }

  store.subscribe(on(["recording"], enterOrLeave));
  enterOrLeave();
}
