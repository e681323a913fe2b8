// The toolbar, the buttons and the tabs: each shows the state, and changes it.

import { mountCalibration } from "./calibrate.js";
import { CHOICES } from "./choices.js";
import { parseTime } from "./clock.js";
import { announce, element } from "./elements.js";
import { givesBack } from "./focus.js";
import { bind } from "./keys.js";
import { mountSession } from "./session.js";
import { on } from "./store.js";
import { toQuery } from "./view.js";

const THEME = "ranvier:theme";
const WITHOUT_RECORDING = ["first", "back", "play", "next", "last", "goto", "slider", "link"];

const byId = (id) => document.getElementById(id);

/** Bind all controls of the layout to the store. */
export function mount(store, actions) {
  makeFields();
  for (const [id, choice] of Object.entries(CHOICES)) bindChoice(byId(id), choice, store, actions);
  bindButtons(store, actions);
  bindGoto(byId("goto"), store, actions);
  bindTheme(store);
  bindTabs();
  closeMenus();
  mountCalibration(store);
  mountSession();
  const show = (state) => {
    const missing = state.detail === null;
    for (const id of [...Object.keys(CHOICES), ...WITHOUT_RECORDING]) byId(id).disabled = missing;
    byId("follow").hidden = !state.live;
    pressed("follow", state.following);
    pressed("play", state.playing);
  };
  show(store.get());
  store.subscribe(on(["detail", "live", "following", "playing"], show));
}

/** Make what Dash has no element for. */
function makeFields() {
  byId("goto-place").append(
    element("input", {
      id: "goto",
      type: "text",
      placeholder: "h:mm:ss",
      title: "Go to a time (g), then Enter",
      autocomplete: "off",
      "aria-label": "Go to a time",
    }),
  );
  byId("slider-place").append(
    element("input", { id: "slider", type: "range", min: "0", max: "1", value: "0", "aria-label": "Position" }),
  );
}

function bindChoice(list, { member, entries, name, change }, store, actions) {
  let values = [];
  let shown = "";
  const show = (state) => {
    const offered = [...entries(state)];
    const chosen = state[member];
    if (!offered.some(([value]) => value === chosen)) {
      offered.push([chosen, name ? name(chosen) : String(chosen)]);
    }
    values = offered.map(([value]) => value);
    const now = JSON.stringify(offered);
    // A list that is open closes when its entries are replaced.
    if (now !== shown) fill(offered);
    shown = now;
    list.value = String(values.indexOf(chosen));
  };
  const fill = (offered) => {
    const options = offered.map(([, text, reason], number) =>
      element("option", {
        value: String(number),
        textContent: text,
        disabled: Boolean(reason),
        title: reason ?? "",
      }),
    );
    list.replaceChildren(...options);
  };
  const watched = [member, "montageList", "scale", "detail"];
  show(store.get());
  store.subscribe(on(watched, show));
  list.addEventListener("change", () => {
    const value = values[Number(list.value)];
    if (member === "window") actions.setWindow(value);
    else actions.change(change ? change(store.get(), value) : { [member]: value });
  });
  givesBack(list);
}

function bindButtons(store, actions) {
  const acts = {
    first: () => actions.toStart(),
    back: () => actions.turn(-1),
    play: () => actions.play(!store.get().playing),
    next: () => actions.turn(1),
    last: () => actions.toEnd(),
    follow: () => actions.follow(!store.get().following),
    home: () => actions.leave(),
    link: () => copyLink(store.get()),
  };
  for (const [id, act] of Object.entries(acts)) byId(id).addEventListener("click", act);
}

function pressed(id, yes) {
  byId(id).setAttribute("aria-pressed", String(yes));
}

function bindGoto(field, store, actions) {
  const judge = () => {
    const wrong = field.value.trim() !== "" && parseTime(store.get(), field.value) === null;
    field.setAttribute("aria-invalid", String(wrong));
    return !wrong;
  };
  field.addEventListener("input", judge);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    if (event.key === "Enter") {
      if (!judge()) return;
      const seconds = parseTime(store.get(), field.value);
      if (seconds !== null) actions.goTo(seconds);
    }
    field.value = "";
    judge();
    byId("traces").focus({ preventScroll: true });
  });
}

async function copyLink(state) {
  const link = `${location.origin}/?${toQuery(state)}`;
  const button = byId("link");
  try {
    await navigator.clipboard.writeText(link);
  } catch {
    if (!copyBySelecting(link)) {
      announce("The link could not be copied: take it from the browser's address.");
      return;
    }
  }
  announce("The link is copied.");
  button.dataset.done = "true";
  setTimeout(() => delete button.dataset.done, 1500);
}

/** Copy in the way of old: without TLS, browsers keep the clipboard's interface to themselves. */
function copyBySelecting(text) {
  const field = element("textarea", { value: text, className: "visually-hidden", readOnly: true });
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}

function bindTheme(store) {
  const show = ({ theme }) => {
    document.documentElement.dataset.theme = theme;
  };
  const change = () => store.set(({ theme }) => ({ theme: theme === "dark" ? "light" : "dark" }));
  for (const id of ["theme", "start-theme"]) byId(id).addEventListener("click", change);
  bind("t", change, "light or dark");
  show(store.get());
  store.subscribe(
    on(["theme"], (state) => {
      show(state);
      try {
        localStorage.setItem(THEME, state.theme);
      } catch {
        // no storage: then for this visit only
      }
    }),
  );
}

function bindTabs() {
  const tabs = ["marks", "channels"];
  const choose = (chosen) => {
    for (const each of tabs) {
      byId(each).hidden = each !== chosen;
      byId(`tab-${each}`).setAttribute("aria-selected", String(each === chosen));
      byId(`tab-${each}`).tabIndex = each === chosen ? 0 : -1;
    }
  };
  for (const [number, each] of tabs.entries()) {
    const tab = byId(`tab-${each}`);
    tab.addEventListener("click", () => choose(each));
    tab.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      event.preventDefault();
      event.stopPropagation();
      const other = tabs[(number + 1) % tabs.length];
      choose(other);
      byId(`tab-${other}`).focus();
    });
  }
  choose("marks");
}

/** Close a menu when something in it, or outside of it, is chosen. */
function closeMenus() {
  const menu = byId("export");
  document.addEventListener("pointerdown", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("click", (event) => {
    if (event.target.closest(".menu button")) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.stopPropagation();
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}
