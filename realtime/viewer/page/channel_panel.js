// The list of channels beside the traces: show, hide, order, scale.

import { LARGER, SMALLER, fitting, moved, ordered, scaled, showing, stepped } from "./channel_order.js";
import { element, setText } from "./elements.js";
import { gainOf } from "./rows.js";
import { on } from "./store.js";
import { DEFAULTS } from "./view.js";

export function mount(store, actions) {
  const place = document.getElementById("channels");
  const filter = element("input", {
    id: "channel-filter",
    type: "search",
    placeholder: "Filter channels",
    autocomplete: "off",
    spellcheck: false,
    "aria-label": "Filter channels by label",
    oninput: () => rebuild(),
  });
  const count = element("span", { className: "channels-count" });
  const list = element("ul", { className: "channels-list", "aria-label": "Channels" });
  const empty = element("p", { className: "channels-empty", hidden: true }, "No channel matches the filter.");
  const act = (id, text, title, onclick) => element("button", { id, type: "button", title, onclick }, text);
  place.append(
    element("div", { className: "channels-bar" }, filter, count),
    element(
      "div",
      { className: "channels-bar" },
      act("channels-all", "All", "Show all that are listed", () => change(showing, listed(), true)),
      act("channels-none", "None", "Hide all that are listed", () => change(showing, listed(), false)),
      act("channels-fit", "Fit", "Scale each to its row, by this page", () => fit(listed())),
      act("channels-reset", "Reset", "Show all, as recorded, without gains", () =>
        actions.change({ hidden: DEFAULTS.hidden, order: DEFAULTS.order, gains: DEFAULTS.gains }),
      ),
    ),
    empty,
    list,
  );
  const rows = new Map(); // key -> row, in the order of the list
  const made = new Map(); // the same of all channels, listed or not

  const change = (make, ...args) => actions.change(make(store.get(), ...args));
  const listed = () => [...rows.keys()];
  const fit = (keys) => change(scaled, fitting(store.get(), keys));
  const times = (key, factor) => change(scaled, new Map([[key, gainOf(store.get(), key) * factor]]));

  function rebuild() {
    const text = filter.value.trim().toLowerCase();
    const held = document.activeElement?.closest?.(".channel-row")?.dataset.key;
    const act = document.activeElement?.dataset?.act;
    rows.clear();
    for (const curve of ordered(store.get())) {
      if (!curve.label.toLowerCase().includes(text)) continue;
      if (!made.has(curve.key)) made.set(curve.key, makeRow(curve));
      rows.set(curve.key, made.get(curve.key));
    }
    list.replaceChildren(...rows.values());
    empty.hidden = rows.size > 0 || !store.get().curves.length;
    refresh();
    // A row that was moved keeps the focus, so that it can be moved on.
    if (held && rows.has(held)) rows.get(held).querySelector(`[data-act="${act}"]`)?.focus();
  }

  function makeRow({ key, label, unit }) {
    const button = (act, text, title, onclick) =>
      element(
        "button",
        { type: "button", title, onclick, dataset: { act }, "aria-label": `${title}: ${label}` },
        text,
      );
    const shown = element("input", {
      type: "checkbox",
      dataset: { act: "show" },
      "aria-label": `Show ${label}`,
      onchange: () => change(showing, [key], shown.checked),
    });
    const name = element(
      "span",
      { className: "channel-name", title: `${label} (drag to reorder)` },
      element("b", { dir: "auto" }, label),
      element("small", {}, unit === "uV" ? "" : unit),
    );
    return element(
      "li",
      { className: "channel-row", dataset: { key } },
      shown,
      name,
      element("span", { className: "channel-gain" }),
      element(
        "span",
        { className: "channel-acts" },
        button("smaller", "−", "Smaller", () => times(key, SMALLER)),
        button("larger", "+", "Larger", () => times(key, LARGER)),
        button("fit", "⤢", "Fit its row", () => fit([key])),
        button("up", "↑", "Further up", () => change(stepped, key, -1, listed())),
        button("down", "↓", "Further down", () => change(stepped, key, 1, listed())),
      ),
    );
  }

  function refresh() {
    const { hidden, curves } = store.get();
    const off = new Set(hidden);
    for (const [key, row] of rows) {
      row.querySelector("input").checked = !off.has(key);
      row.toggleAttribute("data-off", off.has(key));
      const gain = gainOf(store.get(), key);
      setText(row.querySelector(".channel-gain"), gain === 1 ? "" : `×${Number(gain.toPrecision(2))}`);
    }
    const shown = curves.filter((curve) => !off.has(curve.key)).length;
    setText(count, curves.length ? `${shown} of ${curves.length}` : "");
  }

  dragging(list, (key, target, after) => change(moved, key, target, after));
  store.subscribe(on(["curves"], () => made.clear()));
  store.subscribe(on(["curves", "order"], rebuild));
  store.subscribe(on(["hidden", "gains"], refresh));
  rebuild();
}

/** Let a row be dragged by its name; `drop(key, target, after)` says where it was let go. */
function dragging(list, drop) {
  let dragged = null;
  let over = null;
  const clear = () => {
    over?.removeAttribute("data-target");
    over = null;
  };
  list.addEventListener("pointerdown", (event) => {
    const name = event.target.closest(".channel-name");
    if (!name || event.button !== 0) return;
    event.preventDefault();
    dragged = name.closest(".channel-row");
    list.setPointerCapture(event.pointerId);
  });
  list.addEventListener("pointermove", (event) => {
    if (!dragged) return;
    clear();
    dragged.toggleAttribute("data-dragged", true);
    const bounds = list.getBoundingClientRect();
    if (event.clientY < bounds.top + 16) list.scrollTop -= 12;
    else if (event.clientY > bounds.bottom - 16) list.scrollTop += 12;
    const found = document
      .elementFromPoint(bounds.left + bounds.width / 2, event.clientY)
      ?.closest(".channel-row");
    if (!found || found === dragged || !list.contains(found)) return;
    over = found;
    const { top, height } = found.getBoundingClientRect();
    over.dataset.target = event.clientY > top + height / 2 ? "after" : "before";
  });
  for (const name of ["pointerup", "pointercancel"]) {
    list.addEventListener(name, () => {
      const [row, target] = [dragged, over];
      const after = over?.dataset.target === "after";
      dragged?.removeAttribute("data-dragged");
      dragged = null;
      clear();
      if (name === "pointerup" && row && target) drop(row.dataset.key, target.dataset.key, after);
    });
  }
}
