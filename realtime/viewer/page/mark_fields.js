// The fields of a mark: kind, text, onset, duration or end, channels.

import { formatTime, parseTime } from "./clock.js";
import { element } from "./elements.js";

const PRECISION = 3; // decimals of seconds that are shown
const LONGEST = 10_000; // letters of a text
const KINDS = { seizure: "Seizure", note: "Note", marker: "Marker" };
const NO_TIME = "Expected a time such as 0:12:30.5";

/** Return an element with a title, as one line of a form. */
export function labelled(title, control) {
  return element("label", { className: "field" }, element("span", {}, title), control);
}

/** To the microsecond, as it is stored: 12.3 - 10 would be 2.3000000000000007. */
export const exact = (seconds) => Math.round(seconds * 1e6) / 1e6;

/**
 * Make the fields; `state()` gives the page's state, `confirm()` is called by Enter in the text.
 *
 * They hold a draft `{kind, text, onset, duration, channels}`. A time that nobody touches stays as
 * exact as it was, whatever the field rounds it to.
 */
export function createFields(state, confirm) {
  let draft = null;
  let near = null; // {onset, end} as they were last written: a time of day is one close to them
  const kind = element("select", { name: "kind", onchange: () => (draft.kind = kind.value) });
  for (const [name, title] of Object.entries(KINDS)) {
    kind.append(element("option", { value: name }, title));
  }
  const text = element("textarea", {
    name: "text",
    rows: 2,
    maxLength: LONGEST,
    dir: "auto",
    oninput: () => {
      text.setCustomValidity("");
      draft.text = text.value;
    },
    onkeydown: (event) => {
      // Enter confirms, as everywhere; a new line takes Shift.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      confirm();
    },
  });
  const onset = time("onset", "Where it begins", readOnset);
  const duration = time("duration", "Seconds; empty for an instant", readDuration);
  const end = time("end", "Where it ends", readEnd);
  const channels = element("select", {
    name: "channels",
    onchange: () => (draft.channels = JSON.parse(channels.value)),
  });

  function time(name, title, read) {
    const members = { name, title, type: "text", autocomplete: "off", spellcheck: false };
    return element("input", { ...members, oninput: read, onchange: write });
  }

  const timeText = (seconds) => formatTime(state(), seconds, PRECISION);
  const timeOf = (text, start) => parseTime({ ...state(), start }, text);

  function readOnset() {
    const seconds = timeOf(onset.value, near.onset);
    onset.setCustomValidity(seconds === null ? NO_TIME : "");
    if (seconds === null) return;
    draft.onset = seconds;
    end.setCustomValidity("");
    if (draft.duration !== null) end.value = timeText(draft.onset + draft.duration);
  }

  function readDuration() {
    const given = duration.value.trim().replace(",", ".");
    const seconds = given === "" ? null : Number(given);
    const wrong = seconds !== null && !(seconds >= 0 && seconds <= 1e9);
    duration.setCustomValidity(wrong ? "Expected seconds, 0 or more" : "");
    if (wrong) return;
    draft.duration = seconds;
    end.setCustomValidity("");
    end.value = seconds === null ? "" : timeText(draft.onset + seconds);
  }

  function readEnd() {
    const given = end.value.trim();
    const seconds = given === "" ? null : timeOf(given, near.end);
    const wrong = given !== "" && seconds === null;
    const early = seconds !== null && seconds < draft.onset;
    end.setCustomValidity(wrong ? NO_TIME : early ? "The end lies before the onset" : "");
    if (wrong || early) return;
    draft.duration = seconds === null ? null : exact(seconds - draft.onset);
    duration.setCustomValidity("");
    duration.value = durationText(draft.duration);
  }

  /** Write the draft into the fields that hold something valid. */
  function write() {
    near = { onset: draft.onset, end: draft.onset + (draft.duration ?? 0) };
    if (onset.validity.valid) onset.value = timeText(draft.onset);
    if (duration.validity.valid) duration.value = durationText(draft.duration);
    if (!end.validity.valid) return;
    end.value = draft.duration === null ? "" : timeText(draft.onset + draft.duration);
  }

  function offer(choices) {
    const offered = new Map(choices.map((names) => [JSON.stringify(names), names]));
    channels.replaceChildren(
      ...[...offered].map(([value, names]) => element("option", { value }, namesText(names))),
    );
    channels.value = JSON.stringify(draft.channels);
  }

  return {
    parts: [
      labelled("Kind", kind),
      labelled("Text", text),
      element(
        "div",
        { className: "field-row" },
        labelled("Onset", onset),
        labelled("Duration (s)", duration),
        labelled("End", end),
      ),
      labelled("Channels", channels),
    ],
    get draft() {
      return draft;
    },
    /** Show a draft; `choices` are lists of channels that may be chosen beside all and its own. */
    set(now, choices) {
      draft = { ...now };
      for (const each of [text, onset, duration, end]) each.setCustomValidity("");
      kind.value = draft.kind;
      text.value = draft.text;
      write();
      offer([[], draft.channels, ...choices]);
    },
    focus() {
      text.focus();
      text.select();
    },
    /** Whether there is a text; says so if there is none. */
    hasText() {
      text.setCustomValidity(draft.text.trim() ? "" : "Say what it is");
      return text.reportValidity();
    },
  };
}

const durationText = (seconds) => (seconds === null ? "" : String(Number(seconds.toFixed(6))));

function namesText(names) {
  if (!names.length) return "all";
  const first = names.slice(0, 4).join(", ");
  return names.length > 4 ? `${first} and ${names.length - 4} more` : first;
}
