// The list of marks beside the traces: by onset, to be filtered, gone to, and edited.

import { annotations as listAnnotations } from "./api.js";
import { formatDuration, formatTime } from "./clock.js";
import { element, oneLine, setText } from "./elements.js";
import { longList } from "./long_list.js";
import { addMark, editMark } from "./mark_form.js";
import { goToMark, KIND_NAMES, kindOf, matches, matching } from "./marks.js";
import { on } from "./store.js";

const ROW = 3.2; // rem
const TITLE = 500; // letters that are shown of a text when pointed at

/** Return the last version of each mark that was voided, of a list of all versions. */
export function voidedOf(versions) {
  const last = new Map();
  for (const one of versions) {
    const known = last.get(one.annotation_id);
    if (!known || known.version < one.version) last.set(one.annotation_id, one);
  }
  return [...last.values()].filter((one) => one.voided);
}

export function mount(store, actions) {
  const place = document.getElementById("marks");
  if (!place) return;
  const filter = element("input", {
    id: "mark-text",
    type: "search",
    placeholder: "Filter marks",
    autocomplete: "off",
    spellcheck: false,
    "aria-label": "Filter marks by text",
    title: "Filter by text, kind or author; n and p then go through what is left",
    oninput: () => store.set({ markText: filter.value }),
    onkeydown: (event) => {
      if (event.key === "ArrowDown") list.focus(0);
      else if (event.key === "Enter" && shown.length) go(shown[0]);
      else return;
      event.preventDefault();
    },
  });
  const title = "Mark the stretch or the cursor (m)";
  const add = element("button", { id: "mark-add", type: "button", title, onclick: addMark }, "Add");
  const history = element("input", { id: "mark-history", type: "checkbox", onchange: lookBack });
  const empty = element("p", { className: "marks-empty" });
  const scroller = element("div", { className: "marks-list", role: "grid", "aria-label": "Marks" });
  const bar = element("div", { className: "marks-bar" }, filter, add);
  const voidedToo = element("label", { className: "marks-history" }, history, " voided marks too");
  const seizures =
    document.getElementById("seizures") ??
    element("div", { id: "seizures", role: "group", "aria-label": "Seizures" });
  if (place.contains(seizures)) place.append(bar, voidedToo, empty, scroller);
  else place.append(...(seizures.isConnected ? [] : [seizures]), bar, voidedToo, empty, scroller);

  const list = longList(scroller, {
    height: ROW,
    keyOf: (mark) => mark.annotation_id,
    make: emptyRow,
    fill: fillRow,
  });
  let shown = [];
  let voided = []; // marks that do not count any more, while they are asked for
  let turn = 0;

  function emptyRow() {
    const edit = element("button", {
      type: "button",
      title: "Edit, or see its versions",
      tabIndex: -1,
      onclick: (event) => {
        event.stopPropagation();
        editMark(itemOf(event));
      },
    });
    edit.textContent = "✎";
    return element(
      "div",
      {
        className: "mark-row",
        role: "row",
        tabIndex: -1,
        onclick: (event) => go(itemOf(event)),
        ondblclick: (event) => editMark(itemOf(event)),
        onkeydown: (event) => {
          if (event.target !== event.currentTarget) return;
          if (event.key === "Enter") go(itemOf(event));
          else if (event.key === "e" || event.key === "F2") editMark(itemOf(event));
          else return;
          event.preventDefault();
          event.stopPropagation();
        },
      },
      element("span", { className: "mark-dot", role: "gridcell" }),
      element("span", { className: "mark-time", role: "gridcell" }),
      element(
        "span",
        { className: "mark-about", role: "gridcell" },
        element("span", { className: "mark-duration" }),
        element("span", { className: "mark-hint", dir: "auto" }),
      ),
      element("span", { className: "mark-text", role: "gridcell", dir: "auto" }),
      element("span", { className: "mark-edit", role: "gridcell" }, edit),
    );
  }

  const itemOf = (event) =>
    list.item(Number(event.currentTarget.closest("[data-index]").dataset.index));

  function fillRow(row, mark, index, count) {
    const state = store.get();
    const [dot, time, about, text, tools] = row.children;
    const [duration, hint] = about.children;
    row.dataset.kind = kindOf(mark);
    row.setAttribute("aria-selected", String(mark.annotation_id === state.selected));
    row.setAttribute("aria-rowindex", index + 1);
    scroller.setAttribute("aria-rowcount", count);
    if (mark.voided) row.dataset.voided = "";
    else delete row.dataset.voided;
    dot.title = KIND_NAMES[kindOf(mark)];
    dot.setAttribute("aria-label", dot.title);
    setText(time, formatTime(state, mark.onset));
    setText(duration, mark.duration ? formatDuration(mark.duration) : "");
    setText(text, oneLine(mark.text));
    row.title = mark.text.slice(0, TITLE);
    setText(hint, hintOf(mark));
    tools.firstElementChild.setAttribute("aria-label", `Edit ${oneLine(mark.text, 60)}`);
  }

  function hintOf(mark) {
    const parts = [];
    if (mark.voided) parts.push(`voided: ${oneLine(mark.reason ?? "", 60)}`);
    if (mark.beyond_end) parts.push("beyond the end");
    const { channels } = mark;
    if (channels.length > 2) parts.push(`${channels.length} channels`);
    else if (channels.length) parts.push(channels.join(", "));
    parts.push(oneLine(mark.author, 40));
    if (mark.version > 1) parts.push(`v${mark.version}`);
    return parts.join(" · ");
  }

  function go(mark) {
    if (mark) goToMark(store, actions, mark);
  }

  async function lookBack() {
    const { patient, recording } = store.get();
    turn += 1;
    const mine = turn;
    if (!history.checked || !recording) {
      voided = [];
      show(store.get());
      return;
    }
    try {
      const found = voidedOf(await listAnnotations({ patient, recording }, true));
      if (mine === turn) voided = found;
    } catch {
      if (mine === turn) voided = []; // why is told where the marks themselves are loaded
    }
    if (mine === turn) show(store.get());
  }

  function show(state) {
    if (filter.value !== (state.markText ?? "")) filter.value = state.markText ?? "";
    const text = (state.markText ?? "").trim().toLowerCase();
    shown = matching(state);
    if (voided.length) {
      const more = text ? voided.filter((mark) => matches(mark, text)) : voided;
      shown = [...shown, ...more].sort((one, other) => one.onset - other.onset);
    }
    empty.hidden = shown.length > 0 || !state.detail;
    if (!state.annotations.length) setText(empty, "No marks yet. Press m to mark something.");
    else setText(empty, "No mark matches the filter.");
    list.show(shown);
  }

  function select(state) {
    list.refresh();
    const index = shown.findIndex((mark) => mark.annotation_id === state.selected);
    if (index >= 0) list.reveal(index);
  }

  store.subscribe(on(["patient", "recording"], lookBack));
  store.subscribe(on(["annotations"], () => history.checked && lookBack()));
  store.subscribe(on(["annotations", "markText", "detail"], show));
  store.subscribe(on(["clock", "detail"], list.refresh));
  store.subscribe(on(["selected"], select));
  show(store.get());
}
