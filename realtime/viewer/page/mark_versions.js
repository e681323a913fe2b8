// The versions of a mark: what was changed from one to the next, by whom, and why.

import { formatDuration, formatTime } from "./clock.js";
import { oneLine } from "./elements.js";
import { KIND_NAMES, kindOf } from "./marks.js";

const MEMBERS = ["kind", "text", "onset", "duration", "channels"];

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** Return what a form holds of a mark. */
export const draftFrom = (mark) => Object.fromEntries(MEMBERS.map((name) => [name, mark[name]]));

/** Return the members in which a draft differs from the version it came from. */
export function changesOf(base, draft) {
  return Object.fromEntries(
    MEMBERS.filter((name) => !same(base[name], draft[name])).map((name) => [name, draft[name]]),
  );
}

/** Return a newer version with what a person changed of the one they had read. */
export function mergedOf(base, draft, last) {
  return { ...draftFrom(last), ...changesOf(base, draft) };
}

/** Return the versions of one mark, the last one first. */
export function historyOf(listed, id) {
  return listed
    .filter((one) => one.annotation_id === id)
    .sort((one, other) => other.version - one.version);
}

/** Return when something was entered, by the reader's own clock. */
export function enteredAt(text) {
  const at = new Date(text);
  const two = (number) => String(number).padStart(2, "0");
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${date} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** Return a version in words: who, what, why; of a later one only what differs from `before`. */
export function itemText(state, one, before) {
  const who = `${oneLine(one.author, 60)}, ${enteredAt(one.created_at)}`;
  const why = one.reason ? `Reason: ${oneLine(one.reason, 300)}` : "";
  if (one.voided) return { who, what: "voided", why };
  const names = before ? MEMBERS.filter((name) => !same(one[name], before[name])) : MEMBERS;
  const parts = names.map((name) => memberText(state, one, name)).filter(Boolean);
  return { who, what: parts.join(", ") || "nothing else", why };
}

function memberText(state, one, name) {
  if (name === "kind") return KIND_NAMES[kindOf(one)];
  if (name === "text") return `“${oneLine(one.text, 200)}”`;
  if (name === "onset") return `at ${formatTime(state, one.onset, 3)}`;
  if (name === "duration") {
    return one.duration === null ? "no duration" : formatDuration(one.duration);
  }
  return one.channels.length ? `on ${one.channels.join(", ")}` : "on all channels";
}
