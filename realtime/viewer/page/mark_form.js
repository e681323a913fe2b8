// The dialog in which a mark is added, edited or voided: every change is a further version.

import * as api from "./api.js";
import { formatTime } from "./clock.js";
import { announce, element, setText } from "./elements.js";
import { recordedOf } from "./mark_channels.js";
import { createFields, labelled } from "./mark_fields.js";
import { draftOf, mountKeys } from "./mark_keys.js";
import { changesOf, draftFrom, historyOf, itemText, mergedOf } from "./mark_versions.js";
import { newId } from "./mark_ids.js";
import { reloadMarks } from "./marks.js";
import { on } from "./store.js";

let show = () => {}; // set by mount
let begin = () => {};

/** Open the dialog for a new mark: at the selected stretch, or where the cursor is. */
export const addMark = () => begin();

/** Open the dialog for a mark that is there. */
export const editMark = (mark) => show(draftFrom(mark), mark);

export function mount(store) {
  const dialog = document.getElementById("mark-form");
  if (!dialog) return;
  let base = null; // the version that is edited; null for a new mark
  let where = null; // the recording for which it was opened
  let id = null; // of the mark that this form may add: sent again, it is stored once

  const heading = element("h2", { id: "mark-heading" });
  const reason = element("input", {
    name: "reason",
    type: "text",
    maxLength: 2000,
    autocomplete: "off",
    oninput: () => reason.setCustomValidity(""),
  });
  const reasonField = labelled("Reason for the change", reason);
  const conflict = element("div", { className: "form-conflict", role: "alert", hidden: true });
  const refused = element("p", { className: "form-error", role: "alert", hidden: true });
  const save = element("button", { type: "submit", className: "primary" });
  const voiding = element(
    "button",
    {
      type: "button",
      className: "danger",
      onclick: voidIt,
      title: "It counts no longer; its versions are kept",
    },
    "Void",
  );
  const cancel = element("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const counted = element("summary");
  const versions = element("ol", { className: "mark-versions" });
  const past = element("details", { className: "mark-past" }, counted, versions);
  const fields = createFields(store.get, () => form.requestSubmit(save));
  const form = element(
    "form",
    { className: "mark-fields", method: "dialog", onsubmit: submit },
    heading,
    ...fields.parts,
    reasonField,
    conflict,
    refused,
    element("div", { className: "form-buttons" }, voiding, cancel, save),
    past,
  );
  dialog.setAttribute("aria-labelledby", heading.id);
  dialog.append(form);

  function open(draft, item = null) {
    const { patient, recording } = store.get();
    if (!recording || dialog.open) return;
    where = { patient, recording };
    id = newId();
    base = item;
    reason.value = "";
    reason.setCustomValidity("");
    past.hidden = !base;
    past.open = Boolean(base?.voided);
    conflict.hidden = refused.hidden = true;
    busy(false);
    fill(draft);
    dialog.showModal();
    fields.focus();
    if (base) lookBack();
  }

  function fill(draft) {
    const state = store.get();
    const { selection } = state;
    const dragged = recordedOf(selection?.keys ?? [], state);
    fields.set(draft, [base?.channels ?? [], dragged.keys]);
    if (!base && dragged.unknown) {
      refuse(`${dragged.unknown} of the channels are derived from ones that are not known.`);
    }
    // What is void cannot be revised; it can be entered anew.
    const revised = base && !base.voided;
    setText(heading, !base ? "New mark" : base.voided ? "Voided mark" : "Edit mark");
    setText(save, base?.voided ? "Add as a new mark" : "Save");
    reasonField.hidden = voiding.hidden = !revised;
  }

  async function lookBack() {
    const [recording, { annotation_id: id }] = [where, base];
    setText(counted, "Versions");
    versions.replaceChildren(element("li", {}, "Loading…"));
    let items;
    try {
      const found = historyOf(await api.annotations(recording, true), id);
      items = found.map((one, at) => versionItem(one, found[at + 1]));
    } catch (error) {
      items = [element("li", {}, `They cannot be loaded: ${error.message}`)];
    }
    if (where !== recording || base?.annotation_id !== id) return;
    versions.replaceChildren(...items);
    setText(counted, `Versions (${items.length})`);
  }

  function versionItem(one, before) {
    return element("li", { value: one.version }, ...versionParts(one, before));
  }

  function versionParts(one, before) {
    const { who, what, why } = itemText(store.get(), one, before);
    const parts = Object.entries({ who, what, why }).filter(([, text]) => text);
    return parts.map(([name, text]) =>
      element("div", { className: `version-${name}`, dir: "auto" }, text),
    );
  }

  function submit(event) {
    event.preventDefault();
    if (save.disabled || !fields.hasText()) return;
    const { draft } = fields;
    if (!base || base.voided) {
      const note = { ...draft, annotation_id: id };
      send((to) => api.annotate(to, note), "Saved", id);
      return;
    }
    const changes = changesOf(base, draft);
    if (!Object.keys(changes).length) {
      refuse("Nothing has been changed.");
    } else if (hasReason()) {
      const change = { ...changes, reason: reason.value.trim(), version: base.version };
      send((to) => api.revise(to, base.annotation_id, change), "Saved", base.annotation_id);
    }
  }

  function voidIt() {
    if (voiding.disabled || !hasReason()) return;
    const { annotation_id: which, version } = base;
    send((to) => api.retract(to, which, reason.value.trim(), version), "Voided", which);
  }

  function hasReason() {
    reason.setCustomValidity(reason.value.trim() ? "" : "Say why; it is kept with the new version");
    return reason.reportValidity();
  }

  /** Send a change of the mark `which`, and say what became of it. */
  async function send(request, done, which) {
    busy(true);
    conflict.hidden = refused.hidden = true;
    const to = where;
    let stored;
    try {
      stored = await request(to);
    } catch (error) {
      await missed(error, to, which);
      if (where === to) busy(false);
      return;
    }
    if (store.get().problem?.where === "mark") store.set({ problem: null });
    announce(`${done}: ${stored.kind} at ${formatTime(store.get(), stored.onset)}`);
    if (where === to) {
      dialog.close();
      store.set({ selection: null, cursor: null });
    }
    // Whoever has closed the form meanwhile has to see it as well.
    if (!isOpen(to)) return;
    await reloadMarks();
    if (isOpen(to)) store.set({ selected: stored.voided ? null : stored.annotation_id });
  }

  /** Whether a recording is still the one that is open. */
  function isOpen(to) {
    const { patient, recording } = store.get();
    return recording === to.recording && patient === to.patient;
  }

  async function missed(error, to, which) {
    if (where !== to) {
      const problem = { where: "mark", title: "The mark may not have been saved.", passing: false };
      store.set({ problem: { ...problem, hint: reasonOf(error), status: error.status } });
    } else if (error.status === 409) await meet(error, to, which);
    else refuse(reasonOf(error));
    // The answer may be all that was lost: then the list has it.
    if (error.passing && isOpen(to)) reloadMarks();
  }

  /**
   * Something else is stored already: show it, and keep what was typed here.
   *
   * Of a mark that is edited, somebody else was first. Of a new one, it is what an earlier try of
   * this form stored, whose answer was lost.
   */
  async function meet(error, to, which) {
    const edited = base?.annotation_id === which;
    let last;
    try {
      last = historyOf(await api.annotations(to, true), which)[0] ?? null;
    } catch {
      last = edited ? base : undefined; // the refusal itself says enough
    }
    if (where !== to) return;
    if (!last || (edited && last.version === base.version)) {
      if (last === null) id = newId(); // it is taken in another recording
      refuse(error.message);
      return;
    }
    const kept = "What you entered is kept here. ";
    conflict.replaceChildren(
      element("strong", {}, titleOf(last, edited)),
      ...versionParts(last, edited ? base : null),
      last.voided
        ? "It cannot be changed any more. What you entered can be added as a new mark."
        : `${kept}Save again to enter it as the next version.`,
    );
    conflict.hidden = false;
    const draft = edited ? mergedOf(base, fields.draft, last) : fields.draft;
    base = last;
    id = newId();
    fill(draft);
    past.hidden = false;
    lookBack();
    reloadMarks();
  }

  function refuse(message) {
    setText(refused, message);
    refused.hidden = false;
  }

  function busy(is) {
    save.disabled = voiding.disabled = is;
    form.setAttribute("aria-busy", String(is));
  }

  dialog.addEventListener("close", () => {
    base = where = id = null;
    versions.replaceChildren();
  });
  store.subscribe(on(["patient", "recording"], () => dialog.open && dialog.close()));
  mountKeys(store, open);
  show = open;
  begin = () => open(draftOf(store.get(), "note"));
}

function titleOf(last, edited) {
  if (last.voided) return "Voided meanwhile";
  return edited ? "Changed meanwhile" : "Stored before, as it was then";
}

/** Return why something was not stored, and what to do. */
function reasonOf(error) {
  const { status, message, passing, body } = error;
  if (status === 403) return `You may read this recording, but not mark it: ${message}`;
  if (passing) return `Not confirmed: ${message}. What you entered is kept here; try again.`;
  const errors = (body?.errors ?? []).map((one) => `${one.field}: ${one.message}`);
  return [`Not saved: ${message}`, ...errors].join("\n");
}
